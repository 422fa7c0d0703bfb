"""The trend track: a series rises or falls slowly and steadily, further than it ever goes by itself.

Values become means of an hour (or of longer blocks where values are rarer), of which eight days are kept. Whenever the
level is higher or lower than all the days before, lines are laid through the last 6 to 96 blocks, freed of the day
before them (a daily rise is no trend; the growth over the same hour of that day is), and one is told if

- its slope is **sure**: it is `SURE` standard errors away from zero, with an error that counts autocorrelation
  (AR(1) by the residuals, corrected for its bias: the variance grows by (1 + phi) / (1 - phi));
- it is **more than chance**: the line goes `WALK` times as far as the series walks by itself in that time, which is
  the root mean square of what one day's hours differed from those of the day before, times the root of the days. So a
  random walk is judged as one. While few days are known the step from hour to hour says how far it may walk;
- it is **steady**: each third of the window goes the same way, by at least a third of what it should;
- it is **material**: the line moves by `MATERIAL` deviations of what is left beside it, by `NOISE` deviations of single
  values, and at least half of the way lies outside everything before (`NEW_SHARE`).

The slope and its interval are in the series' unit per hour and per day; where a bound is known (percent: 0 and 100), so
is the time until it is reached. It is judged when a block ends, and neither normal nor abnormal in between, until the
slope is no longer sure.

The first slope that is told tends to be too steep (chance helps it over the bar); it becomes surer with each block.
It says nothing before two days are known, does not see trends that stay within the daily swing, needs two days of
growth where there is a season and no week is known, and takes a first rise of a sawtooth of many days for what it is.
"""

import math

import msgspec

from operators.detect.stats import quantile
from operators.detect.verdict import Verdict
from operators.floats import Floats, floats, unknown

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

BLOCKS = 192
"""Blocks that are kept: eight days of hours."""

BLOCK_HOURS = (1, 2, 3, 4, 6, 8, 12, 24)
"""Lengths of a block; the least that is not below the series' cadence is taken, so that a day is a whole number."""

WINDOWS = (96, 48, 24, 12, 6)
"""Windows, in blocks, that are tried, the longest first."""

SURE = 4.0
"""Standard errors between the slope and zero."""

WALK = 4.0
"""The way of the line, in typical ways of a random walk that moves as the series did before the window."""

PAIRS = 96
"""Pairs of blocks a day apart from which the typical way of a day is known; with fewer, shorter steps are drawn out."""

SHORT = 6
"""Blocks of such a shorter step."""

SEASONAL = 0.7
"""There is a season when a day's difference has a variance below this share of that of the blocks."""

STEADY = 0.33
"""Least share of the usual way that each third of the window goes."""

MATERIAL = 3.0
"""The way of the line, in deviations of the residuals."""

NOISE = 1.0
"""The way of the line, in deviations of single values."""

NEW_SHARE = 0.5
"""Share of the line's way that must lie outside of what was before the window."""

Z = 1.96
"""Of the interval: 95 %."""

PHI_LIMIT = 0.98
"""Greatest autocorrelation of residuals that is counted."""

LEARN_CADENCE = 8
"""Values before the length of a block is fixed."""

EXTREME = 1e140
"""Values beyond are judged as this."""

SCORE_LIMIT = 1e6
"""Greatest score."""


class TrendConfig(msgspec.Struct, frozen=True):
    """`bar` multiplies the demands; `bound_low` and `bound_high` are limits of the measure's scale, if it has any."""

    bar: float = 1.0
    bound_low: float | None = None
    bound_high: float | None = None

    @classmethod
    def of(cls, measure: str = "") -> "TrendConfig":
        """The configuration for a measure: a share of a machine (`…_usage`, percent) ends at 0 and 100.

        >>> TrendConfig.of("disk_usage").bound_high
        100.0
        """
        return cls(bound_low=0.0, bound_high=100.0) if measure.endswith("_usage") else cls()


class TrendState(
    msgspec.Struct,
    gc=False,
    rename={
        "first_us": "f", "last_us": "t", "seen": "n", "hours": "h", "number": "b", "count": "c", "mean": "m",
        "noise": "s", "blocks": "w", "told": "o", "line": "l",
    },
):  # fmt: skip
    """`blocks` are means of `hours` each, oldest first, NaN where there were no values: at most 1.7 KB as msgpack.

    `number`, `count` and `mean` are of the open block, `noise` is the usual deviation of values from the last block.
    `told` is 1 or -1 while a trend holds; `line` is the last one: slope an hour, its error, level at its end, score.
    """

    first_us: int = 0
    last_us: int = 0
    seen: int = 0
    hours: int = 0
    number: int = 0
    count: int = 0
    mean: float = 0.0
    noise: float = 0.0
    blocks: Floats = msgspec.field(default_factory=floats)
    told: int = 0
    line: tuple[float, float, float, float] | None = None


