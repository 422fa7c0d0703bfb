"""The correlator: groups the patterns of all processes into incidents, in one of them.

It follows the database, where all processes meet: `pattern_changes` says what changed, an advisory lock says who
groups. Each step is one transaction; notices are handed over after its commit, and again after a restart until that is
noted, so none is lost and some come twice.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import psycopg
from psycopg import Connection

from flows.desk import CorrelatorConfig, Desk, Step
from operators.incident.state import StateError
from operators.notices import Notice
from sinks import incidents as sink

log = logging.getLogger(__name__)

LOCK = "SELECT pg_try_advisory_lock(hashtextextended('hindsight correlator', 0))"
"""Who holds this groups; the server gives it up with the connection."""
CHANNEL = "hindsight_patterns"
"""The database notifies when patterns change (migration 0020)."""
LONGEST_WAIT = 10.0
"""Seconds between attempts while the database is away."""

OnNotices = Callable[[Sequence[Notice]], object]
OnStep = Callable[[Mapping[str, int] | None, float], object]


class Swept(NamedTuple):
    """What a sweep over a history did; `leader` False: another process does it."""

    leader: bool
    patterns: int
    incidents: int
    notices: int


class CorrelatorError(Exception):
    """The sweep could not be made; one line."""


def connect(url: str) -> Connection[Any]:
    """A session of its own, since the lock lasts as long as it does: not through PgBouncer in transaction mode."""
    connection: Connection[Any] = psycopg.connect(
        url, autocommit=True, connect_timeout=10, application_name="hindsight correlator",
        keepalives_idle=10, keepalives_interval=5, keepalives_count=3,
    )  # fmt: skip
    connection.execute("SET timezone = 'UTC'")
    return connection


def leads(connection: Connection[Any]) -> bool:
    """Whether this session is now the one that groups."""
    row = connection.execute(LOCK).fetchone()
    return bool(row and row[0])


def correlate(
    url: str,
    config: CorrelatorConfig | None = None,
    on_notices: OnNotices = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Swept:
    """Group all patterns that are not yet: a history, in the order of event time. The same history gives the same rows.

    Nothing is said of what is older than an hour. Where another process is the correlator, it does this.
    Raises `CorrelatorError`.
    """
    desk = Desk(config or CorrelatorConfig())
    patterns = notices = 0
    touched: set[uuid.UUID] = set()
    try:
        with connect(url) as connection:
            if not leads(connection):
                return Swept(False, 0, 0, 0)
            # What they find are patterns too, to be grouped with those around them.
            while not stop() and desk.related.step(connection, in_history=True):
                pass
            while not stop():
                step = desk.step(connection, history=True)
                patterns += step.patterns
                touched |= step.touched
                notices += _hand_over(connection, step, on_notices)
                if not step.more:
                    break
            if not stop():
                step = desk.step(connection)
                touched |= step.touched
                notices += _hand_over(connection, step, on_notices)
    except (psycopg.Error, StateError, sink.Replaced) as problem:
        raise CorrelatorError(_line(problem)) from None
    return Swept(True, patterns, len(touched), notices)


def _hand_over(connection: Connection[Any], step: Step, on_notices: OnNotices) -> int:
    if step.notices:
        on_notices([told for told, _ in step.notices])
        sink.note_sent(connection, {told.incident_id: revision for told, revision in step.notices})
    return len(step.notices)


class Correlator:
    """The correlator in a thread, for the length of a block. A failure is logged, and tried again.

    `on_notices` is called from the thread, with what is new in the order of time; when it raises, it is called with the
    same notices again. `on_step(open, lag)` is told of each step: open incidents by severity, and how many seconds the
    oldest change had waited; None when this process does not lead.
    """

    def __init__(
        self,
        url: str,
        config: CorrelatorConfig,
        on_notices: OnNotices = lambda _: None,
        on_step: OnStep = lambda _open, _lag: None,
    ) -> None:
        self._url = url
        self._config = config
        self._on_notices = on_notices
        self._on_step = on_step
        self._unsent: dict[uuid.UUID, tuple[Notice, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="correlator", daemon=True)

    def __enter__(self) -> Self:
        if self._config.enabled:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        wait = self._config.interval_s
        while not self._ended.is_set():
            try:
                with connect(self._url) as connection:
                    self._follow(connection)
            except (psycopg.Error, StateError, sink.Replaced) as problem:
                log.warning("correlator: %s", _line(problem))
                self._on_step(None, 0.0)
                self._ended.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            except Exception:
                # Whatever it is, the flow goes on without: it is tried again, from the state that was committed.
                log.exception("correlator: a step failed")
                self._ended.wait(LONGEST_WAIT)
            else:
                wait = self._config.interval_s

    def _follow(self, connection: Connection[Any]) -> None:
        """Wait to be the one that groups, then group until the end or a failure."""
        while not leads(connection):
            self._on_step(None, 0.0)
            if self._ended.wait(self._config.interval_s):
                return
        log.info("this process groups patterns into incidents")
        connection.execute(f"LISTEN {CHANNEL}".encode())
        desk = Desk(self._config)
        self._unsent = {told.incident_id: (told, revision) for told, revision in desk.left_over(connection)}
        while not self._ended.is_set():
            begun = time.monotonic()
            self._deliver(connection)
            step = desk.step(connection)
            self._unsent |= {told.incident_id: (told, revision) for told, revision in step.notices}
            self._deliver(connection)
            self._on_step(step.open, step.lag_s)
            if not step.more:
                pause = max(0.0, self._config.interval_s - (time.monotonic() - begun))
                for _ in connection.notifies(timeout=pause, stop_after=1):
                    # What one batch notes comes together: a moment later its neighbours are there too.
                    self._ended.wait(min(pause, self._config.gather_s))

    def _deliver(self, connection: Connection[Any]) -> None:
        if not self._unsent:
            return
        told = list(self._unsent.values())
        try:
            self._on_notices([one for one, _ in told])
        except Exception as problem:
            log.warning("notices could not be handed over, they will be again: %s", _line(problem))
            return
        sink.note_sent(connection, {one.incident_id: revision for one, revision in told})
        self._unsent.clear()


def _line(problem: BaseException) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]
