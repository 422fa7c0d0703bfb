"""The Bytewax logic around a partition: it makes, keeps and resumes it."""

import pytest

from operators.detect.rules import Rules, SequenceRule
from operators.partition import Partition, PartitionConfig
from operators.records import Batch
from operators.state import StateError
from operators.steps.partition import PartitionLogic
from tests.samples import NOW_US, metric

CONFIG = PartitionConfig()


def batch(number: int) -> Batch:
    return Batch("t", 3, [metric(1, number, number)], [number], NOW_US)


def logic(snapshot: bytes | None, seen: list[Partition]) -> PartitionLogic:
    return PartitionLogic(CONFIG, snapshot, seen.append)


def test_batches_are_processed_in_order_and_the_state_is_kept() -> None:
    seen: list[Partition] = []
    outputs, gone = logic(None, seen).on_batch([batch(1), batch(2)])
    assert [(out.counts.read, out.batch.offsets) for out in outputs] == [(1, [1]), (2, [2])]
    assert gone is PartitionLogic.RETAIN
    assert [(one.topic, one.partition) for one in seen] == [("t", 3)]


def test_it_resumes_from_its_snapshot() -> None:
    first = logic(None, [])
    first.on_batch([batch(1)])
    seen: list[Partition] = []
    again = logic(first.snapshot(), seen)
    assert seen[0].state.counts.read == 1, "it is told of before the first batch"
    outputs, _ = again.on_batch([batch(2)])
    assert [out.counts.read for out in outputs] == [2]
    assert len(seen) == 1
    assert again.snapshot() != first.snapshot()


def test_snapshots_are_told_of() -> None:
    calls: list[int] = []
    made = PartitionLogic(CONFIG, None, lambda _: None, lambda: calls.append(1))
    with pytest.raises(RuntimeError, match="before the first batch"):
        made.snapshot()
    made.on_batch([batch(1)])
    made.snapshot()
    assert calls == [1]


def test_new_rules_count_from_a_snapshot_on() -> None:
    """What is read again after a crash is then judged by the rules that it was judged by."""
    sets = [Rules([SequenceRule(name, ("pipeline:a:failure",), 1)]) for name in ("old", "new")]
    now = [sets[0]]
    made = PartitionLogic(CONFIG, None, lambda _: None, rules=lambda: now[0])
    made.on_batch([batch(1)])
    assert made._partition is not None
    watch = made._partition.judge.watch
    now[0] = sets[1]
    made.on_batch([batch(2)])
    assert watch.rules is sets[0]
    snapshot = made.snapshot()
    assert watch.rules is sets[1]
    again = PartitionLogic(CONFIG, snapshot, lambda _: None, rules=lambda: now[0])
    assert again._partition is not None and again._partition.judge.watch.rules is sets[1]


def test_a_snapshot_of_another_version_stops_it() -> None:
    with pytest.raises(StateError, match="version 99"):
        logic(b"\x63rest", [])
