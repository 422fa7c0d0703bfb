"""Whether the process lives, whether it can work, and what it counts."""

import anyio
from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool

from api import shapes
from api.documents import answers
from api.metrics import CONTENT_TYPE
from api.problems import Problem
from api.services import Services, reply
from sql.store.errors import SchemaMissing, StoreError

PING_SECONDS = 3.0


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["health"])
    own = anyio.CapacityLimiter(2)

    def check() -> dict[str, str]:
        found = {"database": "ok", "events": "ok" if services.intake else "off"}
        try:
            with services.store.database.read(timeout=PING_SECONDS) as connection:
                connection.execute("SELECT FROM api_tokens, analyses, pattern_updates LIMIT 0")
        except SchemaMissing:
            found["database"] = "not migrated"
        except StoreError as problem:
            found["database"] = type(problem).__name__
        if services.intake and services.intake.last_error:
            found["events"] = services.intake.last_error
        return found

    @routes.get("/health/live", **answers(shapes.Health))
    async def get_live() -> Response:
        """Whether the process answers at all; nothing else is looked at."""
        return _now(shapes.Health(status="ok"))

    @routes.get("/health/ready", **answers(shapes.Health))
    async def get_ready() -> Response:
        """Whether it can work: the database answers, and has its tables. 503 where not."""
        checks = await anyio.to_thread.run_sync(check, limiter=own)
        if checks["database"] != "ok":
            raise Problem(503, "not-ready", f"The database: {checks['database']}.", headers={"Retry-After": "5"})
        return _now(shapes.Health(status="ok", checks=checks))

    @routes.get("/metrics", **answers(None, media="text/plain", about="Metrics in Prometheus's format."))
    async def get_metrics() -> Response:
        """What this process counts, for Prometheus."""
        text = await run_in_threadpool(services.metrics.text)
        return Response(text, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE)

    return routes


def _now(shape: shapes.Health) -> Response:
    return reply(shape, headers={"Cache-Control": "no-store"})
