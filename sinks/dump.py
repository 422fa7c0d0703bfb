"""Backup and restore of the whole database by PostgreSQL's own programs, `pg_dump` and `pg_restore`.

A backup is a folder: a dump in the directory format and `hindsight.json`, written last, which says of what it is and
how many rows each table has. A restore fills an empty database, counts its rows against that, and makes roles and
grants.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, pq, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sinks import migrate
from sinks.embedded import EmbeddedError
from sinks.embedded.programs import programs

MANIFEST = "hindsight.json"
FORMAT = 1
"""Version of the manifest."""
LOCK_WAIT = "--lock-wait-timeout=60s"
"""A migration that runs at this moment may hold tables for longer: then the backup fails rather than wait for ever."""
ROLES = ("hindsight_writer", "hindsight_reader", "hindsight_admin")
_ROLE_MISSING = re.compile(r'role "(.*)" does not exist')
_PROGRESS = re.compile(r'(?:dumping contents of|processing data for) table "(.*)"')
OnStep = Callable[[str], object]


class DumpError(Exception):
    """A backup or restore that can't be made; one line says why and what to do."""


@dataclass(frozen=True)
class Manifest:
    """What a backup is of."""

    server: int
    """Major version of the server."""
    programs: int
    """Major version of pg_dump."""
    timescaledb: str | None
    license: str | None
    """TimescaleDB's, `apache` or `timescale`."""
    made_at: str
    tables: dict[str, int] = field(default_factory=dict)
    """Rows by table."""
    format: int = FORMAT


@dataclass(frozen=True)
class Summary:
    """What was done."""

    folder: str
    bytes: int
    tables: int
    rows: int
    seconds: float


def backup(url: str, folder: Path, jobs: int = 1, on_step: OnStep = lambda _: None) -> Summary:
    """Write the database into a new folder, as it is at this moment; whoever writes goes on writing.

    `on_step` is told of each table. Raises :class:`DumpError` or :class:`sinks.migrate.MigrationError`; a folder of the
    wanted name is then not there.
    """
    start = time.monotonic()
    if folder.exists():
        raise DumpError(f"{folder} is there already: give a new name")
    draft = folder.with_name(folder.name + ".partial")
    with migrate.connect(url) as connection:
        server = connection.info.server_version // 10000
        program, version = program_for("pg_dump", server)
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700, parents=True)
        except OSError as problem:
            raise DumpError(f"{draft}: {problem.strerror}") from None
        try:
            connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            snapshot = _value(connection, "SELECT pg_export_snapshot()")
            options = ["--format=directory", "--compress=1", f"--jobs={jobs}", f"--snapshot={snapshot}", LOCK_WAIT]
            _run(program, url, [*options, f"--file={draft}"], on_step)
            on_step("counting rows")
            manifest = Manifest(
                server,
                version,
                _value(connection, "SELECT max(extversion) FROM pg_extension WHERE extname = 'timescaledb'"),
                _value(connection, "SELECT current_setting('timescaledb.license', true)"),
                datetime.now(UTC).isoformat(timespec="seconds"),
                count(connection),
            )
            (draft / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
            draft.rename(folder)
        except psycopg.Error as problem:
            raise DumpError(_line(str(problem))) from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return _summary(folder, manifest.tables, start)


def restore(url: str, folder: Path, jobs: int = 1, on_step: OnStep = lambda _: None) -> tuple[Summary, list[str]]:
    """Fill the empty database at `url`; returns what was done, and what is left for the administrator to do.

    Raises :class:`DumpError` or :class:`sinks.migrate.MigrationError`. After a failure half way, the database has to be
    made anew.
    """
    start = time.monotonic()
    manifest = read(folder)
    with migrate.connect(url) as connection:
        _check_target(connection, manifest)
        program, _ = program_for("pg_restore", manifest.programs)
        try:
            _make_roles(connection)
            with _restoring(connection, manifest.timescaledb):
                # More than one job does not restore TimescaleDB's catalogue in the right order.
                options = ["--no-owner", f"--jobs={1 if manifest.timescaledb else jobs}", str(folder)]
                notes = _run(program, url, options, on_step)
        except psycopg.Error as problem:
            raise DumpError(_line(str(problem))) from None
    # A new connection: TimescaleDB reads its catalogue at the first statement.
    with migrate.connect(url) as connection, _quiet(connection, manifest.timescaledb):
        on_step("counting rows")
        found = count(connection)
        if found != manifest.tables:
            differ = sorted(name for name in {*found, *manifest.tables} if found.get(name) != manifest.tables.get(name))
            name = differ[0]
            raise DumpError(
                f"{len(differ)} tables differ from the backup: {name} has {found.get(name, 'no')} rows, the backup "
                f"{manifest.tables.get(name, 'no')}"
            )
        on_step("analysing tables")
        connection.execute("ANALYZE")
        pending = migrate.plan(connection) if "schema_migrations" in found else []
    if pending:
        notes.append(f"the schema is {len(pending)} migrations behind this program: run `hindsight migrate`")
    elif "schema_migrations" in found:
        migrate.migrate(url, on_step)  # nothing but roles and grants
    return _summary(folder, manifest.tables, start), notes


def read(folder: Path) -> Manifest:
    """The manifest of a backup; raises :class:`DumpError` for a folder that is none."""
    try:
        raw = json.loads((folder / MANIFEST).read_text())
        if raw["format"] != FORMAT:
            raise DumpError(f"{folder} was made by another version of Hindsight (format {raw['format']})")
        return Manifest(**raw)
    except (OSError, ValueError, KeyError, TypeError):
        raise DumpError(f"{folder} is no complete backup: {MANIFEST} is not there, or not whole") from None


def count(connection: Connection[Any]) -> dict[str, int]:
    """Rows of each table of the schema, partitioned tables and hypertables as one."""
    names = connection.execute(
        "SELECT relname FROM pg_class AS c WHERE relnamespace = to_regnamespace(current_schema())"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND NOT EXISTS ("
        "     SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')"
        " ORDER BY relname"
    ).fetchall()
    return {
        name: int(_value(connection, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))))
        for (name,) in names
    }


