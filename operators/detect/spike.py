"""The spike track: a value far off what its series did lately, also when such values have been seen before.

Three scores, each in units of a deviation, weigh a value before the model learns it:

- **mean**: distance to the exponentially weighted mean over the exponentially weighted standard deviation
  (West, "Updating mean and variance estimates: an improved method", CACM 22, 1979);
- **forecast**: residual of Holt's linear forecast with damped trend over the weighted deviation of such residuals
  (Gardner & McKenzie, "Forecasting trends in time series", Management Science 31, 1985);
- **robust**: distance to the median of the last `RING` values over their median absolute deviation, or over the spread
  of their tail on that side where that is greater.

The score is the signed **median of the three**: two must agree on direction and size, so what fools only one of them
(a tail, a ramp, the way back from a spike) stays silent. Or, where that is greater, how far the value lies **outside
all of the last `RING` values**, in deviations of the forecast and no further than the forecast is off: a jump out of a
season or a walk, which are wide but do not jump. A series whose values spread by ratio rather than difference
(durations: most take half an hour, some five) is judged as asinh(value / unit): linear near zero, logarithmic far off.

What a heavy tail or the time of day explains is no news: the threshold rises with it (`operators.detect.outliers`).

Learning is winsorised: a value moves the model no further than `LEARN_LIMIT` deviations, so a spike does not hide the
next; `ACCEPT_AFTER` outliers in a row on one side are a new level, and taken as such. A series that alarms very often
must alarm harder (`HABIT_FREE`): one in 100 values is told each time, of one in 20 only some are.

It does not work well on a series with strong seasons and few values a day (the daily peak is a spike to it), nor on
slow drifts, nor for the first `WARM_UP` values; a jump at the same hour is told on its first two days; spikes of all
sizes look like a heavy tail to it, and so do small ones in one.
"""

import math
from itertools import pairwise
from typing import Self

import msgspec

from operators.detect import outliers
from operators.detect.calibration import confident
from operators.detect.outliers import Outliers
from operators.detect.stats import MAD_TO_SIGMA, median, median_deviation, quantile
from operators.detect.verdict import Verdict
from operators.floats import Floats, floats

RING = 48
"""Values that the robust score remembers: 8 minutes of 10 s panes. More would take a snapshot over 600 bytes."""

WARM_UP = 30
"""Values seen before the first judgement; the model is fitted to them at once, robustly."""

MEAN_RATE = 0.05
"""Learning rate of the mean and its variance: a memory of about 20 values."""

LEVEL_RATE = 0.3
"""Holt's alpha: how much of a residual becomes level."""

TREND_RATE = 0.03
"""Holt's alpha times beta: how much of a residual becomes trend."""

DAMPING = 0.9
"""Holt's phi: what is left of the trend after one value."""

RESIDUAL_RATE = 0.03
"""Learning rate of the forecast residuals' variance."""

STEP_RATE = 0.05
"""Learning rate of `step`, the usual size of a change; a change counts at most as four times the usual."""

STEP_FLOOR = 0.5
"""No deviation is taken for smaller than this share of the usual change: a series that rests and jumps is judged by its
jumps, and a quantised one never fires on a quantum."""

FIRST_STEP = 8.0
"""What the first change of a series that never changed scores, whatever its size: nothing is known about its steps."""

LEARN_LIMIT = 7.0
"""Deviations beyond which a value teaches no more. Values this far off in more than 1 of 49 become usual in time."""

ACCEPT_AFTER = 10
"""Outliers in a row on one side that make a new level."""

HABIT_MEMORY = 500.0
"""Values after which an alarm weighs 1/e of what it did in the series' habit of alarming."""

HABIT_FREE = 7.0
"""Habit that costs nothing: about 14 alarms in 1000 values."""

HABIT_RAISE = 4.0
"""Factor by which each alarm beyond that raises the threshold."""

KNOTS = ((1.0, 0.7), (1.6, 0.77), (2.0, 0.81), (6.0, 0.9))
"""Strength and confidence (`operators.detect.calibration`). In grown series measured: 0.6 below 1.6 (0.7 opens),
0.77 at 1.63, 0.81 from 1.86 on, none false beyond 6. In young series it is less."""

GROWN = 400
"""Values after which a series' tail is known well enough."""

REVIEW = 64
"""Values between two looks at whether the series spreads by ratio."""

