"""What was the case when something ran, as items: transactions for itemsets and rules.

Only what could be known when it started: its trigger, its time, what the trigger's data say, how the one before ended.
Each item carries the words for a sentence and the SQL that finds its rows again.
"""

from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from operators.mining import sql
from operators.mining.history import BAD, JUDGED, History, micros

FEWEST_ROWS = 60
"""Runs of a pipeline (executions of a project's tasks, events of a system) below which nothing is mined in it."""

MOST_ITEMS = 150
"""Items looked at in one place, the most frequent: what bounds the number of sets."""

FEW_VALUES = 6
"""A number with no more different values than this is taken as a word."""

BAND_H = 4
"""Hours of a band of the day."""

CUTS_H = (12, 16)
"""Hours that also cut the day in two: what is so in the evening is not two bands' news."""

GIVEN_AWAY = 0.98
"""An attribute that tells the outcome this well is the outcome under another name: implied by definition, left out."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Item(msgspec.Struct, frozen=True):
    """One thing that can be the case: its attribute, its value, words that follow "that", and a test in SQL."""

    attribute: str
    value: str
    words: str
    test: str

    @property
    def name(self) -> str:
        """Attribute and value: unique within a place."""
        return f"{self.attribute}={self.value}"


class Place(msgspec.Struct, frozen=True, eq=False):
    """The rows of one entity with their items.

    `matrix`: bool, rows × items, rows by time. `outcomes`: bool by name (`failed`, `slow`). `rows` and `table`: SQL
    that finds all the rows, `tests` SQL of the outcomes.
    """

    kind: str
    entity: str
    noun: str
    items: tuple[Item, ...]
    matrix: Any
    starts_us: Any
    times_us: Any
    outcomes: dict[str, Any]
    tests: dict[str, str]
    table: str
    rows: str


class _Attribute(msgspec.Struct, frozen=True, eq=False):
    """A column of values to be made items of. `text` and `number`: SQL of the value; `many`: SQL of a list of texts."""

    name: str
    values: Any
    text: str
    words: str


def places(history: History, until: datetime) -> list[Place]:
    """Every pipeline, project and integrated system with enough rows, in that order and by name."""
    return [*_pipelines(history, until), *_projects(history, until), *_systems(history, until)]


def _pipelines(history: History, until: datetime) -> list[Place]:
    runs = history.runs[history.runs["execution_end"].notna() & history.runs["status"].isin(JUDGED)]
    found = []
    for name, part in runs.groupby("pipeline_name", sort=True):
        if len(part) < FEWEST_ROWS:
            continue
        part = part.reset_index(drop=True)  # noqa: PLW2901
        rows = (
            f"r.pipeline_name = {sql.literal(name)} AND {sql.judged('r.status')}"
            f" AND {sql.until('r.execution_end', until)}"
        )
        attributes = [
            _Attribute("trigger", part["trigger_type"], "r.trigger_type", "were triggered as {}"),
            _Attribute("configuration", part["configuration_version"], "r.configuration_version",
                       "ran configuration {}"),
            _previous(part),
            *_calendar(part["execution_start"], "r.execution_start"),
            *_spread(part["trigger_data"], "r.trigger_data"),
        ]  # fmt: skip
        seconds = part["total_duration"].fillna((part["execution_end"] - part["execution_start"]).dt.total_seconds())
        expression = "coalesce(r.total_duration, extract(epoch FROM r.execution_end - r.execution_start)::float8)"
        found.append(_place("pipeline", name, "runs", part, attributes, seconds, expression,
                            "pipeline_executions AS r", rows))  # fmt: skip
    return found


def _projects(history: History, until: datetime) -> list[Place]:
    done = history.task_executions[history.task_executions["status"].isin(JUDGED)]
    tasks = history.tasks.drop_duplicates("id").set_index("id")
    about = ["priority", "assigned_to_name", "estimated_effort", "complexity_score", "tags"]
    done = done.join(tasks[about], on="task_id")
    found = []
    for name, part in done.groupby(done["project_name"].fillna("tasks"), sort=True):
        if len(part) < FEWEST_ROWS:
            continue
        part = part.reset_index(drop=True)  # noqa: PLW2901
        end = "coalesce(r.execution_end, r.execution_start)"
        rows = (
            f"coalesce(r.project_name, 'tasks') = {sql.literal(name)} AND {sql.judged('r.status')}"
            f" AND {sql.until(end, until)}"
        )
        attributes = [
            _Attribute("priority", part["priority"], "t.priority", "had priority {}"),
            _Attribute("assigned to", part["assigned_to_name"], "t.assigned_to_name", "were assigned to {}"),
            _Attribute("estimated minutes", part["estimated_effort"], "t.estimated_effort", ""),
            _Attribute("complexity", part["complexity_score"], "t.complexity_score", ""),
            _Attribute("attempt", part["attempt"], "r.attempt", "were attempt {}"),
            _Attribute("tag", part["tags"], "t.tags", "were tagged {}"),
            *_calendar(part["execution_start"], "r.execution_start"),
        ]
        seconds = (part["execution_end"] - part["execution_start"]).dt.total_seconds()
        expression = "extract(epoch FROM r.execution_end - r.execution_start)::float8"
        found.append(_place("task", name, "executions of tasks", part, attributes, seconds, expression,
                            "task_executions AS r LEFT JOIN tasks AS t ON t.id = r.task_id", rows))  # fmt: skip
    return found


def _systems(history: History, until: datetime) -> list[Place]:
    events = history.integration_events[history.integration_events["status"].isin(JUDGED)]
    found = []
    for name, part in events.groupby("source_system", sort=True):
        if len(part) < FEWEST_ROWS:
            continue
        part = part.reset_index(drop=True)  # noqa: PLW2901
        part["execution_end"] = part["execution_start"] = part["event_timestamp"]
        rows = (
            f"r.source_system = {sql.literal(name)} AND {sql.judged('r.status')}"
            f" AND {sql.until('r.event_timestamp', until)}"
        )
        attributes = [
            _Attribute("event", part["event_type"], "r.event_type", "were of type {}"),
            _Attribute("target", part["target_system"], "r.target_system", "went to {}"),
            *_calendar(part["event_timestamp"], "r.event_timestamp"),
            *_spread(part["event_data"], "r.event_data"),
        ]
        found.append(_place("integration", name, "events", part, attributes, part["processing_duration"] / 1000.0,
                            "r.processing_duration / 1000.0", "integration_events AS r", rows))  # fmt: skip
    return found


def _place(
    kind: str, entity: str, noun: str, part: Any, attributes: list[_Attribute], seconds: Any, expression: str,
    table: str, rows: str,
) -> Place:  # fmt: skip
    failed = part["status"].isin(BAD).to_numpy()
    items: list[Item] = []
    columns: list[Any] = []
    for attribute in attributes:
        made = _items(attribute)
        ours = len(attribute.values) and isinstance(
            attribute.values[0], Item
        )  # not in the data: the time, the run before
        if made and not ours and _gives_away([column for _, column in made], failed):
            continue
        items.extend(item for item, _ in made)
        columns.extend(column for _, column in made)
    counts = [-int(column.sum()) for column in columns]
    used = sorted(range(len(items)), key=lambda place: (counts[place], items[place].name))[:MOST_ITEMS]
    outcomes, tests = {"failed": failed}, {"failed": sql.failed("r.status")}
    known = np.asarray(seconds, dtype=float)
    if np.isfinite(known).mean() > 0.5:  # noqa: SIM102
        if (limit := float(np.nanquantile(known, 0.9))) > float(np.nanmedian(known)):
            outcomes["slow"] = np.nan_to_num(known, nan=-1.0) >= limit
            tests["slow"] = f"{expression} >= {limit!r}"
    end = part["execution_end"].fillna(part["execution_start"])
    matrix = np.stack([columns[place] for place in used], axis=1) if used else np.zeros((len(part), 0), dtype=bool)
    chosen = tuple(items[place] for place in used)
    return Place(kind, entity, noun, chosen, matrix, micros(part["execution_start"]), micros(end), outcomes, tests,
                 table, rows)  # fmt: skip


def _items(attribute: _Attribute) -> list[tuple[Item, Any]]:
    values = attribute.values
    if any(isinstance(value, Item) for value in values[:1]):
        kinds = sorted(set(values), key=lambda item: item.name)
        return [(item, np.array([value == item for value in values])) for item in kinds]
    lists = [value if isinstance(value, list) else None for value in values]
    if any(lists):
        return _members(attribute, lists)
    numbers = pd.to_numeric(values, errors="coerce") if not _has_text(values) else None
    if numbers is not None and numbers.nunique() > FEW_VALUES:
        return _ends(attribute, numbers.to_numpy(dtype=float))
    words = np.array([_word(value) for value in values], dtype=object)
    found = pd.Series(words).value_counts()
    found = found[(found >= 5) & (found < len(words))]
    name, text = attribute.name, attribute.text
    out = []
    for word in sorted(found.index):
        said = attribute.words.format(word) if attribute.words else f"had {name} = {word}"
        test = f"({text})::text = {sql.literal(word)}"
        if numbers is not None:
            test = f"({text})::float8 = {float(word)!r}"
        out.append((Item(name, word, said, test), words == word))
    return out


def _members(attribute: _Attribute, lists: list[Any]) -> list[tuple[Item, Any]]:
    sets = [{item for item in value or () if isinstance(item, str)} for value in lists]
    counts = pd.Series([item for members in sets for item in members], dtype=object).value_counts()
    out = []
    for word in sorted(counts[(counts >= 5) & (counts < len(sets))].index)[: 4 * MOST_ITEMS]:
        said = attribute.words.format(word) if attribute.words else f"had {word} in {attribute.name}"
        test = f"{attribute.text} @> {sql.literal(msgspec.json.encode([word]).decode())}::jsonb"
        out.append((Item(attribute.name, word, said, test), np.array([word in members for members in sets])))
    return out


def _ends(attribute: _Attribute, numbers: Any) -> list[tuple[Item, Any]]:
    low, high = (float(np.nanquantile(numbers, share)) for share in (0.25, 0.75))
    name, out = attribute.name, []
    for word, limit, sign, column in (("low", low, "<=", numbers <= low), ("high", high, ">=", numbers >= high)):
        if 5 <= column.sum() <= 0.5 * len(numbers):
            item = Item(name, word, f"had {name} {sign} {limit:g}", f"({attribute.text})::float8 {sign} {limit!r}")
            out.append((item, column))
    return out


def _calendar(times: Any, column: str) -> list[_Attribute]:
    days = [
        Item("weekday", str(day + 1), f"started on a {word}",
             f"extract(isodow FROM {column} AT TIME ZONE 'UTC') = {day + 1}")
        for day, word in enumerate(_DAYS)
    ]  # fmt: skip
    hours = [
        Item("hour", f"{hour:02d}-{hour + BAND_H:02d}",
             f"started between {hour:02d}:00 and {hour + BAND_H:02d}:00 UTC",
             f"extract(hour FROM {column} AT TIME ZONE 'UTC') BETWEEN {hour} AND {hour + BAND_H - 1}")
        for hour in range(0, 24, BAND_H)
    ]  # fmt: skip
    halves = [
        (Item("hour", f"00-{hour:02d}", f"started before {hour:02d}:00 UTC",
              f"extract(hour FROM {column} AT TIME ZONE 'UTC') < {hour}"),
         Item("hour", f"{hour:02d}-24", f"started at {hour:02d}:00 UTC or later",
              f"extract(hour FROM {column} AT TIME ZONE 'UTC') >= {hour}"))
        for hour in CUTS_H
    ]  # fmt: skip
    return [
        _Attribute("weekday", [days[day] for day in times.dt.day_of_week], "", ""),
        _Attribute("hour", [hours[hour // BAND_H] for hour in times.dt.hour], "", ""),
        *(
            _Attribute("hour", [half[hour >= cut] for hour in times.dt.hour], "", "")
            for cut, half in zip(CUTS_H, halves, strict=True)
        ),
    ]


def _previous(part: Any) -> _Attribute:
    """How the pipeline's last run ended that had ended when this one started (never one that still ran)."""
    ends = micros(part["execution_end"])
    place = np.searchsorted(ends, micros(part["execution_start"]), side="right") - 1
    failed = part["status"].isin(BAD).to_numpy()
    before = (
        "(SELECT p.status FROM pipeline_executions AS p WHERE p.pipeline_name = r.pipeline_name"
        f" AND {sql.judged('p.status')} AND p.execution_end <= r.execution_start"
        " ORDER BY p.execution_end DESC, p.execution_start DESC, p.id::text DESC LIMIT 1)"
    )
    bad = Item("before", "failed", "started after a failed run", sql.failed(before))
    good = Item("before", "success", "started after a good run", f"{before} = 'success'")
    none = Item("before", "none", "had none before", f"{before} IS NULL")
    itself = ends <= micros(part["execution_start"])  # a run of no length does not precede itself
    place = np.where(itself, np.searchsorted(ends, micros(part["execution_start"]), side="left") - 1, place)
    return _Attribute("before", [none if at < 0 else bad if failed[at] else good for at in place], "", "")


