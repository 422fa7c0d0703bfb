"""Strategies for sequences of records with all that happens to them, and what must become of each, by the contract."""

import json
import random
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.oracle import LATENESS, PANE, micros
from tests.samples import START, data_of, raw, time_at

BROKEN: list[tuple[bytes | None, str]] = [
    (None, "empty"),
    (b"", "not_json"),
    (b"{}", "bad_envelope"),
    (raw("metric.sampled", type="dev.hindsight.x.v1"), "unknown_type"),
    (raw("metric.sampled", time="2026-01-05"), "bad_time"),
    (raw("metric.sampled", time="2150-01-05T00:00:00Z"), "time_in_future"),
    (raw("metric.sampled", data={}), "bad_data"),
    (raw("metric.sampled", id="\0"), "nul_character"),
    (raw("task.finished", data_of("task.finished", execution_end="2020-01-01T00:00:00Z")), "bad_data"),
    (raw("resource.sampled", data_of("resource.sampled", context_data="@")).replace(b'"@"', b"1e999"), "not_finite"),
    (raw("task.changed", data_of("task.changed", title="x" * (1 << 20))), "too_large"),
]


def sample(random_: random.Random, number: int, at_s: float) -> bytes:
    """An event of some type; its values often break a rule, so that episodes open, last and end."""
    kind = random_.choice(["metric", "resource", "resource", "pipeline", "started", "task", "changed", "integration"])
    value = random_.choice([0.5, 40, 60, 79, 81, 90, 99, 99.5])
    status = random_.choice(["success", "failure", "error", "skipped"])
    which = random_.randrange(2)
    common: dict[str, Any] = {"id": f"e{number}", "time": time_at(at_s)}
    match kind:
        case "metric":
            data = {"metric_name": f"m{which}", "metric_value": value, "source_system": "web"}
            return raw("metric.sampled", data, **common)
        case "resource":
            return raw("resource.sampled", data_of("resource.sampled", usage_percentage=value), **common)
        case "started":
            data = data_of("pipeline.started", execution_id=f"run-{number % 5}")
            return raw("pipeline.started", data, **common)
        case "pipeline":
            data = data_of("pipeline.finished", status=status, total_duration_s=value, execution_id=f"run-{number % 5}")
            return raw("pipeline.finished", data | {"execution_end": START}, **common)
        case "task":
            data = data_of("task.finished", status=status, task_id=f"T{which}", execution_id=f"x{number}")
            return raw("task.finished", data, **common)
        case "changed":
            return raw("task.changed", data_of("task.changed", full=True, task_id=f"T{which}"), **common)
    data = data_of("integration.occurred", processing_duration_ms=value * 50, status="success")
    return raw("integration.occurred", data, **common)


def sequence(seed: int, count: int) -> list[bytes | None]:
    """So many records: in and out of order, late, redelivered (also with another time), broken."""
    random_ = random.Random(seed)
    now, made = 0.0, list[bytes | None]()
    bad = {value for value, _ in BROKEN}
    step = random_.choice([0.2, 2, 9])
    for number in range(count):
        now += random_.choice([0, 0.1, 1, 1, 1, 40 if random_.random() < 0.1 else 1]) * step
        lag = random_.choice([0, 0, 0, 0, 0, 1, 4.99, 5, 12, 60])
        what = random_.random()
        before = [one for one in made if one is not None and one not in bad]
        if what < 0.1 and before:
            made.append(random_.choice(before[-12:]))
        elif what < 0.13 and before:
            made.append(json.dumps(json.loads(random_.choice(before)) | {"time": time_at(now)}).encode())
        elif what < 0.2:
            made.append(random_.choice(BROKEN)[0])
        else:
            made.append(sample(random_, number, now - lag))
    return made


def sequences(most: int = 70) -> st.SearchStrategy[list[bytes | None]]:
    """Sequences of up to `most` records."""
    return st.builds(sequence, st.integers(0, 1 << 32), st.integers(1, most))


@dataclass
class Fate:
    """What must become of records, by the contract's words alone."""

    applied: list[int]
    late: list[int]
    duplicates: list[int]
    dead: list[int]


def fate(values: list[bytes | None]) -> Fate:
    """Which records are which. A record is valid if it is not one of `BROKEN`."""
    broken = {value for value, _ in BROKEN}
    found = Fate([], [], [], [])
    watermark: int | None = None
    counted: dict[tuple[str, str], int] = {}

    def closed(at: int) -> bool:
        return watermark is not None and (at // PANE + 1) * PANE + LATENESS <= watermark

    for place, value in enumerate(values):
        if value is None or value in broken:
            found.dead.append(place)
            continue
        event = json.loads(value)
        at = micros(event["time"])
        identity = (event["source"], event["id"])
        if closed(at):
            found.late.append(place)
        elif identity in counted and not closed(counted[identity]):
            found.duplicates.append(place)
        else:
            counted[identity] = at
            found.applied.append(place)
        watermark = at if watermark is None else max(watermark, at)
    return found
