"""Upkeep, on both twins: summaries are exact at any moment, and what is dropped is what nobody needs."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sinks.maintain import Maintainer, MaintenanceError, Upkeep, maintain
from tests.conftest import with_database
from tests.sql.rows import ROLLUP, Connection, insert, query

T0 = datetime(2026, 1, 5, tzinfo=UTC)
VIEWS = ("series_1h", "series_1d")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        for number in (1, 2, 3):
            row = {"series_id": number, "entity": f"e{number}", "measure": "m", "kind": "metric"}
            insert(connection, "series", row)
        yield connection


def write(connection: Connection, noise: random.Random, count: int, start: datetime = T0, days: int = 3) -> None:
    """Five-minute rows of three series, two inputs and two partitions; some replace earlier ones."""
    for _ in range(count):
        time = start + timedelta(minutes=5 * noise.randrange(288 * days))
        number = float(noise.randrange(100))
        row = {
            **ROLLUP, "level": 300, "series_id": noise.choice([1, 2, 3]), "time": time, "input": noise.choice([1, 2]),
            "partition": noise.randrange(2), "n": noise.randrange(1, 9), "sum": number, "min": number, "max": number,
            "first": number, "last": number, "sum_squares": number, "first_at": time, "last_at": time,
        }  # fmt: skip
        key = {name: row[name] for name in ("series_id", "time", "input", "partition")}
        connection.execute(
            "DELETE FROM rollups_5m WHERE series_id = %(series_id)s AND time = %(time)s AND input = %(input)s"
            " AND partition = %(partition)s",
            key,
        )
        insert(connection, "metric_rollups", row)


def shown(connection: Connection) -> dict[str, list[Any]]:
    """Rows of the long views; the time as a number, which does not depend on the session's zone."""
    columns = "entity, extract(epoch FROM time)::bigint, n, sum, min, max, avg, first, last, stddev, sum_squares"
    return {view: query(connection, f"SELECT {columns} FROM {view} ORDER BY entity, time") for view in VIEWS}


def computed(connection: Connection) -> dict[str, list[Any]]:
    """The same with no hour summed up: all from five-minute rows."""
    with connection.transaction(force_rollback=True):
        connection.execute(
            "INSERT INTO summary_changes (summary, bucket)"
            " SELECT DISTINCT 'series', date_bin('1 hour', time, '2000-01-01Z') FROM rollups_5m"
        )
        return shown(connection)


def marks(connection: Connection) -> int:
    return int(query(connection, "SELECT count(*) FROM summary_changes")[0][0])


def test_views_are_exact_before_and_after_a_refresh_and_after_late_changes(
    database: str, connection: Connection
) -> None:
    noise = random.Random(7)
    write(connection, noise, 400)
    assert query(connection, "SELECT count(*) FROM rollup_1h") == [(0,)]
    first = shown(connection)
    assert first == computed(connection)
    assert len(first["series_1h"]) > len(first["series_1d"]) == 9

    done = maintain(database)
    assert (done.weeks, done.days, done.waiting) == (1, 0, 0)
    assert marks(connection) == 0
    assert shown(connection) == first

    for _ in range(3):
        write(connection, noise, 15)
        connection.execute("DELETE FROM rollups_5m WHERE time = (SELECT max(time) FROM rollups_5m)")
        changed = shown(connection)
        assert changed == computed(connection) != first
        maintain(database)
        assert shown(connection) == changed
        assert marks(connection) == 0
        first = changed


def test_a_session_elsewhere_sees_the_same_days(database: str, connection: Connection) -> None:
    """In Berlin 2025-10-26 has 25 hours; a day is one of UTC all the same."""
    write(connection, random.Random(8), 300, start=datetime(2025, 10, 24, tzinfo=UTC), days=5)
    before = shown(connection)
    connection.execute("SET timezone = 'Europe/Berlin'")
    assert shown(connection) == before == computed(connection)
    maintain(database)
    assert shown(connection) == before


