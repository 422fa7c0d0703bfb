"""A row for any declared table, made from its types, and the rows that it refers to."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sql.store import integration, metrics, models, patterns, performance, pipelines, stream, tasks
from sql.store.pool import Database
from sql.store.repository import Repository
from sql.store.table import DERIVED, Json, JsonList, TableOf

DAY = timedelta(days=1)
T0 = datetime(2026, 1, 5, 10, tzinfo=UTC)
MODULES = (tasks, pipelines, metrics, performance, integration, patterns, models, stream)
TABLES: tuple[TableOf[Any], ...] = tuple(
    value for module in MODULES for value in vars(module).values() if isinstance(value, TableOf)
)

BY_TYPE: dict[Any, Any] = {
    str: "x'; DROP TABLE tasks; --%s", int: 3, float: 0.25, bool: True, bytes: b"\0\xff",
    datetime: T0, date: date(2026, 2, 1), timedelta: timedelta(hours=1),
    Json: {"lower": 1, "upper": {"a": [None, "é"]}},
    JsonList: ["a", {"b": 1.5}], list[str]: ["a", 'b"{,}'], list[uuid.UUID]: [uuid.UUID(int=7)],
    uuid.UUID: uuid.UUID(int=5),
}  # fmt: skip
WORDS = {
    "status": "success", "trigger_type": "manual", "dependency_type": "blocks", "pattern_category": "error",
    "severity": "high", "impact_severity": "low", "evolution_type": "opened", "relationship_type": "causes",
    "validation_status": "pending", "model_type": "regression", "stage": "candidate", "training_data_hash": "a" * 64,
    "artifact_sha256": "b" * 64, "data_hash": "c" * 64, "effort_estimate": "low", "baseline_type": "daily",
    "correlation_type": "causal", "resource_type": "cpu", "feedback_source": "human", "trend_direction": "stable",
    "implementation_status": "pending",
}  # fmt: skip
ELSEWHERE: dict[tuple[str, str], Any] = {
    ("optimization_opportunities", "status"): "identified",
    ("series", "kind"): "metric",
    ("event_correlations", "related_event_id"): uuid.UUID(int=6),
    ("capacity_planning", "confidence_interval"): {"lower": 1, "upper": 2.5},
    ("pattern_relationships", "child_pattern_id"): uuid.UUID(int=6),
    ("detected_patterns", "resolved_at"): None,
    ("model_versions", "previous_version_id"): None,
}


def sample(table: TableOf[Any], **given: Any) -> Any:
    """A row with a value in every column."""
    values = {}
    for name, column in table.columns.items():
        values[name] = ELSEWHERE.get((table.name, name), WORDS.get(name, BY_TYPE[column.python]))
    if "id" in values:
        values["id"] = DERIVED if table.identify else uuid.uuid4()
    return table.identified(table.row(**values | given))


def parents(database: Database) -> None:
    """The rows that samples refer to."""
    Repository(database, models.ML_MODELS).save(
        sample(models.ML_MODELS, id=uuid.UUID(int=5), model_name="parent", model_version="1")
    )
    for number in (5, 6):
        pattern = sample(patterns.DETECTED_PATTERNS, id=uuid.UUID(int=number))
        Repository(database, patterns.DETECTED_PATTERNS).save(pattern)


def fill(database: Database, table: TableOf[Any], count: int, change: Callable[[int], dict[str, Any]]) -> list[Any]:
    """Store rows, each changed by its number, and give them back."""
    rows = [sample(table, **change(number)) for number in range(count)]
    Repository(database, table).save_all(rows)
    return rows
