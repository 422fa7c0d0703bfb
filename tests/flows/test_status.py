"""`hindsight status` on a database whose counters are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result

from flows import cli
from flows.commands.status import Counts, read_status

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)


def fill(url: str, difference: int = 0) -> None:
    cells = [
        ("a.v1", 0, "read", "", 60 + difference), ("a.v1", 1, "read", "", 40),
        ("a.v1", 0, "applied", "", 50), ("a.v1", 1, "applied", "", 30),
        ("a.v1", 0, "late", "", 4), ("a.v1", 0, "duplicate", "", 3), ("a.v1", 1, "duplicate", "", 3),
        ("a.v1", 0, "dead_letter", "not_json", 2), ("a.v1", 1, "dead_letter", "not_json", 5),
        ("a.v1", 1, "dead_letter", "bad_time", 3), ("a.v1", 0, "dead_letter", "empty", 0),
        ("a.v1", 0, "patterns", "", 2),
        ("file:/b.jsonl", 0, "read", "", 7), ("file:/b.jsonl", 0, "applied", "", 7),
    ]  # fmt: skip
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO stream_counters VALUES (%s, %s, %s, %s, %s, %s)", [(*cell, NOW) for cell in cells]
        )
        cursor.executemany(
            "INSERT INTO dead_letters (id, topic, partition, record_offset, reason, received_at)"
            " VALUES (%s, 'a.v1', 0, 1, %s, now())",
            [(uuid4(), "rejected_by_database"), (uuid4(), "rejected_by_database"), (uuid4(), "not_json")],
        )
        cursor.executemany(
            "INSERT INTO detected_patterns (id, pattern_name, pattern_type, pattern_category, pattern_data,"
            " detection_algorithm, confidence_score, significance_score, detected_at, last_observed_at, is_active,"
            " entity, measure, severity, opened_at, explanation)"
            " VALUES (%s, 'n', 't', 'performance', '{}', 'a', 1, 1, now(), now(), %s, 'e', 'm', %s, now(), 'x')",
            [
                (uuid4(), True, "high"),
                (uuid4(), True, "high"),
                (uuid4(), True, "low"),
                (uuid4(), False, "critical"),
            ],
        )


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(cli.cli, ["status", *arguments])


def test_json(database: str, status: Callable[..., Result]) -> None:
    fill(database)
    done = status("--database-url", database, "--json")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout) == {
        "read": 107, "applied": 85, "late": 4, "dead_letters": 12, "duplicates": 6, "patterns": 2, "difference": 0,
        "open_patterns": {"high": 2, "low": 1},
        "updated_at": "2026-01-05T10:00:00+00:00", "night": None,
        "topics": {
            "a.v1": {
                "read": 100, "applied": 78, "late": 4, "dead_letters": 12, "duplicates": 6, "patterns": 2,
                "dead_letter_reasons": {"bad_time": 3, "not_json": 7, "rejected_by_database": 2},
            },
            "file:/b.jsonl": {
                "read": 7, "applied": 7, "late": 0, "dead_letters": 0, "duplicates": 0, "patterns": 0,
                "dead_letter_reasons": {},
            },
        },
    }  # fmt: skip


def test_table(database: str, status: Callable[..., Result]) -> None:
    fill(database)
    done = status("--database-url", database)
    assert done.exit_code == 0
    for text in (
        "a.v1", "file:/b.jsonl", "7 dead letters: not_json in a.v1", "2 dead letters: rejected_by_database",
        "open patterns: 2 high  1 low", "2026-01-05", "difference 0",
    ):  # fmt: skip
        assert text in done.stdout, text
    total = next(line for line in done.stdout.splitlines() if line.startswith("total"))
    assert total.split() == ["total", "107", "85", "4", "12", "6", "2"]


def test_a_difference_is_said_in_red_and_the_exit_status_is_0(
    database: str, status: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, difference=5)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    done = status("--database-url", database)
    assert done.exit_code == 0
    assert "= 5 in a.v1" in done.stdout
    line = next(line for line in done.stdout.splitlines() if "= 5 in a.v1" in line)
    assert "\x1b[1;31m" in line
    assert read_status(database).as_json()["difference"] == 5


def test_an_empty_database(database: str, status: Callable[..., Result]) -> None:
    assert "no records yet" in status("--database-url", database).stdout
    found = json.loads(status("--database-url", database, "--json").stdout)
    assert found["read"] == 0 and found["topics"] == {} and found["updated_at"] is None


def test_mistakes_are_one_line(empty_database: str, database: str, status: Callable[..., Result]) -> None:
    for url, words, code in (
        (empty_database, "run hindsight migrate", 1),
        ("postgresql://localhost:1/none", "cannot connect", 1),
        ("mysql://localhost", "postgresql://", 2),
    ):
        done = status("--database-url", url)
        assert done.exit_code == code, done.output
        assert words in done.output
        assert "Traceback" not in done.output


def test_nothing_is_written(database: str, status: Callable[..., Result]) -> None:
    fill(database)
    before = read_status(database)
    status("--database-url", database)
    assert read_status(database) == before


def test_difference() -> None:
    assert Counts(read=5, applied=1, late=1, dead_letters=1, duplicates=1).difference == 1