GAP = 5.0
"""Usual intervals after which the trend is forgotten."""

EXTREME, TINY = 1e150, 1e-130
"""Values beyond the one are judged as it, those nearer to 0 than the other as 0, so that squares keep their sense."""

SCORE_LIMIT = 1e6
"""Greatest score: beyond it says nothing more."""


class SpikeConfig(msgspec.Struct, frozen=True):
    """How ready the track is to speak, in deviations.

    `open_at`: the score at which a value is abnormal. `clear_at`: the score below which it is plainly normal.
    `relative_floor` (share of the median) and `absolute_floor` (the series' unit): no deviation is taken for smaller.
    """

    open_at: float = 5.0
    clear_at: float = 3.0
    relative_floor: float = 0.01
    absolute_floor: float = 0.0

    @classmethod
    def of(cls, sensitivity: float = 0.95, measure: str = "") -> Self:
        """The configuration for `anomaly_detection_sensitivity` (0 to 1) and a measure.

        `open_at` is 5 ((1 - s) / 0.05)^(1/4): 5.0 at 0.95, 3.3 at 0.99, 5.9 at 0.9, 8.9 at 0.5, never below 2.5.
        A share of a machine (`…_usage`, percent) has deviations of at least one point: 0.2 % to 0.8 % is no news.

        >>> SpikeConfig.of(0.95).open_at, round(SpikeConfig.of(0.99, "cpu_usage").open_at, 2)
        (5.0, 3.34)
        """
        if not 0.0 <= sensitivity <= 1.0:
            raise ValueError(f"sensitivity must be between 0 and 1, not {sensitivity}")
        open_at = max(2.5, 5.0 * (round(1.0 - sensitivity, 12) / 0.05) ** 0.25)
        return cls(open_at, 0.6 * open_at, absolute_floor=1.0 if measure.endswith("_usage") else 0.0)


class SpikeState(
    msgspec.Struct,
    gc=False,
    rename={
        "seen": "n",
        "last_us": "t",
        "cadence_us": "c",
        "unit": "a",
        "mean": "m",
        "variance": "v",
        "level": "l",
        "trend": "b",
        "residual": "r",
        "step": "q",
        "run": "u",
        "habit": "h",
        "habit_seen": "k",
        "outliers": "o",
        "ring": "w",
    },
):
    """What the track knows of one series: 500 to 1,000 bytes as msgpack, a map with keys of one letter.

    `mean`, `variance`, `level`, `trend` and `residual` (a variance) are of asinh(value / unit) when `unit` is not 0,
    else of the value; `step` and `ring` (oldest first) are of the value. `run` counts outliers in a row, signed by
    side. `habit` is as of the `habit_seen`-th value.
    """

    seen: int = 0
    last_us: int = 0
    cadence_us: float = 0.0
    unit: float = 0.0
    mean: float = 0.0
    variance: float = 0.0
    level: float = 0.0
    trend: float = 0.0
    residual: float = 0.0
    step: float = 0.0
    run: int = 0
    habit: float = 0.0
    habit_seen: int = 0
    outliers: Outliers = msgspec.field(default_factory=Outliers)
    ring: Floats = msgspec.field(default_factory=floats)


