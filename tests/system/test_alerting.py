"""Alerts end to end, with Prometheus and Alertmanager themselves: what a person is told, and how often."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client import start_http_server

from flows.alertmanager import Pace, Paces, files
from flows.commands.alerts import DOCKER, command
from flows.settings import load
from operators.notices import Notice
from sinks.alerts import AlertSender
from sinks.prometheus import Metrics
from tests.notices import EVIDENCE, notice
from tests.sinks.receiver import Receiver, receiver
from tests.system.alerting import alertmanager, free_port, missing, prometheus

ABSENT = missing()
pytestmark = pytest.mark.skipif(ABSENT is not None, reason=f"Prometheus and Alertmanager cannot run here: {ABSENT}")

FAST = Pace("100ms", "500ms", "1h")
PACES = Paces(Pace("0s", "500ms", "1h"), Pace("0s", "500ms", "1h"), FAST, FAST)
"""The default's order of things, in tenths of seconds."""
QUIET_S = 1.5
"""Three intervals of a group: what was not told in that time is not told."""


@pytest.fixture(scope="module")
def told() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture(scope="module")
def server(told: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an Alertmanager that tells `told`."""
    folder = tmp_path_factory.mktemp("alertmanager")
    settings = load(env_file=None, alert_webhook_url=told.url + "/notify")
    for name, text in files(settings, DOCKER, PACES).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with alertmanager(folder, free_port()) as url:
        yield url


@pytest.fixture
def sender(server: str) -> Iterator[AlertSender]:
    with AlertSender([server], resend_s=1.0) as made:
        yield made


def live(number: int, **changes: Any) -> Notice:
    """An incident that starts now."""
    now = time.time_ns() // 1000
    return notice(number, **({"started_us": now, "updated_us": now, "entity": f"entity-{number}"} | changes))


def messages(told: Receiver, number: int) -> list[dict[str, Any]]:
    """The notifications about an incident."""
    key = str(notice(number).incident_id)
    return [post.json for post in told.posts if post.json["groupLabels"].get("incident_id") == key]


def words(told: Receiver, number: int) -> list[tuple[str, str, list[str]]]:
    """Of each notification: receiver, status, severities."""
    found = messages(told, number)
    return [(one["receiver"], one["status"], [a["labels"]["severity"] for a in one["alerts"]]) for one in found]


def test_one_message_a_rise_another_and_the_end(told: Receiver, sender: AlertSender) -> None:
    first = live(1, severity="medium")
    sender.offer([first])
    told.wait(lambda _: messages(told, 1))
    time.sleep(QUIET_S)  # it is sent again meanwhile
    assert words(told, 1) == [("ticket", "firing", ["medium"])]
    alert = messages(told, 1)[0]["alerts"][0]
    assert alert["annotations"]["summary"] == "shop/main is slow"
    assert "duration_s of shop/main/test: 812, usual 300 to 420" in alert["annotations"]["evidence"]
    assert "configuration 41 → 42" in alert["annotations"]["changes"]
    assert alert["annotations"]["runbook_url"].endswith("patterns/bottleneck_identification.md")
    sender.offer([live(1, severity="critical", started_us=first.started_us)])
    told.wait(lambda _: len(messages(told, 1)) == 2)
    time.sleep(QUIET_S)
    assert words(told, 1)[1:] == [("page", "firing", ["critical"])], "the lower one is inhibited, its end too"
    now = time.time_ns() // 1000
    sender.offer([live(1, severity="critical", started_us=first.started_us, ended_us=now)])
    told.wait(lambda _: len(messages(told, 1)) == 3)
    time.sleep(2 * QUIET_S)  # its end is sent three times
    assert words(told, 1)[2:] == [("page", "resolved", ["critical"])]


def test_what_pages_for_long_is_escalated(told: Receiver, server: str) -> None:
    with AlertSender([server], resend_s=1.0, escalate_s=2.0) as sender:
        first = live(2, severity="high")
        sender.offer([first])
        told.wait(lambda _: len(messages(told, 2)) == 2)
        time.sleep(QUIET_S)
        assert words(told, 2) == [("page", "firing", ["high"]), ("escalated", "firing", ["high"])]
        sender.offer([live(2, ended_us=time.time_ns() // 1000, started_us=first.started_us)])
        told.wait(lambda _: len(messages(told, 2)) == 3)
        time.sleep(QUIET_S)
    assert words(told, 2)[2:] == [("escalated", "resolved", ["high"])]


def test_a_source_that_is_silent_inhibits_its_anomalies(told: Receiver, sender: AlertSender) -> None:
    import msgspec

    silent = (msgspec.structs.replace(EVIDENCE, detector="missing"),)
    sender.offer([live(3, entity="sensor", severity="medium", evidence=silent)])
    told.wait(lambda _: messages(told, 3))
    sender.offer([live(4, entity="sensor", severity="high"), live(5, entity="other", severity="medium")])
    told.wait(lambda _: messages(told, 5))
    time.sleep(QUIET_S)
    assert messages(told, 4) == []


def test_the_test_command_says_for_whom_it_is(told: Receiver, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(told.posts)
    arguments = ["test", "--url", f"{server},http://127.0.0.1:{free_port()}", "--severity", "low", "--lasts", "1"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 1, done.output
    good, bad = [line for line in done.output.splitlines() if line.startswith(("ok", "FAIL"))]
    assert good == f"ok    {server}: accepted, active; for ticket"
    assert bad.startswith("FAIL  http://127.0.0.1:")
    assert bad.endswith("Connection refused")
    told.wait(lambda posts: len(posts) > before)
    assert "This is a test" in told.posts[before].json["alerts"][0]["annotations"]["summary"]
    done = CliRunner().invoke(command, ["test", "--url", server, "--escalated", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout.splitlines()[-1])["alertmanagers"][0]["receivers"] == ["escalated"]


def rules_in_a_hurry(folder: Path) -> None:
    """The shipped rules, with seconds for minutes."""
    waits = {f"for: {n}m": "for: 1s" for n in (2, 5, 10, 15)}
    for path in (DOCKER / "prometheus/rules").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        for slow, fast in ({"interval: 15s": "interval: 500ms", "[5m]": "[3s]", "[15m]": "[4s]"} | waits).items():
            text = text.replace(slow, fast)
        (folder / path.name).write_text(text, encoding="utf-8")


def test_a_fault_of_the_flow_is_scraped_told_and_over(told: Receiver, server: str, tmp_path: Path) -> None:
    metrics = Metrics()
    port = free_port()
    served, thread = start_http_server(port, "127.0.0.1", metrics.registry)
    rules_in_a_hurry(tmp_path)
    target = server.removeprefix("http://")
    (tmp_path / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [recording.yml, alerts.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{target}"]}}]}}]}}
scrape_configs: [{{job_name: hindsight, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
""")

    def about(name: str) -> list[dict[str, Any]]:
        return [post.json for post in told.posts if post.json["groupLabels"]["alertname"] == name]

    name = "HindsightDatabaseAway"
    try:
        with prometheus(tmp_path, free_port()):
            until = time.monotonic() + 15
            while not about(name):
                metrics.retries.inc()  # the database is away
                time.sleep(0.2)
                assert time.monotonic() < until, (tmp_path / "log").read_text()[-2000:]
            (first,) = about(name)
            assert (first["status"], first["receiver"]) == ("firing", "page")
            alert = first["alerts"][0]
            assert alert["annotations"]["summary"] == f"The flow 127.0.0.1:{port} can not write to its database"
            assert alert["annotations"]["runbook_url"].endswith("HindsightDatabaseAway.md")
            told.wait(lambda _: about(name)[-1]["status"] == "resolved", 15)
            assert [one["status"] for one in about(name)] == ["firing", "resolved"]
            others = {post.json["groupLabels"]["alertname"] for post in told.posts} - {name, "HindsightIncident"}
            assert others == set(), "nothing else was wrong"
    finally:
        served.shutdown()
        served.server_close()
        thread.join()
