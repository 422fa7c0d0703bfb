"""What the data are like: gaps, duplicates, values that cannot be, staleness and coverage, by table and source."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from operators.mining.history import BAD, JUDGED, micros
from operators.mining.significance import DAY_US
from operators.mining.streams import integration_entities

BAD_SHARE = 0.2
"""Share of impossible rows from which a piece of history is left out."""

FEWEST_ROWS = 20
"""Rows below which a piece is never left out: one slip would be a large share."""

TROUBLED = 0.05
"""Share of impossible rows, or of duplicates, from which a source is bad."""

MOST_SOURCES = 500
"""Sources of a table that are told of, those with the most rows; the others are told together."""

OTHERS = "(others)"
"""What these are called."""

LONG_DAYS = {"runs": 30.0, "steps": 30.0, "task_executions": 3650.0}
"""Days that nothing of the kind lasts."""

_YEAR_2000_US = 946_684_800_000_000

_SOURCE = {
    "runs": "pipeline_name", "steps": "pipeline_name", "tasks": "project_name", "task_executions": "project_name",
    "code_dependencies": "codebase_id", "code_changes": "codebase_id",
    "patterns": "entity", "interventions": "entity", "daily": "entity",
    "hourly": "entity",
}  # fmt: skip
_AT = {
    "runs": "execution_start", "steps": "execution_start", "tasks": "updated_at", "task_executions": "execution_start",
    "integration_events": "event_timestamp", "code_dependencies": "observed_at", "patterns": "opened_at",
    "interventions": "time", "daily": "time", "hourly": "time", "task_dependencies": "created_at",
    "code_changes": "time",
}  # fmt: skip
_SAME = {
    "runs": ["pipeline_name", "execution_start", "execution_end", "commit_sha", "status"],
    "steps": ["pipeline_execution_id", "step_name", "execution_start", "execution_end", "status"],
    "tasks": ["project_name", "title", "created_at", "status"],
    "task_executions": ["task_id", "execution_start", "execution_end", "status"],
    "integration_events": ["source_system", "target_system", "event_type", "event_timestamp", "status",
                           "processing_duration", "correlation_key"],
    "code_changes": ["codebase_id", "path", "commit_sha", "time", "lines"],
}  # fmt: skip
_WANTED = {
    "runs": ("execution_end", "total_duration", "commit_sha", "trigger_data", "configuration_version"),
    "steps": ("execution_end",),
    "tasks": ("created_at", "project_name", "assigned_to_name", "estimated_effort"),
    "task_executions": ("execution_end", "project_name"),
    "integration_events": ("processing_duration", "correlation_key", "target_system"),
    "code_changes": ("commit_sha",),
}


class Partial(msgspec.Struct):
    """What is known of one source of a table; parts of it add up. Times in µs since 1970, `days` since 1970."""

    n: int = 0
    first_us: int | None = None
    last_us: int | None = None
    days: set[int] = msgspec.field(default_factory=set)
    duplicates: int = 0
    impossible: int = 0
    checks: dict[str, int] = msgspec.field(default_factory=dict)
    missing: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, other: "Partial") -> None:
        """Take in another part."""
        self.n += other.n
        times = [at for at in (self.first_us, other.first_us) if at is not None]
        self.first_us = min(times, default=None)
        self.last_us = max((at for at in (self.last_us, other.last_us) if at is not None), default=None)
        self.days |= other.days
        self.duplicates += other.duplicates
        self.impossible += other.impossible
        for mine, theirs in ((self.checks, other.checks), (self.missing, other.missing)):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count


class Quality(NamedTuple):
    """A row of `nightly_quality`, without its run."""

    table: str
    source: str
    partial: Partial
    coverage: float
    longest_gap_days: int
    stale_days: float
    status: Literal["good", "notice", "bad"]
    problems: list[str]


def impossible(table: str, rows: Any) -> dict[str, Any]:
    """By check, which rows of a table hold what cannot be.

    >>> from operators.mining.history import History
    >>> impossible("tasks", History.of(tasks=[{"id": "t", "actual_effort": -1}]).tasks)["a negative effort"].tolist()
    [True]
    """
    if not len(rows):
        return {}
    found: dict[str, Any] = {}
    if _AT[table] != "updated_at":
        at = rows[_AT[table]]
        found["a time before 2000"] = at.notna().to_numpy() & (micros(at) < _YEAR_2000_US)
    if table in LONG_DAYS:
        took = (rows["execution_end"] - rows["execution_start"]).dt.total_seconds().to_numpy()
        found["an end before its start"] = took < 0
        found[f"lasts over {LONG_DAYS[table]:.0f} days"] = took > LONG_DAYS[table] * 86_400
    if table == "runs":
        said = rows["total_duration"].to_numpy()
        found["a negative duration"] = said < 0
        found["a result without an end"] = (
            rows["status"].isin(JUDGED).to_numpy() & rows["execution_end"].isna().to_numpy()
        )
        found["running, with an end"] = (rows["status"] == "running").to_numpy() & rows[
            "execution_end"
        ].notna().to_numpy()
        with np.errstate(invalid="ignore"):
            found["shorter than its duration by a day"] = said - took > 86_400 * np.maximum(1.0, 0.5 * took / 86_400)
    if table == "tasks":
        found["changed before it was made"] = (rows["updated_at"] < rows["created_at"]).to_numpy()
        efforts = rows[["estimated_effort", "actual_effort"]].to_numpy()
        found["a negative effort"] = (efforts < 0).any(axis=1)
        found["an effort of over ten years"] = (efforts > 5_256_000).any(axis=1)
    if table == "integration_events":
        took = rows["processing_duration"].to_numpy()
        found["a negative duration"] = took < 0
        found["takes over a week"] = took > 7 * 86_400_000.0
    if table == "code_changes":
        found["a negative number of lines"] = rows["lines"].to_numpy() < 0
        found["over ten million lines of a file"] = rows["lines"].to_numpy() > 1e7
    if table in ("daily", "hourly"):
        least, most, mean = (rows[name].to_numpy() for name in ("min", "max", "avg"))
        slack = 1e-9 * np.maximum(np.abs(least), np.abs(most))
        found["a mean outside its extremes"] = (mean < least - slack) | (mean > most + slack)
        found["a bucket without values"] = ~(rows["n"].to_numpy() > 0)
    if table == "patterns":
        found["ended before it opened"] = (rows["resolved_at"] < rows["opened_at"]).to_numpy()
    return {name: hit for name, hit in found.items() if hit.any()}


def measure(table: str, rows: Any) -> dict[str, Partial]:
    """What a piece of a table is like, by source. Duplicates are looked for within the piece."""
    if not len(rows):
        return {}
    if table == "integration_events":
        sources = integration_entities(rows)
    elif table in _SOURCE:
        sources = rows[_SOURCE[table]].fillna("tasks" if table.startswith("task") else "(none)")
    else:
        sources = rows[_AT[table]].astype(object).map(lambda _: table)
    hits = impossible(table, rows)
    wrong = np.zeros(len(rows), dtype=bool)
    for hit in hits.values():
        wrong |= hit
    twice = rows.duplicated(_SAME[table]).to_numpy() if table in _SAME else np.zeros(len(rows), dtype=bool)
    failed = rows["status"].isin(BAD).to_numpy() if "status" in rows else None
    gone = {name: rows[name].isna().to_numpy() for name in _WANTED.get(table, ())}
    if table == "steps" and failed is not None:
        gone["error_details of failed steps"] = failed & rows["error_details"].isna().to_numpy()
    times = micros(rows[_AT[table]])
    known = rows[_AT[table]].notna().to_numpy()
    codes, names = sources.factorize(sort=True)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    out: dict[str, Partial] = {}
    for place, name in enumerate(names):
        mine = order[bounds[place] : bounds[place + 1]]
        at = times[mine][known[mine]]
        out[str(name)] = Partial(
            n=len(mine), first_us=int(at.min()) if len(at) else None, last_us=int(at.max()) if len(at) else None,
            days=set(np.unique(at // DAY_US).tolist()), duplicates=int(twice[mine].sum()),
            impossible=int(wrong[mine].sum()),
            checks={check: int(hit[mine].sum()) for check, hit in hits.items() if hit[mine].any()},
            missing={column: int(hit[mine].sum()) for column, hit in gone.items() if hit[mine].any()},
        )  # fmt: skip
    return out


def too_bad(found: Mapping[str, Partial]) -> str | None:
    """Why a piece is to be left out; None when it is not.

    >>> too_bad({"shop": Partial(n=100, impossible=60, checks={"an end before its start": 60})})
    '60 of 100 rows cannot be: an end before its start (60)'
    """
    rows, wrong = sum(part.n for part in found.values()), sum(part.impossible for part in found.values())
    if rows < FEWEST_ROWS or wrong < BAD_SHARE * rows:
        return None
    checks: dict[str, int] = {}
    for part in found.values():
        for name, count in part.checks.items():
            checks[name] = checks.get(name, 0) + count
    listed = ", ".join(f"{name} ({count})" for name, count in sorted(checks.items(), key=lambda pair: -pair[1]))
    return f"{wrong} of {rows} rows cannot be: {listed}"


def judged(table: str, parts: Iterable[Mapping[str, Partial]], until: datetime) -> list[Quality]:
    """What a table was like, by source in the order of their names. A source's usual pace is learned from itself."""
    by_source: dict[str, Partial] = {}
    for found in parts:
        for name, part in found.items():
            by_source.setdefault(name, Partial()).add(part)
    kept = sorted(by_source, key=lambda name: (-by_source[name].n, name))
    if len(kept) > MOST_SOURCES:
        others = Partial()
        for name in kept[MOST_SOURCES - 1 :]:
            others.add(by_source.pop(name))
        by_source[OTHERS] = others
    return [_judged(table, name, part, until) for name, part in sorted(by_source.items())]


