"""Alertmanager's configuration: what is checked in is what comes out, who gets what, and how it reads."""

from __future__ import annotations

import itertools
import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.alertmanager import configuration, files
from flows.settings import load
from tests.notices import notice_alert

DOCKER = Path(__file__).parent.parent.parent / "docker"
TEMPLATES = DOCKER / "alertmanager/templates"

pytestmark = pytest.mark.skipif(
    shutil.which("amtool") is None, reason="amtool (package prometheus-alertmanager) is missing"
)

EVERYTHING = {
    "alert_slack_url_file": "/run/secrets/slack",
    "alert_slack_channel": "#ops",
    "alert_email_to": "ops@example.org",
    "alert_email_escalation_to": "boss@example.org",
    "alert_email_from": "hindsight@example.org",
    "alert_email_smarthost": "mail.example.org:587",
    "alert_email_username": "hindsight",
    "alert_email_password_file": "/run/secrets/mail",
    "alert_webhook_url": "https://hooks.example.org/a?b=c",
    "alert_webhook_token_file": "/run/secrets/hook",
}


def amtool(*arguments: str) -> str:
    done = subprocess.run(["amtool", *arguments], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def written(folder: Path, **settings: Any) -> Path:
    for name, text in files(load(env_file=None, **settings), DOCKER).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "alertmanager.yml"


def test_what_is_checked_in_is_the_default() -> None:
    assert (DOCKER / "alertmanager/alertmanager.yml").read_text(encoding="utf-8") == configuration(load(env_file=None))
    amtool("check-config", str(DOCKER / "alertmanager/alertmanager.yml"))


CHANNELS = {"slack": "alert_slack_url_file", "email": "alert_email_to", "webhook": "alert_webhook_url"}


@pytest.mark.parametrize("on", [on for n in range(4) for on in itertools.combinations(CHANNELS, n)], ids="+".join)
def test_each_combination_of_receivers_is_valid(tmp_path: Path, on: tuple[str, ...]) -> None:
    settings = {name: value for name, value in EVERYTHING.items() if any(name.startswith(f"alert_{one}") for one in on)}
    path = written(tmp_path, **settings)
    amtool("check-config", str(path))
    receivers = {one["name"]: one for one in yaml.safe_load(path.read_text())["receivers"]}
    assert set(receivers) == {"none", "ticket", "page", "escalated"}
    for name, receiver in receivers.items():
        has = {key.removesuffix("_configs") for key in receiver if key.endswith("_configs")}
        assert has == (set() if name == "none" else set(on)), name


def test_escalation_goes_to_its_own_address_and_secrets_stay_in_files(tmp_path: Path) -> None:
    text = written(tmp_path, **EVERYTHING).read_text()
    receivers = {one["name"]: one for one in yaml.safe_load(text)["receivers"]}
    assert receivers["page"]["email_configs"][0]["to"] == "ops@example.org"
    assert receivers["escalated"]["email_configs"][0]["to"] == "boss@example.org"
    told = yaml.safe_load(text)["global"]
    assert told["smtp_auth_password_file"] == "/run/secrets/mail"
    assert told["smtp_require_tls"] is True
    assert not {"smtp_auth_password", "slack_api_url"} & set(told)


ROUTES = [
    ({"severity": "critical"}, "page"),
    ({"severity": "high"}, "page"),
    ({"severity": "medium"}, "ticket"),
    ({"severity": "low"}, "ticket"),
    ({"severity": "info"}, "none"),
    ({"severity": "high", "escalated": "true"}, "escalated"),
    ({"severity": "critical", "escalated": "true"}, "escalated"),
    ({}, "ticket"),
]


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["default", "everything"])
@pytest.mark.parametrize(
    "source", [{"incident_id": "1", "entity": "web"}, {"job": "hindsight"}], ids=["incident", "rule"]
)
def test_who_gets_what(tmp_path: Path, settings: dict[str, str], source: dict[str, str]) -> None:
    path = str(written(tmp_path, **settings))
    for labels, receiver in ROUTES:
        given = [f"{name}={value}" for name, value in ({"alertname": "A"} | source | labels).items()]
        amtool("config", "routes", "test", f"--config.file={path}", f"--verify.receivers={receiver}", *given)


def render(template: str, data: dict[str, Any], folder: Path, kind: str = "text") -> str:
    (folder / "data.json").write_text(json.dumps(data))
    return amtool(
        "template", "render", f"--template.glob={TEMPLATES}/*.tmpl", f"--template.data={folder / 'data.json'}",
        f"--template.type={kind}", f'--template.text={{{{ template "{template}" . }}}}',
    )  # fmt: skip


