"""Sequences: equal to a brute force, with and without limits; order and co-occurrence told apart."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.mining.history import History
from operators.mining.sequences import SequenceMiner, first_end, frequent_sequences
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG

sequences = st.lists(st.lists(st.sampled_from("abc"), max_size=7).map("".join), max_size=12)


def holds(sequence, times, pattern, max_gap, max_positions, start=0, last=None):
    """Whether `pattern` is in `sequence`, by trying every place."""
    if not pattern:
        return True
    return any(
        sequence[at] == pattern[0]
        and (last is None or max_gap is None or times[at] - times[last] <= max_gap)
        and (last is None or max_positions is None or at - last <= max_positions)
        and holds(sequence, times, pattern[1:], max_gap, max_positions, at + 1, at)
        for at in range(start, len(sequence))
    )


def brute_force(rows, times, min_count, max_length, max_gap=None, max_positions=None):
    found = {}
    for size in range(1, max_length + 1):
        for pattern in product("abc", repeat=size):
            count = sum(
                holds(row, when, pattern, max_gap, max_positions) for row, when in zip(rows, times, strict=True)
            )
            if count >= min_count:
                found[pattern] = count
    return found


def clock(rows, seed):
    rng = np.random.default_rng(seed)
    return [np.cumsum(rng.integers(0, 9, size=len(row))).tolist() for row in rows]


@settings(deadline=None, max_examples=60)
@given(sequences, st.integers(1, 5), st.integers(1, 4))
def test_without_limits_the_library_equals_brute_force(rows, min_count, max_length):
    times = clock(rows, 0)
    assert frequent_sequences(rows, min_count, max_length) == brute_force(rows, times, min_count, max_length)


@settings(deadline=None, max_examples=80)
@given(
    sequences,
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 12),
    st.none() | st.integers(1, 3),
    st.integers(0, 99),
)
def test_with_limits_ours_equals_brute_force(rows, min_count, max_length, max_gap, max_positions, seed):
    times = clock(rows, seed)
    found = frequent_sequences(rows, min_count, max_length, times=times, max_gap=max_gap, max_positions=max_positions)
    assert found == brute_force(rows, times, min_count, max_length, max_gap, max_positions)


@settings(deadline=None, max_examples=40)
@given(sequences, st.integers(1, 4), st.integers(1, 4))
def test_with_a_limit_that_never_binds_ours_equals_the_library(rows, min_count, max_length):
    assert frequent_sequences(rows, min_count, max_length, max_positions=99) == frequent_sequences(
        rows, min_count, max_length
    )


def test_a_later_start_may_be_the_one_that_fits():
    assert frequent_sequences(["aab"], 1, 2, times=[[0, 50, 55]], max_gap=10)[("a", "b")] == 1
    assert first_end("aab", [0, 50, 55], "ab", 10) == 2


def test_min_count_below_one_is_refused():
    with pytest.raises(ValueError, match="min_count"):
        frequent_sequences(["a"], 0, 2)


def events(rows):
    """(group, minute, system, status) as correlated events of `history`."""
    return History.of(
        integration_events=[
            {"id": f"{at}", "event_type": "call", "source_system": system, "target_system": None, "event_data": {},
             "event_timestamp": planted.at(minute), "processing_duration": 1.0, "status": status,
             "correlation_key": group}
            for at, (group, minute, system, status) in enumerate(rows)
        ]
    )  # fmt: skip


def test_what_comes_together_in_any_order_is_no_sequence():
    rng = np.random.default_rng(3)
    rows = []
    for group in range(400):
        start = group * 600.0
        bad = rng.random() < 0.2
        order = rng.permutation(2)
        for system, place in zip("ab", order, strict=True):
            rows.append((f"g{group:03d}", start + place, system, "failure" if bad else "success"))
    found = SequenceMiner().mine(events(rows), CONFIG, planted.UNTIL)
    assert [finding for finding in found if finding.evidence["group"] == "correlation"] == []


def test_a_sequence_is_found_at_its_strength():
    rng = np.random.default_rng(3)
    rows, hits, total = [], 0, 0
    for group in range(400):
        start = group * 600.0
        first = rng.random() < 0.25
        second = rng.random() < (0.8 if first else 0.1)
        total += first
        hits += first and second
        rows.append((f"g{group:03d}", start, "a", "failure" if first else "success"))
        rows.append((f"g{group:03d}", start + 2, "b", "failure" if second else "success"))
    found = SequenceMiner().mine(events(rows), CONFIG, planted.UNTIL)
    [finding] = [finding for finding in found if finding.evidence["group"] == "correlation"]
    assert (finding.support, finding.total) == (hits, total)
    assert finding.evidence["sequence"] == ["integration:a:call:failure", "integration:b:call:failure"]
    assert finding.evidence["lead_s"] == 120.0


def test_others_in_which_it_could_not_have_come_do_not_make_a_base():
    """b fails half the time whatever a does; nine groups in ten have no b at all."""
    rng = np.random.default_rng(4)
    rows = []
    for group in range(800):
        start = group * 300.0
        rows.append((f"g{group:03d}", start, "a" if group % 10 == 0 else "z", rng.choice(["failure", "success"])))
        if group % 10 == 0:
            rows.append((f"g{group:03d}", start + 2, "b", rng.choice(["failure", "success"])))
    found = SequenceMiner().mine(events(rows), CONFIG, planted.UNTIL)
    assert [finding.sentence for finding in found if finding.evidence["group"] == "correlation"] == []
