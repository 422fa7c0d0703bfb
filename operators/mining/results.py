"""What becomes of findings: the pattern that each is in the tables, what changed of it, and how patterns relate."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from operators.episodes import Severity
from operators.mining.finding import Finding
from operators.mining.history import History
from operators.mining.streams import integration_entities
from operators.mining.validate import Judged
from operators.taxonomy import Category

FADING = 0.7
"""What a pattern's confidence is multiplied by for each night that does not find it again."""

RETIRED_AFTER = 3
"""Nights without it after which a pattern is no longer active."""

CHANGED = 0.1
"""Change of the score that is told as strengthening or weakening."""

PENDING = 0.7
"""What the confidence of a finding is multiplied by that a later time could not confirm yet."""

UNTESTED = 0.9
"""Confidence of a count that claims nothing against chance: it is right unless the data are not."""

MOST_RELATED = 5
"""Relations of a pattern to others of the same entity, the highest scores first."""

Kind = Literal["pipeline", "step", "task", "integration", "code", "series"]
SERIES: Kind = "series"
"""What an entity is that the history has no events of: of a metric, a machine."""

PERFORMANCE_KINDS = frozenset(
    {"change_point", "trend", "weekly", "daily", "shape_cluster", "bottleneck", "critical_path"}
)
"""Findings that are about how long or how much, whatever the entity."""


OF_FAILURE = frozenset({"failure_mode", "error_signature", "flaky", "change_point", "trend", "departure"})
"""Findings of how, or how often, a thing fails: not when."""


class Mined(msgspec.Struct, frozen=True):
    """A finding on its way into `detected_patterns`. `subject`: what kind of thing it is about."""

    finding: Finding
    status: Literal["confirmed", "pending"]
    score: float
    reason: str
    subject: Kind

    @property
    def id(self) -> uuid.UUID:
        """The pattern's id."""
        return self.finding.id

    @property
    def confidence(self) -> float:
        """How sure it is, 0 to 1: what the false discovery rate leaves, less while no later time confirmed it."""
        sure = UNTESTED if self.finding.q_value is None else 1.0 - self.finding.q_value
        return sure * (1.0 if self.status == "confirmed" else PENDING)

    @property
    def name(self) -> str:
        """A short name."""
        return f"{self.finding.kind.replace('_', ' ')} of {self.finding.entities[0]}"[:200]

    @property
    def impact(self) -> Severity:
        """How much it matters, for a reader: by its score alone, and never critical."""
        return "high" if self.score >= 0.75 else "medium" if self.score >= 0.4 else "low"

    @property
    def is_performance(self) -> bool:
        """Whether it belongs to `performance_patterns`."""
        return self.finding.category is Category.PERFORMANCE or self.finding.kind in PERFORMANCE_KINDS


class Before(NamedTuple):
    """A pattern of an earlier night, as it stands."""

    active: bool
    confidence: float
    score: float
    support: int
    missed: tuple[str, ...]
    sure: float


class Moved(NamedTuple):
    """A line of a pattern's history."""

    pattern_id: uuid.UUID
    kind: Literal["opened", "strengthening", "weakening", "resolved"]
    previous: dict[str, Any]
    current: dict[str, Any]
    magnitude: float


class Relation(NamedTuple):
    """How two patterns relate. `offset_s` is the time from the first to the second, None where it has no meaning."""

    parent: uuid.UUID
    child: uuid.UUID
    kind: Literal["causes", "correlates_with", "precedes"]
    strength: float
    offset_s: float | None
    confirmed: bool


class Names(msgspec.Struct):
    """What there is in a history: the kind of each component by its name, and each pipeline's steps."""

    kinds: dict[str, Kind] = {}
    steps: dict[str, list[str]] = {}


_KINDS: tuple[Kind, ...] = ("code", "integration", "task", "step", "pipeline")
"""What a name is that is that of several, the last."""


