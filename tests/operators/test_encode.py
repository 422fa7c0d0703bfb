"""Rows and points of each event type, read back from the bytes and compared with the contract's words."""

import json
import uuid
from datetime import datetime
from typing import Any

import pytest

from operators import events as e
from operators import tables as t
from operators.encode import FAILED, SPARSE_KINDS, Named, encode, tagged
from tests.oracle import NAMESPACE, event_uuid
from tests.pgread import read
from tests.samples import END, KINDS, SAMPLES, START, TIME_US, data_of, event, raw

EVENT = event("metric.sampled")
UUID = event_uuid(EVENT)
KEY = int.from_bytes(UUID.bytes[:8], "big", signed=True)
STATUSES = ("success", "failure", "error", "cancelled", "timeout", "skipped")


def us(text: str) -> int:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e6)


def derived(name: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, name)


def rows_of(value: bytes) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, row in encode(e.decode(value)).rows:
        rows.setdefault(table.name, []).append(read(table.columns, row))
    return rows


def points_of(value: bytes) -> list[tuple[str, str, str, float]]:
    return [(named.entity, named.measure, named.kind, v) for named, v in encode(e.decode(value)).points]


def optional(kind: str, full: bool) -> dict[str, Any]:
    """The sample's optional fields, or each as None."""
    return SAMPLES[kind].optional if full else dict.fromkeys(SAMPLES[kind].optional)


def expected(kind: str, full: bool) -> dict[str, list[dict[str, Any]]]:
    """The rows of a sample event, from section 3 of the contract."""
    data, more = SAMPLES[kind].required, optional(kind, full)
    rank = {"event_time": TIME_US, "event_id": "e1"}
    match kind:
        case "metric.sampled":
            row = data | more | {"event_key": KEY, "collected_at": TIME_US, "metric_tags": more["metric_tags"] or {}}
            return {"system_metrics": [row]}
        case "resource.sampled":
            row = data | more | {"event_key": KEY, "measured_at": TIME_US, "context_data": more["context_data"] or {}}
            return {"resource_usage": [row]}
        case "pipeline.started" | "pipeline.finished":
            return run_rows(data, more, kind == "pipeline.finished") | (steps() if more.get("steps") else {})
        case "pipeline.configured":
            active = True if more["is_active"] is None else more["is_active"]
            row = data | rank | {"id": derived("pipeline_configuration:acme/build\0" + "7"), "created_at": TIME_US}
            row |= {"is_active": active, "performance_baseline": more["performance_baseline"] or {}}
            return {"pipeline_configurations": [row]}
        case "task.changed":
            return task_rows(data, more)
        case "task.finished":
            row = rank | {
                "id": derived("task_execution:T-1:x-1"), "task_id": derived("task:T-1"), "external_id": "x-1",
                "attempt": more["attempt"] or 1, "execution_start": us(START), "execution_end": us(END),
                "status": "error", "error_type": more["error_type"], "error_message": more["error_message"],
                "performance_metrics": more["performance_metrics"] or {},
                "resource_usage": more["resource_usage"] or {}, "project_name": more["project_id"],
            }  # fmt: skip
            return {"task_executions": [row]}
        case "integration.occurred":
            row = data | {
                "id": UUID, "event_timestamp": TIME_US, "target_system": more["target_system"],
                "processing_duration": more["processing_duration_ms"], "error_details": more["error_details"] or {},
                "correlation_id": derived("correlation:corr-1") if full else None,
                "correlation_key": more["correlation_id"],
            }  # fmt: skip
            return {"integration_events": [row]}
        case "code.measured":
            tags = {key: more[key] for key in ("path", "symbol", "context", "commit_sha") if full}
            row = {
                "event_key": KEY, "collected_at": TIME_US, "metric_value": 17.0, "metric_name": "complexity",
                "metric_unit": more["unit"], "metric_tags": tags, "source_system": "code:acme/shop",
                "aggregation_period": None,
            }  # fmt: skip
            return {"system_metrics": [row]}
        case "code.dependencies":
            row = rank | {"codebase_id": "acme/shop", "from_node": "a", "to_node": "b", "kind": "import"}
            return {"code_dependencies": [row | {"commit_sha": more["commit_sha"], "observed_at": TIME_US}]}
        case "pattern.labelled":
            row = {
                "id": UUID, "pattern_id": uuid.UUID(data["pattern_id"]), "classification_type": "verdict",
                "classification_value": "false_positive", "classification_confidence": 1.0,
                "classifier_model": "human", "classified_at": TIME_US, "human_verified": True,
                "verification_timestamp": TIME_US, "actor": more["actor"], "note": more["note"],
            }  # fmt: skip
            return {"pattern_classifications": [row]}
    recommendation = derived("recommendation:r-1")
    row = rank | {
        "id": derived(f"recommendation_effectiveness:{recommendation}/status"), "recommendation_id": recommendation,
        "recommendation_type": "unspecified", "implementation_status": "implemented",
        "implementation_date": us(START) if full else None, "feedback_notes": more["note"],
    }  # fmt: skip
    return {"recommendation_effectiveness": [row]}


