"""What the partition step hands to the sinks for one batch: encoded rows, dead letters, patterns, counts."""

import struct
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec

from operators import tables as t
from operators.identity import NAMESPACE
from operators.patterns import Pattern
from operators.pgcopy import EPOCH_US, NULL
from operators.records import Batch, Headers
from operators.sketch import encode as encode_sketch
from operators.windows import Stats

_ROLLUP = struct.Struct(">hiqiqiiiiiqididididididiqiq").pack
_ROLLUP_KEY = slice(2, 42)
_LENGTH = struct.Struct(">i").pack
MAX_DETAIL = 1000


class DeadLetter(NamedTuple):
    """A record that could not be read, as it came."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def id(self) -> UUID:
        """The same for the same place in the input, however often it is read."""
        return uuid5(NAMESPACE, f"dead_letter:{self.topic}:{self.partition}:{self.offset}")

    def row(self, received_us: int) -> bytes:
        """The row of `dead_letters`."""
        headers = [[_storable(name), _storable(value)] for name, value in self.headers]
        values = (
            self.id,
            self.topic,
            self.partition,
            self.offset,
            self.reason,
            _storable(self.detail[:MAX_DETAIL]),
            self.key,
            self.value or b"",
            headers,
            received_us,
        )
        return t.DEAD_LETTERS.encode(values)


def _storable(text: str | bytes | None) -> str | None:
    """Text that the database takes, for showing; the original bytes are kept beside it."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return None if text is None else text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


class Aggregate(NamedTuple):
    """The aggregates of a window that has ended, for the output topic."""

    entity: str
    measure: str
    level: int
    """Window width, seconds."""
    start_us: int
    stats: Stats


class Found(NamedTuple):
    """A pattern that opened, changed or resolved, with its latency times (microseconds since 1970)."""

    pattern: Pattern
    change: str
    """opened, reopened, observed, strengthening or resolved; early: opened, as far as an open pane shows; confirmed:
    opened after that."""
    event_us: int
    ingested_us: int
    decided_us: int


class Counts(msgspec.Struct):
    """Cumulative counts of one partition. read = applied + late + duplicates + all dead letters, always."""

    read: int = 0
    applied: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: dict[str, int] = {}
    patterns: int = 0

    @property
    def dead(self) -> int:
        """All dead letters."""
        return sum(self.dead_letters.values())


class Gauges(NamedTuple):
    """How a partition stands after a batch."""

    watermark_us: int | None
    open_panes: int
    series: int
    series_refused: int


class Output:
    """Everything that one batch of a partition led to. Rows are binary COPY tuples by table name."""

    __slots__ = (
        "aggregates", "batch", "counts", "dead_letters", "event_us", "found", "gauges", "retracted", "rows", "sets",
    )  # fmt: skip

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.rows: dict[str, list[bytes]] = {}
        self.sets: dict[str, dict[bytes, bytes]] = {}
        """Rows where a later one replaces an earlier one of the same key: by table, by key bytes."""
        self.dead_letters: list[DeadLetter] = []
        self.found: list[Found] = []
        self.retracted: list[UUID] = []
        """Patterns told of early that the complete pane did not bear out: their rows go."""
        self.aggregates: list[Aggregate] = []
        self.event_us: list[int] = []
        """Event times of the applied records, for the latency histogram; not of code, whose time is its commit's."""
        self.counts = Counts()
        self.gauges = Gauges(None, 0, 0, 0)

    def add(self, table: t.Table, row: bytes) -> None:
        """One row of a table."""
        rows = self.rows.get(table.name)
        if rows is None:
            rows = self.rows[table.name] = []
        rows.append(row)

    def replace(self, table: t.Table, key: bytes, row: bytes) -> None:
        """One row that replaces any earlier one of the same key."""
        rows = self.sets.get(table.name)
        if rows is None:
            rows = self.sets[table.name] = {}
        rows[key] = row


def rollup_row(series_id: int, start_us: int, lane: tuple[int, int], stats: Stats) -> tuple[bytes, bytes]:
    """Key bytes and row of a table of `tables.ROLLUPS`. A single value needs no sketch: it is its own quantile."""
    head = _ROLLUP(
        14, 8, series_id, 8, start_us - EPOCH_US, 4, lane[0], 4, lane[1], 8, stats.n, 8, stats.sum, 8,
        stats.min, 8, stats.max, 8, stats.sum_squares, 8, stats.earliest[2], 8, stats.latest[2],
        8, stats.earliest[0] - EPOCH_US, 8, stats.latest[0] - EPOCH_US,
    )  # fmt: skip
    if stats.n == 1:
        return head[_ROLLUP_KEY], head + NULL
    raw = encode_sketch(stats.sketch)
    return head[_ROLLUP_KEY], head + _LENGTH(len(raw)) + raw


def counter_rows(topic: str, partition: int, counts: Counts, now_us: int) -> list[tuple[bytes, bytes]]:
    """Key bytes and rows of `stream_counters` for a partition's counts."""
    cells = [
        ("read", "", counts.read),
        ("applied", "", counts.applied),
        ("late", "", counts.late),
        ("duplicate", "", counts.duplicates),
        ("patterns", "", counts.patterns),
        *(("dead_letter", reason, n) for reason, n in sorted(counts.dead_letters.items())),
    ]
    return [
        (
            f"{topic}\0{partition}\0{outcome}\0{reason}".encode(),
            t.STREAM_COUNTERS.encode((topic, partition, outcome, reason, n, now_us)),
        )
        for outcome, reason, n in cells
    ]
