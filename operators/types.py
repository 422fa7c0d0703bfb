"""The events of the contract as types: fields and limits, checked while they are decoded (contract.md section 2)."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

MAX_FINITE = 1.7976931348623157e308
TYPE_PREFIX = "dev.hindsight."

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Text = str
Finite = Annotated[float, Meta(ge=-MAX_FINITE, le=MAX_FINITE)]
NotNegative = Annotated[float, Meta(ge=0, le=MAX_FINITE)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]
Trigger = Literal["manual", "scheduled", "webhook"]
RunStatus = Literal["success", "failure", "error", "cancelled", "timeout", "skipped"]
NONE = Raw(b"")
"""A free-form JSON field that was not given."""


class MetricData(Struct, gc=False):
    """A sample of a metric."""

    metric_name: Name
    metric_value: Finite
    source_system: Name
    metric_unit: Name | None = None
    metric_tags: Raw = NONE
    aggregation_period: Name | None = None


class ResourceData(Struct, gc=False):
    """A sample of a machine's resource; `usage_percentage` is 0 to 100."""

    host: Name
    resource_type: Literal["cpu", "memory", "disk", "network"]
    usage_percentage: NotNegative
    absolute_value: Finite | None = None
    peak_usage: Finite | None = None
    average_usage: Finite | None = None
    context_data: Raw = NONE


class PipelineStartedData(Struct):
    """A run of a pipeline has started."""

    pipeline_name: Name
    execution_id: Name
    execution_start: Moment
    trigger_type: Trigger
    trigger_data: Raw = NONE
    commit_sha: Name | None = None
    configuration_version: Name | None = None


class StepData(Struct):
    """A step of a finished run."""

    step_name: Name
    step_order: Count
    execution_start: Moment
    status: RunStatus
    execution_end: Moment | None = None
    error_details: Raw = NONE
    performance_data: Raw = NONE
    resource_consumption: Raw = NONE


class PipelineFinishedData(PipelineStartedData, kw_only=True):
    """A run of a pipeline has ended."""

    execution_end: Moment
    status: RunStatus
    total_duration_s: NotNegative | None = None
    success_rate: Ratio | None = None
    steps: list[StepData] | None = None


class PipelineConfiguredData(Struct):
    """A pipeline has a new configuration."""

    pipeline_name: Name
    configuration_version: Name
    configuration_data: Raw
    is_active: bool | None = None
    performance_baseline: Raw = NONE


class DependsOn(Struct):
    """A task that this one depends on."""

    task_id: Name
    type: Literal["blocks", "relates_to", "duplicates"]


class TaskChangedData(Struct):
    """A task as it stands after a change; efforts are minutes."""

    task_id: Name
    title: Text
    status: Annotated[str, Meta(min_length=1, max_length=50)]
    description: Text | None = None
    priority: Int | None = None
    created_at: Moment | None = None
    assigned_to: Name | None = None
    project_id: Name | None = None
    estimated_effort_min: Count | None = None
    actual_effort_min: Count | None = None
    complexity_score: Finite | None = None
    tags: list[Text] | None = None
    depends_on: list[DependsOn] | None = None


class TaskFinishedData(Struct):
    """An execution of a task has ended."""

    task_id: Name
    execution_id: Name
    execution_start: Moment
    execution_end: Moment
    status: RunStatus
    attempt: Count | None = None
    project_id: Name | None = None
    error_type: Name | None = None
    error_message: Text | None = None
    performance_metrics: Raw = NONE
    resource_usage: Raw = NONE


class IntegrationData(Struct):
    """Something passed between two systems."""

    event_type: Name
    source_system: Name
    event_data: Raw
    status: Literal["success", "failure", "partial"]
    target_system: Name | None = None
    processing_duration_ms: NotNegative | None = None
    error_details: Raw = NONE
    correlation_id: Name | None = None


