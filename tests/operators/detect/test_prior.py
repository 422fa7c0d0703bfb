import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from operators.detect.prior import (
    FIRST,
    GROWN,
    LEAST_SERIES,
    MOST_SERIES,
    GroupState,
    PriorConfig,
    YoungState,
    _deviation,
    grow,
    judge_young,
)

CONFIG = PriorConfig()
OPEN = 0.7


def encode(state):
    return msgspec.msgpack.encode(state)


def values_at(level, rnd, count=GROWN, noise=0.1):
    return [level * math.exp(noise * rnd.gauss(0, 1)) for _ in range(count)]


def group_of(levels, rnd, noise=0.1):
    group = GroupState()
    for key, level in enumerate(levels):
        grow(group, key, values_at(level, rnd, noise=noise))
    return group


def judged(group, values, state=None):
    state = YoungState() if state is None else state
    return [judge_young(group, state, place, value, CONFIG) for place, value in enumerate(values)]


def opened(verdicts):
    return next(
        (
            place
            for place, verdict in enumerate(verdicts)
            if verdict and verdict.abnormal and verdict.confidence >= OPEN
        ),
        None,
    )


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=12))
def test_the_pool_is_that_of_the_members(levels):
    group = GroupState()
    spreads = []
    for key, level in enumerate(levels):
        values = np.array([level * (1 + (i % 7) / 10) for i in range(GROWN)])
        grow(group, key, list(values))
        middle = np.median(values)
        deviation = max(
            1.4826 * np.median(abs(values - middle)), (np.quantile(values, 0.9) - np.quantile(values, 0.1)) / 2.5631
        )
        spreads.append((middle, deviation))
    middles, deviations = np.array(spreads).T
    unit = np.median(middles)
    places = np.arcsinh(middles / unit)
    assert group.unit == pytest.approx(unit)
    assert group.centre == pytest.approx(np.median(places))
    assert group.within == pytest.approx(np.quantile(deviations / np.hypot(unit, middles), 0.75))
    robust = max(
        1.4826 * np.median(abs(places - np.median(places))),
        (np.quantile(places, 0.9) - np.quantile(places, 0.1)) / 2.5631,
        0.2,
        0.5 * group.within,
    )
    assert group.between == pytest.approx(robust)


@given(st.floats(-12, 12), st.integers(4, 60))
def test_wallaces_deviation_is_as_rare_as_the_t(t, freedom):
    exact = scipy_stats.norm.isf(scipy_stats.t.sf(abs(t), freedom))
    assert abs(_deviation(t, freedom)) == pytest.approx(exact, rel=0.03, abs=0.02)
    assert abs(_deviation(t, freedom)) <= abs(t) + 1e-12, "the shortcut of judge_young needs it"


def test_a_new_host_at_ten_times_the_level_is_told_within_three_values():
    rnd = random.Random(1)
    found = []
    for _ in range(40):
        group = group_of([20 * math.exp(0.15 * rnd.gauss(0, 1)) for _ in range(12)], rnd)
        verdicts = judged(group, values_at(200, rnd))
        found.append(opened(verdicts))
        assert max(verdict.confidence for verdict in verdicts if verdict) <= 0.85
    assert sum(place is not None and place < 3 for place in found) >= 38


@pytest.mark.parametrize("spread", [0.15, 0.6, 1.5])
@pytest.mark.parametrize("size", [5, 10, 30])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_a_new_series_like_its_group_is_not_told(spread, size, noise):
    rnd, told = random.Random(size), 0
    for _ in range(60):
        levels = [20 * math.exp(spread * rnd.gauss(0, 1)) for _ in range(size + 1)]
        told += opened(judged(group_of(levels[1:], rnd, noise), values_at(levels[0], rnd, noise=noise))) is not None
    assert told <= 1


def test_the_second_of_a_rare_sort_is_not_told():
    rnd = random.Random(3)
    group = group_of([20.0] * 25 + [400.0], rnd)
    assert opened(judged(group, values_at(400, rnd))) is None
    assert opened(judged(group, values_at(4000, rnd))) is not None


def test_without_a_group_nothing_is_said():
    rnd = random.Random(4)
    group = group_of([20.0] * (LEAST_SERIES - 1), rnd)
    state = YoungState()
    assert judged(group, [1e9] * 10, state) == [None] * 10
    assert state.known == 0


