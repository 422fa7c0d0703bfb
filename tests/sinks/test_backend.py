"""What a database becomes, and that it stays that."""

from __future__ import annotations

import psycopg
import pytest
from click.testing import CliRunner

from flows.commands.migrate import command
from sinks import migrate
from sinks.backend import detect, recorded
from sinks.migrate import MigrationError
from tests.timescale_server import APACHE_VARIABLE, apache


def chunked(url: str) -> tuple[str, int]:
    """Which twin a database is by its own account, and how many hypertables it has."""
    with psycopg.connect(url) as connection:
        there = connection.execute("SELECT to_regclass('timescaledb_information.hypertables')").fetchone()
        count = (0,)
        if there != (None,):
            found = connection.execute(
                "SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'"
            ).fetchone()
            assert found is not None
            count = found
        return str(recorded(connection)), count[0]


def test_a_database_becomes_what_its_server_can_be(empty_database: str, twin: str) -> None:
    steps: list[str] = []
    migrate.migrate(empty_database, steps.append)
    kind, hypertables = chunked(empty_database)
    assert kind == twin
    assert (hypertables >= 16) == (twin == "timescale")
    wanted = "backend: TimescaleDB 2" if twin == "timescale" else "backend: plain PostgreSQL: no compression"
    assert steps[0].startswith(wanted)


def test_plain_may_be_asked_for_anywhere_and_stays(empty_database: str, twin: str) -> None:
    run = CliRunner().invoke
    done = run(command, ["--database-url", empty_database, "--backend", "plain"])
    assert done.exit_code == 0, done.output
    assert chunked(empty_database) == ("plain", 0)
    assert migrate.migrate(empty_database) == [], "the twin is remembered"
    refused = run(command, ["--database-url", empty_database, "--backend", "timescale"])
    assert refused.exit_code == 1
    assert "was set up as plain" in refused.stderr


def test_timescale_can_only_be_asked_for_where_it_is(empty_database: str, twin: str) -> None:
    if twin == "timescale":
        assert len(migrate.migrate(empty_database, wanted="timescale")) == len(migrate.available(twin="timescale"))
        with pytest.raises(MigrationError, match="was set up as timescale"):
            migrate.migrate(empty_database, wanted="plain")
        return
    with pytest.raises(MigrationError, match="can't be a TimescaleDB database: plain PostgreSQL"):
        migrate.migrate(empty_database, wanted="timescale")
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regclass('tasks')").fetchone() == (None,)


def test_both_twins_have_the_same_numbers() -> None:
    plain, timescale = (migrate.available(twin=twin) for twin in ("plain", "timescale"))
    assert [one.label for one in plain] == [one.label for one in timescale]
    assert [one.twin for one in plain] == [one.twin and "plain" for one in timescale]


def test_looking_changes_nothing(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        before = connection.execute("SELECT extname FROM pg_extension ORDER BY 1").fetchall()
        found = migrate.backend(connection)
        assert found == detect(connection)
        assert connection.execute("SELECT extname FROM pg_extension ORDER BY 1").fetchall() == before


def test_the_apache_build_is_plain_and_says_what_it_lacks() -> None:
    with apache() as url:
        if url is None:
            pytest.skip(f"TimescaleDB's Apache build: {APACHE_VARIABLE} names no server")
        steps: list[str] = []
        migrate.migrate(url, steps.append)
        assert chunked(url) == ("plain", 0)
        assert "Apache license, which has no columnstore, no continuous aggregates and no jobs" in steps[0]
