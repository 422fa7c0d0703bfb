"""Shapes of answers that survey many things: the overview, work, nightly findings, the system."""

import uuid
from datetime import datetime
from typing import Any

import msgspec

from api.flowstate import FlowState
from api.shapes import InputQuality, Quality
from sql.store.integration import IntegrationHealth
from sql.store.overview import Delay, LastWork, PatternDay
from sql.store.patterns import DetectedPattern
from sql.store.pipelines import RunHealth
from sql.store.tasks import TaskFlow


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Open patterns and incidents by severity, series by kind, and patterns by day (UTC; days without are left out)."""

    now: datetime
    open_patterns: dict[str, int]
    open_incidents: dict[str, int]
    series: dict[str, int]
    latency: Delay
    quality: InputQuality
    days: list[PatternDay]


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Flows, records by input, and how many live streams this API has open."""

    now: datetime
    flows: list[FlowState]
    quality: Quality
    streams: int


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """How the work went; `last` is when the last of each kind began, null where there is none."""

    last: LastWork
    pipelines: list[RunHealth]
    tasks: list[TaskFlow]
    integrations: list[IntegrationHealth]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a pipeline."""

    id: uuid.UUID
    pipeline_name: str
    execution_id: str
    execution_start: datetime
    execution_end: datetime | None
    status: str
    duration_seconds: float | None
    trigger_type: str
    commit_sha: str | None


class DeadLetterShape(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be used; `sample` is the beginning of its value, null where it had none."""

    id: uuid.UUID
    topic: str
    partition: int
    record_offset: int
    reason: str
    detail: str | None
    received_at: datetime
    event_time: datetime | None
    bytes: int | None
    sample: str | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the nightly flow found in history, in one sentence, with the SQL that counts its numbers again.

    `effect` is its size as `effect_name` says; `q_value` the rate of false discoveries among findings at least as sure.
    `found_at` is the end of the history in which it was last found, `nights_missed` how many nights since did not find
    it; each takes three tenths of `confidence_score`, and after three it is retired (`is_active` false).
    """

    id: uuid.UUID
    kind: str
    category: str
    entity: str
    measure: str
    sentence: str
    support: int | None
    total: int | None
    effect: float | None
    effect_name: str | None
    q_value: float | None
    status: str | None
    confidence_score: float
    score: float
    is_active: bool
    first_seen: datetime
    last_seen: datetime
    sql: str | None
    nights_missed: int
    found_at: datetime | None


def finding_of(pattern: DetectedPattern) -> Finding:
    """A mined pattern as a finding."""
    data = pattern.pattern_data
    return Finding(
        id=pattern.id,
        kind=pattern.pattern_type,
        category=pattern.pattern_category,
        entity=pattern.entity,
        measure=pattern.measure,
        sentence=pattern.explanation,
        support=_number(data, "support", int),
        total=_number(data, "total", int),
        effect=_number(data, "effect", float),
        effect_name=_text(data, "effect_name"),
        q_value=_number(data, "q_value", float),
        status=_text(data, "status"),
        confidence_score=pattern.confidence_score,
        score=pattern.significance_score,
        is_active=pattern.is_active,
        first_seen=pattern.opened_at,
        last_seen=pattern.last_observed_at,
        sql=_text(data, "sql"),
        nights_missed=len(missed) if isinstance(missed := data.get("missed"), list) else 0,
        found_at=_time(data, "found_at"),
    )


def _number(data: dict[str, Any], name: str, kind: Any) -> Any:
    value = data.get(name)
    return kind(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _time(data: dict[str, Any], name: str) -> datetime | None:
    value = data.get(name)
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _text(data: dict[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) else None