def _judged(table: str, source: str, part: Partial, until: datetime) -> Quality:
    end_us = int(until.timestamp() * 1e6)
    days = np.array(sorted(part.days), dtype=np.int64)
    gaps = np.diff(days) if len(days) > 1 else np.array([], dtype=np.int64)
    longest = int(gaps.max()) - 1 if len(gaps) else 0
    usual = float(np.quantile(gaps, 0.95)) if len(gaps) else 0.0
    stale = max(0.0, (end_us - part.last_us) / DAY_US) if part.last_us is not None else 0.0
    span = max(1, (end_us - 1) // DAY_US - int(days[0]) + 1) if len(days) else 1
    problems: list[str] = []
    status: Literal["good", "notice", "bad"] = "good"
    eventful = table not in ("tasks", "task_dependencies", "code_dependencies", "patterns", "interventions")
    if eventful and len(days) >= 10:
        if longest > max(3.0, 3.0 * usual):
            problems.append(f"nothing for {longest} days in a row; usually at most {usual:.0f}")
        if stale > max(3.0, 3.0 * usual):
            problems.append(f"nothing for the last {stale:.0f} days; usually at most {usual:.0f}")
    if problems:
        status = "notice"
    if part.duplicates:
        problems.append(f"{part.duplicates} of {part.n} rows say the same as another one")
        status = "bad" if part.duplicates > TROUBLED * part.n else "notice"
    for check, count in sorted(part.checks.items(), key=lambda pair: (-pair[1], pair[0])):
        problems.append(f"{count} of {part.n}: {check}")
    if part.impossible:
        status = "bad" if part.impossible > TROUBLED * part.n else "notice" if status == "good" else status
    coverage = min(1.0, len(days) / span)
    return Quality(table, source, part, coverage, longest, stale, status, problems)