def data(*alerts: dict[str, Any]) -> dict[str, Any]:
    status = "firing" if any(one["status"] == "firing" for one in alerts) else "resolved"
    common = dict(set.intersection(*(set(one["labels"].items()) for one in alerts)))
    return {"receiver": "page", "status": status, "alerts": list(alerts), "groupLabels": {}, "commonLabels": common,
            "commonAnnotations": {}, "externalURL": "http://am:9093"}  # fmt: skip


RULE = {
    "status": "firing",
    "labels": {"alertname": "HindsightDown", "severity": "critical", "job": "hindsight"},
    "annotations": {"summary": "The flow a does not answer", "description": "D", "runbook_url": "docs/runbooks/x.md"},
    "startsAt": "2026-01-05T10:15:30Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus:9090/graph?x=1",
}


def test_an_incident_reads_well_everywhere(tmp_path: Path) -> None:
    shown = data(notice_alert())
    assert render("hindsight.title", shown, tmp_path).strip() == "HIGH: shop/main is slow"
    for template, kind in (("hindsight.slack.text", "text"), ("hindsight.text", "text"), ("hindsight.html", "html")):
        text = render(template, shown, tmp_path, kind)
        for part in (
            "duration_s of shop/main/test: 812, usual 300 to 420 (since 10:15, spike, 97 % sure)",
            "shop/main/test 71 %",
            "configuration 41",
            "2025-12-19, 42 min, true positive",
            "2 patterns in 1 series",
            "https://docs.example/runbooks/patterns/bottleneck_identification.md",
        ):
            assert part in text, (template, part)
        assert "<no value>" not in text
        assert "\n\n\n" not in text.replace("</div>\n", "").split("</body>")[0].strip() or kind == "html"


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    shown = data(notice_alert(title="<!channel> & <b>bold</b>", entity="<img src=x>"))
    slack = render("hindsight.slack.title", shown, tmp_path) + render("hindsight.slack.text", shown, tmp_path)
    assert "<!channel>" not in slack
    assert "&lt;!channel&gt; &amp; &lt;b&gt;" in slack
    html = render("hindsight.html", shown, tmp_path, "html")
    assert "<b>bold" not in html
    assert "<img" not in html


def test_the_end_says_so_and_when(tmp_path: Path) -> None:
    shown = data(notice_alert(ended=True))
    assert render("hindsight.title", shown, tmp_path).strip() == "RESOLVED: shop/main is slow"
    assert "since 2026-01-05 10:15 UTC to 2026-01-05 11:15 UTC" in render("hindsight.text", shown, tmp_path)
    for template, kind in (("hindsight.slack.text", "text"), ("hindsight.text", "text"), ("hindsight.html", "html")):
        assert "812" not in render(template, shown, tmp_path, kind), "the evidence was told before"
    assert "#2e7d32" in render("hindsight.colour", shown, tmp_path)


def test_an_alert_of_prometheus_and_several_at_once(tmp_path: Path) -> None:
    shown = data(RULE)
    assert render("hindsight.title", shown, tmp_path).strip() == "CRITICAL: The flow a does not answer"
    text = render("hindsight.text", shown, tmp_path)
    assert "since 2026-01-05 10:15 UTC" in text
    assert "Runbook: docs/runbooks/x.md" in text
    assert "href" not in render("hindsight.html", shown, tmp_path, "html").split("Runbook")[0]
    ended = RULE | {"status": "resolved", "endsAt": "2026-01-05T10:25:30Z"}
    several = data(ended, RULE, RULE)
    assert render("hindsight.title", several, tmp_path).strip() == "CRITICAL: The flow a does not answer (and 1 more)"
    assert "RESOLVED: The flow a" in render("hindsight.slack.text", several, tmp_path)
    assert "#b71c1c" in render("hindsight.colour", several, tmp_path)
    escalated = data(notice_alert(escalated=True))
    assert render("hindsight.title", escalated, tmp_path).startswith("HIGH, ESCALATED: ")


def test_rules_get_the_base_of_their_runbooks(tmp_path: Path) -> None:
    written(tmp_path, runbook_base_url="https://docs.example/r/")
    text = (tmp_path / "rules/alerts.yml").read_text()
    assert "runbook_url: https://docs.example/r/HindsightDown.md\n" in text
    assert "docs/runbooks" not in text
    assert not (tmp_path / "alertmanager.yml").stat().st_mode & stat.S_IWOTH
