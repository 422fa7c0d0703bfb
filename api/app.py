"""The application: routes over a database, with what is around them.

`create` gives an ASGI application for any server; it starts its threads when the server starts it.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio.to_thread
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from api import problems
from api.caching import Cache
from api.config import Analyse, ApiConfig
from api.documents import describe
from api.feed import Feed
from api.flowstate import Flows
from api.intake import EventLog, Intake
from api.jobs import Runner
from api.metrics import ApiMetrics
from api.routes import analyses, events, feedback, findings, health, insight, live, page, patterns, series, system, work
from api.services import Services
from api.shield import App, Shield
from api.tokens import Gate
from sql.store.pool import Database
from sql.store.store import Store

log = logging.getLogger(__name__)

TITLE, VERSION = "Historical Pattern Analysis API", "1.0.0"
SPARE = 4
"""Connections besides those of requests: probes, jobs, live streams."""


@dataclass(frozen=True)
class Made:
    """An application and its parts: `app` is what a server runs, `routes` the FastAPI inside it."""

    app: App
    routes: FastAPI
    services: Services


def create(url: str, config: ApiConfig, *, event_log: EventLog | None = None, analyse: Analyse | None = None) -> Made:
    """Make the application over a database.

    ``event_log``: where events go that are sent in; None = none are taken. ``analyse``: the work of an analysis; None =
    none are begun. Raises :class:`sql.store.errors.Misconfigured` for a URL that can't be read.
    """
    database = Database(
        url,
        min_size=2,
        max_size=config.pool_size + SPARE,
        statement_timeout=config.query_seconds,
        application_name="hindsight-api",
    )
    store = Store(database)
    metrics = ApiMetrics()
    services = Services(
        config,
        store,
        metrics,
        Feed(url, store.updates),
        Flows(config.flow_metrics),
        Intake(event_log) if event_log is not None else None,
        Runner(url, store.analyses, analyse, config, metrics) if analyse is not None else None,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # A request that has a thread has a connection: others wait for a thread, and no one is turned away as busy.
        anyio.to_thread.current_default_thread_limiter().total_tokens = config.pool_size
        database.open()
        for part in (services.intake, services.runner):
            if part is not None:
                part.start()
        try:
            yield
        finally:
            services.feed.end_streams()
            for ending in (services.feed, services.runner, services.intake):
                if ending is not None:
                    await run_in_threadpool(ending.stop)
            database.close()

    # Its pages of documentation load scripts from elsewhere: the description alone is served.
    routes = FastAPI(
        title=TITLE, version=VERSION, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    problems.install(routes)
    for part in (live, analyses, patterns, series, insight, findings, work, system, events, feedback, health):
        routes.include_router(part.router(services))
    routes.include_router(page.router())
    describe(routes)
    inner: App = Cache(routes, config.cache_seconds, config.pool_size, metrics)
    inner = Shield(inner, config, Gate(store.tokens), metrics)
    if config.cors_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=config.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Link", "ETag", "X-Request-ID", "Location", "Retry-After"],
        )
    return Made(inner, routes, services)
