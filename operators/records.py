"""What a source hands to the partition step: undecoded records, a batch at a time."""

from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

Headers = list[tuple[str, bytes | None]]
"""Kafka headers as they came: name and bytes (or null), repeated names allowed."""


class Mark(Enum):
    """Why a batch was emitted, beyond its records."""

    DATA = "data"
    """Records only."""
    IDLE = "idle"
    """The source stands at the end of the partition: nothing more to read at this moment."""
    END = "end"
    """The end of a file: nothing will ever follow, so all panes close."""
    STOP_AT_END = "stop_at_end"
    """A bounded Kafka read reached its stopping point: panes are shown but stay open for the next run."""


class Batch(msgspec.Struct):
    """Consecutive records of one partition, in their order.

    `values[i]` is the record at `offsets[i]` (a line number, counted from 1, for a file); `None` is a Kafka
    tombstone. `headers` holds an entry only for records that have any. `origin(i)` gives the key and the headers
    of a record; it is called for dead letters only, so a source need not keep them ready.
    """

    topic: str
    partition: int
    values: list[bytes | None]
    offsets: Sequence[int]
    ingested_us: int
    """Wall clock at the read, microseconds since 1970."""
    headers: dict[int, Headers] = msgspec.field(default_factory=dict)
    origin: Callable[[int], tuple[bytes | None, Headers]] | None = None
    mark: Mark = Mark.DATA


def key_of(topic: str, partition: int) -> str:
    """The key of a partition in the dataflow and in its recovery store: changing its form drops all state.

    >>> key_of("hindsight.events.metric.v1", 3)
    'hindsight.events.metric.v1/3'
    """
    return f"{topic}/{partition}"
