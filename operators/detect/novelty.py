"""The novelty track: a value, or a way of moving, that the series has never shown before.

Six series are derived from the values. S(p) is the distance to a daily (half hours) or weekly (hours) profile, to the
nearest of the bucket and its two neighbours, so that a season that comes a little early is no news:

=========== ==================================================== ======================================
reason      derived series                                       rises when
=========== ==================================================== ======================================
level       value - mean of 12 h                                 the value jumps
trend       mean of 3 h - mean of 28 h                           it moves slowly, and far
day hours   mean of 6 h of the absolute value of S(day)          the day's pattern is gone
day quick   mean of 72 min of the same                           the day's pattern breaks
week        mean of 2.5 h of the absolute value of S(week)       a weekday is like no other of its kind
day         S(day)                                               the value is wrong for the time of day
=========== ==================================================== ======================================

Each keeps the least and the greatest that it was (an envelope, with a memory of 60 days) and is **judged by how far it
leaves that, as a share of its width, before it is absorbed**. Shares within a step of 5 minutes add up (as the growth
of log width). The score is the greatest share times its weight; it is 0 unless it is above all of the last 7.5 h.

**Cadence.** Memories are times: a rate is 5 min / memory, times cadence / 5 min where values come faster. So a series
of 10 s has means over the same hours as one of 5 min, not over 30 times less, and costs the same a value. Nothing is
folded: each value is judged at once. Level and day have no mean in front and react to the very value; what the others
show within a step counts while the step runs. Where values come more slowly than each 5 min the rates stay, so that no
mean is of a few values only. When the cadence changes by a factor of two the warm-up begins anew: means of other
numbers of values spread otherwise.

**When a pattern opens.** A series leaves its envelope now and then, ever more rarely, and how far is its own matter (a
heavy tail goes much farther than noise). An *excursion* is all that happens without 7.5 h of quiet; its growth is the
sum over its steps of log(1 + score), from the second day on (and the 101st value). Growths are taken for exponential
with an unknown mean: excesses of light tails are about that, as logarithms of heavy ones are (peaks over a threshold as
in Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017). With a gamma prior the prediction
is a Lomax distribution: the chance of one above x, after n of sum s, is (1 + x / (s + s0)) ^ -(n + 1). A pattern opens
when that is at most `NoveltyConfig.chance` and the growth at least `LEAST_GROWTH`. As excursions come less than once a
day, one in 100 is a false opening in more than 100 days.

It does not work well in the first days (nothing opens for 2, and before 200 values; Saturday to Monday not for 8, since
a first weekend is new but no news), on a change that has been seen before (that is what `spike` is for), on slow
growth, on a change below the swing of a random walk's day, and on a value that sticks, which is no extreme. The day
after a change of some hours the profile has half learned it, and the way back may be told as well. Where a week has two
kinds of days the envelope of the day is as wide as their difference.
"""

import math
from typing import Literal

from operators.detect.novelty_state import (
    DAY_US,
    EXTREME,
    GAP,
    GROWTH_LIMIT,
    HALF_HOUR_US,
    HOLD,
    HOUR_US,
    LEARNING,
    LEAST_GROWTH,
    MEMORY,
    PRIOR_GROWTH,
    QUIET,
    REASONS,
    SHRINK_EACH,
    SLOWEST,
    STEP_US,
    WARM_UP,
    WARM_UP_US,
    WEEK,
    WEEK_US,
    WEEKS_US,
    NoveltyConfig,
    NoveltyState,
    Rates,
)
from operators.detect.verdict import Verdict

__all__ = ["NoveltyConfig", "NoveltyState", "judge"]


