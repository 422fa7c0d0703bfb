"""The contract's JSON Lines as a `History`: what the nightly flow loads from tables, for tests without a database."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from operators.identity import identity
from operators.mining.history import History

DATA = Path(__file__).parents[3] / "../shared/data"
CI_BUILDS = DATA / "events/ci-builds.jsonl.gz"
TASKS = DATA / "events/tasks.jsonl.gz"


def events(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@cache
def load(*paths: Path) -> History:
    """Runs, steps, tasks and executions of event files, with series of runs an hour and a day."""
    runs, steps, tasks, done = [], [], {}, []
    for event in (event for path in paths for event in events(path)):
        data, kind = event["data"], event["type"].split(".")[2] + "." + event["type"].split(".")[3]
        if kind == "pipeline.finished":
            run = str(identity(f"pipeline_execution:{data['pipeline_name']}", data["execution_id"]))
            runs.append(data | {"id": run, "total_duration": data.get("total_duration_s")})
            steps += [
                step | {"pipeline_execution_id": run, "pipeline_name": data["pipeline_name"]}
                for step in data.get("steps", ())
            ]
        elif kind == "task.changed":
            tasks[data["task_id"]] = data | {
                "id": str(identity("task", data["task_id"])),
                "external_id": data["task_id"],
                "project_name": data.get("project_id"),
                "updated_at": event["time"],
            }
        elif kind == "task.finished":
            done.append(
                data
                | {
                    "id": str(identity(f"task_execution:{data['task_id']}", data["execution_id"])),
                    "task_id": str(identity("task", data["task_id"])),
                    "external_id": data["task_id"],
                    "project_name": data.get("project_id"),
                }
            )
    history = History.of(runs=runs, steps=steps, tasks=list(tasks.values()), task_executions=done)
    series = {name: _series(history.runs, every) for name, every in (("hourly", "h"), ("daily", "D"))}
    return History.of(
        runs=history.runs,
        steps=history.steps,
        tasks=history.tasks,
        task_executions=history.task_executions,
        **series,
    )


def _series(runs: Any, every: str) -> Any:
    judged = runs[runs["status"].isin(["success", "failure", "error", "timeout"])]
    parts = []
    for measure, values in (
        ("duration_s", judged["total_duration"]),
        ("failed", (judged["status"] != "success").astype(float)),
    ):
        frame = pd.DataFrame(
            {"entity": judged["pipeline_name"], "time": judged["execution_end"].dt.floor(every), "value": values}
        )
        found = frame.groupby(["entity", "time"])["value"].agg(["size", "sum", "min", "max", "mean"]).reset_index()
        parts.append(found.rename(columns={"size": "n", "mean": "avg"}).assign(measure=measure))
    return pd.concat(parts, ignore_index=True)
