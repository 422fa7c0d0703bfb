import copy
import math
import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import stats as river_stats

from operators.detect import spike
from operators.detect.spike import SpikeConfig, SpikeState, confidence, judge
from operators.floats import pack

CONFIG = SpikeConfig()
PANE = 10_000_000


def feed(values, config=CONFIG, state=None, always=False):
    state = SpikeState() if state is None else state
    start = state.seen
    return [judge(state, (start + i) * PANE, value, config, always) for i, value in enumerate(values)], state


def alarms(values, config=CONFIG):
    return [i for i, verdict in enumerate(feed(values, config)[0]) if verdict is not None and verdict.abnormal]


def gauss(count, mean=50.0, deviation=3.0, seed=1):
    rnd = random.Random(seed)
    return [rnd.gauss(mean, deviation) for _ in range(count)]


def test_a_spike_is_told_with_its_evidence():
    verdicts, _ = feed([*gauss(100), 90.0])
    assert not any(verdict.abnormal for verdict in verdicts[:-1] if verdict is not None)
    verdict = verdicts[-1]
    assert verdict.abnormal
    assert verdict.direction == "up"
    assert verdict.confidence > 0.75
    assert 45 < verdict.expected < 55
    assert 38 < verdict.low < 48
    assert 52 < verdict.high < 62
    assert set(verdict.evidence) == {"mean", "forecast", "robust"}
    assert sorted(verdict.evidence.values())[1] == pytest.approx(verdict.score, abs=1e-3)


def test_a_drop_is_told_as_down():
    verdict = feed([*gauss(100), 10.0])[0][-1]
    assert verdict.abnormal
    assert verdict.direction == "down"


def test_nothing_is_said_while_warming_up():
    assert feed([*gauss(spike.WARM_UP - 1), 9000.0])[0] == [None] * spike.WARM_UP


def test_a_spike_in_the_warm_up_does_not_poison_the_model():
    values = gauss(100)
    values[12] = 9000.0
    values[60] = 110.0
    assert alarms(values) == [60]


def test_a_spike_does_not_hide_the_next():
    values = gauss(200)
    for index in (80, 83, 90):
        values[index] = 150.0
    assert alarms(values) == [80, 83, 90]


@pytest.mark.parametrize("size", [40.0, 1e3, 1e9, 1e60])
def test_a_level_shift_is_told_then_accepted(size):
    values = gauss(400)
    values[200:] = [value + size for value in values[200:]]
    found = alarms(values)
    assert found[0] == 200
    assert found[-1] < 220
    assert feed(values)[1].mean == pytest.approx(50 + size, rel=0.05)


@pytest.mark.parametrize(
    "values",
    [
        [5.0] * 500,
        [0.0] * 500,
        [100.0 + random.Random(2).random() * 1e-3 for _ in range(500)],
        [float(random.Random(i).random() < 0.01) for i in range(3000)],
        [float(round(value)) for value in gauss(3000, 3.0, 0.6)],
        [50 + 30 * math.sin(i / 40) for i in range(3000)],
        [float(i) for i in range(3000)],
    ],
    ids=["constant", "zero", "tiny noise", "rare ones", "quantised", "sine", "ramp"],
)
def test_plain_series_are_silent_but_for_a_first_change(values):
    assert len(alarms(values)) <= 1


@pytest.mark.parametrize(
    ("draw", "per_thousand"),
    [
        (lambda rnd: rnd.gauss(50, 5), 0.2),
        (lambda rnd: rnd.lognormvariate(7, 1), 0.5),
        (lambda rnd: rnd.expovariate(0.1), 0.5),
        (lambda rnd: rnd.paretovariate(1.5), 4.0),
    ],
    ids=["gauss", "lognormal", "exponential", "pareto"],
)
def test_alarms_on_noise_are_rare(draw, per_thousand):
    rnd = random.Random(11)
    assert len(alarms([draw(rnd) for _ in range(10_000)])) <= 10 * per_thousand


def test_recurrent_spikes_are_found_again_and_again():
    values = gauss(10_000)
    for index in range(150, 10_000, 350):
        values[index] += 45.0
    planted = list(range(150, 10_000, 350))
    assert alarms(values) == planted


def test_a_series_full_of_spikes_alarms_harder():
    rnd = random.Random(4)
    values = [rnd.uniform(1, 2) if rnd.random() > 0.05 else rnd.uniform(60, 80) for _ in range(10_000)]
    spikes = sum(value > 2 for value in values)
    found = alarms(values)
    assert 0 < len(found) < spikes / 2


def test_durations_are_judged_by_ratio():
    rnd = random.Random(5)
    values = [1800 * rnd.lognormvariate(0, 0.6) for _ in range(300)]
    _, state = feed(values)
    assert state.unit > 0
    assert not feed([5400.0], state=copy.deepcopy(state))[0][0], "three times the median is usual here"
    assert feed([400_000.0], state=state)[0][0].abnormal


def test_percent_measures_have_a_floor_of_one_point():
    values = [0.2 + 0.01 * (i % 3) for i in range(100)] + [1.5]
    assert alarms(values, SpikeConfig.of(0.95, "load")) == [100]
    assert alarms(values, SpikeConfig.of(0.95, "cpu_usage")) == []


