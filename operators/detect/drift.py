"""The drift track: a series has a new level, or another spread, and keeps it.

Values are averaged into blocks (a minute, or one value where they are rarer), freed of the daily and weekly season
once there is one to see, and whitened by an autoregression of order one; what is left, z, is what the series did that
its own past did not announce. Two ADWINs (`adwin.py`) watch: one z at .002 (a level), one the size of steps from block
to block over sqrt 2 at 1e-4 (a spread or shape at equal mean; |z| itself would grow with a new level and shrink with a
new fit, and z at 1e-4 would say nothing that z at .002 has not said). On autocorrelated values ADWIN alone tells
changes that are none, and a random walk has no level at all, so a cut is told only if

- it is **material**: at least one deviation of single values and `relative_floor` of the level (spread: factor 1.5);
- it leads **where the series has not been**: the median of the last 12 blocks, or a slower level, lies outside
  everything that it has been in about the last week, by a quarter of that range; while no week is known by half of it,
  or all of it if there is a season. So the way back to a known level is no drift, nor is a weekend, a burst or a
  sawtooth. (What lies out by a whole range and `FAR_SIZE` deviations needs no cut: autocorrelation hides it.)
- it **lasts**: `LEAST_BLOCKS` blocks and half an hour.

Each drift told raises the bar for the next one (`HABIT_RAISE`). A drift is an event: abnormal once, then neither
until the series has settled at the new level, which is the reference from then on.

It does not work well on shifts of less than the range of a series that wanders (a random walk has to leave its own
week) or of a strong season, on those shorter than half an hour, and not at all in the first day. A series that starts
on a quiet weekend drifts on its first Monday. A slow ramp is `trend`'s; a spread that drops to nothing is `flatline`'s.
"""

import math
from itertools import pairwise

from operators.detect.adwin import Adwin, add, drop, look
from operators.detect.drift_state import LEAST_BLOCKS, DriftConfig, DriftState, View
from operators.detect.levels import Range, expect, extend, learn, shift
from operators.detect.stats import median
from operators.detect.verdict import Verdict
from operators.detect.whitening import Model, move, start, surprise
from operators.floats import Floats, floats

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

BLOCK_US = 60_000_000
"""Values are averaged over a minute: fast series cost and remember no more than slow ones."""

DELTA_LEVEL = 0.002
"""ADWIN's confidence for the level."""

DELTA_SPREAD = 1e-4
"""ADWIN's confidence for the size of steps, whose tail is heavier."""

WARM_UP = 24
"""Blocks before a model is made, and again before it is used."""

WITHIN_RATE = 0.01
"""Learning rate of the spread within blocks."""

WIDTH = 2048
"""Blocks in an ADWIN at most: a day and a half of minutes, three months of hours."""

CLIP = 4.0
"""Deviations beyond which an innovation counts no more: one value must not widen ADWIN's bound for days."""

LASTS_US = HOUR_US // 2
"""A drift lasts this long before it is told."""

SILENT_US = DAY_US
"""Nothing is said before this age."""

YOUNG_US = 5 * DAY_US // 2
"""Before this age it is unknown whether there is a season, and the track is very reluctant."""

WEEK_US = 8 * DAY_US
"""From this age a weekly season is known as well, and a range is remembered for as long as this."""

SQRT_HALF = math.sqrt(0.5)
"""Makes a difference of two values comparable with one of them."""

USUAL_NOISE = 0.7979
"""Mean of |z| for Gaussian values: sqrt(2 / pi)."""

SPREAD_FLOOR = 0.1
"""Least margin on the logarithm of the spread."""

SPREAD_UP, SPREAD_DOWN = 1.5, 0.5
"""Factors by which a spread must have changed."""

HABIT_RAISE = 1.5
"""Factor on the bar for each drift told before."""

HABIT_US = 14.0 * DAY_US
"""Time after which a drift weighs 1/e in the habit."""

MARGIN, MARGIN_PLAIN, MARGIN_SEASON = 0.25, 0.5, 1.0
"""How far outside its range a level must be, in ranges: with a week known; before, without a season, or with one (or
while that is unknown)."""

CUT = 1.25
"""ADWIN's bound counts as so many times what it is: a random walk just passes it now and then."""

FAR_SIZE = 6.0
"""A shift of so many deviations, a whole range outside the range, needs no cut to be told."""

