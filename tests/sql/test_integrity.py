"""Each CHECK refuses what it should, found by trying values in every column of every table."""

from __future__ import annotations

import math
import uuid
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from flows import docs_catalogue
from flows.docs_catalogue import Column, Relation
from tests.sql.rows import T0, Connection, insert, query

SPECIAL: dict[str, dict[str, Any]] = {
    "capacity_planning": {"confidence_interval": '{"lower": 1, "upper": 2}'},
    "dead_letters": {"headers": "[]"},
    "detected_patterns": {"is_active": False},
    "incidents": {"status": "resolved"},
    "nightly_runs": {"range_end": T0 + timedelta(days=1)},
    "partitions": {"table_name": "system_metrics", "range_end": T0 + timedelta(days=1)},
    "pattern_classifications": {"human_verified": True},
    "retention_log": {"range_end": T0 + timedelta(days=1)},
    "schema_migrations": {"version": 9999},
    "stream_counters": {"outcome": "dead_letter", "reason": "x"},
    "tasks": {"tags": "[]"},
}
"""What a good row needs besides a value of each column's type and a word of its list."""
OTHER: dict[str, dict[str, Any]] = {"model_versions": {"stage": "active", "retired_at": None}}
"""What makes a second good row, where one cannot come near every check."""

GOOD: dict[str, Any] = {
    "text": "x", "integer": 1, "bigint": 1, "float8": 0.5, "boolean": True, "jsonb": "{}", "timestamptz": T0,
    "date": date(2026, 1, 5), "interval": "1 day", "bytea": b"x", "text[]": ["x"],
}  # fmt: skip
BAD: dict[str, list[Any]] = {
    "text": ["", "no such word", "x" * 51],
    "integer": [-1, 0],
    "bigint": [-1, 0],
    "float8": [math.nan, math.inf, -math.inf, -2.0, 2.0],
    "boolean": [True, False],
    "jsonb": ["{}", "[]", '{"lower": "a", "upper": "b"}', '{"lower": 2, "upper": 1}'],
    "timestamptz": [None, T0 - timedelta(days=2), T0 + timedelta(days=2)],
    "interval": ["-1 day", "0"],
    "text[]": [["x", None]],
    "uuid[]": [[uuid.UUID(int=1), None]],
}


@pytest.fixture
def tables(database: Connection) -> dict[str, Relation]:
    """All tables; rows of T0 find a partition, and those that foreign keys need are there."""
    found = {name: one for name, one in docs_catalogue.relations(database, "public").items() if one.is_table}
    database.execute("SELECT ensure_partitions(table_name::regclass, ARRAY[%s]) FROM storage_policies", [T0])
    for name in ("ml_models", "detected_patterns"):
        insert(database, name, good_row(found[name]))
    insert(database, "nightly_runs", {**good_row(found["nightly_runs"]), "id": uid("run_id")})
    parent = {**good_row(found["detected_patterns"]), "id": uid("parent_pattern_id")}
    insert(database, "detected_patterns", parent)
    insert(database, "detected_patterns", {**parent, "id": uid("child_pattern_id")})
    return found


def uid(name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, name)


def words(table: Relation, column: str) -> list[str | int]:
    """The words or numbers that a column's check lists."""
    start = f"{column} in "
    found = [check.condition.removeprefix(start) for check in table.checks if check.condition.startswith(start)]
    return [word[1:-1] if word.startswith("'") else int(word) for word in found[0].split(", ")] if found else []


def good_value(table: Relation, column: Column) -> Any:
    if column.kind == "uuid":
        return uid("id" if column.name == "model_id" else column.name)
    if column.kind == "uuid[]":
        return [uid(column.name)]
    if any(check.condition == f"length({column.name}) = 64" for check in table.checks):
        return "a" * 64
    return (words(table, column.name) or [GOOD[column.kind]])[0]


def good_row(table: Relation) -> dict[str, Any]:
    """A row with a value in each column but those that the database numbers or that lead to the same table."""
    row = {
        column.name: good_value(table, column)
        for column in table.columns
        if column.default != "a running number" and f"{column.name} → {table.name}" not in table.references
    }
    return row | SPECIAL.get(table.name, {})