def run_rows(data: dict[str, Any], more: dict[str, Any], finished: bool) -> dict[str, list[dict[str, Any]]]:
    row = {
        "id": derived("pipeline_execution:acme/build:run-1"), "execution_id": "run-1", "pipeline_name": "acme/build",
        "execution_start": us(START), "execution_end": us(END) if finished else None,
        "status": data.get("status", "running"), "trigger_type": "webhook",
        "trigger_data": more["trigger_data"] or {}, "success_rate": more.get("success_rate"),
        "total_duration": (more["total_duration_s"] or 930.25) if finished else None,
        "commit_sha": more["commit_sha"], "configuration_version": more["configuration_version"],
        "event_finished": finished, "event_time": TIME_US, "event_id": "e1",
    }  # fmt: skip
    return {"pipeline_executions": [row]}


def steps() -> dict[str, list[dict[str, Any]]]:
    run = derived("pipeline_execution:acme/build:run-1")
    row = {
        "id": derived(f"step_execution:{run}/1"), "pipeline_execution_id": run, "step_order": 1,
        "execution_start": us(START), "execution_end": us("2026-01-05T10:05:00Z"), "pipeline_name": "acme/build",
        "step_name": "compile", "status": "success", "error_details": {"none": True},
        "performance_data": {"lines": 12}, "resource_consumption": {"cpu_s": 2.5}, "event_time": TIME_US,
        "event_id": "e1",
    }  # fmt: skip
    return {"step_executions": [row]}


