"""Statistics of a series: is there a trend, where does its level change, how autocorrelated is it."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from operators.mining.significance import DAY_US

SEASON_FROM = 56
"""Values from which `without_week` knows what a weekday is usually like."""

SHORTEST = 7
"""Days with values of the shortest stretch between two change points."""

STRETCHES = 8
"""Stretches that a trend must be seen in, by their means."""

LIMIT = 4.0
"""Robust deviations at which a value is cut before it is looked at: one bad day is no change point."""


def mann_kendall(values: Any) -> tuple[float, float, float]:
    """Kendall's tau, Sen's slope (a step) and a two-sided p of a trend, allowing for autocorrelation.

    Mann, Econometrica 13 (1945); Sen, JASA 63 (1968); the variance corrected (upwards only) by Hamed & Rao, "A
    modified Mann-Kendall trend test for autocorrelated data", Journal of Hydrology 204 (1998). It does not tell a
    trend from a random walk.

    >>> tau, slope, p = mann_kendall(np.arange(40.0) * 2)
    >>> tau, slope, p < 1e-6
    (1.0, 2.0, True)
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 4:
        return 0.0, 0.0, 1.0
    upper = np.triu_indices(n, 1)
    differences = values[upper[1]] - values[upper[0]]
    slope = float(np.median(differences / (upper[1] - upper[0])))
    score = float(np.sign(differences).sum())
    _, ties = np.unique(values, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18.0
    if variance <= 0.0:
        return 0.0, 0.0, 1.0
    ranks = stats.rankdata(values - slope * np.arange(n))
    centred = ranks - ranks.mean()
    power = float((centred**2).sum())
    factor = 1.0
    if power > 0.0:
        lags = np.arange(1, min(n - 1, n // 2))
        correlations = np.array([float((centred[:-lag] * centred[lag:]).sum()) / power for lag in lags])
        counted = np.where(np.abs(correlations) > 1.96 / np.sqrt(n), correlations, 0.0)
        factor += 2.0 / (n * (n - 1) * (n - 2)) * float(((n - lags) * (n - lags - 1) * (n - lags - 2) * counted).sum())
    score -= np.sign(score)
    z = score / np.sqrt(variance * max(factor, 1.0))
    return float(np.sign(differences).sum()) / len(differences), slope, float(2.0 * stats.norm.sf(abs(z)))


def trend_p(values: Any) -> float:
    """Two-sided p of a steady drift: the means of `STRETCHES` stretches must go up (or down) step after step.

    Student's t over the differences of neighbouring stretches. A random walk's steps are as often back: this is what
    tells it from a trend.

    >>> rng = np.random.default_rng(1)
    >>> trend_p(np.arange(80.0) + rng.normal(size=80)) < 1e-6, trend_p(rng.normal(size=80)) > 0.05
    (True, True)
    """
    means = [float(part.mean()) for part in np.array_split(np.asarray(values, dtype=float), STRETCHES) if len(part)]
    steps = np.diff(means)
    if len(steps) < 3:
        return 1.0
    deviation = float(steps.std(ddof=1))
    if deviation <= 1e-12 * max(1.0, float(np.abs(means).max())):
        return 0.0 if abs(float(steps.mean())) > 0.0 else 1.0
    return float(2.0 * stats.t.sf(abs(float(steps.mean())) / deviation * np.sqrt(len(steps)), len(steps) - 1))


def change_points(values: Any, shortest: int = SHORTEST) -> list[int]:
    """Places at which the mean changes: the least cost of any cut, exactly.

    Optimal partitioning with the pruning of PELT (Killick, Fearnhead & Eckley, JASA 107, 2012), squared error over a
    robust variance, a penalty of 3 log n a change, times (1 + phi)/(1 - phi) for a first autocorrelation phi: without
    it each wave of an autocorrelated series is a change. phi is that of an AR(1) with the same autocorrelation of
    *differences*, which a few shifts leave alone.

    >>> change_points(np.concatenate([np.zeros(30), np.full(30, 9.0)]) + np.random.default_rng(0).normal(size=60))
    [30]
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    steps = np.diff(values)
    if n < 2 * shortest or not steps.any():
        return []
    phi = first_autocorrelation(values)
    # Of an AR(1), the variance of differences is 2 s² (1 - phi).
    variance = max(scale(steps) ** 2 / max(2.0 * (1.0 - phi), 0.05), 1e-12 * float(values.var()))
    penalty = 3.0 * np.log(n) * variance * (1.0 + phi) / (1.0 - phi)
    sums, squares = (
        np.concatenate(([0.0], np.cumsum(part))) for part in (values - values.mean(), (values - values.mean()) ** 2)
    )
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    before = np.zeros(n + 1, dtype=np.int64)
    starts = np.array([0])
    for end in range(shortest, n + 1):
        if end >= 2 * shortest:
            starts = np.append(starts, end - shortest)
        lengths = end - starts
        costs = best[starts] + squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / lengths
        least = int(np.argmin(costs))
        best[end], before[end] = costs[least] + penalty, starts[least]
        starts = starts[costs <= best[end]]
    found: list[int] = []
    at = n
    while (at := int(before[at])) > 0:
        found.append(at)
    return found[::-1]


def two_means_p(one: Any, two: Any, inflate: float = 1.0, least: float = 0.0) -> float:
    """Two-sided p that two stretches have one mean: Student's t of one variance (at least `least`), `inflate` times as
    great for autocorrelated values ((1 + phi)/(1 - phi)), with as many times fewer degrees of freedom.

    >>> two_means_p(np.arange(20.0) % 5, np.arange(20.0) % 5 + 9) < 1e-9
    True
    """
    pooled = (one.var() * len(one) + two.var() * len(two)) / max(1, len(one) + len(two) - 2)
    error = np.sqrt(inflate * max(float(pooled), least) * (1.0 / len(one) + 1.0 / len(two)))
    distance = abs(float(two.mean() - one.mean()))
    freedom = max(2.0, (len(one) + len(two)) / inflate - 2.0)
    return float(2.0 * stats.t.sf(distance / max(error, 1e-12 * max(distance, 1e-300)), freedom))


def first_autocorrelation(values: Any) -> float:
    """phi of an AR(1) process, from its differences; 0 to 0.95.

    >>> rng = np.random.default_rng(0)
    >>> first_autocorrelation(rng.normal(size=500)) < 0.15
    True
    """
    steps = np.diff(values)
    steps = np.clip(steps, *(np.median(steps) + np.array([-LIMIT, LIMIT]) * max(spread(steps), 1e-300)))
    power = float((steps**2).sum())
    if power <= 0.0 or len(steps) < 3:
        return 0.0
    return min(0.95, max(0.0, 1.0 + 2.0 * float((steps[:-1] * steps[1:]).sum()) / power))


def spread(values: Any) -> float:
    """A robust standard deviation: 1.4826 times the median absolute deviation, else the plain one where that is 0.

    >>> round(spread(np.array([1.0, 2.0, 3.0, 4.0, 900.0])), 4)
    1.4826
    """
    middle = float(np.median(values))
    robust = 1.4826 * float(np.median(np.abs(values - middle)))
    return robust if robust > 0.0 else float(np.std(values))


def scale(steps: Any) -> float:
    """The standard deviation of differences: `spread`, or the plain one of the middle nine tenths if that is more.

    Of a series of few different values (shares of three runs a day) half of the differences are nearly 0, and so is
    their median deviation.

    >>> round(scale(np.array([0.0] * 12 + [1.0, -1.0] * 4)), 2), round(scale(np.array([0.0] * 39 + [99.0])), 2)
    (0.63, 15.46)
    """
    return max(spread(steps), float(np.std(np.clip(steps, *np.quantile(steps, [0.05, 0.95])))))


def cut(values: Any) -> Any:
    """Values with the far ones brought in to `LIMIT` robust deviations from a running median over 15.

    >>> bool(cut(np.array([1.0, 2.0, 1.0, 900.0] + [1.0, 2.0] * 20)).max() < 20)
    True
    """
    local = pd.Series(values).rolling(15, center=True, min_periods=1).median().to_numpy()
    rest = values - local
    limit = LIMIT * max(spread(rest), 1e-12)
    return local + np.clip(rest, -limit, limit)


def without_week(times_us: Any, values: Any) -> Any:
    """Values without what their weekday (UTC) is usually off a running median; as they are with under eight weeks.

    >>> days = np.arange(70)
    >>> bool(without_week(days * DAY_US, np.where(days % 7 < 5, 9.0, 2.0)).std() < 0.1)
    True
    """
    if len(values) < SEASON_FROM:
        return values
    local = pd.Series(values).rolling(21, center=True, min_periods=1).mean()
    off = pd.Series(values) - local
    return values - off.groupby((times_us // DAY_US) % 7).transform("median").to_numpy()