def names(histories: Iterable[History]) -> Names:
    """The names in histories.

    >>> names([]).kinds
    {'tasks': 'task'}
    """
    found: list[tuple[Kind, set[str]]] = [("task", {"tasks"})]
    steps: dict[str, set[str]] = {}
    for history in histories:
        found.append(("code", set(map(str, history.code_dependencies["codebase_id"].unique()))))
        if len(history.integration_events):
            found.append(("integration", set(map(str, integration_entities(history.integration_events).unique()))))
        found.append(("task", set(map(str, history.task_executions["project_name"].dropna().unique()))))
        found.append(("pipeline", set(map(str, history.runs["pipeline_name"].unique()))))
        pairs = history.steps[["pipeline_name", "step_name"]].drop_duplicates()
        for pipeline, step in zip(pairs["pipeline_name"], pairs["step_name"], strict=True):
            steps.setdefault(pipeline, set()).add(step)
            found.append(("step", {f"{pipeline}/{step}"}))
    return _named(found, steps)


def merged(parts: Iterable[Names]) -> Names:
    """The names of several shards as one."""
    found: list[tuple[Kind, set[str]]] = []
    steps: dict[str, set[str]] = {}
    for part in parts:
        found += [(kind, {name}) for name, kind in part.kinds.items()]
        for pipeline, of in part.steps.items():
            steps.setdefault(pipeline, set()).update(of)
    return _named(found, steps)


def _named(found: Iterable[tuple[Kind, set[str]]], steps: dict[str, set[str]]) -> Names:
    kinds: dict[str, Kind] = {}
    for kind, those in sorted(found, key=lambda one: _KINDS.index(one[0])):
        kinds |= dict.fromkeys(those, kind)
    return Names(dict(sorted(kinds.items())), {pipeline: sorted(of) for pipeline, of in sorted(steps.items())})


def mined(verdicts: Iterable[Judged], of: Names) -> list[Mined]:
    """What is worth storing of the verdicts, the best first: all but what was rejected."""
    # What is said of a pipeline need not be said again of its only step.
    only = {f"{pipeline}/{steps[0]}": pipeline for pipeline, steps in of.steps.items() if len(steps) == 1}
    verdicts = list(verdicts)
    whole = {(one.finding.kind, one.finding.measure, one.finding.entities[0]) for one in verdicts}
    kept = []
    for one in verdicts:
        entity = one.finding.entities[0]
        if one.status == "rejected" or (one.finding.kind, one.finding.measure, only.get(entity)) in whole:
            continue
        known = (of.kinds[name] for name in one.finding.entities if name in of.kinds)
        # A code base may have the name of a pipeline, or of a project.
        subject: Kind = "code" if one.finding.miner == "graph" else next(known, SERIES)
        kept.append(Mined(one.finding, one.status, one.score, one.reason, subject))
    return sorted(kept, key=lambda one: (-one.score, one.finding.miner, one.finding.key))


def moved(now: Sequence[Mined], before: Mapping[uuid.UUID, Before]) -> list[Moved]:
    """What is to be told of patterns that were found tonight, against what is known of them."""
    out = []
    for one in now:
        known = before.get(one.id)
        current = {"confidence": one.confidence, "score": one.score, "support": one.finding.support, "missed": 0}
        if known is None or not known.active:
            previous = {} if known is None else {"confidence": known.confidence, "score": known.score}
            out.append(Moved(one.id, "opened", previous, current, one.score - (known.score if known else 0.0)))
            continue
        change = one.score - known.score
        if abs(change) >= CHANGED:
            previous = {"confidence": known.confidence, "score": known.score, "support": known.support}
            out.append(Moved(one.id, "strengthening" if change > 0 else "weakening", previous, current, change))
    return out


