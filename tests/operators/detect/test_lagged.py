import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detect import lagged


def autoregressive(rng, phi, steps):
    values, out = 0.0, []
    for shock in rng.standard_normal(steps + 200):
        values = phi * values + shock
        out.append(values)
    return np.array(out[200:])


def by_hand(one, two, lag):
    """The statistic as its formula reads, pair by pair."""
    products = [one[t] * two[t + lag] for t in range(len(one) - lag)]
    return sum(products) / math.sqrt(sum(product * product for product in products))


def test_statistics_are_those_of_brute_force():
    rng = np.random.default_rng(1)
    rows = lagged.innovations(rng.standard_normal((4, 200))).squashed
    found = lagged.statistics(rows, 10)
    factor = np.sqrt(lagged.bartlett(rows))
    for lag in range(11):
        for one in range(4):
            for two in range(4):
                expected = 0.0 if one == two else by_hand(rows[one], rows[two], lag) / factor[one, two]
                assert found[lag, one, two] == pytest.approx(expected, abs=1e-9)


def test_bartlett_is_the_sum_of_products_of_autocorrelations():
    rng = np.random.default_rng(2)
    rows = np.array([autoregressive(rng, phi, 400) for phi in (0.9, 0.8)])
    rows -= rows.mean(axis=1, keepdims=True)

    def own(row, lag):
        return float(row[lag:] @ row[:-lag] / (row @ row))

    expected = 1.0 + 2.0 * sum(own(rows[0], lag) * own(rows[1], lag) for lag in range(1, lagged.WHITE_LAGS + 1))
    assert expected > 3.0
    assert lagged.bartlett(rows)[0, 1] == pytest.approx(expected)


def test_whitening_is_that_of_least_squares():
    rng = np.random.default_rng(3)
    series = autoregressive(rng, 0.8, 480)
    found = lagged.innovations(series[None, :])
    order = lagged.ORDER
    past = np.column_stack([np.ones(480 - order), *(series[order - lag : 480 - lag] for lag in range(1, order + 1))])
    error = series[order:] - past @ np.linalg.lstsq(past, series[order:], rcond=None)[0]
    assert np.corrcoef(error, found.raw[0, order:])[0, 1] > 0.999
    assert not found.known[0, :order].any()
    assert found.known[0, order:].all()
    assert abs(found.squashed).max() <= lagged.SQUASH + 0.5


def test_what_is_missing_is_not_compared():
    rng = np.random.default_rng(4)
    values = rng.standard_normal((2, 300))
    values[0, 100] = np.nan
    found = lagged.innovations(values)
    assert np.flatnonzero(~found.known[0]).tolist() == [*range(5), *range(100, 106)]
    assert (found.squashed[~found.known] == 0.0).all()
    assert lagged.strength_at(found.squashed[0], found.squashed[1], 0)[2] == 289


@pytest.mark.parametrize("row", [[5.0] * 200, [1e150, -1e150] * 100, [math.nan] * 200, [0.0] * 199 + [1e150]])
def test_rows_without_movement_or_beyond_measure_stay_finite(row):
    rng = np.random.default_rng(5)
    pair = np.array([row, rng.standard_normal(200)])
    found = lagged.innovations(pair)
    assert np.isfinite(found.squashed).all()
    assert np.isfinite(lagged.statistics(found.squashed, 5)).all()