SLOW = 1.0 / 48.0
"""Learning rate of the slow level and of the spread: what autocorrelation blurs in 12 blocks shows in a hundred."""

EXTREME = 1e140
"""Values beyond are judged as this."""

SCORE_LIMIT = 1e6
"""Greatest score."""


def judge(state: DriftState, time_us: int, value: float, config: DriftConfig, always: bool = False) -> Verdict | None:
    """Judge `value` together with its block by what came before, then learn it. None means plainly normal.

    `time_us` is the event time in µs since the epoch; a value that is not a number is ignored. With `always` each value
    past the warm-up gets a verdict. `expected`, `low` and `high` are of before the change; `evidence` has `kind`
    (`mean` or `spread`), `old`, `new`, `since_us` (estimated) and the parts of the score.
    """
    if not -EXTREME < value < EXTREME:
        if math.isnan(value):
            return None
        value = math.copysign(EXTREME, value)
    count = state.count
    if not state.cadence_us and not count:
        state.first_us = state.fresh_us = state.last_us = time_us
    gap = float(time_us - state.last_us)
    state.last_us = time_us
    cadence = state.cadence_us
    verdict = None
    if gap > 0.0:
        if cadence:
            if gap > 5.0 * cadence and gap > BLOCK_US:
                # What came before the gap says nothing of what comes after it.
                if count:
                    verdict = _close(state, time_us, config)
                    count = 0
                if state.model is not None:
                    state.model.previous = None
            state.cadence_us = cadence = cadence + 0.05 * ((gap if gap < 3.0 * cadence else 3.0 * cadence) - cadence)
        else:
            state.cadence_us = cadence = gap
    if not count:
        state.start_us = time_us
        state.block = value
        state.squares = 0.0
        state.count = 1
    else:
        state.count = count + 1
        off = value - state.block
        state.block += off / (count + 1)
        state.squares += off * (value - state.block)
    if time_us - state.start_us + 0.5 * cadence >= BLOCK_US:
        verdict = _close(state, time_us, config) or verdict
        state.count = 0
    if verdict is None and (state.told or always) and state.model is not None:
        return _held(state)
    return verdict


def _close(state: DriftState, now: int, config: DriftConfig) -> Verdict | None:
    """The open block is complete: judge it, learn it."""
    value, season = state.block, state.season
    if state.count > 1:
        spread = math.sqrt(state.squares / (state.count - 1))
        state.within = state.within + WITHIN_RATE * (spread - state.within) if state.within else spread
    if learn(season, state.start_us, value):
        _restart(state, now)
        state.quick_range, state.slow_range = Range(), Range()
    elif state.model is not None and not 0.6 < state.cadence_us / state.usual_us < 1.7:
        _restart(state, now)
        state.spread_range = Range()
    guess = expect(season, state.start_us) if season.on else 0.0
    residual = value if guess is None else value - guess
    _keep(state.values, value, LEAST_BLOCKS)
    _keep(state.recent, residual, LEAST_BLOCKS if state.model is not None else WARM_UP)
    model = state.model
    if model is None:
        if len(state.recent) == WARM_UP:
            model = state.model = start(state.recent)
            state.slow = model.mean
            steps = sorted([abs(after - before) for before, after in pairwise(state.recent)])
            state.spread = state.unit = max(median(steps) * SQRT_HALF / 0.8453, USUAL_NOISE * 0.1 * model.sigma)
            state.usual_us = state.cadence_us or 1.0
            state.recent = state.recent[-LEAST_BLOCKS:]
        return None
    if model.previous is not None:
        step = abs(residual - model.previous) * SQRT_HALF
        _put(state.spread_window, min(step / state.unit, CLIP))
        state.spread += SLOW * (min(step, CLIP * max(state.spread, state.unit)) - state.spread)
    # What may be a new level must not be learned as autocorrelation, which would hide it.
    z = surprise(model, residual, learning=not (state.quick_us or state.slow_us))
    if z is not None:
        _put(state.level_window, -CLIP if z < -CLIP else CLIP if z > CLIP else z)
    return _weigh(state, model, now, config) if model.seen >= 2 * WARM_UP else None


def _put(window: Adwin, value: float) -> None:
    add(window, value)
    if window.width > WIDTH:
        drop(window)


def _keep(ring: Floats, value: float, size: int) -> None:
    ring.append(value)
    if len(ring) > size:
        del ring[0]


