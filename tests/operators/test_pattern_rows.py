"""A pattern's rows: the pattern, its twin by kind, and its history; and that the database takes all of them."""

from typing import Any

import psycopg
import pytest

from operators import tables as t
from operators.output import Found
from operators.pattern_rows import pattern_rows, systems_of
from operators.patterns import Episode, Pattern, Subject, snapshot_pattern
from operators.pgcopy import HEADER, TRAILER
from operators.taxonomy import KINDS
from sinks import sql
from tests.pgread import read

BY_KIND = {
    "metric": "metric_patterns", "resource": "metric_patterns", "code": "metric_patterns",
    "pipeline": "execution_patterns", "step": "execution_patterns", "task": "task_patterns",
    "integration": "integration_patterns",
}  # fmt: skip
MEASURE = {"integration": "processing_ms", "metric": "m", "resource": "cpu_usage", "code": "complexity"}


def pattern(kind: str, **fields: Any) -> tuple[Pattern, Subject]:
    entity = "github→jira:push" if kind == "integration" else "web-1"
    subject = Subject(entity, MEASURE.get(kind, "duration_s"), kind, "topic", 3)
    made: dict[str, Any] = {
        "detector": "spike", "opened_us": 10_000_000, "seen_us": 30_000_000, "judged_us": 40_000_000, "count": 3,
        "confidence": 0.9, "threshold": 5.0, "value": 1.5, "score": 7.0, "expected": 1.0, "low": 0.5, "high": 1.25,
        "peak_value": 2.5, "peak_score": 20.0, "peak_us": 20_000_000, "times": [10_000_000], "values": [1.5],
    }  # fmt: skip
    return snapshot_pattern(Episode(**(made | fields)), subject), subject


def rows_of(kind: str, change: str, **fields: Any) -> dict[str, dict[str, Any]]:
    one, subject = pattern(kind, **fields)
    rows = pattern_rows(Found(one, change, 1, 50_000_000, 60_000_000), subject)
    assert len({(table.name, key) for table, key, _ in rows}) == len(rows)
    return {table.name: read(table.columns, row) for table, _, row in rows}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", ["opened", "observed", "strengthening", "resolved", "reopened"])
def test_the_tables_of_a_change(kind: str, change: str) -> None:
    rows = rows_of(kind, change)
    history = {"pattern_evolution"} if change in ("opened", "strengthening", "resolved") else set()
    assert set(rows) == {"detected_patterns", BY_KIND[kind]} | history
    one, _ = pattern(kind)
    found = rows["detected_patterns"]
    assert (found["id"], rows[BY_KIND[kind]]["pattern_id"]) == (one.pattern_id, one.pattern_id)
    assert (found["entity"], found["measure"], found["severity"]) == (one.entity, one.measure, one.severity)
    assert (found["confidence_score"], found["significance_score"]) == (0.9, 0.8)
    assert (found["opened_at"], found["detected_at"], found["last_observed_at"]) == (10_000_000, 10_000_000, 30_000_000)
    assert (found["observation_count"], found["is_active"], found["resolved_at"]) == (3, True, None)
    assert (found["ingested_at"], found["decided_at"]) == (50_000_000, 60_000_000)
    assert (found["pattern_data"]["peak_value"], found["pattern_data"]["value"]) == (2.5, 1.5)
    assert found["explanation"] == one.explanation


def test_the_history_has_its_moment() -> None:
    """Each time it is told, whatever the batches, one line of history has one key."""
    moments = {
        "opened": {"count": 1, "seen_us": 10_000_000},
        "strengthening": {},
        "resolved": {"active": False, "resolved_us": 70_000_000},
    }
    found = [rows_of("metric", change, **fields)["pattern_evolution"] for change, fields in moments.items()]
    assert [row["evolution_timestamp"] for row in found] == [10_000_000, 20_000_000, 70_000_000]
    assert [row["evolution_type"] for row in found] == list(moments)
    assert all(row["change_magnitude"] == 20.0 for row in found)
    assert found[2]["current_state"]["is_active"] is False


@pytest.mark.parametrize(("direction", "trend"), [("up", "increasing"), ("down", "decreasing")])
def test_the_direction_of_a_metric(direction: str, trend: str) -> None:
    rows = rows_of("metric", "opened", direction=direction)
    assert rows["metric_patterns"]["trend_direction"] == trend
    assert rows["detected_patterns"]["direction"] == direction
    assert rows["metric_patterns"]["metric_names"] == ["m"]


def test_the_systems_of_an_integration() -> None:
    assert rows_of("integration", "opened")["integration_patterns"]["systems_involved"] == ["github", "jira"]
    assert systems_of("a:b→c:d") == ["a:b", "c"]
    assert systems_of("alone:push") == ["alone"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fields", [
    {}, {"peak_score": 1e6, "score": 1e6, "peak_value": 1.7e308, "value": -1.7e308}, {"confidence": 1.0},
    {"active": False, "resolved_us": 30_000_000, "reopened": 5}, {"detector": "threshold", "evidence": {"rule": "r"}},
    {"low": float("-inf"), "high": float("inf"), "expected": float("nan")}, {"peak_score": 0.0, "confidence": 0.0},
], ids=range(7))  # fmt: skip
def test_the_database_takes_them(module_database: str, kind: str, fields: dict[str, Any]) -> None:
    one, subject = pattern(kind, **fields)
    with psycopg.connect(module_database) as connection, connection.cursor() as cursor:
        for change in ("opened", "strengthening", "resolved"):
            for table, _, row in pattern_rows(Found(one, change, 1, 50_000_000, 60_000_000), subject):
                cursor.execute(sql.create_stage(table))
                cursor.execute(f"TRUNCATE {sql.stage_name(table)}")
                with cursor.copy(sql.copy(table, sql.stage_name(table))) as copy:
                    copy.write(b"".join([HEADER, row, TRAILER]))
                if table.time:
                    cursor.execute(sql.ensure_staged_partitions(table))
                for statement in sql.merge(table):
                    cursor.execute(statement)
        cursor.execute("SELECT count(*) FROM detected_patterns WHERE id = %s", [one.pattern_id])
        assert cursor.fetchone() == (1,)
        connection.rollback()
    assert t.DETECTED_PATTERNS.keep_first
