"""Sending JSON to a URL that may hold a secret: time limits, short retries, and messages that give nothing away."""

import errno
import os
import re
from collections.abc import Mapping
from typing import NamedTuple

import urllib3
from urllib3.util import Retry, Timeout, make_headers, parse_url

CONNECT_S, READ_S = 3.0, 10.0
"""Time limits of a request in seconds."""
RETRIED = (502, 503, 504)
"""Statuses of a proxy whose server is just being changed: tried again at once, twice."""
MOST_ANSWER = 300
"""Characters of an answer that are shown."""


class PostError(Exception):
    """Nothing came back; the message is a few words without the URL."""


class Answer(NamedTuple):
    """What came back: the status, and the beginning of the body in one line."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether it was accepted."""
        return 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether the same request would be refused again: its content is wrong, not its time or its sender."""
        return self.status in (400, 413, 422)


class Endpoint:
    """A URL and a connection that is kept. May be used by several threads.

    A user and password in the URL go into a header, and are part of neither `name` nor any message.

    >>> Endpoint("https://ada:s3cret@hooks.example:8443/T0/secret").name
    'https://hooks.example:8443'
    """

    def __init__(self, url: str, path: str = "") -> None:
        parts = parse_url(url)
        if parts.scheme not in ("http", "https") or not parts.host:
            raise ValueError("must be a URL that starts with http:// or https://")
        self.name = f"{parts.scheme}://{parts.netloc}"
        """Scheme, host and port: fit for a log and a label."""
        self._url = f"{self.name}{(parts.path or '').rstrip('/') if path else parts.path or '/'}{path}"
        if parts.query and not path:
            self._url += f"?{parts.query}"
        self._headers = {"Content-Type": "application/json", "User-Agent": "hindsight"}
        if parts.auth:
            self._headers |= make_headers(basic_auth=parts.auth)
        # A broken connection is the caller's to repeat: urllib3 would log the URL, which may be the secret.
        self._pool = urllib3.PoolManager(
            maxsize=2,
            timeout=Timeout(connect=CONNECT_S, read=READ_S),
            retries=Retry(
                total=2, connect=0, read=0, redirect=0, other=0, status=2, status_forcelist=RETRIED, backoff_factor=0.2,
                allowed_methods=None, raise_on_status=False, raise_on_redirect=False, respect_retry_after_header=False,
            ),
        )  # fmt: skip

    def post(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send it, at most `CONNECT_S` + `READ_S` seconds for each of at most three attempts.

        :raises PostError: when nothing came back.
        """
        return self._request("POST", self._url, body, headers)

    def get(self, query: str = "") -> tuple[Answer, bytes]:
        """What stands there, with a query such as `?a=b`; the whole body too.

        :raises PostError: when nothing came back.
        """
        try:
            response = self._pool.request("GET", self._url + query, headers=self._headers)
        except urllib3.exceptions.HTTPError as problem:
            raise PostError(words(problem)) from None
        return Answer(response.status, _start(response.data)), response.data

    def _request(self, method: str, url: str, body: bytes, headers: Mapping[str, str] | None) -> Answer:
        try:
            response = self._pool.request(method, url, body=body, headers={**self._headers, **(headers or {})})
        except urllib3.exceptions.HTTPError as problem:
            raise PostError(words(problem)) from None
        return Answer(response.status, _start(response.data))

    def close(self) -> None:
        """End the connections."""
        self._pool.clear()


def _start(data: bytes) -> str:
    return re.sub(r"\s+", " ", data[: 4 * MOST_ANSWER].decode("utf-8", "replace")).strip()[:MOST_ANSWER]


def words(problem: BaseException) -> str:
    """What went wrong, without the URL that urllib3's own messages hold.

    >>> words(urllib3.exceptions.ConnectTimeoutError(None, "http://x/secret"))
    'ConnectTimeoutError'
    """
    reason = getattr(problem, "reason", None)
    cause = reason if isinstance(reason, BaseException) else problem
    inner: BaseException | None = cause
    while inner is not None:
        if isinstance(inner, OSError) and inner.errno is not None and inner.errno in errno.errorcode:
            return os.strerror(inner.errno)
        inner = inner.__cause__ or inner.__context__
    return type(cause).__name__
