"""The multivariate track: series of one component that are each in range, and together odd.

Processor up without the network, memory down while requests rise: the relation between series is broken. Each series
passes a band, the difference of a fast and a slow exponentially weighted mean: what it did in the last minutes against
the last hours, so that neither daily seasons nor walks matter. Of these the track keeps a covariance (two days of
memory; the further off a row is, the less it teaches), and judges a row by

    distance² = z' R⁻¹ z - max z_i²

with z the bands in deviations (shrunk to `IN_RANGE`) and R their correlation: Mahalanobis' distance less what the
oddest series shows on its own, so that an outlier of one series, which other tracks tell of, is none here.

**The threshold is learned from the group**: the distance's maxima by block of `BLOCK` rows follow an extreme value law
(`operators.detect.extremes`), and a row is abnormal beyond what happens once in `return_blocks` blocks. So there is no
verdict in the first day and a half.

`operators.detect.forest` stands beside it, for relations that are not straight; measured side by side there.

It does not work well on relations that are far from linear (the forest is for those), on breaks shorter than some five
minutes or that creep in over hours, nor where the noise of each series hides the relation (then a break is within range
jointly, too). Series beyond the first `MOST` of a group are not looked at.
"""

import math
from collections.abc import Mapping

import msgspec

from operators.detect.bands import Channel, channel_at, move
from operators.detect.extremes import extreme
from operators.detect.matrices import inverted
from operators.detect.verdict import Verdict

MOST = 16
"""Series of a group that are judged together."""

MINUTE_US = 60_000_000.0
"""The cadence that is expected to begin with."""

FAST_US = 6.2 * MINUTE_US
"""Memory of the fast mean, at least one row and a half."""

SLOW_US = 240.0 * MINUTE_US
"""Memory of the slow mean, at least 48 rows."""

LONG_US = 2880.0 * MINUTE_US
"""Memory of the covariance, at least 480 rows."""

RIDGE = 0.005
"""Added to each correlation with oneself: two copies of a series are not judged by their last digits."""

REFRESH = 30
"""Rows between two inversions of the covariance."""

YOUNG = 720
"""Rows that a series must have been seen before it is judged with the others: half a day."""

BLOCK = 60
"""Rows in a block."""

BLOCKS = 168
"""Maxima that are remembered: a week of hours."""

LEAST_BLOCKS = 24
"""Maxima before the first judgement."""

GAP = 10.0
"""Usual intervals without a row after which the means start anew."""

REST = 60
"""Rows after such a start, or after a series left, without judgement."""

IN_RANGE = 5.0
"""Deviations of a band beyond which a series is out of range by itself. The whole row is shrunk to have none beyond:
its shape is kept, and a far outlier is not spread over the others by each accidental correlation."""

HOLD = 3
"""Rows for which a series that is missing keeps its band."""

ACCEPT_AFTER = 240
"""Abnormal rows in a row after which the new relation is learned with full weight: it has come to stay."""

SCORE_LIMIT = 1e6
"""Greatest score: beyond it says nothing more."""


class MultivariateConfig(msgspec.Struct, frozen=True):
    """How ready the track is to speak.

    `return_blocks`: a row is abnormal beyond what the group's own history reaches once in so many blocks (hours at one
    row a minute). `least`: no distance below this is, whatever history says. `clear_share`: share of the threshold
    below which a row is plainly normal.
    """

    return_blocks: float = 30_000.0
    least: float = 5.0
    clear_share: float = 0.7


class MultivariateState(
    msgspec.Struct,
    rename={
        "rows": "n",
        "last_us": "t",
        "cadence_us": "c",
        "settled_us": "s",
        "channels": "h",
        "covariance": "v",
        "deviations": "d",
        "inverse": "p",
        "active": "a",
        "rest": "r",
        "run": "u",
        "peak": "k",
        "odd": "o",
        "maxima": "m",
        "threshold": "x",
    },
):
    """What the track knows of one group: about 1.5 KB and 0.2 KB a series as msgpack.

    `covariance` is the full matrix of the bands, row by row; `inverse` (of the correlation) and `deviations` are of the
    `active` channels as of the last refresh. `peak` is the block's greatest distance so far, `odd`
    counts blocks in a row that were beyond the threshold. `settled_us` is the
    cadence at which `maxima` were found. `threshold` is 0 until there are enough of them.
    """

    rows: int = 0
    last_us: int = 0
    cadence_us: float = MINUTE_US
    settled_us: float = 0.0
    channels: list[Channel] = []
    covariance: list[list[float]] = []
    deviations: list[float] = []
    inverse: list[list[float]] = []
    active: list[int] = []
    rest: int = REST
    run: int = 0
    peak: float = 0.0
    odd: int = 0
    maxima: list[float] = []
    threshold: float = 0.0