@pytest.mark.parametrize("kind", ["white", "ar", "walk", "heavy", "night and day"])
def test_under_independence_the_statistic_is_standard_normal(kind):
    rng = np.random.default_rng(6)
    sizes = []
    for _ in range(6):
        rows = rng.standard_normal((12, 480))
        if kind == "ar":
            rows = np.array([autoregressive(rng, 0.95, 480) for _ in range(12)])
        elif kind == "walk":
            rows = rows.cumsum(axis=1)
        elif kind == "heavy":
            rows = rng.standard_t(2, (12, 480))
        elif kind == "night and day":
            rows *= np.where(np.arange(480) < 240, 1.0, 6.0)
        found = lagged.statistics(lagged.innovations(rows).squashed, 30)
        sizes.append(found[:, ~np.eye(12, dtype=bool)].ravel())
    joined = np.concatenate(sizes)
    assert 0.95 < joined.std() < 1.05
    assert (abs(joined) > 3.0).mean() < 2.0 * 0.0027
    assert abs(joined).max() < 5.2  # Bonferroni at 5 % over these 50,000 is 4.9


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_benjamini_hochberg_rejects_what_its_definition_rejects(p_values):
    q_values = lagged.benjamini_hochberg(p_values, len(p_values))
    for level in (0.01, 0.05, 0.2):
        ordered = sorted(p_values)
        passing = [rank for rank, p in enumerate(ordered, 1) if p <= level * rank / len(ordered)]
        line = ordered[passing[-1] - 1] if passing else -1.0
        rejected = {index for index, q in enumerate(q_values) if q <= level * (1 - 1e-12)}
        assert rejected <= {index for index, p in enumerate(p_values) if p <= line}
        assert {index for index, p in enumerate(p_values) if p <= line} <= {
            index for index, q in enumerate(q_values) if q <= level * (1 + 1e-12)
        }


def test_benjamini_hochberg_is_scipys():
    from scipy.stats import false_discovery_control

    p_values = [0.001, 0.8, 0.02, 0.021, 0.3, 1e-9]
    assert lagged.benjamini_hochberg(p_values, 6) == pytest.approx(list(false_discovery_control(p_values)))
    assert lagged.benjamini_hochberg(p_values[:1], 600)[0] == pytest.approx(0.6)


@pytest.mark.parametrize(("count", "rate"), [(0, 1.0), (1, 0.01), (3, 0.5), (4, 1e-5), (30, 12.0), (3, 50.0), (9, 9.0)])
def test_the_poisson_tail_is_scipys_or_more_careful(count, rate):
    from scipy.stats import poisson

    exact = poisson.sf(count - 1, rate)
    assert lagged.poisson_tail(count, rate) == (pytest.approx(exact) if count >= rate else 1.0)


@pytest.mark.parametrize("lag", [-17, -1, 0, 4, 30])
@pytest.mark.parametrize("sign", [1, -1])
def test_lead_lag_finds_lag_and_sign(lag, sign):
    rng = np.random.default_rng(lag + 100)
    cause = autoregressive(rng, 0.7, 340)
    a = cause[40:]
    b = sign * np.roll(cause, lag)[40:] + 0.8 * rng.standard_normal(300)
    found = lagged.lead_lag(a.tolist(), b.tolist(), 30)
    assert found is not None
    assert (found.lag, found.q_value < 0.001, found.strength * sign > 0.3) == (lag, True, True)


def test_lead_lag_says_nothing_of_strangers():
    rng = np.random.default_rng(8)
    said = 0
    for _ in range(60):
        a, b = rng.standard_normal((2, 240)).cumsum(axis=1)
        found = lagged.lead_lag(a.tolist(), b.tolist(), 30)
        said += found is not None and found.q_value < 0.05
    assert said <= 6  # 3 expected


def test_lead_lag_needs_enough_and_says_what_is_wrong():
    assert lagged.lead_lag([1.0] * 10, [2.0] * 10, 3) is None
    assert lagged.lead_lag([1.0] * 300, [math.inf, 2.0] * 150, 3) is None
    with pytest.raises(ValueError, match="not aligned: 2 and 1"):
        lagged.lead_lag([1.0, 2.0], [1.0], 3)
    with pytest.raises(ValueError, match="most_lag"):
        lagged.lead_lag([1.0], [1.0], -1)


def test_circular_shifts_catch_what_whitening_misses():
    """Two series with one sharp hourly beat each: near the line, shifts by hours hang together just as well."""
    steps = np.arange(480)
    rng = np.random.default_rng(9)
    a, b = (np.where(steps % 60 == 7, 2.0, 0.0) + rng.standard_normal(480) for _ in range(2))
    squashed = lagged.innovations(np.array([a, b])).squashed
    top = np.abs(lagged.statistics(squashed, 30)).max()
    assert lagged._by_shifts(squashed, 30, float(top)) > 0.01
    assert lagged._by_shifts(squashed, 30, 50.0) < 0.01