def judge(
    state: NoveltyState, time_us: int, value: float, config: NoveltyConfig, always: bool = False
) -> Verdict | None:
    """Judge `value` by what came before it, then learn it. None means that nothing about it is new, or hardly.

    `time_us` is the event time in µs since the epoch; a value that is not a number is ignored. With `always` each value
    gets a verdict (its score is 0 for most); the state moves on alike. A score that one of the last 7.5 h exceeds is
    shown as 0, unless the value is abnormal.

    >>> state, config, minute = NoveltyState(), NoveltyConfig(), 60_000_000
    >>> days = [(i * 5 * minute, 40.0 + 20.0 * (i // 144 % 2) + i * 7 % 5) for i in range(2880)]
    >>> any(verdict.abnormal for point in days if (verdict := judge(state, *point, config)))
    False
    >>> found = judge(state, 2880 * 5 * minute, 120.0, config)
    >>> found.abnormal, found.direction, found.evidence["reason"], found.confidence > 0.7
    (True, 'up', 'day', True)
    """
    if not -EXTREME < value < EXTREME:
        if math.isnan(value):
            return None
        value = math.copysign(EXTREME, value)
    day, week = state.day, state.week
    half = time_us % DAY_US // HALF_HOUR_US
    hour = time_us // HOUR_US % 168
    usual, usual_week = day[half], week[hour]
    near = state.near
    seen = state.seen
    if seen:
        pace = _pace(state, time_us, seen)
        if pace < 0.0:  # a gap: what the mean of 12 h would be had the value stood there since
            pace = -pace
            gap = (time_us - state.last_us) / max(STEP_US, state.cadence_us)
            near -= (value - near) * math.expm1(-config.rates[0] * gap)
        by_day = _nearest(value, usual, day[half - 1], day[half - 47], 0.0)
        by_week = _nearest(value, usual_week, week[hour - 1], week[hour - 167], by_day)
    else:
        pace = 1.0
        by_day = by_week = 0.0
        near = state.fast = state.slow = value
        state.first_us = time_us
    rates = config.rates if pace == 1.0 else _scaled(config.rates, pace)
    near_rate, fast_rate, slow_rate, hours_rate, quick_rate, week_rate, day_rate, hour_rate, _ = rates
    state.seen = seen + 1
    state.last_us = time_us

    off = value - near
    state.near = near + near_rate * off
    mean = state.fast
    state.fast = trend = mean + fast_rate * (value - mean)
    mean = state.slow
    state.slow = mean = mean + slow_rate * (value - mean)
    trend -= mean
    far = by_day if by_day >= 0.0 else -by_day
    mean = state.off_hours
    state.off_hours = hours = mean + hours_rate * (far - mean)
    mean = state.off_quick
    state.off_quick = quick = mean + quick_rate * (far - mean)
    mean = state.off_week
    state.off_week = weekly = mean + week_rate * ((by_week if by_week >= 0.0 else -by_week) - mean)

    _learn_profiles(state, half, hour, value, usual, usual_week, day_rate, hour_rate)
    low_0, high_0, low_1, high_1, low_2, high_2, low_3, high_3, low_4, high_4, low_5, high_5 = state.bounds
    inside = (
        low_0 <= off <= high_0
        and low_1 <= trend <= high_1
        and low_2 <= hours <= high_2
        and low_3 <= quick <= high_3
        and low_4 <= weekly <= high_4
        and low_5 <= by_day <= high_5
    )
    if inside and not always and seen % SHRINK_EACH:
        return None
    derived = (off, trend, hours, quick, weekly, by_day)
    if not seen % SHRINK_EACH:
        _shrink(state, derived, config, pace)
    if inside:
        return _say(state, config, (value - by_day, low_5, high_5), 0.0, False, "up", {}) if always else None
    return _outside(state, config, time_us, value, derived, by_week, always)


def _scaled(rates: Rates, pace: float) -> Rates:
    near, fast, slow, hours, quick, week, day, hour, all_time = rates
    return (
        near * pace, fast * pace, slow * pace, hours * pace, quick * pace, week * pace, day * pace, hour * pace,
        all_time * pace,
    )  # fmt: skip


