"""Patterns as they come, as server-sent events."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from api import shapes
from api.documents import answers
from api.feed import MOST, Listener
from api.params import NO_NUL, Severity, Text, Word
from api.problems import Problem
from api.services import Services
from sql.store.api import Update

KEEP_ALIVE = 15.0
"""Seconds without a change after which a comment is sent: proxies close what is silent."""
RETRY_MS = 3000
REPLAYED = 20
"""Batches of changes, at most, that somebody who comes back is told of."""

Wanted = Callable[[Update], bool]


def router(services: Services) -> APIRouter:
    """The route over a feed."""
    routes = APIRouter(tags=["patterns"])
    feed = services.feed

    @routes.get(
        "/patterns/stream", **answers(None, 409, 422, media="text/event-stream", about="Changes, until you go.")
    )
    async def get_stream(
        pattern_types: Annotated[list[Word] | None, Query()] = None,
        severities: Annotated[list[Severity] | None, Query()] = None,
        entity: Text | None = None,
        last_event_id: Annotated[
            str | None, Header(max_length=200, pattern=NO_NUL, description="The last change that you saw.")
        ] = None,
        seconds: Annotated[float | None, Query(gt=0, le=86_400, description="End by itself after so long.")] = None,
    ) -> Response:
        """Every change of a pattern from now on, as server-sent events: `pattern` with the pattern as in the list,
        `retracted` with its id where it was taken back. With `Last-Event-ID`, as browsers send it, what was missed
        meanwhile comes first."""
        if feed.listeners >= services.config.stream_clients:
            services.metrics.refused.labels("streams").inc()
            raise Problem(503, "too-many-streams", "Too many streams are open.", headers={"Retry-After": "10"})
        behind = _place(last_event_id)

        def wanted(update: Update) -> bool:
            pattern = update.pattern
            return pattern is None or (
                (not pattern_types or pattern.pattern_type in pattern_types)
                and (not severities or pattern.severity in severities)
                and (entity is None or pattern.entity == entity)
            )

        return StreamingResponse(
            _lines(services, behind, wanted, seconds),
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            media_type="text/event-stream",
        )

    return routes


def _place(last: str | None) -> tuple[datetime, uuid.UUID] | None:
    if not last:
        return None
    moment, _, identifier = last.partition("/")
    try:
        return datetime.fromtimestamp(int(moment) / 1e6, UTC), uuid.UUID(identifier)
    except (ValueError, OverflowError, OSError):
        raise Problem(409, "unknown-event-id", "Last-Event-ID is none of ours: come without it.") from None


async def _lines(
    services: Services, behind: tuple[datetime, uuid.UUID] | None, wanted: Wanted, seconds: float | None
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    with services.feed.listening() as listener, services.metrics.streams.track_inprogress():
        await run_in_threadpool(services.feed.ready, 10.0)
        yield f"retry: {RETRY_MS}\n: what changes from now on\n\n".encode()
        seen: set[tuple[uuid.UUID, datetime]] = set()
        for _ in range(REPLAYED if behind else 0):
            assert behind is not None
            missed = await run_in_threadpool(services.store.updates.since, *behind, MOST)
            for update in missed:
                seen.add((update.pattern_id, update.changed_at))
                if wanted(update):
                    yield event_of(update)
            if len(missed) < MOST:
                break
            behind = (missed[-1].changed_at, missed[-1].pattern_id)
        async for chunk in _live(listener, seen, wanted, end):
            yield chunk


async def _live(
    listener: Listener, seen: set[tuple[uuid.UUID, datetime]], wanted: Wanted, end: float | None
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    while end is None or loop.time() < end:
        left = KEEP_ALIVE if end is None else min(KEEP_ALIVE, end - loop.time())
        try:
            async with asyncio.timeout(left):
                update = await listener.queue.get()
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if update is None:
            return
        if (update.pattern_id, update.changed_at) not in seen and wanted(update):
            yield event_of(update)


def event_of(update: Update) -> bytes:
    """A change as a server-sent event; its id is the time in µs since 1970 and the pattern's id."""
    place = f"{round(update.changed_at.timestamp() * 1e6)}/{update.pattern_id}"
    kind, shape = "retracted", {"id": str(update.pattern_id)}
    said: Any = shape
    if update.pattern is not None:
        kind, said = "pattern", shapes.summary_of(update.pattern)
    return f"id: {place}\nevent: {kind}\ndata: ".encode() + msgspec.json.encode(said) + b"\n\n"
