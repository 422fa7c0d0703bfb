"""Rows of each table that the sink writes, as values in COPY order: an hour of events, or weeks of them."""

import random
from itertools import cycle, islice
from typing import Any
from uuid import UUID

from benchmarks.parts.events import Events, Values
from benchmarks.parts.samples import HOUR_US, Size, metric_series
from operators import tables as t
from operators.identity import identity, input_id, series_id
from operators.tables import BY_NAME, Table

SERIES = 500
HOSTS = 100


def rows_of(table: Table, number: int, until_us: int) -> list[Values]:
    """So many rows of the hour before `until_us`, the same for the same numbers; fewer where there are not so many."""
    dice = random.Random(table.name)
    make = _OWN.get(table.name)
    if make is not None:
        return make(number, until_us - HOUR_US, dice)
    size = Size(0, 1, SERIES, number, until_us)
    _, day = next(iter(Events(size, metric_series(SERIES), {_MADE_WITH[table.name]: 1.0}).days()))
    return list(islice(day.rows[table.name], number))


def moved(table: Table, rows: list[Values], by_us: int, salt: int) -> list[Values]:
    """The same rows at another time, as rows of their own: other ids, other starts."""
    kinds = [kind for _, kind in table.columns]
    return [
        tuple(
            value + by_us
            if kind == "timestamptz" and value is not None
            else UUID(int=value.int ^ salt)
            if kind == "uuid" and value is not None
            else value
            for kind, value in zip(kinds, row, strict=True)
        )
        for row in rows
    ]


def _metrics(number: int, start: int, dice: random.Random) -> list[Values]:
    named = metric_series(SERIES)
    step = HOUR_US / number
    return [
        (
            _key(dice), start + int(place * step), round(dice.gauss(100, 10), 3), named[place % SERIES].measure, "ms",
            b'{"host": "node-%04d", "region": "eu-west-1"}' % (place % HOSTS), "checkout", None,
        )
        for place in range(number)
    ]  # fmt: skip


def _resources(number: int, start: int, dice: random.Random) -> list[Values]:
    kinds = ("cpu", "memory", "disk", "network")
    step = HOUR_US / number
    return [
        (
            _key(dice), start + int(place * step), round(dice.uniform(5, 95), 2), f"machine-{place % HOSTS:03d}",
            kinds[place % 4], None, None, None, b"{}",
        )
        for place in range(number)
    ]  # fmt: skip


def _key(dice: random.Random) -> int:
    return dice.getrandbits(64) - 2**63


def _rollups(seconds: int) -> Any:
    def make(number: int, start: int, dice: random.Random) -> list[Values]:
        ids = [one.id for one in metric_series(SERIES)]
        lane = input_id("hindsight.events.metric.v1")
        rows = []
        for place in range(number):
            at = start // (seconds * 1_000_000) * seconds * 1_000_000 + place // SERIES * seconds * 1_000_000
            value = round(dice.gauss(100, 10), 3)
            sketch = b"\0" + b"\x12\x83\xc0\xca\xa1\x45\x59\x40" * 8
            rows.append(
                (ids[place % SERIES], at, lane, 0, 8, value * 8, value, value, value * value * 8, value, value, at,
                 at + 9_000_000, sketch)
            )  # fmt: skip
        return rows

    return make


def _series(number: int, _start: int, _dice: random.Random) -> list[Values]:
    rows = []
    for place, one in enumerate(islice(cycle(metric_series(SERIES)), number)):
        entity = f"{one.entity}/{place // SERIES}"
        rows.append((series_id(entity, one.measure), entity, one.measure, one.kind))
    return rows


