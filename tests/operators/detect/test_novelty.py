import copy
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detect import novelty_state
from operators.detect.novelty import NoveltyConfig, NoveltyState, judge
from operators.floats import pack, unpack

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MONDAY = 1_736_121_600 * SECOND  # 2025-01-06T00:00:00Z
CONFIG = NoveltyConfig()
CADENCES = [10 * SECOND, MINUTE, 5 * MINUTE, HOUR]


def daily(days, every, rnd, deviation=1.5, start=MONDAY):
    """A day's wave of 30 around 100 with noise, each `every` µs."""
    times = range(start, start + int(days * DAY), every)
    return [(time, 100 + 30 * math.sin(2 * math.pi * time / DAY) + rnd.gauss(0, deviation)) for time in times]


def feed(points, config=CONFIG, state=None, always=False):
    state = NoveltyState() if state is None else state
    return [judge(state, time, value, config, always) for time, value in points], state


def opened(points, config=CONFIG):
    """Time and verdict of abnormal values, the first of each 6 hours."""
    found = []
    last = -DAY
    for (time, _), verdict in zip(points, feed(points, config)[0], strict=True):
        if verdict is not None and verdict.abnormal:
            assert verdict.confidence >= 0.7
            if time - last > 6 * HOUR:
                found.append((time, verdict))
            last = time
    return found


def changed(points, at, change):
    return [(time, change(time, value) if time >= at else value) for time, value in points]


FAULT = MONDAY + 16 * DAY + 10 * HOUR  # a Wednesday


@pytest.mark.parametrize("every", CADENCES, ids=["10 s", "1 min", "5 min", "1 h"])
@pytest.mark.parametrize("to", [60.0, -60.0], ids=["up", "down"])
def test_a_new_level_is_told_at_every_cadence_within_two_values_or_a_minute(every, to):
    points = daily(16.6, every, random.Random(every))
    assert opened(points) == []
    found = opened(changed(points, FAULT, lambda _, value: value + to))
    assert len(found) == 1
    assert found[0][0] - FAULT <= max(MINUTE, 2 * every)
    assert found[0][1].direction == ("up" if to > 0 else "down")


@pytest.mark.parametrize("every", CADENCES, ids=["10 s", "1 min", "5 min", "1 h"])
def test_a_day_that_stays_at_night_is_told_at_every_cadence_at_about_the_same_time(every):
    midnight = MONDAY + 16 * DAY
    points = daily(17, every, random.Random(every))
    found = opened(changed(points, midnight, lambda time, value: value - 30 * math.sin(2 * math.pi * time / DAY)))
    assert found
    assert found[0][0] - midnight < 6 * HOUR


def test_a_night_like_a_day_is_told():
    midnight = MONDAY + 16 * DAY
    points = daily(17, 5 * MINUTE, random.Random(3))
    found = opened(changed(points, midnight, lambda time, value: value - 60 * math.sin(2 * math.pi * time / DAY)))
    assert found
    assert found[0][0] - midnight < 4 * HOUR


