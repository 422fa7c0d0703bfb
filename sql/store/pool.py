"""The database as the API and the flows use it: a pool of connections, transactions with a time limit, typed errors.

Each piece of work is one transaction, and what it sets (the statement timeout, the time zone) is set for that
transaction alone. So nothing depends on a session, and PgBouncer may stand between, in transaction mode. PgBouncer
before 1.21 does not know of prepared statements: give ``prepare_threshold=None`` for it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

from sql.store.errors import Busy, Misconfigured, Unavailable, translated

Connection = psycopg.Connection[tuple[Any, ...]]

KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000}
"""A server that vanished without a word is noticed within half a minute."""


@dataclass(frozen=True)
class _Work:
    """The transaction that the current context is in."""

    connection: Connection
    writes: bool


class Database:
    """A pool of connections to one database. Made without connecting; `open`, or a ``with`` block, starts it.

    ``wait``: seconds that a caller waits for a connection before :class:`Busy` (all are in use) or
    :class:`Unavailable`. ``statement_timeout``: seconds that a statement may take before :class:`QueryTimeout`.
    ``prepare_threshold``: uses of a statement before it is prepared on the server; None = never.
    """

    def __init__(
        self,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 16,
        wait: float = 5.0,
        statement_timeout: float = 30.0,
        prepare_threshold: int | None = 5,
        application_name: str = "hindsight",
    ) -> None:
        try:
            place = conninfo_to_dict(url)
        except psycopg.Error:
            # The message would repeat the URL, and with it the password.
            raise Misconfigured("the database URL is not like postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
        self._place = f"{place.get('host', 'localhost')}:{place.get('port', 5432)}/{place.get('dbname', '')}"
        self._max_size = max_size
        self._wait = wait
        self._statement_timeout = statement_timeout
        self._lent = 0
        self._lock = threading.Lock()
        self._current: ContextVar[_Work | None] = ContextVar("database_work", default=None)
        settings: dict[str, Any] = {
            **KEEPALIVE,
            "connect_timeout": 10,
            **place,
            "autocommit": True,
            "prepare_threshold": prepare_threshold,
            "application_name": application_name,
        }
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            "", kwargs=settings, min_size=min_size, max_size=max_size, open=False, name=application_name
        )

    def __repr__(self) -> str:
        return f"Database({self._place}, {self._lent} of {self._max_size} connections in use)"

    def open(self) -> None:
        """Start connecting in the background; a database that is away does not hinder it."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections; work in progress is given a few seconds."""
        self._pool.close(timeout=5)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def read(self, timeout: float | None = None) -> Iterator[Connection]:
        """A read-only transaction: all its queries see the database as it was at the first one.

        ``timeout``: seconds for each statement instead of the usual. Within another transaction of the same thread or
        task it is a part of that one.
        """
        with self._part_of_current() as connection:
            if connection is not None:
                yield connection
                return
        with self._transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY", timeout, writes=False) as connection:
            yield connection

    @contextmanager
    def write(self, timeout: float | None = None) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, and rolled back by an exception.

        Whatever a thread or task does through this database within the block belongs to the transaction. A `write` in
        a `write` is a savepoint: when it fails, the outer block may go on.
        """
        work = self._current.get()
        if work is None:
            with self._transaction("READ WRITE", timeout, writes=True) as connection:
                yield connection
            return
        if not work.writes:
            raise RuntimeError("a write within a read: open the write first")
        with translated(self._statement_timeout), work.connection.transaction():
            yield work.connection

    def ping(self) -> float:
        """Seconds that the database takes to answer, connection included; raises as any query does."""
        start = time.perf_counter()
        with self.read() as connection:
            connection.execute("SELECT 1")
        return time.perf_counter() - start

    @contextmanager
    def _part_of_current(self) -> Iterator[Connection | None]:
        work = self._current.get()
        if work is None:
            yield None
            return
        with translated(self._statement_timeout):
            yield work.connection

    @contextmanager
    def _transaction(self, mode: str, timeout: float | None, *, writes: bool) -> Iterator[Connection]:
        seconds = self._statement_timeout if timeout is None else timeout
        with translated(seconds):
            connection = self._begun(mode, seconds)
            token = self._current.set(_Work(connection, writes))
            try:
                yield connection
                if connection.execute("COMMIT").statusmessage == "ROLLBACK":
                    raise RuntimeError("a statement failed, and the block went on: nothing of it is committed")
            finally:
                self._current.reset(token)
                self._give_back(connection)

    def _begun(self, mode: str, seconds: float) -> Connection:
        """A connection with an open transaction. One that died in the pool shows here, where nothing is lost yet."""
        # One text, so one round trip; whole numbers and words of our own only.
        begin = f"BEGIN {mode}; SET LOCAL statement_timeout = {max(int(seconds * 1000), 1)}; SET LOCAL timezone = 'UTC'"
        deadline = time.monotonic() + self._wait
        while True:
            connection = self._taken(max(deadline - time.monotonic(), 0.001))
            try:
                connection.execute(begin.encode(), prepare=False)
            except psycopg.OperationalError:
                dead = connection.closed
                self._give_back(connection)
                if not dead or time.monotonic() > deadline:
                    raise
            except BaseException:
                self._give_back(connection)
                raise
            else:
                return connection

    def _taken(self, wait: float) -> Connection:
        try:
            connection = self._pool.getconn(timeout=wait)
        except PoolTimeout:
            if self._lent >= self._max_size:
                raise Busy(f"all {self._max_size} connections were in use for {self._wait:g} s") from None
            raise Unavailable(f"no connection to the database {self._place} within {self._wait:g} s") from None
        with self._lock:
            self._lent += 1
        return connection

    def _give_back(self, connection: Connection) -> None:
        if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
            # ROLLBACK fails only where the connection is lost, and then the server has rolled back.
            with suppress(psycopg.Error):
                connection.rollback()
        with self._lock:
            self._lent -= 1
        self._pool.putconn(connection)