def _nearest(value: float, same: float, before: float, after: float, unknown: float) -> float:
    """The distance of `value` to the nearest of a bucket and its neighbours (NaN: not seen), `unknown` without any."""
    nearest = value - same
    square = nearest * nearest
    # Comparisons with NaN are false.
    other = value - before
    if other * other < square:
        nearest, square = other, other * other
    other = value - after
    if other * other < square:
        return other
    if square == square:
        return nearest
    nearest = value - before
    if nearest == nearest:
        return other if other * other < nearest * nearest else nearest
    return other if other == other else unknown


def _learn_profiles(
    state: NoveltyState,
    half: int,
    hour: int,
    value: float,
    usual: float,
    usual_week: float,
    day_rate: float,
    hour_rate: float,
) -> None:
    """Move a bucket of each from what is usual towards the value; on its first visit it is the mean of the values."""
    if half != state.day_at:
        state.day_at = half
        state.day_run = 0 if usual == usual else 1
    elif state.day_run:
        state.day_run += 1
        day_rate = max(day_rate, 1.0 / state.day_run)
    state.day[half] = usual + day_rate * (value - usual) if usual == usual else value
    if hour != state.week_at:
        state.week_at = hour
        state.week_run = 0 if usual_week == usual_week else 1
    elif state.week_run:
        state.week_run += 1
        hour_rate = max(hour_rate, 1.0 / state.week_run)
    state.week[hour] = usual_week + hour_rate * (value - usual_week) if usual_week == usual_week else value


def _pace(state: NoveltyState, time_us: int, seen: int) -> float:
    """Learn the cadence. Return it as a share of a step, `SLOWEST` to 1; negative after a gap."""
    gap = time_us - state.last_us
    cadence = state.cadence_us
    sign = 1.0
    gap = max(gap, 0)
    if seen == 1:
        state.cadence_us = state.paced_us = cadence = float(gap)
    elif gap != cadence:
        if gap > GAP * cadence:
            sign = -1.0
            longest = GAP * cadence or gap
        else:
            longest = gap
        state.cadence_us = cadence = cadence + (longest - cadence) * (0.02 if seen > 50 else 1.0 / seen)
        if not 0.5 * state.paced_us <= cadence <= 2.0 * state.paced_us:
            # Means of other numbers of values spread otherwise: that is not the series' doing.
            state.paced_us = cadence
            state.first_us = time_us
    share = cadence / STEP_US
    return sign * (1.0 if share > 1.0 else share if share > SLOWEST else SLOWEST)


def _shrink(state: NoveltyState, derived: tuple[float, ...], config: NoveltyConfig, pace: float) -> None:
    """Forget a little of the envelopes' extremes, `SHRINK_EACH` values' worth."""
    rate = config.rates[-1] * SHRINK_EACH * pace
    bounds = state.bounds
    for place, now in enumerate(derived):
        bounds[2 * place] += rate * (now - bounds[2 * place])
        bounds[2 * place + 1] += rate * (now - bounds[2 * place + 1])


