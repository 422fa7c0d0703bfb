"""The sender over a real connection: what arrives, in outages too, and that nobody waits for it."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import generate_latest

from sinks import alerts as module
from sinks.alert_book import Accepted
from sinks.alerts import AlertSender
from sinks.posting import Endpoint, PostError
from sinks.prometheus import Metrics
from tests.notices import notice
from tests.sinks.receiver import Receiver, receiver


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.2)


def alerts(receiver_: Receiver) -> list[dict[str, Any]]:
    return [alert for post in receiver_.posts if post.status == 200 for alert in post.json]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def blackhole() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_each_alertmanager_gets_it_and_it_is_accepted_once() -> None:
    accepted: list[Accepted] = []
    metrics = Metrics()
    with receiver() as one, receiver() as two:
        with AlertSender([one.url, two.url], metrics=metrics, on_accepted=accepted.append) as sender:
            assert sender.offer([notice(1), notice(2), notice(3, inhibited="quiet hours")]) == []
            for each in (one, two):
                each.wait(lambda posts: posts)
        for each in (one, two):
            assert each.posts[0].path == "/api/v2/alerts"
            assert sorted(alert["labels"]["incident_id"][-1] for alert in alerts(each)) == ["1", "2"]
    assert sorted(one.incident_id.int for one in accepted) == [1, 2]
    text = generate_latest(metrics.registry).decode()
    assert f'hindsight_alerts_sent_total{{target="{one.url}"}} 2.0' in text
    assert f'hindsight_alerts_failed_total{{target="{two.url}"}} 0.0' in text
    assert "hindsight_alert_seconds_count 2.0" in text
    assert "hindsight_alerts_waiting 0.0" in text


def test_a_lasting_alert_is_sent_again_and_an_ended_one_ends() -> None:
    with receiver() as one, AlertSender([one.url], resend_s=0.2) as sender:
        sender.offer([notice()])
        one.wait(lambda posts: len(posts) >= 4)
        ends = [alert["endsAt"] for alert in alerts(one)]
        assert ends == sorted(set(ends)), "each time for longer"
        sender.offer([notice(ended_us=1_767_608_140_000_000)])
        one.wait(lambda _: alerts(one)[-1]["endsAt"] == "2026-01-05T10:15:40.000000Z")


def test_an_outage_is_waited_out_and_the_end_is_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    accepted: list[Accepted] = []
    caplog.set_level(logging.INFO)
    url = f"http://ada:s3cret@127.0.0.1:{port}"
    with AlertSender([url], on_accepted=accepted.append) as sender:
        sender.offer([notice()])
        time.sleep(0.3)
        sender.offer([notice(ended_us=1_767_608_140_000_000, updated_us=1_767_608_140_000_000)])
        assert sender.waiting == 1
        with receiver(port) as one:
            one.wait(lambda posts: posts)
            assert [alert["endsAt"] for alert in alerts(one)] == ["2026-01-05T10:15:40.000000Z"]
            assert one.posts[0].headers["authorization"] == "Basic YWRhOnMzY3JldA=="
            one.wait(lambda _: accepted)
    assert [one.ended for one in accepted] == [True]
    assert "s3cret" not in caplog.text
    assert caplog.text.count("Connection refused") == 1, "said once"
    assert "takes alerts again" in caplog.text


def test_an_offer_never_waits_and_one_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.posting.READ_S", 3.0)
    with blackhole() as away, receiver() as up:
        sender = AlertSender([away, up.url])
        with sender:
            start = time.monotonic()
            for number in range(50):
                sender.offer([notice(number + 1)])
            assert time.monotonic() - start < 0.5
            up.wait(lambda _: len(alerts(up)) == 50, 2.0)
            start = time.monotonic()
            assert sender.close(0.3) == 50
            assert time.monotonic() - start < 1.0, "the end is not waited for longer than asked"


def test_a_refused_alert_is_named_and_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bad = str(notice(2).incident_id)
    with receiver() as one:
        one.answer = lambda body: (400, "bad label") if bad in body.decode() else (200, "{}")
        with AlertSender([one.url]) as sender:
            sender.offer([notice(1), notice(2), notice(3)])
            one.wait(lambda posts: len(posts) == 4)
            assert sender.waiting in (0, 1)
        assert [len(post.json) for post in one.posts] == [3, 1, 1, 1]
    assert f"refuses incident {bad}: status 400: bad label" in caplog.text


def test_what_is_refused_for_now_is_tried_again() -> None:
    answers = iter([(401, ""), (404, ""), (500, ""), (429, "")])
    with receiver() as one:
        one.answer = lambda body: next(answers, (200, "{}"))
        with AlertSender([one.url]) as sender:
            sender.offer([notice()])
            posts = one.wait(lambda posts: posts and posts[-1].status == 200)
        assert [post.status for post in posts] == [401, 404, 500, 429, 200]


def test_closing_sends_what_is_due() -> None:
    with receiver() as one:
        with AlertSender([one.url]) as sender:
            sender.offer([notice(number) for number in range(1, 251)])
        assert len({alert["labels"]["incident_id"] for alert in alerts(one)}) == 250
        assert sender.waiting == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("alerts-")]


def test_no_room_is_said_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    sender = AlertSender(["http://127.0.0.1:1"], most=2, metrics=metrics)
    refused = sender.offer([notice(1), notice(2), notice(3)])
    assert [one.incident_id.int for one in refused] == [3]
    sender.offer([notice(4)])
    assert caplog.text.count("no room") == 1
    assert metrics.registry.get_sample_value("hindsight_alerts_refused_total") == 2


def test_a_fault_in_noting_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Accepted) -> None:
        raise RuntimeError("database")

    with receiver() as one, AlertSender([one.url], on_accepted=fails) as sender:
        sender.offer([notice(1)])
        one.wait(lambda posts: posts)
        sender.offer([notice(2)])
        one.wait(lambda posts: len(posts) == 2)
    assert "noting that incident" in caplog.text


def test_a_redirect_is_not_followed() -> None:
    with receiver() as one:
        one.answer = lambda body: (302, "")
        assert Endpoint(one.url + "/a", "/b").post(b"[]").status == 302
        assert len(one.posts) == 1


def test_a_proxy_that_has_no_server_yet_is_asked_again() -> None:
    answers = iter([(503, ""), (502, "")])
    with receiver() as one:
        one.answer = lambda body: next(answers, (200, "ok"))
        assert Endpoint(one.url).post(json.dumps({}).encode()).ok


def test_messages_hold_no_url() -> None:
    with pytest.raises(PostError) as caught:
        Endpoint(f"http://127.0.0.1:{free_port()}/T0/secret?token=x").post(b"")
    assert str(caught.value) == "Connection refused"
    assert caught.value.__cause__ is None
