import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.detect.overdue import (
    FORGET_MOST_US,
    LEAST_US,
    MARGIN,
    MOST_DONE,
    MOST_RUNNING,
    RING,
    WARM_UP,
    OverdueConfig,
    OverdueState,
    check,
    due_us,
    finished,
    started,
)

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
CONFIG = OverdueConfig()


def encode(state):
    return msgspec.msgpack.encode(state)


def known(durations, status="success"):
    state = OverdueState()
    for place, duration in enumerate(durations):
        finished(state, f"old-{place}", place * DAY, place * DAY + int(duration), status)
    return state


TEN_MINUTES = [600 * SECOND] * RING


@given(st.lists(st.floats(1e6, 1e11), min_size=WARM_UP, max_size=RING))
def test_the_limit_is_that_of_the_log_durations(durations):
    state = known(durations)
    whole = [math.floor(duration) for duration in durations]
    kept, limit = [], 0.0
    for duration in whole:
        kept.append(min(duration, 2 * limit) if limit else duration)
        if len(kept) >= WARM_UP:
            logs = np.log(kept)
            middle = np.median(logs)
            spread = max((np.quantile(logs, 0.9) - middle) / 1.2816, 1.4826 * np.median(abs(logs - middle)), 0.1)
            limit = max(np.exp(middle + 4 * spread), MARGIN * max(kept), LEAST_US)
    assert state.limit_us == pytest.approx(limit)
    assert state.usual_us == pytest.approx(np.median(kept))
    assert state.high_us == pytest.approx(np.quantile(kept, 0.95))
    assert state.limit_us >= state.high_us >= state.usual_us >= state.low_us


def test_a_run_that_takes_longer_than_all_before_is_told():
    state = known(TEN_MINUTES)
    started(state, "new", 100 * DAY)
    assert check(state, 100 * DAY + 14 * MINUTE, CONFIG) is None
    late = check(state, 100 * DAY + 16 * MINUTE, CONFIG)
    assert late.abnormal
    assert late.evidence["run"] == "new"
    assert late.evidence["overdue"] == 1
    assert late.confidence > 0.7
    later = check(state, 100 * DAY + 60 * MINUTE, CONFIG)
    assert later.score > 3
    assert later.confidence > late.confidence
    finished(state, "new", 100 * DAY, 100 * DAY + 61 * MINUTE, "success")
    assert check(state, 100 * DAY + 61 * MINUTE, CONFIG) is None


def test_a_short_history_says_nothing_and_a_young_one_less():
    for count, confident in ((WARM_UP - 1, None), (WARM_UP, False), (RING, True)):
        state = known(TEN_MINUTES[:count])
        started(state, "new", 100 * DAY)
        late = check(state, 100 * DAY + 16 * MINUTE, CONFIG)
        assert (late and late.confidence >= 0.7) == confident


@pytest.mark.parametrize("status", ["failure", "error", "timeout", "cancelled", "skipped"])
def test_only_success_teaches(status):
    assert known(TEN_MINUTES, status).ring == []


def test_one_run_that_hung_does_not_blind_it():
    state = known([*TEN_MINUTES, 6 * 60 * MINUTE])
    assert state.limit_us < 45 * MINUTE


def test_two_sorts_of_runs_are_both_usual():
    rnd = random.Random(1)
    durations = [rnd.choice((2, 2, 2, 2, 30)) * MINUTE * rnd.uniform(0.9, 1.1) for _ in range(RING)]
    state = known(durations)
    started(state, "new", 100 * DAY)
    assert check(state, 100 * DAY + 31 * MINUTE, CONFIG) is None


@pytest.mark.parametrize("spread", [0.1, 0.4, 0.8])
def test_false_alarms_are_rare(spread):
    """Of runs whose durations are log-normal, how many are ever called overdue with confidence."""
    rnd, state, told = random.Random(7), OverdueState(), 0
    for run in range(3000):
        duration = int(600 * SECOND * math.exp(rnd.gauss(0, spread)))
        started(state, str(run), run * DAY)
        late = check(state, run * DAY + duration, CONFIG)
        told += late is not None and late.confidence >= 0.7
        finished(state, str(run), run * DAY, run * DAY + duration, "success")
    assert told <= 6


