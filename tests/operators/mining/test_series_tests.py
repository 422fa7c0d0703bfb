"""Trends and change points: against scipy and a brute force, and how often they are claimed where there is nothing."""

import numpy as np
import pytest
from scipy import stats

from operators.mining.changes import ChangeMiner
from operators.mining.history import History
from operators.mining.series_tests import change_points, first_autocorrelation, mann_kendall, scale
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG


@pytest.mark.parametrize("seed", range(5))
def test_tau_and_slope_are_scipys(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=60) + 0.02 * np.arange(60) * seed
    tau, slope, p = mann_kendall(values)
    assert tau == pytest.approx(stats.kendalltau(np.arange(60), values).statistic)
    assert slope == pytest.approx(stats.theilslopes(values).slope)
    # Of independent values the correction is small: within a factor of the uncorrected test's z.
    plain = stats.kendalltau(np.arange(60), values, method="asymptotic").pvalue
    assert stats.norm.isf(p / 2) == pytest.approx(stats.norm.isf(plain / 2), rel=0.45, abs=0.2)


def brute_force(values, shortest):
    """Optimal partitioning without pruning."""
    n, phi = len(values), first_autocorrelation(values)
    variance = scale(np.diff(values)) ** 2 / max(2.0 * (1.0 - phi), 0.05)
    penalty = 3.0 * np.log(n) * variance * (1.0 + phi) / (1.0 - phi)
    best, before = [-penalty] + [np.inf] * n, [0] * (n + 1)
    for end in range(shortest, n + 1):
        for start in [0, *range(shortest, end - shortest + 1)]:
            part = values[start:end]
            cost = best[start] + ((part - part.mean()) ** 2).sum() + penalty
            if cost < best[end] - 1e-9:
                best[end], before[end] = cost, start
    found, at = [], n
    while (at := before[at]) > 0:
        found.append(at)
    return found[::-1]


@pytest.mark.parametrize("shortest", [7, 14])
@pytest.mark.parametrize("seed", range(6))
def test_pruning_changes_nothing(seed, shortest):
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.normal(0, 4, size=5), rng.integers(8, 40, size=5))
    values = levels + rng.normal(size=len(levels))
    assert change_points(values, shortest) == brute_force(values, shortest)


def series(values):
    return [planted._bucket("e", "latency_ms", planted.at(1440 * day), value) for day, value in enumerate(values)]


def noise(kind, rng, size=150):
    steps = rng.normal(size=size)
    if kind == "white":
        return 100 + 30 * steps
    if kind == "heavy tail":
        return 100 * rng.pareto(2.0, size=size)
    rate = {"AR(1) 0.7": 0.7, "random walk": 1.0}[kind]
    out = np.zeros(size)
    for at in range(1, size):
        out[at] = rate * out[at - 1] + steps[at]
    return 100 + 12 * out


@pytest.mark.parametrize(("kind", "most"), [("white", 1), ("heavy tail", 2), ("AR(1) 0.7", 2), ("random walk", 5)])
def test_little_is_claimed_where_there_is_no_change(kind, most):
    """Of 12 series looked at alone: at 5 % about one, and hardly ever more than two. A random walk does change its
    level: it is here to show how often that is told."""
    claimed = 0
    for seed in range(12):
        values = noise(kind, np.random.default_rng(seed))
        claimed += bool(ChangeMiner().mine(History.of(daily=series(values)), CONFIG, planted.UNTIL))
    assert claimed <= most, claimed


@pytest.mark.parametrize("size", [2.0, 3.0, 5.0])
def test_a_planted_change_is_found_on_its_day(size):
    found = []
    for seed in range(5):
        values = 100 + 20 * np.random.default_rng(seed).normal(size=150)
        values[90:] += 20 * size
        for finding in ChangeMiner().mine(History.of(daily=series(values)), CONFIG, planted.UNTIL):
            if finding.kind == "change_point":
                found.append(round((finding.evidence["at_us"] / 1e6 - planted.START.timestamp()) / 86400))
    assert len(found) == 5 and all(abs(day - 90) <= 3 for day in found), found
