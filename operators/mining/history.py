"""History as the miners read it: tables of the product's own columns, cut at a time and in one fixed order."""

from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pandas as pd

BAD = ("failure", "error", "timeout")
"""Statuses that count as failed (contract.md section 4)."""

JUDGED = ("success", *BAD)
"""Statuses that count at all: a cancelled or skipped run says nothing."""


class Frame(msgspec.Struct, frozen=True):
    """A table of history: its columns with their kinds, the column by which a row is known, and the order of rows.

    Kinds: `text`, `time` (UTC), `number` (float, NaN = absent) and `json` (what a jsonb column decodes to).
    `known` names times of which the first that is there says when the row could be known.
    """

    columns: dict[str, str]
    known: tuple[str, ...]
    order: tuple[str, ...]


def _frame(columns: str, known: str, order: str) -> Frame:
    pairs = [(name, kind) for name, kind in map(str.split, columns.split(","))]
    return Frame(dict(pairs), tuple(known.split()), tuple(order.split()))


FRAMES = {
    "runs": _frame(
        "id text, execution_id text, pipeline_name text, execution_start time, execution_end time, status text,"
        "trigger_type text, trigger_data json, total_duration number, commit_sha text, configuration_version text",
        "execution_end execution_start",
        "execution_end execution_start pipeline_name id",
    ),
    "steps": _frame(
        "pipeline_execution_id text, pipeline_name text, step_name text, step_order number, execution_start time,"
        "execution_end time, status text, error_details json, performance_data json",
        "execution_end execution_start",
        "execution_start pipeline_name pipeline_execution_id step_order step_name",
    ),
    "tasks": _frame(
        "id text, external_id text, title text, status text, priority number, created_at time, updated_at time,"
        "assigned_to_name text, project_name text, estimated_effort number, actual_effort number,"
        "complexity_score number, tags json",
        "created_at updated_at",
        "created_at updated_at id",
    ),
    "task_executions": _frame(
        "id text, task_id text, external_id text, attempt number, execution_start time, execution_end time,"
        "status text, error_type text, error_message text, project_name text",
        "execution_end execution_start",
        "execution_end execution_start id attempt",
    ),
    "task_dependencies": _frame(
        "parent_task_id text, dependent_task_id text, dependency_type text, created_at time",
        "created_at",
        "parent_task_id dependent_task_id dependency_type",
    ),
    "integration_events": _frame(
        "id text, event_type text, source_system text, target_system text, event_data json, event_timestamp time,"
        "processing_duration number, status text, error_details json, correlation_key text",
        "event_timestamp",
        "event_timestamp source_system event_type id",
    ),
    "code_dependencies": _frame(
        "codebase_id text, from_node text, to_node text, kind text, commit_sha text, observed_at time,"
        "first_observed_at time",
        "first_observed_at observed_at",
        "codebase_id from_node to_node kind",
    ),
    "code_changes": _frame(
        "id text, codebase_id text, path text, commit_sha text, time time, lines number",
        "time",
        "time codebase_id path id",
    ),
    "patterns": _frame(
        "id text, pattern_type text, entity text, measure text, severity text, confidence_score number,"
        "opened_at time, resolved_at time",
        "opened_at",
        "opened_at entity measure pattern_type id",
    ),
    "interventions": _frame("id text, time time, entity text, kind text, name text", "time", "time entity kind id"),
    "hourly": _frame(
        "time time, entity text, measure text, n number, sum number, min number, max number, avg number",
        "time",
        "entity measure time",
    ),
    "daily": _frame(
        "time time, entity text, measure text, n number, sum number, min number, max number, avg number",
        "time",
        "entity measure time",
    ),
}
"""Tables by name. `hourly` and `daily` are the views series_1h and series_1d; `interventions` are changes made on
purpose: a configuration that became active (kind `configuration`), a recommendation that was implemented;
`code_changes` are files that a commit touched, with the lines it changed."""


COMPONENTS = {
    "runs": "pipeline_name",
    "steps": "pipeline_name",
    "task_executions": "project_name",
    "integration_events": "source_system",
}
"""Tables that grow with what happens, and whose rows they are: a history is cut into shards by these columns."""

WHOLE = tuple(name for name in FRAMES if name not in COMPONENTS)
"""Tables of which each shard is given all that it is given."""

_BEGINS = {
    "runs": "execution_start",
    "steps": "execution_start",
    "task_executions": "execution_start",
    "integration_events": "event_timestamp",
    "code_changes": "time",
    "patterns": "opened_at",
    "hourly": "time",
    "daily": "time",
}


