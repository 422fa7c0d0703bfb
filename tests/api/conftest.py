from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import psycopg
import pytest
from starlette.testclient import TestClient

from api.app import Made, create
from api.config import ApiConfig
from api.tokens import new_token
from sinks.publish import Addressed

FILLED = (
    "incident_patterns", "incidents", "recommendation_effectiveness", "optimization_opportunities",
    "pattern_relationships", "pattern_evolution", "pattern_classifications", "metric_patterns", "detected_patterns",
    "pattern_updates", "model_performance_metrics", "model_versions", "ml_models", "rollups_10s", "rollups_1m",
    "rollups_5m", "series", "stream_counters", "dead_letters", "analyses", "pipeline_executions", "tasks",
    "nightly_quality", "nightly_stages", "nightly_runs",
)  # fmt: skip
"""What tests put rows in."""

CONFIG = ApiConfig(pool_size=4, cache_seconds=0.0)


class Written:
    """An event log in memory."""

    def __init__(self) -> None:
        self.events: list[Addressed] = []
        self.problem: Exception | None = None

    def write(self, events: Any) -> None:
        if self.problem is not None:
            raise self.problem
        self.events += events

    def close(self) -> None:
        pass


class Api:
    """A running API in this process, with a client and a token of each scope."""

    def __init__(self, made: Made, client: TestClient, url: str, log: Written) -> None:
        self.made, self.client, self.url, self.log = made, client, url, log
        self.store = made.services.store
        self.tokens = {}
        for scope in ("read", "write", "admin"):
            token, row = new_token(f"test {scope}", scope)
            self.store.tokens.tokens.create(row)
            self.tokens[scope] = token

    def headers(self, scope: str = "write", **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[scope]}", **more}

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        response = self.client.get(path, params=params or None)  # {} would take a query away
        assert response.status_code == status, response.text
        return response.json()

    def post(self, path: str, body: Any, status: int, scope: str = "write", **headers: str) -> Any:
        response = self.client.post(path, json=body, headers=self.headers(scope, **headers))
        assert response.status_code == status, response.text
        return response.json()


@contextmanager
def running(url: str, config: ApiConfig = CONFIG, analyse: Any = None, **changes: Any) -> Iterator[Api]:
    log = Written()
    made = create(url, msgspec.structs.replace(config, **changes), event_log=log, analyse=analyse)
    with TestClient(made.app, raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        yield Api(made, client, url, log)


@pytest.fixture(scope="module")
def shared(module_database: str) -> Iterator[Api]:
    with running(module_database) as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Iterator[Api]:
    """An API over a database without rows; the tests of a module share both, for a new one takes a second."""
    yield shared
    empty(shared.url)
    shared.log.events.clear()
    shared.log.problem = None


@pytest.fixture
def start(module_database: str) -> Iterator[Callable[..., Api]]:
    """Starts APIs with other configurations over the module's database."""
    with ExitStack() as ends:
        yield lambda **changes: ends.enter_context(running(module_database, **changes))
    empty(module_database)


def empty(url: str) -> None:
    with psycopg.connect(url) as connection:
        for table in FILLED:
            connection.execute(f"DELETE FROM {table}")
