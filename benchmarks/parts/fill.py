"""A migrated, empty database filled with a month of events by COPY, then cared for as in use: summed up, compressed."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from benchmarks.parts.events import SHARES, TOPICS, Events, Point, counters
from benchmarks.parts.samples import (
    KEPT_10S,
    PARTITIONS,
    Points,
    Samples,
    Series,
    Size,
    aggregates,
    metric_series,
    resource_series,
)
from benchmarks.parts.workload import Say
from operators import tables as t
from operators.identity import series_id
from operators.pgcopy import HEADER, TRAILER
from operators.tables import BY_NAME, Table
from sinks import sql as statements
from sinks.maintain import maintain

PIECE = 1 << 20
HOSTS = 20
RESOURCES = "hindsight.events.resource.v1"
EVEN = ((1.0, 1.0),)


class NotEmpty(Exception):
    """The database holds rows already."""


class Loader:
    """COPY by several connections at a time."""

    def __init__(self, url: str, connections: int = 2) -> None:
        self._jobs: queue.Queue[tuple[Table, list[bytes]] | None] = queue.Queue(maxsize=connections + 1)
        self._problem: Exception | None = None
        self._threads = [threading.Thread(target=self._run, args=[url], daemon=True) for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    def put(self, table: Table, pieces: Iterable[bytes]) -> None:
        """Copy encoded rows into a table, some time before `finish` returns."""
        if self._problem:
            raise self._problem
        self._jobs.put((table, list(pieces)))

    def finish(self) -> None:
        """Wait for everything."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        if self._problem:
            raise self._problem

    def _run(self, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while (job := self._jobs.get()) is not None:
                if self._problem:
                    continue
                table, pieces = job
                try:
                    with connection.cursor().copy(statements.copy(table, table.name)) as copy:
                        copy.write(HEADER)
                        for piece in pieces:
                            for start in range(0, len(piece), PIECE):
                                copy.write(piece[start : start + PIECE])
                        copy.write(TRAILER)
                except psycopg.Error as problem:
                    self._problem = problem


@contextmanager
def quiet(url: str) -> Iterator[None]:
    """No jobs of TimescaleDB meanwhile: they would compress what is being written, and disturb what is measured."""
    _jobs(url, on=False)
    try:
        yield
    finally:
        _jobs(url, on=True)


def _jobs(url: str, *, on: bool) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        if has_timescale(connection):
            connection.execute(
                "SELECT alter_job(job_id, scheduled => %s) FROM timescaledb_information.jobs"
                " WHERE hypertable_name IS NOT NULL OR proc_name = 'upkeep'",
                [on],
            )


def require_empty(connection: psycopg.Connection[Any], tables: Iterable[str], hint: str = "") -> None:
    """Raise `NotEmpty` where a table has rows."""
    for table in tables:
        if connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone() is not None:
            raise NotEmpty(f"{table} has rows already{hint}")


def has_timescale(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database is the twin with hypertables."""
    row = connection.execute("SELECT max(twin) FROM schema_migrations").fetchone()
    return bool(row and row[0] == "timescale")


def fill(url: str, size: Size, say: Say) -> dict[str, int]:
    """All rows; how many there are by table. Raises `NotEmpty`."""
    with psycopg.connect(url, autocommit=True) as connection:
        require_empty(connection, ["system_metrics"], " (--skip-fill asks what is there)")
        days = [size.since_us // 1e6 + day * 86_400 for day in range(-1, size.days + 2)]
        connection.execute(
            "SELECT ensure_partitions(table_name::regclass, ARRAY(SELECT to_timestamp(unnest(%s::float8[]))))"
            " FROM storage_policies",
            [days],
        )
    metrics = Samples(t.SYSTEM_METRICS, metric_series(size.series), size.rows, size)
    hosts = Samples(
        t.RESOURCE_USAGE, resource_series(HOSTS), int(size.other * SHARES["resource_usage"]), size, shares=EVEN
    )
    counts: dict[str, int] = {}
    loader = Loader(url)

    def put(table: Table, pieces: list[bytes], rows: int) -> None:
        counts[table.name] = counts.get(table.name, 0) + rows
        loader.put(table, pieces)

    others = _Names()
    start = time.monotonic()
    for day, events in Events(size, metrics.series).days():
        for samples, topic in ((metrics, TOPICS[0]), (hosts, RESOURCES)):
            points = samples.day(day)
            put(samples.table, [samples.rows(points, day)], len(points.time))
            _put_aggregates(put, points, samples.series, topic, recent=size.days - day <= KEPT_10S)
        for name, rows in events.rows.items():
            put(BY_NAME[name], [BY_NAME[name].encode(values) for values in rows], len(rows))
        _put_aggregates(put, others.points(events.points), others.series, TOPICS[1], recent=size.days - day <= KEPT_10S)
        say(f"filling: day {day + 1} of {size.days}, {sum(counts.values()):,} rows, {time.monotonic() - start:.0f} s")
    named = [*metrics.series, *hosts.series, *others.series]
    put(t.SERIES, [one.row() for one in named], len(named))
    cells = counters(size)
    put(t.STREAM_COUNTERS, cells, len(cells))
    loader.finish()
    say(f"filled: {sum(counts.values()):,} rows in {time.monotonic() - start:.0f} s")
    return counts


def _put_aggregates(put: Any, points: Points, series: list[Series], topic: str, *, recent: bool) -> None:
    for level, table in t.ROLLUPS.items():
        if level > 10 or recent:
            pieces = list(aggregates(points, series, level, topic))
            put(table, [piece for _, piece in pieces], sum(rows for rows, _ in pieces))


class _Names:
    """Series that are known only by the events that speak of them."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self._index: dict[tuple[str, str], int] = {}

    def points(self, found: list[Point]) -> Points:
        index = np.empty(len(found), np.int64)
        for place, (entity, measure, kind, _, _) in enumerate(found):
            known = self._index.get((entity, measure))
            if known is None:
                known = self._index[entity, measure] = len(self.series)
                self.series.append(Series(entity, measure, kind, b"", series_id(entity, measure) % PARTITIONS))
            index[place] = known
        times = np.array([point[3] for point in found], np.int64)
        return Points.sorted(index, times, np.array([point[4] for point in found]))


def settle(url: str, say: Say) -> dict[str, float]:
    """Summaries made, old chunks compressed as their policies would, statistics gathered; seconds of each."""
    took = {}
    start = time.monotonic()
    maintain(url, say)
    took["summaries"] = time.monotonic() - start
    with psycopg.connect(url, autocommit=True) as connection:
        if has_timescale(connection):
            start = time.monotonic()
            jobs = connection.execute(
                "SELECT job_id, hypertable_name FROM timescaledb_information.jobs"
                " WHERE proc_name IN ('policy_compression', 'policy_columnstore') ORDER BY 1"
            ).fetchall()
            for job, table in jobs:
                say(f"compressing {table}")
                connection.execute("CALL run_job(%s)", [job])
            took["compression"] = time.monotonic() - start
        start = time.monotonic()
        say("VACUUM ANALYZE")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
        took["vacuum"] = time.monotonic() - start
    return {name: round(seconds, 1) for name, seconds in took.items()}


def versions(connection: psycopg.Connection[Any]) -> str:
    """The server's and the extension's."""
    row = connection.execute(
        "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')"
    ).fetchone()
    assert row is not None
    server = f"PostgreSQL {row[0].split()[0]}"
    return f"TimescaleDB {row[1]} on {server}" if row[1] and has_timescale(connection) else server
