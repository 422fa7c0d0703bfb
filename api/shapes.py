"""What the API answers: one class a shape. The OpenAPI description is made from these, and the answers too."""

import uuid
from datetime import datetime
from typing import Any

import msgspec

from sql.store.incidents import Incident
from sql.store.models import DailyAccuracy, ModelMetric
from sql.store.patterns import DetectedPattern, PatternClassification, PatternEvolution
from sql.store.performance import Opportunity

CLASS = "class"
"""Where a pattern's data holds its class of the taxonomy."""
IMPACT = ("value", "expected", "low", "high", "peak_value", "score", "peak_score", "contributors")
"""Parts of a pattern's data that its impact shows."""


class PatternSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern: the specification's fields, and those by which people find one."""

    id: uuid.UUID
    pattern_type: str
    confidence_score: float
    detected_at: datetime
    description: str
    impact_assessment: dict[str, Any]
    recommendations: list[dict[str, Any]]
    pattern_name: str
    pattern_class: str | None
    pattern_category: str
    severity: str
    direction: str | None
    significance_score: float
    entity: str
    measure: str
    is_active: bool
    opened_at: datetime
    last_observed_at: datetime
    resolved_at: datetime | None
    observation_count: int
    detection_algorithm: str


class SeriesName(msgspec.Struct, frozen=True, kw_only=True):
    """A series. Its id is a text, for it may be beyond what a number of JavaScript holds."""

    id: str
    entity: str
    measure: str
    kind: str


