"""Alertmanager's configuration from the settings: `hindsight alerts config` prints it.

`docker/alertmanager/alertmanager.yml` is what comes out at the defaults. Secrets are in it by `*_file` alone. The URL
of a webhook can't be (Alertmanager reads it from a file since 0.26): keep secrets out of it, and give it a token file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flows.settings import Settings

HEAD = """\
# Written by `hindsight alerts config` from the settings (docs/alerts.md); changes made here are lost.
"""


class Pace(NamedTuple):
    """How long Alertmanager waits for more of a group, between two messages about it, and before it repeats one."""

    wait: str
    interval: str
    repeat: str


class Paces(NamedTuple):
    """The paces by urgency."""

    critical: Pace = Pace("0s", "1m", "1h")
    escalated: Pace = Pace("0s", "1m", "30m")
    high: Pace = Pace("10s", "1m", "4h")
    ticket: Pace = Pace("1m", "5m", "24h")


DEFAULT = Paces()
"""At once for what is critical or escalated, and again until somebody acts; a ticket once a day."""

_ROUTES = (
    ('severity="info"', "none", "ticket"),
    ('escalated="true"', "escalated", "escalated"),
    ('severity="critical"', "page", "critical"),
    ('severity="high"', "page", "high"),
)
"""Matcher, receiver and pace, the first that matches; anything else is a ticket."""

INHIBIT = """\
inhibit_rules:
  # An incident that got worse: only its latest stage speaks.
  - source_matchers: ['incident_id!=""', 'severity="critical"']
    target_matchers: ['incident_id!=""', 'severity=~"high|medium|low"']
    equal: [incident_id]
  - source_matchers: ['incident_id!=""', 'severity="high"']
    target_matchers: ['incident_id!=""', 'severity=~"medium|low"']
    equal: [incident_id]
  - source_matchers: ['incident_id!=""', 'severity="medium"']
    target_matchers: ['incident_id!=""', 'severity="low"']
    equal: [incident_id]
  - source_matchers: ['incident_id!=""', 'escalated="true"']
    target_matchers: ['incident_id!=""', 'escalated=""']
    equal: [incident_id]
  # Something critical about an entity outranks what is a warning about the same entity.
  - source_matchers: ['entity!=""', 'severity="critical"']
    target_matchers: ['entity!=""', 'severity=~"medium|low"']
    equal: [entity]
  # No data from an entity: anomalies of what it sends follow from that; what is critical is told all the same.
  - source_matchers: ['entity!=""', 'signal="silence"']
    target_matchers: ['entity!=""', 'signal="anomaly"', 'severity!="critical"']
    equal: [entity]
  # A flow that is down or waits for its database falls behind: that is no news.
  - source_matchers: ['alertname=~"HindsightDown|HindsightDatabaseAway"']
    target_matchers:
      - alertname=~"Hindsight(ConsumerLagGrowing|WatermarkStalled|SourceStale|PatternLatencyHigh|WaitsForDatabase)"
    equal: [job]