class CodeData(Struct):
    """A measure of a repository, a file or a symbol."""

    codebase_id: Name
    metric_type: Name
    metric_value: Finite
    scope: Literal["repo", "file", "symbol"]
    unit: Name | None = None
    path: Annotated[str, Meta(max_length=4096)] | None = None
    symbol: Annotated[str, Meta(max_length=4096)] | None = None
    commit_sha: Name | None = None
    context: Raw = NONE


class Edge(Struct, rename={"origin": "from"}):
    """One dependency; `origin` is `from` on the wire."""

    origin: Annotated[str, Meta(min_length=1, max_length=1024)]
    to: Annotated[str, Meta(min_length=1, max_length=1024)]
    kind: Name


class CodeDependenciesData(Struct):
    """Dependencies in a code base."""

    codebase_id: Name
    edges: list[Edge]
    commit_sha: Name | None = None


class LabelData(Struct):
    """A person's verdict about a pattern."""

    pattern_id: Name
    verdict: Literal["true_positive", "false_positive", "expected"]
    actor: Name | None = None
    note: Text | None = None


class RecommendationData(Struct):
    """What became of a recommendation."""

    recommendation_id: Name
    status: Literal["pending", "implemented", "rejected", "partially_implemented"]
    implemented_at: Moment | None = None
    note: Text | None = None


class Envelope(Struct, tag_field="type", gc=False):
    """The CloudEvents attributes that every event has. `time` is the event time."""

    specversion: Literal["1.0"]
    id: Name
    source: Annotated[str, Meta(min_length=1, max_length=2048)]
    time: Moment


class MetricSampled(Envelope, tag=TYPE_PREFIX + "metric.sampled.v1", gc=False):
    """`metric.sampled.v1`"""

    data: MetricData


class ResourceSampled(Envelope, tag=TYPE_PREFIX + "resource.sampled.v1", gc=False):
    """`resource.sampled.v1`"""

    data: ResourceData


class PipelineStarted(Envelope, tag=TYPE_PREFIX + "pipeline.started.v1"):
    """`pipeline.started.v1`"""

    data: PipelineStartedData


class PipelineFinished(Envelope, tag=TYPE_PREFIX + "pipeline.finished.v1"):
    """`pipeline.finished.v1`"""

    data: PipelineFinishedData


class PipelineConfigured(Envelope, tag=TYPE_PREFIX + "pipeline.configured.v1"):
    """`pipeline.configured.v1`"""

    data: PipelineConfiguredData


class TaskChanged(Envelope, tag=TYPE_PREFIX + "task.changed.v1"):
    """`task.changed.v1`"""

    data: TaskChangedData


class TaskFinished(Envelope, tag=TYPE_PREFIX + "task.finished.v1"):
    """`task.finished.v1`"""

    data: TaskFinishedData


class IntegrationOccurred(Envelope, tag=TYPE_PREFIX + "integration.occurred.v1"):
    """`integration.occurred.v1`"""

    data: IntegrationData


class CodeMeasured(Envelope, tag=TYPE_PREFIX + "code.measured.v1"):
    """`code.measured.v1`"""

    data: CodeData


class CodeDependencies(Envelope, tag=TYPE_PREFIX + "code.dependencies.v1"):
    """`code.dependencies.v1`"""

    data: CodeDependenciesData


class PatternLabelled(Envelope, tag=TYPE_PREFIX + "pattern.labelled.v1"):
    """`pattern.labelled.v1`"""

    data: LabelData


class RecommendationUpdated(Envelope, tag=TYPE_PREFIX + "recommendation.updated.v1"):
    """`recommendation.updated.v1`"""

    data: RecommendationData


Event = (
    MetricSampled
    | ResourceSampled
    | PipelineStarted
    | PipelineFinished
    | PipelineConfigured
    | TaskChanged
    | TaskFinished
    | IntegrationOccurred
    | CodeMeasured
    | CodeDependencies
    | PatternLabelled
    | RecommendationUpdated
)
