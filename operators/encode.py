"""From a typed event to what it means: rows of tables, and points of series (contract.md sections 3 and 4).

Pure functions of the event: no clock, no state. The two event types with the most records have shortcuts in
`operators/partition.py`, which a test holds equal to these.
"""

import msgspec
from msgspec import Struct

from operators import tables as t
from operators import types as e
from operators.events import Rejected, document, tag_pairs
from operators.identity import event_digest, event_uuid, identity, key_of_digest
from operators.pgcopy import micros
from operators.tables import Table

FAILED = {"success": 0.0, "failure": 1.0, "error": 1.0, "timeout": 1.0}
"""The measure `failed` by status word; cancelled, skipped and partial runs have none."""


class Named(Struct, frozen=True):
    """A series: what is watched (`entity`), which of its numbers (`measure`), and what kind of thing it is.

    `kind` is one of metric, resource, pipeline, step, task, integration, code.
    """

    entity: str
    measure: str
    kind: str


class Encoded(Struct):
    """An event's rows and points. `points` are (series, value); their time is the event's."""

    rows: list[tuple[Table, bytes]]
    points: list[tuple[Named, float]]


SPARSE_KINDS = frozenset({"pipeline", "step", "task", "code"})
"""Kinds whose every event is judged on its own: a run, or a measure of a commit."""


def tagged(source: str, pairs: tuple[tuple[str, str], ...]) -> str:
    """A source with its tags as an entity.

    >>> tagged("web", (("az", "a"), ("region", "eu"))), tagged("web", ())
    ('web{az=a,region=eu}', 'web')
    """
    return f"{source}{{{','.join(f'{key}={value}' for key, value in pairs)}}}" if pairs else source


def encode(event: e.Event) -> Encoded:
    """Rows and points of any event.

    :raises Rejected: `bad_data` or `not_finite` for what the type system could not see (an end before its start …).
    """
    data = event.data
    match event:
        case e.MetricSampled(data=e.MetricData()):
            return _metric(event)
        case e.ResourceSampled():
            return _resource(event)
        case e.PipelineStarted() | e.PipelineFinished():
            return _pipeline(event)
        case e.PipelineConfigured():
            return _configuration(event)
        case e.TaskChanged():
            return _task_changed(event)
        case e.TaskFinished():
            return _task_finished(event)
        case e.IntegrationOccurred():
            return _integration(event)
        case e.CodeMeasured():
            return _code(event)
        case e.CodeDependencies():
            return _dependencies(event)
        case e.PatternLabelled():
            return _label(event)
        case e.RecommendationUpdated():
            return _recommendation(event)
    raise AssertionError(f"no encoder for {type(data).__name__}")


def metric_entity(data: e.MetricData) -> str:
    """The entity of a metric: its source with the tags."""
    return tagged(data.source_system, tag_pairs(data.metric_tags))


def _key(event: e.Event) -> int:
    return key_of_digest(event_digest(event.source, event.id))


def _metric(event: e.MetricSampled) -> Encoded:
    data = event.data
    entity = metric_entity(data)
    values = (
        _key(event),
        event.time,
        data.metric_value,
        data.metric_name,
        data.metric_unit,
        document(data.metric_tags),
        data.source_system,
        data.aggregation_period,
    )
    point = (Named(entity, data.metric_name, "metric"), data.metric_value)
    return Encoded([(t.SYSTEM_METRICS, t.SYSTEM_METRICS.encode(values))], [point])


def _resource(event: e.ResourceSampled) -> Encoded:
    data = event.data
    values = (
        _key(event),
        event.time,
        data.usage_percentage,
        data.host,
        data.resource_type,
        data.absolute_value,
        data.peak_usage,
        data.average_usage,
        document(data.context_data),
    )
    point = (Named(data.host, f"{data.resource_type}_usage", "resource"), data.usage_percentage)
    return Encoded([(t.RESOURCE_USAGE, t.RESOURCE_USAGE.encode(values))], [point])


def _seconds(start: e.Moment, end: e.Moment, what: str) -> float:
    seconds = (micros(end) - micros(start)) / 1e6
    if seconds < 0:
        raise Rejected("bad_data", f"{what}: execution_end is {-seconds:g} s before execution_start")
    return seconds


