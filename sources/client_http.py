"""Batches of :class:`sources.client.Client` over HTTP: `POST /api/v1/events`, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sources.client_outcomes import Denied, Refused, TooLarge, TryAgain

PATH = "/api/v1/events"
MOST_ANSWER = 16 << 20
"""Bytes of an answer that are read."""
AGAIN = (408, 425, 429)
"""Statuses besides 5xx after which the same request may succeed."""
MOST_PAUSE = 60.0
"""Seconds of a `Retry-After` that are waited, at most."""


class HttpTransport:
    """To one API, on a connection that is kept. `timeout`: seconds for a whole exchange."""

    def __init__(self, url: str, token: str | None, timeout: float, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address such as http://localhost:8000")
        self._host, self._port, self._tls = parts.hostname, parts.port, parts.scheme == "https"
        self._path = parts.path.rstrip("/") + PATH
        self._context = context
        self._timeout = timeout
        self._headers = {"Content-Type": "application/cloudevents-batch+json", "User-Agent": "hindsight-client"}
        if token:
            if not token.isascii() or not token.isprintable():
                raise ValueError("the token holds characters that a header can't")
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection: http.client.HTTPConnection | None = None

    def post(self, lines: Sequence[bytes]) -> Mapping[int, Refused]:
        """As :meth:`sources.client_outcomes.Transport.post`."""
        body = b"[" + b",".join(lines) + b"]"
        try:
            status, after, raw = self._exchange(body)
        except (OSError, http.client.HTTPException) as problem:
            self.close()
            raise TryAgain(f"{type(problem).__name__}: {problem}") from None
        if status == 202:
            return _results(raw, len(lines))
        text = f"{status} {_detail(raw)}".rstrip()
        if status == 413:
            raise TooLarge(text)
        if status >= 500 or status in AGAIN:
            raise TryAgain(text, after)
        raise Denied(text)

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes) -> tuple[int, float, bytes]:
        until = time.monotonic() + self._timeout
        connection = self._connection or self._connect()
        self._connection = connection
        connection.request("POST", self._path, body, self._headers)
        answer = connection.getresponse()
        parts, size = [], 0
        while part := answer.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > MOST_ANSWER or time.monotonic() > until:
                raise OSError("the answer is too long, or takes too long")
        if answer.length:
            raise OSError("the answer broke off")
        answer.close()  # read1 does not notice the end; without this the connection takes no next request
        if answer.will_close:
            self.close()
        return answer.status, _pause(answer.getheader("Retry-After")), b"".join(parts)

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


def _results(raw: bytes, count: int) -> dict[int, Refused]:
    """Which events an answer refuses. An answer that does not speak of each of them is none: `TryAgain`."""
    try:
        answer = json.loads(raw)
        results = answer["results"]
        if sorted(one["index"] for one in results) != list(range(count)):
            raise ValueError("other events")
        return {
            one["index"]: Refused(str(one.get("reason")), str(one.get("detail")))
            for one in results
            if one["status"] != "accepted"
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TryAgain("the answer does not say what became of the events: is this Hindsight's API?") from None


def _detail(raw: bytes) -> str:
    """What a problem detail says, in one line."""
    try:
        problem: Any = json.loads(raw)
        return " ".join(str(problem.get("detail") or problem.get("title") or "").split())[:300]
    except (ValueError, AttributeError, RecursionError):
        return ""


def _pause(text: str | None) -> float:
    try:
        return min(max(float(text or 0), 0.0), MOST_PAUSE)
    except ValueError:  # a date, which Hindsight's API never sends
        return 0.0