def judge(state: TrendState, time_us: int, value: float, config: TrendConfig, always: bool = False) -> Verdict | None:
    """Judge the block that `value` ends, if it does, and learn `value`. None means plainly normal.

    >>> state, config, opened = TrendState(), TrendConfig.of("disk_usage"), None
    >>> for hour in range(150):
    ...     level = 40.0 + (hour * hour % 11) / 10 + max(0, hour - 100) * 0.25
    ...     opened = opened or judge(state, hour * HOUR_US, level, config)
    >>> opened.direction, round(opened.evidence["per_hour"], 1), opened.evidence["hours_to_bound"] > 150
    ('up', 0.2, True)
    """
    if not -EXTREME < value < EXTREME:
        if math.isnan(value):
            return None
        value = math.copysign(EXTREME, value)
    seen = state.seen = state.seen + 1
    if seen == 1:
        state.first_us = time_us
    if not state.hours:
        if seen >= LEARN_CADENCE or time_us - state.first_us > LEARN_CADENCE * HOUR_US:
            pace = (time_us - state.first_us) / (seen - 1) / HOUR_US * 0.9
            state.hours = next((hours for hours in BLOCK_HOURS if hours >= pace), BLOCK_HOURS[-1])
            state.number = time_us // (state.hours * HOUR_US)
            state.mean, state.count = value, 1
        return None
    number = time_us // (state.hours * HOUR_US)
    verdict = None
    if number > state.number:
        verdict = _close(state, number, time_us, config, always)
        state.mean, state.count = value, 1
    else:
        state.count += 1
        state.mean += (value - state.mean) / state.count
    last = state.blocks[-1] if state.blocks else math.nan
    if last == last:
        off = value - last if value > last else last - value
        state.noise += 0.005 * ((off if off < 8.0 * state.noise or seen < 400 else 8.0 * state.noise) - state.noise)
    state.last_us = time_us
    if verdict is None and (state.told or always):
        return _neither(state)
    return verdict


