"""Live patterns: one thread follows the database, everyone who listens gets a queue."""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import psycopg

from sql.store.api import Update, Updates
from sql.store.errors import StoreError

log = logging.getLogger(__name__)

CHANNEL = "hindsight_patterns"
"""What the database says on each change of a pattern."""
POLL_SECONDS = 2.0
"""Looked at least so often, whatever is said: behind a pooler nothing may be heard."""
GATHER_SECONDS = 0.2
"""Changes of so long go out together."""
OVERLAP = timedelta(seconds=15)
"""Looked back so far each time: a row shows at its commit, and is stamped when it was written."""
MOST = 500
"""Changes read at once."""
QUEUE = 1000
"""Changes that may wait for a slow listener; then it is let go, and may come back with the last id it saw."""

FIRST = uuid.UUID(int=0)


class Listener:
    """A queue of changes for one stream; None ends it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Update | None] = asyncio.Queue(QUEUE)

    def offer(self, update: Update | None) -> bool:
        """Put a change in; False where the listener is too slow."""
        try:
            self.queue.put_nowait(update)
        except asyncio.QueueFull:
            return False
        return True


class Feed:
    """Follows `pattern_updates` while somebody listens."""

    def __init__(self, url: str, updates: Updates) -> None:
        self._url = url
        self._updates = updates
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._seen: dict[tuple[uuid.UUID, datetime], None] = {}

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def ready(self, seconds: float) -> bool:
        """Wait until every change from now on is handed out; False = not within so many seconds."""
        return self._ready.wait(seconds)

    def end_streams(self) -> None:
        """End all streams; in the event loop."""
        for listener in list(self._listeners):
            if not listener.offer(None):
                listener.queue.get_nowait()
                listener.offer(None)

    def stop(self) -> None:
        """End the thread; streams come to their end before."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=POLL_SECONDS + 5)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener for as long as the block; in the event loop."""
        listener = Listener()
        self._loop = asyncio.get_running_loop()
        self._listeners.add(listener)
        if self._thread is None or not self._thread.is_alive():
            self._ended.clear()
            self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
            self._thread.start()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def _run(self) -> None:
        place: datetime | None = None
        while not self._ended.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, connect_timeout=10, application_name="hindsight-api-feed"
                ) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    place = place or self._start()
                    self._ready.set()
                    while not self._ended.is_set():
                        place = self._look(place)
                        for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                            time.sleep(GATHER_SECONDS)
            except (psycopg.Error, StoreError) as problem:
                log.warning("live patterns: %s", str(problem).splitlines()[0] if str(problem) else type(problem))
                self._ended.wait(POLL_SECONDS)

    def _start(self) -> datetime:
        """The moment from which on changes are news: what there is already is none."""
        moment = self._updates.now()
        behind = (moment - OVERLAP, FIRST)
        while batch := self._updates.since(*behind, MOST):
            self._seen |= dict.fromkeys((one.pattern_id, one.changed_at) for one in batch)
            behind = (batch[-1].changed_at, batch[-1].pattern_id)
        return moment

    def _look(self, place: datetime) -> datetime:
        """Hand out what changed since a moment, less the overlap; the moment of the last change."""
        behind = (place - OVERLAP, FIRST)
        while batch := self._updates.since(*behind, MOST):
            behind = (batch[-1].changed_at, batch[-1].pattern_id)
            place = max(place, behind[0])
            for update in batch:
                key = (update.pattern_id, update.changed_at)
                if key not in self._seen:
                    self._seen[key] = None
                    self._hand_out(update)
            if len(batch) < MOST:
                break
        oldest = place - 2 * OVERLAP
        self._seen = {key: None for key in self._seen if key[1] >= oldest}
        return place

    def _hand_out(self, update: Update) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._publish, update)

    def _publish(self, update: Update) -> None:
        for listener in list(self._listeners):
            if not listener.offer(update):
                self._listeners.discard(listener)
                listener.queue.get_nowait()
                listener.offer(None)
