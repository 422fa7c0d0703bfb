"""The database against the oracle, table by table, and a checksum over everything that must not depend on the run."""

import hashlib
import json
from typing import Any

import pandas as pd
import psycopg

from tests.oracle import NAMESPACE, Oracle, event_uuid, micros

WALL_CLOCK = {
    "detected_patterns": {"ingested_at", "decided_at", "written_at"},
    "dead_letters": {"received_at"},
    "stream_counters": {"updated_at"},
    "pipeline_executions": {"created_at"},
    "task_executions": {"created_at"},
    "integration_events": {"created_at"},
}
"""Columns that hold when something was done, not what."""
WRITTEN = (
    "system_metrics", "resource_usage", "pipeline_executions", "step_executions", "tasks", "task_executions",
    "task_dependencies", "integration_events", "series", "rollups_10s", "rollups_1m", "rollups_5m",
    "stream_counters", "dead_letters",
    "detected_patterns", "metric_patterns", "execution_patterns", "task_patterns", "integration_patterns",
    "pattern_evolution",
)  # fmt: skip


VIEWS = (("series_10s", 10), ("series_1m", 60), ("series_5m", 300), ("series_1h", 3600), ("series_1d", 86_400))


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type]


def checksums(url: str, leave_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """A digest of each table's ordered rows, without wall-clock columns."""
    result = {}
    with psycopg.connect(url) as connection:
        for table in WRITTEN:
            columns = [
                row[0]
                for row in connection.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [table]
                )
                if row[0] not in WALL_CLOCK.get(table, set()) | leave_out
            ]
            text = ", ".join(f'"{name}"::text' for name in columns)
            digest = hashlib.sha256()
            count = 0
            for row in connection.execute(f"SELECT md5(ROW({text})::text) FROM {table} ORDER BY 1"):  # type: ignore[arg-type]
                digest.update(row[0].encode())
                count += 1
            result[table] = f"{count}:{digest.hexdigest()[:16]}"
    return result


def assert_tables(url: str, oracle: Oracle) -> None:
    """Every number and row that the oracle knows of."""
    assert_counts(url, oracle)
    for view, seconds in VIEWS:
        assert_view(url, view, oracle.aggregates(seconds))
    assert_raw(url, oracle)
    assert_runs(url, oracle)
    assert_tasks(url, oracle)


def assert_counts(url: str, oracle: Oracle) -> None:
    counted = {
        (outcome, reason): int(n)
        for outcome, reason, n in query(url, "SELECT outcome, reason, sum(n) FROM stream_counters GROUP BY 1, 2")
    }
    letters = {reason: n for (outcome, reason), n in counted.items() if outcome == "dead_letter"}
    assert letters == oracle.dead_letters
    assert dict(query(url, "SELECT reason, count(*) FROM dead_letters GROUP BY 1")) == oracle.dead_letters
    assert counted["read", ""] == oracle.read
    assert counted["late", ""] == oracle.late
    assert counted["duplicate", ""] == oracle.duplicates
    assert counted["applied", ""] == oracle.applied
    assert oracle.read == oracle.applied + oracle.late + oracle.duplicates + sum(letters.values())


def assert_view(url: str, view: str, expected: pd.DataFrame) -> None:
    rows = query(
        url,
        "SELECT (extract(epoch FROM time) * 1000000)::bigint, entity, measure, n, sum, min, max, first, last"
        f" FROM {view}",
    )
    names = ["time", "entity", "measure", "n", "sum", "min", "max", "first", "last"]
    order = ["time", "entity", "measure"]
    found = pd.DataFrame(rows, columns=names).sort_values(order).reset_index(drop=True)
    found["n"] = found.n.astype("int64")
    wanted = expected.sort_values(order).reset_index(drop=True)[names]
    pd.testing.assert_frame_equal(found, wanted, check_exact=True, check_dtype=False)


