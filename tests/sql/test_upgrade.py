"""A database at each earlier version, with rows in it, migrates and loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from sinks import migrate
from sinks.backend import Twin
from sql.store.pool import Database
from sql.store.repository import Repository
from tests.conftest import temporary_database
from tests.sql.rows import ROLLUP, T0
from tests.sql.store.samples import TABLES, parents, sample

ROOT = Path(__file__).parents[2] / "sql"
LATEST = max(int(path.name[:4]) for path in ROOT.glob("*/0*.sql"))
MIGRATIONS = ("migrations", "timescale", "plain")
TIMES = {"old": "2013-05-05T00:00:00+00:00", "odd": "1970-01-01T00:00:00+00:00"}
"""Times besides the sample's: partitions and chunks of other years."""

Row = dict[str, Any]


def earlier(folder: Path, version: int) -> Path:
    """The migrations up to a version."""
    for place in MIGRATIONS:
        (folder / place).mkdir()
        for path in (ROOT / place).glob("0*.sql"):
            if int(path.name[:4]) <= version:
                shutil.copy(path, folder / place)
    return folder


@pytest.fixture(scope="module")
def rows(database_url: str, migrated_template: str) -> Iterator[dict[str, list[Row]]]:
    """Rows of all tables, as JSON; tables with a time hold rows of several years."""
    with temporary_database(database_url, migrated_template) as url:
        with Database(url) as database:
            parents(database)
            for table in TABLES:
                Repository(database, table).save(sample(table))
        with psycopg.connect(url) as connection:
            found = {table.name: contents(connection, table.name) for table in TABLES}
            policies = connection.execute("SELECT table_name, time_column FROM storage_policies").fetchall()
    rollup = {name: str(value) if name.endswith("_at") else value for name, value in ROLLUP.items() if name != "level"}
    found |= {name: [rollup | {"time": str(T0)}] for name in ("rollups_10s", "rollups_1m", "rollups_5m")}
    for table, time_column in policies:
        given = found.get(table, [])
        if not given:
            continue
        found[table] = [{**row, time_column: time} for row in given for time in (row[time_column], *TIMES.values())]
        for row in found[table]:
            # An end before the new start is not what this is about.
            row.update({name: row[time_column] for name in ("execution_end", "outcome_timestamp") if name in row})
    yield found


def contents(connection: psycopg.Connection[Any], table: str) -> list[Row]:
    query = sql.SQL("SELECT to_jsonb(t) FROM {} AS t ORDER BY to_jsonb(t)::text").format(sql.Identifier(table))
    return [row for (row,) in connection.execute(query).fetchall()]


def put(connection: psycopg.Connection[Any], table: str, found: list[Row]) -> None:
    """Insert rows; columns that this version of the table does not have are left out."""
    policy = "SELECT time_column FROM storage_policies WHERE table_name = %s"
    versions = connection.execute("SELECT to_regclass('storage_policies'), to_regproc('ensure_partitions')").fetchone()
    cut = connection.execute(policy, [table]).fetchone() if versions and all(versions) else None
    for row in found:
        if cut:
            connection.execute("SELECT ensure_partitions(%s::regclass, ARRAY[%s::timestamptz])", [table, row[cut[0]]])
        connection.execute(
            sql.SQL("INSERT INTO {0} SELECT (jsonb_populate_record(NULL::{0}, %s)).*").format(sql.Identifier(table)),
            [Jsonb(row)],
        )


@pytest.mark.parametrize("version", range(1, LATEST))
def test_nothing_is_lost(
    empty_database: str, twin: Twin, rows: dict[str, list[Row]], tmp_path: Path, version: int
) -> None:
    migrate.migrate(empty_database, folder=earlier(tmp_path, version), wanted=twin)
    with psycopg.connect(empty_database) as connection:
        there = {
            name
            for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            )
        }
        # What others refer to comes first.
        names = sorted(there & set(rows), key=lambda name: (name not in {"ml_models", "detected_patterns"}, name))
        for name in names:
            put(connection, name, rows[name])
        if "metric_rollups" in there:
            rollups = rows["rollups_10s"]
            put(connection, "metric_rollups", [{**row, "level": level} for row in rollups for level in (10, 60, 300)])
            names.append("metric_rollups")
        before = {name: contents(connection, name) for name in names}
    migrate.migrate(empty_database)
    with psycopg.connect(empty_database) as connection:
        for name in names:
            assert before[name], name
            keys = before[name][0].keys()
            after = [{key: row[key] for key in keys} for row in contents(connection, name)]
            assert sorted(after, key=repr) == sorted(before[name], key=repr), name


def test_a_failure_in_the_middle_leaves_the_version_before_and_can_be_run_again(
    empty_database: str, twin: Twin, rows: dict[str, list[Row]], tmp_path: Path
) -> None:
    migrate.migrate(empty_database, folder=earlier(tmp_path, 11), wanted=twin)
    with psycopg.connect(empty_database) as connection:
        put(connection, "task_executions", rows["task_executions"])
        before = contents(connection, "task_executions")
    file = ROOT / twin / "0012_storage.sql"
    (tmp_path / twin / file.name).write_text(file.read_text(encoding="utf-8") + "SELECT 1 / 0;", encoding="utf-8")
    with pytest.raises(migrate.MigrationError, match="0012_storage failed: division by zero"):
        migrate.migrate(empty_database, folder=tmp_path, wanted=twin)
    with migrate.connect(empty_database) as connection:
        assert contents(connection, "task_executions") == before
        assert migrate.plan(connection, twin=twin)[0].label == "0012_storage"
    migrate.migrate(empty_database, wanted=twin)
    with psycopg.connect(empty_database) as connection:
        assert contents(connection, "task_executions") == before


def test_two_runners_at_once_migrate_once(empty_database: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        applied = sorted(pool.map(lambda _: len(migrate.migrate(empty_database)), range(2)))
    assert applied == [0, LATEST]
