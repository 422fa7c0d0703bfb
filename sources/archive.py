"""History out of the database, a piece at a time: what the nightly flow reads, as tables of `operators.mining.history`.

A piece is a table's rows of a month, or of some days of a month with many (tables without an event time: all of it). It
is read through a server-side cursor, and fingerprinted on the server, so that a run that was killed need not read it
again.
"""

import calendar
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import msgspec
from psycopg import Connection

from operators.mining.history import FRAMES
from operators.mining.sequence_sql import OF_STREAM, PATTERN_TOKEN

CHUNK = 10_000
"""Rows fetched at a time from the server-side cursor."""

PIECE_ROWS = 100_000
"""Rows from which a month is read in several pieces; a day is never cut."""

MOST_SERIES = 2_000
"""Series that are read by day: those that patterns opened in first, then those with the most days."""

MOST_HOURLY = 400
"""Of these, how many are read by hour as well."""

FEWEST_DAYS = 28
"""Days with values that a series needs."""

HOURLY_DAYS = 60
"""Days before the end whose hours are read."""

_AT = {
    "runs": "execution_start",
    "steps": "execution_start",
    "task_executions": "execution_start",
    "integration_events": "event_timestamp",
    "code_changes": "collected_at",
}
"""Tables that are cut by time, and the column that cuts them."""

_CHANGES: LiteralString = (
    "metric_name = 'lines_changed' AND starts_with(source_system, 'code:') AND metric_tags ? 'path'"
)
"""What `code.measured` says of a file that a commit touched, among all metrics."""

_WHERE: dict[str, LiteralString] = {"code_changes": _CHANGES}
"""Of tables that hold other things too, which rows are meant."""

_SQL = {
    "runs": """
SELECT id::text, execution_id, pipeline_name, execution_start, execution_end, status, trigger_type, trigger_data::text,
    total_duration, commit_sha, configuration_version
FROM pipeline_executions WHERE execution_start >= %(from)s AND execution_start < %(to)s ORDER BY execution_start, id""",
    "steps": """
SELECT pipeline_execution_id::text, pipeline_name, step_name, step_order, execution_start, execution_end, status,
    nullif(error_details, '{}')::text, nullif(performance_data, '{}')::text
FROM step_executions WHERE execution_start >= %(from)s AND execution_start < %(to)s
ORDER BY execution_start, pipeline_execution_id, step_order""",
    "task_executions": """
SELECT id::text, task_id::text, external_id, attempt, execution_start, execution_end, status, error_type, error_message,
    project_name
FROM task_executions WHERE execution_start >= %(from)s AND execution_start < %(to)s
ORDER BY execution_start, id, attempt""",
    "integration_events": """
SELECT id::text, event_type, source_system, target_system, event_data::text, event_timestamp,
    processing_duration, status,
    nullif(error_details, '{}')::text, correlation_key
FROM integration_events WHERE event_timestamp >= %(from)s AND event_timestamp < %(to)s ORDER BY event_timestamp, id""",
    "tasks": """
SELECT id::text, external_id, title, status, priority, created_at, updated_at, assigned_to_name, project_name,
    estimated_effort, actual_effort, complexity_score, tags::text
FROM tasks WHERE coalesce(created_at, updated_at) < %(to)s ORDER BY id""",
    "task_dependencies": """
SELECT parent_task_id::text, dependent_task_id::text, dependency_type, created_at
FROM task_dependencies WHERE created_at < %(to)s ORDER BY id""",
    "code_dependencies": """
SELECT codebase_id, from_node, to_node, kind, commit_sha, observed_at, coalesce(first_observed_at, observed_at)
FROM code_dependencies WHERE coalesce(first_observed_at, observed_at) < %(to)s
ORDER BY codebase_id, from_node, to_node, kind""",
    "code_changes": f"""
SELECT event_key::text, substr(source_system, 6), metric_tags ->> 'path', metric_tags ->> 'commit_sha', collected_at,
    metric_value
FROM system_metrics WHERE {_CHANGES} AND collected_at >= %(from)s AND collected_at < %(to)s
ORDER BY collected_at, event_key""",
    "patterns": f"""
SELECT id::text, {PATTERN_TOKEN}, entity, measure, severity, confidence_score, opened_at, resolved_at
FROM detected_patterns WHERE {OF_STREAM} AND opened_at >= %(from)s AND opened_at < %(to)s ORDER BY opened_at, id""",
    "interventions": """
SELECT id::text, event_time, pipeline_name, 'configuration', configuration_version
FROM pipeline_configurations WHERE event_time < %(to)s
UNION ALL
SELECT r.id::text, r.implementation_date, o.component_affected, 'recommendation', o.recommendation_text
FROM recommendation_effectiveness AS r JOIN optimization_opportunities AS o ON o.id = r.recommendation_id
WHERE r.implementation_status IN ('implemented', 'partially_implemented') AND r.implementation_date < %(to)s
ORDER BY 2, 1""",
    "daily": """
SELECT "time", entity, measure, n, sum, min, max, avg FROM series_1d
WHERE entity = ANY(%(entities)s) AND measure = ANY(%(measures)s) AND "time" >= %(from)s AND "time" < %(to)s
ORDER BY entity, measure, "time\"""",
    "hourly": """
SELECT "time", entity, measure, n, sum, min, max, avg FROM series_1h
WHERE entity = ANY(%(entities)s) AND measure = ANY(%(measures)s) AND "time" >= %(hours)s AND "time" < %(to)s
ORDER BY entity, measure, "time\"""",
}  # fmt: skip

