"""What the database knows of nights: which were worked through, and what the last one changed."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from psycopg import Connection

STALE = timedelta(days=2)
"""Time without a finished night after which something is wrong, where nights are worked through at all."""

_LATEST = """
SELECT
    (SELECT max(finished_at) FROM nightly_runs WHERE status = 'finished'), range_end, status, problem, started_at,
    finished_at
FROM nightly_runs ORDER BY started_at DESC LIMIT 1
"""

_NEWEST = """
SELECT max(at) FROM (
    SELECT max(execution_start) AS at FROM pipeline_executions WHERE execution_start <= now()
    UNION ALL SELECT max(execution_start) FROM task_executions WHERE execution_start <= now()
    UNION ALL SELECT max(event_timestamp) FROM integration_events WHERE event_timestamp <= now()
    UNION ALL SELECT max("time") FROM rollups_5m WHERE "time" <= now()
) AS s
"""

_CHANGED = """
SELECT
    f.id, f.sentence, f.confidence_score, NOT f.is_active AND p.pattern_data -> 'missed' ->> -1 = %(label)s,
    f.nights_missed, f.detected_at, f.found_at, f.last_seen,
    (p.pattern_data -> 'missed') ? %(label)s AS missed
FROM nightly_findings AS f JOIN detected_patterns AS p ON p.id = f.id
WHERE f.detected_at <= %(night)s AND (f.found_at >= %(night)s OR (p.pattern_data -> 'missed') ? %(label)s)
ORDER BY f.score DESC, f.id
"""


class Latest(msgspec.Struct, frozen=True):
    """The run that was started last, and when one last finished (None: never)."""

    finished_at: datetime | None
    until: datetime
    status: str
    problem: str | None
    started_at: datetime
    ended_at: datetime | None

    @property
    def label(self) -> str:
        """The last day of its history."""
        return f"{(self.until - timedelta(microseconds=1)).astimezone(UTC):%Y-%m-%d}"

    def is_stale(self, now: datetime) -> bool:
        """Whether no night has finished for too long."""
        return now - (self.finished_at or self.started_at) > STALE


class Faded(msgspec.Struct, frozen=True):
    """A pattern that a night did not find again. `confidence` is what is left of it, 0 to 1."""

    sentence: str
    confidence: float
    nights_missed: int
    last_seen: datetime


class Changed(msgspec.Struct, frozen=True):
    """What a night changed, as the tables have it: the same however often it is run.

    `first` are patterns that it was the first to find, `since` those that an earlier night had found, and which;
    `later` those that a later night has judged since. `seconds`: what all its stages took, also those of runs before
    this one.
    """

    first: frozenset[uuid.UUID]
    since: dict[uuid.UUID, datetime]
    later: frozenset[uuid.UUID]
    weakened: tuple[Faded, ...]
    retired: tuple[Faded, ...]
    seconds: float


def latest(connection: Connection[Any]) -> Latest | None:
    """The night that was begun last; None when there was none. Raises `psycopg.Error` as the server does."""
    row = connection.execute(_LATEST.encode()).fetchone()
    return None if row is None else Latest(*row)


def newest_row(connection: Connection[Any]) -> datetime | None:
    """When the newest of what the nightly flow reads happened, up to now; None when there is nothing."""
    row = connection.execute(_NEWEST.encode()).fetchone()
    return row[0].astimezone(UTC) if row and row[0] else None


def changed(connection: Connection[Any], run: uuid.UUID, night: datetime) -> Changed:
    """What the run with the end `night` changed."""
    first: set[uuid.UUID] = set()
    since: dict[uuid.UUID, datetime] = {}
    later: set[uuid.UUID] = set()
    weakened: list[Faded] = []
    retired: list[Faded] = []
    for key, sentence, confidence, is_retired, nights, detected, found, seen, missed in connection.execute(
        _CHANGED.encode(), {"night": night, "label": night.isoformat()}
    ).fetchall():
        if missed:
            faded = Faded(sentence or "", confidence, nights, seen)
            (retired if is_retired else weakened).append(faded)
            continue
        if found > night:
            later.add(key)
        if detected == night:
            first.add(key)
        else:
            since[key] = detected
    row = connection.execute("SELECT sum(seconds) FROM nightly_stages WHERE run_id = %s", [run]).fetchone()
    seconds = float(row[0]) if row and row[0] is not None else 0.0
    return Changed(frozenset(first), since, frozenset(later), tuple(weakened), tuple(retired), seconds)