def test_what_was_seen_before_is_no_news():
    points = daily(24, 5 * MINUTE, random.Random(1))
    high = [(start, start + 6 * HOUR) for start in (FAULT, FAULT + 3 * DAY)]
    wave = [(time, value + 60 * any(begin <= time < end for begin, end in high)) for time, value in points]
    days = {time // DAY for time, _ in opened(wave)}
    assert FAULT // DAY in days
    assert (FAULT + 3 * DAY) // DAY not in days


def test_a_verdict_says_what_is_usual_and_why():
    points = changed(daily(16.6, 5 * MINUTE, random.Random(5)), FAULT, lambda _, value: value + 60)
    time, verdict = opened(points)[0]
    expected = 100 + 30 * math.sin(2 * math.pi * time / DAY)
    assert verdict.expected == pytest.approx(expected, abs=8)
    assert verdict.low < expected < verdict.high < expected + 60
    assert verdict.evidence["reason"] in novelty_state.REASONS
    assert verdict.evidence["growth"] > 3 * verdict.evidence["usual_growth"]


def test_nothing_opens_in_two_days_nor_on_the_first_weekend_and_monday():
    rnd = random.Random(2)
    early = changed(daily(2, 5 * MINUTE, rnd), MONDAY + DAY + 12 * HOUR, lambda _, value: value + 900)
    assert opened(early) == []
    # Starts on a Tuesday: four days of work, then one that is half as busy, and so on.
    points = [(time, value * (0.5 if (time // DAY + 3) % 7 >= 5 else 1.0))
              for time, value in daily(20, 5 * MINUTE, rnd, start=MONDAY + DAY)]  # fmt: skip
    assert opened(points) == []


def background(name, rnd):
    """30 days each 5 min."""
    rows = range(30 * 288)
    if name == "noise":
        return [50 + rnd.gauss(0, 5) for _ in rows]
    if name == "heavy tail":
        return [10 * rnd.paretovariate(2.5) for _ in rows]
    if name == "quantised":
        return [float(round(rnd.gauss(3, 0.6))) for _ in rows]
    if name == "mostly zero":
        return [float(rnd.random() < 0.02) * rnd.expovariate(0.1) for _ in rows]
    if name == "constant":
        return [7.0 for _ in rows]
    if name == "ramp":
        return [1000 + 0.1 * row + rnd.gauss(0, 10) for row in rows]
    values, now = [], 0.0
    for _ in rows:
        now = (0.95 if name == "autoregressive" else 1.0) * now + rnd.gauss(0, 1)
        values.append(now)
    return values


@pytest.mark.parametrize(
    "name",
    ["noise", "heavy tail", "quantised", "mostly zero", "constant", "ramp", "autoregressive", "random walk"],
)
def test_clean_series_hardly_ever_open(name):
    found = 0
    for seed in range(4):
        values = background(name, random.Random(f"{name} {seed}"))
        found += len(opened([(MONDAY + row * 5 * MINUTE, value) for row, value in enumerate(values)]))
    assert found <= 1  # in 120 days


def test_gaps_and_missing_rows_raise_nothing():
    rnd = random.Random(8)
    points = daily(30, 5 * MINUTE, rnd)
    holes = [
        (time, value) for time, value in points if rnd.random() > 0.3 and not 0 < (time - MONDAY) % (3 * DAY) < 9 * HOUR
    ]
    assert opened(holes) == []


@pytest.mark.parametrize(("before", "after"), [(MINUTE, HOUR), (10 * SECOND, 5 * MINUTE), (5 * MINUTE, MINUTE)])
def test_another_cadence_raises_nothing(before, after):
    rnd = random.Random(9)
    points = daily(12, before, rnd)
    points += daily(10, after, rnd, start=MONDAY + 12 * DAY)
    assert opened(points) == []


def test_the_score_column_is_finite_and_mostly_zero():
    points = changed(daily(16.6, 5 * MINUTE, random.Random(5)), FAULT, lambda _, value: value + 60)
    verdicts, state = feed(points, always=True)
    assert all(verdict is not None and math.isfinite(verdict.score) for verdict in verdicts)
    scores = np.array([verdict.score for verdict in verdicts])
    assert np.mean(scores[2000:] == 0) > 0.95
    greatest = points[int(np.argmax(np.where(np.arange(len(scores)) < 2000, 0, scores)))][0]
    assert 0 <= greatest - FAULT < 2 * HOUR
    plain, twin = feed(points)
    assert twin == state
    for verdict, shown in zip(plain, verdicts, strict=True):
        assert verdict is None or verdict == shown
        assert verdict is not None or not shown.abnormal


def test_scores_do_not_depend_on_unit_or_origin():
    rnd = random.Random(12)
    config = NoveltyConfig(relative_floor=0.0)
    points = [(MONDAY + i * 5 * MINUTE, float(rnd.randint(0, 64))) for i in range(1500)]
    moved = [(time, 8 * value - 4096) for time, value in points]
    scores = [verdict.score for verdict in feed(points, config, always=True)[0]]
    assert [verdict.score for verdict in feed(moved, config, always=True)[0]] == pytest.approx(
        scores, rel=1e-6, abs=1e-9
    )


def test_the_profiles_are_means_then_exponentially_weighted():
    rnd = random.Random(14)
    points = [(MONDAY + i * 5 * MINUTE, rnd.uniform(0, 10)) for i in range(288 + 3)]
    _, state = feed(points)
    values = [value for _, value in points]
    assert state.day[7] == pytest.approx(np.mean(values[42:48]))
    hourly = np.mean(values[84:93])
    for value in values[93:96]:
        hourly += CONFIG.rates[7] * (value - hourly)
    assert state.week[7 + 4 * 24] == pytest.approx(hourly)  # a week begins on a Thursday here
    assert math.isnan(state.week[0])
    rate = CONFIG.rates[6]
    again = np.mean(values[:6])
    for value in values[288:]:
        again += rate * (value - again)
    assert state.day[0] == pytest.approx(again)


@pytest.mark.parametrize("every", CADENCES[:3], ids=["10 s", "1 min", "5 min"])
def test_means_are_over_hours_whatever_the_cadence(every):
    start = [(MONDAY + i * every, 0.0) for i in range(2 * HOUR // every)]
    step = [(MONDAY + 2 * HOUR + i * every, 1.0) for i in range(12 * HOUR // every)]
    _, state = feed(start + step)
    assert state.near == pytest.approx(1 - math.exp(-1), abs=0.003)
    assert state.fast == pytest.approx(1 - math.exp(-4), abs=0.003)


def test_the_chance_is_that_of_the_lomax_distribution():
    """A mean with prior Gamma(1, s0), n exponential values of sum s: the next one's tail, by numeric integration."""
    count, total, prior, beyond = 6.0, 0.9, novelty_state.PRIOR_GROWTH, 1.4
    rate = np.linspace(1e-6, 200, 2_000_001)
    posterior = rate**count * np.exp(-rate * (total + prior))
    tail = float(np.sum(posterior * np.exp(-rate * beyond)) / np.sum(posterior))
    assert (1 + beyond / (total + prior)) ** -(count + 1) == pytest.approx(tail, rel=1e-6)


def test_confidence_is_0_7_at_the_chance_and_grows():
    points = changed(daily(16.6, 5 * MINUTE, random.Random(5)), FAULT, lambda _, value: value + 60)
    verdicts = [verdict for verdict in feed(points)[0] if verdict is not None and verdict.abnormal]
    for verdict in verdicts:
        assert verdict.confidence >= 0.7
        assert verdict.score >= verdict.threshold
    assert verdicts[-1].confidence > verdicts[0].confidence - 1e-9


def test_a_less_sensitive_setting_opens_less():
    points = changed(daily(16.6, 5 * MINUTE, random.Random(5)), FAULT, lambda _, value: value + 14)
    counts = [len(opened(points, NoveltyConfig.of(ready))) for ready in (0.0, 0.5, 0.95, 1.0)]
    assert counts == sorted(counts)
    assert counts[-1] > 0
    with pytest.raises(ValueError, match="between 0 and 1"):
        NoveltyConfig.of(1.2)


def test_percent_measures_have_an_envelope_of_two_points():
    rnd = random.Random(6)
    points = [(MONDAY + i * 5 * MINUTE, 0.2 + rnd.random() * 0.01) for i in range(4000)]
    jump = [*points, *[(MONDAY + i * 5 * MINUTE, 0.5) for i in range(4000, 4100)]]
    assert opened(jump)
    assert opened(jump, NoveltyConfig.of(0.95, "cpu_usage")) == []


def test_a_full_state_is_small_and_resumes():
    _, state = feed(daily(9, 5 * MINUTE, random.Random(4)))
    raw = pack(state)
    assert len(raw) <= 2200
    again = unpack(raw, NoveltyState)
    more = daily(2, 5 * MINUTE, random.Random(5), deviation=9, start=MONDAY + 9 * DAY)
    assert feed(more, state=again) == feed(more, state=copy.deepcopy(state))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-(10**12), 10**16), st.floats(allow_nan=True, allow_infinity=True)), max_size=60))
def test_anything_may_come(points):
    verdicts, state = feed(points, always=True)
    for (_, value), verdict in zip(points, verdicts, strict=True):
        assert (verdict is None) == math.isnan(value)
        if verdict is not None:
            assert math.isfinite(verdict.score)
            assert math.isfinite(verdict.threshold)
            assert verdict.low <= verdict.expected <= verdict.high
    assert len(pack(state)) <= 2600