def test_the_next_check_is_due_when_something_would_be_said():
    state = known(TEN_MINUTES)
    assert due_us(state, 0, CONFIG) is None
    started(state, "a", 100 * DAY)
    started(state, "b", 100 * DAY + 5 * MINUTE)
    due = due_us(state, 100 * DAY + MINUTE, CONFIG)
    assert check(state, due - 1, CONFIG) is None
    assert check(state, due, CONFIG).evidence["run"] == "a"
    assert due_us(state, due, CONFIG) == due + MINUTE
    assert check(state, due + 10 * MINUTE, CONFIG).evidence["overdue"] == 2
    finished(state, "a", 100 * DAY, due + MINUTE, "failure")
    assert check(state, due + MINUTE, CONFIG) is None
    assert due_us(state, due + MINUTE, CONFIG) == due + 5 * MINUTE


def test_patience_is_a_factor():
    state = known(TEN_MINUTES)
    started(state, "a", 0)
    due = due_us(state, 0, OverdueConfig(patience=2.0))
    assert due == pytest.approx(2 * due_us(state, 0, CONFIG), abs=2)
    assert check(state, due - 1, OverdueConfig(patience=2.0)) is None
    assert check(state, due, OverdueConfig(patience=2.0)) is not None


def test_a_start_after_its_end_starts_nothing():
    state = known(TEN_MINUTES)
    finished(state, "x", 100 * DAY, 100 * DAY + MINUTE, "success")
    started(state, "x", 100 * DAY)
    assert state.running == {}
    started(state, "x", 101 * DAY)
    assert state.running == {"x": 101 * DAY}, "a restart under the same id"


def test_a_restart_counts_from_its_own_start_and_an_old_end_does_not_end_it():
    state = known(TEN_MINUTES)
    started(state, "x", 100 * DAY)
    started(state, "x", 100 * DAY + 30 * MINUTE)
    started(state, "x", 100 * DAY)
    assert check(state, 100 * DAY + 40 * MINUTE, CONFIG) is None
    finished(state, "x", 100 * DAY, 100 * DAY + 20 * MINUTE, "failure")
    assert state.running == {"x": 100 * DAY + 30 * MINUTE}


def test_an_end_told_twice_teaches_once():
    state = OverdueState()
    for _ in range(3):
        finished(state, "x", 0, MINUTE, "success")
    assert state.ring == [MINUTE]


def test_lost_ends_are_given_up_and_make_room():
    state = known(TEN_MINUTES)
    for run in range(MOST_RUNNING):
        started(state, f"lost-{run}", 100 * DAY + run)
    started(state, "refused", 100 * DAY + MINUTE)
    assert "refused" not in state.running
    started(state, "new", 102 * DAY)
    assert state.running == {"new": 102 * DAY}
    assert check(state, 102 * DAY + FORGET_MOST_US + 1, CONFIG) is None
    assert state.running == {}


EVENTS = st.lists(
    st.tuples(st.sampled_from("sfc"), st.integers(0, 30), st.integers(-(10**6), 10**15), st.integers(-(10**6), 10**15)),
    max_size=120,
)


@given(EVENTS, st.integers(1, 300))
def test_any_order_of_any_events_is_survived_and_bounded(events, width):
    state = OverdueState()
    for kind, run, one, other in events:
        name = f"{run}".rjust(width, "é")
        if kind == "s":
            started(state, name, one)
        elif kind == "f":
            finished(state, name, one, other, "success")
        else:
            twin = msgspec.msgpack.decode(encode(state), type=OverdueState)
            verdict = check(state, one, CONFIG)
            assert verdict == check(twin, one, CONFIG)
            assert encode(twin) == encode(state)
            if verdict is not None:
                assert verdict.low <= verdict.expected <= verdict.high
                assert math.isfinite(verdict.score)
                assert 0 <= verdict.confidence <= 1
                assert verdict.score > 1
        assert len(state.running) <= MOST_RUNNING
        assert len(state.done) <= MOST_DONE
        assert len(encode(state)) <= 1500


def test_field_names_are_short():
    assert all(len(name) <= 2 for name in msgspec.msgpack.decode(encode(OverdueState())))


def test_long_names_that_begin_alike_stay_apart():
    state = OverdueState()
    started(state, "x" * 200 + "1", 0)
    started(state, "x" * 200 + "2", 0)
    assert len(state.running) == 2
