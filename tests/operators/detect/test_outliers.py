import random

import msgspec
import pytest

from operators.detect import outliers, spike
from operators.detect.outliers import Outliers, learn, threshold

DAY = 86_400_000_000
MINUTE = 60_000_000


def told(sizes, every=1, start=500, least=5.0):
    """Which of a series' scores exceed the threshold of their time, each learned afterwards."""
    known, found = Outliers(), []
    for place, size in enumerate(sizes):
        seen = start + place * every
        if size >= threshold(known, seen, 0, size, least, 0.0) and size >= least:
            found.append(size)
        learn(known, seen, 0, size)
    return found, known


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.0])
def test_a_power_law_is_told_far_more_rarely_than_it_exceeds_the_limit(exponent):
    rnd = random.Random(3)
    sizes = [rnd.paretovariate(exponent) for _ in range(20_000)]
    found, _ = told(sizes)
    beyond = sum(size >= 5.0 for size in sizes)
    assert len(found) < beyond / 5
    assert min(found) > 5.0


def test_recurrent_ones_with_nothing_below_are_all_told():
    rnd = random.Random(4)
    sizes = [rnd.uniform(9.0, 13.0) if place % 100 == 99 else abs(rnd.gauss(0.0, 1.0)) for place in range(10_000)]
    found, _ = told(sizes)
    assert len(found) == 100


def test_a_series_without_a_past_has_its_own_limit():
    assert threshold(Outliers(), 1000, 0, 6.0, 5.0, 0.0) == 5.0


def test_what_counts_is_the_scores_below_not_those_above():
    _, above = told([60.0] * 10)
    assert threshold(above, 600, 0, 8.0, 5.0, 0.0) == 5.0


def test_a_tail_is_forgotten():
    _, known = told([4.0] * 10)
    assert threshold(known, 600, 0, 7.0, 5.0, 0.0) > 7.0
    assert threshold(known, 600 + 10 * int(outliers.MEMORY), 0, 7.0, 5.0, 0.0) == 5.0


@pytest.mark.parametrize(
    ("shift", "size", "news"),
    [(0, 20.0, False), (9 * MINUTE, 20.0, False), (11 * MINUTE, 20.0, True), (0, 60.0, True), (0, -20.0, True)],
)
def test_what_comes_at_the_same_time_of_day_is_usual(shift, size, news):
    known = Outliers()
    for day in (0, 1):
        learn(known, 288 * day + 300, day * DAY, 20.0)
    least = threshold(known, 900, 2 * DAY + shift, size, 5.0, 60e6)
    assert (abs(size) >= least) == news


def test_once_is_not_usual_and_nor_is_last_month():
    known = Outliers()
    learn(known, 300, 0, 20.0)
    assert threshold(known, 600, DAY, 20.0, 5.0, 0.0) == 5.0
    learn(known, 600, DAY, 20.0)
    assert threshold(known, 1200, 9 * DAY, 20.0, 5.0, 0.0) == 5.0


def test_a_weekend_between_does_not_matter():
    known = Outliers()
    for day in (3, 4):
        learn(known, 288 * day, day * DAY, 20.0)
    assert threshold(known, 2100, 7 * DAY, 20.0, 5.0, 0.0) > 20.0


def test_the_state_is_bounded():
    rnd = random.Random(5)
    known = Outliers()
    for place in range(5000):
        learn(known, place, place * DAY // 300, rnd.choice([-1, 1]) * 3.0 * rnd.paretovariate(0.3))
    assert len(known.sizes) == len(known.times_s) == outliers.PAST
    assert len(msgspec.msgpack.encode(known)) <= 500
    assert len(msgspec.msgpack.encode(Outliers())) == 1


def test_the_spike_track_knows_a_daily_job_after_two_days():
    rnd = random.Random(6)
    config, state = spike.SpikeConfig(), spike.SpikeState()
    days = []
    for place in range(288 * 10):
        value = rnd.gauss(50.0, 3.0) + (60.0 if place % 288 == 100 else 0.0)
        verdict = spike.judge(state, place * 5 * MINUTE, value, config)
        if verdict is not None and verdict.abnormal:
            days.append(place // 288)
    assert days == [0, 1]


def test_the_spike_track_learns_a_heavy_tail():
    rnd = random.Random(7)
    config, state = spike.SpikeConfig(), spike.SpikeState()
    found = []
    for place in range(20_000):
        value = 50.0 + rnd.gauss(0.0, 1.0) / (rnd.gammavariate(1.5, 2.0) / 3.0) ** 0.5  # Student's t with 3 degrees
        verdict = spike.judge(state, place * 10_000_000, value, config)
        if verdict is not None and verdict.abnormal:
            found.append(place)
    assert len(found) < 15, "a Gaussian's limit of 5 would be exceeded 70 times"
