import random

import pytest
from scipy.stats import percentileofscore

from operators.detect.ranks import SAMPLE_US, SAMPLES, axis_at, take

HOUR = 3_600_000_000


def test_a_rank_is_scipys_mean_percentile():
    rnd = random.Random(1)
    axis = axis_at("a", 0, 0, 3.0)
    for row in range(1, 300):
        value = float(rnd.randint(0, 20))
        past = list(axis.samples)
        take(axis, row, row * SAMPLE_US, value)
        assert 100.0 * axis.rank == pytest.approx(percentileofscore(past, value, kind="mean"))
        assert axis.samples == sorted(axis.samples)
        assert len(axis.samples) == min(row + 1, SAMPLES)


def test_samples_are_days_old_whatever_the_cadence():
    for step, days in ((HOUR // 60, 20), (HOUR, 40)):
        axis = axis_at("a", 0, 0, 0.0)
        for row in range(1, days * 24 * HOUR // step):
            take(axis, row, row * step, float((row * 7919) % 1009))
        assert len(axis.samples) == SAMPLES
        per_day = (axis.taken - SAMPLES) / ((axis.taken_us - SAMPLES * SAMPLE_US / 4) / (24 * HOUR))
        assert 6.0 < SAMPLES / per_day < 12.0, "days that the samples span"


def test_what_was_lately_is_most_of_what_is_kept():
    axis = axis_at("a", 0, 0, 0.0)
    for hour in range(1, 60 * 24):
        take(axis, hour, hour * HOUR, 1.0 if hour > 50 * 24 else 0.0)
    # Ten days at one taken each two hours: 120 of the 128, less those that were replaced since.
    assert 0.5 < sum(axis.samples) / SAMPLES < 1.0


def test_a_series_rests_when_half_of_it_is_one_value():
    axis = axis_at("a", 0, 0, 0.0)
    for row in range(1, 100):
        take(axis, row, row * SAMPLE_US, float(row % 5 == 0))
    assert axis.at_rest
    for row in range(100, 300):
        take(axis, row, row * SAMPLE_US, float(row % 3))
    assert not axis.at_rest
