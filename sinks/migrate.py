"""Schema migrations: numbered, append-only, checksummed, one transaction each, one runner at a time.

A migration is a file ``sql/migrations/NNNN_name.sql``, or where TimescaleDB and plain PostgreSQL differ one file of the
same name in each of ``sql/timescale`` and ``sql/plain``; they are numbered from 0001 without gaps. What was applied
stands in the table ``schema_migrations`` with the SHA-256 of the file, and a file that changed afterwards is an error:
forward only.
A file whose first line is ``-- no-transaction`` runs statement by statement outside a transaction (as CREATE INDEX
CONCURRENTLY needs), so a failure leaves its first statements done: write it so that it can run again.

``sql/roles.sql`` runs after each migration run, if the account may create roles. Does not work through a pooler in
transaction mode, which does not keep session locks.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import psycopg
from psycopg import Connection

from sinks.backend import TWINS, Backend, Twin, detect, recorded

NO_TRANSACTION = "-- no-transaction"
"""First line of a migration that may not run in a transaction."""

LOCK = 0x48494E445349474C
"""Key of the advisory lock that a runner holds ("HINDSIGL" in ASCII)."""

MINIMUM_SERVER = 15
"""Oldest major version of PostgreSQL that the schema works on."""

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TOKEN = re.compile(
    r"(?P<skip>--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)|(?P<end>;)",
    re.DOTALL,
)

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_migrations IS 'Migrations applied to this database.';
COMMENT ON COLUMN schema_migrations.version IS 'Number of the migration, from 1.';
COMMENT ON COLUMN schema_migrations.name IS 'Name of its file without the number.';
COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of its file, in hexadecimal digits.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied (wall clock).';
ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS twin text CHECK (twin IN ('timescale', 'plain'));
COMMENT ON COLUMN schema_migrations.twin IS
    'For which database it was: TimescaleDB or plain PostgreSQL; null = the same for both.';
"""


class MigrationError(RuntimeError):
    """The schema can't be brought up to date; the message is one line that says why and what to do."""


class DatabaseURLError(MigrationError):
    """The database URL can't be read."""


@dataclass(frozen=True)
class Migration:
    """One file: its number, name and text, and the twin it is for (None: both)."""

    version: int
    name: str
    text: str
    twin: Twin | None = None

    @property
    def label(self) -> str:
        """The file's name without its ending.

        >>> Migration(7, "models", "SELECT 1;").label
        '0007_models'
        """
        return f"{self.version:04d}_{self.name}"

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        """Whether it runs as one transaction."""
        return self.text.partition("\n")[0].strip() != NO_TRANSACTION


def available(folder: Traversable | None = None, twin: Twin = "plain") -> list[Migration]:
    """All migrations for a twin, in order; raises :class:`MigrationError` on a gap.

    ``folder`` (the ``sql`` package by default) holds ``migrations``, ``timescale`` and ``plain``.

    >>> [migration.label for migration in available()][:2]
    ['0001_tasks', '0002_pipelines']
    """
    place = folder if folder is not None else files("sql")
    found = _files(place / "migrations", None)
    for one in TWINS:
        theirs = _files(place / one, one)
        if one == twin:
            found += theirs
    found.sort(key=lambda migration: migration.version)
    for number, migration in enumerate(found, start=1):
        if migration.version != number:
            raise MigrationError(f"sql: {migration.label} stands where number {number:04d} should")
    if not found:
        raise MigrationError("no migrations found: the sql package is damaged, install Hindsight again")
    return found


def _files(place: Traversable, twin: Twin | None) -> list[Migration]:
    found = []
    for entry in place.iterdir() if place.is_dir() else []:
        match = _FILE.fullmatch(entry.name)
        if match:
            text = entry.read_text(encoding="utf-8").replace("\r\n", "\n")
            found.append(Migration(int(match.group(1)), match.group(2), text, twin))
        elif entry.name.endswith(".sql"):
            raise MigrationError(f"sql/{place.name}/{entry.name}: the name is not NNNN_lower_case.sql")
    return found


def backend(connection: Connection[Any], wanted: Twin | None = None, create: bool = False) -> Backend:
    """What a database is, or is to become: recorded, else ``wanted``, else what the server can be.

    Raises :class:`MigrationError` when ``wanted`` is not what it is or can be.
    """
    found = detect(connection, create and wanted != "plain")
    became = recorded(connection)
    if became is None:
        if wanted == "timescale" and found.twin != "timescale":
            raise MigrationError(f"this can't be a TimescaleDB database: {found.reason}")
        if wanted == "plain" and found.twin != "plain":
            return Backend("plain", "plain PostgreSQL, as asked for")
        return found
    if wanted not in {None, became}:
        raise MigrationError(f"this database was set up as {became}: to change that, import its history into a new one")
    if became == "timescale" and found.twin != "timescale":
        raise MigrationError(
            f"this database was set up with TimescaleDB's functions, which it no longer has: {found.reason}"
        )
    if became != found.twin:
        return Backend(became, f"{became}, as it was set up (a new database here would be {found.reason})")
    return found


