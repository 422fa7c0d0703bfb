import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.detect import threshold
from operators.detect.stats import wilson_lower
from operators.detect.threshold import (
    BUCKET_US,
    DEFAULT_THRESHOLDS,
    JUDGED_FAILURES,
    JUDGED_OUTCOMES,
    LEAST_OUTCOMES,
    OLDEST_US,
    WINDOW_US,
    RateState,
    ThresholdState,
    judge,
    judge_rate,
    rule_for,
)

SECOND = 1_000_000
FAILED = rule_for("failed")
OPEN = 0.7


def judged(measure, values):
    state, rule = ThresholdState(), rule_for(measure)
    return [judge(state, rule, value) for value in values]


def test_the_defaults_are_the_specifications():
    assert dict(DEFAULT_THRESHOLDS) == {
        "high_cpu_usage": 0.8, "high_memory_usage": 0.85, "slow_response_time": 2.0, "high_error_rate": 0.05,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("measure", "name", "limit"),
    [
        ("cpu_usage", "high_cpu_usage", 80.0),
        ("memory_usage", "high_memory_usage", 85.0),
        ("processing_ms", "slow_response_time", 2000.0),
        ("failed", "high_error_rate", 0.05),
    ],
)
def test_a_rules_limit_is_in_the_series_own_unit(measure, name, limit):
    rule = rule_for(measure)
    assert (rule.name, rule.limit, rule.counts) == (name, limit, measure == "failed")
    assert rule_for(measure, {name: 0.5}).limit == pytest.approx(limit * 0.5 / DEFAULT_THRESHOLDS[name])
    assert rule_for(measure, {}) is None, "a rule that is not named is off"


def test_other_measures_have_no_rule():
    assert rule_for("disk_usage") is None


