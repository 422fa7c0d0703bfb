"""What each stage made, kept until the night is done: files in a folder, and what they were made from in the database.

A part that was done is not done again while its input is the same and its file is whole. A file is there before its row
says so, and what goes into tables is committed together with its row: a kill at any moment costs one part of one stage.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import Connection
from psycopg.types.json import Jsonb

from flows.nightly.night import Night, Stage
from operators.mining.history import COMPONENTS
from sinks import migrate
from sinks.nightly import Stored

_BEGIN = """
INSERT INTO nightly_runs (id, range_start, range_end, engine, status) VALUES (%s, %s, %s, %s, 'running')
ON CONFLICT (id) DO UPDATE SET
    status = 'running', problem = NULL, started_at = clock_timestamp(), finished_at = NULL
"""

_DONE = """
INSERT INTO nightly_stages (run_id, stage, part, input, output, items, skipped, seconds)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (run_id, stage, part) DO UPDATE SET
    input = excluded.input, output = excluded.output, items = excluded.items, skipped = excluded.skipped,
    seconds = excluded.seconds, finished_at = clock_timestamp()
"""

_STALE = "DELETE FROM nightly_stages WHERE run_id = %s AND stage = %s AND NOT part = ANY(%s)"

_ENDED = """
UPDATE nightly_runs
SET status = %s, problem = %s, summary = summary || coalesce(%s, '{}'), finished_at = clock_timestamp()
WHERE id = %s
"""


_READ = (
    "EXISTS (SELECT FROM jsonb_each_text(summary -> 'rows') AS read WHERE read.value::bigint > 0"
    f" AND read.key IN ({', '.join(map(repr, COMPONENTS))}))"
)
"""Whether a night had anything that happened."""

_LATER = f"""
SELECT EXISTS (SELECT FROM nightly_runs WHERE status = 'finished' AND range_end > %s AND {_READ})
"""

_LONGEST = f"""
SELECT max(range_end - range_start) FROM nightly_runs
WHERE status = 'finished' AND range_end > %s::timestamptz - interval '31 days' AND range_end <= %s AND id <> %s
    AND {_READ}
"""

FULL = 0.9
"""Share of the longest range of late that a night needs to say of a pattern that it is gone."""


class NightlyError(Exception):
    """The night can't be worked through; one line says why and what to do."""


class Made(NamedTuple):
    """What a part of a stage made: its bytes, how many items they hold, why it was left out (None: it was not)."""

    data: bytes
    items: int
    skipped: str | None = None


class Part(NamedTuple):
    """A part that is done, and whether an earlier run had done it."""

    made: Made
    output: str
    seconds: float
    again: bool


class Work:
    """The work of one night, locked against a second run of any night in the same database."""

    def __init__(self, connection: Connection[Any], folder: Path, night: Night) -> None:
        """`connection`: autocommit. Raises `NightlyError` when the schema is behind or another run is at work."""
        self.connection = connection
        self.night = night
        self.folder = folder / f"{night.label}-{night.id.hex[:12]}"
        if migrate.plan(connection):
            raise NightlyError("the database is not up to date: run `hindsight migrate`")
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended('hindsight nightly', 0))").fetchone()
        if not (row and row[0]):
            raise NightlyError("another nightly run is at work in this database")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise NightlyError(f"folder {self.folder}: {problem.strerror}") from None
        connection.execute(_BEGIN.encode(), [night.id, night.since, night.until, night.engine])

    def part(self, stage: Stage, part: str, taken: str, make: Callable[[], Made]) -> Part:
        """A part of a stage: read again where it was made from the same input (`taken`, a hash), else made."""
        start = time.monotonic()
        path = self.path(stage, part)
        known = self.known(stage, part, taken)
        if known is not None:
            output, items, skipped, seconds = known
            try:
                data = path.read_bytes()
            except OSError:
                data = b""
            if hashlib.sha256(data).hexdigest() == output:
                return Part(Made(data, items, skipped), output, seconds, True)
        made = make()
        output = hashlib.sha256(made.data).hexdigest()
        _write(path, made.data)
        seconds = time.monotonic() - start
        self.note(stage, part, taken, output, made.items, made.skipped, seconds)
        return Part(made, output, seconds, False)

    def known(self, stage: Stage, part: str, taken: str) -> tuple[str, int, str | None, float] | None:
        """Output, items, reason for leaving it out and seconds of a part, if it was made from this input."""
        row = self.connection.execute(
            "SELECT output, items, skipped, seconds FROM nightly_stages"
            " WHERE run_id = %s AND stage = %s AND part = %s AND input = %s",
            [self.night.id, stage, part, taken],
        ).fetchone()
        return None if row is None else (row[0], row[1], row[2], row[3])

    def note(
        self, stage: Stage, part: str, taken: str, output: str, items: int, skipped: str | None, seconds: float
    ) -> None:
        """A part is done."""
        values = [self.night.id, stage, part, taken, output, items, skipped, seconds]
        self.connection.execute(_DONE.encode(), values)

    def only(self, stage: Stage, parts: list[str]) -> None:
        """A stage has these parts and no others: a month that was dropped since is none."""
        self.connection.execute(_STALE.encode(), [self.night.id, stage, parts])

    def data(self, stage: Stage, part: str) -> bytes:
        """What a part made, from its file."""
        return self.path(stage, part).read_bytes()

    def ended(self, summary: dict[str, Any] | None, problem: str | None = None) -> None:
        """The run has ended, well or not."""
        status = "finished" if problem is None else "failed"
        values = [status, problem, None if summary is None else Jsonb(summary), self.night.id]
        self.connection.execute(_ENDED.encode(), values)

    def keep_stored(self, stored: Stored) -> None:
        """Note what was written into the tables, in the same transaction."""
        values = [Jsonb({"stored": msgspec.to_builtins(stored)}), self.night.id]
        self.connection.execute(b"UPDATE nightly_runs SET summary = summary || %s WHERE id = %s", values)

    def stored(self) -> Stored:
        """What was."""
        row = self.connection.execute(
            b"SELECT summary -> 'stored' FROM nightly_runs WHERE id = %s", [self.night.id]
        ).fetchone()
        return msgspec.convert(row[0] if row else {}, Stored)

    def latest(self) -> bool:
        """Whether no later night that read anything has finished."""
        row = self.connection.execute(_LATER.encode(), [self.night.until]).fetchone()
        return not (row and row[0])

    def full(self) -> bool:
        """Whether the night looks about as far back as the nights of the month before it: a glance at a few days adds
        what it finds and takes nothing away."""
        row = self.connection.execute(_LONGEST.encode(), [self.night.until, self.night.until, self.night.id]).fetchone()
        longest = row[0] if row else None
        return longest is None or self.night.until - self.night.since >= FULL * longest

    def path(self, stage: Stage, part: str) -> Path:
        """The file of a part."""
        return self.folder / stage / f"{part.replace('/', '-').replace(' ', '-') or 'all'}.bin"


def _write(path: Path, data: bytes) -> None:
    """A whole file or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        with open(fresh, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
    except OSError as problem:
        raise NightlyError(f"{path}: {problem.strerror}") from None


def connect(url: str) -> Connection[Any]:
    """An autocommit connection; raises `NightlyError` with one line."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="hindsight nightly")
    except psycopg.OperationalError as problem:
        raise NightlyError(f"cannot connect to the database: {str(problem).strip().splitlines()[0]}") from None
    except psycopg.Error:
        raise NightlyError("the database URL is not like postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
