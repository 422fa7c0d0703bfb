import math
import random

import pytest

from operators.detect import drift
from operators.detect.drift import DriftConfig, DriftState, judge
from operators.floats import pack

MINUTE = 60_000_000
MONDAY = 1_767_571_200_000_000
CONFIG = DriftConfig()
DAY = 1440


def feed(values, step=MINUTE, state=None, config=CONFIG, start=MONDAY):
    state = DriftState() if state is None else state
    return [judge(state, start + i * step, value, config) for i, value in enumerate(values)], state


def opened(verdicts):
    return [i for i, verdict in enumerate(verdicts) if verdict is not None and verdict.abnormal]


def process(count, phi=0.0, seed=1):
    rnd, value, values = random.Random(seed), 0.0, []
    for _ in range(count):
        value = phi * value + rnd.gauss(0, (1 - phi * phi) ** 0.5)
        values.append(50 + value)
    return values


@pytest.mark.parametrize("size", [-4, 3, 4, 6])
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_a_new_level_is_told_once(size, phi):
    begin = 3 * DAY
    values = [value + (size if i >= begin else 0) for i, value in enumerate(process(5 * DAY, phi))]
    verdicts, _ = feed(values)
    assert len(opened(verdicts)) == 1
    at = opened(verdicts)[0]
    assert begin + 25 <= at <= begin + 700
    verdict = verdicts[at]
    assert verdict.evidence["kind"] == "mean"
    assert verdict.direction == ("up" if size > 0 else "down")
    assert verdict.evidence["old"] == verdict.expected == pytest.approx(50, abs=0.6)
    assert verdict.evidence["new"] == pytest.approx(50 + size, abs=1.5)
    assert verdict.low <= 50 <= verdict.high
    assert abs(verdict.evidence["since_us"] - MONDAY - begin * MINUTE) < 600 * MINUTE
    assert verdict.confidence >= 0.7
    held = next(i for i in range(at, len(verdicts)) if verdicts[i] is None)
    assert at + 25 < held < at + 200, "neither for a while, then normal at the new level"
    assert verdicts[-500:] == [None] * 500


def test_the_way_back_to_a_known_level_is_no_drift():
    values = [value + (5 if 3 * DAY <= i < 4 * DAY else 0) for i, value in enumerate(process(6 * DAY))]
    assert len(opened(feed(values)[0])) == 1


def test_panes_of_ten_seconds_are_judged_by_the_minute():
    count, begin = 6 * DAY * 2, 6 * DAY * 3 // 2
    values = [value + (3 if i >= begin else 0) for i, value in enumerate(process(count))]
    verdicts, state = feed(values, step=10_000_000)
    assert begin < opened(verdicts)[0] < begin + 6 * 60
    assert state.within == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_a_greater_spread_is_told_as_such(phi):
    begin = 3 * DAY
    values = [50 + (value - 50) * (2.2 if i >= begin else 1) for i, value in enumerate(process(5 * DAY, phi))]
    verdicts, _ = feed(values)
    verdict = verdicts[opened(verdicts)[0]]
    assert begin < opened(verdicts)[0] < begin + 400
    assert verdict.evidence["kind"] == "spread"
    assert verdict.direction == "up"
    assert verdict.evidence["factor"] > 1.5
    assert verdict.evidence["new"] > verdict.evidence["old"]


def test_a_drift_is_told_under_a_daily_season():
    begin = 12 * DAY // 5
    values = [
        value + 5 * math.sin(i / DAY * 2 * math.pi) + (14 if i >= 5 * begin else 0)
        for i, value in enumerate(process(14 * DAY // 5 * 5))
        if not i % 5
    ]
    values = values[: 14 * DAY // 5]
    verdicts, state = feed(values, step=5 * MINUTE)
    assert state.season.on
    told = opened(verdicts)
    assert told
    assert begin < told[0] < begin + 60


@pytest.mark.parametrize(
    "name", ["white", "ar.9", "season", "pareto", "poisson", "quantised", "bursts", "constant", "sawtooth", "cron"]
)
@pytest.mark.parametrize("step", [5, 60])
def test_clean_backgrounds_are_silent(name, step):
    rnd = random.Random(8)
    count = 21 * DAY // step if step == 5 else 40 * DAY // step
    base = process(count, 0.9, 2)
    minutes = [i * step for i in range(count)]
    values = {
        "white": process(count),
        "ar.9": base,
        "season": [
            50 + (base[i] - 50) + 10 * math.sin(minute / DAY * 2 * math.pi) * (0.5 if minute // DAY % 7 > 4 else 1)
            for i, minute in enumerate(minutes)
        ],
        "pareto": [rnd.paretovariate(1.5) for _ in minutes],
        "poisson": [float(sum(rnd.random() < 0.1 for _ in range(40))) for _ in minutes],
        "quantised": [float(round(value)) for value in base],
        "bursts": [rnd.expovariate(0.1) if rnd.random() < 0.03 else 0.0 for _ in minutes],
        "constant": [7.0 for _ in minutes],
        "sawtooth": [30 + minute % 420 / 10 + rnd.gauss(0, 0.5) for minute in minutes],
        "cron": [10 + rnd.gauss(0, 1) + (30 if minute % 360 < 25 else 0) for minute in minutes],
    }[name]
    assert opened(feed(values, step=step * MINUTE)[0]) == []


def test_nothing_is_said_on_the_first_day():
    values = [value + (20 if i > 700 else 0) for i, value in enumerate(process(DAY))]
    assert opened(feed(values)[0]) == []


def test_a_shift_of_minutes_is_no_drift():
    values = [value + (20 if 4000 <= i < 4020 else 0) for i, value in enumerate(process(3 * DAY + 500))]
    assert opened(feed(values)[0]) == []


def test_what_does_not_matter_is_not_told():
    values = [1000 + (value - 50) * 0.01 + (0.2 if i >= 3 * DAY else 0) for i, value in enumerate(process(4 * DAY))]
    assert opened(feed(values)[0]) == []
    assert opened(feed([value - 990 for value in values])[0])
    assert opened(feed([value - 990 for value in values], config=DriftConfig(absolute_floor=0.5))[0]) == []


def test_gaps_and_another_cadence_are_no_drift():
    state, time, told = DriftState(), MONDAY, []
    for i, value in enumerate(process(9000, 0.5)):
        time += MINUTE if i < 4000 else 5 * MINUTE
        time += 36 * 60 * MINUTE if i % 2500 == 2499 else 0
        told.append(judge(state, time, value, CONFIG))
    assert opened(told) == []


def test_each_drift_raises_the_bar():
    values = [value + 8 * (max(0, i - 2 * DAY) // 500) for i, value in enumerate(process(5 * DAY))]
    verdicts, state = feed(values)
    assert 1 < len(opened(verdicts)) <= 5
    assert state.habit > 1


def test_the_state_is_bounded():
    values = [value + 5 * math.sin(i / 288 * 2 * math.pi) for i, value in enumerate(process(30 * 288, 0.5))]
    _, state = feed([value * math.pi for value in values], step=5 * MINUTE)
    assert drift.WIDTH - 512 < state.level_window.width <= drift.WIDTH
    assert state.season.on
    assert len(pack(state)) <= 5200
