"""The three roles, as logins that have one of them each: what they can do, and what they can not."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from operators.records import Mark
from sinks.maintain import maintain
from sinks.timescale import DatabaseWriter
from tests.partitions import Runner
from tests.samples import metric

READ_ONLY = ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}", "SELECT * FROM {}")
FUNCTIONS = (
    "SELECT ensure_partitions('system_metrics', ARRAY[now()])",
    "SELECT make_partitions_ahead()",
    "SELECT * FROM drop_expired()",
    "SELECT compact_changes()",
    "SELECT refresh_day('task', '2026-01-05Z')",
    "CALL refresh_series('2026-01-05Z', '2026-01-12Z')",
)


@pytest.fixture
def logins(module_database: str) -> Iterator[dict[str, str]]:
    """A URL for each role."""
    with psycopg.connect(module_database, autocommit=True) as connection:
        info = connection.info
        names = {role: f"{role}_{info.dbname}" for role in ("writer", "reader", "admin")}
        for role, name in names.items():
            statement = "CREATE ROLE {} LOGIN PASSWORD 'plain' IN ROLE {}"
            connection.execute(
                sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(f"hindsight_{role}"))  # type: ignore[arg-type]
            )
        try:
            yield {
                role: f"postgresql://{name}:plain@{info.host}:{info.port}/{info.dbname}" for role, name in names.items()
            }
        finally:
            for name in names.values():
                connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def names(url: str, kinds: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace AND relkind = ANY(%s)"
            " AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')",
            [list(kinds)],
        )
        return [name for (name,) in found.fetchall()]


def refused(url: str, statement: str) -> None:
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType)),
    ):
        connection.execute(statement.encode())


def test_the_reader_reads_every_view_and_no_table(module_database: str, logins: dict[str, str]) -> None:
    tables = names(module_database, "rp")
    assert {"system_metrics", "rollups_10s", "schema_migrations", "summary_changes"} <= set(tables)
    with psycopg.connect(logins["reader"], autocommit=True) as connection:
        for view in names(module_database, "v"):
            connection.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(view)))
        for table in tables:
            for statement in READ_ONLY:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL(statement).format(sql.Identifier(table)))  # type: ignore[arg-type]


def test_the_reader_changes_nothing_even_after_switching_guards_off(logins: dict[str, str]) -> None:
    with psycopg.connect(logins["reader"], autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for statement in (
            *FUNCTIONS,
            "CREATE TABLE x (a int)",
            "CREATE SEQUENCE s",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        # A temporary table of the same name does not stand in for ours in a function that runs as its owner.
        connection.execute("CREATE TEMP TABLE summary_changes (id bigint, summary text, bucket timestamptz)")
        assert connection.execute("SELECT count(*) FROM series_1h").fetchone() is not None


def test_the_writer_writes_all_that_the_flow_writes_and_does_the_upkeep(
    module_database: str, logins: dict[str, str]
) -> None:
    runner = Runner()
    outputs = [runner.feed([metric(number, number, number) for number in range(40)], Mark.END)]
    writer = DatabaseWriter(logins["writer"])
    writer.put(outputs)
    writer.close()
    maintain(logins["writer"])
    with psycopg.connect(logins["reader"]) as connection:
        assert connection.execute("SELECT sum(n) FROM series_1h").fetchone() == (40,)
        assert connection.execute("SELECT sum(n) FROM series_1d").fetchone() == (40,)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM schema_migrations",
        "UPDATE storage_policies SET keep = '1 d'",
        "DROP TABLE system_metrics",
        "ALTER TABLE tasks ADD COLUMN x int",
        "TRUNCATE system_metrics",
        "CREATE TABLE x (a int)",
        "CREATE ROLE friend",
        "GRANT hindsight_admin TO hindsight_writer",
    ],
)
def test_the_writer_changes_rows_and_nothing_else(logins: dict[str, str], statement: str) -> None:
    refused(logins["writer"], statement)


def test_the_admin_decides_what_is_kept(logins: dict[str, str]) -> None:
    with psycopg.connect(logins["admin"]) as connection:
        changed = connection.execute("UPDATE storage_policies SET keep = '400 d' WHERE table_name = 'system_metrics'")
        assert changed.rowcount == 1
        connection.execute("DELETE FROM dead_letters")
        connection.execute("CREATE TABLE notes (a int)")
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE system_metrics", "ALTER TABLE tasks ADD COLUMN x int", "CREATE ROLE friend", "DROP VIEW series_1h"],
)
def test_the_admin_is_not_the_owner(logins: dict[str, str], statement: str) -> None:
    refused(logins["admin"], statement)