def _close(state: TrendState, number: int, now: int, config: TrendConfig, always: bool) -> Verdict | None:
    """Put the open block away, and empty ones for a gap, then look for a line."""
    blocks = state.blocks
    blocks.append(state.mean)
    missing = min(number - state.number - 1, BLOCKS)
    if missing:
        blocks.extend(unknown(missing))
    del blocks[:-BLOCKS]
    state.number = number
    if missing:
        return None
    day = max(1, 24 // state.hours)
    if len(blocks) < day + 6 or now - state.first_us < DAY_US:
        return None
    held = state.told
    tail = [item for item in blocks[-3:] if item == item]
    level = sum([item / len(tail) for item in tail])
    past = blocks[-6 - 3 * day : -6]
    if not (held or always) and _is_between(past, level):
        return None
    if all(map(math.isnan, past)):
        return None
    items = blocks.tolist()
    week = now - state.first_us >= 8 * DAY_US
    best = None
    for size in WINDOWS:
        if len(blocks) < size + day:
            continue
        line = _line(items, size, day, week, state.noise, config)
        if line is not None and (best is None or line[0] > best[0]):
            best = line
            # The longest window that will do: the best score is often one where chance has helped.
            if line[0] >= 1.0:
                break
    if best is None:
        state.told, state.line = 0, None
        return None
    score, slope, error, end, size = best
    state.line = (slope / state.hours, error / state.hours, end, score)
    if held:
        # It goes on until the slope is no longer sure by half as much.
        if (slope > 0.0) != (held > 0) or abs(slope) < SURE / 2.0 * error:
            state.told = 0
            return None
        return _verdict(state, config, size, score >= 1.0) if score >= 1.0 else None
    if score < 1.0:
        return None
    state.told = 1 if slope > 0.0 else -1
    return _verdict(state, config, size, True)


def _is_between(past: Floats, level: float) -> bool:
    """Whether some of what is known is not above `level`, and some not below it."""
    below = above = False
    for item in past:
        if item <= level:
            below = True
        if item >= level:
            above = True
        if below and above:
            return True
    return False


def _line(
    blocks: list[float], size: int, day: int, week: bool, noise: float, config: TrendConfig
) -> tuple[float, float, float, float, int] | None:
    """Score, slope a block, its standard error, level at the end, and `size`: the line through so many last blocks."""
    start = len(blocks) - size
    walked = _walk(blocks[:start], day, week or size >= 2 * day)
    if walked is None:
        return None
    points = []
    seasonal = day > 1
    for place in range(size):
        now = blocks[start + place]
        # All against the same day: differences to a moving one would flatten what lasts for days.
        before = blocks[start - day + place % day] if seasonal else 0.0
        grown = now - before
        if grown == grown:
            points.append((float(place), grown, now))
    count = len(points)
    if count < max(6, 0.7 * size):
        return None
    mid = math.fsum([x for x, _, _ in points]) / count
    mean = math.fsum([y / count for _, y, _ in points])
    wide = math.fsum([(x - mid) * (x - mid) for x, _, _ in points])
    slope = math.fsum([(x - mid) / wide * (y - mean) for x, y, _ in points])
    rest = [y - mean - slope * (x - mid) for x, y, _ in points]
    squares = math.fsum([off * off for off in rest])
    if squares <= 0.0:
        squares = 1e-18 * slope * slope * count or 1e-300
    lagged = math.fsum([after * before for after, before in zip(rest[1:], rest, strict=False)])
    phi = lagged / squares
    phi = max(0.0, min(phi + (1.0 + 4.0 * max(phi, 0.0)) / count * 2.0, PHI_LIMIT))
    error = math.sqrt(squares / (count - 2) / wide * (1.0 + phi) / (1.0 - phi))
    deviation = math.sqrt(squares / (count - 2))
    way = slope * (size - 1)
    third = count // 3
    parts = [math.fsum([y / third for _, y, _ in points[first : first + third]]) for first in (0, third, count - third)]
    steady = min((parts[1] - parts[0]) / way, (parts[2] - parts[1]) / way) * 3.0 if way else 0.0
    raw = math.fsum([y / 3.0 for _, _, y in points[-3:]])
    past = sorted([item for item in blocks[:start] if item == item])
    edge = past[-1] if slope > 0.0 else past[0]
    new = (raw - edge) / way if way else 0.0
    floor = max(deviation * MATERIAL, noise * 1.25 * NOISE, 0.01 * abs(quantile(past, 0.5)))
    score = min(
        abs(slope) / error / SURE,
        abs(way) / max(walked * math.sqrt(max(size / day, 0.25)), 1e-300) / WALK,
        steady / STEADY,
        abs(way) / max(floor, 1e-300),
        new / NEW_SHARE,
        SCORE_LIMIT,
    )
    return score / config.bar, slope, error, raw, size


def _walk(blocks: list[float], day: int, any_season: bool) -> float | None:
    """How far the level goes in a day by itself. None when too little is known, or a season that must not be judged."""
    apart = [off for now, before in zip(blocks[day:], blocks, strict=False) if (off := now - before) == off]
    if len(apart) < max(6, day):
        return None
    count = len(apart)
    squares = math.fsum([off * off / count for off in apart])
    if day > 1 and not any_season:
        known = [item for item in blocks if item == item]
        mean = math.fsum([item / len(known) for item in known])
        if squares < SEASONAL * math.fsum([(item - mean) * (item - mean) / len(known) for item in known]):
            return None
    if count < PAIRS:
        # Of a walk the squares of steps grow with their length, of independent values they don't.
        one = math.fsum([(now - before) * (now - before) for now, before in zip(apart[1:], apart, strict=False)])
        long = math.fsum([(now - before) * (now - before) for now, before in zip(apart[SHORT:], apart, strict=False)])
        one, long = one / (count - 1), long / max(1, count - SHORT)
        walk = max(0.0, long - one) / (SHORT - 1) * day / 2.0
        squares = max(squares, one / 2.0 + walk) * PAIRS / count
    return math.sqrt(squares)


def _verdict(state: TrendState, config: TrendConfig, size: int, abnormal: bool) -> Verdict:
    assert state.line is not None
    slope, error, end, score = state.line
    low, high = slope - Z * error, slope + Z * error
    evidence: dict[str, int | float | str] = {
        "per_hour": slope,
        "per_hour_low": low,
        "per_hour_high": high,
        "per_day": 24.0 * slope,
        "per_day_low": 24.0 * low,
        "per_day_high": 24.0 * high,
        "window_hours": size * state.hours,
    }
    bound = config.bound_high if slope > 0.0 else config.bound_low
    if bound is not None and (bound - end) * slope > 0.0:
        evidence["bound"] = bound
        evidence["hours_to_bound"] = round((bound - end) / slope, 1)
    before = [item for item in state.blocks[:-size] if item == item]
    past = sorted(before or [end])
    return Verdict(
        score=score,
        threshold=1.0,
        expected=quantile(past, 0.5),
        low=past[0],
        high=past[-1],
        direction="up" if slope > 0.0 else "down",
        confidence=max(0.0, min(1.0 - 0.3 / score, 0.98)) if abnormal else 0.0,
        abnormal=abnormal,
        evidence=evidence,
    )


def _neither(state: TrendState) -> Verdict:
    slope, error, end, score = state.line or (0.0, 0.0, state.mean, 0.0)
    return Verdict(
        score=max(0.0, score),
        threshold=1.0,
        expected=end,
        low=end,
        high=end,
        direction="up" if slope >= 0.0 else "down",
        confidence=0.0,
        abnormal=False,
        evidence={"per_hour": slope, "per_hour_error": error},
    )
