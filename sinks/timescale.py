"""The database sink: encoded rows into PostgreSQL or TimescaleDB, one transaction a batch, by a thread of its own.

Rows reach a table by COPY. A table whose rows are nearly always new gets them directly; when a key is already taken
(a replay, a redelivery) the rows go by a staging table and INSERT … ON CONFLICT instead, and for a while after that.
Partitions that rows lack are made.
An outage is waited out: the queue fills, and the flow waits with it. Nothing given to `put` is forgotten before it is
committed, except a row that the database refuses, which becomes a dead letter.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import psycopg
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators import tables as t
from operators.output import DeadLetter, Output
from operators.tables import BY_NAME, Table
from sinks import sql as statements
from sinks.pieces import copy_rows, make_partitions, no_partition
from sinks.trace import trace

log = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""A transaction takes what is queued, up to about this many rows."""
DIRECT = frozenset(
    {
        "system_metrics",
        "resource_usage",
        "integration_events",
        "dead_letters",
        *(table.name for table in t.ROLLUPS.values()),
    }
)
"""Tables that are worth a direct COPY first."""
STAGED_FOR = (16, 1024)
"""After a key was taken: how many batches go by the staging table, doubling from … to."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Seconds between attempts during an outage."""


POISON = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
"""What a row may be refused for; all else is about the database (an outage, read-only, a full disk) or the schema.
psycopg takes a limit (SQLSTATE class 54: a key too long for its index) for an OperationalError, as it does outages."""
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, psycopg.NotSupportedError)
NO_ACCESS = re.compile(
    r"password authentication failed|no pg_hba\.conf entry|permission denied for database"
    r"|(database|role) \".*\" does not exist"
)
"""libpq gives no SQLSTATE for a connection that was refused, only the server's words."""


class SinkError(Exception):
    """The sink can't go on: the schema is missing or of another version, or access is refused."""