def bad_values(table: Relation, column: Column, row: dict[str, Any]) -> list[Any]:
    if column.kind == "uuid":
        return [value for value in row.values() if isinstance(value, uuid.UUID)]
    return [*BAD.get(column.kind, []), *words(table, column.name)]


def refusal(database: Connection, table: str, row: dict[str, Any]) -> str | None:
    """The constraint that refuses a row, or None; the row does not stay."""
    try:
        with database.transaction(force_rollback=True):
            insert(database, table, row)
    except psycopg.errors.CheckViolation as error:
        return error.diag.constraint_name or "no partition"
    except psycopg.errors.IntegrityError:
        return "another kind of constraint"
    return None


def test_every_check_refuses_something_and_no_good_row(database: Connection, tables: dict[str, Relation]) -> None:
    for name, table in tables.items():
        row = good_row(table)
        if name in ("ml_models", "detected_patterns"):
            row["id"] = uid("another")
            row |= {"model_version": "another"} if name == "ml_models" else {}
        bases = [row, row | OTHER.get(name, {})]
        assert [refusal(database, name, base) for base in bases] == [None] * len(bases), name
        refused = {
            refusal(database, name, {**base, column.name: value})
            for base in bases
            for column in table.columns
            if column.default != "a running number"
            for value in bad_values(table, column, base)
        }
        assert {check.name for check in table.checks} <= refused, name


def test_no_number_is_nan_or_infinite(database: Connection, tables: dict[str, Relation]) -> None:
    taken = [
        f"{name}.{column.name}: {value}"
        for name, table in tables.items()
        for column in table.columns
        if column.kind == "float8" and not name.startswith("rollup")
        for value in (math.nan, math.inf, -math.inf)
        if refusal(database, name, {**good_row(table), column.name: value}) not in {c.name for c in table.checks}
    ]
    assert taken == []


def test_intervals_are_checked(tables: dict[str, Relation]) -> None:
    ends = {"_end": "_start", "retired_at": "activated_at", "resolved_at": "opened_at", "valid_until": "established_at"}
    pairs = [
        (table, column.name, column.name.replace(end, start))
        for table in tables.values()
        for column in table.columns
        for end, start in ends.items()
        if column.name.endswith(end)
    ]
    assert len(pairs) >= 8
    for table, end, start in pairs:
        conditions = " ".join(check.condition for check in table.checks)
        assert f"{end} >= {start}" in conditions or f"{end} > {start}" in conditions, f"{table.name}.{end}"


REFERENCES = {
    "task_executions.task_id", "task_dependencies.parent_task_id", "task_dependencies.dependent_task_id",
    "task_patterns.task_ids", "step_executions.pipeline_execution_id", "event_correlations.primary_event_id",
    "event_correlations.related_event_id", "event_impact_analysis.event_id", "integration_events.correlation_id",
    "prediction_accuracy_tracking.prediction_id", "recommendation_effectiveness.recommendation_id",
    "pipeline_executions.pipeline_name", "pipeline_configurations.pipeline_name",
}  # fmt: skip
"""Columns that lead to rows elsewhere, without a foreign key; `pattern_id` and `series_id` do so wherever they are."""


def test_what_leads_to_other_rows_is_indexed(database: Connection, tables: dict[str, Relation]) -> None:
    wanted = REFERENCES | {
        f"{name}.{column.name}"
        for name, table in tables.items()
        for column in table.columns
        if column.name in ("pattern_id", "series_id")
        or any(reference.startswith(f"{column.name} → ") for reference in table.references)
    }
    rows = database.execute(
        """SELECT c.relname || '.' || a.attname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
           JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = format('(%s IS NOT NULL)', a.attname)"""
    ).fetchall()
    assert wanted - {row[0] for row in rows} == set()


def test_the_checks_hold_for_rows_that_were_there(database: Connection) -> None:
    unlooked = "SELECT conname FROM pg_constraint WHERE NOT convalidated AND connamespace = 'public'::regnamespace"
    assert query(database, unlooked) == []