def test_a_gap_forgets_the_trend():
    _, state = feed([float(i) for i in range(100)])
    assert state.trend > 0.5
    judge(state, 100 * PANE + 86_400_000_000, 100.0, CONFIG)
    assert state.trend < 0.1


@pytest.mark.parametrize(("sensitivity", "open_at"), [(0.0, 10.57), (0.5, 8.89), (0.95, 5.0), (0.99, 3.34), (1.0, 2.5)])
def test_sensitivity_sets_the_threshold(sensitivity, open_at):
    assert SpikeConfig.of(sensitivity).open_at == pytest.approx(open_at, abs=0.01)


@pytest.mark.parametrize("sensitivity", [-0.1, 1.1, math.nan])
def test_a_wrong_sensitivity_is_refused(sensitivity):
    with pytest.raises(ValueError, match="sensitivity"):
        SpikeConfig.of(sensitivity)


def test_more_sensitivity_never_speaks_later():
    values = gauss(100)
    values[60] = 66.0
    found = [bool(alarms(values, SpikeConfig.of(s))) for s in (0.5, 0.9, 0.95, 0.99, 0.999)]
    assert found == sorted(found)
    assert found[0] is False
    assert found[-1] is True


def test_confidence_rises_with_the_score_and_is_enough_at_the_threshold():
    rising = [confidence(score, 5.0, 500) for score in (1.0, 2.0, 5.0, 6.0, 10.0, 100.0)]
    assert rising == sorted(rising)
    assert rising[2] >= 0.7
    assert rising[0] == 0.0
    assert rising[-1] < 1.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-2.0, 2.0), min_size=120, max_size=200))
def test_mean_and_variance_are_pandas_and_rivers_on_calm_values(noise):
    """With no value beyond the winsorising limit the model is exactly the textbook's recursion."""
    values = [50.0 + 4.0 * (i % 2) + shift for i, shift in enumerate(noise)]
    verdicts, state = feed(values[: spike.WARM_UP])
    unjudged = [state.mean, *values[spike.WARM_UP :]]
    first = state.variance
    verdicts, state = feed(values[spike.WARM_UP :], state=state)
    assert verdicts == [None] * len(verdicts)
    assert state.unit == 0.0
    frame = pd.Series(unjudged).ewm(alpha=spike.MEAN_RATE, adjust=False)
    decayed = first * (1 - spike.MEAN_RATE) ** (len(unjudged) - 1)
    assert state.mean == pytest.approx(frame.mean().iloc[-1], rel=1e-12)
    assert state.variance == pytest.approx(frame.var(bias=True).iloc[-1] + decayed, rel=1e-9)
    river = river_stats.EWMean(spike.MEAN_RATE)
    for value in unjudged:
        river.update(value)
    assert state.mean == pytest.approx(river.get(), rel=1e-12)


def test_forecast_is_the_damped_holt_recursion():
    """Against the component form as the textbook has it, written out by hand on a calm ramp."""
    values = [10 + 0.5 * i + math.sin(i) for i in range(120)]
    _, state = feed(values[: spike.WARM_UP])
    level, trend = state.level, state.trend
    for value in values[spike.WARM_UP :]:
        before, level = (
            level,
            spike.LEVEL_RATE * value + (1 - spike.LEVEL_RATE) * (level + spike.DAMPING * trend),
        )
        beta = spike.TREND_RATE / spike.LEVEL_RATE
        trend = beta * (level - before) + (1 - beta) * spike.DAMPING * trend
    verdicts, state = feed(values[spike.WARM_UP :], state=state)
    assert verdicts == [None] * len(verdicts)
    assert state.level == pytest.approx(level, rel=1e-12)
    assert state.trend == pytest.approx(trend, rel=1e-9)


FLOATS = st.one_of(
    st.floats(-100, 100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1.0, 1e300, -1e300]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(FLOATS, min_size=30, max_size=150))
def test_the_quick_path_says_and_learns_what_the_full_one_does(values):
    quick, state = feed(values)
    full, twin = feed(values, always=True)
    assert pack(state) == pack(twin)
    for short, long in zip(quick, full, strict=True):
        if short is not None:
            assert short == long
        elif long is not None:
            assert long.score < long.threshold
            assert not long.abnormal


def test_squares_that_vanish_make_no_difference():
    values = [0.0] * 30 + [1.5e-173] + [0.0] * 20
    assert pack(feed(values)[1]) == pack(feed(values, always=True)[1])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), FLOATS), min_size=30, max_size=150))
def test_no_input_breaks_the_numbers(points):
    state = SpikeState()
    for time, value in points:
        verdict = judge(state, time, value, CONFIG, always=True)
        if verdict is not None:
            assert math.isfinite(verdict.score + verdict.threshold + verdict.confidence)
            assert verdict.low <= verdict.expected <= verdict.high
    for field in ("mean", "variance", "level", "trend", "residual", "step", "cadence_us", "habit"):
        assert math.isfinite(getattr(state, field)), field
    assert len(state.ring) <= spike.RING
    assert len(pack(state)) <= 1100
