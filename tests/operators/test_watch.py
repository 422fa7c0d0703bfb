"""Runs under way and sequences, through a partition: what opens, what ends it, and that a restart changes nothing."""

from typing import Any

import msgspec
import pytest

from operators import tables as t
from operators.detect.rules import Rules, SequenceRule
from operators.judge import JudgeConfig
from operators.partition import PartitionConfig
from tests.partitions import Runner
from tests.samples import data_of, metric, raw, time_at

MINUTE = 60


def run(kind: str, number: int, start_s: float, end_s: float | None = None, status: str = "success") -> bytes:
    at = start_s if end_s is None else end_s
    ended = {} if end_s is None else {"execution_end": time_at(end_s), "status": status}
    data = data_of(
        f"pipeline.{kind}", pipeline_name="shop", execution_id=f"r{number}", execution_start=time_at(start_s), **ended
    )
    return raw(f"pipeline.{kind}", data, id=f"{kind}-{number}", time=time_at(at))


def history(runs: int = 30, minutes: float = 10.0) -> list[bytes]:
    """Runs of ten minutes, one an hour."""
    return [run("finished", number, number * 3600, number * 3600 + minutes * MINUTE + number) for number in range(runs)]


def rows(runner: Runner, detector: str) -> list[dict[str, Any]]:
    found = [row for row in runner.database.table(t.DETECTED_PATTERNS) if row["pattern_type"] == detector]
    return sorted(found, key=lambda row: row["opened_at"])


@pytest.mark.parametrize("restart", [False, True])
def test_a_run_that_does_not_end_is_overdue(restart: bool) -> None:
    runner = Runner()
    runner.feed(history())
    start = 40 * 3600
    runner.feed([run("started", 99, start)])
    assert rows(runner, "overdue") == []
    for minute in range(40):
        if restart and minute == 20:
            runner.restart()
        runner.feed([metric(1.0, start + minute * MINUTE, f"m{minute}")])
    (row,) = rows(runner, "overdue")
    assert (row["entity"], row["measure"], row["is_active"]) == ("shop", "duration_s", True)
    assert row["pattern_data"]["evidence"]["run"] == "r99"
    late = (row["opened_at"] / 1e6 - 1_767_607_200 - start) / MINUTE
    assert 12 <= late <= 17, "longer than the longest, by a margin"
    assert "shop is overdue: under way for" in row["pattern_name"]
    runner.feed([run("finished", 99, start, start + 41 * MINUTE)])
    (row,) = rows(runner, "overdue")
    assert not row["is_active"], "at once, not after some more runs"
    assert row["resolved_at"] / 1e6 - 1_767_607_200 == start + 41 * MINUTE


def test_a_run_that_ends_in_time_is_not(restart: bool = False) -> None:
    runner = Runner()
    runner.feed(history())
    runner.feed([run("started", 99, 40 * 3600), run("finished", 99, 40 * 3600, 40 * 3600 + 9 * MINUTE)])
    runner.feed([metric(1.0, 41 * 3600 + minute * MINUTE, f"m{minute}") for minute in range(90)])
    assert rows(runner, "overdue") == []


def test_a_pipeline_without_a_history_is_not_judged() -> None:
    runner = Runner()
    runner.feed([run("started", 99, 0)])
    runner.feed([metric(1.0, minute * MINUTE, f"m{minute}") for minute in range(300)])
    assert rows(runner, "overdue") == []


RULE = SequenceRule(
    "deploy-breaks-sync", ("pipeline:$x:success", "pattern:high_cpu_usage:web-1"), 1800 * 1_000_000,
    "integration:github→jira:push:failure", confidence=0.85, support=40, lift=6.0, lead_us=300 * 1_000_000,
)  # fmt: skip
CONFIG = PartitionConfig(judge=JudgeConfig(rules=(RULE,)))


def cpu(value: float, at_s: float, number: int) -> bytes:
    data = {"host": "web-1", "resource_type": "cpu", "usage_percentage": value}
    return raw("resource.sampled", data, id=f"c{number}", time=time_at(at_s))


def sync(status: str, at_s: float) -> bytes:
    data = data_of(
        "integration.occurred", source_system="github", target_system="jira", event_type="push", status=status
    )
    return raw("integration.occurred", data, id=f"i{at_s}", time=time_at(at_s))


def prefix(runner: Runner) -> None:
    runner.feed([run("finished", 1, 0, 60), cpu(97, 120, 1), cpu(97, 121, 2)])


