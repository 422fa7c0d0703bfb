"""Tests against chance that miners share. Arrays in, arrays out; nothing here draws a random number."""

from typing import Any

import numpy as np
from scipy import stats

BLOCKS = 30
"""Stretches of time that `block_p` takes as independent of each other."""

FEWEST_BLOCKS = 6
"""Below so many stretches `block_p` has nothing to say (p = 0: the other test decides)."""

DAY_US = 86_400_000_000
"""A day in µs."""


def benjamini_hochberg(p_values: Any) -> Any:
    """q-values: the least false discovery rate at which each test would be claimed.

    Benjamini & Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995).

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).round(3).tolist()
    [0.04, 0.053, 0.053, 0.5]
    """
    if not len(p_values):
        return np.zeros(0)
    return np.asarray(stats.false_discovery_control(np.clip(p_values, 0.0, 1.0), method="bh"))


def fisher_greater(hits: Any, with_cause: Any, with_effect: Any, rows: Any) -> Any:
    """One-sided Fisher exact p: so many `hits` or more among `with_cause` of `rows` when `with_effect` are spread by
    chance.

    >>> float(round(fisher_greater(8, 10, 10, 20), 4))
    0.0115
    """
    return stats.hypergeom.sf(np.asarray(hits) - 1, rows, with_effect, with_cause)


