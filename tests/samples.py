"""One event of each type of the contract (section 2): its required fields, its optional ones, its topic and key."""

import json
from typing import Any, NamedTuple

TIME = "2026-01-05T10:15:30.250000Z"
TIME_US = 1_767_608_130_250_000
START, END = "2026-01-05T10:00:00Z", "2026-01-05T10:15:30.25Z"
NOW_US = 1_800_000_000_000_000
"""A wall clock after all sample events."""


class Sample(NamedTuple):
    """What section 2 says of a type."""

    required: dict[str, Any]
    optional: dict[str, Any]
    topic: str
    key: str


_STARTED = {
    "pipeline_name": "acme/build",
    "execution_id": "run-1",
    "execution_start": START,
    "trigger_type": "webhook",
}
_STARTED_MORE = {
    "trigger_data": {"by": "ada", "n": [1, None, 2.5]},
    "commit_sha": "c0ffee",
    "configuration_version": "7",
}
_STEP = {
    "step_name": "compile",
    "step_order": 1,
    "execution_start": START,
    "status": "success",
    "execution_end": "2026-01-05T10:05:00Z",
    "error_details": {"none": True},
    "performance_data": {"lines": 12},
    "resource_consumption": {"cpu_s": 2.5},
}

SAMPLES: dict[str, Sample] = {
    "metric.sampled": Sample(
        {"metric_name": "latency", "metric_value": 12.5, "source_system": "shop"},
        {"metric_unit": "ms", "metric_tags": {"region": "eu", "az": "a"}, "aggregation_period": "1m"},
        "metric",
        "shop:latency",
    ),
    "resource.sampled": Sample(
        {"host": "web-1", "resource_type": "cpu", "usage_percentage": 42.5},
        {"absolute_value": 3.4, "peak_usage": 80.0, "average_usage": 41.0, "context_data": {"cores": 8}},
        "metric",
        "web-1:cpu",
    ),
    "pipeline.started": Sample(_STARTED, _STARTED_MORE, "pipeline", "acme/build"),
    "pipeline.finished": Sample(
        _STARTED | {"execution_end": END, "status": "failure"},
        _STARTED_MORE | {"total_duration_s": 900.5, "success_rate": 0.75, "steps": [_STEP]},
        "pipeline",
        "acme/build",
    ),
    "pipeline.configured": Sample(
        {"pipeline_name": "acme/build", "configuration_version": "7", "configuration_data": {"jobs": 4}},
        {"is_active": False, "performance_baseline": {"duration_s": 600}},
        "pipeline",
        "acme/build",
    ),
    "task.changed": Sample(
        {"task_id": "T-1", "title": "Do it", "status": "open"},
        {
            "description": "All of it",
            "priority": 3,
            "created_at": START,
            "assigned_to": "ada",
            "project_id": "P1",
            "estimated_effort_min": 90,
            "actual_effort_min": 120,
            "complexity_score": 5.5,
            "tags": ["a", "ü"],
            "depends_on": [{"task_id": "T-0", "type": "blocks"}],
        },
        "task",
        "T-1",
    ),
    "task.finished": Sample(
        {
            "task_id": "T-1",
            "execution_id": "x-1",
            "execution_start": START,
            "execution_end": END,
            "status": "error",
        },
        {
            "attempt": 2,
            "error_type": "Oops",
            "error_message": "it broke",
            "performance_metrics": {"s": 1},
            "resource_usage": {"mb": 7},
            "project_id": "P1",
        },
        "task",
        "T-1",
    ),
    "integration.occurred": Sample(
        {"event_type": "push", "source_system": "github", "event_data": {"ref": "main"}, "status": "partial"},
        {
            "target_system": "jira",
            "processing_duration_ms": 12.5,
            "error_details": {"code": 5},
            "correlation_id": "corr-1",
        },
        "integration",
        "github",
    ),
    "code.measured": Sample(
        {"codebase_id": "acme/shop", "metric_type": "complexity", "metric_value": 17, "scope": "symbol"},
        {
            "unit": "points",
            "path": "src/a.py",
            "symbol": "A.run",
            "commit_sha": "c0ffee",
            "context": {"tool": "radon"},
        },
        "code",
        "acme/shop",
    ),
    "code.dependencies": Sample(
        {"codebase_id": "acme/shop", "edges": [{"from": "a", "to": "b", "kind": "import"}]},
        {"commit_sha": "c0ffee"},
        "code",
        "acme/shop",
    ),
    "pattern.labelled": Sample(
        {"pattern_id": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "verdict": "false_positive"},
        {"actor": "ada", "note": "a test run"},
        "feedback",
        "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    ),
    "recommendation.updated": Sample(
        {"recommendation_id": "r-1", "status": "implemented"},
        {"implemented_at": START, "note": "done"},
        "feedback",
        "r-1",
    ),
}
KINDS = tuple(SAMPLES)


def data_of(kind: str, *, full: Any = False, **fields: Any) -> dict[str, Any]:
    """The `data` of a sample; a field given as `...` is left out."""
    sample = SAMPLES[kind]
    data = sample.required | (sample.optional if full else {}) | fields
    return {name: value for name, value in data.items() if value is not ...}


def event(kind: str, data: Any = None, **attributes: Any) -> dict[str, Any]:
    """A structured-mode event; an attribute given as `...` is left out."""
    made = {
        "specversion": "1.0",
        "id": "e1",
        "source": "test://sample",
        "type": f"dev.hindsight.{kind}.v1",
        "time": TIME,
        "data": data_of(kind) if data is None else data,
    } | attributes
    return {name: value for name, value in made.items() if value is not ...}


def raw(kind: str, data: Any = None, **attributes: Any) -> bytes:
    """`event` as JSON in UTF-8."""
    return json.dumps(event(kind, data, **attributes), ensure_ascii=False).encode()


def metric(value: float, at_s: float, number: int | str, name: str = "m", system: str = "web") -> bytes:
    """A metric sample at `at_s` seconds after 2026-01-05T10:00:00Z, with an id of its own."""
    data = {"metric_name": name, "metric_value": value, "source_system": system}
    return raw("metric.sampled", data, id=str(number), time=time_at(at_s))


def time_at(at_s: float) -> str:
    """RFC 3339 of so many seconds after 2026-01-05T10:00:00Z."""
    from datetime import UTC, datetime, timedelta

    moment = datetime(2026, 1, 5, 10, tzinfo=UTC) + timedelta(seconds=at_s)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
