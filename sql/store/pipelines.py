"""Module 2, pipeline execution: runs, their steps, configurations, patterns in them, and the health of pipelines."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from operators.identity import identity
from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import DERIVED, Json, Record, TableOf, derived
from sql.store.where import between, equals, one_of

LONGEST_RUN = timedelta(days=31)
"""Steps are looked for so long after the start of their run: the sink holds to the same."""


class PipelineExecution(Record, frozen=True, kw_only=True):
    """A run of a pipeline; `total_duration` is in seconds."""

    id: uuid.UUID = DERIVED
    execution_id: str
    pipeline_name: str
    execution_start: datetime
    execution_end: datetime | None = None
    status: str
    trigger_type: str
    trigger_data: Json | None = None
    total_duration: float | None = None
    success_rate: float | None = None
    commit_sha: str | None = None
    configuration_version: str | None = None
    event_finished: bool
    event_time: datetime
    event_id: str
    created_at: datetime | None = None


class StepExecution(Record, frozen=True, kw_only=True):
    """A step of a finished run."""

    id: uuid.UUID = DERIVED
    pipeline_execution_id: uuid.UUID
    pipeline_name: str
    step_name: str
    step_order: int
    execution_start: datetime
    execution_end: datetime | None = None
    status: str
    error_details: Json | None = None
    performance_data: Json | None = None
    resource_consumption: Json | None = None
    event_time: datetime
    event_id: str


class PipelineConfiguration(Record, frozen=True, kw_only=True):
    """A version of a pipeline's configuration."""

    id: uuid.UUID = DERIVED
    pipeline_name: str
    configuration_version: str
    configuration_data: Json
    created_at: datetime
    is_active: bool = True
    performance_baseline: Json | None = None
    event_time: datetime
    event_id: str


class ExecutionPattern(Record, frozen=True, kw_only=True):
    """What a pattern says of a pipeline's runs."""

    id: uuid.UUID = DERIVED
    pattern_id: uuid.UUID
    pipeline_name: str
    pattern_type: str
    pattern_description: str | None = None
    pattern_data: Json
    frequency_score: float
    impact_score: float
    detected_at: datetime


class RunHealth(Record, frozen=True, kw_only=True):
    """Runs of a pipeline, or of one of its steps, in a stretch of time; durations are in seconds.

    `failed` counts failure, error and timeout; `judged` those and success: the others say nothing.
    """

    name: str
    runs: int
    judged: int
    failed: int
    median_seconds: float | None
    p95_seconds: float | None
    last_start: datetime


PIPELINE_EXECUTIONS = TableOf(
    PipelineExecution,
    "pipeline_executions",
    time="execution_start",
    identify=lambda row: identity(f"pipeline_execution:{row.pipeline_name}", row.execution_id),
)
STEP_EXECUTIONS = TableOf(
    StepExecution,
    "step_executions",
    key=("pipeline_execution_id", "step_order"),
    time="execution_start",
    identify=lambda row: identity("step_execution", f"{row.pipeline_execution_id}/{row.step_order}"),
)
PIPELINE_CONFIGURATIONS = TableOf(
    PipelineConfiguration,
    "pipeline_configurations",
    kept=(),
    identify=derived("pipeline_configuration", "pipeline_name", "configuration_version"),
)
EXECUTION_PATTERNS = TableOf(ExecutionPattern, "execution_patterns", identify=lambda row: row.pattern_id)


class Pipelines(Module):
    """Pipelines and what belongs to them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.executions = Repository(database, PIPELINE_EXECUTIONS)
        self.step_executions = Repository(database, STEP_EXECUTIONS)
        self.configurations = Repository(database, PIPELINE_CONFIGURATIONS)
        self.patterns = Repository(database, EXECUTION_PATTERNS)

    def listing(
        self,
        *,
        pipeline: str | None = None,
        statuses: Collection[str] | None = None,
        commit_sha: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[PipelineExecution]:
        """Runs that started in [since, until), the latest first."""
        conditions = [
            equals("pipeline_name", pipeline),
            one_of("status", statuses),
            equals("commit_sha", commit_sha),
            *between("execution_start", since, until),
        ]
        return self.executions.page(conditions, order="execution_start", limit=limit, after=after)

    def steps(self, run: PipelineExecution) -> list[StepExecution]:
        """The steps of a run, in their order."""
        around = between("execution_start", run.execution_start - LONGEST_RUN, run.execution_start + LONGEST_RUN)
        return self.step_executions.all([equals("pipeline_execution_id", run.id), *around], order="step_order")

    def active_configurations(self, pipeline: str) -> list[PipelineConfiguration]:
        """The configurations that runs of the pipeline use, the newest first."""
        conditions = [equals("pipeline_name", pipeline), equals("is_active", True)]
        return self.configurations.all(conditions, order="created_at", descending=True)

    def patterns_of(self, pipeline: str, since: datetime, until: datetime) -> list[ExecutionPattern]:
        """Patterns of the pipeline itself (not of its steps) found in [since, until), the latest first."""
        conditions = [equals("pipeline_name", pipeline), *between("detected_at", since, until)]
        return self.patterns.all(conditions, order="detected_at", descending=True)

    def health(self, since: datetime, until: datetime) -> list[RunHealth]:
        """Each pipeline's runs that started in [since, until), the most failures first."""
        return self.ask("store_pipeline_health", RunHealth, since=since, until=until)

    def step_health(self, pipeline: str, since: datetime, until: datetime) -> list[RunHealth]:
        """The same for the steps of a pipeline."""
        return self.ask("store_step_health", RunHealth, pipeline=pipeline, since=since, until=until)
