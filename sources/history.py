"""What the correlator reads: changed patterns, and what is known of the time before them."""

import statistics
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import dict_row

from operators.incident.changes import DEPLOYS, Change, deploys
from operators.incident.entities import Tie
from operators.incident.history import MOST, Occurrence
from operators.incident.relations import Earlier, Pair
from operators.incident.seen import HOUR_US, Seen

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LONGEST_CHANGE_US = 6 * HOUR_US
"""A deployment that began longer ago than this before the look-back is not found."""
MOST_TIES = 10_000
DEPENDS = 0.5
"""Strength of a tie that follows from dependencies of tasks."""

_US = "(extract(epoch FROM {}) * 1000000)::bigint"

_CHANGED = f"""
SELECT
    n.ids, n.age, n.pattern_id, p.pattern_name, p.pattern_type, p.pattern_category, p.confidence_score,
    p.significance_score,
    p.is_active, p.entity, p.measure, p.severity, p.direction, p.explanation,
    {_US.format("p.opened_at")} AS opened_us, {_US.format("p.last_observed_at")} AS last_us,
    {_US.format("p.resolved_at")} AS resolved_us,
    p.pattern_data ->> 'class' AS pattern_class, p.pattern_data -> 'value' AS value, p.pattern_data -> 'low' AS low,
    p.pattern_data -> 'high' AS high, p.pattern_data -> 'score' AS score, p.pattern_data -> 'peak_value' AS peak_value,
    p.pattern_data #>> '{{evidence,kind}}' AS kind, p.pattern_data #>> '{{evidence,input}}' AS input,
    p.pattern_data #> '{{evidence,reopened}}' AS reopened, p.pattern_data #> '{{evidence,recent}}' AS recent,
    v.verdict, v.actor, m.incident_id
FROM (
    SELECT pattern_id, array_agg(id) AS ids, extract(epoch FROM clock_timestamp() - min(noted_at))::float8 AS age
    FROM pattern_changes GROUP BY pattern_id
) AS n
LEFT JOIN detected_patterns AS p ON p.id = n.pattern_id
LEFT JOIN incident_patterns AS m ON m.pattern_id = n.pattern_id
LEFT JOIN LATERAL (
    SELECT c.classification_value AS verdict, c.actor FROM pattern_classifications AS c
    WHERE c.pattern_id = n.pattern_id AND c.classification_type = 'verdict' AND c.human_verified
    ORDER BY c.classified_at DESC, c.id DESC LIMIT 1
) AS v ON true
ORDER BY p.opened_at NULLS FIRST, n.pattern_id
LIMIT %(most)s
"""

_DEPLOYMENTS = f"""
SELECT
    pipeline_name, {_US.format("execution_start")}, {_US.format("coalesce(execution_end, execution_start)")},
    commit_sha, status, trigger_data
FROM pipeline_executions
WHERE execution_start >= %(from)s AND execution_start <= %(to)s
    AND (pipeline_name ~* %(pattern)s OR trigger_data::text ~* %(pattern)s)
ORDER BY execution_start, pipeline_name, id
"""

_CONFIGURATIONS = f"""
SELECT pipeline_name, {_US.format("event_time")}, configuration_version FROM pipeline_configurations
WHERE event_time >= %(from)s AND event_time <= %(to)s
ORDER BY event_time, pipeline_name, configuration_version
"""

_OCCURRENCES = f"""
SELECT
    w.number, p.id, p.entity, p.measure, {_US.format("p.opened_at")},
    {_US.format("coalesce(p.resolved_at, p.last_observed_at)")}, p.is_active, p.severity, v.verdict
FROM unnest(
    %(entities)s::text[], %(measures)s::text[], %(befores)s::timestamptz[], %(detectors)s::text[], %(classes)s::text[]
) WITH ORDINALITY AS w (entity, measure, before, detector, class, number)
CROSS JOIN LATERAL (
    SELECT * FROM detected_patterns AS d
    WHERE d.entity = w.entity AND d.measure = w.measure AND d.opened_at < w.before
        AND (d.pattern_type = w.detector OR d.pattern_data ->> 'class' = w.class)
        AND NOT starts_with(d.detection_algorithm, 'nightly: ')
    ORDER BY d.opened_at DESC, d.id DESC
    LIMIT %(most)s
) AS p
LEFT JOIN LATERAL (
    SELECT c.classification_value AS verdict FROM pattern_classifications AS c
    WHERE c.pattern_id = p.id AND c.classification_type = 'verdict' AND c.human_verified
    ORDER BY c.classified_at DESC, c.id DESC LIMIT 1
) AS v ON true
ORDER BY w.number, p.opened_at DESC, p.id DESC
"""

