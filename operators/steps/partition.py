"""The partition step: `operators.partition.Partition` as a Bytewax `stateful_batch` logic."""

from collections.abc import Callable, Iterable

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from operators.detect.rules import Rules
from operators.feedback import Adjustments
from operators.output import Output
from operators.partition import Partition, PartitionConfig
from operators.records import Batch

Notice = Callable[[Partition], None]
"""Told of each partition as it starts or resumes."""


class PartitionLogic(StatefulBatchLogic[Batch, Output, bytes]):
    """One partition's logic. It has its partition from the snapshot, or else from its first batch."""

    def __init__(
        self,
        config: PartitionConfig,
        snapshot: bytes | None,
        notice: Notice,
        on_snapshot: Callable[[], None] = lambda: None,
        adjustments: Adjustments | None = None,
        rules: Callable[[], Rules] | None = None,
    ) -> None:
        """`rules` gives those to look for; it is asked at each snapshot, so that what is read again after a crash is
        judged by the rules that it was judged by."""
        self._config = config
        self._notice = notice
        self._on_snapshot = on_snapshot
        self._adjustments = adjustments
        self._rules = rules
        self._looked_for: Rules | None = None
        self._partition: Partition | None = None
        if snapshot is not None:
            self._begin(Partition.resume(snapshot, config, adjustments))

    def on_batch(self, values: list[Batch]) -> tuple[Iterable[Output], bool]:
        """Process batches in their order; the state is kept for ever."""
        if self._partition is None:
            first = values[0]
            self._begin(Partition(first.topic, first.partition, self._config, None, self._adjustments))
        assert self._partition is not None
        return [self._partition.process(batch) for batch in values], StatefulBatchLogic.RETAIN

    def _begin(self, partition: Partition) -> None:
        self._partition = partition
        self._follow(partition)
        self._notice(partition)

    def _follow(self, partition: Partition) -> None:
        rules = None if self._rules is None else self._rules()
        if rules is not None and rules is not self._looked_for:
            self._looked_for = rules
            partition.judge.follow(rules)

    def snapshot(self) -> bytes:
        """The partition's state."""
        if self._partition is None:
            raise RuntimeError("a snapshot was asked for before the first batch")
        self._on_snapshot()
        taken = self._partition.snapshot()
        self._follow(self._partition)
        return taken


def partitions(
    step_id: str, up: KeyedStream[Batch], build: Callable[[bytes | None], PartitionLogic]
) -> KeyedStream[Output]:
    """Process batches, keyed by partition. `build` makes a partition's logic, from its snapshot if there is one."""
    return op.stateful_batch(step_id, up, build)