def program_for(name: str, least: int) -> tuple[Path, int]:
    """A program of PostgreSQL of at least this major version, and its own: the embedded one, else that in PATH."""
    seen = []
    places = [shutil.which(name)]
    with suppress(EmbeddedError):
        places.insert(0, str(programs() / name))
    for place in filter(None, places):
        try:
            said = subprocess.run([str(place), "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        found = re.search(r"(\d+)(?:\.\d+)?", said)
        if found and int(found[1]) >= least:
            return Path(str(place)), int(found[1])
        seen.append(said.strip())
    what = f"found only {', '.join(seen)}" if seen else "there is none"
    raise DumpError(f"{name} {least} or later is needed, {what}: install the client programs of PostgreSQL {least}")


def _check_target(connection: Connection[Any], manifest: Manifest) -> None:
    server = connection.info.server_version // 10000
    if server < manifest.server:
        raise DumpError(f"the backup is of PostgreSQL {manifest.server}, this server is {server}: it must not be older")
    there = len(count(connection))
    if there:
        raise DumpError(f"the database holds {there} tables: a backup is restored into an empty one (make a new one)")
    wanted = manifest.timescaledb
    if wanted is None:
        return
    offered = connection.execute(
        "SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb' AND version = %s", [wanted]
    ).fetchone()
    if offered is None:
        raise DumpError(f"the backup needs TimescaleDB {wanted}, which this server does not have")
    installed = _value(connection, "SELECT max(extversion) FROM pg_extension WHERE extname = 'timescaledb'")
    if installed not in {None, wanted}:
        raise DumpError(f"the backup needs TimescaleDB {wanted}, this database has {installed}: make a new one")
    if manifest.license == "timescale" and _license(connection) == "apache":
        raise DumpError("the backup needs TimescaleDB of the Timescale license, this server has the Apache one")


def _license(connection: Connection[Any]) -> str | None:
    setting: str | None = _value(connection, "SELECT current_setting('timescaledb.license', true)")
    return setting


def _make_roles(connection: Connection[Any]) -> None:
    """The group roles, before the grants to them; where the account may not, these grants are reported as left out."""
    for role in ROLES:
        if not _value(connection, sql.SQL("SELECT count(*) FROM pg_roles WHERE rolname = {}").format(role)):
            try:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
            except psycopg.errors.InsufficientPrivilege:
                return


@contextmanager
def _restoring(connection: Connection[Any], version: str | None) -> Iterator[None]:
    """TimescaleDB's state for a restore, in which it leaves its catalogue alone."""
    if version is None:
        yield
        return
    connection.execute("SET client_min_messages = error")
    connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS timescaledb VERSION {}").format(version))
    connection.execute("SELECT timescaledb_pre_restore()")
    try:
        yield
    finally:
        connection.execute("SELECT timescaledb_post_restore()")


@contextmanager
def _quiet(connection: Connection[Any], version: str | None) -> Iterator[None]:
    """TimescaleDB's jobs held back, so that none drops what is being counted."""
    if version is not None:
        connection.execute("SELECT _timescaledb_functions.stop_background_workers()")
    try:
        yield
    finally:
        if version is not None:
            connection.execute("SELECT _timescaledb_functions.start_background_workers()")


def _run(program: Path, url: str, options: list[str], on_step: OnStep) -> list[str]:
    """Run a program on a database; returns grants that it left out because their role is missing."""
    target, environment = handed_over(url)
    command = [str(program), "--verbose", "--no-password", f"--dbname={target}", *options]
    errors: list[str] = []
    missing: set[str] = set()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, text=True
    ) as child:
        assert child.stderr is not None
        try:
            for line in child.stderr:
                if step := _PROGRESS.search(line):
                    on_step(step[1])
                elif "error: " in line:
                    if role := _ROLE_MISSING.search(line):
                        missing.add(role[1])
                    else:
                        errors.append(_line(line))
        except BaseException:
            child.terminate()
            raise
    if errors or (child.returncode and not missing):
        said = errors[0] if errors else f"{program.name} ended with status {child.returncode}"
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise DumpError(said + more)
    return [f"role {role} is not on this server: its grants were left out" for role in sorted(missing)]


def handed_over(url: str) -> tuple[str, dict[str, str]]:
    """The connection for a child process: settings for its command line, and its environment with the secrets.

    >>> target, environment = handed_over("postgresql://ada:s3cret@db:5432/x")
    >>> target, environment["PGPASSWORD"]
    ('user=ada dbname=x host=db port=5432', 's3cret')
    """
    secrets = {
        option.keyword.decode(): option.envvar.decode() if option.envvar else ""
        for option in pq.Conninfo.get_defaults()
        if option.dispchar == b"*"
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    shown = {}
    for name, value in conninfo_to_dict(url).items():
        if name not in secrets:
            shown[name] = value
        elif not secrets[name]:
            raise DumpError(f"{name} in the database URL can't be handed to PostgreSQL's programs without showing it")
        else:
            environment[secrets[name]] = str(value)
    return make_conninfo("", **shown), environment | {"LC_ALL": "C", "PGAPPNAME": "hindsight"}


def _summary(folder: Path, tables: dict[str, int], start: float) -> Summary:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Summary(str(folder), size, len(tables), sum(tables.values()), round(time.monotonic() - start, 3))


def _value(connection: Connection[Any], query: str | sql.Composed) -> Any:
    row = connection.execute(query.encode() if isinstance(query, str) else query).fetchone()
    return row[0] if row else None


def _line(text: str) -> str:
    """A program's message without the name of the program, as one line."""
    return " ".join(text.split()).partition("error: ")[2] or " ".join(text.split())
