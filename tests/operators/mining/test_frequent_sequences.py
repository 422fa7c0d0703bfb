"""Frequent sequences: equal to a brute force, with and without limits."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.mining.frequent_sequences import first_end, frequent_sequences

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
