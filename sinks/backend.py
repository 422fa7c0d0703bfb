"""Which of the twins a database is or can be: TimescaleDB, or plain PostgreSQL.

The schema is the same for both; ``sql/timescale`` and ``sql/plain`` hold the migrations that differ. A database stays
what it became first: rows do not move from partitions into hypertables by themselves.
"""

from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import Connection

Twin = Literal["timescale", "plain"]
TWINS: tuple[Twin, ...] = ("timescale", "plain")

WITHOUT = (
    "no compression (several times the disk), and summaries, new partitions and dropping of old ones are done by"
    " `hindsight maintain` (the flows run it) instead of by the database"
)
"""What plain PostgreSQL lacks."""


@dataclass(frozen=True)
class Backend:
    """A twin, and in one line why it is this one and what that means."""

    twin: Twin
    reason: str


def detect(connection: Connection[Any], create: bool = False) -> Backend:
    """What this database can be; with ``create`` the extension is made where the server has it loaded."""
    version = _installed(connection)
    if version is None:
        available = _value(connection, "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'")
        if available is None:
            return Backend("plain", f"plain PostgreSQL: {WITHOUT}")
        # Not everybody may read shared_preload_libraries, but the library brings settings of its own.
        if _value(connection, "SELECT current_setting('timescaledb.disable_load', true)") is None:
            return Backend(
                "plain",
                f"plain PostgreSQL: TimescaleDB {available} is there, but not in shared_preload_libraries; {WITHOUT}",
            )
        if not create:
            return Backend("timescale", f"TimescaleDB {available}, whose extension is made first")
        try:
            with connection.transaction():
                connection.execute("SET LOCAL client_min_messages = error")
                connection.execute("CREATE EXTENSION timescaledb")
        except psycopg.errors.InsufficientPrivilege:
            return Backend(
                "plain",
                f"plain PostgreSQL: this account may not run CREATE EXTENSION timescaledb ({available}); {WITHOUT}",
            )
        version = available
    if _value(connection, "SELECT current_setting('timescaledb.license', true)") == "apache":
        return Backend(
            "plain",
            f"TimescaleDB {version} of the Apache license, which has no columnstore, no continuous aggregates and no"
            f" jobs, so it is set up like plain PostgreSQL: {WITHOUT}",
        )
    return Backend("timescale", f"TimescaleDB {version}")


def recorded(connection: Connection[Any]) -> Twin | None:
    """The twin that this database has become, or None before the first migration that differs."""
    column = _value(
        connection,
        "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('schema_migrations') AND attname = 'twin'",
    )
    if column is None:
        return None
    twin: Twin | None = _value(connection, "SELECT max(twin) FROM schema_migrations")
    return twin


def _installed(connection: Connection[Any]) -> str | None:
    version: str | None = _value(connection, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    return version


def _value(connection: Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
