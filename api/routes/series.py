"""Series and their points."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from api import shapes
from api.documents import answers
from api.examples import POINTS, SERIES
from api.params import NO_NUL, After, Limit, Text, When
from api.services import Services, page_reply, reply
from api.shield import segments
from sql.store.errors import NotFound
from sql.store.metrics import LEVELS, Points, Series
from sql.store.store import Store
from sql.store.where import equals

DAY = timedelta(days=1)
LONGEST = timedelta(days=366 * 20)
"""A range that is asked for is cut to this, from its end on."""

Width = Annotated[int, Query(ge=1, le=10_000, description="Most points that are wanted, such as pixels to draw on.")]
Kind = Literal["metric", "resource", "pipeline", "step", "task", "integration", "code"]
Number = Annotated[str, Path(pattern=r"^-?[0-9]{1,19}$", description="Id of the series.")]
Name = Annotated[str, Path(min_length=1, max_length=4096, pattern=NO_NUL)]


def router(services: Services) -> APIRouter:
    """The routes over a store."""
    routes = APIRouter(tags=["series"])
    store = services.store

    @routes.get("/series", **answers(list[shapes.SeriesName], 409, 422, example=[SERIES], pages=True))
    def get_series(
        request: Request,
        entity: Text | None = None,
        entity_part: Text | None = None,
        measure: Text | None = None,
        kinds: Annotated[list[Kind] | None, Query()] = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """The series that detectors watch, by the name of their entity."""
        page = store.metrics.series_listing(
            entity=entity, entity_part=entity_part, measure=measure, kinds=kinds, limit=limit, after=after
        )
        return page_reply(request, [name_of(one) for one in page.items], page.next)

    @routes.get("/series/{series_id}/points", **answers(shapes.SeriesPoints, 404, 422, example=POINTS))
    def get_points(
        series_id: Number, start_date: When | None = None, end_date: When | None = None, width: Width = 500
    ) -> Response:
        """Points of a series by its id. Without a range: the day up to its last value."""
        number = int(series_id)
        if not -(1 << 63) <= number < 1 << 63:
            raise NotFound(f"there is no series {series_id}")
        return _points(store, store.metrics.series.get(number), start_date, end_date, width)

    @routes.get("/series/{entity:path}/{measure}/points", **answers(shapes.SeriesPoints, 404, 422, example=POINTS))
    def get_points_by_name(
        request: Request,
        entity: Name,
        measure: Name,
        start_date: When | None = None,
        end_date: When | None = None,
        width: Width = 500,
    ) -> Response:
        """Points of a series by its names, at most about `width` of them, and the gaps in which it was silent. A slash
        in a name is written %2F. Without a range: the day up to its last value."""
        parts = segments(request.scope)
        if len(parts) == 4:
            entity, measure = parts[1], parts[2]
        found = store.metrics.series.page(
            [equals("entity", entity), equals("measure", measure)], order="entity", limit=1
        ).items
        if not found:
            raise NotFound(f"there is no series {measure[:80]} of {entity[:80]}")
        return _points(store, found[0], start_date, end_date, width)

    return routes


def name_of(series: Series) -> shapes.SeriesName:
    """A series as it is shown."""
    return shapes.SeriesName(id=str(series.series_id), entity=series.entity, measure=series.measure, kind=series.kind)


def points_of(store: Store, series: Series, start: datetime, end: datetime, width: int) -> shapes.SeriesPoints:
    """Points of a range; an empty range has none."""
    start = max(start, end - LONGEST)
    found = store.metrics.points(series, start, end, width) if start < end else Points(min(LEVELS), [], [])
    return shapes.SeriesPoints(
        series=name_of(series),
        start=start,
        end=end,
        step=found.step,
        points=[shapes.PointShape(time=p.time, n=p.n, min=p.min, max=p.max, avg=p.avg) for p in found.points],
        gaps=[shapes.Gap(start=one, end=other) for one, other in found.gaps],
    )


def _points(store: Store, series: Series, start: datetime | None, end: datetime | None, width: int) -> Response:
    with store.database.read():
        if end is None:
            last = store.metrics.last_time(series)
            end = datetime.now(UTC) if last is None else last + timedelta(seconds=1)
        return reply(points_of(store, series, start or end - DAY, end, width))
