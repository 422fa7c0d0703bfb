"""Module 4, performance analytics: comparisons with baselines, and what would be worth changing."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import DERIVED, Json, Record, TableOf, derived
from sql.store.where import at_least, between, equals, has, one_of


class PerformanceAnalysis(Record, frozen=True, kw_only=True):
    """A measure of a component against its baseline; `performance_delta` is in percent of the baseline."""

    id: uuid.UUID = DERIVED
    component_name: str
    metric_type: str
    baseline_value: float
    current_value: float
    performance_delta: float | None = None
    measurement_window: timedelta
    analyzed_at: datetime
    context_metadata: Json | None = None
    component_kind: str = ""


class PerformanceBaseline(Record, frozen=True, kw_only=True):
    """What is normal for a component; of one kind of component and type of baseline at most one is active."""

    id: uuid.UUID = DERIVED
    component_name: str
    baseline_type: str
    baseline_metrics: Json
    confidence_level: float
    sample_size: int
    established_at: datetime
    valid_until: datetime | None = None
    is_active: bool = True
    component_kind: str = ""


class Opportunity(Record, frozen=True, kw_only=True):
    """Something worth changing, that is, a recommendation; `potential_improvement` is in percent.

    `id` is derived from type, component and recommendation.
    """

    id: uuid.UUID = DERIVED
    opportunity_type: str
    component_affected: str
    potential_improvement: float
    effort_estimate: str
    priority_score: float
    recommendation_text: str
    supporting_data: Json | None = None
    identified_at: datetime
    status: str = "identified"


class PerformancePattern(Record, frozen=True, kw_only=True):
    """What a pattern says of the speed of components."""

    id: uuid.UUID = DERIVED
    pattern_id: uuid.UUID
    pattern_name: str
    pattern_type: str
    affected_components: list[str]
    pattern_signature: Json
    trend_analysis: Json
    impact_severity: str
    detected_at: datetime
    prediction_accuracy: float | None = None


PERFORMANCE_ANALYTICS = TableOf(
    PerformanceAnalysis,
    "performance_analytics",
    key=("component_name", "component_kind", "metric_type", "measurement_window", "analyzed_at"),
    time="analyzed_at",
    identify=derived(
        "performance_analytics", "component_name", "component_kind", "metric_type", "measurement_window", "analyzed_at"
    ),
)
PERFORMANCE_BASELINES = TableOf(
    PerformanceBaseline,
    "performance_baselines",
    identify=derived("performance_baseline", "component_name", "component_kind", "baseline_type", "established_at"),
)
OPTIMIZATION_OPPORTUNITIES = TableOf(
    Opportunity,
    "optimization_opportunities",
    kept=("identified_at", "status"),
    identify=derived("recommendation", "opportunity_type", "component_affected", "recommendation_text"),
)
PERFORMANCE_PATTERNS = TableOf(PerformancePattern, "performance_patterns", identify=lambda row: row.pattern_id)


class Performance(Module):
    """Components, their baselines, and recommendations."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.analytics = Repository(database, PERFORMANCE_ANALYTICS)
        self.baselines = Repository(database, PERFORMANCE_BASELINES)
        self.opportunities = Repository(database, OPTIMIZATION_OPPORTUNITIES)
        self.patterns = Repository(database, PERFORMANCE_PATTERNS)

    def analyses(
        self,
        *,
        component: str | None = None,
        metric_types: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[PerformanceAnalysis]:
        """Comparisons made in [since, until), the latest first."""
        conditions = [
            equals("component_name", component),
            one_of("metric_type", metric_types),
            *between("analyzed_at", since, until),
        ]
        return self.analytics.page(conditions, order="analyzed_at", limit=limit, after=after)

    def baseline(self, component: str, baseline_type: str, kind: str | None = None) -> PerformanceBaseline | None:
        """The baseline of a component that holds now; without its `kind`, of several of one name the newest."""
        conditions = [
            equals("component_name", component), equals("component_kind", kind),
            equals("baseline_type", baseline_type), equals("is_active", True),
        ]  # fmt: skip
        return self.baselines.first(conditions, order="established_at")

    def establish(self, baseline: PerformanceBaseline) -> PerformanceBaseline:
        """Store a baseline and let it hold from now on; the one before it stays as history."""
        fresh = msgspec.structs.replace(PERFORMANCE_BASELINES.identified(baseline), is_active=True)
        of = (baseline.component_name, baseline.baseline_type, baseline.component_kind)
        with self.database.write() as connection:
            # Whoever establishes another baseline of the same type at this moment waits.
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                [f"baseline {baseline.component_name}/{baseline.baseline_type}"],
            )
            before = self.baseline(*of)
            if before is not None and before.id != fresh.id:
                self.baselines.update(before.id, {"is_active": False})
            return self.baselines.save(fresh)

    def recommendations(
        self,
        *,
        component: str | None = None,
        types: Collection[str] | None = None,
        statuses: Collection[str] | None = None,
        efforts: Collection[str] | None = None,
        least_priority: float | None = None,
        order: str = "priority_score",
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Opportunity]:
        """What is worth changing, the most urgent first."""
        conditions = [
            equals("component_affected", component),
            one_of("opportunity_type", types),
            one_of("status", statuses),
            one_of("effort_estimate", efforts),
            at_least("priority_score", least_priority),
        ]
        return self.opportunities.page(conditions, order=order, limit=limit, after=after)

    def patterns_of(self, component: str, since: datetime, until: datetime) -> list[PerformancePattern]:
        """Patterns found in [since, until) that affect the component, the latest first."""
        conditions = [has("affected_components", component), *between("detected_at", since, until)]
        return self.patterns.all(conditions, order="detected_at", descending=True)
