"""The forest track: rows of a component's series that hardly ever came together, whatever shape their relation has.

Beside `operators.detect.multivariate`, which knows straight relations only: a delay that rises once a queue is full, or
two series that go together by day and against each other by night. Each value becomes its rank among the series' own
values of about a week, so that series are comparable and an outlier of one is no more than its greatest value. In the
space of ranks stand half-space trees (`operators.detect.halfspaces`, River's `anomaly.HalfSpaceTrees` in flat lists),
and a row's score is its **surprise**: -log₂ of the share of the last days that fell into the same leaf, in bits, as a
mean over the trees and over the last five minutes or so.

River scores by masses down to the first level that holds under a tenth of a window, with ranks the third or fourth,
and forgets the window before the last. Here the leaf's mass alone counts, by its log, and the past fades by `KEEP` a
window. On 16 groups, each at the lowest threshold without a false alarm, River's score on ranks of two days found 30 %
of the breaks of related series, the log 53 %, its mean over five minutes 72 %, and 76 % on ranks of eight days.

**The threshold is learned from the group** as that of multivariate is: maxima of blocks, an extreme value law, and what
happens by accident once in `return_blocks` blocks. The law is Gumbel's: surprise is the log of a probability, and
bounded, so its tail is no heavier. The first verdict comes after two and a half days.

Measured with default settings on 27 synthetic groups of 3 to 6 series by the minute, two weeks each, with 18 faults of
20 to 60 minutes (a series swapped for its values of another time, frozen, or mirrored; two or three shifted together by
2.5 deviations); recall in %, n = 486 faults:

=================================== ====== ============ ======
groups                              forest multivariate either
=================================== ====== ============ ======
related, straight (linear, t3)          42           55     61
related, bent or of two regimes         52           19     52
seasons, weeks, counts, no relation      6           12     13
=================================== ====== ============ ======

The median delay was 8 minutes (multivariate: 5). On the same groups without faults it opened nothing in 310 group-days
(multivariate: 2), and on walks, bursts, nightly jobs, mostly-zero, quantised and other backgrounds 2 in 736. At six
series a row costs 63 µs (multivariate: 89), one that is near the threshold about 1 ms, and the state 16 KB.

It does not work well on series without a relation, on a series that freezes (it is still where it often is), on breaks
shorter than some five minutes, nor in large groups, for the score is a mean over trees of which few ask the series at
fault: of 36 breaks of a bent relation of three series it found 27 beside one series that has nothing to do with them, 7
beside five, none beside nine. A group whose series come and go has no forest, since each change plants it anew. Series
beyond the first `MOST` of a group are not looked at.
"""

import math
from collections.abc import Mapping

import msgspec

from operators.detect.extremes import extreme
from operators.detect.halfspaces import forest, leaves, surprise
from operators.detect.ranks import Axis, axis_at, take
from operators.detect.stats import median, quantile
from operators.detect.verdict import Verdict

MOST = 16
"""Series of a group that are judged together."""

TREES, HEIGHT, SEED = 16, 8, 1
"""The forest."""

MINUTE_US = 60_000_000.0
"""The cadence that is expected to begin with."""

WINDOW_US = 1440.0 * MINUTE_US
"""A window of masses, within `WINDOW_ROWS`: what came within it is judged by what came before it."""

WINDOW_ROWS = (240, 2880)
"""Least and most rows of a window."""

KEEP = 0.8
"""What is left of the masses of the past after another window: their memory is five windows."""

SMOOTH_US = 5.0 * MINUTE_US
"""Memory of the score, at least three rows."""

YOUNG = 720
"""Rows that a series must have been seen before it is judged with the others: half a day."""

BLOCK = 60
"""Rows in a block."""

BLOCKS = 168
"""Maxima that are remembered: a week of hours."""

LEAST_BLOCKS = 24
"""Maxima before the first judgement."""

GAP = 10.0
"""Usual intervals without a row after which the score starts anew."""

REST = 15
"""Rows after such a start without judgement."""

HOLD = 3
"""Rows for which a series that is missing keeps its rank."""

ACCEPT_AFTER = 240
"""Abnormal rows in a row after which they are learned like others: it has come to stay."""

PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Ranks at which a series is tried, to find what would have gone with the others."""


class ForestConfig(msgspec.Struct, frozen=True):
    """How ready the track is to speak.

    `enabled`: whether it runs at all. `return_blocks`: a row is abnormal beyond what the group's own history reaches
    once in so many blocks (hours at one row a minute). `least`: no surprise below this is, in bits; `HEIGHT` is that of
    an even spread. `clear_share`: a row is plainly normal below this part of the way from the usual hourly
    maximum to the threshold.
    """

    enabled: bool = True
    return_blocks: float = 10_000.0
    least: float = float(HEIGHT)
    clear_share: float = 0.5


class ForestState(
    msgspec.Struct,
    rename={
        "rows": "n",
        "last_us": "t",
        "cadence_us": "c",
        "settled_us": "s",
        "axes": "h",
        "chosen": "a",
        "masses": "v",
        "weight": "w",
        "latest": "l",
        "filled": "f",
        "score": "y",
        "rest": "r",
        "run": "u",
        "peak": "k",
        "odd": "o",
        "maxima": "m",
        "clear": "q",
        "threshold": "x",
    },
):
    """What the track knows of one group: about 13 KB, and 1.2 KB a series, as msgpack.

    `chosen` are the names of the series that the trees are over. `masses` are those of the past by tree and leaf, of
    `weight` rows in all (0: no window is full yet), `latest` those of the window that is being filled. `peak` is the
    block's greatest score so far, `odd` counts blocks in a row that were beyond the threshold. `settled_us` is the
    cadence at which `maxima` were found. `threshold` is 0 until there are enough of them.
    """

    rows: int = 0
    last_us: int = 0
    cadence_us: float = MINUTE_US
    settled_us: float = 0.0
    axes: list[Axis] = []
    chosen: list[str] = []
    masses: list[list[int]] = []
    weight: int = 0
    latest: list[list[int]] = []
    filled: int = 0
    score: float = 0.0
    rest: int = REST
    run: int = 0
    peak: float = 0.0
    odd: int = 0
    maxima: list[float] = []
    clear: float = 0.0
    threshold: float = 0.0


def advance(
    state: ForestState, time_us: int, values: Mapping[str, float], config: ForestConfig, always: bool = False
) -> Verdict | None:
    """Judge a row by what came before it, then learn it. None means plainly normal, or nothing to say yet.

    Values that are not numbers count as missing, rows that are not newer than the last are ignored. A series that
    misses a few rows keeps its rank; while a judged one is missing for longer there is no verdict, and once it is gone
    the forest is planted anew. A series of which half the values are the same is not judged. `expected`, `low` and
    `high` are of the series with the greatest share, given the others. With `always` each judged row gets a verdict.
    Evidence: `series` (that one), `value`, `contributors` (shares, by how much less surprising the row would be with
    each series at its best), `bits` (the row's own surprise, before the mean over time).

    >>> import random
    >>> rnd, state, config = random.Random(1), ForestState(), ForestConfig()
    >>> load, said = 0.0, []
    >>> for minute in range(5040):
    ...     load = 0.97 * load + rnd.gauss(0, 0.25)
    ...     delay = max(load, 0.0) if not 5000 <= minute else 1.5
    ...     row = {"rps": load + rnd.gauss(0, 0.1) - (1.5 if minute >= 5000 else 0.0), "ms": delay + rnd.gauss(0, 0.1)}
    ...     verdict = advance(state, minute * 60_000_000, row, config)
    ...     said += [minute] if verdict and verdict.abnormal else []
    >>> 5000 < said[0] < 5015
    True
    """
    gap = float(time_us - state.last_us)
    if state.rows and gap <= 0.0:
        return None
    state.rows += 1
    _pace(state, gap if state.rows > 1 else state.cadence_us)
    state.last_us = time_us
    gone = _rank(state, time_us, values)
    if state.chosen and gone:
        _choose(state)
    verdict = None
    ranks = _row(state)
    if ranks:
        trees = forest(len(ranks), TREES, HEIGHT, SEED)
        fallen = leaves(trees, HEIGHT, ranks)
        if state.weight:
            bits = surprise(state.masses, state.weight, fallen)
            rate = min(state.cadence_us / SMOOTH_US, 1.0 / 3.0)
            state.score = state.score + rate * (bits - state.score) if state.score else bits
            if state.rest:
                state.rest -= 1
            else:
                verdict = _weigh(state, values, ranks, bits, always)
        # A break must not become what is usual while it lasts.
        if not 0 < state.run <= ACCEPT_AFTER:
            _learn(state, fallen)
    else:
        state.run = 0
        if not state.chosen and not state.rows % BLOCK:
            _choose(state)
    if not state.rows % BLOCK:
        _close_block(state, config)
    return verdict


def _pace(state: ForestState, gap: float) -> None:
    """Learn the cadence; start the score anew after a gap, and the maxima at another cadence."""
    cadence = state.cadence_us
    if gap > GAP * cadence:
        state.rest, state.score = REST, 0.0
    near = max(0.1 * cadence, min(gap, 4.0 * cadence))
    state.cadence_us = cadence + max(0.05, 1.0 / state.rows) * (near - cadence)
    if not 0.5 < state.cadence_us / (state.settled_us or 1.0) < 2.0:
        state.settled_us = state.cadence_us
        state.rest, state.score = REST, 0.0
        _forget_maxima(state)


def _forget_maxima(state: ForestState) -> None:
    state.maxima, state.peak, state.threshold = [], 0.0, 0.0


def _rank(state: ForestState, time_us: int, values: Mapping[str, float]) -> bool:
    """Rank the values among the past of their series, then take a sample of them; whether a judged series left."""
    rows = state.rows
    for axis in state.axes:
        value = values.get(axis.name, math.nan)
        if not math.isnan(value):
            take(axis, rows, time_us, value)
    away = [axis.name for axis in state.axes if rows - axis.last > BLOCK]
    if away:
        state.axes = [axis for axis in state.axes if axis.name not in away]
    if len(values) > len(state.axes):
        known = {axis.name for axis in state.axes}
        for name, value in values.items():
            if name not in known and len(state.axes) < MOST and not math.isnan(value):
                state.axes.append(axis_at(name, rows, time_us, value))
    return any(name in state.chosen for name in away)


def _choose(state: ForestState) -> None:
    """Choose the series that are judged together; where they are others than before, plant the forest anew."""
    chosen = [axis.name for axis in state.axes if axis.seen >= YOUNG and not axis.at_rest]
    chosen = sorted(chosen) if len(chosen) > 1 else []
    if chosen == state.chosen:
        return
    state.chosen = chosen
    state.masses, state.weight, state.score = [], 0, 0.0
    _empty(state)
    _forget_maxima(state)


def _empty(state: ForestState) -> None:
    state.latest = [[0] * 2**HEIGHT for _ in range(TREES)] if state.chosen else []
    state.filled = 0


def _row(state: ForestState) -> list[float]:
    """The ranks of the chosen series; none while one of them is missing."""
    oldest = state.rows - HOLD
    found = {axis.name: axis.rank for axis in state.axes if axis.last >= oldest}
    ranks = [found[name] for name in state.chosen if name in found]
    return ranks if len(ranks) == len(state.chosen) else []


def _weigh(
    state: ForestState,
    values: Mapping[str, float],
    ranks: list[float],
    bits: float,
    always: bool,
) -> Verdict | None:
    score, threshold = state.score, state.threshold
    abnormal = bool(threshold) and score >= threshold
    state.peak = max(state.peak, score)
    state.run = state.run + 1 if abnormal else 0
    if not threshold or (score < state.clear and not always):
        return None
    drops, best, fits = [], [], []
    trees = forest(len(ranks), TREES, HEIGHT, SEED)
    for i in range(len(ranks)):
        tried = [
            surprise(state.masses, state.weight, leaves(trees, HEIGHT, [*ranks[:i], place, *ranks[i + 1 :]]))
            for place in PLACES
        ]
        least = min(tried)
        drops.append(max(bits - least, 0.0))
        best.append(PLACES[tried.index(least)])
        fits.append([place for place, found in zip(PLACES, tried, strict=True) if found < least + 1.0])
    total = math.fsum(drops) or 1.0
    ranked = sorted(range(len(drops)), key=lambda i: -drops[i])
    top = ranked[0]
    name = state.chosen[top]
    samples = next(axis.samples for axis in state.axes if axis.name == name)
    shares = [(state.chosen[i], drops[i] / total) for i in ranked[:5]]
    value = values.get(name, math.nan)
    evidence: dict[str, int | float | str] = {
        "series": name,
        "contributors": ", ".join([f"{one} {share:.2f}" for one, share in shares if share >= 0.05]),
        "bits": round(bits, 3),
        "series_judged": len(ranks),
    }
    if math.isfinite(value):
        evidence["value"] = value
    return Verdict(
        score=score,
        threshold=threshold,
        expected=quantile(samples, best[top]),
        low=quantile(samples, fits[top][0] - 0.1),
        high=quantile(samples, fits[top][-1] + 0.1),
        direction="up" if ranks[top] >= best[top] else "down",
        confidence=max(0.0, 1.0 - 0.3 * threshold / score) if score > 0.0 else 0.0,
        abnormal=abnormal,
        evidence=evidence,
    )


def _learn(state: ForestState, fallen: list[int]) -> None:
    """Count the row into the latest window, and once that is full, the window into the past."""
    for mass, leaf in zip(state.latest, fallen, strict=True):
        mass[leaf] += 1
    state.filled += 1
    least, most = WINDOW_ROWS
    if state.filled < max(least, min(WINDOW_US / state.cadence_us, most)):
        return
    if not state.weight:
        state.masses = [[0] * len(mass) for mass in state.latest]
    state.masses = [
        [int(KEEP * old) + new for old, new in zip(past, latest, strict=True)]
        for past, latest in zip(state.masses, state.latest, strict=True)
    ]
    state.weight = sum(state.masses[0])
    _empty(state)
    _choose(state)


def _close_block(state: ForestState, config: ForestConfig) -> None:
    # What is beyond the threshold must not raise it, unless it has been so for a day.
    odd = bool(state.threshold) and state.peak >= state.threshold
    state.odd = state.odd + 1 if odd else 0
    if state.peak and (not odd or state.odd >= LEAST_BLOCKS):
        state.maxima.append(state.peak)
        del state.maxima[:-BLOCKS]
    state.peak = 0.0
    if len(state.maxima) >= LEAST_BLOCKS:
        usual = median(sorted(state.maxima))
        state.threshold = max(config.least, extreme(state.maxima, config.return_blocks, heaviest=0.0))
        state.clear = usual + config.clear_share * (state.threshold - usual)
