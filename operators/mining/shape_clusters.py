"""Groups of series whose day has the same shape."""

from datetime import datetime
from typing import Any

import numpy as np

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.grouping import CLEAR, group
from operators.mining.history import History, micros
from operators.mining.significance import DAY_US
from operators.taxonomy import PatternClass

FEWEST_SERIES = 6
"""Series below which there is nothing to group."""

MOST_SERIES = 2000
"""Series that are grouped, by name."""


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
