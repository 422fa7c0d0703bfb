"""The partition step: `operators.partition.Partition` as a Bytewax `stateful_batch` logic."""

from collections.abc import Callable, Iterable

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

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
    ) -> None:
        self._config = config
        self._notice = notice
        self._on_snapshot = on_snapshot
        self._adjustments = adjustments
        self._partition: Partition | None = None
        if snapshot is not None:
            self._partition = Partition.resume(snapshot, config, adjustments)
            notice(self._partition)

    def on_batch(self, values: list[Batch]) -> tuple[Iterable[Output], bool]:
        """Process batches in their order; the state is kept for ever."""
        if self._partition is None:
            first = values[0]
            self._partition = Partition(first.topic, first.partition, self._config, None, self._adjustments)
            self._notice(self._partition)
        return [self._partition.process(batch) for batch in values], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The partition's state."""
        if self._partition is None:
            raise RuntimeError("a snapshot was asked for before the first batch")
        self._on_snapshot()
        return self._partition.snapshot()


def partitions(
    step_id: str, up: KeyedStream[Batch], build: Callable[[bytes | None], PartitionLogic]
) -> KeyedStream[Output]:
    """Process batches, keyed by partition. `build` makes a partition's logic, from its snapshot if there is one."""
    return op.stateful_batch(step_id, up, build)