def judge(state: SpikeState, time_us: int, value: float, config: SpikeConfig, always: bool = False) -> Verdict | None:
    """Judge `value` by what came before it, then learn it. None means plainly normal, or still warming up.

    `time_us` is the event time in µs since the epoch; a value that is not a number is ignored. With `always` each value
    past the warm-up gets a verdict (for a backtest's score column); the state moves on alike.

    >>> state, config = SpikeState(), SpikeConfig()
    >>> [judge(state, i * 10_000_000, 40.0 + i % 3, config) for i in range(60)] == [None] * 60
    True
    >>> spike = judge(state, 600_000_000, 95.0, config)
    >>> spike.abnormal, spike.direction, round(spike.expected), spike.confidence > 0.75
    (True, 'up', 41, True)
    """
    if not -EXTREME < value < EXTREME:
        if math.isnan(value):
            return None
        value = math.copysign(EXTREME, value)
    elif -TINY < value < TINY:
        value = 0.0
    seen = state.seen
    if seen < WARM_UP:
        _warm_up(state, time_us, value)
        return None
    drift = DAMPING * state.trend
    gap = float(time_us - state.last_us)
    cadence = state.cadence_us
    if gap > GAP * cadence:
        drift = 0.0
        gap = GAP * cadence or gap
    elif gap < 0.0:
        gap = 0.0
    unit = state.unit
    place = math.asinh(value / unit) if unit else value
    off = place - state.mean
    error = place - state.level - drift
    verdict = None
    # Two of three scores below the line put the median below it, so the third one (a sort) is rarely needed.
    line = config.clear_at * config.clear_at
    if off * off > line * state.variance or error * error > line * state.residual or always:
        verdict, off, error = _weigh(state, config, time_us, value, place, off, error, always)
    elif state.run:
        state.run = 0
    moved = MEAN_RATE * off
    state.mean += moved
    state.variance = (1.0 - MEAN_RATE) * (state.variance + off * moved)
    state.level += drift + LEVEL_RATE * error
    state.trend = drift + TREND_RATE * error
    state.residual += RESIDUAL_RATE * (error * error - state.residual)
    ring = state.ring
    change = abs(value - ring[-1])
    if change:
        step = state.step or change
        state.step = step + STEP_RATE * ((change if change < 4.0 * step else 4.0 * step) - step)
    ring.append(value)
    if len(ring) > RING:
        del ring[0]
    state.seen = seen = seen + 1
    state.last_us = time_us
    state.cadence_us = cadence + 0.05 * (gap - cadence)
    if not seen % REVIEW and _review(state):
        _fit(state)
    return verdict


def _warm_up(state: SpikeState, time_us: int, value: float) -> None:
    ring = state.ring
    if ring:
        state.cadence_us += (max(time_us - state.last_us, 0) - state.cadence_us) / len(ring)
    ring.append(value)
    state.last_us = time_us
    state.seen += 1
    if state.seen == WARM_UP:
        changes = sorted([abs(after - before) for before, after in pairwise(ring) if after != before])
        if changes:
            usual = 4.0 * median(changes)
            state.step = math.fsum([min(change, usual) for change in changes]) / len(changes)
        _review(state)
        _fit(state)


def _review(state: SpikeState) -> bool:
    """Decide whether the series spreads by ratio, and with what unit. True when that has changed."""
    ordered = sorted(state.ring)
    centre, low, high = median(ordered), quantile(ordered, 0.1), quantile(ordered, 0.9)
    unit = state.unit
    if unit:
        if ordered[0] <= 0.0 or high < 1.6 * low:
            state.unit = 0.0
        elif not 0.125 < centre / unit < 8.0:
            state.unit = centre
    elif low > 1.0 / EXTREME and high > 2.5 * low and high - centre > 1.2 * (centre - low):
        state.unit = centre
    return state.unit != unit


def _fit(state: SpikeState) -> None:
    """Set the model from the ring, each value taken for at most 3 robust deviations off the median."""
    unit = state.unit
    places = [math.asinh(value / unit) for value in state.ring] if unit else state.ring.tolist()
    ordered = sorted(places)
    centre = median(ordered)
    spread = (quantile(ordered, 0.9) - quantile(ordered, 0.1)) / 2.5631
    reach = 3.0 * max(MAD_TO_SIGMA * median_deviation(ordered, centre), spread)
    places = [min(max(place, centre - reach), centre + reach) for place in places]
    count = len(places)
    mean = math.fsum([place / count for place in places])
    state.mean = mean
    state.variance = math.fsum([(place - mean) * (place - mean) / count for place in places])
    state.level = math.fsum([place / 5.0 for place in places[-5:]])
    state.trend = 0.0
    state.residual = math.fsum(
        [(after - before) * (after - before) / (count - 1) for before, after in pairwise(places)]
    )