def test_a_group_without_any_spread_says_nothing():
    group = GroupState()
    for key in range(10):
        grow(group, key, [0.0] * GROWN)
    assert judged(group, [0.0, 5.0, 5.0, 5.0]) == [None] * 4


def test_once_grown_up_it_is_silent_and_before_it_fades():
    rnd = random.Random(5)
    group = group_of([20.0] * 30, rnd)
    verdicts = judged(group, values_at(400, rnd, count=GROWN + 5))
    assert verdicts[GROWN:] == [None] * 5
    sure = [verdict.confidence for verdict in verdicts[2:GROWN]]
    assert sure[0] > OPEN > sure[-1]
    assert sure[20] > sure[-1]


def test_judgement_moves_from_the_group_to_the_series():
    rnd = random.Random(6)
    group = group_of([20 * math.exp(rnd.gauss(0, 1)) for _ in range(20)], rnd)
    state, weights, expected = YoungState(), [], []
    for value in values_at(35, rnd, count=20, noise=0.05):
        verdict = judge_young(group, state, 0, value, CONFIG, always=True)
        if verdict:
            weights.append(verdict.evidence["own_weight"])
            expected.append(verdict.expected)
    assert weights == sorted(weights)
    assert weights[-1] > 0.95
    spike = judge_young(group, state, 0, 400.0, CONFIG)
    assert (spike.abnormal, spike.evidence["by"], spike.direction) == (True, "value", "up")
    assert spike.expected == pytest.approx(35, rel=0.1)


def test_one_odd_first_value_is_no_level():
    rnd = random.Random(7)
    group = group_of([20.0] * 20, rnd)
    verdicts = judged(group, [90.0, *values_at(20, rnd)])
    assert all(verdict is None or not verdict.abnormal for verdict in verdicts[1:])


def test_negative_levels_are_compared_by_difference():
    group = GroupState()
    for key in range(20):
        grow(group, key, [-5.0 + key % 7 + (i % 5) / 5 for i in range(GROWN)])
    assert group.unit == 0.0
    assert opened(judged(group, [60.0, 61.0, 60.5, 60.0])) is not None
    assert opened(judged(group, [1.0, 1.2, 0.8, 1.0])) is None


def test_a_group_that_changes_its_unit_meanwhile_keeps_what_is_known():
    rnd = random.Random(8)
    group = group_of([20.0] * 10, rnd)
    state, other = YoungState(), YoungState()
    for value in values_at(50, rnd, count=10, noise=0.02):
        judge_young(group, state, 0, value, CONFIG)
    for key in range(40):
        grow(group, 100 + key, values_at(30.0, rnd))
    judge_young(group, state, 0, 50.0, CONFIG)
    assert state.unit == group.unit != other.unit
    assert group.unit * math.sinh(state.level) == pytest.approx(50, rel=0.05)


def test_a_group_remembers_those_that_taught_it_last():
    rnd = random.Random(9)
    group = group_of([20.0] * (MOST_SERIES + 10), rnd)
    assert list(group.members) == list(range(10, MOST_SERIES + 10))
    grow(group, 10, values_at(20, rnd))
    assert list(group.members)[-1] == 10
    assert len(group.members) == MOST_SERIES
    grow(group, 999, [1.0] * (GROWN - 1))
    assert 999 not in group.members
    assert len(encode(group)) <= 2000


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=GROWN, max_size=GROWN),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=GROWN + 3),
)
def test_any_values_are_survived(members, values):
    group = GroupState()
    for key in range(LEAST_SERIES):
        grow(group, key, members[key:] + members[:key])
    state = YoungState()
    for value in values:
        twin = msgspec.msgpack.decode(encode(state), type=YoungState)
        verdict = judge_young(group, state, 0, value, CONFIG, always=True)
        assert judge_young(group, twin, 0, value, CONFIG, always=True) == verdict
        assert encode(twin) == encode(state)
        if verdict is not None:
            assert verdict.low <= verdict.expected <= verdict.high
            assert math.isfinite(verdict.score + verdict.low + verdict.high)
        assert len(state.first) <= FIRST
        assert len(encode(state)) <= 100
