"""The slow detectors through a partition: what opens, in which words, how it ends, and that a restart is no news."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from operators import tables as t
from tests.partitions import Runner
from tests.samples import metric

STEP_S = 300
DAY = 86_400 // STEP_S


def noise(seed: int = 4) -> Callable[[int], float]:
    rnd = random.Random(seed)
    return lambda _at: 50.0 + rnd.gauss(0.0, 1.0)


def feed(runner: Runner, values: dict[int, float], restart_at: int = -1) -> None:
    """Samples of one series by their place, five minutes apart, some at a time."""
    places = sorted(values)
    for first in range(0, len(places), 50):
        some = places[first : first + 50]
        if restart_at in some:
            runner.restart()
        runner.feed([metric(values[place], place * STEP_S, f"m{place}") for place in some])


def rows(runner: Runner, detector: str) -> list[dict[str, Any]]:
    found = [row for row in runner.database.table(t.DETECTED_PATTERNS) if row["pattern_type"] == detector]
    return sorted(found, key=lambda row: row["opened_at"])


def shown(runner: Runner) -> list[dict[str, Any]]:
    """All patterns but for when they were written."""
    hidden = {"ingested_at", "decided_at"}
    return sorted(
        ({name: value for name, value in row.items() if name not in hidden}
         for row in runner.database.table(t.DETECTED_PATTERNS)),
        key=lambda row: str(row["id"]),
    )  # fmt: skip


def shifted() -> dict[int, float]:
    made = noise()
    return {place: made(place) + (8.0 if place >= 4 * DAY else 0.0) for place in range(6 * DAY)}


def stuck() -> dict[int, float]:
    made = noise()
    return {place: 49.5 if 3 * DAY <= place < 4 * DAY else made(place) for place in range(5 * DAY)}


def rising() -> dict[int, float]:
    made = noise()
    return {place: made(place) + max(0.0, place - 4 * DAY) / DAY * 6.0 for place in range(8 * DAY)}


def silent() -> dict[int, float]:
    made = noise()
    return {place: made(place) for place in range(4 * DAY) if not 3 * DAY <= place < 3 * DAY + 60}


@pytest.mark.parametrize(
    ("made", "detector", "begin", "words"),
    [
        (shifted, "drift", 4 * DAY, "has moved up to 5"),
        (stuck, "flatline", 3 * DAY, "is stuck at 49.5"),
        (rising, "trend", 4 * DAY, "rises steadily"),
    ],
)  # fmt: skip
def test_what_is_slow_is_told_and_a_restart_changes_nothing(
    made: Callable[[], dict[int, float]], detector: str, begin: int, words: str
) -> None:
    runner, again = Runner(), Runner()
    feed(runner, made())
    feed(again, made(), restart_at=begin + 20)
    row = rows(runner, detector)[0]
    opened = (row["opened_at"] / 1e6 - 1_767_607_200) / STEP_S
    assert begin < opened < begin + 3 * DAY
    assert words in row["pattern_name"]
    assert row["severity"] in ("low", "medium"), "nobody is woken by it"
    assert shown(again) == shown(runner)


def test_a_series_that_stops_is_missing_until_it_comes_back() -> None:
    runner = Runner()
    values = silent()
    other = [metric(1.0, place * STEP_S, f"o{place}", name="other") for place in range(4 * DAY)]
    for place in range(4 * DAY):
        lines = [other[place]]
        if place in values:
            lines.append(metric(values[place], place * STEP_S, f"m{place}"))
        runner.feed(lines)
    (row,) = rows(runner, "missing")
    stop, back = (1_767_607_200 + place * STEP_S for place in (3 * DAY - 1, 3 * DAY + 60))
    assert stop + 600 < row["opened_at"] / 1e6 < stop + 2 * 3600
    assert not row["is_active"]
    assert abs(row["resolved_at"] / 1e6 - back) <= 2 * STEP_S
    assert "has stopped: nothing for" in row["pattern_name"]
    assert "usual: 5 min" in row["pattern_name"]
    assert math.isclose(row["pattern_data"]["evidence"]["usual_s"], STEP_S, rel_tol=0.15)


def test_a_series_that_is_gone_ends_its_pattern_after_a_month() -> None:
    runner = Runner()
    made = noise()
    runner.feed([metric(made(place), place * STEP_S, f"m{place}") for place in range(2 * DAY)])
    for hour in range(40 * 24):
        runner.feed([metric(1.0, 2 * 86_400 + hour * 3600, f"o{hour}", name="other")])
        if hour == 20 * 24:
            assert rows(runner, "missing")[0]["is_active"]
    assert not rows(runner, "missing")[0]["is_active"]
