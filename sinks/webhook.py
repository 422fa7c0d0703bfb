"""Automated responses: a signed request to a URL of yours when an incident is bad enough, and when it is over.

By default a dry run: what would be sent is logged and counted, and nothing leaves. docs/alerts.md shows how to verify a
request.
"""

import hashlib
import hmac
import logging
import random
import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import msgspec

from operators.alerts import Links, runbook_url
from operators.episodes import SEVERITIES, Severity
from operators.identity import identity
from operators.notices import Notice
from sinks.posting import Endpoint, PostError

log = logging.getLogger(__name__)

TIMESTAMP, SIGNATURE, KEY = "Hindsight-Timestamp", "Hindsight-Signature", "Idempotency-Key"
"""Names of the headers."""
VERSION = "v1"
"""What the signature's header starts with; another way of signing would be another version."""
MOST_WAITING = 1000
"""Requests that wait; one more is refused, logged and counted as failed."""
MOST_KNOWN = 10_000
"""Incidents that are remembered as asked for; the receiver's idempotency key takes care of the rest."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Seconds before a failed request is repeated: doubled each time, give or take a fifth."""
GIVE_UP_S = 900.0
"""Seconds after which a response comes too late to be right; it is given up, logged and counted as failed."""

Event = Literal["opened", "rose", "resolved"]
Outcome = Literal["sent", "failed", "dry_run"]


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of the signature's header: HMAC-SHA256 (RFC 2104) over timestamp, a dot and the body, in hex.

    >>> sign("secret", "1767608130", b"{}")[:16]
    'v1=257c513e5a9f0'
    """
    made = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"{VERSION}={made.hexdigest()}"


class _Request(NamedTuple):
    key: str
    event: Event
    notice: Notice
    body: bytes
    asked_s: float  # of the monotonic clock


class Responder:
    """Asks a URL to respond to incidents of some severities; one request for each of "opened", "rose" and "resolved".

    A thread of its own sends, in order, and repeats what fails (no answer, 5xx, 408, 425, 429) until `GIVE_UP_S`; any
    other status is an answer. A request that is repeated, here or after a restart, keeps its idempotency key; its
    timestamp and signature are new.

    :raises ValueError: when the URL is none, or there is no secret and this is no dry run.
    """

    def __init__(
        self, url: str, secret: str, *, severities: Sequence[Severity] = ("critical",), dry_run: bool = True,
        links: Links | None = None, on_outcome: Callable[[Outcome], object] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        if not secret and not dry_run:
            raise ValueError("a response needs a secret to be signed with")
        self._endpoint = Endpoint(url)
        self._secret = secret
        self._severities = frozenset(severities)
        self._dry_run = dry_run
        self._links = links or Links()
        self._on_outcome = on_outcome
        self._clock = clock
        self._asked: OrderedDict[uuid.UUID, Severity] = OrderedDict()
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="responses", daemon=True)
        self._thread.start()

    def offer(self, notices: Sequence[Notice]) -> None:
        """Take in how incidents stand; what asks for a response is queued, or logged in a dry run. Never waits."""
        for notice in notices:
            event = self._event(notice)
            if event is not None:
                self._ask(event, notice)

    def _event(self, notice: Notice) -> Event | None:
        before = self._asked.get(notice.incident_id)
        if notice.ended_us is not None or notice.inhibited is not None:
            return None if self._asked.pop(notice.incident_id, None) is None else "resolved"
        if notice.severity not in self._severities:
            return None
        if before is not None and SEVERITIES.index(notice.severity) <= SEVERITIES.index(before):
            return None
        self._asked[notice.incident_id] = notice.severity
        while len(self._asked) > MOST_KNOWN:
            self._asked.popitem(last=False)
        return "opened" if before is None else "rose"

    def _ask(self, event: Event, notice: Notice) -> None:
        turn = notice.ended_us if event == "resolved" else notice.severity
        key = str(identity("response", f"{notice.incident_id}\0{event}\0{turn}"))
        told = {
            "event": event,
            "idempotency_key": key,
            "runbook_url": runbook_url(notice.pattern_class, self._links),
            "incident": notice,
        }
        body = msgspec.json.encode(told)
        if self._dry_run:
            log.info(
                "dry run: would ask %s to respond: incident %s %s (%s, %s), %d bytes, key %s",
                self._endpoint.name, notice.incident_id, event, notice.severity, notice.entity, len(body), key,
            )  # fmt: skip
            self._on_outcome("dry_run")
            return
        with self._changed:
            full = len(self._waiting) >= MOST_WAITING
            if not full:
                self._waiting.append(_Request(key, event, notice, body, time.monotonic()))
                self._changed.notify_all()
        if full:
            self._failed(event, notice.incident_id, "too many requests wait")

    def close(self, timeout_s: float = 5.0) -> None:
        """Send what waits, for at most so many seconds, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            left = len(self._waiting)
        if left:
            log.error("%d responses were not asked for: %s did not answer", left, self._endpoint.name)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    self._endpoint.close()
                    return
                request = self._waiting[0]
            problem = self._attempt(request)
            if problem is None:
                pause_s = FIRST_PAUSE_S
            elif time.monotonic() - request.asked_s >= GIVE_UP_S:
                self._failed(request.event, request.notice.incident_id, f"{problem}, given up")
            else:
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait_for(lambda: self._closing, pause_s * random.uniform(0.8, 1.2))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            with self._changed:
                self._waiting.popleft()

    def _attempt(self, request: _Request) -> str | None:
        """None when it has its answer, else what went wrong."""
        timestamp = str(int(self._clock()))
        headers = {KEY: request.key, TIMESTAMP: timestamp, SIGNATURE: sign(self._secret, timestamp, request.body)}
        try:
            answer = self._endpoint.post(request.body, headers)
        except PostError as problem:
            return str(problem)
        if answer.ok:
            log.info(
                "asked %s to respond: incident %s %s", self._endpoint.name, request.notice.incident_id, request.event
            )
            self._on_outcome("sent")
        elif answer.status >= 500 or answer.status in (408, 425, 429):
            return f"status {answer.status}"
        else:
            self._failed(request.event, request.notice.incident_id, f"status {answer.status}: {answer.text}")
        return None

    def _failed(self, event: Event, incident: uuid.UUID, why: str) -> None:
        log.error("no response to incident %s %s by %s: %s", incident, event, self._endpoint.name, why)
        self._on_outcome("failed")
