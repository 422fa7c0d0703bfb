"""Incidents: what belongs together of the patterns. The correlator writes them, here they are read."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec

from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import JsonList, Record, TableOf
from sql.store.where import between, equals, one_of


class Incident(Record, frozen=True, kw_only=True):
    """An incident, without the notice and what the correlator counts."""

    id: uuid.UUID
    title: str
    summary: str
    entity: str
    category: str
    pattern_class: str
    severity: str
    confidence: float
    status: str
    merged_into: uuid.UUID | None = None
    is_wide: bool = False
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    patterns: int
    series: int
    reopened: int = 0
    contributors: JsonList = msgspec.field(default_factory=list)
    known_changes: JsonList = msgspec.field(default_factory=list)
    earlier: JsonList = msgspec.field(default_factory=list)
    inhibited: str | None = None


class IncidentPattern(Record, frozen=True, kw_only=True):
    """That a pattern is part of an incident, and how much of it."""

    pattern_id: uuid.UUID
    incident_id: uuid.UUID
    share: float = 0.0
    joined_at: datetime


INCIDENTS = TableOf(Incident, "incidents")
INCIDENT_PATTERNS = TableOf(IncidentPattern, "incident_patterns", key=("pattern_id",))


class Incidents(Module):
    """Incidents and their patterns."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.incidents: Repository[Incident] = Repository(database, INCIDENTS)
        self.members: Repository[IncidentPattern] = Repository(database, INCIDENT_PATTERNS)

    def listing(
        self,
        *,
        statuses: Collection[str] | None = None,
        severities: Collection[str] | None = None,
        categories: Collection[str] | None = None,
        entity: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Incident]:
        """Incidents that began in [since, until), the latest first."""
        conditions: list[Any] = [
            one_of("status", statuses),
            one_of("severity", severities),
            one_of("category", categories),
            equals("entity", entity),
            *between("started_at", since, until),
        ]
        return self.incidents.page(conditions, order="started_at", limit=limit, after=after)

    def members_of(self, incident_id: uuid.UUID) -> list[IncidentPattern]:
        """The patterns of an incident, the earliest first, at most 1000."""
        return self.members.all([equals("incident_id", incident_id)], order="joined_at")

    def of_pattern(self, pattern_id: uuid.UUID) -> uuid.UUID | None:
        """The incident that a pattern is part of."""
        found = self.members.first([equals("pattern_id", pattern_id)], order="pattern_id")
        return None if found is None else found.incident_id
