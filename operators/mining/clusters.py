"""Groups of what is alike: failures by what they say, series by the shape of their day."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import silhouette_samples
from threadpoolctl import threadpool_limits

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import History, micros
from operators.mining.lean import failures
from operators.mining.significance import DAY_US, permutation_p
from operators.mining.sql import signature
from operators.mining.streams import outcomes
from operators.taxonomy import PatternClass

FEWEST_TEXTS = 12
"""Different error texts below which there is nothing to group."""

MOST_TEXTS = 400
"""Different error texts that are grouped, the most frequent: grouping compares all pairs."""

FEWEST_SERIES = 6
"""Series below which there is nothing to group."""

MOST_SERIES = 2000
"""Series that are grouped, by name."""

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


class ErrorClusterMiner(Miner):
    """Kinds of error: failures whose texts share words, across all entities.

    Texts are normalised (`signature`) and weighed as TF-IDF. Words say nothing of causes, and a list of failed tests
    groups by test. With fewer than twelve different texts it stays silent: `failure_modes` counts those.
    """

    name = "error_clusters"

    def lean(self, history: History, config: MiningConfig) -> History:  # noqa: ARG002
        """What failed, with what it said."""
        return failures(history, ("steps", "task_executions", "integration_events"))

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` failures that say something; `effect` the likeness within over that among all."""
        stream = outcomes(history.before(until), ["step", "task", "integration"], texts=True)
        if not len(stream):
            return Looked()
        said = stream[stream["failed"] & stream["text"].notna()].reset_index(drop=True)
        texts = said["text"].map(signature)
        counts = Counter(texts)
        kept = sorted(sorted(counts, key=lambda text: (-counts[text], text))[:MOST_TEXTS])
        if len(kept) < FEWEST_TEXTS:
            return Looked()
        vectorizer = TfidfVectorizer(token_pattern=r"[a-z_][a-z_0-9.]+", sublinear_tf=True)
        try:
            vectors = vectorizer.fit_transform(kept).toarray()
        except ValueError:  # no words at all
            return Looked()
        full = vectors.any(axis=1)
        kept, vectors = [text for text, has in zip(kept, full, strict=True) if has], vectors[full]
        if len(kept) < FEWEST_TEXTS:
            return Looked()
        analyse = vectorizer.build_analyzer()
        tokens = [analyse(text) for text in kept]
        weights = np.array([float(counts[text]) for text in kept])
        found = group(vectors, weights, lambda rng: _mixed(vectorizer, tokens, rng), config)
        if found is None:
            return Looked()
        place = {text: at for at, text in enumerate(kept)}
        rows = np.array([place.get(text, -1) for text in texts])
        names = vectorizer.get_feature_names_out()
        likeness = vectors @ vectors.T
        drafts = [
            draft
            for label in range(len(found.p_values))
            if (draft := _errors(label, found, likeness, vectors, names, said, rows, kept, config)) is not None
        ]
        return Looked(drafts, {0: len(found.p_values)})


def _mixed(vectorizer: Any, tokens: list[list[str]], rng: Any) -> Any:
    """The same words, dealt anew to texts of the same lengths."""
    flat = np.array([word for words_of in tokens for word in words_of], dtype=object)
    flat = flat[rng.permutation(len(flat))]
    bounds = np.cumsum([len(words_of) for words_of in tokens])[:-1]
    return vectorizer.transform([" ".join(part) for part in np.split(flat, bounds)]).toarray()


def _errors(
    label: int, found: Grouping, likeness: Any, vectors: Any, names: Any, said: Any, rows: Any, kept: list[str],
    config: MiningConfig,
) -> Finding | None:  # fmt: skip
    inside = found.labels == label
    member = (rows >= 0) & inside[rows]
    support = int(member.sum())
    quality = float(found.silhouettes[inside].mean())
    if support < config.min_count or quality < CLEAR:
        return None
    overall = max(float(likeness.mean()), 1e-6)
    weight = vectors[inside].mean(axis=0)
    terms = [str(names[at]) for at in np.argsort(-weight, kind="stable")[:4] if weight[at] > 0.0]
    entities = sorted(set(said["entity"][member]))
    times = said["end_us"][member].to_numpy()
    texts = [text for text, mine in zip(kept, inside, strict=True) if mine]
    middle = int(np.median(said["end_us"]))
    early, late = (
        float(likeness[np.ix_(part, part)].mean()) / overall if len(part) >= 3 else None
        for part in (
            np.unique(rows[member & (said["end_us"] <= middle).to_numpy()]),
            np.unique(rows[member & (said["end_us"] > middle).to_numpy()]),
        )
    )
    coarse = Counter(found.coarse[inside].tolist()).most_common(1)[0][0]
    sentence = (
        f"{support} of {len(said)} failures with a message are of one kind, by their words {words.listed(terms, 4)}:"
        f" {len(texts)} different texts, in {words.listed(entities)}, last on {words.day(int(times.max()))}."
    )
    wanted = sorted(texts, key=lambda text: (-int((rows[member] == kept.index(text)).sum()), text))
    return Finding(
        miner=ErrorClusterMiner.name, key="|".join(sorted(terms)), kind="error_cluster",
        pattern_class=PatternClass.FAILURE_MODE, entities=tuple(entities[:20]), measure="failed", support=support,
        total=len(said), confidence=min(1.0, max(0.0, quality)), effect=float(likeness[np.ix_(inside,
        inside)].mean()) / overall,
        effect_name="likeness_ratio", p_value=found.p_values[label], first_seen_us=int(times.min()),
        last_seen_us=int(times.max()), early=early, late=late, sentence=sentence, sql=None,
        evidence={
            "terms": terms, "texts": wanted[:10], "different_texts": len(texts), "silhouette": quality,
            "near_to_none": float(found.alone[inside].mean()), "family": int(coarse),
            "groups": len(found.p_values), "families": int(found.coarse.max()) + 1,
        },
    )  # fmt: skip