def faded(missed: Mapping[uuid.UUID, Before], night: str) -> list[tuple[uuid.UUID, Before, list[Moved]]]:
    """Patterns that tonight (`night`, its end) did not find: how they stand now, and what is to be told.

    >>> before = {uuid.UUID(int=1): Before(True, 0.9, 0.5, 12, ("d1", "d2"), 0.9)}
    >>> [(now.active, round(now.confidence, 2), [line.kind for line in lines]) for _, now, lines in faded(before, "d3")]
    [(False, 0.31, ['weakening', 'resolved'])]
    """
    out = []
    for pattern_id, known in missed.items():
        nights = (*known.missed, night)
        now = known._replace(
            active=len(nights) < RETIRED_AFTER, confidence=known.sure * FADING ** len(nights), missed=nights
        )
        previous = {"confidence": known.confidence, "missed": len(known.missed)}
        current = {"confidence": now.confidence, "missed": len(nights)}
        change = now.confidence - known.confidence
        lines = [Moved(pattern_id, "weakening", previous, current, change)]
        if not now.active:
            lines.append(Moved(pattern_id, "resolved", previous, current, change))
        out.append((pattern_id, now, lines))
    return out


def relations(found: Sequence[Mined]) -> list[Relation]:
    """How tonight's patterns hang together.

    A finding that something follows something else (a sequence, a propagation) makes the best pattern of the first
    alone precede the best of the second alone, by the time that it measured. A step that fails in some way makes its
    pipeline fail: such patterns of a step cause the best of its pipeline's failures (`OF_FAILURE`). Patterns of one
    entity correlate. Strength is the share of the time of both that they have in common (of what precedes: how often
    it did); patterns of different times do not relate.
    """
    by_entity: dict[str, list[Mined]] = {}
    for one in found:
        by_entity.setdefault(one.finding.entities[0], []).append(one)
    out: dict[tuple[uuid.UUID, uuid.UUID, str], Relation] = {}

    def relate(parent: Mined, child: Mined, kind: Any, strength: float, offset: float | None) -> None:
        key = (parent.id, child.id, kind)
        if parent.id != child.id and strength > 0.0 and key not in out and (child.id, parent.id, kind) not in out:
            both = parent.status == child.status == "confirmed"
            out[key] = Relation(parent.id, child.id, kind, min(1.0, strength), offset, both)

    for one in found:
        entities = one.finding.entities
        if one.finding.kind in ("sequence", "propagation") and len(entities) > 1:
            first, last = _alone(by_entity, entities[-1]), _alone(by_entity, entities[0])
            lag = one.finding.evidence.get("lead_s", one.finding.evidence.get("median_lag_s"))
            if first is not None and last is not None:
                relate(first, last, "precedes", one.finding.confidence, lag)
        if one.subject == "step" and _of_failure(one):
            whole = next(filter(_of_failure, by_entity.get(entities[0].rpartition("/")[0], ())), None)
            if whole is not None:
                relate(one, whole, "causes", in_common(one.finding, whole.finding), None)
    for same in by_entity.values():
        for at, one in enumerate(same[: MOST_RELATED + 1]):
            for other in same[at + 1 : MOST_RELATED + 1]:
                relate(one, other, "correlates_with", in_common(one.finding, other.finding), None)
    return list(out.values())


def in_common(one: Finding, other: Finding) -> float:
    """The share of the time that two findings span which both of them do, 0 to 1."""
    both = min(one.last_seen_us, other.last_seen_us) - max(one.first_seen_us, other.first_seen_us)
    either = max(one.last_seen_us, other.last_seen_us) - min(one.first_seen_us, other.first_seen_us)
    return max(0.0, both / either) if either > 0 else float(both == 0)


def _of_failure(one: Mined) -> bool:
    return one.finding.measure == "failed" and one.finding.kind in OF_FAILURE


def _alone(by_entity: Mapping[str, list[Mined]], entity: str) -> Mined | None:
    """The best pattern of an entity that speaks of no other one."""
    return next((one for one in by_entity.get(entity, ()) if len(one.finding.entities) == 1), None)
