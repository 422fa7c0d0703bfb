"""`hindsight label`, and how a verdict comes back to detection."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest
from click.testing import CliRunner, Result

from flows import cli
from flows.feedback import Following, adjustments_of
from operators.events import decode_fast
from operators.feedback import HIGHER, LOWER

FIRST = uuid.UUID("7c496dde-3569-5b36-b5a7-19d2ef6a435b")
NEAR = uuid.UUID("7c496dde-3569-5b36-b5a7-19d2ef6a435c")


@pytest.fixture
def label(monkeypatch: pytest.MonkeyPatch, database: str) -> Callable[..., Result]:
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO detected_patterns (id, pattern_name, pattern_type, pattern_category, pattern_data,"
            " detection_algorithm, confidence_score, significance_score, detected_at, last_observed_at, is_active,"
            " entity, measure, severity, opened_at, explanation)"
            " VALUES (%s, 'cpu of web', 'spike', 'performance', '{}', 'a', 1, 1, now(), now(), true, 'web',"
            " 'cpu_usage', 'high', now(), 'x')",
            [[FIRST], [NEAR], [uuid.UUID(int=(1 << 128) - 1)]],
        )
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", database)
    return lambda *arguments: CliRunner().invoke(cli.cli, ["label", *arguments])


def now_us() -> int:
    return time.time_ns() // 1000 + 1_000_000


def test_a_verdict_is_stored_and_moves_the_threshold(database: str, label: Callable[..., Result]) -> None:
    before = now_us() - 60_000_000
    done = label(str(FIRST), "false", "--note", "load test", "--actor", "ann")
    assert done.exit_code == 0, done.output
    assert done.output == f"false_positive: cpu of web ({FIRST})\n"
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT classification_value, actor, note FROM pattern_classifications").fetchone()
    assert row == ("false_positive", "ann", "load test")
    adjustments = adjustments_of(database)
    assert adjustments.factor("web", "cpu_usage", "spike", now_us()) == HIGHER
    assert adjustments.factor("web", "cpu_usage", "spike", before) == 1.0, "not before it was said"


def test_a_running_flow_hears_of_it(database: str, label: Callable[..., Result]) -> None:
    told: list[dict[tuple[str, str], int]] = []
    with Following(database, 0.05, on_verdicts=lambda found: told.append(dict(found))) as adjustments:
        assert adjustments.factor("web", "cpu_usage", "spike", now_us()) == 1.0
        assert label("ffffffff", "true").exit_code == 0
        until = time.monotonic() + 10
        while adjustments.factor("web", "cpu_usage", "spike", now_us()) != LOWER and time.monotonic() < until:
            time.sleep(0.05)
        assert adjustments.factor("web", "cpu_usage", "spike", now_us()) == LOWER
    assert (told[0], told[-1]) == ({}, {("spike", "true_positive"): 1})


def test_a_database_that_is_away_changes_nothing() -> None:
    with Following("postgresql://localhost:1/none?connect_timeout=1", 0) as adjustments:
        assert len(adjustments) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["7c496dde-3569-5b36-b5a7-19d2ef6a435", "true"], 1, "begins 2 or more ids"),
        (["abcdef", "true"], 1, "no pattern's id begins with abcdef"),
        (["7c49", "true"], 2, "is no pattern's id"),
        (["7c496dde", "maybe"], 2, "maybe"),
        (["x" * 12, "expected"], 2, "is no pattern's id"),
        (["7c496dde", "true", "--event"], 2, "whole id"),
    ],
)
def test_mistakes_are_told(label: Callable[..., Result], arguments: list[str], status: int, words: str) -> None:
    done = label(*arguments)
    assert (done.exit_code, words in done.output) == (status, True), done.output


def test_as_an_event(label: Callable[..., Result]) -> None:
    done = label(str(FIRST), "expected", "--event", "--actor", "ann")
    event = decode_fast(done.output.encode())
    assert (event.data.pattern_id, event.data.verdict, event.data.actor) == (str(FIRST), "expected", "ann")
    assert abs((event.time - datetime.now(UTC)).total_seconds()) < 60
    assert json.loads(done.output)["data"].keys() == {"pattern_id", "verdict", "actor"}
