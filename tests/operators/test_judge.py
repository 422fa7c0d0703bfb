"""Which detector sees which value, and when a pattern is told of."""

import pytest

from operators import tables as t
from operators.judge import JudgeConfig
from operators.output import Output
from operators.partition import PartitionConfig
from operators.records import Mark
from tests.partitions import Runner, run
from tests.samples import data_of, metric, raw, time_at


def cpu(value: float, at_s: float, number: int, kind: str = "cpu") -> bytes:
    data = {"host": "web-1", "resource_type": kind, "usage_percentage": value}
    return raw("resource.sampled", data, id=f"c{number}", time=time_at(at_s))


def run_of(kind: str, status: str, at_s: float, number: int, seconds: float = 5) -> bytes:
    common = {"execution_end": time_at(at_s), "status": status, "execution_id": f"r{number}"}
    if kind == "task.finished":
        data = data_of(kind, **common, execution_start=time_at(at_s - seconds))
    else:
        data = data_of(kind, **common, total_duration_s=seconds)
    return raw(kind, data, id=f"r{number}", time=time_at(at_s))


def told(out: Output) -> list[tuple[str, str, str]]:
    return [(found.change, found.pattern.pattern_type, found.pattern.measure) for found in out.found]


def patterns(runner: Runner) -> list[tuple[str, str, int, bool]]:
    rows = runner.database.table(t.DETECTED_PATTERNS)
    return [(row["pattern_type"], row["measure"], row["observation_count"], row["is_active"]) for row in rows]


def test_a_rule_speaks_at_once() -> None:
    runner = Runner()
    out = runner.feed([cpu(95, 1, 1)])
    assert told(out) == [("opened", "threshold", "cpu_usage")]
    assert out.counts.patterns == 1
    found = out.found[0]
    assert found.event_us % 60_000_000 == 1_000_000
    assert found.ingested_us == out.batch.ingested_us <= found.decided_us + 10**15


def test_it_is_told_again_once_a_batch_and_when_a_pane_has_closed() -> None:
    runner = Runner()
    runner.feed([cpu(95, 1, 1)])
    assert told(runner.feed([cpu(95, 2, 2), cpu(95, 3, 3)])) == []
    assert told(runner.feed([cpu(95, 16, 4), cpu(95, 17, 5)])) == [("observed", "threshold", "cpu_usage")]
    assert patterns(runner) == [("threshold", "cpu_usage", 5, True)]
    assert told(runner.feed([cpu(10, 31, 6), cpu(10, 32, 7)])) == [("observed", "threshold", "cpu_usage")]
    assert told(runner.feed([cpu(10, 33, 8)])) == [("resolved", "threshold", "cpu_usage")]
    assert patterns(runner) == [("threshold", "cpu_usage", 5, False)]
    assert runner.counts.patterns == 1


def test_a_pattern_that_comes_back_is_not_counted_twice() -> None:
    runner = Runner()
    runner.feed([cpu(95, 1, 1), *(cpu(10, at, at) for at in (2, 3, 4))])
    out = runner.feed([cpu(95, 5, 5)])
    assert told(out) == [("reopened", "threshold", "cpu_usage")]
    assert runner.counts.patterns == 1
    assert len(patterns(runner)) == 1


@pytest.mark.parametrize("restart", [False, True])
def test_a_silent_series_ends_its_pattern(restart: bool) -> None:
    runner = Runner()
    runner.feed([cpu(95, 1, 1)])
    if restart:
        runner.restart()
    runner.feed([metric(1, 80_000, 2)])
    assert patterns(runner) == [("threshold", "cpu_usage", 1, True)]
    out = runner.feed([metric(1, 87_000, 3)])
    assert told(out) == [("resolved", "threshold", "cpu_usage")]
    row = runner.database.table(t.DETECTED_PATTERNS)[0]
    assert row["resolved_at"] == row["last_observed_at"], "as of its last judgement"


@pytest.mark.parametrize("kind", ["pipeline.finished", "task.finished"])
def test_the_share_of_failed_runs(kind: str) -> None:
    values = [run_of(kind, "failure" if number >= 12 else "success", number, number) for number in range(20)]
    runner = run(values)
    assert ("threshold", "failed") in {(kind, measure) for kind, measure, *_ in patterns(runner)}
    calm = run([run_of(kind, "success", number, number) for number in range(20)])
    assert patterns(calm) == []


def test_failed_integrations_are_counted_by_pane() -> None:
    def event(number: int, status: str) -> bytes:
        return raw(
            "integration.occurred", data_of("integration.occurred", status=status), id=str(number), time=time_at(number)
        )

    runner = Runner()
    assert told(runner.feed([event(number, "failure") for number in range(9)] + [event(9, "success")])) == []
    assert told(runner.feed([event(15, "success")])) == [("opened", "threshold", "failed")]


def test_dense_series_are_judged_by_pane_and_sparse_ones_by_event() -> None:
    dense = Runner()
    dense.feed([metric(1, at / 10, at) for at in range(400)])
    (slot,) = dense.partition.state.slots.values()
    assert slot.spike is not None
    assert slot.spike.seen == 3, "panes of second 0, 10, 20; that of second 30 is open"
    sparse = Runner()
    sparse.feed([run_of("task.finished", "success", at / 10, at) for at in range(12)])
    seen = {slot.measure: slot.spike.seen if slot.spike else None for slot in sparse.partition.state.slots.values()}
    assert seen == {"duration_s": 12, "failed": None}


