"""ADWIN: a window over a stream that grows while the mean holds and drops its old end when the mean has changed.

Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007, in the form of MOA and River
(buckets of 1, 2, 4 … values; the bound with the window's variance). It is River's algorithm again, value for value,
because River keeps the state of its own in native memory whose only form outside is an opaque run of bytes; here it is
two arrays in a msgpack map. The tests hold it to `river.drift.ADWIN`: the same detections at the same places.

It assumes independent values: on autocorrelated ones it tells changes that are none (whiten first), and one value far
out widens its bound for as long as that value is in the window (clip first).
"""

import math

import msgspec

from operators.floats import Floats, floats

BUCKETS = 5
"""Buckets of one size before the two oldest merge (River's `max_buckets`)."""

LEAST_PART = 5
"""Values that either side of a cut must have (River's `min_window_length`)."""

GRACE = 10
"""Values before the first look (River's `grace_period`)."""


class Adwin(
    msgspec.Struct, gc=False, rename={
        "width": "n", "total": "s", "variance": "v", "totals": "b", "spreads": "w", "counts": "c",
    },
):  # fmt: skip
    """The window: `width` values of sum `total` and squared deviations `variance` (a sum).

    `totals` and `spreads` are sums and squared deviations of the buckets, oldest first, which is largest first;
    `counts[i]` of them are of 2^i values: at most 6 a size of 16 bytes each, so 1 KB for 10,000 values.
    """

    width: int = 0
    total: float = 0.0
    variance: float = 0.0
    totals: Floats = msgspec.field(default_factory=floats)
    spreads: Floats = msgspec.field(default_factory=floats)
    counts: list[int] = msgspec.field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        """Read the rows of an earlier version, smallest buckets first, each ended by NaN (`operators.floats`)."""
        if self.totals and not any(self.counts):
            rows, spreads = _rows(self.totals), _rows(self.spreads)
            self.counts = [len(row) for row in rows]
            self.totals = floats([total for row in reversed(rows) for total in row])
            self.spreads = floats([spread for row in reversed(spreads) for spread in row])

    @property
    def mean(self) -> float:
        """The mean of the window, 0 when it is empty."""
        return self.total / self.width if self.width else 0.0


def _rows(ended: Floats) -> list[list[float]]:
    rows: list[list[float]] = [[]]
    for value in ended:
        if value == value:
            rows[-1].append(value)
        else:
            rows.append([])
    return rows[:-1]


class Cut(msgspec.Struct, frozen=True, gc=False):
    """The place in the window where the means on either side differ most, as a share of what is allowed.

    `ratio` above 1 is a change by ADWIN's bound. `before` values of mean `old`, then `after` values of mean `new`.
    """

    ratio: float
    before: int
    old: float
    after: int
    new: float


def add(window: Adwin, value: float) -> None:
    """Put one finite value in.

    >>> window = Adwin()
    >>> for value in range(8):
    ...     add(window, float(value))
    >>> window.mean, window.counts
    (3.5, [4, 2])
    """
    width = window.width = window.width + 1
    window.totals.append(value)
    window.spreads.append(0.0)
    if width > 1:
        off = value - window.total / (width - 1)
        window.variance += (width - 1) * off * off / width
    window.total += value
    counts = window.counts
    counts[0] += 1
    if counts[0] > BUCKETS:
        _merge(window.totals, window.spreads, counts)


def _merge(totals: Floats, spreads: Floats, counts: list[int]) -> None:
    """Where there are too many of a size the two oldest become one of the next size, in their place."""
    size, level, end = 1.0, 0, len(totals)
    while counts[level] > BUCKETS:
        place = end - counts[level]
        end = place + 1
        if level + 1 == len(counts):
            counts.append(0)
        older, newer = totals[place], totals[end]
        apart = older / size - newer / size
        totals[end] = older + newer
        spreads[end] = spreads[place] + spreads[end] + size * size * apart * apart / (size + size)
        del totals[place], spreads[place]
        counts[level] -= 2
        level += 1
        counts[level] += 1
        size += size


def drop(window: Adwin) -> int:
    """Take the oldest bucket out and return how many values that were; 0 when nothing would be left."""
    counts = window.counts
    level = len(counts) - 1
    size = 1 << level
    if not counts[level] or window.width <= size:
        return 0
    total, spread = window.totals.pop(0), window.spreads.pop(0)
    counts[level] -= 1
    window.width -= size
    window.total -= total
    off = total / size - window.total / window.width
    window.variance = max(0.0, window.variance - spread - size * window.width * off * off / (size + window.width))
    while level and not counts[level]:
        counts.pop()
        level -= 1
    return size


def look(window: Adwin, delta: float, first: bool = False) -> Cut | None:
    """The strongest cut of the window at confidence `delta`; with `first` the oldest one that is a change, if any.

    None when the window is too short to be cut. Cost: about 0.4 µs a bucket, of which there are 5 log2(width / 5).

    >>> window = Adwin()
    >>> for value in [0.0, 1.0] * 40 + [5.0, 6.0] * 10:
    ...     add(window, value)
    >>> cut = look(window, 0.002)
    >>> cut.ratio > 1.0, cut.before, cut.new
    (True, 80, 5.5)
    """
    width = window.width
    if width <= GRACE:
        return None
    log = math.log(2.0 * math.log(width) / delta)
    spread = 2.0 * window.variance / width * log
    reach = 2.0 / 3.0 * log
    n0, u0 = 0.0, 0.0
    best, place, below = 0.0, 0.0, 0.0
    sqrt = math.sqrt
    total, counts, start = window.total, window.counts, 0
    for level in range(len(counts) - 1, -1, -1):
        size = float(1 << level)
        row = window.totals[start : start + counts[level]]
        start += counts[level]
        for bucket in row:
            n0 += size
            u0 += bucket
            n1 = width - n0
            if n1 < LEAST_PART:
                break
            if n0 < LEAST_PART:
                continue
            share = 1.0 / (n0 - LEAST_PART + 1.0) + 1.0 / (n1 - LEAST_PART + 1.0)
            off = u0 / n0 - (total - u0) / n1
            ratio = (off if off >= 0.0 else -off) / (sqrt(spread * share) + reach * share)
            if ratio > best:
                best, place, below = ratio, n0, u0
                if first and ratio > 1.0:
                    break
        else:
            continue
        break
    if not place:
        return None
    after = width - place
    return Cut(best, int(place), below / place, int(after), (total - below) / after)


def shrink(window: Adwin, delta: float) -> bool:
    """Drop the old end until no cut is a change any more. True when there was one: River's `drift_detected`."""
    changed = False
    while (cut := look(window, delta, first=True)) is not None and cut.ratio > 1.0:
        changed = True
        if not drop(window):
            break
    return changed
