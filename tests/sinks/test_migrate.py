from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from flows.commands.migrate import command
from sinks import migrate
from sinks.migrate import DatabaseURLError, MigrationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_one.sql", "CREATE TABLE one (a int);")
    write(tmp_path, "0002_two.sql", "CREATE TABLE two (a int);\nINSERT INTO two VALUES (2);")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / "migrations").mkdir(exist_ok=True)
    (folder / "migrations" / name).write_text(text, encoding="utf-8")


def query(url: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(text.encode()).fetchall()


def labels(url: str) -> list[object]:
    return [row[0] for row in query(url, "SELECT name FROM schema_migrations ORDER BY version")]


def test_applies_in_order_and_then_nothing(empty_database: str, folder: Path) -> None:
    steps: list[str] = []
    assert migrate.migrate(empty_database, steps.append, folder) == ["0001_one", "0002_two"]
    assert [step for step in steps if step.startswith("0")] == ["0001_one", "0002_two"]
    assert migrate.migrate(empty_database, folder=folder) == []
    assert query(empty_database, "SELECT a FROM two") == [(2,)]
    write(folder, "0003_three.sql", "CREATE TABLE three (a int)")
    assert migrate.migrate(empty_database, folder=folder) == ["0003_three"]


def test_a_changed_file_is_refused(empty_database: str, folder: Path) -> None:
    migrate.migrate(empty_database, folder=folder)
    write(folder, "0001_one.sql", "CREATE TABLE one (a bigint);")
    with pytest.raises(MigrationError, match="0001_one was changed after it was applied"):
        migrate.migrate(empty_database, folder=folder)


def test_line_ends_do_not_count_as_a_change(empty_database: str, folder: Path) -> None:
    migrate.migrate(empty_database, folder=folder)
    file = folder / "migrations" / "0002_two.sql"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert migrate.migrate(empty_database, folder=folder) == []


def test_a_database_ahead_of_the_program_is_refused(empty_database: str, folder: Path) -> None:
    migrate.migrate(empty_database, folder=folder)
    (folder / "migrations" / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match="has migration 0002_two, this program knows 0001"):
        migrate.migrate(empty_database, folder=folder)


def test_a_hole_in_the_history_is_refused(empty_database: str, folder: Path) -> None:
    migrate.migrate(empty_database, folder=folder)
    with psycopg.connect(empty_database) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = 1")
    with pytest.raises(MigrationError, match="0001_one was never applied"):
        migrate.migrate(empty_database, folder=folder)


@pytest.mark.parametrize("name", ["0004_four.sql", "0002_again.sql", "3_three.sql", "0003_Three.sql"])
def test_wrong_numbers_and_names_are_refused(folder: Path, name: str) -> None:
    write(folder, name, "SELECT 1")
    with pytest.raises(MigrationError, match=r"stands where number|the name is not"):
        migrate.available(folder)


def test_a_failing_migration_leaves_nothing_of_itself(empty_database: str, folder: Path) -> None:
    write(folder, "0002_two.sql", "CREATE TABLE two (a int);\nSELECT 1 / 0;")
    with pytest.raises(MigrationError) as failure:
        migrate.migrate(empty_database, folder=folder)
    assert "0002_two failed: division by zero" in str(failure.value)
    assert "\n" not in str(failure.value)
    assert labels(empty_database) == ["one"]
    assert query(empty_database, "SELECT to_regclass('two')") == [(None,)]
    write(folder, "0002_two.sql", "CREATE TABLE two (a int)")
    assert migrate.migrate(empty_database, folder=folder) == ["0002_two"]


def test_no_transaction_runs_statement_by_statement(empty_database: str, folder: Path) -> None:
    text = "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON one (a); -- x; y\nDO $$ BEGIN PERFORM ';'; END $$;\n"
    write(folder, "0003_index.sql", text + "SELECT 1 / 0;")
    with pytest.raises(MigrationError, match="0003_index failed"):
        migrate.migrate(empty_database, folder=folder)
    assert query(empty_database, "SELECT to_regclass('i')::text") == [("i",)]
    assert labels(empty_database) == ["one", "two"]
    write(folder, "0003_index.sql", text.replace("CONCURRENTLY i", "CONCURRENTLY IF NOT EXISTS i"))
    assert migrate.migrate(empty_database, folder=folder) == ["0003_index"]


def test_two_runners_wait_for_each_other(empty_database: str, folder: Path) -> None:
    write(folder, "0003_slow.sql", "SELECT pg_sleep(0.5); CREATE TABLE slow (a int)")
    results: list[list[str]] = []
    steps: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(migrate.migrate(empty_database, steps.append, folder)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results, key=len) == [[], [], ["0001_one", "0002_two", "0003_slow"]]
    assert steps.count("waiting for another migration to end") == 2


def test_plan_changes_nothing(empty_database: str, folder: Path) -> None:
    with migrate.connect(empty_database) as connection:
        assert [step.label for step in migrate.plan(connection, folder)] == ["0001_one", "0002_two"]
    assert query(empty_database, "SELECT to_regclass('schema_migrations')") == [(None,)]


def test_errors_of_the_connection_are_one_line_without_the_password() -> None:
    with pytest.raises(MigrationError) as refused:
        migrate.migrate("postgresql://u:secret@127.0.0.1:1/x")
    with pytest.raises(DatabaseURLError) as unreadable:
        migrate.migrate("postgresql://u:secret@[half/x y=%")
    for failure in (refused, unreadable):
        assert "secret" not in str(failure.value)
        assert "\n" not in str(failure.value)


def test_without_the_right_to_make_roles_the_tables_come_all_the_same(empty_database: str, folder: Path) -> None:
    parts = conninfo_to_dict(empty_database)
    role = f"plain_{parts['dbname']}"
    name = sql.Identifier(role)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain'").format(name))
        connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(name))
        try:
            url = f"postgresql://{role}:plain@{parts['host']}:{parts['port']}/{parts['dbname']}"
            steps: list[str] = []
            assert len(migrate.migrate(url, steps.append, folder)) == 2
            assert any(step.startswith("roles: left alone") for step in steps)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(name))