def _pipeline(event: e.PipelineStarted | e.PipelineFinished) -> Encoded:
    data = event.data
    name = data.pipeline_name
    run = identity(f"pipeline_execution:{name}", data.execution_id)
    finished = data if isinstance(data, e.PipelineFinishedData) else None
    points: list[tuple[Named, float]] = []
    steps: list[tuple[Table, bytes]] = []
    duration = None
    if finished is not None:
        elapsed = _seconds(finished.execution_start, finished.execution_end, name)
        duration = elapsed if finished.total_duration_s is None else finished.total_duration_s
        points = [(Named(name, "duration_s", "pipeline"), duration), *_failed(name, "pipeline", finished.status)]
        orders = set()
        for step in finished.steps or ():
            if step.step_order in orders:
                raise Rejected("bad_data", f"{name}: two steps have the order {step.step_order}")
            orders.add(step.step_order)
            steps.append((t.STEP_EXECUTIONS, t.STEP_EXECUTIONS.encode(_step(event, step, run, name, points))))
    values = (
        run,
        data.execution_id,
        name,
        data.execution_start,
        finished.execution_end if finished else None,
        finished.status if finished else "running",
        data.trigger_type,
        document(data.trigger_data),
        duration,
        finished.success_rate if finished else None,
        data.commit_sha,
        data.configuration_version,
        finished is not None,
        event.time,
        event.id,
    )
    return Encoded([(t.PIPELINE_EXECUTIONS, t.PIPELINE_EXECUTIONS.encode(values)), *steps], points)


def _step(
    event: e.PipelineStarted | e.PipelineFinished,
    step: e.StepData,
    run: object,
    pipeline: str,
    points: list[tuple[Named, float]],
) -> tuple[object, ...]:
    entity = f"{pipeline}/{step.step_name}"
    if step.execution_end is not None:
        points.append((Named(entity, "duration_s", "step"), _seconds(step.execution_start, step.execution_end, entity)))
    points.extend(_failed(entity, "step", step.status))
    return (
        identity("step_execution", f"{run}/{step.step_order}"),
        run,
        step.step_order,
        step.execution_start,
        step.execution_end,
        pipeline,
        step.step_name,
        step.status,
        document(step.error_details),
        document(step.performance_data),
        document(step.resource_consumption),
        event.time,
        event.id,
    )


def _failed(entity: str, kind: str, status: str) -> list[tuple[Named, float]]:
    value = FAILED.get(status)
    return [] if value is None else [(Named(entity, "failed", kind), value)]


def _configuration(event: e.PipelineConfigured) -> Encoded:
    data = event.data
    values = (
        identity("pipeline_configuration", f"{data.pipeline_name}\0{data.configuration_version}"),
        data.pipeline_name,
        data.configuration_version,
        document(data.configuration_data),
        event.time,
        True if data.is_active is None else data.is_active,
        document(data.performance_baseline),
        event.time,
        event.id,
    )
    return Encoded([(t.PIPELINE_CONFIGURATIONS, t.PIPELINE_CONFIGURATIONS.encode(values))], [])


def _task_changed(event: e.TaskChanged) -> Encoded:
    data = event.data
    task = identity("task", data.task_id)
    values = (
        task,
        data.task_id,
        data.title,
        data.description,
        data.status,
        data.priority if data.priority is not None else 0,
        data.created_at,
        event.time,
        identity("user", data.assigned_to) if data.assigned_to else None,
        data.assigned_to,
        identity("project", data.project_id) if data.project_id else None,
        data.project_id,
        data.estimated_effort_min,
        data.actual_effort_min,
        data.complexity_score,
        msgspec.json.encode(data.tags or []),
        event.time,
        event.id,
    )
    rows = [(t.TASKS, t.TASKS.encode(values))]
    for edge in {(item.task_id, item.type): item for item in data.depends_on or ()}.values():
        parent = identity("task", edge.task_id)
        dependency = (
            identity("task_dependency", f"{parent}/{task}/{edge.type}"),
            parent,
            task,
            edge.type,
            event.time,
            event.time,
            event.id,
        )
        rows.append((t.TASK_DEPENDENCIES, t.TASK_DEPENDENCIES.encode(dependency)))
    return Encoded(rows, [])