class History(msgspec.Struct, frozen=True, eq=False):
    """A history: one pandas DataFrame a table of `FRAMES`. Make it with `of`, read it after `before`.

    Rows are objects in memory, about 360 bytes each: the flow makes one of a shard of the components at a time.
    """

    runs: Any
    steps: Any
    tasks: Any
    task_executions: Any
    task_dependencies: Any
    integration_events: Any
    code_dependencies: Any
    code_changes: Any
    patterns: Any
    interventions: Any
    hourly: Any
    daily: Any
    until: datetime | None = None

    def before(self, until: datetime) -> "History":
        """What was known at `until` (with an offset), rows in one order whatever order they came in.

        A run belongs to what is known when it has ended; a series' bucket when it has: it starts before `until` here,
        so the flow passes the start of a bucket. Raises ValueError without an offset.

        >>> from datetime import UTC, datetime
        >>> len(History.of().before(datetime(2026, 1, 1, tzinfo=UTC)).runs)
        0
        """
        if until.tzinfo is None:
            raise ValueError("`until` needs an offset")
        if self.until == until:
            return self
        ordered = self.until is not None
        return History(until=until, **{name: _cut(getattr(self, name), name, until, ordered) for name in FRAMES})

    def since(self, start: datetime) -> "History":
        """What began at `start` or later; what is no event (tasks, dependencies, interventions) stays whole.

        >>> from datetime import UTC, datetime
        >>> len(History.of().since(datetime(2026, 1, 1, tzinfo=UTC)).runs)
        0
        """
        kept = {name: getattr(self, name) for name in FRAMES}
        for name, column in _BEGINS.items():
            kept[name] = kept[name][(kept[name][column] >= start).to_numpy(dtype=bool)].reset_index(drop=True)
        return History(until=self.until, **kept)

    def thinned(self, **kept: tuple[Any, str]) -> "History":
        """Of each table named, the rows of a mask (bool) with the columns named and those that `before` needs; all
        other tables are empty.

        >>> history = History.of(runs=[{"id": "1", "pipeline_name": "a"}, {"id": "2", "pipeline_name": "b"}])
        >>> history.thinned(runs=(history.runs["pipeline_name"] == "a", "pipeline_name")).runs["id"].tolist()
        ['1']
        """
        frames = {name: empty_frame(name) for name in FRAMES}
        for name, (rows, columns) in kept.items():
            wanted = {*columns.split(), *FRAMES[name].known, *FRAMES[name].order}
            frame = getattr(self, name)
            mask = np.asarray(rows, dtype=bool)
            frames[name] = frame.loc[mask, [column for column in FRAMES[name].columns if column in wanted]]
        return History(until=self.until, **frames)

    def with_whole(self, other: "History") -> "History":
        """This one with the tables of another that are no components' (`WHOLE`)."""
        return msgspec.structs.replace(self, **{name: getattr(other, name) for name in WHOLE})

    @classmethod
    def of(cls, **frames: Any) -> "History":
        """A history of the given tables (DataFrames or lists of dicts); absent tables and columns are empty.

        Raises TypeError for an unknown table, ValueError for a time without an offset.

        >>> History.of(runs=[{"id": "1", "pipeline_name": "shop", "status": "success"}]).runs.shape
        (1, 11)
        """
        unknown = set(frames) - set(FRAMES)
        if unknown:
            raise TypeError(f"no such table: {', '.join(sorted(unknown))}")
        given = {name: rows for name, rows in frames.items() if rows is not None}
        return cls(**{
            name: _typed(given[name], spec, name) if name in given else _nothing(name) for name, spec in FRAMES.items()
        })  # fmt: skip


def empty_frame(name: str) -> Any:
    """A table without rows.

    >>> len(empty_frame("runs").columns)
    11
    """
    return _nothing(name)


def micros(times: Any) -> Any:
    """Times of a column as µs since 1970 (int64); NaT is the least integer.

    >>> micros(pd.Series(pd.to_datetime(["1970-01-01T00:00:01Z"])))
    array([1000000])
    """
    return times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)


@cache
def _nothing(name: str) -> Any:
    return _typed({}, FRAMES[name], name)


def _typed(rows: Any, spec: Frame, name: str) -> Any:
    frame = pd.DataFrame(rows)
    out = {}
    for column, kind in spec.columns.items():
        values = frame[column] if column in frame else pd.Series([None] * len(frame), index=frame.index, dtype=object)
        if kind == "time":
            if values.dtype.kind == "M" and getattr(values.dtype, "tz", None) is None:
                raise ValueError(f"{name}.{column}: times need an offset")
            values = pd.to_datetime(values, utc=True, format="ISO8601")
            out[column] = values.astype("datetime64[us, UTC]")
        elif kind == "number":
            out[column] = pd.to_numeric(values).astype(float)
        else:
            out[column] = values.astype(object).where(values.notna(), None)
    return pd.DataFrame(out, columns=list(spec.columns))


def _cut(frame: Any, name: str, until: datetime, ordered: bool) -> Any:
    if not len(frame):
        return frame
    spec = FRAMES[name]
    known = frame[spec.known[0]]
    for column in spec.known[1:]:
        known = known.fillna(frame[column])
    keep = (known < until) if name in ("hourly", "daily") else (known <= until)
    if "status" in spec.columns and name != "tasks":
        keep &= frame["status"] != "running"
    found = frame[keep.to_numpy(dtype=bool)]
    if ordered:
        return found.reset_index(drop=True)
    return found.sort_values(list(spec.order), kind="stable", na_position="last").reset_index(drop=True)
