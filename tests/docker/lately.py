"""Events of the last weeks up to now, with everything in them that a dashboard shows: what `hindsight stream` reads."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Lately:
    """Events by time. The last hour is bad: a CPU is full, and calls to jira fail."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.random = random.Random(1)
        self.events: list[tuple[datetime, str]] = []

    def add(self, kind: str, time: datetime, data: dict[str, Any], source: str = "test://lately") -> None:
        name = f"dev.hindsight.{kind}.v1"
        event = {"specversion": "1.0", "id": f"e{len(self.events)}", "source": source, "type": name, "time": text(time)}
        event |= {"data": data}
        self.events.append((time, json.dumps(event)))

    def machines(self) -> None:
        for step in range(40 * 12):
            time = self.now - step * HOUR / 12
            for host in ("web-1", "web-2", "it's gone"):
                if host == "it's gone" and step < 15 * 12:
                    continue  # silent since
                for kind in ("cpu", "memory", "disk", "network"):
                    usage = 40 + self.random.uniform(-3, 3)
                    if (host, kind) == ("web-1", "cpu") and step <= 12:
                        usage = 97.0
                    self.add("resource.sampled", time, {"host": host, "resource_type": kind, "usage_percentage": usage})
            if not 10 * 12 <= step < 15 * 12:  # hours are missing
                data = {"source_system": "shop", "metric_name": "orders", "metric_value": self.random.gauss(100, 5)}
                self.add("metric.sampled", time, data)

    def run(self, name: str, start: datetime, seconds: float, status: str, commit: str) -> None:
        data = {"pipeline_name": name, "execution_id": f"{name}-{start:%d%H%M}", "execution_start": text(start),
                "trigger_type": "webhook", "commit_sha": commit}  # fmt: skip
        if status == "running":
            self.add("pipeline.started", start, data)
            return
        middle, end = start + timedelta(seconds=seconds / 2), start + timedelta(seconds=seconds)
        steps = [
            {"step_name": "compile", "step_order": 0, "execution_start": text(start), "execution_end": text(middle),
             "status": "success"},
            {"step_name": "test", "step_order": 1, "execution_start": text(middle), "execution_end": text(end),
             "status": status, "error_details": {"message": "no"} if status != "success" else {}},
        ]  # fmt: skip
        data |= {"execution_end": text(end), "status": status, "total_duration_s": seconds, "steps": steps}
        self.add("pipeline.finished", end, data)

    def pipelines(self) -> None:
        for step in range(20 * 4, 0, -1):
            start = self.now - step * 6 * HOUR
            status = "failure" if step % 5 == 0 or step == 1 else "success"
            self.run("shop/build", start, 300 + self.random.uniform(-20, 20), status, f"{step:040x}")
            if status == "success" or step % 10 == 0:
                self.run("shop/deploy", start + HOUR, 60, "failure" if step % 10 == 0 else "success", f"{step:040x}")
        self.run("shop/build", self.now - 5 * HOUR, 0, "running", "f" * 40)

    def tasks(self) -> None:
        for number in range(40):
            changed = self.now - number * DAY
            done = number % 2 == 0
            data = {"task_id": f"T{number}", "title": f"Task {number}", "status": "done" if done else "open",
                    "created_at": text(changed - 5 * DAY), "project_id": "P1", "assigned_to": "ada",
                    "estimated_effort_min": 60}  # fmt: skip
            if not done:
                data["depends_on"] = [{"task_id": f"T{number - 2}", "type": "blocks"}]
            start = changed - DAY
            run = {"task_id": f"T{number}", "execution_id": "x", "execution_start": text(start),
                   "execution_end": text(start + HOUR), "project_id": "P1",
                   "status": "error" if number % 3 == 0 else "success"}  # fmt: skip
            if number % 3 == 0:
                run |= {"error_type": "Oops", "error_message": "it broke"}
            self.add("task.finished", start + HOUR, run)
            self.add("task.changed", changed, data)

    def integrations(self) -> None:
        for step in range(40 * 6):
            time = self.now - step * HOUR / 6
            for source in ("github", "jira"):
                failed = (source == "jira" and step < 6) or step % 20 == 0
                data = {"event_type": "sync", "source_system": source, "target_system": "slack", "event_data": {},
                        "processing_duration_ms": self.random.uniform(100, 300),
                        "status": "failure" if failed else "success", "correlation_id": f"c{step}",
                        "error_details": {"message": "503"} if failed else None}  # fmt: skip
                self.add("integration.occurred", time, data)

    def code(self) -> None:
        for day in range(60):
            for path in ("a.py", "b.py"):
                data = {"codebase_id": "shop", "metric_type": "complexity", "metric_value": 100.0 - day,
                        "scope": "file", "path": path}  # fmt: skip
                self.add("code.measured", self.now - (day + (path == "b.py") * 10) * DAY, data)

    def write(self, path: Path) -> None:
        """One file, in order of time; three lines at its end are late or unreadable."""
        self.machines()
        self.pipelines()
        self.tasks()
        self.integrations()
        self.code()
        lines = [line for _, line in sorted(self.events, key=lambda event: event[0])]
        late = {"source_system": "shop", "metric_name": "orders", "metric_value": 1.0}
        self.add("metric.sampled", self.now - 3 * HOUR, late, source="test://late")
        path.write_text("\n".join([*lines, self.events[-1][1], "{", '{"specversion": "1.0"}']) + "\n", encoding="utf-8")


def text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
