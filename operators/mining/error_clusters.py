"""Groups of failures that are alike, by what they say and where and when they come."""

import hashlib
from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.grouping import CLEAR, Grouping, group
from operators.mining.history import History
from operators.mining.lean import failures
from operators.mining.sql import signature
from operators.mining.streams import TEXTS, failures_said, outcomes
from operators.taxonomy import PatternClass

FEWEST_TEXTS = 12
"""Different error texts below which there is nothing to group."""

MOST_TEXTS = 400
"""Different error texts that are grouped, the most frequent: grouping compares all pairs."""


CONTEXT = 0.2
"""What the context weighs of a text's likeness to another, beside its words."""

MOST_ENTITIES = 200
"""Entities that are a context of their own, those that fail most; the others are one."""

PART_OF_DAY_US = 6 * 3_600_000_000
"""The day is context in quarters, UTC."""

MOSTLY, MORE_OFTEN = 0.6, 2.0
"""Share of a group that a context must have to be told, and how often as much as in the other failures."""


class ErrorClusterMiner(Miner):
    """Kinds of error: failures whose texts share words and context, across all entities.

    Texts are normalised (`signature`) and weighed as TF-IDF; beside the words, with a fifth of the weight, stands what
    the text came with: what failed, in which quarter of the day. Not the status, which a producer tells by the text.
    Words say nothing of causes, and a list of failed tests groups by test. With fewer than twelve different texts it
    stays silent: `failure_modes` counts those.
    """

    name = "error_clusters"

    def lean(self, history: History, config: MiningConfig) -> History:  # noqa: ARG002
        """What failed, with what it said."""
        return failures(history, tuple(TEXTS))

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
        place = {text: at for at, text in enumerate(kept)}
        rows = np.array([place.get(text, -1) for text in texts])
        contexts = _contexts(said[rows >= 0], rows[rows >= 0], len(kept))
        whole = _beside(vectors, contexts)
        found = group(whole, weights, lambda rng: _mixed(vectorizer, tokens, contexts, rng), config)
        if found is None:
            return Looked()
        names = vectorizer.get_feature_names_out()
        likeness = whole @ whole.T
        drafts = [
            draft
            for label in range(len(found.p_values))
            if (draft := _errors(label, found, likeness, vectors, names, said, rows, kept, config, until)) is not None
        ]
        return Looked(drafts, {0: len(found.p_values)})


def _contexts(said: Any, rows: Any, texts: int) -> Any:
    """What each of `texts` came with, by row of `said` (`rows` its text): texts x values of a context, unit length."""
    entities = said["entity"].where(said["entity"].isin(said["entity"].value_counts().index[:MOST_ENTITIES]), "")
    blocks = []
    for values in (entities, _quarter(said)):
        codes, known = pd.factorize(values, sort=True)
        table = np.zeros((texts, len(known)))
        np.add.at(table, (rows, codes), 1.0)
        blocks.append(table / table.sum(axis=1, keepdims=True))
    whole = np.hstack(blocks)
    return whole / np.linalg.norm(whole, axis=1, keepdims=True)


def _quarter(said: Any) -> Any:
    return said["end_us"] // PART_OF_DAY_US % 4


def _beside(vectors: Any, contexts: Any) -> Any:
    """Words and context in one row of unit length."""
    return np.hstack([vectors * np.sqrt(1.0 - CONTEXT), contexts * np.sqrt(CONTEXT)])


def _mixed(vectorizer: Any, tokens: list[list[str]], contexts: Any, rng: Any) -> Any:
    """The same words, dealt anew to texts of the same lengths, and the same contexts, dealt anew to texts."""
    flat = np.array([word for words_of in tokens for word in words_of], dtype=object)
    flat = flat[rng.permutation(len(flat))]
    bounds = np.cumsum([len(words_of) for words_of in tokens])[:-1]
    vectors = vectorizer.transform([" ".join(part) for part in np.split(flat, bounds)]).toarray()
    return _beside(vectors, contexts[rng.permutation(len(contexts))])


