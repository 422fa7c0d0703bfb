"""Baselines against pandas, and that the current window is no part of its own baseline."""

import numpy as np
import pandas as pd
import pytest

from operators.mining.baselines import WINDOWS, baselines, median_interval
from operators.mining.history import History
from operators.mining.streams import outcomes
from tests.operators.mining import planted


@pytest.fixture(scope="module")
def history():
    return planted.history(runs=600)


def test_numbers_are_those_of_pandas(history):
    rows, _ = baselines(history, planted.UNTIL)
    stream = outcomes(history)
    stream["end"] = pd.to_datetime(stream["end_us"], unit="us", utc=True)
    assert {row.baseline_type for row in rows} == {"daily", "weekly", "monthly"}
    for row in rows:
        days, windows = WINDOWS[row.baseline_type]
        mine = stream[stream["entity"] == row.component_name]
        age = (planted.UNTIL - mine["end"]) // pd.Timedelta(days=days)
        part = mine[(age >= 1) & (age <= windows)]
        assert row.sample_size == len(part)
        assert row.baseline_metrics["error_rate"]["mean"] == pytest.approx(part["failed"].mean())
        if "response_time" in row.baseline_metrics:
            assert row.baseline_metrics["response_time"]["p50"] == pytest.approx(part["seconds"].median())
            assert row.baseline_metrics["response_time"]["p95"] == pytest.approx(part["seconds"].quantile(0.95))
        assert 0.9 <= row.confidence_level <= 1.0 and row.valid_until > row.established_at


def test_analytics_compare_the_window_with_its_baseline(history):
    rows, now = baselines(history, planted.UNTIL)
    known = {(row.component_name, row.baseline_type): row.baseline_metrics for row in rows}
    assert now
    for row in now:
        metrics = known[row.component_name, row.context_metadata["baseline"]]
        usual = {"error_rate": "mean", "response_time": "p50", "throughput": "median"}[row.metric_type]
        assert row.baseline_value == metrics[row.metric_type][usual]
        if row.performance_delta is not None:
            assert row.performance_delta == pytest.approx(100 * (row.current_value / row.baseline_value - 1))
    assert len({row.id for row in now}) == len(now)


def test_the_interval_covers_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [
        low <= np.log(2) <= high for low, high, _ in (median_interval(rng.exponential(size=31)) for _ in range(1500))
    ]
    assert np.mean(covered) == pytest.approx(median_interval(np.arange(31.0))[2], abs=0.02)


def test_nothing_gives_nothing():
    assert baselines(History.of(), planted.UNTIL) == ([], [])