def plan(connection: Connection[Any], folder: Traversable | None = None, twin: Twin | None = None) -> list[Migration]:
    """The migrations that this database still lacks, in order; for ``twin``, else for what it is or can be.

    Raises :class:`MigrationError` when an applied file has changed since, or the database is ahead of this program.
    """
    applied = _applied(connection)
    chosen = twin or recorded(connection) or detect(connection).twin
    known = {migration.version: migration for migration in available(folder, chosen)}
    for version, (name, checksum) in sorted(applied.items()):
        migration = known.get(version)
        if migration is None:
            raise MigrationError(
                f"the database has migration {version:04d}_{name}, this program knows {max(known):04d}: update it"
            )
        if migration.checksum != checksum:
            raise MigrationError(
                f"{migration.label} was changed after it was applied: restore it, and put the change into a new file"
            )
    pending = [migration for version, migration in sorted(known.items()) if version not in applied]
    if pending and applied and pending[0].version < max(applied):
        raise MigrationError(f"{pending[0].label} was never applied, though later ones were: the history is damaged")
    return pending


def migrate(
    url: str,
    on_step: Callable[[str], object] = lambda _: None,
    folder: Traversable | None = None,
    wanted: Twin | None = None,
) -> list[str]:
    """Bring the database at ``url`` up to date; returns the labels of what was applied (none: it was up to date).

    ``on_step`` is given one line before each step. ``wanted`` asks for a twin where the database can be either. A
    second runner waits for the first. Raises :class:`MigrationError`; what was applied before the failure stays.
    """
    with connect(url) as connection, _locked(connection, on_step):
        kind = backend(connection, wanted, create=True)
        pending = plan(connection, folder, kind.twin)
        if pending:
            on_step(f"backend: {kind.reason}")
        _execute(connection, _TABLE, "schema_migrations")
        for migration in pending:
            on_step(migration.label)
            _apply(connection, migration)
        _grant(connection, on_step)
    return [migration.label for migration in pending]


@contextmanager
def connect(url: str) -> Iterator[Connection[Any]]:
    """An autocommit connection to a server of a version that works; raises :class:`MigrationError`, in one line."""
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="hindsight migrate")
    except psycopg.OperationalError as error:
        raise MigrationError(f"cannot connect to the database: {_line(error)}") from error
    except psycopg.Error:
        # The message would repeat the URL, and with it the password.
        raise DatabaseURLError("the database URL is not like postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
    with connection:
        major = connection.info.server_version // 10000
        if major < MINIMUM_SERVER:
            raise MigrationError(f"the server is PostgreSQL {major}; {MINIMUM_SERVER} or later is needed")
        yield connection


@contextmanager
def _locked(connection: Connection[Any], on_step: Callable[[str], object]) -> Iterator[None]:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
    if not (row and row[0]):
        on_step("waiting for another migration to end")
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _applied(connection: Connection[Any]) -> dict[int, tuple[str, str]]:
    row = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
    if row is None or row[0] is None:
        return {}
    rows = connection.execute("SELECT version, name, checksum FROM schema_migrations").fetchall()
    return {version: (name, checksum) for version, name, checksum in rows}


def _apply(connection: Connection[Any], migration: Migration) -> None:
    record = "INSERT INTO schema_migrations (version, name, checksum, twin) VALUES (%s, %s, %s, %s)"
    values = [migration.version, migration.name, migration.checksum, migration.twin]
    if migration.in_transaction:
        with connection.transaction():
            _execute(connection, migration.text, migration.label)
            connection.execute(record, values)
    else:
        for statement in split(migration.text):
            _execute(connection, statement, migration.label)
        connection.execute(record, values)


def _execute(connection: Connection[Any], text: str, label: str) -> None:
    try:
        connection.execute(text.encode())
    except psycopg.Error as error:
        raise MigrationError(f"{label} failed: {_line(error)}") from error


def _grant(connection: Connection[Any], on_step: Callable[[str], object]) -> None:
    """Make the group roles and their grants, where the account may."""
    row = connection.execute(
        "SELECT rolsuper OR rolcreaterole AND pg_has_role(current_user, (SELECT nspowner FROM pg_namespace"
        " WHERE nspname = current_schema()), 'USAGE') FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if not (row and row[0]):
        on_step("roles: left alone, this account may not create roles (an administrator can run sql/roles.sql)")
        return
    with connection.transaction():
        _execute(connection, (files("sql") / "roles.sql").read_text(encoding="utf-8"), "roles.sql")


def split(text: str) -> list[str]:
    """Statements of a script, without those that are only comments.

    >>> split("SELECT ';'; -- a; b\\nDO $$ BEGIN; END $$;\\n-- end")
    ["SELECT ';'", '-- a; b\\nDO $$ BEGIN; END $$']
    """
    ends = [match.start() for match in _TOKEN.finditer(text) if match.group("end")]
    starts = [0, *(end + 1 for end in ends)]
    parts = [text[start:end].strip() for start, end in zip(starts, [*ends, len(text)], strict=True)]
    return [part for part in parts if re.sub(r"--[^\n]*|/\*.*?\*/", "", part, flags=re.DOTALL).strip()]


def _line(error: psycopg.Error) -> str:
    """A server's message as one line."""
    return " ".join(str(error).split()) or type(error).__name__