def assert_raw(url: str, oracle: Oracle) -> None:
    found = {
        (key, time): (value, name, source, unit, json.dumps(tags, sort_keys=True))
        for key, time, value, name, source, unit, tags in query(
            url,
            "SELECT event_key, (extract(epoch FROM collected_at) * 1000000)::bigint, metric_value, metric_name,"
            " source_system, metric_unit, metric_tags FROM system_metrics",
        )
    }
    wanted = {}
    for event in oracle.of_type("metric.sampled", "code.measured"):
        data = event["data"]
        key = int.from_bytes(event_uuid(event).bytes[:8], "big", signed=True)
        if "metric_name" in data:
            tags = json.dumps(data.get("metric_tags") or {}, sort_keys=True)
            row = (data["metric_value"], data["metric_name"], data["source_system"], data.get("metric_unit"), tags)
        else:
            tags = json.dumps({"path": data["path"], "commit_sha": data["commit_sha"]}, sort_keys=True)
            row = (data["metric_value"], data["metric_type"], f"code:{data['codebase_id']}", None, tags)
        wanted[key, micros(event["time"])] = row
    assert found == wanted
    samples = query(
        url,
        "SELECT event_key, usage_percentage, host, resource_type, absolute_value, context_data FROM resource_usage",
    )
    assert {row[0]: row[1:] for row in samples} == {
        int.from_bytes(event_uuid(event).bytes[:8], "big", signed=True): (
            event["data"]["usage_percentage"],
            event["data"]["host"],
            event["data"]["resource_type"],
            event["data"].get("absolute_value"),
            event["data"].get("context_data", {}),
        )
        for event in oracle.of_type("resource.sampled")
    }
    integrations = query(url, "SELECT id, processing_duration, status, source_system FROM integration_events")
    assert {row[0]: row[1:] for row in integrations} == {
        event_uuid(event): (
            event["data"]["processing_duration_ms"],
            event["data"]["status"],
            event["data"]["source_system"],
        )
        for event in oracle.of_type("integration.occurred")
    }


def assert_runs(url: str, oracle: Oracle) -> None:
    """A finished event wins over a started one, then the later, then the greater id; its steps come with it."""
    import uuid

    best: dict[str, tuple[tuple[bool, int, str], dict[str, Any]]] = {}
    best_steps: dict[str, tuple[tuple[int, str], dict[str, Any]]] = {}
    for event in oracle.of_type("pipeline.started", "pipeline.finished"):
        data = event["data"]
        run = f"pipeline_execution:{data['pipeline_name']}:{data['execution_id']}"
        rank = ("status" in data, micros(event["time"]), event["id"])
        if run not in best or rank > best[run][0]:
            best[run] = (rank, event)
        if data.get("steps") and (run not in best_steps or rank[1:] > best_steps[run][0]):
            best_steps[run] = (rank[1:], event)
    rows = query(url, "SELECT id, status, total_duration, event_id FROM pipeline_executions")
    assert {row[0]: row[1:] for row in rows} == {
        uuid.uuid5(NAMESPACE, run): (
            event["data"].get("status", "running"),
            event["data"].get("total_duration_s"),
            event["id"],
        )
        for run, (_, event) in best.items()
    }
    steps = query(url, "SELECT pipeline_execution_id, step_order, step_name, status, event_id FROM step_executions")
    assert {row[:2]: row[2:] for row in steps} == {
        (uuid.uuid5(NAMESPACE, run), step["step_order"]): (step["step_name"], step["status"], event["id"])
        for run, (_, event) in best_steps.items()
        for step in event["data"]["steps"]
    }


def assert_tasks(url: str, oracle: Oracle) -> None:
    best: dict[str, tuple[tuple[int, str], dict[str, Any]]] = {}
    edges: dict[str, tuple[tuple[int, str], dict[str, Any]]] = {}
    for event in oracle.of_type("task.changed"):
        task = event["data"]["task_id"]
        rank = (micros(event["time"]), event["id"])
        if task not in best or rank > best[task][0]:
            best[task] = (rank, event)
        if event["data"]["depends_on"] and (task not in edges or rank > edges[task][0]):
            edges[task] = (rank, event)
    rows = query(url, "SELECT external_id, status, project_name, event_id FROM tasks")
    assert {row[0]: row[1:] for row in rows} == {
        task: (event["data"]["status"], event["data"]["project_id"], event["id"]) for task, (_, event) in best.items()
    }
    dependencies = query(url, "SELECT dependent_task_id, parent_task_id, dependency_type FROM task_dependencies")
    import uuid

    assert set(dependencies) == {
        (uuid.uuid5(NAMESPACE, f"task:{task}"), uuid.uuid5(NAMESPACE, f"task:{edge['task_id']}"), edge["type"])
        for task, (_, event) in edges.items()
        for edge in event["data"]["depends_on"]
    }
    runs = query(url, "SELECT external_id, status FROM task_executions")
    assert dict(runs) == {
        event["data"]["execution_id"]: event["data"]["status"] for event in oracle.of_type("task.finished")
    }
