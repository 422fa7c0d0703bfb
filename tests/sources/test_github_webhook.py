"""The receiver of webhooks, asked over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from sources import github_webhook
from sources.github_webhook import Receiver
from tests.sources.github_samples import job, payload, run

SECRET = b"It's a Secret to Everybody"


class Store:
    """Takes events, unless told to fail."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.problem: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, made: Sequence[dict[str, Any]]) -> None:
        self.gate.wait(10)
        if self.problem:
            raise self.problem
        self.events.extend(made)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def receiver(store: Store) -> Iterator[Receiver]:
    made = Receiver("127.0.0.1", 0, SECRET, store, most_body=20_000)
    made.start()
    yield made
    store.gate.set()
    made.stop()


def ask(receiver: Receiver, method: str, body: bytes = b"", path: str = "/", **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(receiver.url.removeprefix("http://"), timeout=10)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Content-Type": "application/json", **given})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def deliver(receiver: Receiver, kind: str, document: Any, *, secret: bytes = SECRET, **headers: str) -> tuple[int, Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return ask(receiver, "POST", body, X_GitHub_Event=kind, **{"X_Hub_Signature_256": signature, **headers})


def test_deliveries_become_events(receiver: Receiver, store: Store) -> None:
    assert deliver(receiver, "workflow_job", payload("completed", workflow_job=job())) == (202, {"events": 1})
    assert deliver(receiver, "workflow_run", payload("completed", workflow_run=run())) == (202, {"events": 1})
    queued = payload("queued", workflow_job=job(status="queued"))
    assert deliver(receiver, "workflow_job", queued) == (202, {"events": 0})
    assert [event["id"] for event in store.events] == ["job-399444496-finished", "run-30433642-1-finished"]
    assert deliver(receiver, "ping", {"zen": "Keep it simple."}) == (200, {"status": "pong"})
    assert deliver(receiver, "push", {"ref": "x"}) == (202, {"events": 0, "ignored": "push"})


def test_only_what_is_signed_counts(receiver: Receiver, store: Store) -> None:
    document = payload("completed", workflow_run=run())
    body = json.dumps(document).encode()
    sha1 = "sha1=" + hmac.new(SECRET, body, hashlib.sha1).hexdigest()
    assert deliver(receiver, "workflow_run", document, secret=b"other")[0] == 401
    for signature in ("", "sha256=", "sha256=" + "0" * 64, sha1, "\xe9"):
        assert deliver(receiver, "workflow_run", document, X_Hub_Signature_256=signature)[0] == 401
    status, answer = ask(receiver, "POST", body, X_GitHub_Event="workflow_run")
    assert (status, answer) == (401, {"error": "the delivery has no X-Hub-Signature-256"})
    assert deliver(receiver, "ping", b"no json", secret=b"other")[0] == 401  # before anything is looked at
    assert store.events == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 5000, "no"),
        (b"{}", "the delivery holds neither"),
        (b'{"workflow_run": {"id": 1}}', "of which repository"),
    ],
)
def test_what_is_not_githubs(receiver: Receiver, body: bytes, words: str) -> None:
    status, answer = deliver(receiver, "workflow_run", body)
    assert status == 400 and words in answer["error"]


def test_limits(receiver: Receiver) -> None:
    assert deliver(receiver, "workflow_run", b" " * 20_001)[0] == 413
    assert ask(receiver, "POST", Content_Length="-1")[0] == 411
    assert ask(receiver, "POST", Content_Length="9" * 5000)[0] == 413
    assert deliver(receiver, "workflow_run", {}, Content_Type="application/x-www-form-urlencoded")[0] == 415
    assert ask(receiver, "GET")[0] == 405
    assert ask(receiver, "GET", path="/health/live") == (200, {"status": "ok"})


def test_a_body_that_does_not_come(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github_webhook._Handler, "timeout", 0.2)
    host, port = receiver.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        assert connection.recv(100).startswith(b"HTTP/1.0 408")


def test_what_is_not_stored_is_said(receiver: Receiver, store: Store) -> None:
    store.problem = OSError("the disk is full")
    document = payload("completed", workflow_run=run())
    assert deliver(receiver, "workflow_run", document) == (503, {"error": "the events are not stored: redeliver"})
    store.problem = None
    assert deliver(receiver, "workflow_run", document)[0] == 202


def test_the_end_waits_for_what_has_begun(receiver: Receiver, store: Store) -> None:
    store.gate.clear()
    answers: list[tuple[int, Any]] = []
    document = payload("completed", workflow_run=run())
    asking = threading.Thread(target=lambda: answers.append(deliver(receiver, "workflow_run", document)))
    asking.start()
    while receiver._server.slots._value == github_webhook.AT_ONCE:
        asking.join(0.01)
    stopping = threading.Thread(target=receiver.stop)
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive() and not answers
    store.gate.set()
    stopping.join(10)
    asking.join(10)
    assert answers == [(202, {"events": 1})] and len(store.events) == 1
    with pytest.raises(OSError):
        deliver(receiver, "workflow_run", document)


def test_more_at_once_than_there_is_room_for(receiver: Receiver, store: Store) -> None:
    for _ in range(github_webhook.AT_ONCE):
        receiver._server.slots.acquire()
    status, answer = deliver(receiver, "workflow_run", payload("completed", workflow_run=run()))
    assert (status, answer["error"]) == (503, "too many deliveries at once") and not store.events


def test_a_secret_is_needed(store: Store) -> None:
    with pytest.raises(ValueError, match="secret"):
        Receiver("127.0.0.1", 0, b"", store)
