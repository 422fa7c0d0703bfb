"""ADWIN: a window over a stream that grows while the mean holds and drops its old end when the mean has changed.

Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007, in the form of MOA and River
(buckets of 1, 2, 4 … values; the bound with the window's variance). It is River's algorithm again, value for value,
because River keeps the state of its own in native memory whose only form outside is an opaque run of bytes; here it is
lists of floats in a msgpack map. The tests hold it to `river.drift.ADWIN`: the same detections at the same places.

It assumes independent values: on autocorrelated ones it tells changes that are none (whiten first), and one value far
out widens its bound for as long as that value is in the window (clip first).
"""

import math

import msgspec

BUCKETS = 5
"""Buckets of one size before the two oldest merge (River's `max_buckets`)."""

LEAST_PART = 5
"""Values that either side of a cut must have (River's `min_window_length`)."""

GRACE = 10
"""Values before the first look (River's `grace_period`)."""


class Adwin(
    msgspec.Struct, gc=False, rename={"width": "n", "total": "s", "variance": "v", "totals": "b", "spreads": "w"}
):
    """The window: `width` values of sum `total` and squared deviations `variance` (a sum).

    `totals[i]` and `spreads[i]` are sums and squared deviations of the buckets of 2^i values, oldest first: at most
    6 a size, so about 19 bytes for each, and 1.4 KB for 10,000 values.
    """

    width: int = 0
    total: float = 0.0
    variance: float = 0.0
    totals: list[list[float]] = msgspec.field(default_factory=lambda: [[]])
    spreads: list[list[float]] = msgspec.field(default_factory=lambda: [[]])

    @property
    def mean(self) -> float:
        """The mean of the window, 0 when it is empty."""
        return self.total / self.width if self.width else 0.0


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
    >>> window.mean, [len(row) for row in window.totals]
    (3.5, [4, 2])
    """
    width = window.width = window.width + 1
    totals, spreads = window.totals, window.spreads
    totals[0].append(value)
    spreads[0].append(0.0)
    if width > 1:
        off = value - window.total / (width - 1)
        window.variance += (width - 1) * off * off / width
    window.total += value
    size, level = 1.0, 0
    while len(totals[level]) > BUCKETS:
        row, spread = totals[level], spreads[level]
        if level + 1 == len(totals):
            totals.append([])
            spreads.append([])
        apart = row[0] / size - row[1] / size
        totals[level + 1].append(row[0] + row[1])
        spreads[level + 1].append(spread[0] + spread[1] + size * size * apart * apart / (size + size))
        del row[:2], spread[:2]
        level += 1
        size += size


def drop(window: Adwin) -> int:
    """Take the oldest bucket out and return how many values that were; 0 when nothing would be left."""
    level = len(window.totals) - 1
    size = 1 << level
    if not window.totals[level] or window.width <= size:
        return 0
    total, spread = window.totals[level].pop(0), window.spreads[level].pop(0)
    window.width -= size
    window.total -= total
    off = total / size - window.total / window.width
    window.variance = max(0.0, window.variance - spread - size * window.width * off * off / (size + window.width))
    while level and not window.totals[level]:
        window.totals.pop()
        window.spreads.pop()
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
    total = window.total
    for level in range(len(window.totals) - 1, -1, -1):
        size = float(1 << level)
        for bucket in window.totals[level]:
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
