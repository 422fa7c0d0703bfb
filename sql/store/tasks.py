"""Module 1, task management: tasks, their attempts, what they wait for, patterns in them, and how work flows."""

import uuid
from collections.abc import Collection
from datetime import datetime

import msgspec

from operators.identity import identity
from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import DERIVED, Json, JsonList, Record, TableOf, derived
from sql.store.where import at_least, below, between, contains, equals, has, one_of


class Task(Record, frozen=True, kw_only=True):
    """A task in the state that its newest event gave it."""

    id: uuid.UUID = DERIVED
    external_id: str
    title: str
    description: str | None = None
    status: str
    priority: int = 0
    created_at: datetime | None = None
    updated_at: datetime
    assigned_to: uuid.UUID | None = None
    assigned_to_name: str | None = None
    project_id: uuid.UUID | None = None
    project_name: str | None = None
    estimated_effort: int | None = None
    actual_effort: int | None = None
    complexity_score: float | None = None
    tags: JsonList = msgspec.field(default_factory=list)
    event_time: datetime
    event_id: str


class TaskExecution(Record, frozen=True, kw_only=True):
    """A finished attempt at a task."""

    id: uuid.UUID
    task_id: uuid.UUID
    external_id: str
    attempt: int = 1
    execution_start: datetime
    execution_end: datetime | None = None
    status: str
    error_type: str | None = None
    error_message: str | None = None
    performance_metrics: Json | None = None
    resource_usage: Json | None = None
    project_name: str | None = None
    event_time: datetime
    event_id: str
    created_at: datetime | None = None


class TaskDependency(Record, frozen=True, kw_only=True):
    """That one task waits for, belongs to or repeats another."""

    id: uuid.UUID = DERIVED
    parent_task_id: uuid.UUID
    dependent_task_id: uuid.UUID
    dependency_type: str
    created_at: datetime
    event_time: datetime
    event_id: str


class TaskPattern(Record, frozen=True, kw_only=True):
    """What a pattern says of tasks."""

    id: uuid.UUID = DERIVED
    pattern_id: uuid.UUID
    pattern_type: str
    pattern_data: Json
    confidence_score: float
    detected_at: datetime
    task_ids: list[uuid.UUID]
    impact_assessment: Json | None = None


class TaskFlow(Record, frozen=True, kw_only=True):
    """How the tasks of a project moved in a stretch of time; durations of attempts are in seconds."""

    project_name: str | None
    attempts: int
    failures: int
    median_seconds: float | None
    p95_seconds: float | None


TASKS = TableOf(Task, "tasks", identify=derived("task", "external_id"), kept=())
TASK_EXECUTIONS = TableOf(TaskExecution, "task_executions", key=("id", "attempt"), time="execution_start")
TASK_DEPENDENCIES = TableOf(
    TaskDependency,
    "task_dependencies",
    kept=(),
    identify=lambda row: identity(
        "task_dependency", f"{row.parent_task_id}/{row.dependent_task_id}/{row.dependency_type}"
    ),
)
TASK_PATTERNS = TableOf(TaskPattern, "task_patterns", identify=lambda row: row.pattern_id)


class Tasks(Module):
    """Tasks and what belongs to them."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.tasks = Repository(database, TASKS)
        self.executions = Repository(database, TASK_EXECUTIONS)
        self.dependencies = Repository(database, TASK_DEPENDENCIES)
        self.patterns = Repository(database, TASK_PATTERNS)

    def listing(
        self,
        *,
        project: str | None = None,
        statuses: Collection[str] | None = None,
        assignee: str | None = None,
        title: str | None = None,
        least_priority: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: str = "updated_at",
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Task]:
        """Tasks that changed in [since, until); `title` is a part of it."""
        conditions = [
            equals("project_name", project),
            one_of("status", statuses),
            equals("assigned_to_name", assignee),
            contains("title", title),
            at_least("priority", least_priority),
            *between("updated_at", since, until),
        ]
        return self.tasks.page(conditions, order=order, limit=limit, after=after)

    def attempts(
        self,
        *,
        task_id: uuid.UUID | None = None,
        project: str | None = None,
        statuses: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[TaskExecution]:
        """Attempts that started in [since, until), the latest first."""
        conditions = [
            equals("task_id", task_id),
            equals("project_name", project),
            one_of("status", statuses),
            *between("execution_start", since, until),
        ]
        return self.executions.page(conditions, order="execution_start", limit=limit, after=after)

    def waits_for(self, task_id: uuid.UUID) -> list[TaskDependency]:
        """What the task depends on."""
        return self.dependencies.all([equals("dependent_task_id", task_id)], order="created_at")

    def awaited_by(self, task_id: uuid.UUID) -> list[TaskDependency]:
        """What depends on the task."""
        return self.dependencies.all([equals("parent_task_id", task_id)], order="created_at")

    def patterns_of(self, task_id: uuid.UUID, *, before: datetime | None = None) -> list[TaskPattern]:
        """Patterns that name the task, the latest first."""
        return self.patterns.all(
            [has("task_ids", task_id), below("detected_at", before)], order="detected_at", descending=True
        )

    def flow(self, since: datetime, until: datetime) -> list[TaskFlow]:
        """Each project's attempts that started in [since, until), the busiest first."""
        return self.ask("store_task_flow", TaskFlow, since=since, until=until)
