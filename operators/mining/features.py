"""Features of runs, steps, tasks and integration events, as of the moment each began: only what had ended by then.

What a model learns from must have been known when it would have been asked. A run that was still going counts for
nothing but itself, however early it began: leaking its outcome makes every model look better than it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from operators.mining.history import History, micros
from operators.mining.significance import DAY_US
from operators.mining.streams import outcomes

LASTS = (5, 20)
"""How many of the last ends a rate is taken over."""

DAYS = (1, 7, 28)
"""Days back in which ends are counted."""

MOST_ROWS = 50_000
"""Rows of a kind that selection looks at, those that began last."""

_LOGIC = {
    "failed_last_5": "share of failed among the last 5 that ended before the start",
    "failed_last_20": "share of failed among the last 20 that ended before the start",
    "failures_in_a_row": "failures in a row up to the last that ended before the start",
    "ended_1d": "how many ended in the day before the start",
    "ended_7d": "how many ended in the 7 days before the start",
    "ended_28d": "how many ended in the 28 days before the start",
    "since_end_s": "seconds from the last end before the start to the start",
    "since_failure_s": "seconds from the last failed end before the start to the start",
    "seconds_last": "duration of the last that ended before the start, in seconds",
    "seconds_median_20": "median duration of the last 20 that ended before the start, in seconds",
    "hour": "hour of the start, UTC",
    "weekday": "day of the week of the start, UTC; Monday is 0",
    "by_schedule": "1 when the trigger is a schedule",
    "by_hand": "1 when it was started by hand",
    "same_commit_before": "runs of the same pipeline and commit that ended before the start",
    "step_order": "place of the step in its run",
    "attempt": "number of the attempt",
    "priority": "priority of the task",
    "estimated_effort": "estimated effort in minutes",
    "complexity_score": "complexity of the task, on the tracker's scale",
    "tags": "number of tags of the task",
    "blocked_by": "tasks that the task waits for",
    "age_s": "seconds from the creation of the task to the start",
}
"""What each feature is, in words: its transformation."""


class Table(NamedTuple):
    """Features of things of one kind: what each row is of, when it began, its outcome, the values (NaN = unknown)."""

    of: str
    refs: Any
    entities: Any
    start_us: Any
    failed: Any
    names: tuple[str, ...]
    values: Any
    logic: Mapping[str, tuple[str, str]]
    """By feature, its kind (`history`, `own`, `graph`) and what it is in words."""


class Feature(NamedTuple):
    """A row of `feature_engineering`. `importance`: |2 AUC - 1| (rank-biserial), `correlation`: Pearson's."""

    of: str
    name: str
    kind: str
    logic: str
    importance: float | None
    correlation: float | None
    selected: bool
    lineage: dict[str, Any]


def before_start(start_us: Any, end_us: Any, failed: Any, seconds: Any) -> dict[str, Any]:
    """History features of one entity's runs: each as of its start, from the ends before it (not at it).

    >>> found = before_start(np.array([0, 5, 20]), np.array([10, 8, 30]), np.array([True, False, False]),
    ...                      np.array([1.0, 2.0, 3.0]))
    >>> found["failed_last_5"].tolist(), found["failures_in_a_row"].tolist()
    ([nan, nan, 0.5], [0.0, 0.0, 1.0])
    """
    order = np.argsort(end_us, kind="stable")
    ends, bad, took = end_us[order], failed[order].astype(float), seconds[order]
    known = np.searchsorted(ends, start_us, side="left")
    total = np.concatenate(([0.0], np.cumsum(bad)))
    out: dict[str, Any] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        for last in LASTS:
            first = np.maximum(0, known - last)
            out[f"failed_last_{last}"] = np.where(known > 0, (total[known] - total[first]) / (known - first), np.nan)
    for days in DAYS:
        out[f"ended_{days}d"] = (known - np.searchsorted(ends, start_us - days * DAY_US, side="left")).astype(float)
    places = np.arange(len(ends))
    calm = np.maximum.accumulate(np.where(bad == 0.0, places, -1)) if len(ends) else places
    failure = np.maximum.accumulate(np.where(bad > 0.0, places, -1)) if len(ends) else places
    at = known - 1
    has = at >= 0
    safe = np.maximum(at, 0)
    out["failures_in_a_row"] = np.where(has, at - calm[safe], 0.0).astype(float)
    out["since_end_s"] = np.where(has, (start_us - ends[safe]) / 1e6, np.nan)
    broke = np.where(has, failure[safe], -1)
    out["since_failure_s"] = np.where(broke >= 0, (start_us - ends[np.maximum(broke, 0)]) / 1e6, np.nan)
    out["seconds_last"] = np.where(has, took[safe], np.nan)
    medians = pd.Series(took).rolling(LASTS[-1], min_periods=1).median().to_numpy()
    out["seconds_median_20"] = np.where(has, medians[safe], np.nan)
    return out


