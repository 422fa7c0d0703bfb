"""What a running flow says about itself: the flow fills a :class:`LiveStats`, a view reads its snapshots.

Nothing here knows Bytewax, a terminal or a database, so either side is tested without the other.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

KEPT_PATTERNS = 200
"""Patterns that stay listed, the oldest leave."""

KEPT_LATENCIES = 4096
"""Latency samples from which the quantiles are taken, newest first."""

KEPT_WARNINGS = 50


@dataclass(frozen=True)
class PartitionStats:
    """Counts of one input partition since its first record; `watermark_us` is microseconds since 1970."""

    read: int = 0
    applied: int = 0
    late: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    watermark_us: int | None = None
    series: int = 0
    open_panes: int = 0


@dataclass(frozen=True)
class PatternLine:
    """A found pattern as it is shown; `latency_s` is seconds from event to finding, `None` for one of the past."""

    pattern_id: str
    name: str
    severity: str
    confidence: float
    entity: str
    measure: str
    explanation: str
    opened: datetime
    is_active: bool
    latency_s: float | None

    @property
    def title(self) -> str:
        """The name, and the series where the name does not say it."""
        return self.name if self.entity in self.name else f"{self.name} in {self.entity} {self.measure}"


@dataclass(frozen=True)
class Quantiles:
    """Median and 99th percentile in seconds over the last samples, `n` of them ever."""

    p50: float
    p99: float
    n: int


@dataclass(frozen=True)
class Snapshot:
    """The state at one moment. `at` is monotonic seconds, `clock` the wall clock; all counts are
    cumulative."""

    at: float
    clock: datetime
    uptime_s: float
    partitions: Mapping[str, PartitionStats] = field(default_factory=dict)
    rows: int = 0
    row_latency: Quantiles | None = None
    pattern_latency: Quantiles | None = None
    queue_depth: int = 0
    queue_capacity: int = 0
    patterns: tuple[PatternLine, ...] = ()
    """Newest first, by the event time at which they opened."""
    patterns_found: int = 0
    warnings: tuple[str, ...] = ()
    """Newest first."""
    note: str = ""
    """What the command itself wants to say, such as the demo's load."""
    page: str = ""
    """Address of the page, where there is one."""

    def total(self, name: str) -> int:
        """A count summed over the partitions, such as `read`."""
        return sum(getattr(partition, name) for partition in self.partitions.values())

    def watermark_age_s(self, partition: str) -> float | None:
        """Seconds by which the partition's event time lags the clock; `None` before its first record."""
        watermark = self.partitions[partition].watermark_us
        return None if watermark is None else self.clock.timestamp() - watermark / 1e6


