"""A backup into an empty database is the same database, row by row; what can't be restored is refused in one line."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from sinks import dump, migrate
from tests import flow
from tests.conftest import temporary_database
from tests.generate import Generator

TIMESCALE = os.environ.get("ANALYTICS_TEST_TIMESCALE_URL")


def contents(url: str) -> dict[str, tuple[int, str]]:
    """Number and checksum of the ordered rows of every table."""
    found = {}
    with psycopg.connect(url) as connection:
        for name in dump.count(connection):
            text = (
                "SELECT count(*), md5(string_agg(m, '' ORDER BY m)) FROM (SELECT md5(t::text) AS m FROM {} AS t) AS s"
            )
            row = connection.execute(sql.SQL(text).format(sql.Identifier(name))).fetchone()
            assert row
            found[name] = (int(row[0]), str(row[1]))
    return found


@pytest.fixture(scope="module")
def filled(database_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with rows in most tables."""
    folder = tmp_path_factory.mktemp("events")
    paths = flow.write_files(Generator(seed=9, partitions=2).generate(4000), folder)
    with temporary_database(database_url, migrated_template) as url:
        flow.stream(*flow.inputs(paths), "--database-url", url, "--recovery-dir", folder / "state")
        yield url


@pytest.fixture(scope="module")
def saved(filled: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its backup."""
    folder = tmp_path_factory.mktemp("backups") / "whole"
    dump.backup(filled, folder, jobs=2)
    return folder


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_restored_database_is_the_same_row_by_row(filled: str, saved: Path, empty_database: str, jobs: int) -> None:
    told: list[str] = []
    summary, notes = dump.restore(empty_database, saved, jobs, told.append)
    before = contents(filled)
    assert contents(empty_database) == before
    assert sum(1 for rows, _ in before.values() if rows) >= 15
    assert (summary.tables, summary.rows) == (len(before), sum(rows for rows, _ in before.values()))
    assert notes == []
    assert any("stream_counters" in step for step in told)
    with migrate.connect(empty_database) as connection:
        assert migrate.plan(connection) == []


def test_roles_may_do_what_they_may_do_in_the_original(saved: Path, filled: str, empty_database: str) -> None:
    dump.restore(empty_database, saved)
    question = """
        SELECT c.relname::text, r.rolname::text, p.privilege FROM pg_class AS c, pg_roles AS r,
            unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (privilege)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND NOT c.relispartition
            AND r.rolname LIKE 'hindsight\\_%' AND has_table_privilege(r.oid, c.oid, p.privilege) ORDER BY 1, 2, 3"""
    granted = []
    for url in (filled, empty_database):
        with psycopg.connect(url) as connection:
            granted.append(connection.execute(question).fetchall())
    assert granted[0] == granted[1]
    assert {role for _, role, _ in granted[0]} >= {"hindsight_writer", "hindsight_reader", "hindsight_admin"}


def test_a_database_that_holds_tables_is_left_alone(saved: Path, database: str) -> None:
    before = contents(database)
    with pytest.raises(dump.DumpError, match=r"holds \d+ tables: a backup is restored into an empty one"):
        dump.restore(database, saved)
    assert contents(database) == before


def test_lost_rows_are_found(saved: Path, empty_database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    manifest = json.loads((copy / dump.MANIFEST).read_text())
    manifest["tables"]["tasks"] += 1
    (copy / dump.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(dump.DumpError, match="1 tables differ from the backup: tasks has"):
        dump.restore(empty_database, copy)


def test_damage_is_one_line(saved: Path, empty_database: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    for part in copy.glob("*.dat.gz"):
        part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(dump.DumpError) as caught:
        dump.restore(empty_database, copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"server": 99}, "the backup is of PostgreSQL 99, this server is"),
        ({"timescaledb": "0.0.1"}, "needs TimescaleDB 0.0.1, which this server does not have"),
        ({"programs": 99}, "pg_restore 99 or later is needed, found only pg_restore"),
        ({"format": 2}, "made by another version of Hindsight"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_done(
    saved: Path, empty_database: str, tmp_path: Path, changed: dict[str, object], problem: str
) -> None:
    manifest = json.loads((saved / dump.MANIFEST).read_text())
    (tmp_path / dump.MANIFEST).write_text(json.dumps(manifest | changed))
    with pytest.raises(dump.DumpError, match=problem):
        dump.restore(empty_database, tmp_path)
    assert contents(empty_database) == {}


def test_a_backup_that_fails_leaves_nothing(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "pg_dump"
    broken.write_text("#!/bin/sh\necho 'pg_dump: error: no space left' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(dump, "program_for", lambda _name, _least: (broken, 18))
    with pytest.raises(dump.DumpError, match=r"^no space left$"):
        dump.backup(filled, tmp_path / "b")
    assert list(tmp_path.iterdir()) == [broken]


def test_an_older_backup_is_not_overwritten(filled: str, saved: Path) -> None:
    before = (saved / dump.MANIFEST).read_text()
    with pytest.raises(dump.DumpError, match="is there already"):
        dump.backup(filled, saved)
    assert (saved / dump.MANIFEST).read_text() == before


def test_no_password_is_on_the_command_line_or_shown(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        commands.append(command)
        return real(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", popen)
    told: list[str] = []
    dump.backup(filled, tmp_path / "b", on_step=told.append)
    password = psycopg.conninfo.conninfo_to_dict(filled).get("password")
    assert any("pg_dump" in word for command in commands for word in command)
    if password:
        assert str(password) not in " ".join(told + [word for command in commands for word in command])


def test_a_secret_that_has_no_variable_is_refused() -> None:
    with pytest.raises(dump.DumpError, match="sslpassword in the database URL"):
        dump.handed_over("postgresql://h/d?sslpassword=x")


def test_a_program_that_is_missing_or_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.3 (Debian)'\n")
    old.chmod(0o755)
    monkeypatch.setattr(dump, "programs", lambda: tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(dump.DumpError, match=r"pg_dump 18 or later is needed, found only pg_dump .*12\.3"):
        dump.program_for("pg_dump", 18)
    assert dump.program_for("pg_dump", 12) == (old, 12)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(dump.DumpError, match="there is none"):
        dump.program_for("pg_dump", 12)


@pytest.mark.skipif(not TIMESCALE, reason="TimescaleDB: ANALYTICS_TEST_TIMESCALE_URL names no server")
def test_hypertables_compressed_chunks_and_continuous_aggregates(tmp_path: Path) -> None:
    assert TIMESCALE
    with temporary_database(TIMESCALE, "template0") as url, temporary_database(TIMESCALE, "template0") as empty:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (
                "CREATE EXTENSION IF NOT EXISTS timescaledb",
                "CREATE TABLE samples (at timestamptz NOT NULL, host text, v float8, PRIMARY KEY (host, at))",
                "SELECT create_hypertable('samples', 'at', chunk_time_interval => interval '1 day')",
                """INSERT INTO samples SELECT '2026-01-01'::timestamptz + i * interval '1 minute', 'h' || i % 7, i
                   FROM generate_series(1, 20000) AS i""",
                "ALTER TABLE samples SET (timescaledb.compress, timescaledb.compress_segmentby = 'host')",
                "SELECT compress_chunk(c) FROM show_chunks('samples', older_than => '2026-01-08'::timestamptz) AS c",
                """CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
                   SELECT time_bucket('1 hour', at) AS hour, host, sum(v) AS sum FROM samples GROUP BY 1, 2""",
                "SELECT add_retention_policy('samples', interval '100 years')",
            ):
                connection.execute(statement.encode())
        dump.backup(url, tmp_path / "b", jobs=2)
        summary, notes = dump.restore(empty, tmp_path / "b")
        assert (summary.tables, summary.rows, notes) == (1, 20000, [])
        assert contents(empty) == contents(url)
        answers = []
        for one in (url, empty):
            with psycopg.connect(one) as connection:
                answers.append(
                    [
                        connection.execute(question.encode()).fetchall()
                        for question in (
                            "SELECT * FROM hourly ORDER BY 1, 2",
                            "SELECT chunk_name, is_compressed FROM timescaledb_information.chunks ORDER BY 1",
                            "SELECT proc_name, hypertable_name FROM timescaledb_information.jobs ORDER BY 1",
                        )
                    ]
                )
                connection.execute("INSERT INTO samples VALUES ('2026-01-02 00:00:30', 'h1', 1)")
        assert answers[0] == answers[1]
        assert {compressed for _, compressed in answers[0][1]} == {True, False}