def tables(history: History) -> Iterator[Table]:
    """Features of the runs, steps, task executions and integration events of a history that succeeded or failed."""
    for kind in ("pipeline", "step", "task", "integration"):
        stream = outcomes(history, [kind])
        if not len(stream):
            continue
        past: dict[str, Any] = {}
        groups = stream.groupby("entity", sort=True).indices
        columns = [stream[name].to_numpy() for name in ("start_us", "end_us", "failed", "seconds")]
        for rows in groups.values():
            for name, values in before_start(*(column[rows] for column in columns)).items():
                past.setdefault(name, np.full(len(stream), np.nan))[rows] = values
        start = stream["start_us"].to_numpy()
        past["hour"] = ((start // 3_600_000_000) % 24).astype(float)
        past["weekday"] = ((start // DAY_US + 3) % 7).astype(float)
        past |= _own(kind, history, stream)
        names = tuple(past)
        yield Table(
            kind, stream["ref"].to_numpy(), stream["entity"].to_numpy(), start, stream["failed"].to_numpy(), names,
            np.column_stack([past[name] for name in names]), LOGIC,
        )  # fmt: skip


def _own(kind: str, history: History, stream: Any) -> dict[str, Any]:
    """What a thing itself brings, beside the past of its entity."""
    if kind == "pipeline":
        runs = history.runs.set_index("id").loc[stream["ref"]]
        trigger = runs["trigger_type"].to_numpy()
        return {"by_schedule": (trigger == "scheduled").astype(float), "by_hand": (trigger == "manual").astype(float),
                "same_commit_before": _same_before(stream, runs["commit_sha"].to_numpy())}  # fmt: skip
    if kind == "step":
        return {"step_order": stream["ref"].str.rpartition(":")[2].astype(float).to_numpy()}
    if kind == "task":
        return _of_tasks(history, stream)
    return {}


def _same_before(stream: Any, commits: Any) -> Any:
    """How many runs of the same pipeline and commit had ended."""
    out = np.zeros(len(stream))
    frame = pd.DataFrame({"entity": stream["entity"].to_numpy(), "commit": commits})
    start, end = stream["start_us"].to_numpy(), stream["end_us"].to_numpy()
    known = np.flatnonzero(frame["commit"].notna())
    for places in frame.iloc[known].groupby(["entity", "commit"], sort=True).indices.values():
        rows = known[places]
        if len(rows) > 1:
            out[rows] = np.searchsorted(np.sort(end[rows]), start[rows], side="left")
    return out


def _of_tasks(history: History, stream: Any) -> dict[str, Any]:
    """A task's own columns. They are as its newest event left them: an estimate that was put right later is a leak.

    `age_s` and `attempt` alone are of the moment.
    """
    done = history.task_executions
    key = done["id"] + ":" + done["attempt"].fillna(0).astype(int).astype(str)
    of = done.assign(key=key).drop_duplicates("key").set_index("key").loc[stream["ref"]]
    tasks = history.tasks.drop_duplicates("id").set_index("id").reindex(of["task_id"])
    waits = history.task_dependencies
    waits = waits[waits["dependency_type"] == "blocks"].groupby("dependent_task_id").size()
    created = micros(tasks["created_at"]).astype(float)
    created[tasks["created_at"].isna().to_numpy()] = np.nan
    return {
        "attempt": of["attempt"].to_numpy(), "priority": tasks["priority"].to_numpy(),
        "estimated_effort": tasks["estimated_effort"].to_numpy(),
        "complexity_score": tasks["complexity_score"].to_numpy(),
        "tags": np.array([len(tags) if isinstance(tags, list) else 0 for tags in tasks["tags"]], dtype=float),
        "blocked_by": waits.reindex(of["task_id"]).fillna(0).to_numpy(dtype=float),
        "age_s": (stream["start_us"].to_numpy() - created) / 1e6,
    }  # fmt: skip


def latest(parts: Sequence[Table]) -> Table:
    """The rows of tables of one kind that began last, `MOST_ROWS` at most, by their start and id.

    >>> one = next(tables(History.of(runs=[{"id": "1", "status": "error", "pipeline_name": "shop",
    ...     "execution_start": "2026-01-01T00:00:00Z", "execution_end": "2026-01-01T01:00:00Z"}])))
    >>> len(latest([one, one]).refs)
    2
    """
    columns = [np.concatenate([part[at] for part in parts]) for at in (1, 2, 3, 4, 6)]
    order = np.lexsort((columns[0].astype(str), columns[2]))[-MOST_ROWS:]
    refs, entities, start_us, failed, values = (column[order] for column in columns)
    return parts[0]._replace(refs=refs, entities=entities, start_us=start_us, failed=failed, values=values)


_PAST = frozenset({*before_start(*(np.array([], dtype=kind) for kind in (np.int64, np.int64, bool, float)))})

LOGIC = {name: ("history" if name in _PAST else "own", words) for name, words in _LOGIC.items()}
"""By feature, its kind and what it is in words."""
