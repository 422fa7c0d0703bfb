"""What is around all routes: who may, how much, and how errors look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.problems import MEDIA
from api.tokens import new_token
from tests.api.conftest import Api
from tests.api.rows import patterns


def is_problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA
    found: dict[str, Any] = response.json()
    assert set(found) >= {"type", "title", "status", "detail"}
    assert found["status"] == status
    assert found["request_id"] == response.headers["x-request-id"]
    return found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404), ("GET", "/api/v1/nothing", 404), ("GET", "/api/v2/patterns", 404),
        ("GET", "/patterns/7", 404), ("PUT", "/patterns", 405), ("POST", "/patterns", 405),
        ("GET", "/patterns?limit=0", 422), ("GET", "/patterns?limit=many", 422),
        ("GET", "/patterns?start_date=yesterday", 422), ("GET", "/patterns?entity=a%00b", 422),
        ("GET", "/patterns?confidence_threshold=nan", 422), ("GET", "/patterns?active=maybe", 422),
        ("GET", "/series/%FF/x/points", 404), ("POST", "/events", 401), ("POST", "/feedback", 401),
        ("POST", "/patterns/analyze", 401), ("DELETE", "/analyses/00000000-0000-0000-0000-000000000001", 401),
    ],
)  # fmt: skip
def test_every_error_is_a_problem(api: Api, method: str, path: str, status: int) -> None:
    found = is_problem(api.client.request(method, path), status)
    assert found["instance"] == path.partition("?")[0].replace("%FF", "\ufffd")


def test_errors_name_the_part_of_the_request(api: Api) -> None:
    found = is_problem(api.client.get("/patterns?limit=0&order=x"), 422)
    assert [one["where"] for one in found["errors"]] == ["query.order", "query.limit"]


def test_405_names_what_a_path_takes(api: Api) -> None:
    assert api.client.put("/patterns").headers["allow"] == "GET"
    assert api.client.put("/analyses/00000000-0000-0000-0000-000000000001").headers["allow"] == "DELETE, GET"


def test_what_breaks_inside_stays_inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("postgresql://me:secret@db")

    monkeypatch.setattr(api.store.stream, "quality", broken)
    found = is_problem(api.client.get("/quality"), 500)
    assert found["detail"] == "Something went wrong here; the operator's log says what."
    assert "secret" not in json.dumps(found)


def test_a_database_that_is_away_is_503_without_its_name() -> None:
    from api.app import create
    from tests.api.conftest import CONFIG

    made = create("postgresql://me:secret@127.0.0.1:1/db?connect_timeout=1", CONFIG)
    made.services.store.database._wait = 0.2
    with TestClient(made.app) as client:  # type: ignore[arg-type]
        assert client.get("/health/live").json() == {"status": "ok", "checks": {}}
        for path in ("/patterns", "/health/ready"):
            response = client.get(path)
            found = is_problem(response, 503)
            assert response.headers["retry-after"]
            assert "127.0.0.1" not in found["detail"] and "secret" not in json.dumps(found)


def test_headers_of_every_answer(api: Api) -> None:
    for path in ("/patterns", "/nothing", "/health/live"):
        response = api.client.get(path, headers={"X-Request-ID": "abc-1"})
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert response.headers["x-request-id"] == "abc-1"
    for given in ("a b", "x" * 65, "<script>"):
        assert api.client.get("/patterns", headers={"X-Request-ID": given}).headers["x-request-id"] != given


def test_head_is_get_without_its_body(api: Api) -> None:
    patterns(api.store, 2)
    head, got = api.client.head("/patterns"), api.client.get("/patterns")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"] != "0"


@pytest.mark.parametrize(
    "given", ["Bearer x", "Bearer", "Basic eDp5", "hs_x", "Bearer hs_" + "0" * 32 + "_" + "a" * 43, "Bearer \x7f"]
)
def test_a_wrong_token_is_refused_even_for_reading(api: Api, given: str) -> None:
    response = api.client.get("/patterns", headers={"Authorization": given})
    is_problem(response, 401)
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_scopes(api: Api) -> None:
    body = {"pattern_id": "00000000-0000-0000-0000-000000000009", "verdict": "expected"}
    response = api.client.post("/feedback", json=body, headers=api.headers("read"))
    is_problem(response, 403)
    assert 'scope="write"' in response.headers["www-authenticate"]
    assert api.client.post("/feedback", json=body, headers=api.headers("admin")).status_code == 404
    assert api.client.get("/patterns", headers=api.headers("read")).status_code == 200


def test_the_database_holds_no_token(api: Api) -> None:
    import psycopg

    with psycopg.connect(api.url) as connection:
        rows = connection.execute("SELECT t::text, encode(token_hash, 'escape') FROM api_tokens AS t").fetchall()
    assert rows
    for token in api.tokens.values():
        secret = token.rpartition("_")[2]
        assert not any(secret in text for row in rows for text in row)


def test_a_revoked_or_expired_token_is_refused(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime, timedelta

    import msgspec

    monkeypatch.setattr("api.tokens.KNOWN_SECONDS", 0.0)
    api = start()
    token, row = new_token("short", "read")
    api.store.tokens.tokens.create(msgspec.structs.replace(row, expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert api.client.get("/patterns", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert api.client.get("/patterns", headers=api.headers("read")).status_code == 200
    for one in api.store.tokens.listing():
        if one.id.hex in api.tokens["read"]:
            assert one.last_used_at is not None
            api.store.tokens.revoke(one.id)
    assert api.client.get("/patterns", headers=api.headers("read")).status_code == 401


def test_reading_may_take_a_token(start: Any) -> None:
    api = start(require_token=True)
    is_problem(api.client.get("/patterns"), 401)
    is_problem(api.client.get("/patterns/stream"), 401)
    assert api.client.get("/patterns", headers=api.headers("read")).status_code == 200
    for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json"):
        assert api.client.get(path).status_code == 200


def test_a_body_may_be_so_large(start: Any) -> None:
    api = start(most_body=2000)
    headers = api.headers("write", **{"Content-Type": "application/json"})
    found = is_problem(api.client.post("/feedback", content=b" " * 2001, headers=headers), 413)
    assert found["type"].endswith("too-large")
    # Without a length, as it comes.
    response = api.client.post("/feedback", content=(b" " * 500 for _ in range(5)), headers=headers)
    is_problem(response, 413)
    assert 'hindsight_api_refused_total{limit="size"} 2.0' in api.client.get("/metrics").text


def test_a_rate_is_kept(start: Any) -> None:
    api = start(rate=0.5, burst=3, rate_loopback=True)
    found = [api.client.get("/patterns").status_code for _ in range(5)]
    assert found == [200, 200, 200, 429, 429]
    response = api.client.get("/patterns")
    is_problem(response, 429)
    assert 1 <= int(response.headers["retry-after"]) <= 3
    # A token has a bucket of its own, probes have none, and wrong tokens count by address.
    headers = api.headers("read")
    assert api.client.get("/health/live").status_code == 200
    assert api.client.get("/patterns", headers={"Authorization": "Bearer hs_x"}).status_code == 429
    assert api.client.get("/patterns", headers=headers).status_code == 429  # not known yet: it counts by address too


def test_other_pages_may_read_only_where_they_are_named(start: Any) -> None:
    origin = "https://portal.example.org"
    assert "access-control-allow-origin" not in start().client.get("/patterns", headers={"Origin": origin}).headers
    api = start(cors_origins=(origin,))
    response = api.client.get("/patterns", headers={"Origin": origin})
    assert response.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in api.client.get("/patterns", headers={"Origin": "https://x.org"}).headers