class _Rows:
    """The rows of one transaction by table, in the order in which tables are written."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.by_table: dict[str, list[bytes]] = {}
        self.retracted = [identifier for output in outputs for identifier in output.retracted]
        replaced: dict[str, dict[bytes, bytes]] = {}
        for output in outputs:
            for name, rows in output.rows.items():
                self.by_table.setdefault(name, []).extend(rows)
            for name, pairs in output.sets.items():
                held = replaced.setdefault(name, {})
                table = BY_NAME[name]
                if table.keep_first:
                    held.update({key: table.update(held.get(key, row), row) for key, row in pairs.items()})
                else:
                    held.update(pairs)
        for name, pairs in replaced.items():
            self.by_table[name] = list(pairs.values())

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.by_table.values())


class DatabaseWriter:
    """Writes outputs in the order of `put`, in the background.

    `on_written(outputs, rows)` is called after each commit, from the writer's thread; `on_refused(letter)` for each
    row that became a dead letter; `on_retry()` for each attempt during an outage.
    """

    def __init__(
        self,
        url: str,
        *,
        capacity: int = 8,
        on_written: Callable[[Sequence[Output], int], None] = lambda _outputs, _rows: None,
        on_refused: Callable[[DeadLetter], None] = lambda _letter: None,
        on_retry: Callable[[], None] = lambda: None,
        abandon: Callable[[], bool] = lambda: False,
    ) -> None:
        self._url = url
        self._capacity = capacity
        self._on_written = on_written
        self._on_refused = on_refused
        self._on_retry = on_retry
        self._abandon = abandon
        self._queue: list[Output] = []
        self._busy = 0
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._closing = False
        self._connection: psycopg.Connection | None = None
        self._staged: dict[str, tuple[int, int]] = {}
        self._stages: set[str] = set()
        self.seconds_blocked = 0.0
        """Time that `put` and `drain` have waited for the database: the back-pressure."""
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Batches waiting or being written."""
        return len(self._queue) + self._busy

    @property
    def capacity(self) -> int:
        """Batches that may wait before `put` blocks."""
        return self._capacity

    def put(self, outputs: Iterable[Output]) -> None:
        """Queue outputs; block while the queue is full. Raises what stopped the writer, if something did."""
        for output in outputs:
            self._wait(lambda: len(self._queue) < self._capacity)
            with self._changed:
                self._queue.append(output)
                self._changed.notify_all()

    def drain(self) -> None:
        """Block until everything that was put is committed."""
        self._wait(lambda: not self._queue and not self._busy)

    def close(self) -> None:
        """Write what is queued, then end the thread and the connection."""
        try:
            self.drain()
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._thread.join(timeout=10)

    def _wait(self, ready: Callable[[], bool]) -> None:
        with self._changed:
            if not ready() and self._failure is None:
                start = time.monotonic()
                # A timeout, because a signal handler only runs when this thread wakes up.
                while not ready() and self._failure is None:
                    self._changed.wait(0.2)
                self.seconds_blocked += time.monotonic() - start
            if self._failure is not None:
                raise self._failure

    def _run(self) -> None:
        try:
            while (outputs := self._take()) is not None:
                self._commit(outputs)
                with self._changed:
                    self._busy = 0
                    self._changed.notify_all()
        except BaseException as problem:
            with self._changed:
                self._failure = problem
                self._changed.notify_all()
        finally:
            if self._connection is not None:
                self._connection.close()

    def _take(self) -> list[Output] | None:
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                self._changed.wait(1.0)
            outputs: list[Output] = []
            rows = 0
            while self._queue and rows < MOST_ROWS:
                output = self._queue.pop(0)
                rows += sum(len(part) for part in output.rows.values())
                outputs.append(output)
            self._busy = len(outputs)
            self._changed.notify_all()
            return outputs

    def _commit(self, outputs: list[Output]) -> None:
        rows = _Rows(outputs)
        try:
            self._persist(rows)
        except POISON:
            if len(outputs) > 1:
                for output in outputs:
                    self._commit([output])
                return
            self._sift(outputs[0], rows)
        self._on_written(outputs, len(rows))

    def _persist(self, rows: _Rows) -> None:
        """One transaction, attempted until the database takes it or says that it never will."""
        wait = FIRST_WAIT
        since = 0.0
        cut = False
        while True:
            try:
                if cut:
                    make_partitions(self._connect(), rows.by_table)
                self._transaction(rows)
            except POISON as problem:
                if cut or not no_partition(problem):
                    raise
                cut = True
            except AWAY as problem:
                if NO_ACCESS.search(str(problem)) or self._abandon():
                    raise SinkError(f"the database can't be written to: {_line(problem)}") from None
                if not since:
                    since = time.monotonic()
                    log.warning("database away (%s): waiting, nothing is lost", _line(problem))
                self._disconnect()
                self._on_retry()
                time.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            except psycopg.ProgrammingError as problem:
                raise SinkError(f"the schema does not fit: {_line(problem)} (run `hindsight migrate`)") from None
            else:
                if since:
                    log.warning("database back after %.1f s", time.monotonic() - since)
                return

    def _transaction(self, rows: _Rows) -> None:
        connection = self._connect()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                for name, lines in rows.by_table.items():
                    if lines:
                        self._write(connection, cursor, BY_NAME[name], lines)
                if rows.retracted:
                    for name in t.PATTERN_TABLES:
                        cursor.execute(statements.retract(BY_NAME[name]), [rows.retracted])
        except BaseException:
            self._stages.clear()
            raise

    def _connect(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._stages.clear()
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=10, application_name="hindsight-sink"
            )
            # An upsert into a compressed chunk must not fail for its size (TimescaleDB; elsewhere an unused name).
            self._connection.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
            self._connection.execute("SET client_min_messages = warning")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except psycopg.Error:
                log.debug("closing a broken connection failed", exc_info=True)
            self._connection = None

    def _write(self, connection: psycopg.Connection, cursor: psycopg.Cursor, table: Table, lines: list[bytes]) -> None:
        if table.name in DIRECT:
            left, span = self._staged.get(table.name, (0, STAGED_FOR[0] // 2))
            if left == 0:
                try:
                    with connection.transaction():
                        copy_rows(cursor, table, table.name, lines)
                except psycopg.errors.UniqueViolation:
                    span = min(span * 2, STAGED_FOR[1])
                    self._staged[table.name] = (span, span)
                else:
                    return
            else:
                self._staged[table.name] = (left - 1, span)
        if table.name not in self._stages:
            cursor.execute(statements.create_stage(table))
        copy_rows(cursor, table, statements.stage_name(table), lines)
        around = cursor.execute(statements.neighbourhood(table)).fetchone() if table.group and table.time else None
        for statement in statements.merge(table):
            cursor.execute(statement, {"from": around[0], "to": around[1]} if around else None)
        self._stages.add(table.name)

    def _sift(self, output: Output, rows: _Rows) -> None:
        """Find the rows that the database refuses, make dead letters of them, and write the others."""
        letters: list[bytes] = []
        for name, lines in rows.by_table.items():
            for line, problem in self._refused(name, lines):
                letter = trace(output, name, line, problem)
                log.warning("row refused by the database: %s", letter.detail)
                letters.append(letter.row(output.batch.ingested_us))
                self._on_refused(letter)
                lines.remove(line)
        rows.by_table.setdefault(t.DEAD_LETTERS.name, []).extend(letters)
        self._persist(rows)

    def _refused(self, name: str, lines: list[bytes]) -> list[tuple[bytes, str]]:
        """Rows of one table that fail on their own, found by halving, each with the database's words.

        Halves that succeed are committed on the way; they will be written once more, which changes nothing.
        """
        probe = _Rows([])
        probe.by_table = {name: lines}
        try:
            self._persist(probe)
        except POISON as problem:
            if len(lines) == 1:
                return [(lines[0], _line(problem))]
            half = len(lines) // 2
            return self._refused(name, lines[:half]) + self._refused(name, lines[half:])
        return []


def _line(problem: BaseException) -> str:
    """The first line of a database's message."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


class _Part(StatefulSinkPartition[Output, None]):
    def __init__(self, writer: DatabaseWriter) -> None:
        self._writer = writer

    def write_batch(self, values: list[Output]) -> None:
        self._writer.put(values)

    def snapshot(self) -> None:
        # The epoch's offsets become durable after this: all of its rows must be committed by then.
        self._writer.drain()


class DatabaseSink(FixedPartitionedSink[Output, None]):
    """Bytewax's view of the writer: rows of an epoch are committed before its snapshot is."""

    def __init__(self, writer: DatabaseWriter) -> None:
        self._writer = writer

    def list_parts(self) -> list[str]:
        """One part: the writer orders its transactions itself."""
        return ["database"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Part:  # noqa: ARG002 -- Bytewax's interface
        """The one part."""
        return _Part(self._writer)