class PointShape(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a step of time, which starts at `time`."""

    time: datetime
    n: int
    min: float
    max: float
    avg: float


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch in which a series was silent for unusually long: draw no line over it."""

    start: datetime
    end: datetime


class SeriesPoints(msgspec.Struct, frozen=True, kw_only=True):
    """Points of a series in [start, end), `step` seconds each."""

    series: SeriesName
    start: datetime
    end: datetime
    step: int
    points: list[PointShape]
    gaps: list[Gap]


class RelatedPattern(msgspec.Struct, frozen=True, kw_only=True):
    """Another pattern and how it hangs together with this one."""

    relationship_type: str
    is_parent: bool
    """Whether the other one is the cause, the earlier one."""
    strength: float
    offset_seconds: int | None
    pattern: PatternSummary


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change in a pattern's life."""

    evolution_type: str
    at: datetime
    magnitude: float
    previous: dict[str, Any]
    current: dict[str, Any]
    contributing_factors: dict[str, Any] | None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a person or a model says of a pattern."""

    type: str
    value: str
    confidence: float
    by: str
    at: datetime
    human: bool
    note: str | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """The times of the steps from an event to its row."""

    event_time: datetime | None
    ingested_at: datetime | None
    decided_at: datetime | None
    written_at: datetime | None


class PatternReport(PatternSummary, frozen=True, kw_only=True):
    """A pattern and all that is known of it."""

    evidence: dict[str, Any]
    latency: Latency
    series: SeriesPoints | None
    """The series around the pattern; null where it is of several, or its points are no longer kept."""
    relations: list[RelatedPattern]
    history: list[Change]
    judgements: list[Judgement]
    earlier: list[PatternSummary]
    """Occurrences before it in the same series, by the same detector, the latest first; at most 10."""
    incident_id: uuid.UUID | None


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth changing: the specification's fields, and what it is about."""

    id: uuid.UUID
    recommendation_type: str
    priority_score: float
    potential_improvement: float
    effort_estimate: str
    description: str
    implementation_steps: list[str]
    component_name: str
    status: str
    identified_at: datetime
    supporting_data: dict[str, Any]


class IncidentReport(Incident, frozen=True, kw_only=True):
    """An incident and its patterns, the earliest first."""

    members: list[PatternSummary]


class AnalysisStarted(msgspec.Struct, frozen=True, kw_only=True):
    """Where an analysis is found."""

    task_id: uuid.UUID
    status: str
    url: str


class AnalysisState(msgspec.Struct, frozen=True, kw_only=True):
    """A job: how far it is, and in the end what it found."""

    id: uuid.UUID
    status: str
    progress: float
    request: dict[str, Any]
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    result: dict[str, Any] | None
    error: str | None


class ModelReport(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a model, the latest of each of its measures by data set, and its accuracy by day."""

    id: uuid.UUID
    model_name: str
    model_version: str
    model_type: str
    model_purpose: str
    algorithm_name: str
    is_active: bool
    created_at: datetime | None
    performance_metrics: dict[str, Any]
    metrics: list[ModelMetric]
    accuracy: list[DailyAccuracy]


class InputQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an input's records: `difference` is read less all others but patterns, and ought to be 0."""

    input: str
    read: int = 0
    applied: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    patterns: int = 0
    difference: int = 0
    dead_letter_reasons: dict[str, int] = {}
    updated_at: datetime | None = None


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all records, and of each input's."""

    total: InputQuality
    inputs: list[InputQuality]


class EventResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event: `accepted`, or `rejected` for a reason of the contract."""

    index: int
    id: str | None
    status: str
    reason: str | None = None
    detail: str | None = None


class EventResults(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each event, in the order in which they were sent."""

    accepted: int
    rejected: int
    results: list[EventResult]


class FeedbackStored(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored."""

    pattern_id: uuid.UUID | None = None
    verdict: str | None = None
    recommendation_id: uuid.UUID | None = None
    status: str | None = None
    actor: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the process is."""

    status: str
    checks: dict[str, str] = {}


def summary_of(pattern: DetectedPattern, recommendations: list[dict[str, Any]] | None = None) -> PatternSummary:
    """A pattern as it is shown in lists."""
    data = pattern.pattern_data
    end = pattern.resolved_at or pattern.last_observed_at
    impact: dict[str, Any] = {
        "severity": pattern.severity,
        "significance_score": pattern.significance_score,
        "duration_seconds": (end - pattern.opened_at).total_seconds(),
        "observation_count": pattern.observation_count,
    }
    impact |= {name: data[name] for name in IMPACT if data.get(name) is not None}
    return PatternSummary(
        id=pattern.id,
        pattern_type=pattern.pattern_type,
        confidence_score=pattern.confidence_score,
        detected_at=pattern.detected_at,
        description=pattern.explanation,
        impact_assessment=impact,
        recommendations=recommendations or [],
        pattern_name=pattern.pattern_name,
        pattern_class=data.get(CLASS) if isinstance(data.get(CLASS), str) else None,
        pattern_category=pattern.pattern_category,
        severity=pattern.severity,
        direction=pattern.direction,
        significance_score=pattern.significance_score,
        entity=pattern.entity,
        measure=pattern.measure,
        is_active=pattern.is_active,
        opened_at=pattern.opened_at,
        last_observed_at=pattern.last_observed_at,
        resolved_at=pattern.resolved_at,
        observation_count=pattern.observation_count,
        detection_algorithm=pattern.detection_algorithm,
    )


def recommendation_of(found: Opportunity) -> Recommendation:
    """A row as a recommendation: steps are what its supporting data lists under `implementation_steps`."""
    data = found.supporting_data or {}
    steps = data.get("implementation_steps")
    return Recommendation(
        id=found.id,
        recommendation_type=found.opportunity_type,
        priority_score=found.priority_score,
        potential_improvement=found.potential_improvement,
        effort_estimate=found.effort_estimate,
        description=found.recommendation_text,
        implementation_steps=[str(step) for step in steps] if isinstance(steps, list) else [],
        component_name=found.component_affected,
        status=found.status,
        identified_at=found.identified_at,
        supporting_data={key: value for key, value in data.items() if key != "implementation_steps"},
    )


def change_of(found: PatternEvolution) -> Change:
    """A line of a pattern's history."""
    return Change(
        evolution_type=found.evolution_type,
        at=found.evolution_timestamp,
        magnitude=found.change_magnitude,
        previous=found.previous_state,
        current=found.current_state,
        contributing_factors=found.contributing_factors,
    )


def judgement_of(found: PatternClassification) -> Judgement:
    """A verdict, or what a model says."""
    return Judgement(
        type=found.classification_type,
        value=found.classification_value,
        confidence=found.classification_confidence,
        by=found.actor or found.classifier_model,
        at=found.classified_at,
        human=found.human_verified,
        note=found.note,
    )