def advance(
    state: MultivariateState,
    time_us: int,
    values: Mapping[str, float],
    config: MultivariateConfig,
    always: bool = False,
) -> Verdict | None:
    """Judge a row by what came before it, then learn it. None means plainly normal, or nothing to say yet.

    Values that are not numbers count as missing, rows that are not newer than the last are ignored. A series that
    misses a few rows keeps its band; while a judged one is missing for longer there is no verdict. `expected`, `low`
    and `high` are of the fast mean of the series with the greatest share, given the others. With `always` each judged
    row gets a verdict. Evidence: `series` (that one), `value` (its fast mean), `contributors` (shares of the distance,
    by leaving each series out).

    >>> import random
    >>> rnd, state, config = random.Random(1), MultivariateState(), MultivariateConfig()
    >>> load, said = 0.0, []
    >>> for minute in range(2600):
    ...     load = 0.97 * load + rnd.gauss(0, 1)
    ...     cpu = 0.0 if 2500 <= minute < 2520 else load
    ...     row = {"cpu": 50 + cpu + rnd.gauss(0, 0.3), "net": 9 * load + rnd.gauss(0, 3), "disk": rnd.gauss(0, 1)}
    ...     if minute == 2500:
    ...         load = 5.0
    ...     verdict = advance(state, minute * 60_000_000, row, config)
    ...     said += [minute] if verdict and verdict.abnormal else []
    >>> 2500 < said[0] < 2510
    True
    """
    gap = float(time_us - state.last_us)
    if state.rows and gap <= 0.0:
        return None
    state.rows += 1
    _pace(state, gap if state.rows > 1 else state.cadence_us)
    state.last_us = time_us
    cadence = state.cadence_us
    fast_rate, slow_rate = min(cadence / FAST_US, 0.67), min(cadence / SLOW_US, 1.0 / 48.0)
    # A break must not become what is usual while it lasts.
    _take(state, values, fast_rate, 0.0 if 0 < state.run <= ACCEPT_AFTER else slow_rate)
    if not state.rows % REFRESH:
        _refresh(state)
    bands = [channel.fast - channel.slow for channel in state.channels]
    verdict, whole = None, 0.0
    if len(state.active) > 1 and not state.rest and _present(state):
        verdict, whole = _weigh(state, bands, config, always)
    else:
        state.rest = max(state.rest - 1, 0)
        state.run = 0
    _learn(state, bands, min(cadence / LONG_US, 1.0 / 480.0), whole)
    if not state.rows % BLOCK:
        _close_block(state, config)
    return verdict


def _pace(state: MultivariateState, gap: float) -> None:
    """Learn the cadence; start the means anew after a gap, and the maxima at another cadence."""
    cadence = state.cadence_us
    if gap > GAP * cadence:
        for channel in state.channels:
            channel.anew = True
        state.rest = REST
    near = max(0.1 * cadence, min(gap, 4.0 * cadence))
    state.cadence_us = cadence + max(0.05, 1.0 / state.rows) * (near - cadence)
    if not 0.5 < state.cadence_us / (state.settled_us or 1.0) < 2.0:
        state.settled_us = state.cadence_us
        state.maxima, state.peak, state.threshold, state.rest = [], 0.0, 0.0, REST


def _take(state: MultivariateState, values: Mapping[str, float], fast_rate: float, slow_rate: float) -> None:
    """Move the means of the series that are there; new ones join, and those long away leave."""
    rows = state.rows
    gone = []
    for index, channel in enumerate(state.channels):
        value = values.get(channel.name, math.nan)
        if math.isnan(value):
            if rows - channel.last > BLOCK:
                gone.append(index)
            continue
        move(channel, rows, value, fast_rate, slow_rate, channel.anew or rows - channel.last > GAP)
    for index in reversed(gone):
        _leave(state, index)
    if len(values) > len(state.channels) - len(gone):
        known = {channel.name for channel in state.channels}
        for name, value in values.items():
            if name not in known and len(state.channels) < MOST and not math.isnan(value):
                state.channels.append(channel_at(name, rows, value))
                for line in state.covariance:
                    line.append(0.0)
                state.covariance.append([0.0] * len(state.channels))


def _leave(state: MultivariateState, index: int) -> None:
    del state.channels[index]
    del state.covariance[index]
    for line in state.covariance:
        del line[index]
    was_judged = index in state.active
    state.active, state.deviations, state.inverse = [], [], []
    _refresh(state, keep=was_judged)
    state.rest = max(state.rest, HOLD)


def _present(state: MultivariateState) -> bool:
    oldest = state.rows - HOLD
    return all(state.channels[index].last >= oldest for index in state.active)


