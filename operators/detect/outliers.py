"""What a series' outliers were like so far, and how much a new one has to exceed to be news.

Two things that a detector of outliers takes for faults again and again are usual ways of a healthy series:

- **A heavy tail is a continuum.** Where a score of 10 is an accident of the tail there were many of 5: of a power law
of exponent a there are (s / 5)^-a as many beyond s. Recurrent spikes have next to nothing below them. So scores are
counted in bands, and a score speaks only when the bands below it are about as empty as those of a calm series are
(`FREE`, `RATE`), or far emptier than those like it (`SHARE`).
- **The same time of day.** What came at this hour on two of the last seven days is usual, unless it is much greater:
the job at night, the jump at nine.

It does not work well for spikes of all sizes, which are a continuum too, nor for what comes at fixed hours many times a
day (more than `PAST` outliers in two days), nor in a series' first two days.
"""

import math

import msgspec

BASE = 3.0
"""Deviations from which on a value is an outlier that counts."""

RATIO = 1.25
"""Scores are counted in bands, each this much higher than the last one; the first begins at `BASE`."""

BANDS = 16
"""From 3 to 85 deviations; the last one is open."""

MEMORY = 2000.0
"""Values after which a counted score weighs 1/e: a week at 5 minutes."""

NEAR, LIKE = 4, 2
"""A score's continuum begins this many bands below its own (at 1/2.4 of it), and ends where those like it begin
(1/1.6)."""

FREE, RATE = 1.0, 0.0015
"""Scores in the continuum that are no reason to raise the threshold: so many, and this share of the values
remembered."""

SHARE = 0.5
"""What scores like it add to that, each. Of a power law with exponent a < 1 a continuum may have less than that."""

PAST = 24
"""Outliers that are remembered by their time."""

SAME_TIME_S = 600.0
"""Two outliers no further apart than this, or 1.5 usual intervals, are at the same time of day."""

DAYS, LEAST_DAYS = 7, 2
"""An outlier is usual when one of its side came at the same time on this many (the second) of so many last days."""

ROOM = 1.7
"""And when it does not exceed the lesser of the two greatest of those by this factor."""

DAY_S = 86_400
SIZE_LIMIT = 1e6


class Outliers(
    msgspec.Struct, gc=False, rename={"bands": "b", "seen": "n", "times_s": "t", "sizes": "s"}, omit_defaults=True
):
    """At most 500 bytes as msgpack; 1 byte where there was no outlier.

    `bands` counts scores by size, as of the `seen`-th value of the series. `times_s` (s since 1970) and `sizes`
    (scores, signed by side, whole) are of the last `PAST`, oldest first.
    """

    bands: list[float] = msgspec.field(default_factory=list)
    seen: int = 0
    times_s: list[int] = msgspec.field(default_factory=list)
    sizes: list[int] = msgspec.field(default_factory=list)


def learn(known: Outliers, seen: int, time_us: int, score: float) -> None:
    """Count a value's signed `score` (deviations), as the `seen`-th of its series; below `BASE` it is no outlier."""
    if abs(score) < BASE:
        return
    kept = math.exp((known.seen - seen) / MEMORY)
    known.bands = [round(count * kept, 4) for count in known.bands] or [0.0] * BANDS
    known.bands[_band(abs(score))] += 1.0
    known.seen = seen
    known.times_s.append(time_us // 1_000_000)
    known.sizes.append(round(max(-SIZE_LIMIT, min(score, SIZE_LIMIT))))
    if len(known.sizes) > PAST:
        del known.times_s[0], known.sizes[0]


def threshold(known: Outliers, seen: int, time_us: int, score: float, least: float, cadence_us: float) -> float:
    """What a signed `score` has to reach: `least` (deviations, as all of them) in a series without a past.

    >>> known = Outliers()
    >>> for place, size in enumerate([3.1, 3.3, 4.2, 3.6, 5.1, 3.2, 4.4, 7.0]):
    ...     learn(known, 300 + 10 * place, 0, size)
    >>> round(threshold(known, 400, 0, 8.0, 5.0, 1e7), 2), threshold(known, 400, 0, 60.0, 5.0, 1e7) < 30.0
    (9.16, True)
    """
    size = abs(score)
    if not known.bands or size < least:
        return least
    tail = _beyond_tail(known, seen, size, least)
    return tail if size < tail else max(tail, _beyond_days(known, time_us, score, cadence_us))


def _band(size: float) -> int:
    return min(int(math.log(max(size / BASE, 1.0)) / math.log(RATIO)), BANDS - 1)


def _beyond_tail(known: Outliers, seen: int, size: float, least: float) -> float:
    """Where the bands begin that have no continuum below them, on the way down from `size`."""
    bands = known.bands
    kept = math.exp((known.seen - seen) / MEMORY)
    free = FREE + RATE * MEMORY * (1.0 - math.exp(-seen / MEMORY))
    for band in range(_band(size), _band(least) - 1, -1):
        low, like = max(0, band - NEAR), max(0, band - LIKE + 1)
        # What of the continuum lies below the first band is not seen: a power law has most of it there.
        seen_share = ((like - low) / (NEAR - LIKE + 1)) ** 2
        if kept * sum(bands[low:like]) > free + SHARE * seen_share * kept * sum(bands[like:]):
            return max(least, BASE * RATIO ** (band + 1))
    return least


def _beyond_days(known: Outliers, time_us: int, score: float, cadence_us: float) -> float:
    """What an outlier of this side has to exceed at this time of day; 0 when there were none lately."""
    now = time_us // 1_000_000
    near = max(SAME_TIME_S, 1.5e-6 * cadence_us)
    best: dict[int, float] = {}
    for time_s, size in zip(known.times_s, known.sizes, strict=True):
        days = round((now - time_s) / DAY_S)
        if 1 <= days <= DAYS and abs(now - time_s - days * DAY_S) <= near and size * score > 0.0:
            best[days] = max(best.get(days, 0.0), abs(size))
    return ROOM * sorted(best.values())[-LEAST_DAYS] if len(best) >= LEAST_DAYS else 0.0
