import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, median_abs_deviation

from operators.detect.stats import Z_ONE_SIDED_95, median, median_deviation, quantile, wilson_lower

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_lower_is_scipys(counts):
    failures, trials = counts
    interval = binomtest(failures, trials, alternative="greater").proportion_ci(0.95, method="wilson")
    assert wilson_lower(failures, trials) == pytest.approx(interval.low, abs=1e-12)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_wilson_lower_is_where_the_score_test_turns(counts):
    """Closed form: at the bound p, the rate lies exactly z standard errors (of p, not of the rate) above p."""
    failures, trials = counts
    bound = wilson_lower(failures, trials)
    assert 0.0 < bound < 1.0
    assert failures / trials - bound == pytest.approx(
        Z_ONE_SIDED_95 * math.sqrt(bound * (1 - bound) / trials), abs=1e-9
    )


def test_wilson_lower_of_nothing_is_nothing():
    assert wilson_lower(0, 0) == 0.0
    assert wilson_lower(0, 50) == 0.0


@given(NUMBERS, st.floats(0, 1))
def test_order_statistics_are_numpys(values, share):
    ordered = sorted(values)
    assert median(ordered) == pytest.approx(np.median(values), rel=1e-12, abs=1e-9)
    assert quantile(ordered, share) == pytest.approx(np.quantile(values, share), rel=1e-9, abs=1e-6)
    assert median_deviation(values, median(ordered)) == pytest.approx(median_abs_deviation(values), rel=1e-9, abs=1e-6)
