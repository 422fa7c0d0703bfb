import random

import msgspec
import pytest

from operators.detect import missing
from operators.detect.missing import DAY_US, HOUR_US, SECOND_US, MissingConfig, MissingState, judge, silent

CONFIG = MissingConfig()
MONDAY = 1_767_571_200 * SECOND_US  # 2026-01-05T00:00Z


def feed(times, state=None):
    """The state after these arrivals, and the silences (before an arrival) that were abnormal."""
    state = MissingState() if state is None else state
    told = []
    for time in times:
        if state.seen and silent(state, time - 1, CONFIG) is not None:
            told.append(time)
        assert judge(state, time, 1.0, CONFIG) is None
    return state, told


def first_told(state, step, most=100_000):
    """Silence in seconds at which the series is told missing."""
    for count in range(1, most):
        now = state.last_us + count * step
        verdict = silent(state, now, CONFIG)
        if verdict is not None:
            return count * step / SECOND_US, verdict
    return None, None


def regular(seconds, count, start=MONDAY, seed=1):
    rnd = random.Random(seed)
    return [start + int((i + rnd.uniform(-0.1, 0.1)) * seconds * SECOND_US) for i in range(1, count)]


@pytest.mark.parametrize(
    ("seconds", "count", "least", "most"),
    [(10, 20_000, 170, 240), (60, 3000, 1000, 1200), (300, 900, 2700, 4500), (3600, 300, 10_000, 15_000)],
)
def test_a_regular_series_is_missed_after_some_intervals(seconds, count, least, most):
    state, told = feed(regular(seconds, count))
    assert told == []
    silence, verdict = first_told(state, seconds * SECOND_US // 10)
    assert least <= silence <= most
    assert verdict.abnormal
    assert verdict.confidence >= 0.7
    assert verdict.expected == pytest.approx(seconds, rel=0.1)
    assert verdict.evidence["silent_s"] == pytest.approx(silence, rel=0.1)
    longer = silent(state, state.last_us + 3 * int(silence) * SECOND_US, CONFIG)
    assert longer.confidence > verdict.confidence
    assert longer.score > verdict.score


def test_after_data_it_is_normal_and_the_outage_does_not_become_usual():
    state, _ = feed(regular(10, 10_000))
    back = state.last_us + 6 * HOUR_US
    assert silent(state, back - 1, CONFIG).abnormal
    judge(state, back, 1.0, CONFIG)
    assert silent(state, back + 60 * SECOND_US, CONFIG) is None
    feed([back + i * 10 * SECOND_US for i in range(1, 500)], state)
    assert first_told(state, 10 * SECOND_US)[0] < 1200


@pytest.mark.parametrize("usual", [10, 60, 300, 3600])
def test_random_arrivals_are_hardly_ever_missed(usual):
    told = 0
    for seed in range(4):
        rnd, time, times = random.Random(seed), MONDAY, []
        for _ in range(8000):
            time += int(rnd.expovariate(1 / usual) * SECOND_US)
            times.append(time)
        told += len(feed(times)[1])
    assert told == 0


@pytest.mark.parametrize("usual", [60, 600])
def test_arrivals_in_clusters_are_hardly_ever_missed(usual):
    told = 0
    for seed in range(4):
        rnd, time, times = random.Random(seed), MONDAY, []
        for _ in range(8000):
            time += int(rnd.expovariate(1 / (20 * usual if rnd.random() < 0.05 else usual / 10)) * SECOND_US)
            times.append(time)
        told += len(feed(times)[1])
    assert told <= 1


def test_a_nightly_run_that_did_not_come_is_told_an_hour_later():
    times = [MONDAY + day * DAY_US + 2 * HOUR_US + 1800 * SECOND_US for day in range(45) if day % 7 < 5]
    state, told = feed(times)
    assert told == [], "weekends are no outage"
    due = state.last_us + DAY_US  # Thursday's run, 45 days after a Monday being a Thursday
    assert silent(state, due + HOUR_US, CONFIG) is None
    verdict = silent(state, due + 2 * HOUR_US, CONFIG)
    assert verdict.abnormal
    assert verdict.evidence["kind"] == "time"


def test_office_hours_are_learned():
    times = [
        MONDAY + day * DAY_US + 8 * HOUR_US + minute * 60 * SECOND_US
        for day in range(44)
        if day % 7 < 5
        for minute in range(600)
    ]
    state, told = feed(times)
    assert told == []
    assert silent(state, state.last_us + 13 * HOUR_US, CONFIG) is None, "the night"
    assert silent(state, state.last_us + 3 * DAY_US, CONFIG) is not None


def test_little_history_says_nothing():
    state, _ = feed(regular(10, missing.LEAST_ARRIVALS))
    assert silent(state, state.last_us + 365 * DAY_US, CONFIG) is None
    state, _ = feed(regular(10, 2000))
    assert silent(state, state.last_us + 12 * HOUR_US, CONFIG) is None, "it may be the evening"
    assert silent(state, state.last_us + 25 * HOUR_US, CONFIG) is not None
    assert silent(MissingState(), MONDAY, CONFIG) is None


def test_another_cadence_is_no_outage():
    slow = regular(10, 10_000)
    state, told = feed(slow)
    assert feed([slow[-1] + i * 60 * SECOND_US for i in range(1, 2000)], state)[1] == []
    assert told == []
    assert state.usual_us == pytest.approx(60 * SECOND_US, rel=0.1)


def test_judging_a_silence_changes_nothing():
    state, _ = feed(regular(60, 3000))
    before = msgspec.msgpack.encode(state)
    assert silent(state, state.last_us + DAY_US, CONFIG) is not None
    assert msgspec.msgpack.encode(state) == before


def test_what_is_not_a_number_is_no_data():
    state = MissingState()
    judge(state, MONDAY, float("nan"), CONFIG)
    assert state == MissingState()


def test_the_state_is_small():
    state, _ = feed(regular(600, 9000))
    assert len(state.slots) == missing.WEEK_HOURS
    assert len(msgspec.msgpack.encode(state)) <= 300
