"""Patterns, recommendations and incidents: what was found, and what to do about it."""

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.documents import answers
from api.examples import INCIDENT, PATTERN, RECOMMENDATION
from api.params import After, Category, Flag, Limit, Severity, Share, Text, When, Word
from api.routes.series import points_of
from api.services import Services, page_reply, reply
from sql.store.errors import NotFound
from sql.store.incidents import Incident
from sql.store.patterns import DetectedPattern
from sql.store.store import Store
from sql.store.where import below, equals, one_of

OPEN_ADVICE = ("identified", "in_progress")
"""Recommendations that a pattern is shown with."""
ADVICE = 5
"""Of them, at most."""
EARLIER = 10
AROUND = 300
"""Points of the series around a pattern."""
LEAST_AROUND = timedelta(minutes=30)
"""Shown before and after a pattern, at least; else as long as the pattern itself."""
MOST_AROUND = timedelta(days=14)

Words = Annotated[list[Word] | None, Query()]


def router(services: Services) -> APIRouter:
    """The routes over a store."""
    routes = APIRouter(tags=["patterns"])
    store = services.store

    @routes.get("/patterns", **answers(list[shapes.PatternSummary], 409, 422, example=[PATTERN], pages=True))
    def get_patterns(
        request: Request,
        pattern_types: Words = None,
        start_date: When | None = None,
        end_date: When | None = None,
        confidence_threshold: Share = 0.7,
        categories: Annotated[list[Category] | None, Query()] = None,
        severities: Annotated[list[Severity] | None, Query()] = None,
        entity: Text | None = None,
        entity_part: Text | None = None,
        measure: Text | None = None,
        active: Flag | None = None,
        origin: Literal["live", "nightly"] | None = None,
        order: Literal["detected_at", "last_observed_at", "confidence_score", "significance_score"] = "detected_at",
        descending: Flag = True,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """Detected patterns, the latest first. `pattern_types` are kinds such as spike or threshold; times are those
        of detection, from `start_date` up to but not including `end_date`. `origin`: found as events came, or
        mined from history at night."""
        page = store.patterns.listing(
            types=pattern_types,
            categories=categories,
            severities=severities,
            entity=entity,
            entity_part=entity_part,
            measure=measure,
            active=active,
            least_confidence=confidence_threshold,
            nightly=None if origin is None else origin == "nightly",
            since=start_date,
            until=end_date,
            order=order,
            descending=descending,
            limit=limit,
            after=after,
        )
        return page_reply(request, with_advice(store, page.items), page.next)

    @routes.get("/patterns/{pattern_id:uuid}", **answers(shapes.PatternReport, 404, 422))
    def get_pattern(pattern_id: uuid.UUID) -> Response:
        """A pattern with its evidence, the series around it, relations, history, judgements, earlier ones."""
        with store.database.read():
            return reply(report_of(store, pattern_id))

    @routes.get(
        "/recommendations",
        tags=["recommendations"],
        **answers(list[shapes.Recommendation], 409, 422, example=[RECOMMENDATION], pages=True),
    )
    def get_recommendations(
        request: Request,
        component_name: Text | None = None,
        optimization_types: Words = None,
        priority_threshold: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.5,
        statuses: Annotated[
            list[Literal["identified", "in_progress", "completed", "dismissed"]] | None, Query()
        ] = None,
        efforts: Annotated[list[Literal["low", "medium", "high"]] | None, Query()] = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """What is worth changing, the most worthwhile first."""
        page = store.performance.recommendations(
            component=component_name,
            types=optimization_types,
            statuses=statuses,
            efforts=efforts,
            least_priority=priority_threshold,
            limit=limit,
            after=after,
        )
        return page_reply(request, [shapes.recommendation_of(one) for one in page.items], page.next)

    @routes.get("/incidents", tags=["incidents"], **answers(list[Incident], 409, 422, example=[INCIDENT], pages=True))
    def get_incidents(
        request: Request,
        statuses: Annotated[list[Literal["open", "resolved", "merged", "retracted", "silent"]] | None, Query()] = None,
        severities: Annotated[list[Severity] | None, Query()] = None,
        categories: Annotated[list[Category] | None, Query()] = None,
        entity: Text | None = None,
        start_date: When | None = None,
        end_date: When | None = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """Incidents, the latest first: patterns that belong together. Times are those of their beginning."""
        page = store.incidents.listing(
            statuses=statuses,
            severities=severities,
            categories=categories,
            entity=entity,
            since=start_date,
            until=end_date,
            limit=limit,
            after=after,
        )
        return page_reply(request, page.items, page.next)

    @routes.get("/incidents/{incident_id:uuid}", tags=["incidents"], **answers(shapes.IncidentReport, 404, 422))
    def get_incident(incident_id: uuid.UUID) -> Response:
        """An incident with its patterns."""
        with store.database.read():
            found = store.incidents.incidents.get(incident_id)
            ids = [member.pattern_id for member in store.incidents.members_of(incident_id)]
            members = store.patterns.patterns.all([one_of("id", ids)], order="detected_at") if ids else []
        fields = {name: getattr(found, name) for name in found.__struct_fields__}
        return reply(shapes.IncidentReport(**fields, members=[shapes.summary_of(one) for one in members]))

    return routes


def with_advice(store: Store, patterns: list[DetectedPattern]) -> list[shapes.PatternSummary]:
    """Patterns as they are shown, each with the open recommendations for its entity, the most worthwhile first."""
    advice = _advice(store, {pattern.entity for pattern in patterns})
    return [shapes.summary_of(pattern, advice.get(pattern.entity)) for pattern in patterns]


def _advice(store: Store, entities: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    names = set(entities)
    if not names:
        return {}
    conditions = [one_of("component_affected", names), one_of("status", OPEN_ADVICE)]
    found = store.performance.opportunities.page(conditions, order="priority_score", limit=1000).items
    by_entity: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        listed = by_entity.setdefault(one.component_affected, [])
        if len(listed) < ADVICE:
            listed.append(msgspec.to_builtins(shapes.recommendation_of(one)))
    return by_entity


def report_of(store: Store, pattern_id: uuid.UUID) -> shapes.PatternReport:
    """Everything known of a pattern; raises `NotFound`."""
    detail = store.patterns.detail(pattern_id)
    pattern = detail.pattern
    before = [
        equals("entity", pattern.entity),
        equals("measure", pattern.measure),
        equals("pattern_type", pattern.pattern_type),
        below("detected_at", pattern.detected_at),
    ]
    earlier = store.patterns.patterns.page(before, order="detected_at", limit=EARLIER).items
    summary = with_advice(store, [pattern])[0]
    return shapes.PatternReport(
        **{name: getattr(summary, name) for name in summary.__struct_fields__},
        evidence=pattern.pattern_data,
        latency=shapes.Latency(
            event_time=pattern.event_time,
            ingested_at=pattern.ingested_at,
            decided_at=pattern.decided_at,
            written_at=pattern.written_at,
        ),
        series=_around(store, pattern),
        relations=[
            shapes.RelatedPattern(
                relationship_type=one.relationship.relationship_type,
                is_parent=one.relationship.parent_pattern_id == one.pattern.id,
                strength=one.relationship.relationship_strength,
                offset_seconds=one.relationship.temporal_offset,
                pattern=shapes.summary_of(one.pattern),
            )
            for one in detail.related
        ],
        history=[shapes.change_of(one) for one in detail.evolution],
        judgements=[shapes.judgement_of(one) for one in detail.classifications],
        earlier=[shapes.summary_of(one) for one in earlier],
        incident_id=store.incidents.of_pattern(pattern_id),
    )


def _around(store: Store, pattern: DetectedPattern) -> shapes.SeriesPoints | None:
    """The series with as much before and after as the pattern is long, within limits."""
    found = store.metrics.series.page(
        [equals("entity", pattern.entity), equals("measure", pattern.measure)], order="entity", limit=1
    ).items
    if not found:
        return None
    end = pattern.resolved_at or pattern.last_observed_at
    margin = min(max(end - pattern.opened_at, LEAST_AROUND), MOST_AROUND)
    try:
        points = points_of(store, found[0], pattern.opened_at - margin, end + margin, AROUND)
    except NotFound:
        return None
    return points if points.points else None
