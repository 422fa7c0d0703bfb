"""Automated responses: signed, once, for what is bad enough, and nothing at all in a dry run."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sinks import webhook
from sinks.webhook import Responder, sign
from tests.notices import notice
from tests.sinks.receiver import receiver

SECRET = "0b" * 32
END_US = 1_767_608_140_000_000
PAGE = Path(__file__).parent.parent.parent / "docs/alerts.md"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(webhook, "LONGEST_PAUSE_S", 0.05)


def documented() -> Callable[[str, dict[str, str], bytes], bool]:
    """`is_from_hindsight` as docs/alerts.md has it."""
    found = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.M)
    assert found
    names: dict[str, Callable[[str, dict[str, str], bytes], bool]] = {}
    exec(found[1], names)  # type: ignore[arg-type]
    return names["is_from_hindsight"]


def test_the_signature_is_rfc_2104() -> None:
    """Against RFC 2104's own construction, by hand."""
    key = SECRET.encode().ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + b"17.body").digest()
    assert sign(SECRET, "17", b"body") == "v1=" + hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).hexdigest()


def test_what_is_documented_verifies_what_is_sent() -> None:
    verify = documented()
    with receiver() as one:
        responder = Responder(one.url + "/respond?a=b", SECRET, dry_run=False)
        responder.offer([notice(severity="critical")])
        (post,) = one.wait(lambda posts: posts)
        responder.close()
    assert post.path == "/respond?a=b"
    assert verify(SECRET, post.headers, post.body)
    assert not verify(SECRET, post.headers, post.body + b" ")
    assert not verify("other", post.headers, post.body)
    assert not verify(SECRET, post.headers | {"Hindsight-Timestamp": str(int(time.time()) + 1)}, post.body)
    old = str(int(time.time()) - 301)
    assert not verify(SECRET, {"Hindsight-Timestamp": old, "Hindsight-Signature": sign(SECRET, old, b"")}, b"")
    assert post.json["incident"]["entity"] == "shop/main"
    assert post.json["idempotency_key"] == post.headers["Idempotency-Key"]


def test_one_request_for_each_turn_of_what_is_bad_enough() -> None:
    with receiver() as one:
        responder = Responder(one.url, SECRET, severities=("high", "critical"), dry_run=False)
        life = ["medium", "high", "high", "critical", "high", "critical"]
        for severity in life:
            responder.offer([notice(severity=severity)])
        responder.offer([notice(severity="critical", ended_us=END_US)] * 2)
        responder.offer([notice(2, severity="medium"), notice(2, severity="medium", ended_us=END_US)])
        responder.offer([notice(3, severity="critical", inhibited="quiet hours")])
        responder.close()
        assert [post.json["event"] for post in one.posts] == ["opened", "rose", "resolved"]
        assert len({post.headers["Idempotency-Key"] for post in one.posts}) == 3


def test_the_key_is_the_same_after_a_restart() -> None:
    with receiver() as one:
        for _ in range(2):
            responder = Responder(one.url, SECRET, dry_run=False)
            responder.offer([notice(severity="critical")])
            responder.close()
        first, second = one.posts
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_a_dry_run_sends_nothing_and_says_what_it_would(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outcomes: Counter[str] = Counter()
    with receiver() as one:
        responder = Responder(one.url + "/T0/token", "", on_outcome=lambda outcome: outcomes.update([outcome]))
        responder.offer([notice(severity="critical"), notice(2, severity="high")])
        responder.close()
        assert one.posts == []
    assert outcomes == {"dry_run": 1}
    assert "would ask http://127.0.0.1" in caplog.text
    assert "token" not in caplog.text


def test_what_fails_for_now_is_repeated_and_signed_anew() -> None:
    answers = iter([500, 429, 408])
    clock = iter(range(1_767_608_130, 1_767_609_000, 7))
    with receiver() as one:
        one.answer = lambda body: (next(answers, 204), "")
        responder = Responder(one.url, SECRET, dry_run=False, clock=lambda: next(clock))
        responder.offer([notice(severity="critical")])
        posts = one.wait(lambda posts: len(posts) == 4)
        responder.close()
    assert len({post.body for post in posts}) == len({post.headers["Idempotency-Key"] for post in posts}) == 1
    assert len({post.headers["Hindsight-Timestamp"] for post in posts}) == 4
    for post in posts:
        made = hmac.new(SECRET.encode(), post.headers["Hindsight-Timestamp"].encode() + b"." + post.body, "sha256")
        assert post.headers["Hindsight-Signature"] == f"v1={made.hexdigest()}"


def test_a_refusal_is_final_and_a_late_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: list[str] = []
    with receiver() as one:
        one.answer = lambda body: (403, "who are you")
        responder = Responder(one.url, SECRET, dry_run=False, on_outcome=outcomes.append)
        responder.offer([notice(1, severity="critical")])
        one.wait(lambda posts: posts)
        monkeypatch.setattr(webhook, "GIVE_UP_S", 0.1)
        one.answer = lambda body: (500, "")
        responder.offer([notice(2, severity="critical")])
        one.wait(lambda _: len(outcomes) == 2)
        responder.close()
    assert outcomes == ["failed", "failed"]
    assert "status 403: who are you" in caplog.text
    assert "given up" in caplog.text


def test_the_queue_has_a_bound(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(webhook, "MOST_WAITING", 3)
    outcomes: list[str] = []
    with receiver() as one:
        one.answer = lambda body: (500, "")
        responder = Responder(one.url, SECRET, dry_run=False, on_outcome=outcomes.append)
        responder.offer([notice(number, severity="critical") for number in range(5)])
        responder.close(1.0)
    assert outcomes == ["failed", "failed"]
    assert "3 responses were not asked for" in caplog.text


def test_sending_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="secret"):
        Responder("http://x", "", dry_run=False)