_SERIES = f"""
SELECT entity, measure FROM (
    SELECT entity, measure, count(*) AS days FROM series_1d
    WHERE "time" >= %(from)s AND "time" < %(to)s GROUP BY entity, measure HAVING count(*) >= %(fewest)s
) AS s LEFT JOIN (
    SELECT entity, measure, count(*) AS patterns FROM detected_patterns
    WHERE {OF_STREAM} AND opened_at >= %(from)s AND opened_at < %(to)s GROUP BY entity, measure
) AS p USING (entity, measure)
ORDER BY coalesce(patterns, 0) DESC, days DESC, entity, measure LIMIT %(most)s"""


class Piece(msgspec.Struct, frozen=True):
    """Rows of a table from `start` to before `end`. `series`: of daily and hourly ones, (entity, measure) pairs.

    `rows`: how many there were when pieces were made, 0 where nobody counted. `part`: whether it is one of several of
    its month.
    """

    table: str
    start: datetime
    end: datetime
    series: tuple[tuple[str, str], ...] = ()
    rows: int = 0
    part: bool = False

    @property
    def name(self) -> str:
        """What it is called in `nightly_stages`: its table, and where it is cut by time its month, or its first day.

        >>> piece = Piece("runs", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
        >>> piece.name, msgspec.structs.replace(piece, part=True).name
        ('runs/2026-01', 'runs/2026-01-01')
        """
        if self.table not in _AT:
            return self.table
        return f"{self.table}/{self.start:%Y-%m-%d}" if self.part else f"{self.table}/{self.start:%Y-%m}"


def series_of_interest(connection: Connection[Any], since: datetime, until: datetime) -> list[tuple[str, str]]:
    """The series that are worth a look, the most troubled first: entity and measure, at most `MOST_SERIES`."""
    values = {"from": since, "to": until, "fewest": FEWEST_DAYS, "most": MOST_SERIES}
    return [(entity, measure) for entity, measure in connection.execute(_SERIES.encode(), values).fetchall()]


def first_row(connection: Connection[Any]) -> datetime | None:
    """The earliest time of any table that is cut by time; None when they are empty."""
    parts = [f"SELECT min({column}) AS at FROM {_table(name)}" for name, column in _AT.items() if name not in _WHERE]
    parts += ["SELECT min(created_at) FROM tasks", "SELECT min(time) FROM rollups_5m"]
    row = connection.execute(f"SELECT min(at) FROM ({' UNION ALL '.join(parts)}) AS s".encode()).fetchone()
    return None if row is None else row[0]


