"""A client for programs that send events: `POST /events` of the API, or Kafka.

It keeps its caller's time: `send` puts an event in a queue of bounded size, and a thread sends batches, tries again
with growing, random pauses, and gives up after some attempts. What could not be sent is written to a JSON Lines file
(`spill`), which `hindsight publish` sends later; an event counts once, however often it comes. What the server refuses
is reported one by one. So at every moment

    sent = accepted + refused + spilled + lost + waiting

and after `close` nothing waits. `lost` is not 0 only where the spill file could not be written either (a full disk).

Where it does not work well: a process that is killed (SIGKILL, power) takes with it what waits, at most `linger`
seconds' worth while the server answers. It takes Linux or macOS.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import random
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sources.client_http import HttpTransport
from sources.client_outcomes import Counts, Denied, Refusal, Refused, TooLarge, Transport, TryAgain
from sources.client_spill import spill

__all__ = ["Client", "Counts", "Refusal"]

LOG = logging.getLogger(__name__)

MOST_EVENT = 1 << 20
"""Bytes of an event, as the contract has it."""
MOST_BODY = 4 << 20
"""Bytes of a batch; the API takes 8 MiB unless configured."""
MOST_PAUSE = 30.0
"""Seconds between two attempts, at most, unless the server asks for more."""
QUIET = 10.0
"""Seconds between two warnings of the same; what was left out is summed up when the client closes."""
AT_EXIT = 5.0
"""Seconds for what waits at the end of a program that did not call `close`."""


class Client:
    """Sends events to the API at `url`, with a token of the scope `write`, or to Kafka's `brokers`. Thread-safe.

    `source` is the CloudEvents source of events made by :meth:`emit`. `batch` events, or those of `linger` seconds, go
    together. At most `queue` events and `queue_bytes` bytes wait; when it is full the oldest are spilled. A batch is
    tried `attempts` times, each at most `timeout` seconds, with pauses of random length up to `pause` · 2ⁿ seconds.
    `on_refused` is called for each refused event, in the sending thread. A forked child begins with an empty queue:
    what waits is its parent's to send.

    Raises `ValueError` unless there is exactly one of `url` and `brokers`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "spill.jsonl"
    >>> with Client("http://127.0.0.1:9", source="app://shop", spill_to=file, attempts=1) as client:
    ...     name = client.emit("metric.sampled", {"source_system": "shop", "metric_name": "carts", "metric_value": 3})
    >>> client.counts
    Counts(sent=1, accepted=0, refused=0, spilled=1, lost=0, waiting=0, retries=0)
    >>> file.read_text().count(name)
    1
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        brokers: str | None = None,
        topic_prefix: str = "hindsight",
        kafka_config: Mapping[str, object] | None = None,
        source: str | None = None,
        spill_to: str | Path = "hindsight-spill.jsonl",
        batch: int = 500,
        linger: float = 0.5,
        queue: int = 10_000,
        queue_bytes: int = 32 << 20,
        timeout: float = 10.0,
        attempts: int = 6,
        pause: float = 0.5,
        on_refused: Callable[[Refusal], object] | None = None,
    ) -> None:
        if (url is None) == (brokers is None):
            raise ValueError("give either url or brokers")
        if min(batch, queue, attempts) < 1 or min(linger, pause) < 0 or timeout <= 0:
            raise ValueError("batch, queue and attempts are at least 1, times not negative")
        self._make: Callable[[], Transport]
        if url is not None:
            HttpTransport(url, token, timeout)  # says at once what is wrong with the address
            self._make = lambda: HttpTransport(url, token, timeout)
        else:
            self._make = lambda: _kafka(brokers or "", topic_prefix, timeout, kafka_config)
        self._source = source
        self._spill_to = Path(spill_to).absolute()  # the program may change its folder
        self._batch, self._linger, self._attempts, self._pause = batch, linger, attempts, pause
        self._queue_most, self._queue_bytes = queue, max(queue_bytes, MOST_EVENT)
        self._on_refused = on_refused
        self._closed = False
        self._begin()
        _CLIENTS.add(self)

    def _begin(self) -> None:
        """The state of a client that has sent nothing: a new one, or one in a forked child."""
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._work: deque[list[bytes]] = deque()
        self._thread: threading.Thread | None = None
        self._transport: Transport | None = None
        self._hurry = 0
        self._abandoned = False
        self._sent = self._accepted = self._refused = self._spilled = self._lost = self._retries = 0
        self._quiet_until: dict[str, float] = {}
        self._unsaid = 0

    @property
    def counts(self) -> Counts:
        """What became of the events so far."""
        with self._changed:
            done = (self._accepted, self._refused, self._spilled, self._lost)
            return Counts(self._sent, *done, self._sent - sum(done), self._retries)

    def emit(
        self,
        kind: str,
        data: Mapping[str, Any],
        *,
        id: str | None = None,  # noqa: A002 - the attribute's name
        time: datetime | None = None,
        source: str | None = None,
    ) -> str:
        """Send an event of the type `dev.hindsight.KIND.v1`, and return its id.

        Give an `id` made of what the event is about where you can: then a repetition counts once. `time` (with a zone)
        is when it happened; default: now. Raises what :meth:`send` does, and `ValueError` without a source, or a zone.
        """
        source = source or self._source
        if not source:
            raise ValueError("an event has a source: give it here or to the client")
        moment = time or datetime.now(UTC)
        if moment.tzinfo is None:
            raise ValueError("time has no zone")
        name = id or uuid.uuid4().hex
        self.send(
            {
                "specversion": "1.0",
                "id": name,
                "source": source,
                "type": f"dev.hindsight.{kind}.v1",
                "time": moment.astimezone(UTC).isoformat(),
                "data": data,
            }
        )
        return name

    def send(self, event: Mapping[str, Any]) -> None:
        """Take an event, which is a whole CloudEvent; returns at once, or after one write to the spill file.

        Raises `TypeError` or `ValueError` for what JSON can't hold, and `RuntimeError` after :meth:`close`; such an
        event is not counted. Nothing that happens later is raised: see :attr:`counts`, the log, and `on_refused`.
        """
        line = json.dumps(dict(event), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        pushed: list[bytes] = []
        with self._changed:
            if self._closed:
                raise RuntimeError("the client is closed")
            self._sent += 1
            if len(line) <= MOST_EVENT:
                while self._queue and (
                    len(self._queue) >= self._queue_most or self._size + len(line) > self._queue_bytes
                ):
                    pushed += self._pop()
                self._queue.append(line)
                self._size += len(line)
                self._wake()
        if len(line) > MOST_EVENT:
            self._report([line], {0: Refused("too_large", f"the limit is {MOST_EVENT} bytes")})
        elif pushed:
            self._spill(pushed, "the queue is full")

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until nothing waits, at most so many seconds; whether that is so. What failed is spilled by then."""
        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(self._idle, timeout)
            finally:
                self._hurry -= 1

    def close(self, timeout: float = 10.0) -> Counts:
        """Send what waits, for at most about so many seconds, and spill what is left. Calling it again does no harm."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._thread is not None:
                self._changed.wait_for(self._idle, timeout)
            self._abandoned = True  # from here on nothing that the thread still learns counts
            rest = [line for lines in self._work for line in lines] + list(self._queue)
            self._work.clear()
            self._queue.clear()
            self._changed.notify_all()
        if rest:
            self._spill(rest, "the client is closed")
        with self._changed:
            self._changed.wait_for(self._idle, 5.0)  # what the thread is just writing to the file
            unsaid, self._unsaid = self._unsaid, 0
        if unsaid:
            LOG.warning("%d more warnings were not shown; in all: %s", unsaid, self.counts)
        return self.counts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _idle(self) -> bool:
        return self._sent == self._accepted + self._refused + self._spilled + self._lost

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._run, name="hindsight-client", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter ends: `close` will spill what is in the queue
                return
            self._thread = thread
        if len(self._queue) in (1, self._batch):
            self._changed.notify_all()

    def _pop(self) -> list[bytes]:
        """The oldest events of the queue, as many as fit in a batch."""
        lines: list[bytes] = []
        size = 0
        while self._queue and len(lines) < self._batch and (not lines or size + len(self._queue[0]) < MOST_BODY):
            lines.append(self._queue.popleft())
            size += len(lines[-1]) + 1
            self._size -= len(lines[-1])
        return lines

    def _run(self) -> None:
        while self._take():
            while True:
                with self._changed:
                    if self._abandoned or not self._work:
                        break
                    lines = self._work[0]
                self._deliver(lines)
        if self._transport is not None:
            self._transport.close()

    def _take(self) -> bool:
        """Wait for a batch and put it into work; false at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            self._changed.wait_for(
                lambda: self._closed or self._hurry or len(self._queue) >= self._batch or self._size >= MOST_BODY,
                self._linger,
            )
            if self._abandoned or not (self._queue or not self._closed):
                return False
            if self._queue:
                self._work.append(self._pop())
            return True

    def _deliver(self, lines: list[bytes]) -> None:
        """Make something of one batch: accepted, refused, spilled, or cut in two."""
        for attempt in range(self._attempts):
            try:
                if self._transport is None:
                    self._transport = self._make()
                refused = self._transport.post(lines)
            except TooLarge as problem:
                if len(lines) == 1:
                    refused = {0: Refused("too_large", str(problem))}
                else:
                    with self._changed:
                        if not self._abandoned:
                            half = len(lines) // 2
                            self._work[0] = lines[:half]
                            self._work.insert(1, lines[half:])
                    return
            except (TryAgain, Denied) as problem:
                why = str(problem)
                if isinstance(problem, Denied) or attempt + 1 == self._attempts:
                    break
                self._wait(problem.after + random.uniform(0, min(self._pause * 2**attempt, MOST_PAUSE)), why)
                continue
            except Exception as problem:
                LOG.exception("a batch of events could not be sent")
                why = f"{type(problem).__name__}: {problem}"
                break
            if self._claim(lines):
                self._report(lines, refused)
            return
        if self._claim(lines):
            self._spill(lines, why)

    def _wait(self, seconds: float, why: str) -> None:
        with self._changed:
            self._retries += 1
            LOG.debug("events are sent again in %.1f s: %s", seconds, why)
            self._changed.wait_for(lambda: self._abandoned, seconds)

    def _claim(self, lines: list[bytes]) -> bool:
        """Take a batch out of work; false where `close` has done so."""
        with self._changed:
            if self._abandoned or not self._work or self._work[0] is not lines:
                return False
            self._work.popleft()
            return True

    def _report(self, lines: Sequence[bytes], refused: Mapping[int, Refused]) -> None:
        for index, (reason, detail) in refused.items():
            if self._on_refused is not None:
                try:
                    self._on_refused(Refusal(json.loads(lines[index]), reason, detail))
                except Exception:
                    LOG.exception("on_refused failed")
        if refused:
            reason, detail = next(iter(refused.values()))
            self._warn("refused", f"{len(refused)} events are refused, the first: {reason}: {detail}")
        with self._changed:
            self._accepted += len(lines) - len(refused)
            self._refused += len(refused)
            self._changed.notify_all()

    def _spill(self, lines: Sequence[bytes], why: str) -> None:
        try:
            spill(self._spill_to, lines)
        except OSError as problem:
            LOG.error(
                "%d events are lost: %s, and %s: %s", len(lines), why, self._spill_to, problem.strerror or problem
            )
            with self._changed:
                self._lost += len(lines)
                self._changed.notify_all()
            return
        self._warn(why, f"{len(lines)} events are in {self._spill_to} and not sent: {why}")
        with self._changed:
            self._spilled += len(lines)
            self._changed.notify_all()

    def _warn(self, about: str, text: str) -> None:
        now = time.monotonic()
        with self._changed:
            said = {one: until for one, until in self._quiet_until.items() if until > now}
            self._unsaid += about in said
            self._quiet_until = {about: now + QUIET, **said}
        if about not in said:
            LOG.warning("%s", text)

    def _forked(self) -> None:
        # To end the parent's connection is not the child's business.
        _INHERITED.append(self._transport)
        self._begin()


def _kafka(brokers: str, prefix: str, timeout: float, config: Mapping[str, object] | None) -> Transport:
    from sources.client_kafka import KafkaTransport  # noqa: PLC0415 -- takes more than the standard library

    return KafkaTransport(brokers, prefix, timeout, config)


_CLIENTS: weakref.WeakSet[Client] = weakref.WeakSet()
_INHERITED: list[object] = []


def _forked() -> None:
    for client in list(_CLIENTS):
        client._forked()  # noqa: SLF001 - of this module


def _close_all() -> None:
    for client in list(_CLIENTS):
        client.close(AT_EXIT)


os.register_at_fork(after_in_child=_forked)
atexit.register(_close_all)
