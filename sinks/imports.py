"""The table `imports`: which files were imported how far. The database sink writes its rows, after the events' own."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from operators import tables as t
from operators.output import Output
from operators.records import Batch
from sinks import migrate


class ImportsError(Exception):
    """The import can't begin; one line says why and what to do."""


class Checkpoint(NamedTuple):
    """How far an input has come."""

    together: str | None
    """What its partial aggregates are summed over, as `operators.partition.PartitionConfig.input`."""
    size: int = 0
    """Bytes of text so far."""
    lines: int = 0
    within_line: bool = False
    digest: bytes = b""
    state: bytes | None = None
    finished: bool = False


class Imports:
    """The inputs of one import, locked against a second import of the same ones while the connection is open."""

    def __init__(self, connection: Connection[Any]) -> None:
        """`connection`: autocommit, to a database that is up to date; raises `ImportsError` if it is not."""
        self._connection = connection
        if migrate.plan(connection):
            raise ImportsError("the database is not up to date: run `hindsight migrate`")

    def begin(self, inputs: Sequence[str], again: bool) -> dict[str, Checkpoint]:
        """Where each of the inputs stands. New ones are noted as read together; `again` begins with all of them anew.

        Raises `ImportsError` if another process imports one of them.
        """
        connection = self._connection
        for name in inputs:
            taken = connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended('hindsight import ' || %s, 0))", [name]
            ).fetchone()
            if not (taken and taken[0]):
                raise ImportsError(f"{name} is being imported by another process")
        with connection.transaction():
            if again:
                # Counts start from zero with the reading: they add up at any moment.
                connection.execute(
                    "UPDATE imports SET bytes = 0, lines = 0, within_line = false, digest = NULL, state = NULL,"
                    " started_at = now(), updated_at = now(), finished_at = NULL WHERE input = ANY(%s)",
                    [list(inputs)],
                )
                connection.execute(
                    "DELETE FROM stream_counters WHERE input = ANY(%s) AND partition = 0 AND outcome <> 'patterns'",
                    [list(inputs)],
                )
            known = self._load(inputs)
            fresh = [name for name in inputs if name not in known]
            together = "\n".join(sorted(fresh)) if len(fresh) > 1 else None
            for name in fresh:
                connection.execute("INSERT INTO imports (input, together) VALUES (%s, %s)", [name, together])
        return {name: known.get(name, Checkpoint(together)) for name in inputs}

    def _load(self, inputs: Sequence[str]) -> dict[str, Checkpoint]:
        rows = self._connection.execute(
            "SELECT input, together, bytes, lines, within_line, coalesce(digest, ''), state, finished_at IS NOT NULL"
            " FROM imports WHERE input = ANY(%s)",
            [list(inputs)],
        ).fetchall()
        return {row[0]: Checkpoint(*row[1:]) for row in rows}


def checkpoint(name: str, at: Checkpoint) -> Output:
    """A checkpoint as an output of its own: put after the outputs that it speaks of, it is never committed before."""
    now = time.time_ns() // 1000
    finished = now if at.finished else None
    out = Output(Batch(name, 0, [], [], now))
    row = (name, at.together, at.size, at.lines, at.within_line, at.digest, at.state, now, now, finished)
    out.replace(t.IMPORTS, name.encode(), t.IMPORTS.encode(row))
    return out
