"""The client for producers, against a real server that misbehaves on demand."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operators.events import decode
from sinks.publish import read_lines
from sources import client as module
from sources.client import Client, Refusal

ROOT = Path(__file__).parents[2]
METRIC = {"source_system": "shop", "metric_name": "carts", "metric_value": 3}


class Server(ThreadingHTTPServer):
    """Does what `script` says for one request after the other, and answers well when it has ended."""

    daemon_threads = True

    def __init__(self) -> None:
        self.script: list[str] = []
        self.accepted: list[str] = []
        self.requests: list[tuple[str, dict[str, str], int]] = []
        self.lock = threading.Lock()
        self.gate = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        events = json.loads(body)
        with self.server.lock:
            deed = self.server.script.pop(0) if self.server.script else "good"
            self.server.requests.append((self.path, dict(self.headers), len(events)))
        if deed == "reset":
            self.close_connection = True
        elif deed == "hang":
            self.server.gate.wait(10)
            self.close_connection = True
        elif deed == "garbage":
            self.answer(202, b"<html>a proxy</html>")
        elif deed == "torn":
            self.send_response(202)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"acc')
            self.close_connection = True
        elif deed == "lost":  # stored, and the answer does not come
            self.take(events)
            self.close_connection = True
        elif deed.startswith("most "):
            if len(events) > int(deed[5:]):
                self.server.script.insert(0, deed)
                self.answer(413, b'{"detail": "too many"}')
            else:
                self.server.script.insert(0, deed)
                self.answer(202, self.take(events))
        elif deed != "good":
            self.answer(int(deed), json.dumps({"title": "No", "detail": "because"}).encode())
        else:
            self.answer(202, self.take(events))

    def take(self, events: list[dict[str, Any]]) -> bytes:
        results = []
        with self.server.lock:
            for index, event in enumerate(events):
                bad = event["data"].get("bad")
                if not bad:
                    self.server.accepted.append(event["id"])
                results.append(
                    {"index": index, "id": event["id"], "status": "rejected" if bad else "accepted",
                     "reason": "bad_data" if bad else None, "detail": "it is bad" if bad else None}
                )  # fmt: skip
        bad = sum(one["status"] == "rejected" for one in results)
        return json.dumps({"accepted": len(results) - bad, "rejected": bad, "results": results}).encode()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0.3")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    made = Server()
    yield made
    made.gate.set()
    made.shutdown()
    made.server_close()


@pytest.fixture
def server(one_server: Server) -> Server:
    one_server.script, one_server.accepted, one_server.requests = [], [], []
    one_server.gate = threading.Event()
    return one_server


Build = Callable[..., Client]


@pytest.fixture
def build(server: Server, tmp_path: Path) -> Iterator[Build]:
    made: list[Client] = []

    def client(**more: Any) -> Client:
        given = {"url": server.url, "source": "app://shop", "spill_to": tmp_path / "spill.jsonl", "linger": 0.01,
                 "pause": 0.01, "attempts": 3, "timeout": 5.0, **more}  # fmt: skip
        made.append(Client(**given))
        return made[-1]

    yield client
    server.gate.set()
    for one in made:
        one.close(1)


def spilled(tmp_path: Path) -> list[str]:
    path = tmp_path / "spill.jsonl"
    return [json.loads(line)["id"] for line in path.read_text().splitlines()] if path.exists() else []


def balanced(client: Client) -> bool:
    counts = client.counts
    return counts.sent == counts.accepted + counts.refused + counts.spilled + counts.lost + counts.waiting


def test_events_arrive_in_order_and_in_batches(server: Server, build: Build) -> None:
    with build(token="s3cret", batch=40, linger=5.0) as client:
        names = [client.emit("metric.sampled", METRIC, id=str(number)) for number in range(100)]
        assert client.flush(10) and client.counts.accepted == 100
    assert server.accepted == names
    assert [size for _, _, size in server.requests] == [40, 40, 20]
    path, headers, _ = server.requests[0]
    assert (path, headers["Authorization"]) == ("/api/v1/events", "Bearer s3cret")
    assert headers["Content-Type"] == "application/cloudevents-batch+json"


def test_what_emit_makes_is_a_valid_event(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[bytes] = []
    client = build()
    monkeypatch.setattr(module, "spill", lambda _, found: lines.extend(found))
    monkeypatch.setattr(client, "_wake", lambda: None)
    name = client.emit("metric.sampled", METRIC, time=datetime(2026, 1, 5, 10, tzinfo=UTC))
    assert client.close(0).spilled == 1
    event = decode(lines[0])
    assert (event.id, event.source, event.time.isoformat()) == (name, "app://shop", "2026-01-05T10:00:00+00:00")


@pytest.mark.parametrize("deed", ["503", "500", "429", "408", "reset", "garbage", "torn", "lost"])
def test_a_passing_fault_costs_a_retry(server: Server, build: Build, deed: str) -> None:
    server.script = [deed]
    began = time.monotonic()
    with build() as client:
        client.emit("metric.sampled", METRIC, id="a")
        assert client.flush(10)
        assert client.counts[:4] == (1, 1, 0, 0) and client.counts.retries == 1
    assert set(server.accepted) == {"a"}
    if deed == "429":
        assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(("deeds", "asked"), [(["503"] * 3, 3), (["401"], 1), (["404"], 1), (["422"], 1)])
def test_what_lasts_is_spilled(
    server: Server, build: Build, tmp_path: Path, deeds: list[str], asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = list(deeds)
    with caplog.at_level(logging.WARNING), build() as client:
        client.emit("metric.sampled", METRIC, id="a")
        assert client.flush(10)
        assert client.counts[:4] == (1, 0, 0, 1)
    assert len(server.requests) == asked and spilled(tmp_path) == ["a"]
    assert f"not sent: {deeds[0]} because" in caplog.text
    (line,) = read_lines(io.BytesIO((tmp_path / "spill.jsonl").read_bytes()), 1 << 20)
    decode(line.raw)


def test_refused_events_are_reported_one_by_one(build: Build, tmp_path: Path) -> None:
    found: list[Refusal] = []

    def report(refusal: Refusal) -> None:
        found.append(refusal)
        raise RuntimeError("a fault of the program")

    with build(on_refused=report) as client:
        for number in range(6):
            client.emit("metric.sampled", {**METRIC, "bad": number % 2}, id=str(number))
        client.emit("metric.sampled", {**METRIC, "big": "x" * module.MOST_EVENT}, id="big")
    assert client.counts[:4] == (7, 3, 4, 0) and spilled(tmp_path) == []
    assert {(one.event["id"], one.reason) for one in found} == {
        ("1", "bad_data"), ("3", "bad_data"), ("5", "bad_data"), ("big", "too_large"),
    }  # fmt: skip


def test_a_batch_that_is_too_large_is_cut(server: Server, build: Build) -> None:
    server.script = ["most 3"]
    with build(linger=0.2) as client:
        names = [client.emit("metric.sampled", METRIC, id=str(number)) for number in range(10)]
    assert server.accepted == names and client.counts.accepted == 10
    server.script = ["most 0"]
    with build() as client:
        client.emit("metric.sampled", METRIC)
    assert client.counts.refused == 1


def test_a_full_queue_does_not_hold_the_caller(server: Server, build: Build, tmp_path: Path) -> None:
    server.script = ["hang"]
    client = build(queue=50, batch=10)
    client.emit("metric.sampled", METRIC, id="first")
    while not server.requests:
        time.sleep(0.005)
    slowest = 0.0
    for number in range(200):
        began = time.monotonic()
        client.emit("metric.sampled", METRIC, id=str(number))
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2.0  # one forced write; the server hangs for longer
    assert client.counts.waiting == 51 and client.counts.spilled == 150 and balanced(client)
    server.gate.set()
    counts = client.close(10)
    assert counts[:6] == (201, 51, 0, 150, 0, 0)
    assert sorted([*server.accepted, *spilled(tmp_path)]) == sorted(["first", *map(str, range(200))])


def test_close_takes_its_time_and_no_more(server: Server, build: Build, tmp_path: Path) -> None:
    server.script = ["hang"]
    client = build(batch=2)
    for number in range(5):
        client.emit("metric.sampled", METRIC, id=str(number))
    began = time.monotonic()
    counts = client.close(0.3)
    assert 0.25 < time.monotonic() - began < 3
    assert counts[:6] == (5, 0, 0, 5, 0, 0) and spilled(tmp_path) == list("01234")
    server.gate.set()
    assert client.close() == counts
    with pytest.raises(RuntimeError, match="closed"):
        client.emit("metric.sampled", METRIC)


def test_nowhere_to_spill_is_said(
    server: Server, build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = ["401", "401"]  # one more, should a request of the test before come late
    (tmp_path / "file").write_text("")
    with build(spill_to=tmp_path / "file" / "spill.jsonl") as client:
        client.emit("metric.sampled", METRIC)
    assert client.counts[:6] == (1, 0, 0, 0, 1, 0)
    assert "1 events are lost: 401 because, and" in caplog.text


def test_many_threads(server: Server, build: Build) -> None:
    with build(batch=50) as client:

        def work(number: int) -> None:
            for one in range(100):
                client.emit("metric.sampled", METRIC, id=f"{number}-{one}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert client.counts.accepted == 800 and len(set(server.accepted)) == 800


def test_mistakes_are_the_callers(build: Build) -> None:
    for more in ({"url": None}, {"brokers": "localhost:1"}, {"url": "localhost:8000"}, {"batch": 0}, {"token": "é"}):
        with pytest.raises(ValueError):
            build(**more)
    client = build(source=None)
    for error, arguments in (
        (ValueError, {"data": METRIC}),
        (ValueError, {"data": {"x": float("nan")}, "source": "a"}),
        (TypeError, {"data": {"x": object()}, "source": "a"}),
        (ValueError, {"data": METRIC, "source": "a", "time": datetime(2026, 1, 5)}),  # noqa: DTZ001 - what is wrong
    ):
        with pytest.raises(error):
            client.emit("metric.sampled", **arguments)
    assert client.counts.sent == 0


def test_a_forked_child_begins_anew(server: Server, build: Build) -> None:
    client = build(linger=5.0)
    client.emit("metric.sampled", METRIC, id="parent")
    child = os.fork()
    if child == 0:  # no exception may leave the child
        try:
            before = client.counts.sent
            client.emit("metric.sampled", METRIC, id="child")
            os._exit(0 if before == 0 and client.close(10).accepted == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.close(10)
    assert sorted(server.accepted) == ["child", "parent"]


def test_the_end_of_a_program_is_waited_for(server: Server, tmp_path: Path) -> None:
    text = f"""