class LiveStats:
    """What the flow reports to, from any thread; each method costs a lock and a few stores, once a batch.

    >>> live = LiveStats()
    >>> live.record_batch("host/0", read=10, applied=9, late=0, dead_letters=1, duplicates=0,
    ...                   watermark_us=None, series=4, open_panes=2)
    >>> live.record_written(rows=9, event_us_to_written=[0.5, 0.7])
    >>> snapshot = live.snapshot()
    >>> snapshot.total("read"), snapshot.rows, snapshot.row_latency.p99
    (10, 9, 0.7)
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._started = monotonic()
        self._lock = threading.Lock()
        self._partitions: dict[str, PartitionStats] = {}
        self._rows = 0
        self._row_latency = _Samples()
        self._pattern_latency = _Samples()
        self._queue = (0, 0)
        self._patterns: OrderedDict[str, PatternLine] = OrderedDict()
        self._patterns_found = 0
        self._warnings: deque[str] = deque(maxlen=KEPT_WARNINGS)
        self._note = ""
        self._page = ""

    def record_batch(
        self,
        partition_key: str,
        read: int,
        applied: int,
        late: int,
        dead_letters: int,
        duplicates: int,
        watermark_us: int | None,
        series: int,
        open_panes: int,
    ) -> None:
        """Replace the partition's counts; they are cumulative, and `series` and `open_panes` the present
        numbers."""
        stats = PartitionStats(read, applied, late, dead_letters, duplicates, watermark_us, series, open_panes)
        with self._lock:
            self._partitions[partition_key] = stats

    def record_written(self, rows: int, event_us_to_written: Sequence[float] = ()) -> None:
        """Add rows that are committed, and for some of them the seconds from event to commit."""
        with self._lock:
            self._rows += rows
            self._row_latency.add(event_us_to_written)

    def record_pattern(self, pattern: Any) -> None:
        """Show a pattern, or its new state if it is shown already.

        `pattern` has the attributes pattern_id, pattern_name, severity, confidence, entity, measure,
        explanation, opened_us (microseconds since 1970), is_active, and latency_s (seconds, or `None`: not a
        live event).
        """
        line = PatternLine(
            pattern_id=str(pattern.pattern_id),
            name=clean(pattern.pattern_name),
            severity=clean(pattern.severity),
            confidence=float(pattern.confidence),
            entity=clean(pattern.entity),
            measure=clean(pattern.measure),
            explanation=clean(pattern.explanation),
            opened=datetime.fromtimestamp(pattern.opened_us / 1e6, UTC),
            is_active=bool(pattern.is_active),
            latency_s=None if pattern.latency_s is None else float(pattern.latency_s),
        )
        with self._lock:
            known = self._patterns.get(line.pattern_id)
            if known is not None and line.latency_s is None:
                line = replace(line, latency_s=known.latency_s)
            if known is None:
                self._patterns_found += 1
                if line.latency_s is not None:
                    self._pattern_latency.add([line.latency_s])
                if len(self._patterns) >= KEPT_PATTERNS:
                    self._patterns.popitem(last=False)
            self._patterns[line.pattern_id] = line

    def record_queue(self, depth: int, capacity: int) -> None:
        """Set how many batches wait for the database, and how many may."""
        self._queue = (depth, capacity)

    def warn(self, text: str) -> None:
        """Show a warning; the same text as the last one is not repeated."""
        line = clean(text)
        with self._lock:
            if not self._warnings or not self._warnings[-1].endswith(f" {line}"):
                self._warnings.append(f"{datetime.now().astimezone():%H:%M:%S} {line}")

    def note(self, text: str) -> None:
        """Set the line that the command itself shows; empty = none."""
        self._note = clean(text)

    def serve(self, page: str) -> None:
        """Set the address of the page."""
        self._page = clean(page)

    def snapshot(self) -> Snapshot:
        """A consistent copy of everything."""
        at = self._monotonic()
        with self._lock:
            return Snapshot(
                at=at,
                clock=datetime.fromtimestamp(self._clock(), UTC),
                uptime_s=at - self._started,
                partitions=dict(self._partitions),
                rows=self._rows,
                row_latency=self._row_latency.quantiles(),
                pattern_latency=self._pattern_latency.quantiles(),
                queue_depth=self._queue[0],
                queue_capacity=self._queue[1],
                patterns=tuple(
                    sorted(self._patterns.values(), key=lambda line: (line.opened, line.pattern_id), reverse=True)
                ),
                patterns_found=self._patterns_found,
                warnings=tuple(reversed(self._warnings)),
                note=self._note,
                page=self._page,
            )


def clean(text: object) -> str:
    """The text in one line, without what would move a terminal's cursor: events are written by others.

    >>> clean("a\\tb\\x1b[2Jc")
    'a b?[2Jc'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(text).split()))


class _Samples:
    """The last latencies, in seconds."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._n = 0

    def add(self, seconds: Sequence[float]) -> None:
        self._n += len(seconds)
        self._last.extend(seconds[-KEPT_LATENCIES:])

    def quantiles(self) -> Quantiles | None:
        """Nearest-rank quantiles of the samples kept."""
        if not self._last:
            return None
        ordered = sorted(self._last)
        p50, p99 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99))
        return Quantiles(p50, p99, self._n)
