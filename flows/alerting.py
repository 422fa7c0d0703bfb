"""From the settings to who sends alerts, and a test notice to try it."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlencode

import msgspec

from flows.settings import Settings, SettingsError, variable
from operators.alerts import Links, Stage, alert, identity_labels
from operators.notices import Evidence, Notice
from sinks.alert_book import Accepted
from sinks.alerts import PATH, AlertSender
from sinks.posting import Endpoint, PostError
from sinks.webhook import Responder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from operators.episodes import Severity
    from sinks.prometheus import Metrics

LOOK_S = 5.0
"""Seconds for which Alertmanager is asked what became of a test notice."""


def links(settings: Settings) -> Links:
    """Where the pages are that alerts point to."""
    return Links(settings.runbook_base_url, settings.incident_base_url or None)


def alert_sender(
    settings: Settings, metrics: Metrics, on_accepted: Callable[[Accepted], object] = lambda _: None
) -> AlertSender:
    """The sender that the settings ask for, not yet started: use it as a context manager.

    :raises SettingsError: when responses are to be sent and there is no secret.
    """
    listeners = []
    if settings.response_webhook_url:
        if not settings.response_dry_run and not settings.response_webhook_secret:
            raise SettingsError(
                f"setting {variable('response_webhook_secret')} is needed when {variable('response_dry_run')} is false"
            )
        listeners.append(
            Responder(
                settings.response_webhook_url,
                settings.response_webhook_secret,
                severities=cast("Sequence[Severity]", settings.response_severities),
                dry_run=settings.response_dry_run,
                links=links(settings),
                on_outcome=metrics.responded,
            )
        )
    return AlertSender(
        settings.alertmanager_urls,
        resend_s=settings.alert_resend_seconds,
        escalate_s=settings.alert_escalate_seconds,
        most=settings.alert_queue_incidents,
        links=links(settings),
        metrics=metrics,
        on_accepted=on_accepted,
        listeners=listeners,
    )


class Tried(NamedTuple):
    """What became of a test notice at one Alertmanager. `receivers`: who it is for, by the running configuration."""

    target: str
    ok: bool
    words: str
    receivers: tuple[str, ...] = ()


def test_notice(severity: Severity, now_us: int) -> Notice:
    """An incident that is none, to see what a notification looks like."""
    shown = Evidence(
        uuid.uuid4(), "hindsight-test", "duration_s", "spike", "failure_mode_classification", severity,
        0.97, 812.0, 300.0, 420.0, now_us, "",
    )  # fmt: skip
    return Notice(
        uuid.uuid4(),
        "This is a test of Hindsight's alerts",
        "Somebody ran `hindsight alerts test`. Nothing is wrong, and it ends by itself.",
        "hindsight-test",
        "error",
        "failure_mode_classification",
        severity,
        0.97,
        now_us,
        now_us,
        None,
        1,
        1,
        (shown,),
        (("hindsight-test", 1.0),),
        ("none: this is a test",),
    )


def try_alerts(settings: Settings, severity: Severity, lasts_s: float, escalated: bool = False) -> list[Tried]:
    """Send a test notice to each Alertmanager, and ask what became of it."""
    now_us = time.time_ns() // 1000
    notice = test_notice(severity, now_us)
    made = alert(
        identity_labels(notice),
        Stage(severity, escalated),
        notice,
        now_us,
        now_us + int(lasts_s * 1e6),
        links(settings),
    )
    return [_try(url, msgspec.json.encode([made]), notice.incident_id) for url in settings.alertmanager_urls]


def _try(url: str, body: bytes, incident: uuid.UUID) -> Tried:
    target = Endpoint(url, PATH)
    try:
        answer = target.post(body)
        if not answer.ok:
            return Tried(target.name, False, f"status {answer.status}: {answer.text}")
        return _look(target, incident)
    except PostError as problem:
        return Tried(target.name, False, str(problem))
    finally:
        target.close()


def _look(target: Endpoint, incident: uuid.UUID) -> Tried:
    """Alertmanager answers before it knows to whom an alert goes: ask until it does."""
    query = urlencode({"filter": f'incident_id="{incident}"'})
    until = time.monotonic() + LOOK_S
    while time.monotonic() < until:
        answer, data = target.get(f"?{query}")
        if answer.ok and (found := json.loads(data)):
            state = found[0]["status"]
            if state["state"] != "unprocessed":
                receivers = tuple(one["name"] for one in found[0]["receivers"])
                muted = " by a silence or another alert" if state["state"] == "suppressed" else ""
                return Tried(target.name, True, f"accepted, {state['state']}{muted}", receivers)
        time.sleep(0.1)
    return Tried(target.name, False, "accepted, but not seen among its alerts")
