"""Rows in groups: K-Means against chance, what DBSCAN leaves alone, and the coarser level of a taxonomy."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.metrics import silhouette_samples
from threadpoolctl import threadpool_limits

from operators.mining.finding import MiningConfig
from operators.mining.significance import permutation_p

GROUPS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 36)
"""The k that are tried, as long as there are three rows a group."""

NULLS = 19
"""Rearrangements that are grouped again: each costs as much as the grouping itself."""

NEAR = 0.5
"""Cosine distance within which DBSCAN takes two texts as neighbours."""

CLEAR = 0.2
"""Mean silhouette below which a group is no group."""


class Grouping(msgspec.Struct, frozen=True, eq=False):
    """Labels by K-Means, each row's silhouette, p of each group, which rows DBSCAN leaves alone, and a coarser
    level."""

    labels: Any
    silhouettes: Any
    p_values: list[float]
    alone: Any
    coarse: Any

    def family(self, group: int) -> int:
        """The coarser group that most rows of a group are in; the least of several."""
        return int(np.bincount(self.coarse[self.labels == group]).argmax())


def group(
    vectors: Any, weights: Any, rearranged: Callable[[Any], Any], config: MiningConfig, near: float = NEAR
) -> Grouping | None:
    """K-Means with the k of the best mean silhouette (Rousseeuw 1987), against the same on rearranged rows.

    `vectors`: rows of unit length, dense. `rearranged` makes a set of rows without groups from a random generator. p
    of a group: its mean silhouette times the root of its size, against the best of each rearrangement. DBSCAN says
    which rows are near to no others; average linkage gives the coarser level of a taxonomy, half as many groups. None
    when there are too few rows.
    """
    with threadpool_limits(1):  # sums in one order, and no threads for tables this small
        return _group(vectors, weights, rearranged, config, near)


def _group(
    vectors: Any, weights: Any, rearranged: Callable[[Any], Any], config: MiningConfig, near: float
) -> Grouping | None:
    rows = len(vectors)
    best: tuple[float, Any, Any] | None = None
    for k in (k for k in GROUPS if k <= rows // 3):
        labels, silhouettes = _k_means(vectors, weights, k, config.seed)
        mean = float(np.average(silhouettes, weights=weights))
        if best is None or mean > best[0] + 1e-9:
            best = (mean, labels, silhouettes)
    if best is None:
        return None
    _, labels, silhouettes = best
    k = int(labels.max()) + 1
    rng = np.random.default_rng(config.seed)
    null = []
    for _ in range(NULLS):
        their_labels, theirs = _k_means(rearranged(rng), weights, k, config.seed)
        null.append(max(_strength(theirs[their_labels == at]) for at in set(their_labels.tolist())))
    p_values = [permutation_p(_strength(silhouettes[labels == at]), np.array(null)) for at in range(k)]
    alone = DBSCAN(eps=near, min_samples=3, metric="cosine").fit_predict(vectors, sample_weight=weights) < 0
    coarse = AgglomerativeClustering(max(2, k // 2), metric="cosine", linkage="average").fit_predict(vectors)
    return Grouping(labels, silhouettes, p_values, alone, coarse)


def _strength(silhouettes: Any) -> float:
    """Two twins have the best silhouette there is: of chance groups, only the size tells."""
    return float(silhouettes.mean() * np.sqrt(len(silhouettes)))


def _k_means(vectors: Any, weights: Any, k: int, seed: int) -> tuple[Any, Any]:
    labels = KMeans(k, n_init=3, random_state=seed).fit_predict(vectors, sample_weight=weights)
    # Groups by their first row, so that numbers do not depend on where the centres began.
    _, first = np.unique(labels, return_index=True)
    order = {int(labels[at]): place for place, at in enumerate(sorted(first))}
    labels = np.array([order[int(label)] for label in labels])
    if len(first) < 2 or len(first) >= len(labels):
        return labels, np.zeros(len(labels))
    return labels, np.nan_to_num(silhouette_samples(vectors, labels, metric="cosine"))