def test_a_spike_in_a_dense_series() -> None:
    values = [metric(40 + at % 3, at * 10, at) for at in range(60)] + [metric(400, 600, "spike"), metric(41, 616, "x")]
    runner = run(values)
    assert [(kind, measure) for kind, measure, *_ in patterns(runner)] == [("spike", "m")]


def test_a_metric_that_shares_a_rule_s_name_is_not_ruled() -> None:
    runner = run([metric(99, at, at, name="cpu_usage") for at in range(5)])
    assert patterns(runner) == []


def test_detection_can_be_off() -> None:
    config = PartitionConfig(judge=JudgeConfig(enabled=False))
    runner = run([cpu(99, at, at) for at in range(40)], config=config)
    assert patterns(runner) == []
    assert not any(slot.spike or slot.threshold for slot in runner.partition.state.slots.values())


def test_thresholds_and_confidence_are_settings() -> None:
    low = JudgeConfig(thresholds=(("high_cpu_usage", 0.3),))
    assert [kind for kind, *_ in patterns(run([cpu(40, 1, 1)], config=PartitionConfig(judge=low)))] == ["threshold"]
    assert patterns(run([cpu(99, 1, 1, "memory")], config=PartitionConfig(judge=low))) == [], "it is not named, so off"
    sure = JudgeConfig(least_confidence=0.99)
    assert patterns(run([cpu(90, 1, 1)], config=PartitionConfig(judge=sure))) == []


def test_an_old_incident_is_loaded_with_its_rule() -> None:
    runner = Runner()
    runner.feed([cpu(95, 1, 1)])
    runner.restart()
    assert told(runner.feed([], Mark.STOP_AT_END)) == [("observed", "threshold", "cpu_usage")]
    runner.feed([cpu(10, at, at) for at in (2, 3, 4)])
    assert patterns(runner) == [("threshold", "cpu_usage", 1, False)]


def test_what_came_before_is_told() -> None:
    runner = Runner()
    for hour in range(7):
        at = hour * 3600
        runner.feed([cpu(95 + hour / 2, at + 1, 10 * hour), *(cpu(10, at + n, 10 * hour + n) for n in range(2, 9))])
    rows = sorted(runner.database.table(t.DETECTED_PATTERNS), key=lambda row: row["opened_at"])
    earlier = [[past["peak_value"] for past in row["pattern_data"]["earlier"]] for row in rows]
    assert earlier[0] == []
    assert earlier[3] == [96.0, 95.5, 95.0]
    assert earlier[6] == [97.5, 97.0, 96.5, 96.0, 95.5], "five, the newest first"
    last = rows[6]["pattern_data"]["earlier"][0]
    assert (last["ended"], last["duration_s"], last["observations"]) == ("resolved", 3.0, 1)


def test_the_steps_of_a_failed_run_contribute() -> None:
    def finished(number: int) -> bytes:
        steps = [
            {"step_name": name, "step_order": place, "execution_start": time_at(number), "status": status}
            for place, (name, status) in enumerate([("build", "success"), ("test", "failure"), ("lint", "error")])
        ]
        data = data_of(
            "pipeline.finished", pipeline_name="shop", execution_id=f"r{number}", status="failure", steps=steps,
            execution_end=time_at(number),
        )  # fmt: skip
        return raw("pipeline.finished", data, id=f"r{number}", time=time_at(number))

    runner = run([finished(number) for number in range(20)])
    row = next(row for row in runner.database.table(t.DETECTED_PATTERNS) if row["entity"] == "shop")
    named = [(one["name"], one["share"]) for one in row["pattern_data"]["contributors"]]
    assert named == [("shop/lint", 0.5), ("shop/test", 0.5)]
    assert row["pattern_data"]["window"]["from"] < row["pattern_data"]["window"]["to"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_new_host_is_judged_by_the_others(restart: bool) -> None:
    def load(host: str, value: float, at: int) -> bytes:
        return metric(value, at * 10, f"{host}-{at}", name="load", system=host)

    runner = Runner()
    hosts = [f"web-{number}" for number in range(12)]
    runner.feed([load(host, 40 + (at * 7 + len(host)) % 5, at) for at in range(40) for host in hosts])
    if restart:
        runner.restart()
    runner.feed([load(host, value, at) for at in range(41, 50) for host, value in (("like", 42), ("unlike", 900))])
    found = {(row["pattern_type"], row["entity"]) for row in runner.database.table(t.DETECTED_PATTERNS)}
    assert found == {("prior", "unlike")}
    slots = {slot.entity: slot for slot in runner.partition.state.slots.values()}
    assert slots["unlike"].young is not None
    assert slots["web-1"].young is None
    runner.feed([load(host, value, at) for at in range(50, 90) for host, value in (("like", 42), ("unlike", 900))])
    assert slots["unlike"].young is None or runner.partition.state.slots is not slots, "it has grown up"