def task_rows(data: dict[str, Any], more: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    task, rank = derived("task:T-1"), {"event_time": TIME_US, "event_id": "e1"}
    row = rank | {
        "id": task, "external_id": "T-1", "title": "Do it", "description": more["description"], "status": "open",
        "priority": more["priority"] or 0, "created_at": us(START) if more["created_at"] else None,
        "updated_at": TIME_US, "assigned_to": derived("user:ada") if more["assigned_to"] else None,
        "assigned_to_name": more["assigned_to"], "project_id": derived("project:P1") if more["project_id"] else None,
        "project_name": more["project_id"], "estimated_effort": more["estimated_effort_min"],
        "actual_effort": more["actual_effort_min"], "complexity_score": more["complexity_score"],
        "tags": more["tags"] or [],
    }  # fmt: skip
    if not more["depends_on"]:
        return {"tasks": [row]}
    parent = derived("task:T-0")
    edge = rank | {
        "id": derived(f"task_dependency:{parent}/{task}/blocks"), "parent_task_id": parent, "dependent_task_id": task,
        "dependency_type": "blocks", "created_at": TIME_US,
    }  # fmt: skip
    return {"tasks": [row], "task_dependencies": [edge]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [False, True], ids=["required", "all"])
def test_rows_hold_what_the_event_said(kind: str, full: bool) -> None:
    assert rows_of(raw(kind, data_of(kind, full=full))) == expected(kind, full)


POINTS = [
    ("metric.sampled", {}, [("shop", "latency", "metric", 12.5)]),
    ("metric.sampled", {"metric_tags": {}}, [("shop", "latency", "metric", 12.5)]),
    ("metric.sampled", {"metric_tags": {"z": "1", "a": "ü=,"}}, [("shop{a=ü=,,z=1}", "latency", "metric", 12.5)]),
    ("resource.sampled", {}, [("web-1", "cpu_usage", "resource", 42.5)]),
    ("resource.sampled", {"resource_type": "network"}, [("web-1", "network_usage", "resource", 42.5)]),
    ("pipeline.started", {}, []),
    ("pipeline.configured", {}, []),
    ("task.changed", {}, []),
    ("code.dependencies", {}, []),
    ("pattern.labelled", {}, []),
    ("recommendation.updated", {}, []),
    ("integration.occurred", {}, []),
    ("integration.occurred", {"status": "failure"}, [("github:push", "failed", "integration", 1.0)]),
    (
        "integration.occurred",
        {"status": "success", "target_system": "jira", "processing_duration_ms": 7},
        [
            ("github→jira:push", "failed", "integration", 0.0),
            ("github→jira:push", "processing_ms", "integration", 7.0),
        ],
    ),
    ("code.measured", {}, [("acme/shop", "complexity", "code", 17.0)]),
    ("code.measured", {"path": "a.py"}, [("acme/shop:a.py", "complexity", "code", 17.0)]),
    ("code.measured", {"path": "a.py", "symbol": "f"}, [("acme/shop:a.py:f", "complexity", "code", 17.0)]),
]


@pytest.mark.parametrize(("kind", "fields", "points"), POINTS, ids=[f"{i}-{p[0]}" for i, p in enumerate(POINTS)])
def test_points(kind: str, fields: dict[str, Any], points: list[tuple[str, str, str, float]]) -> None:
    assert points_of(raw(kind, data_of(kind, **fields))) == points


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("project", [None, "P9"])
def test_points_of_a_run_by_status(status: str, project: str | None) -> None:
    failed = {"success": [0.0], "failure": [1.0], "error": [1.0], "timeout": [1.0]}.get(status, [])
    data = data_of("task.finished", status=status, project_id=project)
    entity = project or "tasks"
    assert points_of(raw("task.finished", data)) == [
        (entity, "duration_s", "task", 930.25),
        *((entity, "failed", "task", one) for one in failed),
    ]
    steps_of = [
        {"step_name": "a", "step_order": 1, "execution_start": START, "execution_end": END, "status": status},
        {"step_name": "b", "step_order": 0, "execution_start": START, "status": "success"},
    ]
    run = data_of("pipeline.finished", status=status, steps=steps_of, total_duration_s=7)
    assert sorted(points_of(raw("pipeline.finished", run))) == sorted(
        [
            ("acme/build", "duration_s", "pipeline", 7.0),
            *(("acme/build", "failed", "pipeline", one) for one in failed),
            ("acme/build/a", "duration_s", "step", 930.25),
            *(("acme/build/a", "failed", "step", one) for one in failed),
            ("acme/build/b", "failed", "step", 0.0),
        ]
    )


STEPS = SAMPLES["pipeline.finished"].optional["steps"]
EARLY = "2026-01-05T09:59:59.999999Z"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("pipeline.finished", {"execution_end": EARLY}),
        ("task.finished", {"execution_end": EARLY}),
        ("pipeline.finished", {"steps": [STEPS[0] | {"execution_end": EARLY}]}),
        ("pipeline.finished", {"steps": STEPS * 2}),
    ],
    ids=["run", "task", "step", "two steps of one order"],
)  # fmt: skip
def test_what_contradicts_itself_is_rejected(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(e.Rejected) as refused:
        encode(e.decode(raw(kind, data_of(kind, **fields))))
    assert refused.value.reason == "bad_data"


@pytest.mark.parametrize("kind", ["pipeline.finished", "task.finished"])
def test_an_end_at_its_start_is_a_run(kind: str) -> None:
    assert points_of(raw(kind, data_of(kind, execution_end=START)))[0][-1] == 0.0


def test_repeated_edges_are_one() -> None:
    edges = [{"from": f, "to": "b", "kind": "import"} for f in ("z", "a", "z")]
    rows = rows_of(raw("code.dependencies", data_of("code.dependencies", edges=edges)))["code_dependencies"]
    assert [row["from_node"] for row in rows] == ["a", "z"]
    twice = [{"task_id": "T-0", "type": "blocks"}] * 2 + [{"task_id": "T-0", "type": "relates_to"}]
    tasks = rows_of(raw("task.changed", data_of("task.changed", depends_on=twice)))["task_dependencies"]
    assert sorted(row["dependency_type"] for row in tasks) == ["blocks", "relates_to"]


def test_a_uuid_is_used_as_it_is() -> None:
    task = "7D444840-9DC0-11D1-B245-5FFDCE74FAD2"
    changed = rows_of(raw("task.changed", data_of("task.changed", task_id=task)))["tasks"][0]
    finished = rows_of(raw("task.finished", data_of("task.finished", task_id=task)))["task_executions"][0]
    assert changed["id"] == finished["task_id"] == uuid.UUID(task)
    assert changed["external_id"] == task


FREE_FORM = [
    ("resource.sampled", "context_data"), ("pipeline.started", "trigger_data"),
    ("pipeline.configured", "configuration_data"), ("pipeline.configured", "performance_baseline"),
    ("task.finished", "performance_metrics"), ("task.finished", "resource_usage"),
    ("integration.occurred", "event_data"), ("integration.occurred", "error_details"), ("code.measured", "context"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "field"), FREE_FORM)
@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000])
def test_a_number_beyond_a_double_in_a_free_form_field(kind: str, field: str, number: str) -> None:
    value = raw(kind, data_of(kind, **{field: ["@"]})).replace(b'"@"', number.encode())
    with pytest.raises(e.Rejected) as refused:
        encode(e.decode(value))
    assert refused.value.reason == "not_finite"


@pytest.mark.parametrize(("kind", "field"), FREE_FORM)
@pytest.mark.parametrize("document", [[1, {"a": None}], "text", 5, -0.0, True, {"ü": "\\u0000 ©"}])
def test_a_free_form_field_is_kept_as_sent(kind: str, field: str, document: Any) -> None:
    row = next(iter(rows_of(raw(kind, data_of(kind, **{field: document}))).values()))[0]
    kept = row["metric_tags"]["context"] if field == "context" else row[field]
    assert json.dumps(kept) == json.dumps(document)


def test_names() -> None:
    assert tagged("s", ()) == "s"
    assert FAILED == {"success": 0.0, "failure": 1.0, "error": 1.0, "timeout": 1.0}
    assert {"pipeline", "step", "task", "code"} == SPARSE_KINDS
    assert hash(Named("a", "b", "metric")) == hash(Named("a", "b", "metric"))
    assert t.BY_NAME["tasks"] is t.TASKS
