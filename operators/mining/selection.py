"""Which features are worth having: what tells of the target, what stands for what, and axes for what goes together."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from operators.mining.features import MOST_ROWS, Feature, Table
from operators.mining.significance import benjamini_hochberg

TOO_ALIKE = 0.95
"""Rank correlation of two features from which only the better one is selected."""

TOGETHER = 0.7
"""Rank correlation from which features belong to one group, which is reduced."""

FEWEST_TOGETHER = 3
"""Features that a group needs to be worth reducing."""

EXPLAINED = 0.9
"""Share of a group's variance that its axes keep."""

RATE = 0.05
"""False discovery rate of selection."""


def selected(table: Table, source: Mapping[str, Any]) -> list[Feature]:
    """Which features say something of failing, each alone: Mann and Whitney's test, Benjamini and Hochberg's rate; and
    the principal axes of those that go together (kind `reduced`), judged in the same way.

    Of two that say the same (Spearman's rank correlation above `TOO_ALIKE`) the weaker is not selected, and its lineage
    names the one that stands for it (`stood_for_by`); nor is one selected that is known of less than half of the rows.
    What only tells together with another is not seen here, and rows are taken as independent, which those of one entity
    are not: it chooses, it does not prove.
    """
    values, failed = table.values[-MOST_ROWS:], table.failed[-MOST_ROWS:].astype(bool)
    usable = [
        at for at in range(len(table.names))
        if np.isfinite(values[:, at]).mean() >= 0.5 and np.ptp(values[np.isfinite(values[:, at]), at]) > 0.0
    ]  # fmt: skip
    alike = _alike(values, usable)
    axes = _axes(table, values, usable, alike)
    tests = [_test(values[:, at], failed) for at in range(len(table.names))]
    tests += [_test(scores, failed) for _, _, scores in axes]
    q_values = benjamini_hochberg(np.array([p for p, _, _ in tests]))
    strengths = [strength for _, strength, _ in tests]
    kept: list[int] = []
    stands: dict[int, str] = {}
    for at in sorted(usable, key=lambda place: (-(strengths[place] or 0.0), table.names[place])):
        twin = next((other for other in kept if alike[at, other] >= TOO_ALIKE), None)
        if twin is not None:
            stands[at] = table.names[twin]
        elif strengths[at] is not None and q_values[at] <= RATE:
            kept.append(at)
    lineage = {"target": "failed", "rows": len(table.failed), **source}
    out = []
    for at, name in enumerate(table.names):
        kind, words = table.logic[name]
        mine: dict[str, Any] = {"q_value": float(q_values[at])}
        mine |= {"known": float(np.isfinite(values[:, at]).mean()) if len(values) else 0.0}
        mine |= {"stood_for_by": stands[at]} if at in stands else {}
        out.append(Feature(table.of, name, kind, words, strengths[at], tests[at][2], at in kept, lineage | mine))
    for number, (name, made, _) in enumerate(axes, len(table.names)):
        q = float(q_values[number])
        words = f"principal axis of {', '.join(made['of'])}: sum of loading * (value or median - mean) / scale"
        tells = strengths[number] is not None and q <= RATE
        out.append(Feature(table.of, name, "reduced", words, strengths[number], tests[number][2], tells,
                           lineage | made | {"q_value": q}))  # fmt: skip
    return out


def _test(column: Any, failed: Any) -> tuple[float, float | None, float | None]:
    """p, |2 AUC - 1| and Pearson's correlation of a column with the outcome, where it is known."""
    known = np.isfinite(column)
    bad, good = column[known & failed], column[known & ~failed]
    if len(bad) < 5 or len(good) < 5 or np.ptp(column[known]) == 0.0:
        return 1.0, None, None
    test = stats.mannwhitneyu(bad, good, alternative="two-sided", method="asymptotic")
    strength = abs(2.0 * float(test.statistic) / (len(bad) * len(good)) - 1.0)
    return float(test.pvalue), strength, float(np.clip(np.corrcoef(column[known], failed[known])[0, 1], -1.0, 1.0))


def _alike(values: Any, usable: list[int]) -> Any:
    """Absolute rank correlations of all pairs of columns; 0 where one is not usable. What is unknown ranks in the
    middle, so that gaps in common make nothing alike."""
    out = np.zeros((values.shape[1], values.shape[1]))
    if usable:
        ranks = pd.DataFrame(values[:, usable]).rank()
        ranks = ranks.fillna(ranks.mean()).to_numpy()
        out[np.ix_(usable, usable)] = np.abs(np.atleast_2d(np.corrcoef(ranks, rowvar=False)))
    return out


def _groups(names: tuple[str, ...], usable: list[int], alike: Any) -> list[list[int]]:
    """Features that go together, directly or through others, in the order of the table; the outcome is not asked."""
    left, out = list(usable), []
    while left:
        group, fresh = [left[0]], [left[0]]
        while fresh:
            near = [at for at in left if at not in group and alike[at, fresh].max() >= TOGETHER]
            group, fresh = group + near, near
        left = [at for at in left if at not in group]
        if len(group) >= FEWEST_TOGETHER:
            out.append(sorted(group, key=lambda at: names[at]))
    return out


def _axes(table: Table, values: Any, usable: list[int], alike: Any) -> list[tuple[str, dict[str, Any], Any]]:
    """Principal axes of each group: name, what a reader needs to compute it again, and its value of each row.

    Values are taken as they are, by their mean and standard deviation: of a feature with a long tail, the axis is
    mostly about its tail.
    """
    out = []
    for group in _groups(table.names, usable, alike):
        names = [table.names[at] for at in group]
        part = values[:, group]
        medians = np.nanmedian(np.where(np.isfinite(part), part, np.nan), axis=0)
        part = np.where(np.isfinite(part), part, medians)
        means, scales = part.mean(axis=0), part.std(axis=0)
        scales = np.where(scales > 0.0, scales, 1.0)
        scaled = (part - means) / scales
        with threadpool_limits(1):  # sums in one order
            found = PCA(n_components=EXPLAINED, svd_solver="full").fit(scaled)
        for at, (loads, share) in enumerate(zip(found.components_, found.explained_variance_ratio_, strict=True), 1):
            turned = loads * (1.0 if loads[np.argmax(np.abs(loads))] > 0 else -1.0)
            made = {"of": names, "explained": float(share), "loadings": _by(names, turned),
                    "median": _by(names, medians), "mean": _by(names, means), "scale": _by(names, scales)}  # fmt: skip
            out.append((f"axis_{at}_of_{len(names)}_with_{names[0]}", made, scaled @ turned))
    return out


def _by(names: list[str], values: Any) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}