"""


def configuration(settings: Settings, paces: Paces = DEFAULT) -> str:
    """The YAML text; its templates are those in `templates/` beside it.

    >>> from flows.settings import load
    >>> print(configuration(load(env_file=None, alert_slack_url_file="/run/secrets/slack")).split("receivers:")[1])
    ... # doctest: +ELLIPSIS
    <BLANKLINE>
      - name: none
      - name: ticket
        slack_configs:
          - send_resolved: true
            api_url_file: "/run/secrets/slack"
    ...
    """
    parts = [HEAD, *_global(settings), 'templates: ["templates/*.tmpl"]', "", "route:"]
    parts += ["  receiver: ticket", "  group_by: [alertname, incident_id, entity, job]", *_pace(paces.ticket, "  ")]
    parts.append("  routes:")
    for matcher, receiver, pace in _ROUTES:
        parts += [
            f"    - matchers: ['{matcher}']",
            f"      receiver: {receiver}",
            *_pace(getattr(paces, pace), " " * 6),
        ]
    parts += ["", INHIBIT, "receivers:", "  - name: none"]
    for name in ("ticket", "page", "escalated"):
        parts.append(f"  - name: {name}")
        parts += _slack(settings, name) + _email(settings, name) + _webhook(settings)
    return "\n".join(parts) + "\n"


def files(settings: Settings, docker: Path, paces: Paces = DEFAULT) -> dict[str, str]:
    """All that Alertmanager and Prometheus need, by path. `docker`: the folder of that name in the repository."""
    found = {"alertmanager.yml": configuration(settings, paces)}
    for path in sorted((docker / "alertmanager/templates").glob("*.tmpl")):
        found[f"templates/{path.name}"] = path.read_text(encoding="utf-8")
    for path in sorted((docker / "prometheus/rules").glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        found[f"rules/{path.name}"] = text.replace(
            "runbook_url: docs/runbooks", f"runbook_url: {settings.runbook_base_url}"
        )
    return found


def _pace(pace: Pace, indent: str) -> list[str]:
    return [
        f"{indent}group_wait: {pace.wait}",
        f"{indent}group_interval: {pace.interval}",
        f"{indent}repeat_interval: {pace.repeat}",
    ]


def _global(settings: Settings) -> Iterator[str]:
    yield "global:"
    yield "  resolve_timeout: 5m"
    if settings.alert_email_to:
        local = settings.alert_email_smarthost.rsplit(":", 1)[0] in ("localhost", "127.0.0.1", "[::1]")
        yield f"  smtp_smarthost: {json.dumps(settings.alert_email_smarthost)}"
        yield f"  smtp_from: {json.dumps(settings.alert_email_from)}"
        yield f"  smtp_require_tls: {str(not local).lower()}"
        if settings.alert_email_username:
            yield f"  smtp_auth_username: {json.dumps(settings.alert_email_username)}"
        if settings.alert_email_password_file:
            yield f"  smtp_auth_password_file: {json.dumps(settings.alert_email_password_file)}"
    yield ""


def _slack(settings: Settings, name: str) -> list[str]:
    if not settings.alert_slack_url_file:
        return []
    channel = [f"        channel: {json.dumps(settings.alert_slack_channel)}"] if settings.alert_slack_channel else []
    return [
        "    slack_configs:",
        "      - send_resolved: true",
        f"        api_url_file: {json.dumps(settings.alert_slack_url_file)}",
        *channel,
        "        color: '{{ template \"hindsight.colour\" . }}'",
        "        title: '{{ template \"hindsight.slack.title\" . }}'",
        "        title_link: '{{ template \"hindsight.link\" . }}'",
        "        text: '{{ template \"hindsight.slack.text\" . }}'",
        "        fallback: '{{ template \"hindsight.slack.title\" . }}'",
        f"        footer: {json.dumps('Hindsight: ' + name)}",
        "        mrkdwn_in: [text]",
    ]


def _email(settings: Settings, name: str) -> list[str]:
    to = settings.alert_email_to
    if name == "escalated" and settings.alert_email_escalation_to:
        to = settings.alert_email_escalation_to
    if not to:
        return []
    return [
        "    email_configs:",
        "      - send_resolved: true",
        f"        to: {json.dumps(to)}",
        "        headers: {Subject: '{{ template \"hindsight.title\" . }}'}",
        "        html: '{{ template \"hindsight.html\" . }}'",
        "        text: '{{ template \"hindsight.text\" . }}'",
    ]


def _webhook(settings: Settings) -> list[str]:
    if not settings.alert_webhook_url:
        return []
    token = []
    if settings.alert_webhook_token_file:
        file = json.dumps(settings.alert_webhook_token_file)
        token = [f"        http_config: {{authorization: {{credentials_file: {file}}}}}"]
    return [
        "    webhook_configs:",
        "      - send_resolved: true",
        f"        url: {json.dumps(settings.alert_webhook_url)}",
        *token,
    ]
