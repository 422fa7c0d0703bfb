"""Module 6, pattern storage: detected patterns, what people and models say of them, and how they relate and evolve."""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime

import msgspec

from operators.identity import identity
from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import DERIVED, Json, Record, TableOf, derived
from sql.store.where import at_least, below, between, contains, equals, one_of
from sql.store.where import nightly as of_nightly


class DetectedPattern(Record, frozen=True, kw_only=True):
    """A pattern, with its evidence in `pattern_data`."""

    id: uuid.UUID
    pattern_name: str
    pattern_type: str
    pattern_category: str
    pattern_data: Json
    detection_algorithm: str
    confidence_score: float
    significance_score: float
    detected_at: datetime
    last_observed_at: datetime
    observation_count: int = 1
    is_active: bool = True
    entity: str
    measure: str
    severity: str
    direction: str | None = None
    opened_at: datetime
    resolved_at: datetime | None = None
    event_time: datetime | None = None
    ingested_at: datetime | None = None
    decided_at: datetime | None = None
    written_at: datetime | None = None
    explanation: str


class PatternClassification(Record, frozen=True, kw_only=True):
    """What a person or a model says of a pattern."""

    id: uuid.UUID = DERIVED
    pattern_id: uuid.UUID
    classification_type: str
    classification_value: str
    classification_confidence: float
    classifier_model: str
    classified_at: datetime
    human_verified: bool = False
    verification_timestamp: datetime | None = None
    actor: str | None = None
    note: str | None = None


class PatternRelationship(Record, frozen=True, kw_only=True):
    """How two patterns relate; `temporal_offset` is in seconds."""

    id: uuid.UUID = DERIVED
    parent_pattern_id: uuid.UUID
    child_pattern_id: uuid.UUID
    relationship_type: str
    relationship_strength: float
    temporal_offset: int | None = None
    discovered_at: datetime
    validation_status: str = "pending"


class PatternEvolution(Record, frozen=True, kw_only=True):
    """A change in a pattern's life."""

    id: uuid.UUID = DERIVED
    pattern_id: uuid.UUID
    evolution_type: str
    previous_state: Json = msgspec.field(default_factory=dict)
    current_state: Json
    change_magnitude: float
    evolution_timestamp: datetime
    contributing_factors: Json | None = None
    prediction_accuracy: float | None = None


class Related(msgspec.Struct, frozen=True):
    """A pattern and how it relates to the one that was asked for."""

    pattern: DetectedPattern
    relationship: PatternRelationship


class PatternDetail(msgspec.Struct, frozen=True):
    """A pattern and everything known of it: judgements and changes in the order of time."""

    pattern: DetectedPattern
    classifications: list[PatternClassification]
    related: list[Related]
    evolution: list[PatternEvolution]


class OpenCount(Record, frozen=True, kw_only=True):
    """How many patterns of a severity are open."""

    severity: str
    n: int


DETECTED_PATTERNS = TableOf(
    DetectedPattern, "detected_patterns", kept=("event_time", "ingested_at", "decided_at", "written_at")
)
PATTERN_CLASSIFICATIONS = TableOf(
    PatternClassification,
    "pattern_classifications",
    identify=derived(
        "pattern_classification", "pattern_id", "classification_type", "classifier_model", "actor", "classified_at"
    ),
)
PATTERN_RELATIONSHIPS = TableOf(
    PatternRelationship,
    "pattern_relationships",
    kept=("discovered_at", "validation_status"),
    identify=derived("pattern_relationship", "parent_pattern_id", "child_pattern_id", "relationship_type"),
)
PATTERN_EVOLUTION = TableOf(
    PatternEvolution,
    "pattern_evolution",
    key=("pattern_id", "evolution_type", "evolution_timestamp"),
    time="evolution_timestamp",
    identify=lambda row: identity(
        "pattern_evolution",
        f"{row.pattern_id}/{row.evolution_type}/{round(row.evolution_timestamp.timestamp() * 1_000_000)}",
    ),
)


