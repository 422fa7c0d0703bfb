"""What the HTTP API keeps: tokens, analyses on demand as jobs, and which patterns changed since a moment."""

import uuid
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from sql.store.page import Page
from sql.store.patterns import DETECTED_PATTERNS, DetectedPattern
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import Json, Record, TableOf
from sql.store.where import equals, one_of

ATTEMPTS = 3
"""How often a job is begun: one that ends its process each time does not do so for ever."""


class Token(Record, frozen=True, kw_only=True):
    """A token by its hash."""

    id: uuid.UUID
    name: str
    scope: str
    token_hash: bytes
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class Analysis(Record, frozen=True, kw_only=True):
    """A job."""

    id: uuid.UUID
    request: Json
    requested_by: str
    requested_at: datetime | None = None
    status: str = "queued"
    progress: float = 0.0
    attempts: int = 0
    cancel_requested: bool = False
    owner: uuid.UUID | None = None
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None
    finished_at: datetime | None = None
    result: Json | None = None
    error: str | None = None


class Update(msgspec.Struct, frozen=True):
    """A change of a pattern: when its row was written, and the row, None where it was taken back."""

    pattern_id: uuid.UUID
    changed_at: datetime
    pattern: DetectedPattern | None


class _Changed(Record, frozen=True, kw_only=True):
    pattern_id: uuid.UUID
    changed_at: datetime
    is_gone: bool


API_TOKENS = TableOf(Token, "api_tokens")
ANALYSES = TableOf(Analysis, "analyses")

_CLAIM = """
UPDATE analyses SET status = 'running', owner = %(owner)s, attempts = attempts + 1, heartbeat_at = clock_timestamp(),
    started_at = coalesce(started_at, clock_timestamp())
WHERE id = (
    SELECT id FROM analyses
    WHERE status = 'queued'
        OR (status = 'running' AND heartbeat_at < clock_timestamp() - make_interval(secs => %(lease)s))
    ORDER BY requested_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""
_BEAT = """
UPDATE analyses SET heartbeat_at = clock_timestamp(), progress = greatest(progress, %(progress)s)
WHERE id = %(id)s AND owner = %(owner)s AND status = 'running'
RETURNING cancel_requested
"""
_FINISH = """
UPDATE analyses SET status = %(status)s, result = %(result)s, error = %(error)s, finished_at = clock_timestamp(),
    progress = CASE WHEN %(status)s = 'succeeded' THEN 1 ELSE progress END
WHERE id = %(id)s AND owner = %(owner)s AND status = 'running'
"""
_RELEASE = """
UPDATE analyses SET status = 'queued', owner = NULL, attempts = attempts - %(unused)s
WHERE id = %(id)s AND owner = %(owner)s AND status = 'running'
"""
_CANCEL = """
UPDATE analyses SET cancel_requested = true,
    status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
    finished_at = CASE WHEN status = 'queued' THEN clock_timestamp() ELSE finished_at END
WHERE id = %s AND status IN ('queued', 'running')
"""
_CLEAN = """
WITH done AS (DELETE FROM analyses WHERE finished_at < clock_timestamp() - make_interval(days => %(days)s))
DELETE FROM pattern_updates WHERE is_gone AND changed_at < clock_timestamp() - interval '1 day'
"""
_CHANGED = """
SELECT pattern_id, changed_at, is_gone FROM pattern_updates
WHERE (changed_at, pattern_id) > (%s, %s) ORDER BY changed_at, pattern_id LIMIT %s
"""


class _Timed(Module):
    def now(self) -> datetime:
        """The database's clock: several API processes agree on it."""
        with self.database.read() as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment


class Tokens(_Timed):
    """Tokens by their hashes."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.tokens: Repository[Token] = Repository(database, API_TOKENS)

    def find(self, token_id: uuid.UUID) -> Token | None:
        """A token that was neither revoked nor has expired."""
        found = self.tokens.first([equals("id", token_id)], order="id")
        if found is None or found.revoked_at is not None:
            return None
        if found.expires_at is not None and found.expires_at <= self.now():
            return None
        return found

    def listing(self) -> list[Token]:
        """All tokens, those that are revoked too, the oldest first."""
        return self.tokens.all([], order="created_at")

    def revoke(self, token_id: uuid.UUID) -> Token:
        """Refuse a token from now on; raises `NotFound`. Once more changes nothing."""
        with self.database.write():
            found = self.tokens.get(token_id)
            return found if found.revoked_at else self.tokens.update(token_id, {"revoked_at": self.now()})

    def seen(self, token_id: uuid.UUID) -> None:
        """Note that a token was used."""
        with self.database.write() as connection:
            connection.execute("UPDATE api_tokens SET last_used_at = clock_timestamp() WHERE id = %s", [token_id])


class Analyses(Module):
    """Jobs. Whoever claims one owns it while it is heard of; then another process may begin it again."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.analyses: Repository[Analysis] = Repository(database, ANALYSES)

    def ask_for(self, analysis_id: uuid.UUID, request: Json, requested_by: str) -> Analysis:
        """Store a job; one with the same id stays as it is, and is given back."""
        with self.database.write() as connection:
            connection.execute(
                "INSERT INTO analyses (id, request, requested_by) VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING",
                [analysis_id, Jsonb(request), requested_by],
            )
            return self.analyses.get(analysis_id)

    def listing(
        self, *, statuses: list[str] | None = None, limit: int = 100, after: str | None = None
    ) -> Page[Analysis]:
        """Jobs, the latest first."""
        return self.analyses.page([one_of("status", statuses)], order="requested_at", limit=limit, after=after)

    def waiting(self) -> int:
        """How many have not ended."""
        with self.database.read() as connection:
            row = connection.execute("SELECT count(*) FROM analyses WHERE status IN ('queued', 'running')").fetchone()
        return int(row[0]) if row else 0

    def claim(self, owner: uuid.UUID, lease: float) -> Analysis | None:
        """Take the oldest job that waits, or whose owner was silent for `lease` seconds; None = there is none.

        One that has been begun `ATTEMPTS` times ends here, as failed.
        """
        with self.database.write() as connection:
            row = connection.execute(_CLAIM, {"owner": owner, "lease": lease}).fetchone()
            if row is None:
                return None
            job = self.analyses.get(row[0])
        if job.cancel_requested:
            self.finish(job.id, owner, "cancelled")
        elif job.attempts > ATTEMPTS:
            self.finish(job.id, owner, "failed", error=f"the process that worked on it ended {ATTEMPTS} times")
        else:
            return job
        return self.claim(owner, lease)

    def beat(self, job: uuid.UUID, owner: uuid.UUID, progress: float) -> bool:
        """Say that the owner is at work, and how far; False = it shall stop: cancelled, or no longer its owner."""
        with self.database.write() as connection:
            row = connection.execute(_BEAT, {"id": job, "owner": owner, "progress": progress}).fetchone()
        return row is not None and not row[0]

    def finish(
        self, job: uuid.UUID, owner: uuid.UUID, status: str, *, result: Json | None = None, error: str | None = None
    ) -> bool:
        """Write the outcome; False where somebody else owns the job by now."""
        values: dict[str, Any] = {"id": job, "owner": owner, "status": status, "error": error}
        values["result"] = None if result is None else Jsonb(result)
        with self.database.write() as connection:
            return connection.execute(_FINISH, values).rowcount == 1

    def release(self, job: uuid.UUID, owner: uuid.UUID, *, failed: bool = False) -> None:
        """Give a job back, to be begun again; the attempt counts if it failed by itself."""
        with self.database.write() as connection:
            connection.execute(_RELEASE, {"id": job, "owner": owner, "unused": 0 if failed else 1})

    def cancel(self, job: uuid.UUID) -> Analysis:
        """Ask for the end of a job; one that waits has ended with that. Raises `NotFound`."""
        with self.database.write() as connection:
            connection.execute(_CANCEL, [job])
            return self.analyses.get(job)

    def clean(self, days: int) -> None:
        """Remove what ended so many days ago, and notes on patterns that were taken back yesterday."""
        with self.database.write() as connection:
            connection.execute(_CLEAN, {"days": days})


class Updates(_Timed):
    """Which patterns changed, in the order in which their rows were written.

    A row shows only when its transaction has committed: look again from a little earlier than the last one seen.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._patterns: Repository[DetectedPattern] = Repository(database, DETECTED_PATTERNS)

    def since(self, moment: datetime, behind: uuid.UUID, most: int) -> list[Update]:
        """Changes after (`moment`, `behind`), the earliest first; each pattern as it is now."""
        with self.database.read() as connection:
            cursor = connection.cursor(row_factory=kwargs_row(_Changed))
            changed = cursor.execute(_CHANGED, [moment, behind, most]).fetchall()
            ids = [row.pattern_id for row in changed if not row.is_gone]
            found = self._patterns.page([one_of("id", ids)], order="id", limit=1000).items if ids else []
        by_id = {pattern.id: pattern for pattern in found}
        return [Update(row.pattern_id, row.changed_at, by_id.get(row.pattern_id)) for row in changed]
