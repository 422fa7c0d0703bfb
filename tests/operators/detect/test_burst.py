import gzip
import json
import math
import random
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detect.burst import ODDS, SPACING, BurstConfig, BurstState, judge, judge_value, usual

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
CONFIG = BurstConfig()
OPEN = 0.7
CI = Path(__file__).parents[4] / "shared" / "data" / "events" / "ci-builds.jsonl.gz"


def openings(outcomes, step=HOUR, state=None):
    """The places at which a burst begins."""
    state, found, was = state or BurstState(), [], False
    for place, failed in enumerate(outcomes):
        judge_value(state, place * step, float(failed), CONFIG)
        if state.active and not was:
            found.append(place)
        was = state.active
    return found


def bernoulli(rnd, rate, count):
    return [rnd.random() < rate for _ in range(count)]


def naive(outcomes):
    """The scores of single outcomes before the first burst, from the definition."""
    sums, shares, failed, said = [0.0] * 3, [0.0] * 3, 0, []
    for count, outcome in enumerate(outcomes):
        if count >= 10:
            foretold = (1 + failed) / (2 + count)
            for size, odds in enumerate(ODDS):
                if sums[size] <= 0:
                    bad = odds * foretold / (1 - foretold)
                    sums[size], shares[size] = 0.0, bad / (1 + bad)
                if outcome:
                    sums[size] += math.log(shares[size]) - math.log(foretold)
                else:
                    sums[size] += math.log(1 - shares[size]) - math.log(1 - foretold)
        said.append(max(0.0, *sums))
        failed += outcome
    return said


@given(st.lists(st.integers(0, 9), min_size=12, max_size=150))
def test_the_score_is_the_greatest_sum_of_log_ratios(draws):
    outcomes = [draw == 0 for draw in draws]
    state = BurstState()
    for outcome, score in zip(outcomes, naive(outcomes), strict=True):
        verdict = judge_value(state, HOUR, float(outcome), CONFIG, always=True)
        if score > 5.5:  # From there on it learns at another pace.
            return
        if verdict is not None:
            assert verdict.score == pytest.approx(score, abs=1e-9)


def test_the_third_failure_in_a_row_after_300_good_runs_opens():
    state = BurstState()
    assert openings([0] * 300 + [1] * 3) == [302]
    for run in range(300):
        judge_value(state, run * HOUR, 0.0, CONFIG)
    verdicts = [judge_value(state, (300 + run) * HOUR, 1.0, CONFIG) for run in range(3)]
    assert [verdict is not None and verdict.abnormal for verdict in verdicts] == [False, False, True]
    assert verdicts[2].confidence >= OPEN
    assert verdicts[2].evidence["usual_rate"] < 0.02


def test_four_failures_in_a_row_are_nothing_where_45_percent_fail():
    outcomes = bernoulli(random.Random(1), 0.45, 400) + [0] + [1] * 4 + [0]
    assert openings(outcomes) == []


@pytest.mark.parametrize("first", [[1] * 50, [1, 0] * 25, [0] * 3 + [1] * 40, [0] * 9 + [1] * 3])
def test_a_series_without_a_history_is_not_accused(first):
    assert openings(first) == []


def test_two_failures_are_never_a_burst():
    assert openings([0] * 100_000 + [1, 1] + [0] * 50, step=SECOND) == []


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.45])
@pytest.mark.parametrize("step", [60 * SECOND, HOUR])
def test_at_most_one_false_burst_in_ten_thousand(rate, step):
    outcomes = bernoulli(random.Random(5), rate, 20_000)
    assert len(openings(outcomes, step)) <= 2


@pytest.mark.parametrize(
    ("rate", "burst", "within"), [(0.001, 0.9, 6), (0.01, 0.9, 8), (0.1, 0.5, 60), (0.45, 0.9, 60)]
)
def test_a_jump_is_found_soon(rate, burst, within):
    delays = []
    for seed in range(11):
        rnd = random.Random(seed)
        outcomes = bernoulli(rnd, rate, 1000) + bernoulli(rnd, burst, 200)
        delays.append(next((place - 999 for place in openings(outcomes) if place >= 1000), 999))
    assert sorted(delays)[8] <= within


def test_a_broken_branch_is_one_burst_and_ends_with_it():
    fixed = [0] * 30
    outcomes = [0] * 200 + [1] * 25 + [0] + [1] * 25 + fixed
    state = BurstState()
    assert len(openings(outcomes, state=state)) == 1
    assert not state.active
    said = [judge_value(state, (300 + run) * HOUR, 0.0, CONFIG) for run in range(3)]
    assert said == [None] * 3


def test_within_a_burst_a_run_that_went_well_decides_nothing():
    state = BurstState()
    for run in range(320):
        judge_value(state, run * HOUR, float(run >= 300 and run % 4 != 3), CONFIG)
    well = judge_value(state, 320 * HOUR, 0.0, CONFIG)
    assert well is not None
    assert not well.abnormal
    assert judge_value(state, 321 * HOUR, 1.0, CONFIG).abnormal


