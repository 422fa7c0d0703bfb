"""Where events go that are sent in: Kafka, or a spool file that the flow follows.

Requests wait for their events to be safe (acknowledged by all replicas, or forced to disk); those that come meanwhile
go together in the next write.
"""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from sinks.kafka import KafkaConfig, KafkaWriteError, KafkaWriter, NotAcknowledged, ensure_topics, input_topics
from sinks.publish import Addressed
from sources.spool import SpoolWriter

log = logging.getLogger(__name__)

WAITING = 1000
"""Requests whose events may wait; more are turned away."""
TOGETHER = 20_000
"""Events in one write, at most; a single request may bring more."""
PARTITIONS = 4
"""Of a topic that is made here, as `hindsight publish` makes them."""


class IntakeError(Exception):
    """The events are not safe: the caller shall send them again. One line."""


class EventLog(Protocol):
    """Takes events in the order of the list; used by one thread."""

    def write(self, events: Sequence[Addressed]) -> None:
        """Return when they are safe; raises `IntakeError`."""

    def close(self) -> None:
        """Give it up."""


class SpoolLog:
    """Events as lines of one file, which `hindsight up` or `hindsight stream --follow` reads."""

    def __init__(self, path: Path) -> None:
        self._spool = SpoolWriter(path, sync_seconds=0.0, on_large=log.warning)

    def write(self, events: Sequence[Addressed]) -> None:
        """Append and force to disk."""
        # A line end between tokens is legal JSON and would end the line.
        lines = [msgspec.json.format(one.raw, indent=-1) if b"\n" in one.raw else one.raw for one in events]
        try:
            self._spool.append_lines(lines)
        except OSError as problem:
            raise IntakeError(f"the spool can't be written: {problem.strerror}") from None

    def close(self) -> None:
        """Force to disk and give up the lock."""
        self._spool.close()


class KafkaLog:
    """Events as records of the contract's topics, which are made where they are missing."""

    def __init__(self, brokers: str, prefix: str, kafka_config: KafkaConfig | None, wait: float = 10.0) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._extra = kafka_config
        self._wait = wait
        self._late = 0.0
        self._there = False
        self._writer = KafkaWriter(brokers, prefix, kafka_config, stop=lambda: time.monotonic() > self._late)

    def write(self, events: Sequence[Addressed]) -> None:
        """Send, and wait for the acknowledgements. Sent again after an error, an event counts once all the same."""
        self._late = time.monotonic() + self._wait
        try:
            if not self._there:
                ensure_topics(self._brokers, input_topics(self._prefix), PARTITIONS, self._extra, timeout=self._wait)
                self._there = True
            for event in events:
                self._writer.send(event.topic, event.key, event.raw)
            self._writer.flush(self._wait)
        except NotAcknowledged:
            raise IntakeError("Kafka does not acknowledge") from None
        except KafkaWriteError as problem:
            log.warning("%s", problem)
            raise IntakeError("Kafka does not take them") from None

    def close(self) -> None:
        """Wait a little for what is open."""
        self._late = time.monotonic() + 2.0
        try:
            self._writer.close(2.0)
        except KafkaWriteError as problem:
            log.warning("%s", problem)


class _Waiting(NamedTuple):
    events: Sequence[Addressed]
    done: Future[None]


class Intake:
    """Gathers the events of requests and writes them in one thread."""

    def __init__(self, events: EventLog) -> None:
        self._log = events
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self.last_error = ""
        """Why the last write failed; empty when it did not."""

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout=15)
        self._log.close()

    def put(self, events: Sequence[Addressed]) -> Future[None]:
        """Have events written; the future is done when they are safe. Raises `IntakeError` where too many wait."""
        done: Future[None] = Future()
        try:
            self._queue.put_nowait(_Waiting(events, done))
        except queue.Full:
            raise IntakeError("too many events wait to be written") from None
        return done

    def _run(self) -> None:
        ended = False
        while not ended:
            first = self._queue.get()
            if first is None:
                return
            together = [first]
            count = len(first.events)
            while count < TOGETHER:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                    break
                together.append(more)
                count += len(more.events)
            self._write(together)

    def _write(self, together: list[_Waiting]) -> None:
        began = time.monotonic()
        try:
            self._log.write([event for one in together for event in one.events])
        except Exception as problem:
            self.last_error = str(problem) if isinstance(problem, IntakeError) else type(problem).__name__
            if not isinstance(problem, IntakeError):
                log.exception("events not written")
            for one in together:
                one.done.set_exception(IntakeError(self.last_error))
            return
        self.last_error = ""
        for one in together:
            one.done.set_result(None)
        if (seconds := time.monotonic() - began) > 2:
            log.warning("writing events took %.1f s", seconds)