def _mostly(said: Any, member: Any) -> list[tuple[str, int, int]]:
    """Contexts that make up most of a group and less of the other failures, the most telling first: in words, how many
    of the group, how many of the others."""
    first = _quarter(said) * 6
    columns = {
        "entity": "in " + said["entity"],
        "status": "in status " + said["status"],
        "quarter": first.map("between {:02d}:00 ".format) + (first + 6).map("and {:02d}:00 UTC".format),
    }
    group_size, others = int(member.sum()), int((~member).sum())
    found = []
    if said["entity"][member].nunique() == 1:  # which the list of entities says
        del columns["entity"]
    for values in columns.values():
        value = values[member].mode().iloc[0]
        is_it = (values == value).to_numpy()
        here, elsewhere = int((is_it & member).sum()), int((is_it & ~member).sum())
        if others and here >= MOSTLY * group_size and here * others >= MORE_OFTEN * elsewhere * group_size:
            found.append((here * others / (group_size * max(0.5, elsewhere)), value, here, elsewhere))
    return [(value, here, elsewhere) for _, value, here, elsewhere in sorted(found, key=lambda one: (-one[0], one[1]))]


def _terms(inside: Any, vectors: Any, names: Any) -> list[str]:
    """The words that weigh most in a group."""
    weight = vectors[inside].mean(axis=0)
    return [str(names[at]) for at in np.argsort(-weight, kind="stable")[:4] if weight[at] > 0.0]


def _errors(
    label: int, found: Grouping, likeness: Any, vectors: Any, names: Any, said: Any, rows: Any, kept: list[str],
    config: MiningConfig, until: datetime,
) -> Finding | None:  # fmt: skip
    inside = found.labels == label
    member = (rows >= 0) & inside[rows]
    support = int(member.sum())
    quality = float(found.silhouettes[inside].mean())
    if support < config.min_count or quality < CLEAR:
        return None
    overall = max(float(likeness.mean()), 1e-6)
    terms = _terms(inside, vectors, names)
    often = Counter(said["entity"][member])
    entities = sorted(often, key=lambda entity: (-often[entity], entity))
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
    kin = [
        _terms(found.labels == other, vectors, names)
        for other in range(len(found.p_values))
        if other != label and found.family(other) == found.family(label)
    ]
    told = _mostly(said, member)
    others = len(said) - support
    more = f", {told[0][1]} of them {told[0][0]} (of the other {others}: {told[0][2]})" if told else ""
    sentence = (
        f"{support} of {len(said)} failures with a message are of one kind, by their words {words.listed(terms, 4)}:"
        f" {len(texts)} different texts, in {words.listed(entities)}{more}, last on {words.day(int(times.max()))}."
    )
    digests = ", ".join(sql.literal(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()) for text in texts)
    wanted = sorted(texts, key=lambda text: (-int((rows[member] == kept.index(text)).sum()), text))
    return Finding(
        miner=ErrorClusterMiner.name, key="|".join(sorted(terms)), kind="error_cluster",
        pattern_class=PatternClass.FAILURE_MODE, entities=tuple(entities[:20]), measure="failed", support=support,
        total=len(said), confidence=min(1.0, max(0.0, quality)), effect=float(likeness[np.ix_(inside,
        inside)].mean()) / overall,
        effect_name="likeness_ratio", p_value=found.p_values[label], first_seen_us=int(times.min()),
        last_seen_us=int(times.max()), early=early, late=late, sentence=sentence,
        sql=f"SELECT count(*) FILTER (WHERE md5(said) IN ({digests})) AS support, count(*) AS total"
            f" FROM ({failures_said(until)}) AS failures",
        evidence={
            "terms": terms, "texts": wanted[:10], "different_texts": len(texts), "context": told, "silhouette": quality,
            "near_to_none": float(found.alone[inside].mean()), "family": kin,
            "groups": len(found.p_values), "families": int(found.coarse.max()) + 1,
        },
    )  # fmt: skip