def test_what_lasts_becomes_usual():
    rnd = random.Random(3)
    outcomes = bernoulli(rnd, 0.01, 500) + bernoulli(rnd, 0.4, 3000)
    state = BurstState()
    assert len(openings(outcomes, state=state)) <= 3
    assert not state.active
    assert usual(state) == pytest.approx(0.4, abs=0.1)


def test_the_memory_is_in_time_and_keeps_the_last_outcomes_of_a_rare_series():
    rare, busy = BurstState(), BurstState()
    for place in range(2000):
        judge_value(rare, place * 7 * DAY, 0.0, CONFIG)
        judge_value(busy, place * 60 * SECOND, 0.0, CONFIG)
    assert rare.good == pytest.approx(500, abs=2)
    assert busy.good == pytest.approx(2000, rel=0.05)
    judge_value(busy, 2000 * 60 * SECOND + 360 * DAY, 0.0, CONFIG)
    assert busy.good < 502


def test_a_pane_of_independent_outcomes_weighs_as_its_outcomes():
    panes, singles = BurstState(), BurstState()
    for place in range(300):
        judge(panes, place * 10 * SECOND, 10, int(place % 7 == 0), CONFIG)
        for one in range(10):
            judge(singles, place * 10 * SECOND, 1, int(place % 7 == 0 and one == 4), CONFIG)
    pane = judge(panes, 3010 * SECOND, 10, 2, CONFIG, always=True)
    single = [judge(singles, 3010 * SECOND, 1, int(one in (1, 8)), CONFIG, always=True) for one in range(10)]
    assert pane.score == pytest.approx(single[-1].score, rel=0.25)
    assert pane.expected == pytest.approx(single[0].expected, rel=0.3)


@pytest.mark.parametrize("shape", ["independent", "in clusters", "a rate that wanders"])
def test_panes_raise_no_false_bursts(shape):
    """Two days of 10 s panes, of outcomes that are less independent than the binomial distribution wants."""
    rnd, state, opened, was, level = random.Random(11), BurstState(), 0, False, 0.0
    for pane in range(17_280):
        n = rnd.randint(20, 80)
        rate = 0.02
        if shape == "a rate that wanders":
            level = 0.99 * level + rnd.gauss(0, 0.05)
            rate *= math.exp(level)
        failures = sum(rnd.random() < rate for _ in range(n))
        if shape == "in clusters":
            failures = min(n, 4 * sum(rnd.random() < rate / 4 for _ in range(n)))
        judge(state, pane * 10 * SECOND, n, failures, CONFIG)
        opened += state.active and not was
        was = state.active
    assert opened <= (0 if shape == "independent" else 1)


def test_an_outage_of_an_integration_is_found_in_its_first_pane():
    rnd, state = random.Random(2), BurstState()
    for pane in range(1000):
        judge(state, pane * 10 * SECOND, 50, sum(rnd.random() < 0.01 for _ in range(50)), CONFIG)
    assert judge(state, 10_000 * SECOND, 50, 40, CONFIG).confidence > 0.99


def test_a_series_judged_oftener_needs_more():
    thresholds = []
    for step in (HOUR, 10 * SECOND):
        state = BurstState()
        for place in range(300):
            verdict = judge_value(state, place * step, 0.0, CONFIG, always=True)
        thresholds.append(verdict.threshold)
    assert thresholds[0] == pytest.approx(math.log(3 * SPACING))
    assert thresholds[1] == pytest.approx(math.log(3 * 90 * 8640), abs=0.01)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(-(10**15), 10**15), st.integers(0, 10**9), st.floats(0, 1)), min_size=1, max_size=60)
)
def test_any_counts_at_any_time_are_survived(steps):
    state = BurstState()
    for time, n, share in steps:
        verdict = judge(state, time, n, int(n * share), CONFIG)
        assert verdict is None or math.isfinite(verdict.score)
        assert len(msgspec.msgpack.encode(state)) <= 300


@pytest.mark.parametrize(("n", "failures"), [(1, 2), (3, -1), (-1, 0)])
def test_impossible_counts_are_refused(n, failures):
    with pytest.raises(ValueError, match="outcomes"):
        judge(BurstState(), 0, n, failures, CONFIG)


@pytest.mark.skipif(not CI.exists(), reason="the shared CI history is not here")
def test_the_bursts_of_a_real_ci_history_are_few_and_full_of_failures():
    outcomes = {}
    with gzip.open(CI) as lines:
        events = sorted((json.loads(line) for line in lines), key=lambda event: event["time"])
    for event in events:
        time = int(datetime.fromisoformat(event["time"]).timestamp() * SECOND)
        outcomes.setdefault(event["data"]["pipeline_name"], []).append((time, event["data"]["status"] != "success"))
    found = {}
    for name, runs in outcomes.items():
        state, was, found[name] = BurstState(), False, []
        for place, (time, failed) in enumerate(runs):
            judge_value(state, time, float(failed), CONFIG)
            if state.active and not was:
                found[name].append(sum(failed for _, failed in runs[max(0, place - 9) : place + 1]))
            was = state.active
    assert {name: len(places) for name, places in found.items()} == {
        "facebook/presto": 5,
        "reactjs/react-rails": 3,
        "Shopify/shopify_api": 0,
    }
    assert min(min(places) for places in found.values() if places) >= 5, "of the ten runs up to each, half failed"