def test_many_marks(database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.execute(
        "INSERT INTO summary_changes (summary, bucket) SELECT s, '2026-01-05Z'::timestamptz + d * interval '24 h' FROM"
        " generate_series(1, 100), unnest(ARRAY['pipeline', 'step', 'task', 'integration', 'series']) AS s,"
        " generate_series(0, 19) AS d"
    )
    connection.execute("ANALYZE summary_changes")
    lines: list[str] = []
    monkeypatch.setattr("sinks.maintain.PACE_S", 0.02)
    done = maintain(database, lines.append)
    assert (done.weeks, done.days, done.waiting) == (3, 80, 0)
    assert 0 < len(lines) < 83, "progress, but no line for each day"


def test_the_hour_that_goes_on_is_left_to_the_views(database: str, connection: Connection) -> None:
    now = datetime.now(UTC)
    for minutes in (0, 200):
        time = now - timedelta(minutes=minutes, seconds=now.timestamp() % 300)
        insert(connection, "metric_rollups", {**ROLLUP, "level": 300, "time": time, "first_at": time, "last_at": time})
        connection.execute("UPDATE rollups_5m SET n = 2 WHERE time = %s", [time])
    assert maintain(database).waiting == 1
    assert marks(connection) == 1, "one mark says as much as two"
    assert query(connection, "SELECT n FROM rollup_1h") == [(2,)]
    assert query(connection, "SELECT n FROM series_1h") == [(2,), (2,)]


def test_rows_of_a_transaction_that_ends_during_a_refresh_are_not_forgotten(
    database: str, connection: Connection
) -> None:
    write(connection, random.Random(3), 50, days=1)
    write(connection, random.Random(3), 1, start=T0 + timedelta(days=1), days=1)
    maintain(database)
    with psycopg.connect(database) as other:
        write(other, random.Random(4), 20, days=1)
        write(connection, random.Random(5), 5, start=T0 + timedelta(days=1), days=1)
        runner = threading.Thread(target=maintain, args=[database])
        runner.start()
        runner.join(1)
        other.commit()
        runner.join(20)
        assert not runner.is_alive()
    assert shown(connection) == computed(connection)
    maintain(database)
    assert shown(connection) == computed(connection)
    assert marks(connection) == 0


def test_partitions_are_there_ahead_of_time(database: str, connection: Connection, twin: str) -> None:
    maintain(database)
    for table, time_column in query(connection, "SELECT table_name, time_column FROM storage_policies"):
        if twin == "timescale":
            continue
        for days in (0, 1, 2, 3):
            found = connection.execute(
                "SELECT count(*) FROM partitions WHERE table_name = %s"
                " AND range_start <= now() + %s * interval '1 d' AND range_end > now() + %s * interval '1 d'",
                [table, days, days],
            ).fetchone()
            assert found == (1,), (table, time_column, days)
    assert maintain(database).partitions == 0


def made_long_ago(connection: Connection, twin: str, table: str, before: datetime) -> None:
    """Let the pieces of a table that end before a time look as if they had been made a year ago."""
    if twin == "plain":
        connection.execute(
            "UPDATE partitions SET created_at = now() - interval '1 y' WHERE table_name = %s AND range_end < %s",
            [table, before],
        )
        return
    named = "SELECT 1 FROM pg_attribute WHERE attrelid = '_timescaledb_catalog.chunk'::regclass AND attname = 'relid'"
    chunk = "relid" if connection.execute(named).fetchone() else "format('%%I.%%I', schema_name, table_name)::regclass"
    connection.execute(
        f"UPDATE _timescaledb_catalog.chunk SET creation_time = now() - interval '1 y' WHERE {chunk} IN"
        " (SELECT show_chunks(%s::regclass, older_than => %s))".encode(),
        [table, before],
    )


def test_only_what_is_old_was_made_long_ago_and_is_summed_up_is_dropped(
    database: str, connection: Connection, twin: str
) -> None:
    connection.execute("UPDATE storage_policies SET keep = '60 d' WHERE table_name = 'rollups_5m'")
    old, new = datetime(2024, 11, 20, tzinfo=UTC), datetime.now(UTC) - timedelta(days=2)
    later = old + timedelta(days=120)
    for start in (old, later, new):
        write(connection, random.Random(start.day), 60, start=start, days=1)
    before = shown(connection)
    assert maintain(database).dropped == (), "what was imported just now stays"
    made_long_ago(connection, twin, "rollups_5m", later)
    write(connection, random.Random(9), 1, start=old, days=1)
    assert query(connection, "SELECT * FROM drop_expired()") == [], "an hour of it is not summed up"
    before = shown(connection)
    dropped = maintain(database).dropped
    assert dropped
    assert {table for table, _, _ in dropped} == {"rollups_5m"}
    assert query(connection, "SELECT count(*) FROM rollups_5m WHERE time < '2025-01-10'") == [(0,)]
    assert query(connection, f"SELECT count(*) FROM rollups_5m WHERE time >= '{later}'")[0][0] > 0
    assert shown(connection) == before, "hours and days outlive the rows they came from"
    assert maintain(database).dropped == ()
    # A late row of a time that was dropped is kept, and does not wipe out the hour.
    write(connection, random.Random(10), 1, start=old, days=1)
    maintain(database)
    assert shown(connection) == before


def test_a_writer_may_do_it_and_a_reader_may_not(database: str, connection: Connection, twin: str) -> None:
    write(connection, random.Random(2), 10)
    name = sql.Identifier(f"upkeep_{connection.info.dbname}")
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain'").format(name))
    try:
        info = connection.info
        url = f"postgresql://upkeep_{info.dbname}:plain@{info.host}:{info.port}/{info.dbname}"
        with pytest.raises(MaintenanceError, match="permission denied"):
            maintain(url)
        connection.execute(sql.SQL("GRANT hindsight_reader TO {}").format(name))
        with pytest.raises(MaintenanceError, match="permission denied"):
            maintain(url)
        connection.execute(sql.SQL("GRANT hindsight_writer TO {}").format(name))
        done = maintain(url)
        # On TimescaleDB series are the job of the owner, which the database runs by itself.
        assert done.weeks == (1 if twin == "plain" else 0)
    finally:
        connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))


