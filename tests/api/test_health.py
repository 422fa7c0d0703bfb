"""Probes and metrics."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from api.app import create
from tests.api.conftest import CONFIG, Api, running


def test_a_healthy_api(api: Api) -> None:
    assert api.get("/health/live") == {"status": "ok", "checks": {}}
    assert api.get("/health/ready") == {"status": "ok", "checks": {"database": "ok", "events": "ok"}}


def test_a_database_without_tables_is_not_ready(empty_database: str) -> None:
    from starlette.testclient import TestClient

    with TestClient(create(empty_database, CONFIG).app) as client:  # type: ignore[arg-type]
        assert client.get("/health/live").status_code == 200
        response = client.get("/health/ready")
        assert (response.status_code, response.json()["detail"]) == (503, "The database: not migrated.")
        assert client.get("/patterns").json()["type"] == "urn:hindsight:problem:database-not-migrated"


def test_metrics_count_by_route_and_not_by_path(database: str) -> None:
    with running(database) as api:
        for path in ("/patterns", "/patterns/00000000-0000-0000-0000-000000000001", "/x/y", "/series/a/b/points"):
            api.client.get(path)
        text = api.client.get("/metrics").text
    assert 'hindsight_api_requests_total{method="GET",route="/patterns",status="200"} 1.0' in text
    assert 'route="/patterns/{pattern_id:uuid}",status="404"} 1.0' in text
    assert 'route="other",status="404"} 1.0' in text
    assert "0000-0001" not in text
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    subprocess.run([promtool, "check", "metrics"], input=text.encode(), check=True, timeout=30)