_EARLIER = """
SELECT w.number, r.temporal_offset
FROM unnest(%(pe)s::text[], %(pm)s::text[], %(ce)s::text[], %(cm)s::text[])
    WITH ORDINALITY AS w (pe, pm, ce, cm, number)
JOIN detected_patterns AS p ON p.entity = w.pe AND p.measure = w.pm
JOIN pattern_relationships AS r ON r.parent_pattern_id = p.id AND r.relationship_type = 'precedes'
JOIN detected_patterns AS c ON c.id = r.child_pattern_id AND c.entity = w.ce AND c.measure = w.cm
ORDER BY w.number, r.discovered_at, r.id
"""

_TIES = """
SELECT DISTINCT p.project_name, d.project_name
FROM task_dependencies AS t JOIN tasks AS p ON p.id = t.parent_task_id JOIN tasks AS d ON d.id = t.dependent_task_id
WHERE t.dependency_type = 'blocks' AND p.project_name <> d.project_name
ORDER BY 1, 2 LIMIT %(most)s
"""


_SERIES = "SELECT DISTINCT entity, measure, kind FROM series WHERE kind = ANY(%s) ORDER BY 1, 2, 3 LIMIT %s"

_MINUTES = f"""
SELECT {_US.format('"time"')}, entity, measure, avg FROM series_1m
WHERE entity = ANY(%(entities)s) AND measure = ANY(%(measures)s) AND "time" >= %(from)s AND "time" < %(to)s
"""

_EXTENT = f"""SELECT {_US.format('min("time")')}, {_US.format('max("time")')} FROM rollups_1m"""


class Changed(NamedTuple):
    """What changed: the patterns as they stand, those that are gone, and which notes of changes are dealt with."""

    notes: list[int]
    seen: list[Seen]
    gone: list[uuid.UUID]
    grouped: frozenset[uuid.UUID]
    """Those of `seen` that are part of an incident already."""
    more: bool
    """Whether there may be further ones."""
    age_s: float
    """How long ago the oldest of these changes was noted, in seconds."""


def changed(connection: Connection[Any], most: int) -> Changed:
    """The patterns that changed, the earliest first, at most so many; those that are gone come before them."""
    notes: list[int] = []
    patterns: list[Seen] = []
    gone: list[uuid.UUID] = []
    grouped: set[uuid.UUID] = set()
    rows = connection.cursor(row_factory=dict_row).execute(_CHANGED.encode(), {"most": most}).fetchall()
    age = max((row["age"] for row in rows), default=0.0)
    for row in rows:
        notes += row["ids"]
        if row["entity"] is None:
            gone.append(row["pattern_id"])
            continue
        patterns.append(_seen(row))
        if row["incident_id"] is not None:
            grouped.add(row["pattern_id"])
    return Changed(notes, patterns, gone, frozenset(grouped), len(rows) == most, age)