def test_timescale_does_it_by_itself(connection: Connection, twin: str) -> None:
    if twin == "plain":
        jobs = query(connection, "SELECT to_regclass('timescaledb_information.jobs')")
        assert jobs == [(None,)], "what is not there runs no jobs"
        return
    jobs = query(
        connection, "SELECT job_id, schedule_interval FROM timescaledb_information.jobs WHERE proc_name = 'upkeep'"
    )
    assert [interval for _, interval in jobs] == [timedelta(minutes=5)]
    write(connection, random.Random(6), 80)
    before = shown(connection)
    connection.execute("CALL run_job(%s)", [jobs[0][0]])
    assert marks(connection) == 0
    assert shown(connection) == before
    assert query(connection, "SELECT count(*) FROM rollup_1d") == [(9,)]


def test_a_failure_is_one_line(empty_database: str, database_url: str) -> None:
    with pytest.raises(MaintenanceError, match=r"schema is behind \(run `hindsight migrate`\)"):
        maintain(empty_database)
    with pytest.raises(MaintenanceError, match='database "no_such" does not exist') as failure:
        maintain(with_database(database_url, "no_such"))
    assert "\n" not in str(failure.value)


def test_the_maintainer_goes_on_after_a_failure(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    enough = threading.Event()

    def failing(url: str) -> None:
        calls.append(url)
        if len(calls) == 3:
            enough.set()
        raise MaintenanceError("away")

    monkeypatch.setattr("sinks.maintain.maintain", failing)
    with Maintainer(database, 0.01):
        assert enough.wait(10)
    assert "upkeep of the database: away" in caplog.text
    with Maintainer(database, 0) as idle:
        assert not idle._thread.is_alive()


def test_what_old_nights_did_is_dropped_but_for_the_last_that_finished(database: str) -> None:
    lines: list[str] = []
    with psycopg.connect(database, autocommit=True) as connection:
        for days, status in ((200, "finished"), (100, "finished"), (95, "failed"), (100, "running")):
            (run,) = connection.execute(
                "INSERT INTO nightly_runs (id, range_start, range_end, engine, status, started_at, finished_at)"
                " SELECT gen_random_uuid(), t - interval '1 d', t, 'embedded', %(status)s::text, t,"
                " CASE WHEN %(status)s::text <> 'running' THEN t END"
                " FROM (SELECT now() - %(days)s * interval '1 d' AS t) AS s RETURNING id",
                {"days": days, "status": status},
            ).fetchone() or (None,)
            connection.execute(
                "INSERT INTO nightly_stages (run_id, stage, part, input, output, items, seconds)"
                " VALUES (%s, 'load', '', repeat('a', 64), repeat('b', 64), 1, 1)",
                [run],
            )
        done = maintain(database, lines.append)
        left = connection.execute(
            "SELECT r.status, now() - r.started_at < interval '101 d' FROM nightly_stages AS s"
            " JOIN nightly_runs AS r ON r.id = s.run_id"
        ).fetchall()
        runs = connection.execute("SELECT count(*) FROM nightly_runs").fetchone()
    assert left == [("finished", True)]
    assert runs == (4,), "the nights themselves stay"
    assert lines == ["nightly_stages: dropped 3 rows of nights over 90 d ago"]
    assert done.night_finished_at is not None
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM nightly_runs")
    assert maintain(database).night_finished_at is None


def test_the_maintainer_tells_what_was_done(database: str) -> None:
    told: list[Upkeep] = []
    enough = threading.Event()

    def on_done(done: Upkeep) -> None:
        told.append(done)
        enough.set()

    with Maintainer(database, 60, on_done):
        assert enough.wait(20)
    assert told[0].night_finished_at is None
