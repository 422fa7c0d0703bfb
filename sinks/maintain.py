"""The upkeep of a database: partitions ahead of time, summaries of what changed, and old pieces dropped.

Everything is done by functions of the schema, under the same names on TimescaleDB and on plain PostgreSQL. Any number
of runs at a time are right; they only do some work twice. TimescaleDB does the same by itself every five minutes, so a
run there only brings it forward.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import Connection

log = logging.getLogger(__name__)

WEEK = "168 hours"
NIGHTS_KEPT = "90 d"
"""How long it is kept what each stage of a night did and what its data were like; those of the last night stay."""

_OLD_NIGHTS = """
DELETE FROM {} WHERE run_id IN (
    SELECT id FROM nightly_runs WHERE coalesce(finished_at, started_at) < now() - %s::interval
        AND id <> (
            SELECT id FROM nightly_runs WHERE status = 'finished' ORDER BY range_end DESC, started_at DESC LIMIT 1
        )
)"""
PACE_S = 2.0


class MaintenanceError(Exception):
    """The upkeep could not be done; the message is one line."""


@dataclass(frozen=True)
class Upkeep:
    """What one run did.

    `partitions` were made; `weeks` of series and `days` of the other summaries were summed up again; `dropped` are
    pieces (table, from, to); `waiting` buckets have changed but not ended yet, which views compute themselves.
    """

    partitions: int
    weeks: int
    days: int
    dropped: tuple[tuple[str, str, str], ...]
    waiting: int
    night_finished_at: datetime | None = None
    """When a night last finished; None: never."""


def maintain(url: str, on_step: Callable[[str], object] = lambda _: None) -> Upkeep:
    """Do what is due in the database at ``url``; ``on_step`` is given a line every two seconds, and what was dropped.

    :raises MaintenanceError: with one line, when the database is away or its schema is behind.
    """
    try:
        with psycopg.connect(
            url, autocommit=True, connect_timeout=10, application_name="hindsight maintain"
        ) as connection:
            return _maintain(connection, on_step)
    except psycopg.errors.UndefinedFunction:
        raise MaintenanceError("the schema is behind (run `hindsight migrate`)") from None
    except psycopg.Error as problem:
        words = str(problem).strip().splitlines()
        raise MaintenanceError(words[0] if words else type(problem).__name__) from None


def _paced(on_step: Callable[[str], object]) -> Callable[[str], object]:
    """Passes on a line in every two seconds: there may be thousands of days."""
    last = time.monotonic()

    def paced(line: str) -> None:
        nonlocal last
        if time.monotonic() - last >= PACE_S:
            last = time.monotonic()
            on_step(line)

    return paced


def _maintain(connection: Connection[Any], on_step: Callable[[str], object]) -> Upkeep:
    paced = _paced(on_step)
    connection.execute("SET timezone = 'UTC'")
    made = _rows(connection, "SELECT make_partitions_ahead()")[0][0]
    _rows(connection, "SELECT compact_changes()")
    weeks = _rows(connection, "SELECT week_start, week_start::date FROM changed_weeks()") if _may(connection) else []
    for number, (week, date) in enumerate(weeks, start=1):
        paced(f"series: week of {date} ({number} of {len(weeks)})")
        connection.execute(
            "CALL refresh_series(%(week)s, %(week)s + %(length)s::interval)", {"week": week, "length": WEEK}
        )
    days = _rows(connection, "SELECT summary, day, day::date FROM changed_days()")
    for number, (summary, day, date) in enumerate(days, start=1):
        paced(f"{summary} of {date} ({number} of {len(days)})")
        connection.execute("SELECT refresh_day(%s, %s)", [summary, day])
    dropped = _rows(connection, "SELECT dropped_table, dropped_from::text, dropped_to::text FROM drop_expired()")
    for table, start, end in dropped:
        on_step(f"{table}: dropped {start} to {end}")
    for table in ("nightly_stages", "nightly_quality"):
        gone = connection.execute(_OLD_NIGHTS.format(table).encode(), [NIGHTS_KEPT]).rowcount
        if gone:
            on_step(f"{table}: dropped {gone} rows of nights over {NIGHTS_KEPT} ago")
    finished = _rows(connection, "SELECT max(finished_at) FROM nightly_runs WHERE status = 'finished'")[0][0]
    waiting = _rows(connection, "SELECT count(*) FROM (SELECT FROM summary_changes GROUP BY summary, bucket) AS c")[0][
        0
    ]
    return Upkeep(made, len(weeks), len(days), tuple(dropped), waiting, finished)


def _may(connection: Connection[Any]) -> bool:
    """Whether this account may sum series up: on TimescaleDB only their owner, whose job does it anyway."""
    found = _rows(
        connection,
        "SELECT prosecdef OR pg_has_role(proowner, 'USAGE') FROM pg_proc WHERE oid = to_regproc('refresh_series')",
    )
    return bool(found and found[0][0])


def _rows(connection: Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode()).fetchall()


class Maintainer:
    """Upkeep at intervals, in a thread, for the length of a block; a failure is logged, and tried again next time."""

    def __init__(self, url: str, interval_s: float, on_done: Callable[[Upkeep], object] = lambda _: None) -> None:
        """`on_done` is told, in the thread, what each run did."""
        self._url = url
        self._on_done = on_done
        self._interval = interval_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maintainer", daemon=True)

    def __enter__(self) -> Self:
        if self._interval > 0:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _run(self) -> None:
        while True:
            try:
                self._on_done(maintain(self._url))
            except MaintenanceError as problem:
                log.warning("upkeep of the database: %s", problem)
            if self._ended.wait(self._interval):
                return
