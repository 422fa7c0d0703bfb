"""Some days of work at random: pipelines, steps, tasks and integrations as rows, and a way to write many rows."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from tests.sql.rows import Connection

Row = dict[str, Any]

FAILURES = ("failure", "error", "timeout")
ENDED = ("success", "success", "success", *FAILURES, "cancelled", "skipped")
DONE = ("done", "Closed", " RESOLVED ")
DROPPED = ("wontfix", "Cancelled")
OPEN = ("open", "in progress", "redone")
PIPELINES = ("shop/build", "shop/deploy", "web/Release", "nightly")
PROJECTS = ("P1", "P2", None)
MIDNIGHT_US = (0, 1, 86_400_000_000 - 1)


class Work:
    """Rows by table. A table's time column comes from `start`, over so many `days`."""

    def __init__(self, seed: int, start: datetime, days: int) -> None:
        self.random = random.Random(seed)
        self.start, self.days = start, days
        self.rows: dict[str, list[Row]] = {
            name: []
            for name in ("pipeline_executions", "step_executions", "tasks", "task_executions", "task_dependencies",
                         "integration_events")
        }  # fmt: skip

    def moment(self) -> datetime:
        """Any time, now and then close to midnight."""
        noise = self.random
        us = noise.choice(MIDNIGHT_US) if noise.random() < 0.05 else noise.randrange(86_400_000_000)
        return self.start + timedelta(days=noise.randrange(self.days), microseconds=us)

    def id(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128))

    def runs(self, count: int) -> None:
        """Runs, each with up to three steps."""
        noise = self.random
        for number in range(count):
            start, seconds = self.moment(), noise.lognormvariate(5, 1)
            status = "running" if noise.random() < 0.05 else noise.choice(ENDED)
            row = {
                "id": self.id(), "execution_id": str(number), "pipeline_name": noise.choice(PIPELINES),
                "execution_start": start, "status": status,
                "trigger_type": noise.choice(["manual", "scheduled", "webhook"]),
                "execution_end": None if status == "running" else start + timedelta(seconds=seconds),
                "total_duration": None if status == "running" else seconds,
                "commit_sha": noise.choice([None, *(f"c{n}" for n in range(max(count // 6, 1)))]),
                "event_finished": status != "running", "event_time": start, "event_id": "e",
            }  # fmt: skip
            self.rows["pipeline_executions"].append(row)
            for order, name in enumerate(["compile", "test", "upload"][: noise.randrange(4)]):
                began = start + timedelta(seconds=order * seconds / 3)
                end = None if noise.random() < 0.1 else began + timedelta(seconds=noise.lognormvariate(4, 1))
                self.rows["step_executions"].append(
                    {
                        "id": self.id(), "pipeline_execution_id": row["id"], "pipeline_name": row["pipeline_name"],
                        "step_name": name, "step_order": order, "execution_start": began, "execution_end": end,
                        "status": "running" if noise.random() < 0.05 else noise.choice(ENDED), "event_time": began,
                        "event_id": "e",
                    }
                )  # fmt: skip

    def tasks(self, count: int) -> None:
        """Tasks with up to three attempts each, of which some begin after the task was done, and blocks among them."""
        noise = self.random
        first = len(self.rows["tasks"])
        for number in range(count):
            updated = self.moment()
            created = None if noise.random() < 0.2 else updated - timedelta(hours=noise.uniform(-5, 200))
            project = noise.choice(PROJECTS)
            task = {
                "id": self.id(), "external_id": f"T{number}", "title": f"title {number}", "project_name": project,
                "status": noise.choice((*DONE, *DROPPED, *OPEN)), "created_at": created, "updated_at": updated,
                "assigned_to_name": noise.choice([None, "ada", "bob"]), "event_time": updated, "event_id": "e",
                "estimated_effort": noise.choice([None, 30, 90]),
            }  # fmt: skip
            self.rows["tasks"].append(task)
            for _ in range(noise.randrange(4)):
                self.attempt(task, self.moment())
        ids = [row["id"] for row in self.rows["tasks"][first:]]
        pairs = {(noise.choice([*ids, self.id()]), noise.choice(ids)) for _ in range(count)}
        self.rows["task_dependencies"] += [
            {
                "id": self.id(), "parent_task_id": parent, "dependent_task_id": child,
                "dependency_type": noise.choice(["blocks", "blocks", "relates_to"]), "created_at": self.start,
                "event_time": self.start, "event_id": "e",
            }
            for parent, child in sorted(pairs)
        ]  # fmt: skip

    def attempt(self, task: Row, start: datetime) -> None:
        noise = self.random
        status = noise.choice(ENDED)
        self.rows["task_executions"].append(
            {
                "id": self.id(), "task_id": task["id"], "external_id": "x", "attempt": 1, "execution_start": start,
                "execution_end": start + timedelta(seconds=noise.lognormvariate(3, 2)), "status": status,
                "error_type": "Oops" if status == "error" else None, "project_name": task["project_name"],
                "event_time": start, "event_id": "e",
            }
        )  # fmt: skip

    def integrations(self, count: int) -> None:
        noise = self.random
        self.rows["integration_events"] += [
            {
                "id": self.id(), "event_type": noise.choice(["push", "sync"]), "event_timestamp": self.moment(),
                "source_system": noise.choice(["github", "jira"]), "target_system": noise.choice([None, "slack"]),
                "event_data": Jsonb({}), "status": noise.choice(["success", "success", "failure", "partial"]),
                "processing_duration": noise.choice([None, noise.uniform(1, 900)]),
            }
            for _ in range(count)
        ]  # fmt: skip


def write(connection: Connection, table: str, rows: list[Row]) -> None:
    """Insert rows of the same columns, and make the partitions that they need."""
    if not rows:
        return
    policy = connection.execute("SELECT time_column FROM storage_policies WHERE table_name = %s", [table]).fetchone()
    if policy:
        days = sorted({row[policy[0]].replace(hour=0, minute=0, second=0, microsecond=0) for row in rows})
        connection.execute("SELECT ensure_partitions(%s::regclass, %s::timestamptz[])", [table, days])
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, rows[0])),
        sql.SQL(", ").join(sql.Placeholder() * len(rows[0])),
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, [list(row.values()) for row in rows])


def write_all(connection: Connection, work: Work) -> None:
    for table, rows in work.rows.items():
        write(connection, table, rows)
