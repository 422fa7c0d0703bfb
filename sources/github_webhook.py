"""A receiver of GitHub's webhooks `workflow_run` and `workflow_job`.

Nothing of a body is looked at before its signature is: HMAC-SHA-256 with the webhook's secret, in the header
`X-Hub-Signature-256`, compared in constant time
(https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries). 202 says that the events are where
they belong: on the disk, or with Kafka. GitHub does not send again by itself: what got 503 is to be redelivered by hand
or by a script, and counts once.

Where it does not work well: it speaks plain HTTP, so a proxy with TLS belongs before it, and answers a few requests at
a time, which is more than GitHub sends.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sources.github_actions import GithubError, events

LOG = logging.getLogger(__name__)

MOST_BODY = 5 << 20
"""Bytes of a delivery; one of a job with a hundred steps has about 40 KiB. GitHub itself caps them at 25 MB."""
AT_ONCE = 16
"""Deliveries that are worked on at a time; more are told to come again."""
SECONDS = 10.0
"""For a whole request to come."""

KINDS = ("workflow_run", "workflow_job")

Emit = Callable[[Sequence[dict[str, Any]]], None]


def signed(body: bytes, secret: bytes, header: str | None) -> bool:
    """Whether the header is the signature of the body.

    >>> header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    >>> signed(b"Hello, World!", b"It's a Secret to Everybody", header), signed(b"Hello!", b"x", header)
    (True, False)
    """
    wanted = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), (header or "").encode("utf-8", "surrogateescape"))


class Receiver:
    """Serves on `host` and `port` (0 = any that is free) from :meth:`start` to :meth:`stop`.

    `emit` gets the events of a delivery, one call at a time, and returns when they are safe; what it raises becomes a
    503. Raises `OSError` where the address can't be used, `ValueError` for an empty secret.
    """

    def __init__(
        self, host: str, port: int, secret: bytes, emit: Emit, *, steps: bool = True, most_body: int = MOST_BODY
    ) -> None:
        if not secret:
            raise ValueError("the secret is empty")
        self._server = _Server(host, port, secret, emit, steps, most_body)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="webhook", daemon=True)

    @property
    def url(self) -> str:
        """Where it serves."""
        host, port = self._server.server_address[:2]
        name = str(host)
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more, and finish what has begun."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=SECONDS)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, secret: bytes, emit: Emit, steps: bool, most_body: int) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self.secret, self.steps, self.most_body = secret, steps, most_body
        self.slots = threading.BoundedSemaphore(AT_ONCE)
        self._emit = emit
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    def store(self, made: Sequence[dict[str, Any]]) -> None:
        with self._lock:
            self._emit(made)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's signature
        LOG.debug("a delivery of %s broke off", client_address[0])


class _Handler(BaseHTTPRequestHandler):
    """One request a connection: an idle one would hold the end back."""

    server: _Server
    server_version = "hindsight"
    sys_version = ""
    timeout = SECONDS

    def do_GET(self) -> None:
        if self.path == "/health/live":
            self._answer(200, {"status": "ok"})
        else:
            self._answer(405, {"error": "deliveries are sent with POST"}, allow="POST")

    def do_POST(self) -> None:
        if not self.server.slots.acquire(blocking=False):
            self._answer(503, {"error": "too many deliveries at once"}, retry_after="5")
            return
        try:
            status, answer = self._delivery()
        finally:
            self.server.slots.release()
        self._answer(status, answer)

    def _delivery(self) -> tuple[int, dict[str, Any]]:
        body = self._body()
        if isinstance(body, tuple):
            return body
        if not signed(body, self.server.secret, self.headers.get("X-Hub-Signature-256")):
            missing = "X-Hub-Signature-256" not in self.headers
            what = "has no X-Hub-Signature-256" if missing else "is not signed with the secret of this receiver"
            LOG.warning("refused a delivery of %s: it %s", self.client_address[0], what)
            return 401, {"error": f"the delivery {what}"}
        kind = self.headers.get("X-GitHub-Event", "")
        if kind == "ping":
            return 200, {"status": "pong"}
        if kind not in KINDS:
            return 202, {"events": 0, "ignored": kind[:100]}
        if self.headers.get_content_type() != "application/json":
            return 415, {"error": "set the webhook's content type to application/json"}
        try:
            made = events(json.loads(body), steps=self.server.steps)
        except GithubError as problem:
            return 400, {"error": f"the delivery {problem}"}
        except (ValueError, RecursionError) as problem:
            return 400, {"error": f"the body is no JSON: {str(problem)[:200]}"}
        try:
            if made:
                self.server.store(made)
        except Exception as problem:
            LOG.error("events of a delivery are not stored: %s", problem)
            return 503, {"error": "the events are not stored: redeliver"}
        return 202, {"events": len(made)}

    def _body(self) -> bytes | tuple[int, dict[str, Any]]:
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit()):
            return 411, {"error": "a delivery has a Content-Length"}
        length = int(text[:20])
        if length > self.server.most_body:
            return 413, {"error": f"a delivery may have {self.server.most_body:,} bytes"}
        until = time.monotonic() + SECONDS
        parts = []
        while length > 0:
            try:
                part = self.rfile.read1(min(length, 1 << 16))
            except OSError:
                part = b""
            if not part or time.monotonic() > until:
                return 408, {"error": "the body did not come whole in time"}
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _answer(self, status: int, answer: dict[str, Any], **headers: str) -> None:
        raw = json.dumps(answer).encode() + b"\n"
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Connection", "close")
            for name, value in headers.items():
                self.send_header(name.replace("_", "-").title(), value)
            self.end_headers()
            self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        LOG.debug("%s %s", self.client_address[0], format % args)
