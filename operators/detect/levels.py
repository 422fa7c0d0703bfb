"""Where the level of a series has been: its range over days, and its season by hour of the week. For slow detectors."""

import msgspec

from operators.detect.stats import median
from operators.floats import Floats, floats, unknown

HOUR_US = 3_600_000_000
WEEK_HOURS = 168

SLOTS = 24
"""Slots of a `Range` at most; when they are full and do not yet reach back far enough, each two become one."""

HELD_HOURS = 3
"""Hours for which a finished hour does not count as season yet: a change must not become its own expectation."""

TRIED_HOURS = 12
"""Hours for which a season must have been compared with a plain level before it is believed."""

SEASON_ON, SEASON_OFF = 0.5, 0.8
"""A season is believed when its error is below this share of a plain level's, and until it is above the second."""

RATE = 1.0 / 24.0
"""Learning rate of errors and of the plain level, an hour each: a memory of a day."""

UNUSUAL = 2.0
"""Errors count at most so many times the plain level's usual one."""

TABLE_RATE = 0.5
"""Share of a week's value in its hour's entry."""


class Range(
    msgspec.Struct, gc=False, rename={"step": "k", "count": "n", "low": "l", "high": "h", "lows": "a", "highs": "b"}
):
    """Least and greatest value by slot, oldest first; a slot is `step` values, the open one has `count`."""

    step: int = 12
    count: int = 0
    low: float = 0.0
    high: float = 0.0
    lows: Floats = msgspec.field(default_factory=floats)
    highs: Floats = msgspec.field(default_factory=floats)

    @property
    def size(self) -> int:
        """How many values the closed slots hold."""
        return self.step * len(self.lows)


def extend(kept: Range, value: float, reach: int) -> None:
    """Put one value in; at least `reach` values are remembered, once there have been so many.

    >>> kept = Range()
    >>> for value in range(1000):
    ...     extend(kept, float(value), 500)
    >>> kept.step, len(kept.lows), span(kept, 100)
    (24, 24, (420.0, 899.0, 659.5))
    """
    if not kept.count:
        kept.low = kept.high = value
    elif value < kept.low:
        kept.low = value
    elif value > kept.high:
        kept.high = value
    kept.count += 1
    if kept.count < kept.step:
        return
    lows, highs = kept.lows, kept.highs
    lows.append(kept.low)
    highs.append(kept.high)
    kept.count = 0
    if len(lows) <= SLOTS:
        return
    if kept.step * SLOTS < reach:
        # An odd one is left over at the old end, and goes.
        kept.lows = floats([min(pair) for pair in zip(lows[-2::-2], lows[-1::-2], strict=False)][::-1])
        kept.highs = floats([max(pair) for pair in zip(highs[-2::-2], highs[-1::-2], strict=False)][::-1])
        kept.step *= 2
    else:
        del lows[0], highs[0]


def within(kept: Range, skip: int, value: float) -> bool | None:
    """Whether `value` is in the range of all but the last `skip` values. None when none is left."""
    left = _left(kept, skip)
    if left <= 0:
        return None
    # Nearly always one of the first slots tells.
    for low in kept.lows[:left]:
        if low <= value:
            break
    else:
        return False
    for high in kept.highs[:left]:  # noqa: SIM110
        if value <= high:
            return True
    return False


def span(kept: Range, skip: int) -> tuple[float, float, float] | None:
    """Least and greatest value without the last `skip` values, and a typical middle. None when none is left."""
    left = _left(kept, skip)
    if left <= 0:
        return None
    lows, highs = kept.lows[:left], kept.highs[:left]
    middles = sorted([low / 2.0 + high / 2.0 for low, high in zip(lows, highs, strict=True)])
    return min(lows), max(highs), median(middles)


def _left(kept: Range, skip: int) -> int:
    """Slots that hold none of the last `skip` values."""
    return len(kept.lows) - max(0, -(-(skip - kept.count) // kept.step))


class Season(
    msgspec.Struct,
    gc=False,
    rename={
        "on": "o", "hour": "h", "sum": "s", "count": "n", "level": "l", "tried": "k", "by_season": "a", "by_level": "b",
        "table": "t", "held": "p",
    },
):  # fmt: skip
    """The mean of each hour of the week (UTC), and whether it tells more than a plain level does (`on`).

    `table` is empty or has 168 entries, NaN where nothing is known. `held` are the last hours' (number, mean), not yet
    in the table. `by_season` and `by_level` are mean absolute errors.
    """

    on: bool = False
    hour: int = 0
    sum: float = 0.0
    count: int = 0
    level: float = 0.0
    tried: int = 0
    by_season: float = 0.0
    by_level: float = 0.0
    table: Floats = msgspec.field(default_factory=floats)
    held: list[tuple[int, float]] = msgspec.field(default_factory=list)


def expect(season: Season, time_us: int) -> float | None:
    """What the season says for `time_us`, between the middles of hours by proportion. None where it knows nothing."""
    hour, rest = divmod(time_us - HOUR_US // 2, HOUR_US)
    before, after = _entry(season.table, hour), _entry(season.table, hour + 1)
    if before is None:
        return after
    return before if after is None else before + (after - before) * (rest / HOUR_US)


def _entry(table: Floats, hour: int) -> float | None:
    """The entry a week ago or, while there is none, that of the same hour of a day as few days ago as possible."""
    if not table:
        return None
    for days in range(7):
        found = table[(hour - 24 * days) % WEEK_HOURS]
        if found == found:
            return found
    return None


def learn(season: Season, time_us: int, value: float) -> bool:
    """Put one block's mean in. True when the season has been switched on or off by it."""
    hour = time_us // HOUR_US
    changed = False
    if hour > season.hour or not season.count:
        if season.count and season.hour:
            changed = _finish(season)
        season.hour, season.sum, season.count = hour, 0.0, 0
    season.count += 1
    season.sum += (value - season.sum) / season.count
    return changed


def shift(season: Season, by: float) -> None:
    """The level has moved: so does what is expected of each hour."""
    season.table = floats([entry + by for entry in season.table])
    season.held = [(hour, mean + by) for hour, mean in season.held]
    season.level += by


def _finish(season: Season) -> bool:
    hour, mean = season.hour, season.sum
    table = season.table
    guess = _entry(table, hour)
    if guess is not None:
        rate = max(RATE, 1.0 / (season.tried + 1))
        by_season, by_level = abs(mean - guess), abs(mean - season.level)
        if season.tried > TRIED_HOURS:
            # A sudden new level is no proof against a season.
            by_season, by_level = min(by_season, UNUSUAL * season.by_level), min(by_level, UNUSUAL * season.by_level)
        season.by_season += rate * (by_season - season.by_season)
        season.by_level += rate * (by_level - season.by_level)
        season.tried += 1
    season.level = season.level + RATE * (mean - season.level) if season.tried or season.held else mean
    season.held.append((hour, mean))
    while season.held and season.held[0][0] <= hour - HELD_HOURS:
        old, value = season.held.pop(0)
        if not table:
            table = season.table = unknown(WEEK_HOURS)
        known = table[old % WEEK_HOURS]
        table[old % WEEK_HOURS] = known + TABLE_RATE * (value - known) if known == known else value
    if season.tried < TRIED_HOURS:
        return False
    on = season.by_season < (SEASON_OFF if season.on else SEASON_ON) * season.by_level
    changed = on != season.on
    season.on = on
    return changed
