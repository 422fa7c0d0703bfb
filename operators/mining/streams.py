"""Everything that ends well or badly, as one stream: runs, steps, task executions and integration events.

Columns of `outcomes`: `entity` and `kind` as in contract.md section 4, `start_us`, `end_us`, `status`, `failed`,
`seconds` (NaN where unknown), `ref` (the row's natural id); where they are asked for, `text` (what the failure said, or
None) and `errors` (a tuple of what it said by name: each member of a list, such as failed tests, and the signature of
the other texts).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from operators.mining.history import BAD, JUDGED, History, micros
from operators.mining.sql import failed, literal, signature, signature_of
from operators.mining.sql import until as before

TEXT_LENGTH = 640
"""Characters of an error's text that are looked at."""


class Source(msgspec.Struct, frozen=True):
    """Where the rows of one entity are: a table, the test that picks them, and their columns' SQL."""

    kind: str
    entity: str
    table: str
    rows: str
    start: str
    end: str
    seconds: str


KINDS = ("pipeline", "step", "task", "integration")
"""Kinds of what ends."""

COLUMNS = {
    "runs": "pipeline_name status total_duration",
    "steps": "pipeline_name status",
    "task_executions": "project_name status",
    "integration_events": "event_type source_system target_system processing_duration status",
}
"""Columns that `outcomes` reads without texts, beside those that a history needs to be cut (`History.thinned`)."""

TEXTS = {
    "steps": "error_details",
    "task_executions": "error_type error_message",
    "integration_events": "error_details",
}
"""Those that it reads for texts."""


def outcomes(history: History, kinds: Iterable[str] = KINDS, texts: bool = False) -> Any:
    """One row for each thing that ended in a status that counts, by end, entity and id; with `texts` what it said."""
    parts = [_PARTS[kind](history, texts) for kind in kinds]
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if not len(frame):
        return frame
    frame = frame[frame["status"].isin(JUDGED)]
    frame["failed"] = frame["status"].isin(BAD)
    return frame.sort_values(["end_us", "entity", "ref"], kind="stable").reset_index(drop=True)


def source(kind: str, entity: str) -> Source:
    """Where the rows of an entity of `kind` are found again.

    >>> source("pipeline", "shop").rows
    "pipeline_name = 'shop'"
    >>> source("step", "shop/test").rows
    "pipeline_name || '/' || step_name = 'shop/test'"
    """
    if kind == "pipeline":
        rows, end = f"pipeline_name = {literal(entity)}", "execution_end"
        seconds = "coalesce(total_duration, extract(epoch FROM execution_end - execution_start)::float8)"
        return Source(kind, entity, "pipeline_executions", rows, "execution_start", end, seconds)
    if kind == "step":
        rows, end = (
            f"pipeline_name || '/' || step_name = {literal(entity)}",
            "coalesce(execution_end, execution_start)",
        )
        seconds = "extract(epoch FROM execution_end - execution_start)::float8"
        return Source(kind, entity, "step_executions", rows, "execution_start", end, seconds)
    if kind == "task":
        rows = f"coalesce(project_name, 'tasks') = {literal(entity)}"
        seconds, end = (
            "extract(epoch FROM execution_end - execution_start)::float8",
            "coalesce(execution_end, execution_start)",
        )
        return Source(kind, entity, "task_executions", rows, "execution_start", end, seconds)
    name = "source_system || coalesce('→' || target_system, '') || ':' || event_type"
    rows, at = f"{name} = {literal(entity)}", "event_timestamp"
    return Source(kind, entity, "integration_events", rows, at, at, "processing_duration / 1000.0")


def has_error(kind: str, name: str, alias: str = "") -> str:
    """SQL test that a row of `kind` names an error, as `errors` does; `alias` is the table's, with its dot."""
    if kind == "task":
        said = signature_of(f"concat_ws(' ', {alias}error_type, {alias}error_message)")
        return f"{said} = {literal(name)}"
    details = f"{alias}error_details"
    message = (
        "(SELECT string_agg(e.value #>> '{}', ' ' ORDER BY e.key COLLATE \"C\")"
        f" FROM jsonb_each({details}) AS e WHERE jsonb_typeof(e.value) = 'string')"
    )
    member = (
        f"EXISTS (SELECT FROM jsonb_each({details}) AS e WHERE jsonb_typeof(e.value) = 'array'"
        f" AND e.value @> {literal(msgspec.json.encode([name]).decode())}::jsonb)"
    )
    return f"({member} OR {signature_of(message)} = {literal(name)})"


def failures_said(until: datetime) -> str:
    """SQL of one row for each failure that says something: the `signature` of its `text`, as `said`."""
    parts = []
    for kind, table in (("step", "steps"), ("task", "task_executions"), ("integration", "integration_events")):
        of = source(kind, "")
        said = (
            f"concat_ws(' ', nullif({of.table}.error_type, ''), nullif({of.table}.error_message, ''))"
            if TEXTS[table] != "error_details"
            else _TEXT_OF.format(f"{of.table}.error_details")
        )
        parts.append(
            f"SELECT {signature_of('t.text')} AS said FROM {of.table}"
            f" CROSS JOIN LATERAL (SELECT nullif({said}, '') AS text) AS t"
            f" WHERE t.text IS NOT NULL AND {failed()} AND {before(of.end, until)}"
        )
    return " UNION ALL ".join(parts)