class ShapeClusterMiner(Miner):
    """Series whose day has the same shape: the hourly profile, each with its mean taken off and its length made one.

    Says which series may share a cause or a schedule, whatever their units. Needs fourteen days with most hours.
    """

    name = "shape_clusters"

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` series; `effect` the likeness within over that of profiles turned by random hours."""
        hourly = history.before(until).hourly
        names, profiles, spans = [], [], []
        for (entity, measure), part in hourly[hourly["avg"].notna()].groupby(["entity", "measure"], sort=True):
            times, values = micros(part["time"]), part["avg"].to_numpy(dtype=float)
            hours = (times // 3_600_000_000) % 24
            if len(np.unique(times // DAY_US)) < 14 or len(np.unique(hours)) < 24:
                continue
            profile = np.array([np.median(values[hours == hour]) for hour in range(24)])
            profile -= profile.mean()
            length = float(np.linalg.norm(profile))
            if length > 1e-9 * max(1e-300, float(np.abs(values).max())):
                names.append((str(entity), str(measure)))
                profiles.append(profile / length)
                spans.append((int(times.min()), int(times.max())))
        if len(names) < FEWEST_SERIES:
            return Looked()
        names, spans = names[:MOST_SERIES], spans[:MOST_SERIES]
        vectors = np.array(profiles[:MOST_SERIES])
        turned = lambda rng: np.array([np.roll(row, rng.integers(24)) for row in vectors])  # noqa: E731
        found = group(vectors, np.ones(len(vectors)), turned, config, near=0.2)
        if found is None:
            return Looked()
        likeness = vectors @ vectors.T
        drafts = []
        for label, p in enumerate(found.p_values):
            inside = np.flatnonzero(found.labels == label)
            quality = float(found.silhouettes[inside].mean())
            if len(inside) < 3 or quality < CLEAR:
                continue
            drafts.append(_shape(inside, quality, p, names, spans, vectors, likeness))
        return Looked(drafts, {0: len(found.p_values)})


def _shape(
    inside: Any, quality: float, p: float, names: list[tuple[str, str]], spans: list[tuple[int, int]], vectors: Any,
    likeness: Any,
) -> Finding:  # fmt: skip
    mean = vectors[inside].mean(axis=0)
    chosen = [names[at] for at in inside]
    shown = [f"{measure} of {entity}" for entity, measure in chosen]
    alike = float(likeness[np.ix_(inside, inside)].mean())
    sentence = (
        f"{len(inside)} of {len(names)} series have the same day, highest about {int(mean.argmax()):02d}:00 and"
        f" lowest about"
        f" {int(mean.argmin()):02d}:00 UTC: {words.listed(shown)}."
    )
    listed = ", ".join(f"({sql.literal(entity)}, {sql.literal(measure)})" for entity, measure in chosen)
    return Finding(
        miner=ShapeClusterMiner.name, key="|".join(shown)[:2000], kind="shape_cluster",
        pattern_class=PatternClass.RESOURCE_UTILIZATION_INEFFICIENCY, entities=tuple(entity for entity,
        _ in chosen[:20]),
        measure=chosen[0][1], support=len(inside), total=len(names), confidence=min(1.0, max(0.0, quality)),
        effect=(1.0 + alike) / max(1e-6, 1.0 + float(likeness.mean())), effect_name="likeness_ratio", p_value=p,
        first_seen_us=min(spans[at][0] for at in inside), last_seen_us=max(spans[at][1] for at in inside),
        sentence=sentence,
        sql=f"SELECT count(DISTINCT (entity, measure)) AS support, {len(names)} AS total FROM series_1h"
            f" WHERE (entity, measure) IN ({listed})",
        evidence={"profile": [round(float(value), 4) for value in mean], "silhouette": quality, "likeness": alike},
    )  # fmt: skip
