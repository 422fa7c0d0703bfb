import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detect.levels import HOUR_US, SLOTS, Range, Season, expect, extend, learn, shift, span, within

WEEK = 168


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=400, max_size=900), st.integers(0, 60))
def test_a_range_is_that_of_the_values_it_remembers(values, skip):
    """All slots are whole runs of the values, so least and greatest are those of some suffix without the last ones."""
    kept = Range()
    for value in values:
        extend(kept, value, 10_000)
    low, high, middle = span(kept, skip)
    closed = len(values) - kept.count
    left = closed - max(0, -(-(skip - kept.count) // kept.step)) * kept.step
    seen = values[closed - kept.size : left]
    assert (low, high) == (min(seen), max(seen))
    assert low <= middle <= high
    for value in (low, high, middle, low - 1.0, high + 1.0):
        assert within(kept, skip, value) == (low <= value <= high)
    assert len(kept.lows) <= SLOTS + 1


def test_a_range_forgets_what_is_older_than_it_reaches():
    kept = Range()
    extend(kept, 1000.0, 500)
    for _ in range(2000):
        extend(kept, 1.0, 500)
    assert span(kept, 0) == (1.0, 1.0, 1.0)
    assert kept.size >= 500


def test_a_range_without_slots_knows_nothing():
    kept = Range()
    extend(kept, 1.0, 500)
    assert span(kept, 0) is None
    assert within(kept, 0, 1.0) is None


def feed(hours, value, season=None):
    season = Season() if season is None else season
    for hour in hours:
        for part in range(4):
            time = hour * HOUR_US + part * HOUR_US // 4
            learn(season, time, value(time / HOUR_US))
    return season


def daily(hour):
    return 50 + 10 * math.sin(hour / 24 * 2 * math.pi)


def test_a_daily_season_is_found_and_expected():
    season = feed(range(1000, 1000 + 96), daily)
    assert season.on
    for hour in range(1100, 1124):
        time = hour * HOUR_US + HOUR_US // 3
        assert expect(season, time) == pytest.approx(daily(time / HOUR_US), abs=1.6)


def test_a_weekly_season_is_known_after_a_week():
    def value(hour):
        return daily(hour) if hour % WEEK < 120 else 30.0

    season = feed(range(WEEK * 10, WEEK * 12), value)
    assert season.on
    assert expect(season, (WEEK * 12 + 130) * HOUR_US) == pytest.approx(30.0, abs=1)
    assert expect(season, (WEEK * 12 + 30) * HOUR_US) == pytest.approx(daily(30), abs=1.6)


@pytest.mark.parametrize("name", ["noise", "walk", "constant"])
def test_what_has_no_season_gets_none(name):
    rnd, walk = random.Random(1), [50.0]

    def value(_):
        walk[0] += rnd.gauss(0, 0.5)
        return {"noise": rnd.gauss(50, 1), "walk": walk[0], "constant": 5.0}[name]

    assert not feed(range(1000, 1600), value).on


def test_the_last_hours_are_no_season_yet():
    season = feed(range(1000, 1096), daily)
    before = expect(season, 1096 * HOUR_US + HOUR_US // 2)
    feed(range(1096, 1098), lambda hour: daily(hour) + 100, season)
    assert expect(season, 1096 * HOUR_US + HOUR_US // 2) == before


def test_a_shift_moves_all_that_is_expected():
    season = feed(range(1000, 1096), daily)
    before = expect(season, 1100 * HOUR_US)
    shift(season, 7.0)
    assert expect(season, 1100 * HOUR_US) == pytest.approx(before + 7.0)


def test_nothing_is_expected_of_an_unknown_season():
    assert expect(Season(), 5 * HOUR_US) is None