def _restart(state: DriftState, now: int) -> None:
    """The values mean something else from now on: another cadence, another season."""
    state.fresh_us, state.model, state.recent = now, None, floats()
    state.level_window, state.spread_window = Adwin(), Adwin()
    state.quick_us = state.slow_us = state.spread_us = 0
    state.score = 0.0


def _weigh(state: DriftState, model: Model, now: int, config: DriftConfig) -> Verdict | None:
    pace = max(state.cadence_us, float(BLOCK_US))
    level = median(sorted(state.recent))
    raw = median(sorted(state.values)) if state.season.on else level
    state.slow += SLOW * (level - state.slow)
    view = View(
        now=now,
        pace=pace,
        bar=config.bar * HABIT_RAISE ** (state.habit * math.exp((state.habit_us - now) / HABIT_US)),
        margin=_margin(state.season.on, now - state.fresh_us, now - state.first_us),
        floor=max(config.relative_floor * abs(raw), config.absolute_floor, 1e-300),
        deviation=math.hypot(state.within, math.sqrt(model.cov0)),
        level=level,
        raw=raw,
        spread=math.log(max(state.spread, 1e-300)),
    )
    state.score = 0.0
    verdict = None
    if state.told:
        settled = abs(raw - state.told_level) <= 2.0 * view.deviation or now - state.held_us > DAY_US
        if now >= state.held_us and (settled or state.told == "spread"):
            state.told = ""
    elif now - state.first_us >= SILENT_US:
        verdict = _level(state, model, view) or _spread(state, view)
    reach = int(WEEK_US / pace)
    extend(state.raw_range, raw, reach)
    extend(state.quick_range, level, reach)
    extend(state.slow_range, state.slow, reach)
    extend(state.spread_range, view.spread, reach)
    return verdict


def _margin(season: bool, fresh: int, age: int) -> float:
    if fresh >= WEEK_US:
        return MARGIN
    return MARGIN_SEASON if season or age < YOUNG_US else MARGIN_PLAIN


def _since(since_us: int, outside: float, view: View) -> int:
    """Since when it is outside; what is not told within a day, or some hundred blocks, belongs to the range."""
    if not outside:
        return 0
    return since_us if since_us and view.now - since_us < max(DAY_US, 96 * view.pace) else view.now


def _level(state: DriftState, model: Model, view: View) -> Verdict | None:
    """Is the level out of its range, materially, lastingly, and is there a cut?"""
    season = state.season
    # Nearly always it is within both, and the rest need not be known.
    if (
        view.is_outside(state.quick_range, view.level, state.quick_us) is False
        and view.is_outside(state.slow_range, state.slow, state.slow_us) is False
    ):
        state.quick_us = state.slow_us = 0
        return None
    quick = view.outside(state.quick_range, view.level, state.quick_us)
    slow = view.outside(state.slow_range, state.slow, state.slow_us)
    raw = view.outside(state.raw_range, view.raw, state.quick_us or state.slow_us)
    if quick is None or slow is None:
        # Nothing is known of before the excursion.
        state.quick_us = state.slow_us = 0
        return None
    raw = raw or (0.0, view.raw, view.raw, view.raw)
    state.quick_us = _since(state.quick_us, quick[0], view)
    state.slow_us = _since(state.slow_us, slow[0], view)
    if season.on and view.now - state.fresh_us < WEEK_US and not raw[0]:
        return None
    floor = max(view.floor, 0.25 * view.deviation)
    place, range_, (outside, low, old, high), since = max(
        (abs(found[0]) / (view.margin * (found[3] - found[1]) + floor), found[3] - found[1], found, since)
        for found, since in ((quick, state.quick_us), (slow, state.slow_us))
    )
    by = view.level - old
    place, size = place / view.bar, abs(by) / max(view.floor, view.deviation) / view.bar
    if place < 1.0 or size < 1.0 or (by > 0.0) != (outside > 0.0):
        state.score = min(place, size, 0.99)
        return None
    cut = look(state.level_window, DELTA_LEVEL)
    known_cut = cut.ratio / CUT / view.bar if cut is not None and (cut.new > cut.old) == (outside > 0.0) else 0.0
    if abs(outside) >= range_ * view.bar:
        known_cut = max(known_cut, size / FAR_SIZE)
    score = state.score = min(place, size, known_cut, SCORE_LIMIT)
    if score < 1.0 or view.now - since < max(LASTS_US, LEAST_BLOCKS * view.pace):
        state.score = min(score, 0.99)
        return None
    base = view.raw - view.level
    parts = {"outside": round(place, 3), "size": round(size, 3), "cut": round(known_cut, 3)}
    verdict = _verdict(state, view, "mean", (base + low, base + old, base + high), view.raw, since, parts)
    # The new level is the reference, and both levels are known: neither staying nor going back is another drift.
    for kept, found, moved in (
        (state.raw_range, raw, by),
        (state.quick_range, quick, -by if season.on else by),
        (state.slow_range, slow, -by if season.on else by),
    ):
        kept.lows[-1] = min(kept.lows[-1], found[1] + moved)
        kept.highs[-1] = max(kept.highs[-1], found[3] + moved)
    if season.on:
        shift(season, by)
        state.recent = floats([item - by for item in state.recent])
        if model.previous is not None:
            model.previous -= by
    else:
        move(model, by)
        state.slow = view.level
    return verdict


