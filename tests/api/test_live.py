"""Patterns as they come."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.api.conftest import Api
from tests.api.rows import pattern, patterns
from tests.api.serving import served


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    """The test client reads an answer whole: a stream needs a port. The parts of the application are its own."""
    from api.app import create
    from tests.api.conftest import CONFIG

    with served(create(api.url, CONFIG)) as url:
        yield url


def events_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    for line in lines:
        if not line and "data" in event:
            yield event | {"data": json.loads(event["data"])}
        name, _, value = line.partition(": ")
        event = {} if not line else event | {name: value}


def listen(url: str, then: Any, seconds: float = 4, **given: Any) -> list[dict[str, Any]]:
    """What a stream says within some seconds; `then` is done when it has begun."""
    found = []
    with httpx.stream("GET", f"{url}/patterns/stream?seconds={seconds}", timeout=30, **given) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert next(lines) == "retry: 3000"
        threading.Timer(0.1, then).start()
        for event in events_of(lines):
            found.append(event)
    return found


def test_changes_come_as_they_are_written(api: Api, url: str) -> None:
    patterns(api.store, 1, first=50)  # there before: no news

    def act() -> None:
        patterns(api.store, 2)
        api.store.patterns.patterns.save(pattern(1, severity="critical", confidence_score=0.99))
        api.store.patterns.patterns.delete(uuid.UUID(int=2))

    found = listen(url, act, seconds=3)
    said = [(one["event"], uuid.UUID(one["data"]["id"]).int) for one in found]
    assert said[-1] == ("retracted", 2)
    last = next(one for one in reversed(found) if uuid.UUID(one["data"]["id"]).int == 1)
    assert last["data"]["severity"] == "critical"
    assert ("pattern", 50) not in said

    # Who comes back hears what was missed.
    api.store.patterns.patterns.save(pattern(7))
    missed = listen(url, lambda: None, seconds=0.5, headers={"Last-Event-ID": found[-1]["id"]})
    assert [uuid.UUID(one["data"]["id"]).int for one in missed] == [7]


def test_only_what_is_wanted(api: Api, url: str) -> None:
    def act() -> None:
        api.store.patterns.patterns.save_all(
            [pattern(1, severity="low"), pattern(2, severity="critical"), pattern(3, entity="x", severity="critical")]
        )

    found = listen(f"{url}", act, seconds=2, params={"severities": "critical", "entity": "web-1", "seconds": 2})
    assert [uuid.UUID(one["data"]["id"]).int for one in found] == [2]


def test_an_id_of_others_is_a_conflict(api: Api) -> None:
    response = api.client.get("/patterns/stream", headers={"Last-Event-ID": "7"})
    assert response.status_code == 409


def test_a_body_that_takes_too_long_is_408(api: Api) -> None:
    import socket

    from api.app import create
    from tests.api.conftest import CONFIG

    with served(create(api.url, msgspec.structs.replace(CONFIG, body_seconds=0.2))) as url:
        host, _, port = url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(
                f"POST /feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n"
                f"Authorization: Bearer {api.tokens['write']}\r\n\r\n{{".encode()
            )
            answer = b""
            while part := slow.recv(65536):
                answer += part
    assert answer.startswith(b"HTTP/1.1 408") and b"urn:hindsight:problem:too-slow-to-send" in answer
