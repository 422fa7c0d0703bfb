"""Module 3, system metrics: samples, capacity plans, patterns in them, and the series with their points."""

import math
import statistics
import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
from psycopg import sql
from psycopg.rows import kwargs_row

from sql.store.errors import BadRequest
from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import DERIVED, Json, Record, TableOf, derived
from sql.store.where import between, contains, equals, one_of

LEVELS = {10: "series_10s", 60: "series_1m", 300: "series_5m", 3600: "series_1h", 86_400: "series_1d"}
"""The views of points by the length of their buckets, in seconds."""
WIDEST = 10_000
"""Greatest number of points that may be asked for."""
ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""Buckets of all lengths count from here, as in the views."""
GAP = 3.0
"""A gap is a stretch without values longer than this many of the series' usual steps."""


class SystemMetric(Record, frozen=True, kw_only=True):
    """A sample of a metric."""

    event_key: int
    metric_name: str
    metric_value: float
    metric_unit: str | None = None
    metric_tags: Json = msgspec.field(default_factory=dict)
    collected_at: datetime
    source_system: str
    aggregation_period: str | None = None


class ResourceUsage(Record, frozen=True, kw_only=True):
    """A sample of a machine's resource."""

    event_key: int
    host: str
    resource_type: str
    usage_percentage: float
    absolute_value: float | None = None
    peak_usage: float | None = None
    average_usage: float | None = None
    measured_at: datetime
    context_data: Json | None = None


class CapacityPlan(Record, frozen=True, kw_only=True):
    """What a resource will need on a day."""

    id: uuid.UUID = DERIVED
    resource_type: str
    host: str = ""
    current_capacity: float
    projected_usage: float
    projection_date: date
    confidence_interval: Json
    recommendation: str | None = None
    created_at: datetime | None = None


class MetricPattern(Record, frozen=True, kw_only=True):
    """What a pattern says of metrics; `prediction_horizon` is in hours."""

    id: uuid.UUID = DERIVED
    pattern_id: uuid.UUID
    metric_names: list[str]
    pattern_type: str
    pattern_signature: Json
    anomaly_score: float | None = None
    trend_direction: str | None = None
    detected_at: datetime
    prediction_horizon: int | None = None


class Series(Record, frozen=True, kw_only=True):
    """The name of a series."""

    series_id: int
    entity: str
    measure: str
    kind: str


class Point(Record, frozen=True, kw_only=True):
    """The values of a series in one step of time, which starts at `time`."""

    time: datetime
    n: int
    sum: float
    min: float
    max: float
    avg: float
    first: float
    last: float


class Points(msgspec.Struct, frozen=True):
    """Points of a series, `step` seconds each, in order. Between the two times of each gap it was silent."""

    step: int
    points: list[Point]
    gaps: list[tuple[datetime, datetime]]


SYSTEM_METRICS = TableOf(SystemMetric, "system_metrics", key=("event_key",), time="collected_at")
RESOURCE_USAGE = TableOf(ResourceUsage, "resource_usage", key=("event_key",), time="measured_at")
CAPACITY_PLANNING = TableOf(
    CapacityPlan,
    "capacity_planning",
    identify=derived("capacity_planning", "resource_type", "host", "projection_date"),
)
METRIC_PATTERNS = TableOf(MetricPattern, "metric_patterns", time="detected_at", identify=lambda row: row.pattern_id)
SERIES = TableOf(Series, "series", key=("series_id",))

_POINTS = """
SELECT date_bin(%(step)s, "time", %(start)s) AS "time", sum(n)::bigint AS n, sum(held(sum)) AS sum, min(min) AS min,
    max(max) AS max, mean_of(sum(held(sum)), sum(n)::bigint) AS avg, (array_agg(first ORDER BY "time"))[1] AS first,
    (array_agg(last ORDER BY "time" DESC))[1] AS last
FROM {view}
WHERE entity = %(entity)s AND measure = %(measure)s AND "time" >= %(start)s AND "time" < %(end)s
GROUP BY 1 ORDER BY 1
"""
_EARLIER = """
SELECT FROM {view}
WHERE entity = %(entity)s AND measure = %(measure)s AND "time" >= %(start)s AND "time" < %(end)s LIMIT 1
"""
_LAST = """
SELECT coalesce(
    (SELECT max(r.last_at) FROM rollups_5m AS r WHERE r.series_id = %(id)s AND r."time" = (
        SELECT b."time" FROM rollups_5m AS b WHERE b.series_id = %(id)s ORDER BY b."time" DESC LIMIT 1)),
    (SELECT max("time") + interval '24 h' FROM series_1d WHERE entity = %(entity)s AND measure = %(measure)s)
)
"""