def blocks_of(times_us: Any, most: int = BLOCKS) -> Any:
    """The number of the stretch of time that each time lies in: `most` equal ones of whole days, fewer if it is short.

    Whole days, so that each stretch has every hour of the day.

    >>> blocks_of(np.array([0, 30 * DAY_US, 59 * DAY_US])).tolist()
    [0, 15, 29]
    """
    if not len(times_us):
        return np.zeros(0, dtype=np.int64)
    days = (times_us - times_us.min()) // DAY_US
    length = max(1, -(-(int(days.max()) + 1) // most))
    return (days // length).astype(np.int64)


def block_p(causes: Any, effect: Any, blocks: Any) -> Any:
    """One-sided p that each column of `causes` (rows × columns of 0 and 1) goes with `effect`, allowing for bursts.

    Failures come in bursts, so rows are not independent and Fisher's test is too sure of itself. This is a score test
    with a variance that is clustered by stretches of time (Liang & Zeger, "Longitudinal data analysis using generalized
    linear models", Biometrika 73, 1986), with Student's t of one degree less than there are stretches. It is no help
    for a cause that itself holds for longer than a stretch: what the two halves of the time show is, there.

    >>> cause = np.tile([1.0, 0.0], 50)
    >>> bool(block_p(cause[:, None], cause, np.arange(100) // 5)[0] < 1e-6)
    True
    """
    used, place = np.unique(blocks, return_inverse=True)
    groups = len(used)
    if groups < FEWEST_BLOCKS:
        return np.zeros(causes.shape[1])
    rows = len(effect)
    centred = effect - effect.mean()
    sums = [np.bincount(place, weights=column * centred, minlength=groups) for column in causes.T]
    per_block = np.stack(sums, axis=1) - np.outer(
        np.bincount(place, weights=centred, minlength=groups), causes.mean(axis=0)
    )
    total = per_block.sum(axis=0)
    sizes = np.bincount(place, minlength=groups)[:, None] / rows
    spread = ((per_block - sizes * total) ** 2).sum(axis=0) * groups / (groups - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(spread > 0.0, total / np.sqrt(spread), np.where(total > 0.0, np.inf, 0.0))
    return stats.t.sf(score, groups - 1)


def within_p(causes: Any, effect: Any, blocks: Any) -> Any:
    """One-sided p that each column of `causes` (bool, rows × columns) goes with `effect` *within* stretches of time.

    `block_p` with cause and effect each against their own mean in the stretch, so that it compares rows of the same
    days: a cause that holds for a whole stretch (a version, a season, who was there that month) says nothing, and a
    stretch in which much failed is no evidence for what was usual then.

    >>> cause, blocks = np.tile([True, False], 60), np.arange(120) // 6
    >>> period = blocks < 10
    >>> [bool(p < 1e-6) for p in within_p(np.stack([cause, period], axis=1), cause | period, blocks)]
    [True, False]
    """
    used, place = np.unique(blocks, return_inverse=True)
    groups = len(used)
    if groups < FEWEST_BLOCKS:
        return np.zeros(causes.shape[1])
    sizes = np.bincount(place, minlength=groups)
    y = effect.astype(float)
    failed = np.bincount(place, weights=y, minlength=groups)
    y = y - (failed / sizes)[place]
    per_block = np.stack([np.bincount(place, weights=column * y, minlength=groups) for column in causes.T], axis=1)
    total = per_block.sum(axis=0)
    # Only stretches with both outcomes could have shown anything: no others count as observations.
    able = (failed > 0) & (failed < sizes)
    seen = max(int(able.sum()), 2)
    expected = np.outer(np.where(able, sizes, 0) / max(1, int(sizes[able].sum())), total)
    spread = ((per_block - expected) ** 2).sum(axis=0) * seen / (seen - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(spread > 0.0, total / np.sqrt(spread), np.where(total > 0.0, np.inf, 0.0))
    return stats.t.sf(score, seen - 1)


def within_ratio(causes: Any, effect: Any, blocks: Any) -> Any:
    """How many times as often the effect comes with each cause as without, among rows of the same stretches of time.

    Mantel and Haenszel's risk ratio (Rothman & Greenland, "Modern epidemiology"); NaN where no stretch has both kinds.

    >>> cause = np.array([True, True, False, False] * 2)
    >>> effect = np.array([True, False, False, False, True, True, True, False])
    >>> within_ratio(cause[:, None], effect, np.arange(8) // 4).tolist()
    [3.0]
    """
    used, place = np.unique(blocks, return_inverse=True)
    sizes = np.bincount(place, minlength=len(used)).astype(float)
    bad = np.bincount(place, weights=effect.astype(float), minlength=len(used))
    out = []
    for column in causes.T:
        inside = np.bincount(place, weights=column.astype(float), minlength=len(used))
        hits = np.bincount(place, weights=(column & effect).astype(float), minlength=len(used))
        up, down = float((hits * (sizes - inside) / sizes).sum()), float(((bad - hits) * inside / sizes).sum())
        lent = 0.5 if down == 0.0 and up > 0.0 else 0.0
        out.append((up + lent) / (down + lent) if up + down > 0.0 else float("nan"))
    return np.array(out)


def association_p(cause: Any, effect: Any, blocks: Any) -> float:
    """The greater of Fisher's p and `block_p` for one cause (arrays of bool): what is claimed when both agree."""
    hits = int((cause & effect).sum())
    exact = fisher_greater(hits, int(cause.sum()), int(effect.sum()), len(effect))
    return float(max(exact, block_p(cause[:, None].astype(float), effect.astype(float), blocks)[0]))


def rate_ratio(hits: Any, with_cause: Any, with_effect: Any, rows: Any) -> Any:
    """How many times as often the effect comes with the cause as without; half an observation is lent to empty sides.

    >>> float(rate_ratio(32, 64, 48, 128))
    2.0
    """
    inside = np.asarray(hits, dtype=float)
    outside = np.asarray(with_effect, dtype=float) - inside
    others = np.asarray(rows, dtype=float) - with_cause
    lent = np.where((inside <= 0.0) | (outside <= 0.0), 0.5, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((inside + lent) / (np.asarray(with_cause, dtype=float) + 2 * lent)) / (
            (outside + lent) / (others + 2 * lent)
        )


def halves(cause: Any, effect: Any, fewest: int = 4) -> tuple[float | None, float | None]:
    """`rate_ratio` in the first and in the second half of the rows; None where a half has too few with or without.

    >>> halves(np.tile([True, False], 16), np.tile([True, False, False, False, True, False, True, True], 4))
    (3.0, 3.0)
    """
    middle = len(effect) // 2
    found: list[float | None] = []
    for part in (slice(0, middle), slice(middle, None)):
        x, y = cause[part], effect[part]
        inside, size = int(x.sum()), len(x)
        if min(inside, size - inside) < fewest or not y.any():
            found.append(None)
        else:
            found.append(float(rate_ratio(int((x & y).sum()), inside, int(y.sum()), size)))
    return found[0], found[1]


def wilson(hits: float, trials: float, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval for a share, two-sided at 95 % (JASA 22, 1927). With no trials: all of 0 to 1.

    >>> [round(bound, 3) for bound in wilson(3, 10)]
    [0.108, 0.603]
    """
    if trials <= 0:
        return 0.0, 1.0
    rate, square = hits / trials, z * z / trials
    middle = rate + square / 2.0
    spread = z * float(np.sqrt((rate * (1.0 - rate) + square / 4.0) / trials))
    return max(0.0, (middle - spread) / (1.0 + square)), min(1.0, (middle + spread) / (1.0 + square))


def permutation_p(observed: float, null: Any) -> float:
    """p of a statistic against rearrangements (greater is stronger): by rank where any reach it, else by a normal tail.

    By rank alone 199 rearrangements could say no less than 0.005, which no correction for many tests would leave
    standing; the tail beyond them is an approximation, kept above a hundredth of that floor.

    >>> permutation_p(5.0, np.arange(9.0)), permutation_p(50.0, np.arange(9.0)) < 0.01
    (0.5, True)
    """
    null = np.asarray(null, dtype=float)
    reached = int((null >= observed).sum())
    floor = 1.0 / (len(null) + 1)
    if reached:
        return (1 + reached) * floor
    spread = float(null.std(ddof=1)) if len(null) > 1 else 0.0
    tail = float(stats.norm.sf((observed - float(null.mean())) / spread)) if spread > 0.0 else 0.0
    return max(min(tail, floor), floor / 100.0)