def _weigh(
    state: SpikeState,
    config: SpikeConfig,
    time_us: int,
    value: float,
    place: float,
    off: float,
    error: float,
    always: bool,
) -> tuple[Verdict | None, float, float]:
    """The verdict on a suspicious value, and how far it may move the mean and the level."""
    unit, ring = state.unit, state.ring
    ordered = sorted(ring)
    base = median(ordered)
    least = ordered[0]
    floor = max(
        STEP_FLOOR * state.step or abs(value - ring[-1]) / FIRST_STEP,
        config.relative_floor * abs(base),
        config.absolute_floor,
        1e-300,
    )
    if unit:
        floor /= math.hypot(unit, base)
        ordered = [math.asinh(item / unit) for item in ordered]
    centre = median(ordered)
    far = place - centre
    outer = len(ordered) // 10
    tail = ordered[-1 - outer] - centre if far >= 0.0 else centre - ordered[outer]
    mean_scale = max(math.sqrt(state.variance), floor)
    error_scale = max(math.sqrt(state.residual), floor)
    robust_scale = max(MAD_TO_SIGMA * median_deviation(ordered, centre), tail / 1.2816, floor)
    by_mean, by_forecast, by_robust = off / mean_scale, error / error_scale, far / robust_scale

    means, forecasts = (by_mean, place - off, mean_scale), (by_forecast, place - error, error_scale)
    score, middle, scale = sorted([means, forecasts, (by_robust, centre, robust_scale)])[1]
    parts = {"mean": by_mean, "forecast": by_forecast, "robust": by_robust}
    by_edge = (place - (ordered[-1] if far >= 0.0 else ordered[0])) / error_scale
    if by_edge * by_forecast > 0.0 and by_edge * far > 0.0:
        sudden = min(by_edge, by_forecast, key=abs)
        if abs(sudden) > abs(score):
            score, middle, scale = sudden, *forecasts[1:]
            parts["edge"] = by_edge
    habit = state.habit * math.exp((state.habit_seen - state.seen) / HABIT_MEMORY)
    raised = HABIT_RAISE ** max(0.0, habit - HABIT_FREE)
    strength = min(abs(score), SCORE_LIMIT)
    threshold = config.open_at * raised
    if strength >= threshold:
        threshold = outliers.threshold(state.outliers, state.seen, time_us, score, threshold, state.cadence_us)
    abnormal = strength >= threshold
    verdict = None
    if always or strength >= config.clear_at * raised:
        low, high = middle - 2.0 * scale, middle + 2.0 * scale
        if unit:
            low, middle, high = unit * math.sinh(low), unit * math.sinh(middle), unit * math.sinh(high)
        verdict = Verdict(
            score=strength,
            threshold=threshold,
            expected=middle,
            low=max(low, 0.0) if least >= 0.0 else low,
            high=high,
            direction="up" if score >= 0.0 else "down",
            confidence=confidence(strength, threshold, state.seen),
            abnormal=abnormal,
            evidence={name: round(max(-SCORE_LIMIT, min(part, SCORE_LIMIT)), 3) for name, part in parts.items()},
        )

    _run_on(state, config, by_mean)
    if -1 <= state.run <= 1:
        outliers.learn(state.outliers, state.seen, time_us, math.copysign(strength, score))
        if abnormal:
            state.habit, state.habit_seen = habit + 1.0, state.seen
    if abs(state.run) >= ACCEPT_AFTER:
        off = error = _accept(state, value, place)
    off_limit, error_limit = LEARN_LIMIT * mean_scale, LEARN_LIMIT * error_scale
    return verdict, max(-off_limit, min(off, off_limit)), max(-error_limit, min(error, error_limit))


def _run_on(state: SpikeState, config: SpikeConfig, by_mean: float) -> None:
    side = 0 if abs(by_mean) <= config.clear_at else 1 if by_mean > 0.0 else -1
    state.run = state.run + side if state.run * side > 0 else side


def _accept(state: SpikeState, value: float, place: float) -> float:
    """Take the median of the last values for the level; how far `place` is off it."""
    unit = state.unit
    recent = sorted([*state.ring[1 - ACCEPT_AFTER :], value])
    state.mean = state.level = median([math.asinh(item / unit) for item in recent] if unit else recent)
    state.trend, state.run = 0.0, 0
    return place - state.level


def confidence(score: float, threshold: float, seen: int) -> float:
    """How sure a score is: by `KNOTS` of score / threshold, and 1 - 0.3 threshold / score below the threshold.

    A young series has to show more, since its tail is not known: its threshold counts as 2.5 times what it is at first,
    1.6 times after 100 values, as it is from `GROWN` on.

    >>> confidence(5.0, 5.0, 1000), round(confidence(10.0, 5.0, 1000), 2), confidence(5.0, 5.0, 30) < 0.7
    (0.7, 0.81, True)
    """
    strength = score / (threshold * max(1.0, (GROWN / (1 + seen)) ** 0.35))
    if strength < 1.0:
        return 1.0 - 0.3 / strength if strength > 0.3 else 0.0
    return confident(KNOTS, strength)
