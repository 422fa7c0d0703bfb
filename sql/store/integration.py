"""Module 5, integration events: what passed between systems, what goes together, what it did, and how healthy it is."""

import uuid
from collections.abc import Collection
from datetime import datetime

from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import DERIVED, Json, Record, TableOf, derived
from sql.store.where import between, equals, has, one_of


class IntegrationEvent(Record, frozen=True, kw_only=True):
    """An exchange between systems; `processing_duration` is in milliseconds."""

    id: uuid.UUID
    event_type: str
    source_system: str
    target_system: str | None = None
    event_data: Json
    event_timestamp: datetime
    processing_duration: float | None = None
    status: str
    error_details: Json | None = None
    correlation_id: uuid.UUID | None = None
    correlation_key: str | None = None
    created_at: datetime | None = None


class EventCorrelation(Record, frozen=True, kw_only=True):
    """That two events go together; `time_offset` is in milliseconds."""

    id: uuid.UUID = DERIVED
    primary_event_id: uuid.UUID
    related_event_id: uuid.UUID
    correlation_type: str
    correlation_strength: float
    time_offset: int | None = None
    discovered_at: datetime
    confidence_score: float


class IntegrationPattern(Record, frozen=True, kw_only=True):
    """What a pattern says of systems that speak to each other."""

    id: uuid.UUID = DERIVED
    pattern_id: uuid.UUID
    pattern_name: str
    pattern_type: str
    systems_involved: list[str]
    pattern_definition: Json
    frequency_analysis: Json
    performance_impact: Json
    detected_at: datetime
    pattern_stability_score: float


class EventImpact(Record, frozen=True, kw_only=True):
    """What an event did to other systems; durations are in seconds."""

    id: uuid.UUID = DERIVED
    event_id: uuid.UUID
    impact_type: str
    affected_systems: list[str]
    impact_magnitude: float
    impact_duration: int | None = None
    recovery_time: int | None = None
    business_impact_score: float
    analyzed_at: datetime
    mitigation_suggestions: Json | None = None


class IntegrationHealth(Record, frozen=True, kw_only=True):
    """Events of one kind between two systems in a stretch of time; durations are in milliseconds."""

    source_system: str
    target_system: str | None
    event_type: str
    events: int
    failed: int
    median_ms: float | None
    p95_ms: float | None
    last_at: datetime


INTEGRATION_EVENTS = TableOf(IntegrationEvent, "integration_events", time="event_timestamp")
EVENT_CORRELATIONS = TableOf(
    EventCorrelation,
    "event_correlations",
    key=("primary_event_id", "related_event_id", "correlation_type", "discovered_at"),
    time="discovered_at",
    identify=derived("event_correlation", "primary_event_id", "related_event_id", "correlation_type"),
)
INTEGRATION_PATTERNS = TableOf(IntegrationPattern, "integration_patterns", identify=lambda row: row.pattern_id)
EVENT_IMPACTS = TableOf(
    EventImpact, "event_impact_analysis", identify=derived("event_impact_analysis", "event_id", "impact_type")
)


class Integration(Module):
    """Events between systems and what belongs to them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.events = Repository(database, INTEGRATION_EVENTS)
        self.correlations = Repository(database, EVENT_CORRELATIONS)
        self.patterns = Repository(database, INTEGRATION_PATTERNS)
        self.impacts = Repository(database, EVENT_IMPACTS)

    def listing(
        self,
        *,
        source: str | None = None,
        target: str | None = None,
        event_types: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        correlation_id: uuid.UUID | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[IntegrationEvent]:
        """Events of [since, until), the latest first."""
        conditions = [
            equals("source_system", source),
            equals("target_system", target),
            one_of("event_type", event_types),
            one_of("status", statuses),
            equals("correlation_id", correlation_id),
            *between("event_timestamp", since, until),
        ]
        return self.events.page(conditions, order="event_timestamp", limit=limit, after=after)

    def correlated(self, event_id: uuid.UUID) -> list[EventCorrelation]:
        """What goes together with the event, as cause or as effect, the earliest found first."""
        found = [
            row
            for column in ("primary_event_id", "related_event_id")
            for row in self.correlations.all([equals(column, event_id)], order="discovered_at")
        ]
        return sorted(found, key=lambda row: row.discovered_at)

    def impacts_of(self, event_id: uuid.UUID) -> list[EventImpact]:
        """What the event did, the greatest harm first."""
        return self.impacts.all([equals("event_id", event_id)], order="business_impact_score", descending=True)

    def patterns_of(self, system: str, since: datetime, until: datetime) -> list[IntegrationPattern]:
        """Patterns found in [since, until) in which the system has a part, the latest first."""
        conditions = [has("systems_involved", system), *between("detected_at", since, until)]
        return self.patterns.all(conditions, order="detected_at", descending=True)

    def health(self, since: datetime, until: datetime) -> list[IntegrationHealth]:
        """Events of [since, until) by systems and type, the most failures first."""
        return self.ask("store_integration_health", IntegrationHealth, since=since, until=until)
