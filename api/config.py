"""What an API process is told from outside."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

Progress = Callable[[float], None]
"""Told the share of the work that is done, 0 to 1; raises `Stopped` where the work shall end."""


class Stopped(Exception):
    """The work is no longer wanted."""


class Analyse(Protocol):
    """The work of an analysis: called in a process of its own, so it must be a function of a module."""

    def __call__(self, url: str, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """What was found, as JSON can hold it."""


class ApiConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and switches; times in seconds, sizes in bytes. 0 = no limit, where a limit may be left out."""

    pool_size: int = 16
    """Connections to the database, and so requests that are worked on at a time."""
    query_seconds: float = 10.0
    """Longest that a statement may take."""
    cache_seconds: float = 1.0
    """How long an answer is given again. 0 = each is made anew."""
    require_token: bool = False
    """Whether reading takes a token too."""
    most_body: int = 8 * 1024 * 1024
    body_seconds: float = 20.0
    """Longest that a request's body may take to arrive."""
    most_events: int = 10_000
    """Events in one request."""
    rate: float = 50.0
    """Requests a second of one token or address in the long run."""
    burst: int = 200
    """Requests that may come at once."""
    rate_loopback: bool = False
    """Whether callers on the same machine are limited in rate too."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may read; none by default."""
    stream_clients: int = 500
    """Live streams at a time."""
    flow_metrics: tuple[str, ...] = ()
    """Addresses at which flows serve their metrics."""
    topic_prefix: str = "hindsight"
    most_record: int = 1_048_576
    future_s: float = 300.0
    analyses_waiting: int = 20
    """Analyses that may wait or run; one more is refused."""
    analyses_days: int = 90
    """How long they are kept."""
    lease_seconds: float = 15.0
    """An analysis whose process was silent for so long is begun again."""