def _outside(
    state: NoveltyState,
    config: NoveltyConfig,
    time_us: int,
    value: float,
    derived: tuple[float, ...],
    by_week: float,
    always: bool,
) -> Verdict | None:
    """Weigh and absorb what lies outside the envelopes."""
    bounds, growth = state.bounds, state.growth
    step = time_us // STEP_US
    hold = HOLD * max(state.cadence_us, STEP_US)
    if time_us - state.outside_us > max(HOLD * STEP_US, QUIET * state.cadence_us):
        _end_excursion(state, config)
    if step != state.step:
        state.step = step
        growth[:] = (0.0,) * 6
        state.told += state.part
        state.part = 0.0
    state.outside_us = time_us
    usual_low, usual_high = bounds[10], bounds[11]
    floor = config.relative_floor * (abs(value) + abs(state.near)) + config.absolute_floor
    score, best, above, counted = 0.0, 0, True, 0.0
    knows_weeks = time_us - state.first_us >= WEEKS_US
    for place, now in enumerate(derived):
        low, high = bounds[2 * place], bounds[2 * place + 1]
        if low <= now <= high:
            continue
        width = high - low + floor
        over = now - high if now > high else low - now
        grown = growth[place] + (math.log1p(over / width) if width > 0.0 else GROWTH_LIMIT)
        growth[place] = grown = min(grown, GROWTH_LIMIT)
        share = config.weights[place] * math.expm1(grown)
        if share > score:
            score, best, above = share, place, now > high
        if share > counted and (place != WEEK or knows_weeks):
            counted = share
        if now > high:
            bounds[2 * place + 1] = now
        else:
            bounds[2 * place] = now
    by_day = derived[5]
    told = score > state.peak or time_us - state.peak_us > hold
    if told:
        state.peak, state.peak_us = score, time_us
    before = state.told
    state.part = part = max(state.part, math.log1p(counted)) if _counts(state, time_us) else 0.0
    need = _need(state, config)
    great = before + part >= need
    usual = (state.total + PRIOR_GROWTH) / (state.past + 1.0)
    # Once it has opened, a small step farther is no reason to go on.
    abnormal = great and (before < need or part >= usual) and score > 0.0 and _ripe(state, time_us)
    if not (always or abnormal or before + part >= 0.5 * need):
        return None
    if best in (2, 3):
        above = by_day >= 0.0
    elif best == WEEK:
        above = by_week >= 0.0
    evidence: dict[str, int | float | str] = {
        "reason": REASONS[best],
        "growth": round(before + part, 3),
        "usual_growth": round(usual, 3),
        "excursions": round(state.past, 1),
    }
    shown = score if told or abnormal else 0.0
    usual_range = (value - by_day, usual_low, usual_high)
    return _say(state, config, usual_range, shown, abnormal, "up" if above else "down", evidence)


def _end_excursion(state: NoveltyState, config: NoveltyConfig) -> None:
    growth = state.told + state.part
    if growth > 0.0:
        most = _need(state, config)  # one that opened counts as one that hardly would
        state.past += 1.0 - state.past / MEMORY
        state.total += min(growth, most) - state.total / MEMORY
    state.told = state.part = 0.0


def _need(state: NoveltyState, config: NoveltyConfig) -> float:
    """The growth whose chance is `config.chance`: (s + s0) (chance ^ (-1 / (n + 1)) - 1), or the least that counts."""
    unlikely = (state.total + PRIOR_GROWTH) * math.expm1(-math.log(config.chance) / (state.past + 1.0))
    return max(unlikely, LEAST_GROWTH)


def _counts(state: NoveltyState, time_us: int) -> bool:
    return time_us - state.first_us >= DAY_US and state.seen > LEARNING


def _ripe(state: NoveltyState, time_us: int) -> bool:
    age = time_us - state.first_us
    if age < WARM_UP_US or state.seen <= WARM_UP:
        return False
    return age >= WEEK_US or 1 <= (time_us // DAY_US + 3) % 7 <= 4  # 0 is a Monday


def _say(
    state: NoveltyState,
    config: NoveltyConfig,
    usual_range: tuple[float, float, float],
    score: float,
    abnormal: bool,
    direction: Literal["up", "down"],
    evidence: dict[str, int | float | str],
) -> Verdict:
    need = _need(state, config)
    growth = state.told + state.part
    if score > 0.0:
        growth = max(growth, 1e-6)
        threshold = score * need / growth
        log_chance = -(state.past + 1.0) * math.log1p(growth / (state.total + PRIOR_GROWTH))
        sure = max(0.0, 1.0 - 0.3 * math.log(config.chance) / log_chance)
    else:
        threshold, sure = math.expm1(min(max(need - growth, 1e-3), GROWTH_LIMIT)), 0.0
    expected, low, high = usual_range  # the last two relative to the first
    return Verdict(
        score=score,
        threshold=min(threshold, score) if abnormal else threshold,
        expected=expected,
        low=expected + min(low, 0.0),
        high=expected + max(high, 0.0),
        direction=direction,
        confidence=sure if abnormal else min(sure, 0.69),
        abnormal=abnormal,
        evidence=evidence,
    )
