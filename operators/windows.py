"""Event-time windows: panes, watermark, lateness, and the aggregates of a window.

Bytewax's own windows are not used: once a key's windows have closed they re-open for a late event and emit it a second
time (design.md 2). Here a window is an integer, `event time // width`, so that nothing can re-open by accident.
"""

from math import copysign, fsum, inf
from operator import mul
from typing import Self

import msgspec

from operators.sketch import Sketch

MAX_FINITE = 1.7976931348623157e308

Point = tuple[int, int, float]
"""One value in a window: event time in microseconds, event key (it orders equal times), value."""

FOLD_AT = 512
"""A pane keeps single values up to this many, then folds them: memory is bounded by series, not by rate."""


class Stats(
    msgspec.Struct,
    rename={
        "sum": "s", "sum_squares": "q", "min": "l", "max": "h", "earliest": "f", "latest": "t", "sketch": "k",
    },
):  # fmt: skip
    """The aggregates of one series in one window. Exact but for the sketch; sums are correctly rounded per pane."""

    n: int
    sum: float
    sum_squares: float
    min: float
    max: float
    earliest: Point
    latest: Point
    sketch: Sketch

    @classmethod
    def of(cls, points: list[Point]) -> Self:
        """The aggregates of at least one point, in any order (they are sorted in place).

        >>> stats = Stats.of([(20, 1, 4.0), (10, 2, 2.0)])
        >>> stats.n, stats.sum, stats.first, stats.last
        (2, 6.0, 2.0, 4.0)
        """
        if len(points) == 1:
            point = points[0]
            value = point[2]
            return cls(1, value, min(value * value, MAX_FINITE), value, value, point, point, Sketch([value]))
        points.sort()
        values = [point[2] for point in points]
        try:
            total = fsum(values)
        except OverflowError:
            total = _careful_sum(values)
        try:
            squares = min(fsum(map(mul, values, values)), MAX_FINITE)
        except OverflowError:
            squares = MAX_FINITE
        values.sort()
        return cls(len(values), total, squares, values[0], values[-1], points[0], points[-1], Sketch.of(values))

    def merge(self, other: "Stats") -> None:
        """Take in the aggregates of another part of the same window."""
        self.n += other.n
        total = self.sum + other.sum
        self.sum = total if -inf < total < inf else copysign(MAX_FINITE, total)
        self.sum_squares = min(self.sum_squares + other.sum_squares, MAX_FINITE)
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)
        self.earliest = min(self.earliest, other.earliest)
        self.latest = max(self.latest, other.latest)
        self.sketch.merge(other.sketch)

    @property
    def first(self) -> float:
        """The value with the least event time."""
        return self.earliest[2]

    @property
    def last(self) -> float:
        """The value with the greatest event time."""
        return self.latest[2]

    def copy(self) -> "Stats":
        """An independent copy."""
        return msgspec.structs.replace(self, sketch=self.sketch.copy())

    @property
    def mean(self) -> float:
        """sum / n."""
        return self.sum / self.n


def _careful_sum(values: list[float]) -> float:
    """A sum whose parts are too large for a double, held to the largest one."""
    total = fsum([value / 2**64 for value in values])
    return total * 2**64 if abs(total) < MAX_FINITE / 2**64 else copysign(MAX_FINITE, total)


class Gathering(msgspec.Struct):
    """One series in one open pane: its points, folded into `stats` when there are many."""

    points: list[Point]
    stats: Stats | None = None

    def fold(self) -> None:
        """Turn the points at hand into aggregates, so that they take no more memory."""
        if self.points:
            part = Stats.of(self.points)
            if self.stats is None:
                self.stats = part
            else:
                self.stats.merge(part)
            self.points = []

    def result(self) -> Stats:
        """The aggregates so far, as a copy of its own."""
        if self.stats is None:
            return Stats.of(self.points)
        total = self.stats.copy()
        if self.points:
            total.merge(Stats.of(self.points))
        return total


class Watermark(msgspec.Struct):
    """How far a partition's event time has come, and which panes that closes.

    A pane is `time // width`. It is closed when `pane end + lateness <= greatest event time so far`.

    >>> mark = Watermark(width=10, lateness=5)
    >>> mark.advance(13), mark.advance(14), mark.advance(15), mark.closed
    (True, False, True, 0)
    >>> mark.is_late(9), mark.is_late(10)
    (True, False)
    """

    width: int
    """Pane width, microseconds."""
    lateness: int
    """Microseconds that a record may lag behind the greatest event time."""
    time: int | None = None
    """The greatest event time so far, microseconds; None before the first record."""
    closed: int = -(1 << 62)
    """All panes up to and including this one are closed."""
    next_close: int = -(1 << 62)
    """The event time from which on a further pane is closed."""

    def advance(self, time: int) -> bool:
        """Take notice of a record's event time; tell whether more panes are closed now."""
        if self.time is None or time > self.time:
            self.time = time
            if time >= self.next_close:
                closed = (time - self.lateness) // self.width - 1
                self.next_close = (closed + 2) * self.width + self.lateness
                if closed > self.closed:
                    self.closed = closed
                    return True
        return False

    def is_late(self, time: int) -> bool:
        """Whether the pane of this event time has closed."""
        return time // self.width <= self.closed

    def close_through(self, pane: int) -> None:
        """Close all panes up to this one whatever the time (the end of a file)."""
        self.closed = max(self.closed, pane)
