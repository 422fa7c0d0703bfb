import random

import msgspec
import pytest
from river import drift

from operators.detect.outcome_drift import HOLD, MEMORY, OutcomeConfig, OutcomeState, judge, update

CONFIG = OutcomeConfig()


@pytest.mark.parametrize("seed", range(30))
def test_it_is_rivers_hddm_a_outcome_for_outcome(seed):
    rnd = random.Random(seed)
    delta = rnd.choice([0.001, 0.01, 0.0001])
    theirs, ours, rate = drift.binary.HDDMA(drift_confidence=delta), OutcomeState(), rnd.random()
    for tick in range(1500):
        if rnd.random() < 0.005:
            rate = rnd.random()
        failed = int(rnd.random() < rate)
        theirs.update(failed)
        told = update(ours, tick, float(failed), delta)
        assert told == theirs.drift_detected
        ours = msgspec.msgpack.decode(msgspec.msgpack.encode(ours), type=OutcomeState)
        if told:
            ours = OutcomeState()


def feed(rates, seed=1):
    rnd, state = random.Random(seed), OutcomeState()
    return [judge(state, tick, float(rnd.random() < rate), CONFIG) for tick, rate in enumerate(rates)], state


def opened(verdicts):
    return [tick for tick, verdict in enumerate(verdicts) if verdict is not None and verdict.abnormal]


@pytest.mark.parametrize(("before", "after", "within"), [(0.02, 0.3, 80), (0.2, 0.5, 160), (0.0, 1.0, 15)])
def test_a_rise_is_told_once_with_both_rates(before, after, within):
    verdicts, _ = feed([before] * 600 + [after] * 300)
    assert len(opened(verdicts)) == 1
    at = opened(verdicts)[0]
    assert 600 <= at <= 600 + within
    verdict = verdicts[at]
    assert verdict.evidence["kind"] == "errors"
    assert verdict.evidence["old"] == pytest.approx(before, abs=0.06)
    assert verdict.evidence["new"] == pytest.approx(after, abs=0.2)
    assert abs(verdict.evidence["since_us"] - 600) < 60
    assert verdict.confidence > 0.7
    assert all(item is not None and not item.abnormal for item in verdicts[at + 1 : at + 1 + HOLD])
    assert verdicts[at + 2 + HOLD :] == [None] * (len(verdicts) - at - 2 - HOLD)


def test_a_fall_is_no_news():
    assert opened(feed([0.5] * 500 + [0.05] * 500)[0]) == []


def test_a_rise_that_does_not_matter_is_not_told():
    assert opened(feed([0.01] * 4000 + [0.03] * 3000)[0]) == []


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5])
def test_false_alarms_are_rare(rate):
    told = sum(len(opened(feed([rate] * 2000, seed)[0])) for seed in range(20))
    assert told <= 4, "of 40,000 outcomes"


def test_old_outcomes_are_forgotten():
    _, state = feed([0.1] * 25_000)
    assert state.count <= MEMORY + 1
    assert state.rate == pytest.approx(0.1, abs=0.02)


def test_what_is_not_a_number_is_no_outcome():
    state = OutcomeState()
    assert judge(state, 0, float("nan"), CONFIG) is None
    assert state == OutcomeState()
