"""Windows of every width, whatever the base pane, and what the output topic is shown of them."""

import pytest

from operators.partition import PartitionConfig
from operators.records import Mark
from operators.windows import FOLD_AT
from tests.partitions import Runner, run
from tests.samples import metric

SECOND = 1_000_000
TIMES = [0, 3.5, 7, 9.75, 10, 19.5, 29, 31, 59, 60, 61, 119, 240, 299.5, 300, 601]
PANES = [1, 2, 5, 10]


def buckets(level: int) -> dict[int, tuple[int, float]]:
    found: dict[int, tuple[int, float]] = {}
    for number, at in enumerate(TIMES):
        start = int(at // level * level)
        n, total = found.get(start, (0, 0.0))
        found[start] = (n + 1, total + 2.0**number)
    return found


def rows(pane_s: int, level: int, mark: Mark = Mark.END) -> dict[int, tuple[int, float]]:
    values = [metric(2.0**number, at, number) for number, at in enumerate(TIMES)]
    runner = run(values, config=PartitionConfig(width_us=pane_s * SECOND), last=mark)
    found = [row for row in runner.database.rollups() if row["level"] == level]
    hour = min(row["time"] for row in runner.database.rollups()) // (3600 * SECOND) * 3600 * SECOND
    return {(row["time"] - hour) // SECOND: (row["n"], row["sum"]) for row in found}


@pytest.mark.parametrize("mark", [Mark.END, Mark.STOP_AT_END])
@pytest.mark.parametrize("level", [10, 60, 300])
@pytest.mark.parametrize("pane_s", PANES)
def test_windows_are_merged_from_panes(pane_s: int, level: int, mark: Mark) -> None:
    assert rows(pane_s, level, mark) == buckets(level)


def test_the_output_topic_sees_final_windows_once() -> None:
    runner = Runner(PartitionConfig(aggregates=True))
    for number, at in enumerate(TIMES):
        runner.feed([metric(2.0**number, at, number)])
        if number % 3 == 0 and (time := runner.partition.state.watermark.time):
            runner.idle(time + 40 * SECOND)
    runner.feed([metric(1, 2000, "last")])
    shown = [one for out in runner.database.outputs for one in out.aggregates]
    assert {one.level for one in shown} == {60}
    assert len(shown) == len({one.start_us for one in shown}) == len(buckets(60))
    assert sorted((one.stats.n, one.stats.sum) for one in shown) == sorted(buckets(60).values())
    assert {(one.entity, one.measure) for one in shown} == {("web", "m")}


def test_without_an_output_topic_no_object_is_made() -> None:
    runner = run([metric(1, 1, 1)])
    assert not any(out.aggregates for out in runner.database.outputs)


def test_what_was_handed_out_does_not_change_afterwards() -> None:
    """A window's aggregates are merged on into the wider one."""
    runner = Runner(PartitionConfig(aggregates=True))
    out = runner.feed([metric(1, 1, 1), metric(2, 61, 2), metric(3, 130, 3)])
    before = [(one.level, one.stats.n, one.stats.sum) for one in out.aggregates]
    runner.feed([metric(4, 500, 4), metric(5, 1000, 5)])
    assert [(one.level, one.stats.n, one.stats.sum) for one in out.aggregates] == before


@pytest.mark.parametrize("count", [FOLD_AT - 1, FOLD_AT, FOLD_AT + 1, 2 * FOLD_AT + 5])
def test_a_full_pane_is_folded_and_bounded(count: int) -> None:
    runner = Runner()
    runner.feed([metric(number / 64, number % 10, number) for number in range(count)])
    (gathering,) = next(iter(runner.partition.state.panes.values())).values()
    assert len(gathering.points) < FOLD_AT
    runner.restart()
    runner.feed([metric(-1, 9.5, "more")], Mark.END)
    (row,) = (row for row in runner.database.rollups() if row["level"] == 10)
    assert (row["n"], row["min"], row["max"]) == (count + 1, -1, (count - 1) / 64)
    assert row["sum"] == sum(number / 64 for number in range(count)) - 1