def _counters(number: int, start: int, _dice: random.Random) -> list[Values]:
    outcomes = ("read", "applied", "late", "duplicate", "patterns")
    return [(f"topic-{place // 80}", place // 5 % 16, outcomes[place % 5], "", place, start) for place in range(number)]


def _dependencies(number: int, start: int, dice: random.Random) -> list[Values]:
    rows = []
    for place in range(number):
        child = identity("task", f"T-{place // 2}")
        parent = identity("task", f"T-{place // 2 - 1 - place % 2}")
        at = start + place * 10
        rows.append((UUID(int=dice.getrandbits(128)), parent, child, "blocks", at, at, f"T-{place // 2}"))
    return rows


def _configurations(number: int, start: int, _dice: random.Random) -> list[Values]:
    return [
        (
            identity("pipeline_configuration", f"p-{place}"), f"build-{place % 100}", f"v{place // 100}",
            b'{"stages": ["build", "test"], "timeout": 3600}', start, True, b"{}", start, f"e-{place}",
        )
        for place in range(number)
    ]  # fmt: skip


def _edges(number: int, start: int, _dice: random.Random) -> list[Values]:
    return [
        (
            "repo-1",
            f"src/module_{place % 500}.py",
            f"src/module_{place // 500}.py",
            "import",
            "a" * 40,
            start,
            start,
            "e",
        )
        for place in range(number)
    ]


def _verdicts(number: int, start: int, dice: random.Random) -> list[Values]:
    return [
        (
            UUID(int=dice.getrandbits(128)), UUID(int=dice.getrandbits(128)), "verdict", "true_positive", 1.0, "human",
            start, True, start, "kim", None,
        )
        for _ in range(number)
    ]  # fmt: skip


def _advice(number: int, start: int, dice: random.Random) -> list[Values]:
    return [
        (identifier, identifier, "unspecified", "implemented", start, None, start, f"e-{place}")
        for place, identifier in enumerate(_ids(number, dice))
    ]


_DATA = {"class": "spike", "value": 4.0, "expected": 1.0, "score": 9.5, "evidence": {"window": [1.0, 1.1, 4.0]}}


def _execution_patterns(number: int, start: int, dice: random.Random) -> list[Values]:
    return [
        (pattern, pattern, f"build-{place % 50}", "spike", "duration_s is 4 where 1 is usual", _DATA, 0.9, 0.5, start)
        for place, pattern in enumerate(_ids(number, dice))
    ]


def _task_patterns(number: int, start: int, dice: random.Random) -> list[Values]:
    return [(pattern, pattern, "spike", _DATA, 0.9, start, []) for pattern in _ids(number, dice)]


def _integration_patterns(number: int, start: int, dice: random.Random) -> list[Values]:
    return [
        (pattern, pattern, "spike of processing_ms", "spike", ["shop", "billing"], _DATA, {"observation_count": 3},
         {"value": 4.0}, start, 0.9)
        for pattern in _ids(number, dice)
    ]  # fmt: skip


def _ids(number: int, dice: random.Random) -> list[UUID]:
    return [UUID(int=dice.getrandbits(128)) for _ in range(number)]


_OWN = {
    "system_metrics": _metrics,
    "resource_usage": _resources,
    "rollups_10s": _rollups(10),
    "rollups_1m": _rollups(60),
    "rollups_5m": _rollups(300),
    "series": _series,
    "stream_counters": _counters,
    "task_dependencies": _dependencies,
    "pipeline_configurations": _configurations,
    "code_dependencies": _edges,
    "pattern_classifications": _verdicts,
    "recommendation_effectiveness": _advice,
    "execution_patterns": _execution_patterns,
    "task_patterns": _task_patterns,
    "integration_patterns": _integration_patterns,
}
_MADE_WITH = {
    "pipeline_executions": "runs",
    "step_executions": "runs",
    "tasks": "tasks",
    "task_executions": "task_executions",
    "integration_events": "integration_events",
    "detected_patterns": "patterns",
    "metric_patterns": "patterns",
    "pattern_evolution": "patterns",
    "dead_letters": "dead_letters",
}
"""Tables whose rows `Events` makes, and what of it."""
TABLES = tuple(name for name in BY_NAME if name in _OWN or name in _MADE_WITH)
"""Names of the tables that the sink writes rows of events to."""
NEWEST = (t.PIPELINE_EXECUTIONS, t.STEP_EXECUTIONS, t.TASK_EXECUTIONS)
"""Tables of which a row may have to push out one that stands at another time."""
PACKED = (t.SYSTEM_METRICS, t.ROLLUPS_5M, t.INTEGRATION_EVENTS, *NEWEST)
"""Tables whose compressed chunks are written into."""
