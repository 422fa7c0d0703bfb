"""Everything around the routes: who asks and how much, sizes, security headers, counting, and no error without a form.

Plain ASGI, for it runs for each request. `/api/v1/X` is the same as `/X`.
"""

import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool

from api.config import ApiConfig
from api.limits import Buckets
from api.metrics import ApiMetrics
from api.problems import INTERNAL, MEDIA, Problem, body_of, of_store
from api.tokens import Caller, Gate
from sql.store.api import Token
from sql.store.errors import StoreError

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX = "/api/v1"
OPEN = ("/health/live", "/health/ready", "/metrics", "/openapi.json")
"""Paths that never take a token: probes and scrapers have none. They show no data."""
PAGE = "/page/"
"""Below it are the files of the page, and `/` is the page: they are the same for all, and show no data."""
PROBES = ("/health/live", "/health/ready")
"""Not limited in rate: a busy API is not a dead one."""
STREAM = "/patterns/stream"

SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""On every response that does not set them itself."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_BEARER = re.compile(rb"Bearer +([\x21-\x7e]{1,200})", re.IGNORECASE)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="hindsight"'}


class Shield:
    """The outermost layer."""

    def __init__(self, app: App, config: ApiConfig, gate: Gate, metrics: ApiMetrics) -> None:
        self._app = app
        self._config = config
        self._gate = gate
        self._metrics = metrics
        self._buckets = Buckets(config.rate, config.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        exchange = _Exchange(scope, headers, send)
        self._metrics.running.inc()
        try:
            await self._answer(scope, headers, receive, exchange)
        finally:
            self._metrics.running.dec()
            route = exchange.route()
            self._metrics.requests.labels(scope["method"], route, str(exchange.status)).inc()
            if route != STREAM:
                self._metrics.seconds.labels(route).observe(time.perf_counter() - began)

    async def _answer(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, exchange: "_Exchange") -> None:
        try:
            caller = await self._admitted(scope, headers)
            scope["state"]["caller"] = caller
            limited = _Limited(receive, self._config.most_body, headers.get(b"content-length"))
            await self._app(scope, limited, exchange.send)
        except Problem as problem:
            await exchange.fail(problem)
        except StoreError as error:
            await exchange.fail(of_store(error))
        except Exception:
            log.exception("request %s failed", exchange.request_id)
            await exchange.fail(Problem(500, "internal", INTERNAL))
        if exchange.status in (413, 429):
            self._metrics.refused.labels("size" if exchange.status == 413 else "rate").inc()

    async def _admitted(self, scope: Scope, headers: dict[bytes, bytes]) -> Caller:
        address = scope["client"][0] if scope.get("client") else ""
        path = scope["path"]
        given = headers.get(b"authorization")
        if given is None:
            if path not in PROBES:
                self._take(address, address)
            if self._config.require_token and path not in OPEN and path != "/" and not path.startswith(PAGE):
                raise Problem(401, "token-missing", "Reading takes a token here.", headers=_CHALLENGE)
            return Caller("", None, address)
        found = await self._token(given, address)
        return Caller(found.name, found.scope, address)

    async def _token(self, given: bytes, address: str) -> Token:
        form = _BEARER.fullmatch(given)
        text = form[1].decode() if form else ""
        there, found = self._gate.remembered(text)
        if there and found is not None:
            self._take(f"token {found.id}", address)
            return found
        # Whoever guesses is limited by address, before the database is asked.
        self._take(address, address)
        if form is not None and not there:
            found = await run_in_threadpool(self._gate.find, text)
        if found is None:
            headers = {"WWW-Authenticate": 'Bearer realm="hindsight", error="invalid_token"'}
            raise Problem(401, "token-invalid", "The token is not valid, or no longer.", headers=headers)
        return found

    def _take(self, caller: str, address: str) -> None:
        if not self._config.rate_loopback and is_loopback(address):
            return
        seconds = self._buckets.wait(caller)
        if seconds:
            wait = str(int(seconds) + 1)
            raise Problem(429, "too-many-requests", f"Ask again in {wait} s.", headers={"Retry-After": wait})


class _Exchange:
    """The answer to one request, as it goes out."""

    def __init__(self, scope: Scope, headers: dict[bytes, bytes], send: Send) -> None:
        self._scope = scope
        self._send = send
        self.status = 0
        given = headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        self._head = scope["method"] == "HEAD"
        if self._head:
            scope["method"] = "GET"
        path = scope["path"]
        scope["state"] = {**scope.get("state", {}), "request_id": self.request_id, "path": path, "prefix": ""}
        if path.startswith(PREFIX + "/"):
            scope["state"]["prefix"] = PREFIX
            scope["path"] = path[len(PREFIX) :]
            raw = scope.get("raw_path") or b""
            if raw.startswith(PREFIX.encode()):
                scope["raw_path"] = raw[len(PREFIX) :]

    def route(self) -> str:
        """The template of the route, such as /patterns/{pattern_id}; `other` where there is none."""
        known = self._scope["state"].get("route")
        return str(known or getattr(self._scope.get("route"), "path", "other"))

    async def send(self, message: Message) -> None:
        """What the routes send, with what every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in SECURITY if name not in there]
            headers.append((b"x-request-id", self.request_id.encode()))
            message = {**message, "headers": headers}
        elif self._head:
            message = {**message, "body": b""}
        await self._send(message)

    async def fail(self, problem: Problem) -> None:
        """Answer with a problem; nothing can be said once an answer has begun."""
        if self.status:
            return
        body = body_of(problem, self._scope["state"]["path"], self.request_id)
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        headers += [
            (b"content-type", MEDIA.encode()), (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]  # fmt: skip
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


class _Limited:
    """What a caller sends, up to a number of bytes."""

    def __init__(self, receive: Receive, most: int, announced: bytes | None) -> None:
        self._receive = receive
        self._most = most
        self._read = 0
        if announced is not None and announced.isdigit() and int(announced) > most:
            raise self._too_large()

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise self._too_large()
        return message

    def _too_large(self) -> Problem:
        return Problem(413, "too-large", f"A request may have {self._most} bytes.", headers={"Connection": "close"})


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own; what is no address (a socket, a test) counts as one.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("192.0.2.1"), is_loopback("")
    (True, True, False, True)
    """
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True


def segments(scope: Scope) -> list[str]:
    """The path's parts, each decoded by itself: an encoded slash is part of a name.

    >>> segments({"raw_path": b"/series/a%2Fb/m/points", "path": "/series/a/b/m/points"})
    ['series', 'a/b', 'm', 'points']
    """
    raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    return [unquote(part) for part in raw.split("/")[1:]]
