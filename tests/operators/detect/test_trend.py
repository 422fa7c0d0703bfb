import math
import random

import numpy as np
import pytest

from operators.detect import trend
from operators.detect.trend import TrendConfig, TrendState, judge
from operators.floats import pack

HOUR_US = trend.HOUR_US
CONFIG = TrendConfig()
MONDAY = 1_767_571_200_000_000


def feed(values, step=HOUR_US, config=CONFIG, state=None, start=MONDAY):
    state = TrendState() if state is None else state
    return [judge(state, start + i * step, value, config) for i, value in enumerate(values)], state


def opened(verdicts):
    """Places where an episode would begin: abnormal after something plainly normal."""
    told = [verdict is not None and verdict.abnormal for verdict in verdicts]
    held = [verdict is not None for verdict in verdicts]
    return [i for i, now in enumerate(told) if now and not (i and held[i - 1])]


def noise(count, seed=1, deviation=1.0):
    rnd = random.Random(seed)
    return [50 + rnd.gauss(0, deviation) for _ in range(count)]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(("step", "days"), [(HOUR_US // 60, 5), (HOUR_US // 12, 8), (HOUR_US, 30)])
def test_a_slow_trend_is_told_with_its_slope(direction, step, days):
    """Eight deviations a day, one in three hours."""
    count = days * 24 * HOUR_US // step
    per_step = direction * 8 * step / (24 * HOUR_US)
    begin = count * 3 // 5
    values = [value + max(0, i - begin) * per_step for i, value in enumerate(noise(count))]
    verdicts, _ = feed(values, step)
    first = opened(verdicts)[0]
    assert begin < first < begin + 40 * HOUR_US // step
    verdict = verdicts[first]
    assert verdict.direction == ("up" if direction > 0 else "down")
    assert verdict.evidence["per_hour_low"] < verdict.evidence["per_hour"] < verdict.evidence["per_hour_high"]
    assert 1 / 9 < verdict.evidence["per_hour"] * direction < 1, "the right order of size"
    assert verdict.evidence["per_day"] == pytest.approx(24 * verdict.evidence["per_hour"])
    assert verdict.confidence >= 0.7
    last = [item for item in verdicts if item is not None and item.abnormal][-1]
    assert last.evidence["per_hour"] * direction == pytest.approx(1 / 3, rel=0.15), "it becomes surer as it goes on"


def test_the_time_to_a_bound_is_told():
    values = [value + max(0, i - 200) * 0.2 for i, value in enumerate(noise(260, deviation=0.2))]
    verdicts, _ = feed(values, config=TrendConfig.of("disk_usage"))
    at = opened(verdicts)[0]
    assert verdicts[at].evidence["bound"] == 100.0
    assert verdicts[at].evidence["hours_to_bound"] == pytest.approx((100 - values[at]) / 0.2, rel=0.5)
    assert "bound" not in feed(values)[0][at].evidence
    assert TrendConfig.of("latency").bound_high is None


def test_slope_and_error_are_those_of_least_squares():
    """Without a day before (all blocks alike there) it is numpy's line, and its error the classical one times AR(1)."""
    rnd = random.Random(3)
    window = [rnd.gauss(0, 1) + 0.5 * i for i in range(48)]
    blocks = [0.0, 0.1] * 60 + window
    score, slope, error, _, size = trend._line(blocks, 48, 24, True, 0.0, CONFIG)
    x, y = np.arange(48.0), np.array(window) - np.array(blocks[-72:-48] * 2)
    (expected, _), residuals, *_ = np.polyfit(x, y, 1, full=True)
    assert slope == pytest.approx(expected)
    classical = math.sqrt(residuals[0] / 46 / np.sum((x - x.mean()) ** 2))
    rest = y - np.polyval(np.polyfit(x, y, 1), x)
    phi = max(0.0, np.sum(rest[1:] * rest[:-1]) / np.sum(rest**2))
    phi = min(phi + 2 * (1 + 4 * phi) / 48, trend.PHI_LIMIT)
    assert error == pytest.approx(classical * math.sqrt((1 + phi) / (1 - phi)))
    assert size == 48
    assert score > 1


def test_it_ends_when_the_series_stays():
    values = [value + 0.4 * min(max(0, i - 200), 48) for i, value in enumerate(noise(500))]
    verdicts, state = feed(values)
    assert len(opened(verdicts)) == 1
    assert verdicts[-100:] == [None] * 100
    assert state.told == 0


@pytest.mark.parametrize("step", [HOUR_US // 12, HOUR_US])
def test_random_walks_are_hardly_ever_trends(step):
    """Four walks of three weeks each and cadence: measured in the long run are 0.3 to 1.0 openings in 100 days."""
    told = 0
    for seed in range(4):
        rnd, value, values = random.Random(seed), 50.0, []
        for _ in range(21 * 24 * HOUR_US // step):
            value += rnd.gauss(0, 1)
            values.append(value)
        told += len(opened(feed(values, step)[0]))
    assert told <= 2


@pytest.mark.parametrize("name", ["season", "weekend", "sawtooth", "pareto", "constant", "steps", "bursts"])
def test_other_shapes_are_no_trends(name):
    rnd = random.Random(5)
    hours = range(40 * 24)
    values = {
        "season": [50 + 10 * math.sin(i / 24 * 2 * math.pi) + rnd.gauss(0, 0.5) for i in hours],
        "weekend": [(20 if i // 24 % 7 < 5 and 8 <= i % 24 < 18 else 2) + rnd.gauss(0, 0.5) for i in hours],
        "sawtooth": [30 + i % 10 * 4 + rnd.gauss(0, 0.5) for i in hours],
        "pareto": [rnd.paretovariate(1.2) for _ in hours],
        "constant": [7.0 for _ in hours],
        "steps": [float(10 + i // 200) for i in hours],
        "bursts": [rnd.expovariate(0.1) if rnd.random() < 0.03 else 0.0 for _ in hours],
    }[name]
    assert opened(feed(values)[0]) == []


def test_nothing_is_said_before_two_days():
    assert feed([50.0 + i for i in range(48)])[0] == [None] * 48


def test_gaps_and_another_cadence_are_no_trend():
    rnd, state, told = random.Random(6), TrendState(), []
    time = MONDAY
    for i in range(3000):
        time += HOUR_US // 12 if i < 1500 else HOUR_US
        if i % 400 == 399:
            time += 3 * 24 * HOUR_US
        told.append(judge(state, time, 50 + rnd.gauss(0, 1), CONFIG))
    assert opened(told) == []


def test_the_state_is_bounded():
    _, state = feed([math.pi * i for i in range(2000)])
    assert len(state.blocks) == trend.BLOCKS
    assert len(pack(state)) <= 1700


def test_a_rare_series_has_longer_blocks():
    _, state = feed(noise(60), step=24 * HOUR_US)
    assert state.hours == 24
    values = [value + max(0, i - 60) * 1.5 for i, value in enumerate(noise(100))]
    assert opened(feed(values, step=24 * HOUR_US)[0])
