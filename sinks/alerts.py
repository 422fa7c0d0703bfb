"""Incidents to Alertmanager: one alert an incident, sent again while it lasts, and its end.

    notices → `AlertSender.offer` → `sinks.alert_book.Book` → a thread for each Alertmanager → POST /api/v2/alerts

The caller never waits. What an Alertmanager does not take is tried again with growing pauses, for as long as it needs;
meanwhile only the latest state of each incident is kept, so an outage costs no more memory than the incidents that are
open or ended in it. What was not sent when the process ends is lost here: the caller knows from `on_accepted` what was,
and offers the rest again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

from operators.alerts import Links
from operators.notices import Notice
from sinks.alert_book import Accepted, Book, Due
from sinks.posting import Endpoint, PostError

log = logging.getLogger(__name__)

PATH = "/api/v2/alerts"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""Seconds before a failed request is repeated: doubled each time, give or take a fifth."""
TICK_S = 1.0
"""Seconds between two looks at what is due for sending again, or old enough to escalate."""


class AlertMetrics(Protocol):
    """What is counted: see `sinks.prometheus.Metrics`."""

    def alerts_posted(self, target: str, alerts: int, ok: bool) -> None:
        """A request with so many alerts was accepted, or not."""

    def alert_accepted(self, seconds: float) -> None:
        """A start, a rise or an end is with every Alertmanager, so long after it was decided."""

    def alerts_waiting(self, incidents: int) -> None:
        """So many incidents have news that not every Alertmanager has."""

    def alert_refused(self) -> None:
        """There was no room for an incident."""


class Listener(Protocol):
    """Who is given the same notices, such as `sinks.webhook.Responder`."""

    def offer(self, notices: Sequence[Notice]) -> None:
        """Take them, at once."""

    def close(self, timeout_s: float) -> None:
        """End, after at most so many seconds."""


class NoMetrics:
    """Counts nothing."""

    def alerts_posted(self, target: str, alerts: int, ok: bool) -> None:
        """Nothing."""

    def alert_accepted(self, seconds: float) -> None:
        """Nothing."""

    def alerts_waiting(self, incidents: int) -> None:
        """Nothing."""

    def alert_refused(self) -> None:
        """Nothing."""