def test_roles_read_views_and_no_table(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("SET ROLE hindsight_reader")
        assert connection.execute("SELECT * FROM series_1d").fetchall() == []
        assert connection.execute("SELECT * FROM open_patterns").fetchall() == []
        for table in ("system_metrics", "rollups_10s", "dead_letters"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
        connection.execute("SET ROLE hindsight_writer")
        connection.execute("INSERT INTO series VALUES (1, 'e', 'm', 'metric')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE x (a int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM schema_migrations")
        connection.execute("RESET ROLE")


def test_running_again_makes_the_roles_again(database: str) -> None:
    assert migrate.migrate(database) == []
    assert query(database, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'hindsight\\_%' AND NOT rolcanlogin") == [
        (3,)
    ]


def test_rows_from_before_kinds_of_components_stay(empty_database: str, tmp_path: Path) -> None:
    """Partitions that are there already get the new key too; what was known of edges and baselines is kept."""
    earlier = tmp_path / "sql"
    for name in ("migrations", "plain"):
        (earlier / name).mkdir(parents=True)
        for file in sorted((Path(__file__).parents[2] / "sql" / name).glob("*.sql")):
            if file.name < "0023":
                (earlier / name / file.name).write_bytes(file.read_bytes())
    migrate.migrate(empty_database, folder=earlier, wanted="plain")
    at = "2026-01-05T00:00:00Z"
    analysis = (
        "INSERT INTO performance_analytics (id, component_name, metric_type, baseline_value, current_value,"
        " measurement_window, analyzed_at{}) VALUES (gen_random_uuid(), 'shop', 'error_rate', 1, 2, '7 d', %s{})"
    )
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "SELECT ensure_partitions('performance_analytics'::regclass, ARRAY[%s]::timestamptz[])", [at]
        )
        connection.execute(analysis.format("", ""), [at])
        connection.execute(
            "INSERT INTO performance_baselines VALUES (gen_random_uuid(), 'shop', 'weekly', '{}', 0.9, 5, %s)", [at]
        )
        connection.execute(
            "INSERT INTO code_dependencies VALUES ('shop', 'a', 'b', 'import', NULL, %s, %s, 'e')", [at, at]
        )
    assert migrate.migrate(empty_database)[:2] == ["0023_code_history", "0024_component_kind"]
    with psycopg.connect(empty_database) as connection:
        for name in ("performance_analytics", "performance_baselines"):
            assert connection.execute(f"SELECT component_kind FROM {name}").fetchall() == [("",)]
        edge = connection.execute("SELECT first_observed_at = observed_at FROM code_dependencies").fetchall()
        assert edge == [(True,)]
        later = "2026-02-09T00:00:00Z"
        connection.execute(
            "SELECT ensure_partitions('performance_analytics'::regclass, ARRAY[%s]::timestamptz[])", [later]
        )
        for kind in ("task", "pipeline"):
            for moment in (at, later):
                connection.execute(analysis.format(", component_kind", ", %s"), [moment, kind])
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(analysis.format(", component_kind", ", %s"), [at, "task"])


def test_command(empty_database: str) -> None:
    run = CliRunner().invoke
    behind = run(command, ["--database-url", empty_database, "--check"])
    backend, lacking = behind.stdout.splitlines()
    assert backend.startswith(("backend: plain PostgreSQL", "backend: TimescaleDB"))
    assert (behind.exit_code, lacking.split(":")[0]) == (1, f"behind by {len(migrate.available())}")
    shown = run(command, ["--database-url", empty_database, "--plan"])
    assert shown.exit_code == 0
    assert "CREATE TABLE detected_patterns (" in shown.stdout
    assert query(empty_database, "SELECT to_regclass('tasks')") == [(None,)]
    done = run(command, ["--database-url", empty_database])
    assert done.exit_code == 0, done.output
    backend_now = done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[-1] == f"up to date: {len(migrate.available())} applied"
    assert run(command, ["--database-url", empty_database]).stdout == "up to date\n"
    assert run(command, ["--database-url", empty_database, "--check"]).stdout.splitlines() == [
        backend_now,
        "up to date",
    ]


def test_command_refuses() -> None:
    run = CliRunner().invoke
    assert run(command, ["--check", "--plan"]).exit_code == 2
    assert run(command, ["--database-url", "postgresql://u:secret@[half/x"]).exit_code == 2
    away = run(command, ["--database-url", "postgresql://u:secret@127.0.0.1:1/x"])
    assert away.exit_code == 1
    assert away.stderr.count("\n") == 1
    assert "secret" not in away.stderr
    assert "Example:" in run(command, ["--help"]).stdout