_TEXT_OF = (
    "(SELECT string_agg(w.word, ' ' ORDER BY e.key COLLATE \"C\", w.place) FROM jsonb_each(CASE jsonb_typeof({0})"
    " WHEN 'object' THEN {0} ELSE '{{}}' END) AS e CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(e.value)"
    " WHEN 'array' THEN e.value ELSE jsonb_build_array(e.value) END) WITH ORDINALITY AS a (item, place)"
    " CROSS JOIN LATERAL (SELECT a.item #>> '{{}}' AS word, a.place) AS w WHERE jsonb_typeof(a.item) = 'string')"
)
"""`text_of` as SQL over a JSON column."""


def errors_of(details: Any) -> tuple[str, ...]:
    """What an `error_details` names, each once, sorted.

    >>> errors_of({"tests_failed": 2, "names": ["TestB", "TestA"], "message": "gave up after 30 s"})
    ('TestA', 'TestB', 'gave up after <n> s')
    """
    if not isinstance(details, dict):
        return ()
    lists = [value for value in details.values() if isinstance(value, list)]
    found = {name for names in lists for name in names if isinstance(name, str)}
    message = " ".join(value for _, value in sorted(details.items()) if isinstance(value, str))
    return tuple(sorted(found | ({signature(message)} if message else set())))


def text_of(details: Any) -> str | None:
    """What an `error_details` says: its texts and those in its lists, in the order of their keys; None for none.

    >>> text_of({"tests_failed": 2, "names": ["TestB", "TestA"], "message": "no luck"})
    'no luck TestB TestA'
    """
    if not isinstance(details, dict):
        return None
    words: list[str] = []
    for _, value in sorted(details.items()):
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, list):
            words.extend(item for item in value if isinstance(item, str))
    return " ".join(words)[:TEXT_LENGTH] or None


def integration_entities(events: Any) -> Any:
    """The entity of each integration event, as `operators.encode.integration_entity` writes it."""
    target = np.where(events["target_system"].notna(), "→" + events["target_system"].fillna(""), "")
    return events["source_system"] + target + ":" + events["event_type"]


def _rows(
    entity: Any, kind: str, start: Any, end: Any, status: Any, seconds: Any, ref: Any, said: tuple[Any, Any] | None
) -> Any:
    columns = {
        "entity": np.asarray(entity, dtype=object),
        "kind": kind,
        "start_us": micros(start),
        "end_us": micros(end),
        "status": np.asarray(status, dtype=object),
        "seconds": np.asarray(seconds, dtype=float),
        "ref": np.asarray(ref, dtype=object),
    }
    if said is not None:
        columns |= {
            name: pd.Series(list(one), dtype=object) for name, one in zip(("text", "errors"), said, strict=True)
        }
    return pd.DataFrame(columns)


def _details(frame: Any, texts: bool) -> tuple[Any, Any] | None:
    details = frame["error_details"] if texts else None
    return None if details is None else (map(text_of, details), map(errors_of, details))


def _seconds(frame: Any) -> Any:
    return (frame["execution_end"] - frame["execution_start"]).dt.total_seconds()


def _pipelines(history: History, texts: bool) -> Any:
    runs = history.runs[history.runs["execution_end"].notna()]
    seconds = runs["total_duration"].fillna(_seconds(runs))
    said = ([None] * len(runs), [()] * len(runs)) if texts else None
    return _rows(
        runs["pipeline_name"], "pipeline", runs["execution_start"], runs["execution_end"], runs["status"], seconds,
        runs["id"], said,
    )  # fmt: skip


def _steps(history: History, texts: bool) -> Any:
    steps = history.steps
    end = steps["execution_end"].fillna(steps["execution_start"])
    order = steps["step_order"].fillna(0).astype(int).astype(str)
    return _rows(
        steps["pipeline_name"] + "/" + steps["step_name"], "step", steps["execution_start"], end, steps["status"],
        _seconds(steps), steps["pipeline_execution_id"] + ":" + order, _details(steps, texts),
    )  # fmt: skip


def _tasks(history: History, texts: bool) -> Any:
    done = history.task_executions
    end = done["execution_end"].fillna(done["execution_start"])
    said = None
    if texts:
        parts = zip(done["error_type"], done["error_message"], strict=True)
        text = [" ".join(part for part in pair if part)[:TEXT_LENGTH] or None for pair in parts]
        said = text, [(signature(words),) if words else () for words in text]
    attempt = done["attempt"].fillna(0).astype(int).astype(str)
    return _rows(
        done["project_name"].fillna("tasks"), "task", done["execution_start"], end, done["status"], _seconds(done),
        done["id"] + ":" + attempt, said,
    )  # fmt: skip


def _integrations(history: History, texts: bool) -> Any:
    events = history.integration_events
    return _rows(
        integration_entities(events), "integration", events["event_timestamp"], events["event_timestamp"],
        events["status"], events["processing_duration"] / 1000.0, events["id"], _details(events, texts),
    )  # fmt: skip


_PARTS = {"pipeline": _pipelines, "step": _steps, "task": _tasks, "integration": _integrations}