class AlertSender:
    """Sends notices to every Alertmanager of a list. A context manager; threads start with the block.

    `urls`: Alertmanagers, such as `http://am-1:9093`; a path before `/api` and a user with a password may be in them.
    None at all is allowed: then nothing is sent. `resend_s`: an alert that lasts is sent again so often; it lapses by
    itself after five times as long. `escalate_s`: age at which an incident that pages is escalated, 0 = never. `most`:
    incidents that are kept at once. `on_accepted`: called from a sender's thread with what every Alertmanager now has.

    Does not work well with thousands of incidents at a time (each is sent again every `resend_s`): group them before.

    >>> with AlertSender([]) as sender:
    ...     sender.offer([])
    []
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        resend_s: float = 60.0,
        escalate_s: float = 0.0,
        most: int = 10_000,
        links: Links | None = None,
        metrics: AlertMetrics | None = None,
        on_accepted: Callable[[Accepted], object] = lambda _: None,
        listeners: Iterable[Listener] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._targets = [Endpoint(url, PATH) for url in dict.fromkeys(urls)]
        self._book = Book(
            len(self._targets),
            resend_us=int(resend_s * 1e6),
            escalate_us=int(escalate_s * 1e6),
            most=most,
            links=links,
        )
        self._metrics: AlertMetrics = metrics or NoMetrics()
        self._on_accepted = on_accepted
        self._listeners = tuple(listeners)
        self._clock = clock
        self._tick_s = min(TICK_S, resend_s / 4)
        self._changed = threading.Condition()
        self._news = [False] * len(self._targets)
        self._full = False
        self._deadline: float | None = None  # of the monotonic clock, once closing
        self._threads = [
            threading.Thread(target=self._run, args=(place, target), name=f"alerts-{place}", daemon=True)
            for place, target in enumerate(self._targets)
        ]

    def __enter__(self) -> Self:
        for target in self._targets:
            for ok in (True, False):
                self._metrics.alerts_posted(target.name, 0, ok)  # counters start at 0, or their first rise is not seen
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Incidents with news that not every Alertmanager has."""
        with self._changed:
            return self._book.waiting

    def offer(self, notices: Sequence[Notice]) -> list[Notice]:
        """Take in how incidents stand; never waits for a network.

        Returns those for which there was no room, to be offered again: only incidents that were not known, never the
        end of one that is. Safe from any thread.
        """
        for listener in self._listeners:
            listener.offer(notices)
        if not self._targets or not notices:
            return []
        now_us = self._now_us()
        with self._changed:
            refused = [notice for notice in notices if not self._book.offer(notice, now_us)]
            waiting = self._book.waiting
            self._news = [True] * len(self._targets)
            self._changed.notify_all()
        self._metrics.alerts_waiting(waiting)
        for _ in refused:
            self._metrics.alert_refused()
        if refused and not self._full:
            log.error("no room for more incidents: %d of %d are not sent", len(refused), len(notices))
        self._full = bool(refused)
        return refused

    def close(self, timeout_s: float = 5.0) -> int:
        """Send what is due, for at most so many seconds, and end. Returns the incidents with news that were not sent.

        What lasts is left as it is: it lapses by itself, or is sent again by the next process.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._deadline = deadline
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        for listener in self._listeners:
            listener.close(max(0.0, deadline - time.monotonic()))
        left = self.waiting
        if left:
            log.warning("%d incidents with news that not every Alertmanager has", left)
        return left

    def _now_us(self) -> int:
        return int(self._clock() * 1e6)

    def _run(self, place: int, target: Endpoint) -> None:
        pause_s = FIRST_PAUSE_S
        away = False
        while (dues := self._wait(place)) is not None:
            if self._send(place, target, dues, away):
                if away:
                    log.info("Alertmanager %s takes alerts again", target.name)
                away, pause_s = False, FIRST_PAUSE_S
                continue
            away = True
            with self._changed:
                if self._deadline is not None:
                    break
                self._changed.wait_for(lambda: self._deadline is not None, pause_s * random.uniform(0.8, 1.2))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        target.close()

    def _wait(self, place: int) -> list[Due] | None:
        """What is due for an Alertmanager, as soon as something is; None: the end."""
        with self._changed:
            while True:
                self._news[place] = False
                dues = self._book.due(place, self._now_us())
                if self._deadline is not None and (not dues or time.monotonic() >= self._deadline):
                    return None
                if dues:
                    return dues
                self._changed.wait_for(lambda: self._news[place] or self._deadline is not None, self._tick_s)

    def _send(self, place: int, target: Endpoint, dues: Sequence[Due], away: bool) -> bool:
        """Whether they were taken, or nothing will make them be taken."""
        try:
            answer = target.post(msgspec.json.encode([due.alert for due in dues]))
        except PostError as problem:
            what = str(problem)
        else:
            if answer.ok:
                self._metrics.alerts_posted(target.name, len(dues), True)
                self._delivered(place, dues)
                return True
            what = f"status {answer.status}: {answer.text}"
            if answer.final and len(dues) > 1:  # Alertmanager took those that are right
                return all(self._send(place, target, [due], True) for due in dues)
            if answer.final:
                log.error("Alertmanager %s refuses incident %s: %s", target.name, dues[0].incident_id, what)
                self._metrics.alerts_posted(target.name, 1, False)
                self._delivered(place, dues)
                return True
        self._metrics.alerts_posted(target.name, len(dues), False)
        (log.debug if away else log.warning)("Alertmanager %s: %s; trying again", target.name, what)
        return False

    def _delivered(self, place: int, dues: Sequence[Due]) -> None:
        now_us = self._now_us()
        told: list[tuple[Accepted, int | None]] = []
        with self._changed:
            self._book.delivered(place, dues, now_us, lambda accepted, since: told.append((accepted, since)))
            waiting = self._book.waiting
        self._metrics.alerts_waiting(waiting)
        for accepted, offered_us in told:
            if offered_us is not None:
                self._metrics.alert_accepted((now_us - offered_us) / 1e6)
            try:
                self._on_accepted(accepted)
            except Exception:
                log.exception("noting that incident %s was told", accepted.incident_id)
