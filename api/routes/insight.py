"""Key figures, the quality of the data, and how models do."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Response

from api import shapes
from api.documents import answers
from api.examples import KPI
from api.params import NO_NUL, When
from api.services import Services, reply
from sql.store.errors import NotFound
from sql.store.models import Model
from sql.store.store import Store
from sql.store.stream import Counted, Kpi
from sql.store.where import equals

MONTH = timedelta(days=30)
_OUTCOMES = {"duplicate": "duplicates", "dead_letter": "dead_letters"}


def router(services: Services) -> APIRouter:
    """The routes over a store."""
    routes = APIRouter(tags=["insight"])
    store = services.store

    @routes.get("/kpis", **answers(list[Kpi], 422, example=[KPI]))
    def get_kpis(start_date: When | None = None, end_date: When | None = None) -> Response:
        """Key figures of a range of time, by default the last 30 days. `value` is null where nothing was there to
        judge, `sample` is the number of things judged."""
        end = end_date or datetime.now(UTC)
        start = start_date or end - MONTH
        return reply(store.stream.kpis(start, end) if start < end else [])

    @routes.get("/quality", **answers(shapes.Quality))
    def get_quality() -> Response:
        """What became of all records: read = applied + late + dead letters + duplicates, by input, and why records
        were refused."""
        return reply(quality_of(store.stream.quality()))

    @routes.get("/models/{model_id}/performance", **answers(shapes.ModelReport, 404, 422))
    def get_model_performance(
        model_id: Annotated[str, Path(min_length=1, max_length=500, pattern=NO_NUL)],
        start_date: When | None = None,
        end_date: When | None = None,
    ) -> Response:
        """How well a model does: by its id, or by its name the version that works now. The accuracy by day is of the
        range, by default the last 30 days."""
        end = end_date or datetime.now(UTC)
        with store.database.read():
            model = _model(store, model_id)
            found = store.models.performance(model.id, start_date or end - MONTH, end)
        return reply(
            shapes.ModelReport(
                id=model.id,
                model_name=model.model_name,
                model_version=model.model_version,
                model_type=model.model_type,
                model_purpose=model.model_purpose,
                algorithm_name=model.algorithm_name,
                is_active=model.is_active,
                created_at=model.created_at,
                performance_metrics=model.performance_metrics or {},
                metrics=found.metrics,
                accuracy=found.accuracy,
            )
        )

    return routes


def _model(store: Store, given: str) -> Model:
    try:
        return store.models.models.get(uuid.UUID(given))
    except ValueError:
        found = store.models.active(given)
        if found is None:
            newest = store.models.models.first([equals("model_name", given)], order="created_at")
            if newest is None:
                raise NotFound(f"there is no model {given[:80]}") from None
            return newest
        return store.models.models.get(found.model_id)


def quality_of(rows: Iterable[Counted]) -> shapes.Quality:
    """Counters by input, with their sum.

    >>> row = lambda outcome, n, reason="": Counted(
    ...     input="a", outcome=outcome, reason=reason, n=n, updated_at=datetime(2026, 1, 5, tzinfo=UTC))
    >>> total = quality_of([row("read", 10), row("applied", 7), row("dead_letter", 2, "bad_time")]).total
    >>> total.difference, total.dead_letter_reasons
    (1, {'bad_time': 2})
    """
    inputs: dict[str, list[Counted]] = {}
    for row in rows:
        inputs.setdefault(row.input, []).append(row)
    counted = [_counted(name, found) for name, found in inputs.items()]
    return shapes.Quality(total=_counted("", [row for found in inputs.values() for row in found]), inputs=counted)


def _counted(name: str, rows: list[Counted]) -> shapes.InputQuality:
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for row in rows:
        key = _OUTCOMES.get(row.outcome, row.outcome)
        counts[key] = counts.get(key, 0) + row.n
        if row.outcome == "dead_letter" and row.n:
            reasons[row.reason] = reasons.get(row.reason, 0) + row.n
    found = shapes.InputQuality(
        input=name,
        **counts,
        dead_letter_reasons=reasons,
        updated_at=max((row.updated_at for row in rows), default=None),
    )
    lost = found.read - found.applied - found.late - found.dead_letters - found.duplicates
    return msgspec.structs.replace(found, difference=lost)