def test_a_sequence_is_told_before_it_comes_true() -> None:
    runner = Runner(CONFIG)
    prefix(runner)
    (row,) = rows(runner, "sequence")
    assert (row["entity"], row["measure"]) == ("github→jira:push", "sequence:deploy-breaks-sync")
    assert row["confidence_score"] == 0.85
    assert row["is_active"]
    assert row["pattern_name"].startswith("integration:github→jira:push:failure is likely (85 %)")
    runner.restart()
    runner.feed([sync("failure", 400)])
    (row,) = rows(runner, "sequence")
    assert not row["is_active"]
    assert row["pattern_data"]["evidence"]["came_true"] == 1
    assert runner.partition.state.virtual == {}
    assert runner.partition.state.sequence is not None
    assert runner.partition.state.sequence.tallies["deploy-breaks-sync"].hits == 1


def test_a_sequence_that_does_not_come_true_ends_at_its_deadline() -> None:
    runner = Runner(CONFIG)
    prefix(runner)
    runner.feed([sync("success", 400), metric(1, 2000, "m"), metric(1, 2100, "n")])
    (row,) = rows(runner, "sequence")
    assert row["pattern_data"]["evidence"]["came_true"] == 0
    assert row["resolved_at"] / 1e6 - 1_767_607_200 == 60 + 1800
    assert "did not come true" in row["explanation"]


OTHER = SequenceRule("fails-twice", ("pipeline:$x:success",), 1800 * 1_000_000, "pipeline:$x:failure", confidence=0.9)


def both_under_way() -> Runner:
    runner = Runner(PartitionConfig(judge=JudgeConfig(rules=(RULE, OTHER))))
    prefix(runner)
    assert sorted(row["measure"] for row in rows(runner, "sequence") if row["is_active"]) == [
        "sequence:deploy-breaks-sync", "sequence:fails-twice",
    ]  # fmt: skip
    return runner


@pytest.mark.parametrize("restart", [False, True])
def test_new_rules_drop_what_is_under_way_of_those_that_are_gone_and_of_no_others(restart: bool) -> None:
    runner = both_under_way()
    if restart:
        runner.config = CONFIG
        runner.restart()
    else:
        runner.partition.judge.follow(Rules((RULE,)))
    runner.feed([metric(1, 300, "m"), metric(1, 400, "n")])
    ended = {row["measure"]: row["is_active"] for row in rows(runner, "sequence")}
    assert ended == {"sequence:deploy-breaks-sync": True, "sequence:fails-twice": False}
    assert list(runner.partition.state.virtual) == ["deploy-breaks-sync\0shop"]
    runner.feed([sync("failure", 500)])
    kept = next(row for row in rows(runner, "sequence") if row["measure"].endswith("sync"))
    assert kept["pattern_data"]["evidence"]["came_true"] == 1
    assert runner.partition.state.sequence is not None
    assert list(runner.partition.state.sequence.tallies) == ["deploy-breaks-sync"]


def test_a_rule_that_says_something_else_under_its_old_id_begins_anew() -> None:
    runner = both_under_way()
    changed = msgspec.structs.replace(RULE, then="integration:github→jira:pull:failure")
    surer = msgspec.structs.replace(OTHER, confidence=0.95)
    runner.partition.judge.follow(Rules((changed, surer)))
    assert runner.partition.state.sequence is not None
    assert list(runner.partition.state.sequence.pending) == ["fails-twice"]


def test_without_rules_any_more_everything_of_them_ends() -> None:
    runner = both_under_way()
    runner.partition.judge.follow(Rules(()))
    runner.feed([metric(1, 300, "m"), metric(1, 400, "n")])
    assert not any(row["is_active"] for row in rows(runner, "sequence"))
    assert runner.partition.state.virtual == {} and runner.partition.judge.watch.rules is None


def test_without_rules_there_is_no_state() -> None:
    runner = Runner()
    prefix(runner)
    assert runner.partition.state.sequence is None


def test_a_burst_of_failures_and_its_contributors() -> None:
    runner = Runner()
    runner.feed([run("finished", number, number * 3600, number * 3600 + 600) for number in range(120)])
    for number in range(120, 130):
        runner.feed([run("finished", number, number * 3600, number * 3600 + 600, "failure")])
    (row,) = rows(runner, "burst")
    assert (row["entity"], row["measure"], row["pattern_data"]["class"]) == (
        "shop",
        "failed",
        "failure_mode_classification",
    )
    assert "shop fails more than it used to" in row["pattern_name"]
