"""Rows, and a way to put them into tables."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

T0 = datetime(2026, 1, 5, tzinfo=UTC)

Connection = psycopg.Connection[Any]

PATTERN = {
    "id": uuid.uuid4(), "pattern_name": "n", "pattern_type": "spike", "pattern_category": "performance",
    "pattern_data": "{}", "detection_algorithm": "a", "confidence_score": 0.9, "significance_score": 0.5,
    "detected_at": T0, "last_observed_at": T0, "entity": "e", "measure": "m", "severity": "high", "opened_at": T0,
    "explanation": "x",
}  # fmt: skip
ROLLUP = {
    "series_id": 1, "level": 10, "time": T0, "input": 1, "partition": 0, "n": 1, "sum": 1.0, "min": 1.0, "max": 1.0,
    "sum_squares": 1.0, "first": 1.0, "last": 1.0, "first_at": T0, "last_at": T0,
}  # fmt: skip


def query(connection: Connection, text: str) -> list[Any]:
    return connection.execute(text.encode()).fetchall()


def insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    """Insert a row, and make the partition that it needs; `metric_rollups` is the table of the row's level."""
    if table == "metric_rollups":
        table = {10: "rollups_10s", 60: "rollups_1m", 300: "rollups_5m"}[row["level"]]
        row = {name: value for name, value in row.items() if name != "level"}
    policy = connection.execute("SELECT time_column FROM storage_policies WHERE table_name = %s", [table]).fetchone()
    if policy:
        connection.execute("SELECT ensure_partitions(%s::regclass, ARRAY[%s]::timestamptz[])", [table, row[policy[0]]])
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder() * len(row)),
    )
    connection.execute(statement, list(row.values()))