@pytest.mark.parametrize(
    ("measure", "limits"),
    [
        ("cpu_usage", {"high_cpu_usage": 80.0}),
        ("failed", {"high_error_rate": 5}),
        ("cpu_usage", {"high_cpu_usage": 0.0}),
        ("processing_ms", {"slow_response_time": math.nan}),
        ("processing_ms", {"slow_response_time": math.inf}),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(measure, limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        rule_for(measure, limits)


@pytest.mark.parametrize("measure", ["cpu_usage", "memory_usage", "processing_ms"])
def test_one_reading_barely_above_is_not_enough_and_two_are(measure):
    limit = rule_for(measure).limit
    first, second = judged(measure, [limit * 1.001] * 2)
    assert first.abnormal
    assert first.confidence < OPEN <= second.confidence


@pytest.mark.parametrize("measure", ["cpu_usage", "memory_usage", "processing_ms"])
def test_ten_percent_above_is_enough_at_once(measure):
    assert judged(measure, [rule_for(measure).limit * 1.1])[0].confidence >= OPEN


def test_at_the_limit_is_not_above_it():
    assert judged("cpu_usage", [80.0])[0].abnormal is False


def test_between_clear_and_limit_nothing_is_decided_and_the_streak_holds():
    above, between, again = judged("cpu_usage", [80.1, 78.0, 80.1])
    assert not between.abnormal
    assert above.confidence < OPEN <= again.confidence


@pytest.mark.parametrize("value", [76.0, 10.0, math.nan])
def test_a_plainly_normal_reading_ends_the_streak(value):
    _, normal, again = judged("cpu_usage", [80.1, value, 80.1])
    assert normal is None
    assert again.confidence < OPEN
    assert again.evidence["in_a_row"] == 1


@given(st.lists(st.floats(80.01, 1e300), min_size=2, max_size=30))
def test_confidence_grows_with_each_reading_and_stays_below_one(values):
    said = [verdict.confidence for verdict in judged("cpu_usage", values)]
    assert said == sorted(said)
    assert said[-1] < 1.0


@given(st.floats(80.01, 200), st.floats(80.01, 200))
def test_a_greater_margin_is_a_greater_score_and_confidence(one, other):
    low, high = sorted((one, other))
    assert judged("cpu_usage", [low])[0].score <= judged("cpu_usage", [high])[0].score
    assert judged("cpu_usage", [low])[0].confidence <= judged("cpu_usage", [high])[0].confidence


OUTCOMES = st.lists(
    st.tuples(
        st.integers(0, 120 * SECOND) | st.sampled_from((OLDEST_US // 7, OLDEST_US // 2)),
        st.integers(1, 5),
        st.integers(0, 5),
    ).map(lambda step: (step[0], step[1], min(step[1], step[2]))),
    min_size=1,
    max_size=120,
)


def window(events):
    """What counts, found from all events at once: whole 10 s buckets of the last 5 minutes, and older ones of the last
    30 days while fewer than `LEAST_OUTCOMES` would be left."""
    buckets = {}
    for time, n, failures in events:
        slot = buckets.setdefault(time // BUCKET_US, [0, 0])
        slot[0] += n
        slot[1] += failures
    newest = max(buckets)
    total = failed = 0
    for slot in sorted(buckets, reverse=True):
        if slot < newest - WINDOW_US // BUCKET_US and (
            total >= LEAST_OUTCOMES or slot < newest - OLDEST_US // BUCKET_US
        ):
            break
        total += buckets[slot][0]
        failed += buckets[slot][1]
    return total, failed


@given(OUTCOMES)
def test_the_rate_is_that_of_the_window(steps):
    state, now, events = RateState(), 0, []
    for gap, n, failures in steps:
        now += gap
        events.append((now, n, failures))
        verdict = judge_rate(state, FAILED, now, n, failures)
        total, failed = window(events)
        assert (sum(state.counts), sum(state.failures)) == (total, failed)
        assert state.rate == failed / total
        certain = wilson_lower(failed, total) > FAILED.limit and failed >= JUDGED_FAILURES and total >= JUDGED_OUTCOMES
        assert (verdict is not None and verdict.abnormal) == certain
        assert (verdict is None) == (failed / total <= FAILED.limit or total < JUDGED_OUTCOMES)
        if certain:
            assert verdict.confidence >= 0.95
        assert len(state.slots) <= WINDOW_US // BUCKET_US + 1 + LEAST_OUTCOMES
        assert len(msgspec.msgpack.encode(state)) <= 700


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=60))
def test_a_pane_of_outcomes_counts_like_its_outcomes_one_by_one(outcomes):
    single, panes = RateState(), RateState()
    by_pane = {}
    for slot, failed in sorted(outcomes):
        single.update(slot * BUCKET_US, 1, failed)
        n, f = by_pane.get(slot, (0, 0))
        by_pane[slot] = (n + 1, f + failed)
    for slot, (n, failures) in by_pane.items():
        panes.update(slot * BUCKET_US, n, failures)
    assert single == panes


def test_few_failures_open_nothing():
    state = RateState()
    assert [judge_rate(state, FAILED, i * SECOND, 1, 1) for i in range(9)] == [None] * 9, "too few to say"
    assert judge_rate(state, FAILED, 10 * SECOND, 1, 1).abnormal

    state = RateState()
    judge_rate(state, FAILED, 0, 8, 0)
    assert not judge_rate(state, FAILED, SECOND, 2, 2).abnormal, "two failures may be chance"


def test_a_rate_just_above_the_limit_needs_many_outcomes():
    assert not judge_rate(RateState(), FAILED, 0, 100, 7).abnormal
    assert judge_rate(RateState(), FAILED, 0, 2000, 140).abnormal


def test_it_clears_when_the_plain_rate_is_back_at_the_limit():
    state = RateState()
    assert judge_rate(state, FAILED, 0, 60, 6).abnormal
    assert judge_rate(state, FAILED, SECOND, 20, 0) is not None
    assert judge_rate(state, FAILED, 2 * SECOND, 40, 0) is None, "6 of 120"


def test_runs_of_last_month_say_nothing_of_now():
    day = 86_400 * SECOND
    state = RateState()
    said = [judge_rate(state, FAILED, week * 7 * day, 1, int(week % 4 == 0)) for week in range(40)]
    assert said == [None] * 40, "five runs in 30 days are too few"
    assert sum(state.counts) == 5
    assert judge_rate(state, FAILED, 400 * day, 12, 4).evidence["outcomes"] == 12


def test_what_always_fails_a_lot_is_not_told_each_day():
    told = {}
    for own in (None, 0.45):
        rnd, state = random.Random(4), RateState()
        said = [judge_rate(state, FAILED, run * 3600 * SECOND, 1, rnd.random() < 0.45, own) for run in range(5000)]
        told[own] = sum(verdict is not None and verdict.abnormal for verdict in said)
    assert told[None] > 4500, "above the limit it is, all the time"
    assert told[0.45] <= 5


def test_above_its_own_rate_it_is_told_still():
    state = RateState()
    for run in range(100):
        judge_rate(state, FAILED, run * 3600 * SECOND, 1, run % 5 == 0, 0.2)
    said = [judge_rate(state, FAILED, (100 + run) * 3600 * SECOND, 1, 1, 0.2) for run in range(15)]
    assert said[-1].abnormal
    assert said[-1].expected == 0.2
    assert said[-1].score >= 1.0


@pytest.mark.parametrize(("own", "usual"), [(None, None), (0.03, None), (0.45, 0.45)])
def test_what_is_usual_is_said_to_be(own, usual):
    state = RateState()
    said = [judge_rate(state, FAILED, run * SECOND, 1, 1, own) for run in range(40)][-1]
    assert said.abnormal
    assert said.evidence.get("usual") == usual


def test_an_own_rate_below_the_limit_changes_nothing():
    states = RateState(), RateState()
    for run in range(60):
        one, two = (judge_rate(state, FAILED, run * SECOND, 1, run % 9 == 0, own)
                    for state, own in zip(states, (None, 0.03), strict=True))  # fmt: skip
        assert one == two


def test_false_alarms_on_a_rate_below_the_limit_are_rare():
    rnd, state, alarms, before = random.Random(3), RateState(), 0, False
    for i in range(20_000):
        verdict = judge_rate(state, FAILED, i * SECOND, 1, rnd.random() < 0.02)
        now = verdict is not None and verdict.abnormal
        alarms += now and not before
        before = now
    assert alarms <= 10


@pytest.mark.parametrize(("n", "failures"), [(1, 2), (3, -1), (-1, 0)])
def test_impossible_counts_are_refused(n, failures):
    with pytest.raises(ValueError, match="outcomes"):
        RateState().update(0, n, failures)


def test_no_outcomes_change_nothing():
    state = RateState()
    state.update(5, 0, 0)
    assert state == RateState()
    assert state.rate == 0.0


def test_a_machine_that_is_always_busy_is_so_by_habit():
    """After half a day above the limit the next time is no news; after a fortnight below it, it is again."""
    state, rule = threshold.ThresholdState(), threshold.rule_for("cpu_usage")
    minute = 60_000_000
    at = 1_767_607_200_000_000
    assert "usual" not in threshold.judge(state, rule, 95.0, at).evidence
    for _ in range(12 * 60):
        at += minute
        said = threshold.judge(state, rule, 95.0, at)
    assert "usual" not in said.evidence, "not while it lasts"
    assert state.share == pytest.approx(1 - math.exp(-0.5 / 7), rel=1e-6)
    assert threshold.judge(state, rule, 10.0, at + minute) is None
    assert threshold.judge(state, rule, 95.0, at + 2 * minute).evidence["usual"] == pytest.approx(0.069, abs=0.001)
    for hour in range(14 * 24):
        assert threshold.judge(state, rule, 10.0, at + (hour + 1) * 60 * minute) is None
    assert "usual" not in threshold.judge(state, rule, 95.0, at + 15 * 24 * 60 * minute).evidence
