"""What the realtime flow keeps of itself: dead letters, what became of the records, and edges between parts of code."""

import uuid
from collections.abc import Collection
from datetime import datetime

import msgspec

from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import JsonList, Record, TableOf
from sql.store.where import between, equals, one_of


class DeadLetter(Record, frozen=True, kw_only=True):
    """A record that could not be applied, with its original bytes."""

    id: uuid.UUID
    topic: str
    partition: int
    record_offset: int
    reason: str
    detail: str | None = None
    record_key: bytes | None = None
    record_value: bytes | None = None
    headers: JsonList = msgspec.field(default_factory=list)
    received_at: datetime
    event_time: datetime | None = None


class CodeDependency(Record, frozen=True, kw_only=True):
    """An edge between parts of code."""

    codebase_id: str
    from_node: str
    to_node: str
    kind: str
    commit_sha: str | None = None
    observed_at: datetime
    first_observed_at: datetime | None = None
    event_time: datetime
    event_id: str


class Counted(Record, frozen=True, kw_only=True):
    """What became of the records of an input, by reason: `read` is the sum of all others but `patterns`."""

    input: str
    outcome: str
    reason: str
    n: int
    updated_at: datetime


class Kpi(Record, frozen=True, kw_only=True):
    """A number that says how well things go in a stretch of time; None where nothing was there to judge."""

    name: str
    value: float | None
    unit: str
    sample: int


DEAD_LETTERS = TableOf(DeadLetter, "dead_letters")
CODE_DEPENDENCIES = TableOf(
    CodeDependency, "code_dependencies", key=("codebase_id", "from_node", "to_node", "kind"), kept=()
)


class Stream(Module):
    """The flow's own tables."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.dead_letters = Repository(database, DEAD_LETTERS)
        self.dependencies = Repository(database, CODE_DEPENDENCIES)

    def listing(
        self,
        *,
        topic: str | None = None,
        reasons: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[DeadLetter]:
        """Dead letters of [since, until), the latest first."""
        conditions = [equals("topic", topic), one_of("reason", reasons), *between("received_at", since, until)]
        return self.dead_letters.page(conditions, order="received_at", limit=limit, after=after)

    def quality(self) -> list[Counted]:
        """What became of all records, by input, outcome and reason."""
        return self.ask("store_quality", Counted)

    def depends_on(self, codebase_id: str, node: str) -> list[CodeDependency]:
        """The edges that lead to a part of code: what breaks when it does."""
        return self.dependencies.all([equals("codebase_id", codebase_id), equals("to_node", node)], order="from_node")

    def kpis(self, since: datetime, until: datetime) -> list[Kpi]:
        """The specification's key figures of [since, until), as far as the tables hold them."""
        return self.ask("store_kpis", Kpi, since=since, until=until)
