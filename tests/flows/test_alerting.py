"""Settings of alerts, who they make, and the command that writes Alertmanager's configuration."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows import alert_settings
from flows.alerting import alert_sender
from flows.commands import alerts
from flows.settings import Settings, SettingsError, load
from operators.episodes import SEVERITIES
from sinks.prometheus import Metrics
from tests.notices import notice
from tests.sinks.receiver import receiver

HOOK = "https://hooks.example/T0/s3cret"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env


def test_severities_are_those_of_patterns() -> None:
    assert alert_settings.LOUD == SEVERITIES


def test_secrets_are_shown_nowhere() -> None:
    settings = load(
        env_file=None,
        alertmanager_urls="http://ada:s3cret@am:9093/,https://am-2",
        response_webhook_url=HOOK,
        response_webhook_secret="s3cret",
        alert_webhook_url=HOOK,
    )
    assert settings.alertmanager_urls == ("http://ada:s3cret@am:9093", "https://am-2")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings.public())
    assert settings.public()["alertmanager_urls"] == ("http://***@am:9093", "https://am-2")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("alertmanager_urls", "http://a:s3cret@b,ftp://c:s3cret@d", "must be URLs that start with http"),
        ("alertmanager_urls", "am:9093", "must be URLs that start with http"),
        ("response_webhook_url", "s3cret", "must be a URL that starts with http"),
        ("alert_webhook_url", "http://a:s3cret@b", "must not hold a password"),
        ("response_severities", "critical,loud", "must be severities (info, low"),
        ("runbook_base_url", "https://x/'y", "without spaces, quotes"),
        ("alert_email_smarthost", "mail", "must be HOST:PORT"),
        ("alert_resend_seconds", "0", "must be at least 1"),
    ],
)
def test_a_wrong_setting_is_one_line_without_secrets(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(env_file=None, **{name: value})
    assert says in caught.value.message
    assert "s3cret" not in caught.value.message


def test_core_settings_stand_first() -> None:
    names = list(Settings.model_fields)
    assert names[0] == "database_url"
    assert names.index("alertmanager_urls") > names.index("git_repository")


def test_without_settings_nothing_is_sent() -> None:
    with alert_sender(load(env_file=None), Metrics()) as sender:
        assert sender.offer([notice(severity="critical")]) == []
        assert sender.waiting == 0


def test_a_response_is_a_dry_run_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    with receiver() as hook, receiver() as am:
        settings = load(env_file=None, response_webhook_url=hook.url, alertmanager_urls=am.url)
        with alert_sender(settings, metrics) as sender:
            sender.offer([notice(severity="critical")])
        assert (len(hook.posts), len(am.posts)) == (0, 1)
    assert "dry run" in caplog.text
    assert metrics.registry.get_sample_value("hindsight_responses_total", {"outcome": "dry_run"}) == 1
    with pytest.raises(SettingsError, match="ANALYTICS_RESPONSE_WEBHOOK_SECRET is needed"):
        alert_sender(load(env_file=None, response_webhook_url=HOOK, response_dry_run=False), metrics)


def test_the_configuration_is_printed_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_ALERT_SLACK_URL_FILE", "/run/secrets/slack")
    printed = CliRunner().invoke(alerts.command, ["config"])
    assert printed.exit_code == 0
    done = CliRunner().invoke(alerts.command, ["config", "--output", str(tmp_path / "new")])
    assert done.exit_code == 0
    assert (tmp_path / "new/alertmanager.yml").read_text() == printed.stdout
    assert 'api_url_file: "/run/secrets/slack"' in printed.stdout
    for name in ("templates/hindsight.tmpl", "rules/alerts.yml", "rules/recording.yml"):
        assert (tmp_path / "new" / name).exists()
    monkeypatch.setattr(alerts, "DOCKER", tmp_path / "none")
    done = CliRunner().invoke(alerts.command, ["config", "--output", str(tmp_path)])
    assert done.exit_code == 1
    assert "not here" in done.output


def test_a_test_needs_an_alertmanager() -> None:
    done = CliRunner().invoke(alerts.command, ["test"])
    assert done.exit_code == 2
    assert "ANALYTICS_ALERTMANAGER_URLS" in done.output


def test_an_alertmanager_that_refuses_is_named() -> None:
    with receiver() as am:
        am.answer = lambda body: (401, "who are you")
        done = CliRunner().invoke(alerts.command, ["test", "--url", am.url.replace("http://", "http://a:s3cret@")])
    assert done.exit_code == 1
    assert f"FAIL  {am.url}: status 401: who are you" in done.output
    assert "s3cret" not in done.output
