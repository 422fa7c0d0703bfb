"""What the tables must hold, computed from the records on its own: json, pandas and the contract's words.

Nothing of Hindsight is imported. Everything is exact: generated values are multiples of 1/64.
"""

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from tests.generate import Generated

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "hindsight.dev")
PANE, LATENESS = 10_000_000, 5_000_000
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
FAILED = {"success": 0.0, "failure": 1.0, "error": 1.0, "timeout": 1.0}


def micros(text: str) -> int:
    return (datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH) // timedelta(microseconds=1)


def event_uuid(event: dict[str, Any]) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"event:{event['source']}\0{event['id']}")


def points_of(event: dict[str, Any]) -> list[tuple[str, str, float]]:
    """(entity, measure, value) of an event, from section 4 of the contract."""
    data, kind = event["data"], event["type"].removeprefix("dev.hindsight.").removesuffix(".v1")
    out: list[tuple[str, str, float]] = []

    def failed(entity: str, status: str) -> None:
        if status in FAILED:
            out.append((entity, "failed", FAILED[status]))

    if kind == "metric.sampled":
        tags = data.get("metric_tags") or {}
        inside = ",".join(f"{key}={tags[key]}" for key in sorted(tags))
        out.append(
            (data["source_system"] + (f"{{{inside}}}" if tags else ""), data["metric_name"], data["metric_value"])
        )
    elif kind == "resource.sampled":
        out.append((data["host"], data["resource_type"] + "_usage", data["usage_percentage"]))
    elif kind == "pipeline.finished":
        name = data["pipeline_name"]
        out.append((name, "duration_s", data["total_duration_s"]))
        failed(name, data["status"])
        for step in data["steps"]:
            seconds = (micros(step["execution_end"]) - micros(step["execution_start"])) / 1e6
            out.append((f"{name}/{step['step_name']}", "duration_s", seconds))
            failed(f"{name}/{step['step_name']}", step["status"])
    elif kind == "task.finished":
        seconds = (micros(data["execution_end"]) - micros(data["execution_start"])) / 1e6
        out.append((data["project_id"], "duration_s", seconds))
        failed(data["project_id"], data["status"])
    elif kind == "integration.occurred":
        entity = f"{data['source_system']}→{data['target_system']}:{data['event_type']}"
        out.append((entity, "processing_ms", data["processing_duration_ms"]))
        failed(entity, data["status"])
    elif kind == "code.measured":
        out.append((f"{data['codebase_id']}:{data['path']}", data["metric_type"], data["metric_value"]))
    return out


class Oracle:
    """Counts, dead letters, raw rows and aggregates for generated records."""

    def __init__(self, generated: Generated) -> None:
        records = []
        for partition, lines in enumerate(generated.partitions):
            for place, (raw, reason) in enumerate(lines):
                event = json.loads(raw) if reason is None else None
                records.append(
                    {
                        "partition": partition,
                        "place": place,
                        "reason": reason,
                        "event": event,
                        "key": event_uuid(event) if event else None,
                        "time": micros(event["time"]) if event else None,
                    }
                )
        frame = pd.DataFrame(records)
        self.read = len(frame)
        self.dead_letters = frame[frame.reason.notna()].groupby("reason").size().to_dict()
        valid = frame[frame.reason.isna()].copy()
        valid["time"] = valid.time.astype("int64")
        before = valid.groupby("partition").time.cummax().groupby(valid.partition).shift()
        ends = (valid.time // PANE + 1) * PANE
        valid["late"] = before.notna() & (ends + LATENESS <= before)
        on_time = valid[~valid.late]
        first = ~on_time.duplicated(["partition", "key"])
        self.late = int(valid.late.sum())
        self.duplicates = int((~first).sum())
        self.applied_frame = on_time[first]
        self.applied = len(self.applied_frame)
        self.events = {row.key: row.event for row in valid.itertuples()}
        self.points = self._points()

    def _points(self) -> pd.DataFrame:
        rows = []
        for row in self.applied_frame.itertuples():
            order = int.from_bytes(row.key.bytes[:8], "big", signed=True)
            for entity, measure, value in points_of(row.event):
                rows.append((entity, measure, row.time, order, float(value)))
        return pd.DataFrame(rows, columns=["entity", "measure", "time", "order", "value"])

    def aggregates(self, seconds: int) -> pd.DataFrame:
        """As the views `series_*` show them, sorted; times in microseconds."""
        points = self.points.sort_values(["time", "order"], kind="stable")
        bucket = points.time // (seconds * 1_000_000) * (seconds * 1_000_000)
        frame = points.groupby([bucket.rename("bucket"), points.entity, points.measure]).value.agg(
            n="size", sum="sum", min="min", max="max", first="first", last="last"
        )
        return frame.reset_index().rename(columns={"bucket": "time"})

    def of_type(self, *kinds: str) -> list[dict[str, Any]]:
        """Valid events (late ones too) of some types, each (source, id) once."""
        names = {f"dev.hindsight.{kind}.v1" for kind in kinds}
        return [event for event in self.events.values() if event["type"] in names]