def _seen(row: Mapping[str, Any]) -> Seen:
    return Seen(
        pattern_id=row["pattern_id"],
        name=row["pattern_name"],
        entity=row["entity"],
        measure=row["measure"],
        kind=row["kind"] or "metric",
        detector=row["pattern_type"],
        pattern_class=row["pattern_class"] or "",
        category=row["pattern_category"],
        severity=row["severity"],
        confidence=row["confidence_score"],
        significance=row["significance_score"],
        score=_number(row["score"]),
        direction=row["direction"],
        value=_number(row["value"] if row["peak_value"] is None else row["peak_value"]),
        low=_number(row["low"]),
        high=_number(row["high"]),
        opened_us=row["opened_us"],
        last_observed_us=row["last_us"],
        resolved_us=row["resolved_us"],
        is_active=row["is_active"],
        sentence=row["explanation"],
        input=row["input"] or "",
        cadence_us=cadence(row["recent"]),
        reopened=int(_number(row["reopened"])),
        verdict=row["verdict"],
        verdict_by=row["actor"],
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def cadence(recent: object) -> int:
    """The median step between the recent values of a pattern's evidence, in µs; 0 for fewer than three.

    >>> cadence([{"time": f"2026-01-05T0{hour}:00:00.000Z", "value": 1.0} for hour in range(4)])
    3600000000
    """
    try:
        times = [datetime.fromisoformat(one["time"]).timestamp() for one in recent]  # type: ignore[attr-defined]
    except (TypeError, KeyError, ValueError, AttributeError):
        return 0
    steps = [later - earlier for earlier, later in pairwise(times)]
    return round(statistics.median(steps) * 1e6) if len(steps) >= 2 else 0


def known_changes(connection: Connection[Any], from_us: int, to_us: int) -> list[Change]:
    """Deployments and configurations of a time."""
    values = {"from": _moment(from_us - LONGEST_CHANGE_US), "to": _moment(to_us), "pattern": DEPLOYS.pattern}
    found = [
        Change("deployment", name, start, end, commit, status)
        for name, start, end, commit, status, trigger in connection.execute(_DEPLOYMENTS.encode(), values).fetchall()
        if deploys(name, trigger if isinstance(trigger, dict) else None)
    ]
    values["from"] = _moment(from_us)
    return found + [
        Change("configuration", name, at, at, version)
        for name, at, version in connection.execute(_CONFIGURATIONS.encode(), values).fetchall()
    ]


def occurrences(connection: Connection[Any], patterns: Sequence[Seen]) -> list[list[Occurrence]]:
    """For each pattern, earlier ones of the same series and of the same detector or class; the newest first."""
    found: list[list[Occurrence]] = [[] for _ in patterns]
    values = {
        "entities": [one.entity for one in patterns],
        "measures": [one.measure for one in patterns],
        "befores": [_moment(one.opened_us) for one in patterns],
        "detectors": [one.detector for one in patterns],
        "classes": [one.pattern_class for one in patterns],
        "most": MOST,
    }
    for number, *row in connection.execute(_OCCURRENCES.encode(), values).fetchall() if patterns else ():
        found[number - 1].append(Occurrence(*row))
    return found


def earlier(connection: Connection[Any], pairs: Collection[Pair]) -> dict[Pair, Earlier]:
    """What earlier incidents say of pairs of series."""
    asked = sorted({*pairs, *((ce, cm, pe, pm) for pe, pm, ce, cm in pairs)})
    if not asked:
        return {}
    columns: Sequence[list[str]] = [list(column) for column in zip(*asked, strict=True)]
    lags: dict[Pair, list[int]] = {}
    values = dict(zip(("pe", "pm", "ce", "cm"), columns, strict=True))
    for number, seconds in connection.execute(_EARLIER.encode(), values).fetchall():
        lags.setdefault(asked[number - 1], []).append((seconds or 0) * 1_000_000)
    return {
        one: Earlier(tuple(lags.get(one, ())), len(lags.get((one[2], one[3], one[0], one[1]), ()))) for one in pairs
    }


def series(connection: Connection[Any], kinds: Sequence[str], most: int) -> list[tuple[str, str, str]]:
    """The series of some kinds: entity, measure, kind; the first so many."""
    return list(connection.execute(_SERIES.encode(), [list(kinds), most]).fetchall())


def extent(connection: Connection[Any]) -> tuple[int, int] | None:
    """The first and the last minute that any series has values of, in µs; None for none."""
    row = connection.execute(_EXTENT.encode()).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


def minutes(
    connection: Connection[Any], wanted: Collection[tuple[str, str]], from_us: int, to_us: int
) -> dict[int, dict[tuple[str, str], float]]:
    """The means of series by minute, of those that have any: minute (µs) → (entity, measure) → mean."""
    values = {
        "entities": sorted({entity for entity, _ in wanted}), "measures": sorted({measure for _, measure in wanted}),
        "from": _moment(from_us), "to": _moment(to_us),
    }  # fmt: skip
    found: dict[int, dict[tuple[str, str], float]] = {}
    for at, entity, measure, mean in connection.execute(_MINUTES.encode(), values).fetchall():
        if (entity, measure) in wanted:
            found.setdefault(at, {})[entity, measure] = mean
    return found


def dependencies(connection: Connection[Any]) -> list[tuple[str, str, Tie]]:
    """Projects of which one's tasks block the other's."""
    rows = connection.execute(_TIES.encode(), {"most": MOST_TIES}).fetchall()
    return [(first, second, Tie(DEPENDS, 0, "dependency")) for first, second in rows]


def _moment(time_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=time_us)