from sources.client import Client
client = Client({server.url!r}, source="app://shop", linger=60)
for number in range(10):
    client.emit("metric.sampled", {METRIC!r}, id=str(number))
"""
    subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert server.accepted == list("0123456789")


DEEDS = st.lists(st.sampled_from(["good", "503", "reset", "401", "garbage", "torn", "lost", "most 2"]), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DEEDS, st.lists(st.booleans(), max_size=12), st.integers(1, 4), st.integers(1, 6), st.booleans())
def test_nothing_is_lost_whatever_happens(
    one_server: Server, tmp_path_factory: pytest.TempPathFactory, deeds: list[str], bad: list[bool], batch: int,
    queue: int, flush: bool,
) -> None:  # fmt: skip
    server = one_server
    server.script, server.accepted, server.requests = list(deeds), [], []
    folder = tmp_path_factory.mktemp("spill")
    refused: list[str] = []
    client = Client(
        server.url, source="app://shop", spill_to=folder / "spill.jsonl", linger=0, pause=0.001, attempts=2,
        batch=batch, queue=queue, on_refused=lambda one: refused.append(one.event["id"]),
    )  # fmt: skip
    for number, is_bad in enumerate(bad):
        client.emit("metric.sampled", {**METRIC, "bad": is_bad}, id=str(number))
        assert balanced(client)
    if flush:
        assert client.flush(10)
    counts = client.close(10)
    assert counts.sent == len(bad) == counts.accepted + counts.refused + counts.spilled and counts.waiting == 0
    there = {*server.accepted, *refused, *spilled(folder)}
    assert there == set(map(str, range(len(bad))))
    assert (len(refused), len(spilled(folder))) == (counts.refused, counts.spilled)
