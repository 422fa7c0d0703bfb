"""Answers that are given again for a moment: a thousand dashboards ask the same few questions at once.

Those who ask while the answer is being made wait for it, so that each question goes to the database once at a time.
All answers carry an ETag; who has the answer already gets 304. While more answers are being made than there are
connections to the database, older ones are given too, up to `STALE_SECONDS` after their time, and longer while a new
one is already being made: a crowd gets what is a little old at once, instead of a queue.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from api.metrics import ApiMetrics
from api.shield import STREAM, App, Message, Receive, Scope, Send

PATHS = (
    "/patterns", "/recommendations", "/series", "/kpis", "/quality", "/incidents", "/models", "/overview", "/system",
    "/findings", "/work", "/runs", "/dead-letters",
)  # fmt: skip
"""What is given again: nothing here depends on who asks."""
ENTRIES = 4096
STALE_SECONDS = 20.0
REMADE_SECONDS = 120.0
BYTES = 64 * 1024 * 1024
"""Most that is kept."""


class Kept(msgspec.Struct, frozen=True):
    """An answer and when it is too old."""

    until: float
    headers: list[tuple[bytes, bytes]]
    body: bytes
    etag: bytes
    route: str


class Cache:
    """A layer over the routes."""

    def __init__(
        self, app: App, seconds: float, room: int, metrics: ApiMetrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._room = room
        self._making = 0
        self._metrics = metrics
        self._clock = clock
        self._kept: OrderedDict[Any, Kept] = OrderedDict()
        self._bytes = 0
        self._made: dict[Any, asyncio.Future[Kept | None]] = {}
        age = int(seconds)
        self._control = f"private, max-age={age}".encode() if age else b"private, no-cache"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give an answer that is there, or have it made."""
        if scope["type"] != "http" or scope["method"] != "GET" or not cacheable(scope["path"]):
            await self._app(scope, receive, send)
            return
        key = (scope["state"]["prefix"], scope["path"], scope.get("raw_path"), scope["query_string"])
        known = self._kept.get(key)
        running = self._made.get(key)
        late = 0.0
        if self._making >= self._room:
            late = STALE_SECONDS if running is None else REMADE_SECONDS
        if known is not None and known.until + late > self._clock():
            self._metrics.cached.inc()
            await self._give(known, scope, send)
            return
        if running is not None and self._seconds > 0:
            made = await asyncio.shield(running)
            if made is not None:
                self._metrics.cached.inc()
                await self._give(made, scope, send)
                return
        await self._make(key, scope, receive, send)

    async def _make(self, key: Any, scope: Scope, receive: Receive, send: Send) -> None:
        future: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()
        first = self._made.setdefault(key, future) is future
        kept: Kept | None = None
        start: Message = {}
        parts: list[bytes] = []

        async def take(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                if start["status"] == 200:
                    return
            elif start["status"] == 200:
                parts.append(message.get("body", b""))
                return
            await send(message)

        self._making += 1
        try:
            await self._app(scope, receive, take)
            if start and start["status"] == 200:
                kept = self._keep(key, start, b"".join(parts), getattr(scope.get("route"), "path", "other"))
        finally:
            self._making -= 1
            if first:
                self._made.pop(key, None)
            future.set_result(kept)
        if kept is not None:
            await self._give(kept, scope, send)

    def _keep(self, key: Any, start: Message, body: bytes, route: str) -> Kept:
        etag = b'"' + hashlib.blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        headers = [(name, value) for name, value in start["headers"] if name not in (b"etag", b"cache-control")]
        headers += [(b"etag", etag), (b"cache-control", self._control), (b"vary", b"Authorization, Origin")]
        kept = Kept(self._clock() + self._seconds, headers, body, etag, route)
        if self._seconds > 0 and len(body) <= BYTES // 16:
            before = self._kept.pop(key, None)
            self._bytes += len(body) - (len(before.body) if before else 0)
            self._kept[key] = kept
            while self._kept and (len(self._kept) > ENTRIES or self._bytes > BYTES):
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone.body)
        return kept

    async def _give(self, kept: Kept, scope: Scope, send: Send) -> None:
        scope["state"]["route"] = kept.route
        wanted = next((value for name, value in scope["headers"] if name == b"if-none-match"), None)
        if wanted is not None and _matches(wanted, kept.etag):
            dropped = (b"content-length", b"content-type")
            headers = [(name, value) for name, value in kept.headers if name not in dropped]
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await send({"type": "http.response.start", "status": 200, "headers": kept.headers})
        await send({"type": "http.response.body", "body": kept.body})


def cacheable(path: str) -> bool:
    """Whether answers of this path are given again.

    >>> cacheable("/patterns"), cacheable("/patterns/stream"), cacheable("/analyses/x")
    (True, False, False)
    """
    return path.startswith(PATHS) and path != STREAM


def _matches(wanted: bytes, etag: bytes) -> bool:
    tags = [tag.strip().removeprefix(b"W/") for tag in wanted.split(b",")]
    return etag in tags or b"*" in tags