def _spread(data: Any, column: str) -> list[_Attribute]:
    """One attribute for each key of a JSON column that a tenth of the rows have."""
    counts: dict[str, int] = {}
    for row in data:
        for key in row if isinstance(row, dict) else ():
            counts[key] = counts.get(key, 0) + 1
    out = []
    for key in sorted(key for key, count in counts.items() if 10 * count >= len(data)):
        values = pd.Series([row.get(key) if isinstance(row, dict) else None for row in data], dtype=object)
        arrow = "->" if any(isinstance(value, list) for value in values) else "->>"
        out.append(_Attribute(key, values, f"{column} {arrow} {sql.literal(key)}", ""))
    return out


def _has_text(values: Any) -> bool:
    return any(isinstance(value, str | bool | np.bool_ | list | dict) for value in values)


def _word(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | float | np.number) and np.isfinite(value):
        return f"{float(value):g}"
    return None


def _gives_away(columns: list[Any], failed: Any) -> bool:
    base = max(failed.mean(), 1.0 - failed.mean())
    sizes = np.array([column.sum() for column in columns])
    hits = np.array([(column & failed).sum() for column in columns])
    if sizes.sum() < 0.9 * len(failed) or base > 0.95:
        return False
    return bool(np.maximum(hits, sizes - hits).sum() >= GIVEN_AWAY * sizes.sum())
