"""Patterns and runs as rows, for tests of the correlator."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from operators.incident.seen import Seen
from tests.sql.rows import Connection, insert

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def when(time_us: int | None) -> datetime | None:
    return None if time_us is None else EPOCH + timedelta(microseconds=time_us)


def row_of(one: Seen) -> dict[str, Any]:
    """The row of `detected_patterns` that reads back as this."""
    return {
        "id": one.pattern_id, "pattern_name": one.name, "pattern_type": one.detector, "pattern_category": one.category,
        "pattern_data": Jsonb({
            "class": one.pattern_class, "value": one.value, "low": one.low, "high": one.high, "score": one.score,
            "evidence": {"kind": one.kind, "input": one.input, "reopened": one.reopened, "recent": []},
        }),
        "detection_algorithm": one.detector, "confidence_score": one.confidence,
        "significance_score": one.significance, "detected_at": when(one.opened_us),
        "last_observed_at": when(one.last_observed_us), "entity": one.entity, "measure": one.measure,
        "severity": one.severity, "direction": one.direction, "opened_at": when(one.opened_us),
        "resolved_at": when(one.resolved_us), "is_active": one.is_active, "explanation": one.sentence,
    }  # fmt: skip


def put(connection: Connection, *patterns: Seen) -> None:
    """Insert patterns, or replace those that are there, as the sink does."""
    for one in patterns:
        row = row_of(one)
        found = connection.execute("SELECT FROM detected_patterns WHERE id = %s", [one.pattern_id]).fetchone()
        if found is None:
            insert(connection, "detected_patterns", row)
            continue
        changed = {name: row[name] for name in row if name != "id"}
        sets = ", ".join(f"{name} = %s" for name in changed)
        connection.execute(
            f"UPDATE detected_patterns SET {sets} WHERE id = %s".encode(), [*changed.values(), one.pattern_id]
        )


def label(connection: Connection, pattern: uuid.UUID, verdict: str, actor: str = "ada") -> None:
    """A person's verdict."""
    now = datetime.now(UTC)
    insert(connection, "pattern_classifications", {
        "id": uuid.uuid4(), "pattern_id": pattern, "classification_type": "verdict", "classification_value": verdict,
        "classification_confidence": 1.0, "classifier_model": "human", "classified_at": now, "human_verified": True,
        "verification_timestamp": now, "actor": actor,
    })  # fmt: skip


def run(connection: Connection, pipeline: str, start_us: int, end_us: int, **changes: Any) -> None:
    """A run of a pipeline."""
    insert(connection, "pipeline_executions", {
        "id": uuid.uuid4(), "execution_id": "1", "pipeline_name": pipeline, "execution_start": when(start_us),
        "execution_end": when(end_us), "status": "success", "trigger_type": "webhook", "event_finished": True,
        "event_time": when(end_us), "event_id": "e", **changes,
    })  # fmt: skip


def tables(connection: Connection) -> dict[str, list[Any]]:
    """All that the correlator writes, without clocks, in order."""
    texts = {
        "incidents": "SELECT id, title, summary, entity, category, pattern_class, severity, confidence, status,"
        " merged_into, is_wide, started_at, updated_at, ended_at, patterns, series, contributors, known_changes,"
        " earlier, inhibited FROM incidents ORDER BY id",
        "members": "SELECT pattern_id, incident_id, share FROM incident_patterns ORDER BY pattern_id",
        "relations": "SELECT parent_pattern_id, child_pattern_id, relationship_type, relationship_strength,"
        " temporal_offset FROM pattern_relationships ORDER BY id",
        "evolution": "SELECT pattern_id, evolution_type, evolution_timestamp FROM pattern_evolution ORDER BY 1, 2, 3",
        "classes": "SELECT pattern_id, classification_type, classification_value FROM pattern_classifications"
        " WHERE NOT human_verified ORDER BY id",
    }
    return {name: connection.execute(text.encode()).fetchall() for name, text in texts.items()}


def connect(url: str) -> Connection:
    """Autocommit, in UTC."""
    return psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