def _refresh(state: MultivariateState, keep: bool = False) -> None:
    """Choose the series that are judged together, and invert their correlation. A new one makes the maxima void."""
    covariance = state.covariance
    active = [
        index
        for index, channel in enumerate(state.channels)
        if channel.seen >= YOUNG and covariance[index][index] > 1e-290
    ]
    if len(active) > len(state.active) and not keep:
        state.maxima, state.peak, state.threshold = [], 0.0, 0.0
    # A series that rests and jumps may be off by half a jump without anything being amiss.
    halves = [state.channels[index].rests * state.channels[index].step / 2.0 for index in active]
    deviations = [math.hypot(math.sqrt(covariance[i][i]), half) for i, half in zip(active, halves, strict=True)]
    correlation = [
        [covariance[i][j] / one / two if i != j else 1.0 for j, two in zip(active, deviations, strict=True)]
        for i, one in zip(active, deviations, strict=True)
    ]
    state.active, state.deviations = active, deviations
    state.inverse = inverted(correlation, RIDGE)


def _weigh(
    state: MultivariateState, bands: list[float], config: MultivariateConfig, always: bool
) -> tuple[Verdict | None, float]:
    """The verdict on a row, and Mahalanobis' squared distance of it."""
    inverse, deviations = state.inverse, state.deviations
    places = [bands[index] / scale for index, scale in zip(state.active, deviations, strict=True)]
    furthest = max(*places, -min(places))
    if furthest > IN_RANGE:
        shrink = IN_RANGE / furthest
        places = [shrink * place for place in places]
    pulls = [sum([weight * place for weight, place in zip(line, places, strict=True)]) for line in inverse]
    whole = max(sum([pull * place for pull, place in zip(pulls, places, strict=True)]), 0.0)
    alone = max([place * place for place in places])
    distance = math.sqrt(max(whole - alone, 0.0))
    threshold = state.threshold
    abnormal = bool(threshold) and distance >= threshold
    state.peak = max(state.peak, min(distance, SCORE_LIMIT))
    state.run = state.run + 1 if abnormal else 0
    if not threshold or (distance < config.clear_share * threshold and not always):
        return None, whole
    # Leaving series i out lowers the squared distance by pull² / inverse[i][i].
    drops = [pull * pull / line[i] for i, (pull, line) in enumerate(zip(pulls, inverse, strict=True))]
    total = math.fsum(drops) or 1.0
    ranked = sorted(range(len(drops)), key=lambda i: -drops[i])
    top = ranked[0]
    channel = state.channels[state.active[top]]
    scale = deviations[top]
    expected = channel.fast - scale * pulls[top] / inverse[top][top]
    spread = 2.0 * scale / math.sqrt(inverse[top][top])
    shares = [(state.channels[state.active[i]].name, drops[i] / total) for i in ranked[:5]]
    score = min(distance, SCORE_LIMIT)
    verdict = Verdict(
        score=score,
        threshold=threshold,
        expected=expected,
        low=expected - spread,
        high=expected + spread,
        direction="up" if pulls[top] >= 0.0 else "down",
        confidence=max(0.0, 1.0 - 0.3 * threshold / score) if score else 0.0,
        abnormal=abnormal,
        evidence={
            "series": channel.name,
            "value": channel.fast,
            "contributors": ", ".join([f"{name} {share:.2f}" for name, share in shares if share >= 0.05]),
            "mahalanobis": round(min(math.sqrt(whole), SCORE_LIMIT), 3),
            "alone": round(min(math.sqrt(alone), SCORE_LIMIT), 3),
            "series_judged": len(places),
        },
    )
    return verdict, whole


def _learn(state: MultivariateState, bands: list[float], rate: float, whole: float) -> None:
    """Move the covariance: a row far off teaches less, unless it has been so for long."""
    weight = 1.0
    if whole:
        weight = min(1.0, 3.0 * len(state.active) / whole)
    if state.run > ACCEPT_AFTER:
        weight = 4.0
    rows = state.rows
    channels, covariance = state.channels, state.covariance
    for i, channel in enumerate(channels):
        if channel.last != rows:
            continue
        one, seen, line = bands[i], channel.seen, covariance[i]
        for j in range(i + 1):
            other = channels[j]
            if other.last == rows:
                share = weight * max(rate, 1.0 / (min(seen, other.seen) + 1))
                line[j] += share * (one * bands[j] - line[j])
                covariance[j][i] = line[j]


def _close_block(state: MultivariateState, config: MultivariateConfig) -> None:
    # What is beyond the threshold must not raise it, unless it has been so for a day.
    odd = bool(state.threshold) and state.peak >= state.threshold
    state.odd = state.odd + 1 if odd else 0
    if state.peak and (not odd or state.odd >= LEAST_BLOCKS):
        state.maxima.append(state.peak)
        del state.maxima[:-BLOCKS]
    state.peak = 0.0
    if len(state.maxima) >= LEAST_BLOCKS:
        state.threshold = min(max(config.least, extreme(state.maxima, config.return_blocks)), SCORE_LIMIT)
