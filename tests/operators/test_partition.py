"""A partition: no batch boundary, restart or idle moment changes anything, and every record is accounted for."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import partition as module
from operators import tables as t
from operators.encode import encode
from operators.events import decode
from operators.judge import JudgeConfig
from operators.partition import Partition, PartitionConfig
from operators.records import Batch, Headers, Mark
from operators.state import StateError
from operators.windows import Stats
from tests.partitions import Runner, run
from tests.pgread import read
from tests.samples import NOW_US, TIME_US, metric, raw, time_at
from tests.sequences import BROKEN, Fate, fate, sequences

MODERATE = settings(max_examples=40, deadline=None)
PLACES = st.lists(st.integers(0, 70), max_size=8)
SECOND = 1_000_000
START_US = TIME_US // (3600 * SECOND) * 3600 * SECOND


def assert_same(one: Runner, other: Runner) -> None:
    mine, theirs = one.database.tables(), other.database.tables()
    for name in mine:
        assert mine[name] == theirs[name], name
    assert one.counts == other.counts
    assert one.state() == other.state()


@MODERATE
@given(sequences(), PLACES, st.sampled_from([Mark.END, Mark.STOP_AT_END]))
def test_batch_boundaries_change_nothing(values: list[bytes | None], cuts: list[int], last: Mark) -> None:
    assert_same(run(values, last=last), run(values, [cut for cut in cuts if cut < len(values)], last=last))


@MODERATE
@given(sequences(), PLACES, PLACES)
def test_restarts_change_nothing(values: list[bytes | None], cuts: list[int], restarts: list[int]) -> None:
    whole = run(values)
    broken = run(values, [cut for cut in cuts if cut < len(values)], [at for at in restarts if at < len(values)])
    assert_same(whole, broken)


@settings(max_examples=5, deadline=None)
@given(sequences(40))
def test_each_record_in_a_batch_and_a_life_of_its_own(values: list[bytes | None]) -> None:
    assert_same(run(values), run(values, restarts=range(len(values))))


@MODERATE
@given(sequences())
def test_every_record_has_its_fate(values: list[bytes | None]) -> None:
    """read = applied + late + duplicates + dead letters, each record being what the contract says it is."""
    runner, wanted = run(values), fate(values)
    counts = runner.counts
    assert counts.read == len(values) == counts.applied + counts.late + counts.duplicates + counts.dead
    found = Fate([], [], [], [])
    for letter in (letter for out in runner.database.outputs for letter in out.dead_letters):
        found.dead.append(letter.offset - 1)
        assert letter.value == values[letter.offset - 1]
        assert letter.reason == dict(BROKEN)[letter.value]
    assert found.dead == wanted.dead
    assert (counts.applied, counts.late, counts.duplicates) == (
        len(wanted.applied), len(wanted.late), len(wanted.duplicates),
    )  # fmt: skip
    rows = {(row["outcome"], row["reason"]): row["n"] for row in runner.database.table(t.STREAM_COUNTERS)}
    assert rows.pop(("patterns", "")) == counts.patterns == len(runner.database.table(t.DETECTED_PATTERNS))
    assert rows == {
        ("read", ""): counts.read, ("applied", ""): counts.applied, ("late", ""): counts.late,
        ("duplicate", ""): counts.duplicates, **{("dead_letter", why): n for why, n in counts.dead_letters.items()},
    }  # fmt: skip
    assert len(runner.database.table(t.DEAD_LETTERS)) == counts.dead


@MODERATE
@given(sequences())
def test_aggregates_are_those_of_the_applied_records(values: list[bytes | None]) -> None:
    runner = run(values)
    points: dict[tuple[str, str, int, int], list[tuple[int, int, float]]] = {}
    for place in fate(values).applied:
        event = decode(values[place] or b"")
        us = round(event.time.timestamp() * 1e6)
        key = Partition("x", 0, PartitionConfig())
        key.process(Batch("x", 0, [values[place]], [1], NOW_US))
        (event_key,) = next(iter(key.state.seen.values()))
        for named, value in encode(event).points:
            for level in (10, 60, 300):
                bucket = us // (level * SECOND) * level * SECOND
                points.setdefault((named.entity, named.measure, level, bucket), []).append((us, event_key, value))
    names = {row["series_id"]: (row["entity"], row["measure"]) for row in runner.database.table(t.SERIES)}
    rows = runner.database.rollups()
    assert len(rows) == len(points)
    for row in rows:
        stats = Stats.of(points[*names[row["series_id"]], row["level"], row["time"]])
        for field in ("n", "sum", "min", "max", "sum_squares", "first", "last"):
            assert row[field] == pytest.approx(getattr(stats, field), rel=1e-12), field
        assert (row["first_at"], row["last_at"]) == (stats.earliest[0], stats.latest[0])
        assert (row["sketch"] is None) is (row["n"] == 1)


@MODERATE
@given(sequences())
def test_late_and_applied_records_keep_their_rows(values: list[bytes | None]) -> None:
    wanted = fate(values)
    rows = sorted(row for place in wanted.applied + wanted.late for _, row in encode(decode(values[place] or b"")).rows)
    made = run(values).database.rows
    own = {table.name for table in t.ALL} - {t.SERIES.name, t.DEAD_LETTERS.name}
    assert sorted(row for name, found in made.items() if name in own for row in found) == rows


IDLE = st.lists(st.tuples(st.integers(0, 70), st.integers(-30, 400)), max_size=6)
"""After which record the source was idle, and how many seconds past the watermark the clock then stood."""


@MODERATE
@given(sequences(), IDLE, st.booleans())
def test_being_idle_changes_no_row_and_makes_nothing_late(
    values: list[bytes | None], idle: list[tuple[int, int]], restart: bool
) -> None:
    never, sometimes = run(values), Runner()
    for place, value in enumerate(values):
        sometimes.feed([value])
        for after, clock in idle:
            if after == place and sometimes.partition.state.watermark.time is not None:
                sometimes.idle(sometimes.partition.state.watermark.time + clock * SECOND)
                if restart:
                    sometimes.restart()
    sometimes.feed([], Mark.END)
    assert_same(never, sometimes)


def cpu(value: float, at_s: float, number: int) -> bytes:
    data = {"host": "web-1", "resource_type": "cpu", "usage_percentage": value}
    return raw("resource.sampled", data, id=str(number), time=time_at(at_s))


def rollups(runner: Runner, level: int = 10) -> list[tuple[int, int, float]]:
    rows = runner.database.rollups()
    return sorted(((row["time"] - START_US) // SECOND, row["n"], row["sum"]) for row in rows if row["level"] == level)


def test_an_idle_pane_is_shown_stays_open_and_is_written_again() -> None:
    runner = Runner()
    runner.feed([metric(1, 1, 1), metric(2, 2, 2)])
    assert rollups(runner) == []
    ready = START_US + (10 + 5 + 5) * SECOND
    assert not runner.idle(ready - 1).sets, "the pane's end, lateness and the idle time have to be over"
    shown = runner.idle(ready)
    assert rollups(runner) == [(0, 2, 3.0)]
    assert [(one["level"], one["n"]) for one in runner.database.rollups()] == [(10, 2), (300, 2), (60, 2)]
    assert shown.gauges.open_panes == 1
    assert not runner.idle(ready + SECOND).sets, "nothing new, nothing written"
    runner.feed([metric(4, 9, 3)])
    assert runner.counts.late == 0
    runner.idle(ready + 2 * SECOND)
    assert rollups(runner) == [(0, 3, 7.0)]
    assert rollups(runner, 60) == [(0, 3, 7.0)]
    closing = runner.feed([metric(1, 15, 4)])
    assert not any(closing.sets.get(table.name) for table in t.ROLLUPS.values()), "it is written as it is already"
    assert runner.feed([metric(1, 9, 5)]).counts.late == 1


def judged(runner: Runner) -> list[int]:
    return [slot.spike.seen if slot.spike else 0 for slot in runner.partition.state.slots.values()]


def test_a_source_that_was_just_read_is_not_idle() -> None:
    runner = Runner()
    runner.feed([metric(1, 1, 1)], now_us=START_US + 60 * SECOND)
    assert not runner.feed([], Mark.IDLE, START_US + 64 * SECOND).sets
    assert runner.feed([], Mark.IDLE, START_US + 65 * SECOND).sets


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("more", [False, True])
def test_an_open_pane_is_foreseen_and_judged_when_it_closes(restart: bool, more: bool) -> None:
    """A spike is told of while its pane is open, and taken back if what comes later in the pane makes it none."""
    runner = Runner()
    runner.feed([metric(40 + number % 3, number * 10, number) for number in range(40)])
    runner.feed([metric(400, 401, "spike")])
    seen = judged(runner)
    out = runner.idle(START_US + 430 * SECOND)
    assert [found.change for found in out.found] == ["early"]
    assert len(runner.database.table(t.DETECTED_PATTERNS)) == 1
    assert not runner.idle(START_US + 431 * SECOND).found, "once"
    if restart:
        runner.restart()
    if more:
        runner.feed([metric(41, 402 + number / 100, f"calm{number}") for number in range(400)])
    out = runner.feed([metric(41, 440, "next")])
    assert judged(runner) == [seen[0] + 2], "what was foreseen taught nothing"
    assert [found.change for found in out.found] == ([] if more else ["confirmed"])
    assert len(runner.database.table(t.DETECTED_PATTERNS)) == (0 if more else 1)
    assert runner.counts.patterns == (0 if more else 1)


def test_the_end_of_a_file_closes_all() -> None:
    runner = Runner()
    out = runner.feed([metric(1, 1, 1), metric(2, 11, 2)], Mark.END)
    assert rollups(runner) == [(0, 1, 1.0), (10, 1, 2.0)]
    assert rollups(runner, 300) == [(0, 2, 3.0)]
    assert out.gauges.open_panes == 0
    assert runner.feed([metric(3, 12, 3)]).counts.late == 1, "its pane ended with the file"
    runner.feed([metric(4, 21, 4)], Mark.END)
    assert rollups(runner) == [(0, 1, 1.0), (10, 1, 2.0), (20, 1, 4.0)]
    assert rollups(runner, 60) == [(0, 3, 7.0)], "a file that has grown goes on with its minute"


@MODERATE
@given(sequences(), st.integers(0, 70))
def test_a_stop_at_the_end_is_no_end(values: list[bytes | None], at: int) -> None:
    config = PartitionConfig(judge=JudgeConfig(enabled=False))
    whole, stopped = run(values, config=config, last=Mark.STOP_AT_END), Runner(config)
    stopped.feed(values[:at], Mark.STOP_AT_END)
    stopped.restart()
    stopped.feed(values[at:], Mark.STOP_AT_END)
    assert whole.database.tables() == stopped.database.tables()
    whole.feed([], Mark.END)
    stopped.feed([], Mark.END)
    assert_same(whole, stopped)


def test_a_stop_shows_what_is_open() -> None:
    runner = Runner()
    out = runner.feed([metric(1, 1, 1)], Mark.STOP_AT_END)
    assert rollups(runner) == rollups(runner, 60) == rollups(runner, 300) == [(0, 1, 1.0)]
    assert out.gauges.open_panes == 1


def test_too_many_series_are_refused_and_their_rows_kept() -> None:
    runner = Runner(PartitionConfig(most_series=2))
    systems = ["a", "b", "c", "a", "c", "d"]
    out = runner.feed([metric(1, 1, n, system=one) for n, one in enumerate(systems)], Mark.END)
    assert (out.counts.applied, out.gauges.series, out.gauges.series_refused) == (6, 2, 3)
    assert len(runner.database.table(t.SYSTEM_METRICS)) == 6
    assert sum(n for _, n, _ in rollups(runner)) == 3
    assert {row["entity"] for row in runner.database.table(t.SERIES)} == {"a", "b"}
    runner.restart()
    again = runner.feed([metric(1, 31, 10, system="d"), metric(1, 31, 11, system="b")], Mark.END)
    assert again.gauges.series_refused == 4
    runs = Runner(PartitionConfig(most_series=1))
    assert runs.feed([raw("task.finished")], Mark.END).gauges.series_refused == 1
    assert len(runs.database.table(t.TASK_EXECUTIONS)) == 1


def test_a_fault_of_our_own_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(event: object) -> object:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(module, "encode", broken)
    monkeypatch.setattr(module, "metric_entity", broken)
    origin: dict[int, tuple[bytes | None, Headers]] = {0: (b"k", [("h", b"v")])}
    values: list[bytes | None] = [raw("task.changed"), raw("metric.sampled"), raw("resource.sampled")]
    partition = Partition("t", 3, PartitionConfig())
    out = partition.process(Batch("t", 3, values, [7, 8, 9], NOW_US, origin=lambda i: origin.get(i, (None, []))))
    found = [(letter.reason, letter.offset) for letter in out.dead_letters]
    assert found == [("internal_error", 7), ("internal_error", 8)]
    assert "ZeroDivisionError: oh" in out.dead_letters[0].detail
    assert (out.dead_letters[0].key, out.dead_letters[0].headers) == (b"k", [("h", b"v")])
    assert (out.counts.read, out.counts.applied) == (3, 1)
    rows = [read(t.DEAD_LETTERS.columns, row) for row in out.rows["dead_letters"]]
    (row,) = [row for row in rows if row["record_key"]]
    assert (row["topic"], row["partition"], row["record_offset"], row["reason"]) == ("t", 3, 7, "internal_error")
    assert (row["record_value"], row["headers"]) == (raw("task.changed"), [["h", "v"]])


EXTREMES = [0.0, 5e-324, 1e154, 1.7976931348623157e308, 79.9, 1e15]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EXTREMES), st.sampled_from([0, 1, 10, 700, -3])), min_size=1, max_size=60))
def test_no_value_crashes_a_detector(steps: list[tuple[float, float]]) -> None:
    at, values = 0.0, list[bytes | None]()
    for number, (value, step) in enumerate(steps):
        at += step
        values += [cpu(value, at, number), metric(-value, at, f"m{number}")]
        values.append(raw("integration.occurred", {
            "event_type": "x", "source_system": "s", "event_data": {}, "status": "failure",
            "processing_duration_ms": value,
        }, id=f"i{number}", time=time_at(at)))  # fmt: skip
    counts = run(values).counts
    assert counts.dead == 0
    assert counts.read == len(values)


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z"])
def test_the_oldest_times_there_are(at: str) -> None:
    data = {"host": "web-1", "resource_type": "cpu", "usage_percentage": 99.5}
    values = [raw("resource.sampled", data, id=str(number), time=at) for number in range(3)]
    runner = run(values)
    assert runner.counts.applied == 3
    assert len(runner.database.table(t.DETECTED_PATTERNS)) == 1


def test_a_state_of_other_windows_is_refused() -> None:
    snapshot = Partition("t", 0, PartitionConfig()).snapshot()
    for config in (PartitionConfig(width_us=20 * SECOND), PartitionConfig(lateness_us=1)):
        with pytest.raises(StateError, match="pane width or lateness"):
            Partition.resume(snapshot, config)


def test_without_raw_rows_samples_are_only_aggregated() -> None:
    values = [metric(1, 1, 1), cpu(1, 1, 2), raw("task.finished", id="3"), raw("code.measured", id="4")]
    values.append(metric(1, -60, 5))
    runner = run(values, config=PartitionConfig(raw_rows=False))
    assert set(runner.database.rows) == {"series", "task_executions"}
    assert (runner.counts.applied, runner.counts.late) == (4, 1)
    assert len(runner.database.rollups()) == 5 * 3, "five series"


def test_files_read_together_are_one_input() -> None:
    def lanes(topic: str, config: PartitionConfig) -> tuple[Any, Any]:
        out = Partition(topic, 0, config).process(Batch(topic, 0, [metric(1, 1, 1)], [1], NOW_US, mark=Mark.END))
        row = read(t.ROLLUPS_10S.columns, next(iter(out.sets["rollups_10s"].values())))
        return row["input"], row["partition"]

    both = PartitionConfig(input="file:/a\nfile:/b")
    assert lanes("file:/a", both)[0] == lanes("file:/b", both)[0] != lanes("file:/a", PartitionConfig())[0]
    assert lanes("file:/a", both)[1] != lanes("file:/b", both)[1]
    assert json.loads(metric(1, 1, 1))["id"] == "1"
