"""The settings of alerts: part of `flows.settings.Settings`, in a file of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

SECRETS = frozenset({"response_webhook_url", "response_webhook_secret", "alert_webhook_url"})
"""Fields that are never shown: a webhook's URL often is the secret."""

LOUD = ("info", "low", "medium", "high", "critical")
"""The severities, rising."""


class AlertSettings(BaseSettings):
    """What is told to whom: Alertmanagers, automated responses, and the receivers of `hindsight alerts config`."""

    # --- alerts
    alertmanager_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Alertmanagers that incidents are sent to, each of them all, separated by commas, such as "
        "`http://am-1:9093,http://am-2:9093`. Empty: nothing is sent. A password in one is never shown.",
    )
    alert_resend_seconds: float = Field(
        60.0,
        ge=1,
        le=3600,
        description="Seconds between two sendings of an alert that lasts; unsent for five times as long, it resolves.",
    )
    alert_escalate_seconds: float = Field(
        1800.0,
        ge=0,
        le=604_800,
        description="Age in seconds at which an incident of severity high or critical is escalated; 0 = never.",
    )
    alert_queue_incidents: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Incidents that are open or unsent at most; more are refused and counted.",
    )
    runbook_base_url: str = Field(
        "docs/runbooks",
        min_length=1,
        description="Where the runbooks are: what `runbook_url` starts with. Default: their path in the repository.",
    )
    incident_base_url: str = Field(
        "", description="Page of an incident without its id, for the link in an alert to its origin. Empty: no link."
    )

    # --- automated responses
    response_webhook_url: str = Field(
        "", description="URL that is asked for automated responses (docs/alerts.md). Empty: none. Never shown."
    )
    response_webhook_secret: str = Field(
        "",
        description="Key of the signature (HMAC-SHA256) of these requests; needed unless it is a dry run. Never shown.",
    )
    response_dry_run: bool = Field(True, description="Only log and count what would be asked. `false`: really send it.")
    response_severities: Annotated[tuple[str, ...], NoDecode] = Field(
        ("critical",), description="Severities of incidents that ask for an automated response, separated by commas."
    )

    # --- receivers of Alertmanager: `hindsight alerts config` writes them
    alert_slack_url_file: str = Field(
        "", description="File, as Alertmanager sees it, that holds the URL of a Slack webhook. Empty: no Slack."
    )
    alert_slack_channel: str = Field("", description="Slack channel, such as `#ops`. Empty: the webhook's own.")
    alert_email_to: str = Field(
        "", description="Addresses that get alerts by e-mail, separated by commas. Empty: no e-mail."
    )
    alert_email_escalation_to: str = Field(
        "", description="Addresses that get escalated alerts by e-mail. Empty: those of `ANALYTICS_ALERT_EMAIL_TO`."
    )
    alert_email_from: str = Field("hindsight@localhost", min_length=1, description="Sender of the e-mails.")
    alert_email_smarthost: str = Field(
        "localhost:25", description="Mail server, `HOST:PORT`. TLS is required unless it is on this machine."
    )
    alert_email_username: str = Field("", description="User at the mail server. Empty: no login.")
    alert_email_password_file: str = Field(
        "", description="File, as Alertmanager sees it, that holds the password at the mail server."
    )
    alert_webhook_url: str = Field(
        "", description="URL that Alertmanager posts its notifications to. Empty: no webhook. Never shown."
    )
    alert_webhook_token_file: str = Field(
        "", description="File, as Alertmanager sees it, with a bearer token for that webhook. Empty: none."
    )

    @field_validator("alertmanager_urls", mode="before")
    @classmethod
    def _url_list(cls, value: object) -> object:
        if isinstance(value, str):
            value = [url.strip().rstrip("/") for url in value.split(",") if url.strip()]
        if isinstance(value, Iterable):
            value = tuple(value)
            for url in value:
                _check_url(str(url), "must be URLs that start with http:// or https://, separated by commas")
        return value

    @field_validator("response_webhook_url", "alert_webhook_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value:
            _check_url(value, "must be a URL that starts with http:// or https://")
        return value

    @field_validator("alert_webhook_url")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if value and parse_url(value).auth:
            raise ValueError("must not hold a password; put a token in a file: ANALYTICS_ALERT_WEBHOOK_TOKEN_FILE")
        return value

    @field_validator("response_severities", mode="before")
    @classmethod
    def _severities(cls, value: object) -> object:
        if isinstance(value, str):
            value = [word.strip().lower() for word in value.split(",") if word.strip()]
        if isinstance(value, Iterable):
            value = tuple(value)
            if not set(value) <= set(LOUD):
                raise ValueError(f"must be severities ({', '.join(LOUD)}) separated by commas")
        return value

    @field_validator("runbook_base_url", "incident_base_url")
    @classmethod
    def _base(cls, value: str) -> str:
        if re.search(r"[\s\"'`{}<>]", value):
            raise ValueError("must be a URL or a path without spaces, quotes and brackets")
        return value.rstrip("/")

    @field_validator("alert_email_smarthost")
    @classmethod
    def _host_port(cls, value: str) -> str:
        if not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]{1,5}", value):
            raise ValueError("must be HOST:PORT")
        return value


def _check_url(url: str, rule: str) -> None:
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise ValueError(rule) from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError(rule)


def redact(field: str, value: Any) -> Any:
    """A field's value as it may be shown.

    >>> redact("alertmanager_urls", ("http://ada:s3cret@am:9093",))
    ('http://***@am:9093',)
    >>> redact("response_webhook_url", "https://hooks.example/T0/secret"), redact("response_webhook_url", "")
    ('***', '')
    """
    if field in SECRETS:
        return "***" if value else value
    if field == "alertmanager_urls":
        if isinstance(value, str):
            return re.sub(r"(://)[^,]*@", r"\1***@", value)
        return tuple(redact(field, str(url)) for url in value)
    return value