def _task_finished(event: e.TaskFinished) -> Encoded:
    data = event.data
    entity = data.project_id or "tasks"
    duration = _seconds(data.execution_start, data.execution_end, data.task_id)
    values = (
        identity(f"task_execution:{data.task_id}", data.execution_id),
        identity("task", data.task_id),
        data.execution_id,
        1 if data.attempt is None else data.attempt,
        data.execution_start,
        data.execution_end,
        data.status,
        data.error_type,
        data.error_message,
        document(data.performance_metrics),
        document(data.resource_usage),
        data.project_id,
        event.time,
        event.id,
    )
    points = [(Named(entity, "duration_s", "task"), duration), *_failed(entity, "task", data.status)]
    return Encoded([(t.TASK_EXECUTIONS, t.TASK_EXECUTIONS.encode(values))], points)


def integration_entity(data: e.IntegrationData) -> str:
    """The entity of an integration's series: `source→target:type`, or `source:type`."""
    target = f"→{data.target_system}" if data.target_system else ""
    return f"{data.source_system}{target}:{data.event_type}"


def _integration(event: e.IntegrationOccurred) -> Encoded:
    data = event.data
    entity = integration_entity(data)
    points = _failed(entity, "integration", data.status)
    if data.processing_duration_ms is not None:
        points.append((Named(entity, "processing_ms", "integration"), data.processing_duration_ms))
    values = (
        event_uuid(event.source, event.id),
        event.time,
        data.event_type,
        data.source_system,
        data.target_system,
        document(data.event_data),
        data.processing_duration_ms,
        data.status,
        document(data.error_details),
        identity("correlation", data.correlation_id) if data.correlation_id else None,
        data.correlation_id,
    )
    return Encoded([(t.INTEGRATION_EVENTS, t.INTEGRATION_EVENTS.encode(values))], points)


def _code(event: e.CodeMeasured) -> Encoded:
    data = event.data
    parts = {"path": data.path, "symbol": data.symbol}
    tags: dict[str, object] = {key: value for key, value in parts.items() if value is not None}
    context = document(data.context)
    if context != b"{}":
        tags["context"] = msgspec.json.decode(context)
    if data.commit_sha:
        tags["commit_sha"] = data.commit_sha
    entity = ":".join(part for part in (data.codebase_id, data.path, data.symbol) if part)
    values = (
        _key(event),
        event.time,
        data.metric_value,
        data.metric_type,
        data.unit,
        msgspec.json.encode(tags),
        f"code:{data.codebase_id}",
        None,
    )
    point = (Named(entity, data.metric_type, "code"), data.metric_value)
    return Encoded([(t.SYSTEM_METRICS, t.SYSTEM_METRICS.encode(values))], [point])


def _dependencies(event: e.CodeDependencies) -> Encoded:
    data = event.data
    edges = {(edge.origin, edge.to, edge.kind) for edge in data.edges}
    rows = []
    for origin, to, kind in sorted(edges):
        values = (data.codebase_id, origin, to, kind, data.commit_sha, event.time, event.time, event.id)
        rows.append((t.CODE_DEPENDENCIES, t.CODE_DEPENDENCIES.encode(values)))
    return Encoded(rows, [])


def _label(event: e.PatternLabelled) -> Encoded:
    data = event.data
    values = (
        event_uuid(event.source, event.id),
        identity("pattern", data.pattern_id),
        "verdict",
        data.verdict,
        1.0,
        "human",
        event.time,
        True,
        event.time,
        data.actor,
        data.note,
    )
    return Encoded([(t.PATTERN_CLASSIFICATIONS, t.PATTERN_CLASSIFICATIONS.encode(values))], [])


def _recommendation(event: e.RecommendationUpdated) -> Encoded:
    data = event.data
    recommendation = identity("recommendation", data.recommendation_id)
    values = (
        identity("recommendation_effectiveness", str(recommendation) + "/status"),
        recommendation,
        "unspecified",
        data.status,
        data.implemented_at,
        data.note,
        event.time,
        event.id,
    )
    return Encoded([(t.RECOMMENDATION_EFFECTIVENESS, t.RECOMMENDATION_EFFECTIVENESS.encode(values))], [])