def by_month(table: str, days: Sequence[tuple[datetime, int]], since: datetime, until: datetime) -> list[Piece]:
    """Days (their start, UTC, and their rows; in order) put together: a month is a piece, or several.

    >>> days = [(datetime(2026, 1, day, tzinfo=UTC), 60_000) for day in (1, 2, 31)]
    >>> [(piece.name, piece.rows) for piece in by_month("runs", days, days[0][0], datetime(2026, 2, 1, tzinfo=UTC))]
    [('runs/2026-01-01', 60000), ('runs/2026-01-02', 60000), ('runs/2026-01-31', 60000)]
    """
    months: dict[datetime, list[tuple[datetime, int]]] = {}
    for day, rows in days:
        months.setdefault(day.replace(day=1), []).append((day, rows))
    out = []
    for month, inside in months.items():
        groups: list[list[tuple[datetime, int]]] = [[]]
        for day, rows in inside:
            if groups[-1] and sum(count for _, count in groups[-1]) + rows > PIECE_ROWS:
                groups.append([])
            groups[-1].append((day, rows))
        end = month + timedelta(days=calendar.monthrange(month.year, month.month)[1])
        starts = [month, *(group[0][0] for group in groups[1:]), end]
        for start, following, group in zip(starts, starts[1:], groups, strict=False):
            count = sum(rows for _, rows in group)
            piece = Piece(table, max(start, since), min(following, until), rows=count, part=len(groups) > 1)
            out.append(piece)
    return out


def pieces(connection: Connection[Any], since: datetime, until: datetime) -> list[Piece]:
    """What the history from `since` to `until` is read in: for each table its months that have rows, or their
    parts, in order."""
    out: list[Piece] = []
    for table in FRAMES:
        if table in ("daily", "hourly"):
            chosen = series_of_interest(connection, since, until) if table == "daily" else list(out[-1].series)
            some = chosen if table == "daily" else chosen[:MOST_HOURLY]
            out.append(Piece(table, since, until, tuple(some)))
        elif table in _AT:
            days = connection.execute(
                f"SELECT date_trunc('day', {_AT[table]}, 'UTC'), count(*) FROM {_table(table)} WHERE {_AT[table]} >= %s"
                f" AND {_AT[table]} < %s AND {_WHERE.get(table, 'true')} GROUP BY 1 ORDER BY 1".encode(),
                [since, until],
            ).fetchall()
            out += by_month(table, [(day.astimezone(UTC), rows) for day, rows in days], since, until)
        else:
            out.append(Piece(table, since, until))
    return out


def fingerprint(connection: Connection[Any], piece: Piece) -> str:
    """A hash of the piece's rows, made by the server: their number and the sum of their hashes, in any order."""
    query = f"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(q::text, 0)), 0) FROM ({_SQL[piece.table]}) AS q"
    row = connection.execute(query.encode(), _values(piece)).fetchone()
    return str(row[0]) if row else ""


def read(connection: Connection[Any], piece: Piece) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a piece in the order of `FRAMES`' columns, up to `CHUNK` at a time; JSON as text.

    Raises `psycopg.Error` as the server does.
    """
    with connection.transaction(), connection.cursor("hindsight_archive") as cursor:
        cursor.execute(_SQL[piece.table].encode(), _values(piece))
        while rows := cursor.fetchmany(CHUNK):
            yield rows


def _values(piece: Piece) -> dict[str, Any]:
    hours = max(piece.start, datetime.fromtimestamp(piece.end.timestamp() - HOURLY_DAYS * 86_400, UTC))
    wanted = set(piece.series)
    return {
        "from": piece.start, "to": piece.end, "hours": hours, "entities": sorted({entity for entity, _ in wanted}),
        "measures": sorted({measure for _, measure in wanted}),
    }  # fmt: skip


def _table(name: str) -> LiteralString:
    tables: dict[str, LiteralString] = {
        "runs": "pipeline_executions", "steps": "step_executions", "task_executions": "task_executions",
        "code_changes": "system_metrics",
    }  # fmt: skip
    return tables.get(name, "integration_events")