class Patterns(Module):
    """Patterns and what belongs to them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.patterns = Repository(database, DETECTED_PATTERNS)
        self.classifications = Repository(database, PATTERN_CLASSIFICATIONS)
        self.relationships = Repository(database, PATTERN_RELATIONSHIPS)
        self.evolution = Repository(database, PATTERN_EVOLUTION)

    def listing(
        self,
        *,
        types: Collection[str] | None = None,
        categories: Collection[str] | None = None,
        severities: Collection[str] | None = None,
        entity: str | None = None,
        entity_part: str | None = None,
        measure: str | None = None,
        active: bool | None = None,
        least_confidence: float | None = None,
        nightly: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: str = "detected_at",
        descending: bool = True,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[DetectedPattern]:
        """Patterns detected in [since, until); `entity_part` is a part of the entity's name.

        `nightly`: those that the nightly flow mined from history, or those of the realtime flow; None = both.
        """
        conditions = [
            one_of("pattern_type", types),
            one_of("pattern_category", categories),
            one_of("severity", severities),
            equals("entity", entity),
            contains("entity", entity_part),
            equals("measure", measure),
            equals("is_active", active),
            at_least("confidence_score", least_confidence),
            of_nightly("detection_algorithm", nightly),
            *between("detected_at", since, until),
        ]
        return self.patterns.page(conditions, order=order, descending=descending, limit=limit, after=after)

    def starting_with(self, digits: str, most: int = 10) -> list[uuid.UUID]:
        """Ids of patterns that begin with these hexadecimal digits, at most so many."""
        least = uuid.UUID(digits.ljust(32, "0"))
        beyond = (int(digits, 16) + 1) << 4 * (32 - len(digits))
        end = below("id", uuid.UUID(int=beyond)) if beyond < 1 << 128 else None
        return [row.id for row in self.patterns.page([at_least("id", least), end], order="id", limit=most).items]

    def detail(self, pattern_id: uuid.UUID) -> PatternDetail:
        """A pattern with everything known of it, as of one moment; raises `NotFound`."""
        with self.database.read():
            pattern = self.patterns.get(pattern_id)
            judged = self.classifications.all([equals("pattern_id", pattern_id)], order="classified_at")
            changes = self.evolution.all([equals("pattern_id", pattern_id)], order="evolution_timestamp")
            return PatternDetail(pattern, judged, self.related(pattern_id), changes)

    def related(self, pattern_id: uuid.UUID) -> list[Related]:
        """Patterns that this one causes, precedes, …, or that do so to it; the strongest first."""
        with self.database.read():
            links = [
                link
                for column in ("parent_pattern_id", "child_pattern_id")
                for link in self.relationships.all([equals(column, pattern_id)], order="relationship_strength")
            ]
            others = {other: link for link in links if (other := _other(link, pattern_id)) != pattern_id}
            found = self.patterns.all([one_of("id", others)], order="id")
        by_id = {pattern.id: pattern for pattern in found}
        links.sort(key=lambda link: (-link.relationship_strength, link.id))
        return [Related(by_id[other], link) for link in links if (other := _other(link, pattern_id)) in by_id]

    def label(
        self,
        pattern_id: uuid.UUID,
        verdict: str,
        *,
        actor: str | None = None,
        note: str | None = None,
        at: datetime | None = None,
    ) -> PatternClassification:
        """Store a person's verdict: `true_positive`, `false_positive` or `expected`; raises `NotFound`."""
        moment = at or datetime.now(UTC)
        with self.database.write():
            self.patterns.get(pattern_id)
            return self.classifications.save(
                PatternClassification(
                    pattern_id=pattern_id,
                    classification_type="verdict",
                    classification_value=verdict,
                    classification_confidence=1.0,
                    classifier_model="human",
                    classified_at=moment,
                    human_verified=True,
                    verification_timestamp=moment,
                    actor=actor,
                    note=note,
                )
            )

    def open_by_severity(self) -> dict[str, int]:
        """How many patterns are open, by severity; a severity without any is not in it."""
        return {row.severity: row.n for row in self.ask("store_open_patterns", OpenCount)}


def _other(link: PatternRelationship, pattern_id: uuid.UUID) -> uuid.UUID:
    return link.child_pattern_id if link.parent_pattern_id == pattern_id else link.parent_pattern_id