def _spread(state: DriftState, view: View) -> Verdict | None:
    """The same questions of the spread, on a logarithmic scale."""
    if view.is_outside(state.spread_range, view.spread, state.spread_us) is False:
        state.spread_us = 0
        return None
    known = view.outside(state.spread_range, view.spread, state.spread_us)
    if known is None:
        state.spread_us = 0
        return None
    outside, low, old, high = known
    state.spread_us = _since(state.spread_us, outside, view)
    place = abs(outside) / (view.margin * (high - low) + SPREAD_FLOOR) / view.bar
    size = (view.spread - old) / math.log(SPREAD_UP if view.spread > old else SPREAD_DOWN) / view.bar
    if place < 1.0 or size < 1.0:
        state.score = max(state.score, min(place, size, 0.99))
        return None
    cut = look(state.spread_window, DELTA_SPREAD)
    known_cut = cut.ratio / CUT / view.bar if cut is not None and (cut.new > cut.old) == (outside > 0.0) else 0.0
    score = state.score = min(place, size, known_cut, SCORE_LIMIT)
    if score < 1.0 or view.now - state.spread_us < max(LASTS_US, LEAST_BLOCKS * view.pace):
        state.score = min(score, 0.99)
        return None
    factor = math.exp(min(view.spread - old, 690.0))
    parts = {"outside": round(place, 3), "size": round(size, 3), "cut": round(known_cut, 3), "factor": round(factor, 3)}
    bounds = (math.exp(low), math.exp(old), math.exp(high))
    verdict = _verdict(state, view, "spread", bounds, math.exp(view.spread), state.spread_us, parts)
    kept = state.spread_range
    kept.lows[-1], kept.highs[-1] = min(kept.lows[-1], view.spread), max(kept.highs[-1], view.spread)
    return verdict


def _verdict(
    state: DriftState,
    view: View,
    kind: str,
    before: tuple[float, float, float],
    new: float,
    since: int,
    parts: dict[str, float],
) -> Verdict:
    """The verdict of a drift; the state goes on from the new level."""
    low, old, high = before
    now = view.now
    lag = int(LEAST_BLOCKS // 2 * view.pace)
    state.habit = state.habit * math.exp((state.habit_us - now) / HABIT_US) + 1.0
    state.habit_us, state.told, state.told_level = now, kind, view.raw
    state.held_us = now + int(max(LASTS_US, LEAST_BLOCKS * view.pace))
    state.quick_us = state.slow_us = state.spread_us = 0
    state.level_window, state.spread_window = Adwin(), Adwin()
    return Verdict(
        score=state.score,
        threshold=1.0,
        expected=old,
        low=min(low, old),
        high=max(high, old),
        direction="up" if new > old else "down",
        confidence=min(1.0 - 0.3 / state.score, 0.85 if now - state.first_us < YOUNG_US else 0.98),
        abnormal=True,
        evidence={"kind": kind, "old": old, "new": new, "since_us": since - lag, **parts},
    )


def _held(state: DriftState) -> Verdict:
    """Neither normal nor a reason to open: the series has yet to settle, or a score was asked for."""
    expected = state.told_level if state.told else state.block
    score = min(state.score, 1.0)
    return Verdict(score, 1.0, expected, expected, expected, "up", 0.0, False, {"kind": state.told or "none"})