class Metrics(Module):
    """Samples, series and plans."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.samples = Repository(database, SYSTEM_METRICS)
        self.usage = Repository(database, RESOURCE_USAGE)
        self.capacity = Repository(database, CAPACITY_PLANNING)
        self.patterns = Repository(database, METRIC_PATTERNS)
        self.series = Repository(database, SERIES)

    def listing(
        self,
        *,
        metric: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[SystemMetric]:
        """Samples of [since, until), the latest first."""
        conditions = [
            equals("metric_name", metric), equals("source_system", source), *between("collected_at", since, until)
        ]  # fmt: skip
        return self.samples.page(conditions, order="collected_at", limit=limit, after=after)

    def usage_of(
        self,
        *,
        host: str | None = None,
        resources: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[ResourceUsage]:
        """Samples of machines' resources of [since, until), the latest first."""
        conditions = [
            equals("host", host), one_of("resource_type", resources), *between("measured_at", since, until)
        ]  # fmt: skip
        return self.usage.page(conditions, order="measured_at", limit=limit, after=after)

    def series_listing(
        self,
        *,
        entity: str | None = None,
        entity_part: str | None = None,
        measure: str | None = None,
        kinds: Collection[str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Series]:
        """Series by the name of their entity; `entity_part` is a part of it."""
        conditions = [
            equals("entity", entity), contains("entity", entity_part), equals("measure", measure), one_of("kind", kinds)
        ]  # fmt: skip
        return self.series.page(conditions, order="entity", descending=False, limit=limit, after=after)

    def points(self, series: Series, start: datetime, end: datetime, width: int = 500) -> Points:
        """About `width` points, at most, of a series in [start, end), and where it was silent.

        They are made from the coarsest level that is fine enough. Fine levels are kept for a shorter time: where one no
        longer reaches back as far as coarser ones, a coarser one is taken for the whole range.
        """
        if not 1 <= width <= WIDEST:
            raise BadRequest(f"width is from 1 to {WIDEST}, not {width}")
        if end <= start:
            raise BadRequest("the range of time is empty")
        wanted = (end - start).total_seconds() / width
        with self.database.read():
            for level in [size for size in LEVELS if size >= level_for(wanted)]:
                step = math.ceil(max(wanted, level) / level) * level
                found = self._points(series, start, end, level, step)
                if not self._reaches_further(series, level, start, found[0].time if found else end):
                    break
        return Points(step, found, gaps(found, step))

    def last_time(self, series: Series) -> datetime | None:
        """Time of a series' last value, the end of its last day where only days are kept; None where nothing is."""
        values = {"id": series.series_id, "entity": series.entity, "measure": series.measure}
        with self.database.read() as connection:
            row = connection.execute(_LAST, values).fetchone()
        return None if row is None else row[0]

    def _points(self, series: Series, start: datetime, end: datetime, level: int, step: int) -> list[Point]:
        since = floor(start, step)
        values = {"entity": series.entity, "measure": series.measure, "start": since, "end": end}
        statement = sql.SQL(_POINTS).format(view=sql.Identifier(LEVELS[level]))
        with self.database.read() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(Point))
            return cursor.execute(statement, {**values, "step": timedelta(seconds=step)}).fetchall()

    def _reaches_further(self, series: Series, level: int, start: datetime, first: datetime) -> bool:
        """Whether the hours, or for the level of the hours the days, hold values from before the first point."""
        size = 3600 if level < 3600 else 86_400
        since, until = floor(start, size) + timedelta(seconds=size), floor(first, size)
        if level == size or since >= until:
            return False
        values = {"entity": series.entity, "measure": series.measure, "start": since, "end": until}
        statement = sql.SQL(_EARLIER).format(view=sql.Identifier(LEVELS[size]))
        with self.database.read() as connection:
            return connection.execute(statement, values).fetchone() is not None


def level_for(seconds: float) -> int:
    """The coarsest level that is at least as fine as this; the finest where there is none.

    >>> level_for(3), level_for(60), level_for(4000), level_for(1e9)
    (10, 60, 3600, 86400)
    """
    return max((level for level in LEVELS if level <= seconds), default=min(LEVELS))


def floor(moment: datetime, seconds: int) -> datetime:
    """The start of the bucket of this length that a time is in."""
    return moment - (moment - ORIGIN) % timedelta(seconds=seconds)


def gaps(points: Sequence[Point], step: int) -> list[tuple[datetime, datetime]]:
    """From the end of a point to the start of the next, where that is unusually long for the series.

    A series that is sampled each minute is not silent between the minutes: the median distance of its points is its
    usual step. Silence before the first and after the last point is not counted, nor is any among
    fewer than three.
    """
    if len(points) < 3:
        return []
    length = timedelta(seconds=step)
    distances = [later.time - earlier.time for earlier, later in pairwise(points)]
    usual = statistics.median(distance.total_seconds() for distance in distances)
    return [
        (earlier.time + length, earlier.time + distance)
        for earlier, distance in zip(points, distances, strict=False)
        if distance.total_seconds() > GAP * usual
    ]
