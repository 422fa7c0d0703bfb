"""Frequent sets: the counts known for the FIMI sets, and every set of small samples by brute force."""

import gzip
import hashlib
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.mining.frequent_sets import frequent_itemsets, itemsets_of
from tests.operators.mining.real import DATA

FIMI = DATA / "fimi"


def brute_force(transactions, min_count, max_length):
    counts = Counter()
    for transaction in transactions:
        items = sorted(set(transaction))
        for size in range(1, min(max_length, len(items)) + 1):
            counts.update(frozenset(part) for part in combinations(items, size))
    return {items: count for items, count in counts.items() if count >= min_count}


def digest(itemsets):
    lines = sorted(f"{' '.join(sorted(items))} {count}" for items, count in itemsets.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def fimi(name):
    path = FIMI / f"{name}.dat.gz"
    if not path.exists():
        pytest.skip(f"no {path.name} here")
    with gzip.open(path, "rt") as lines:
        return [line.split() for line in lines]


@pytest.mark.parametrize(
    ("name", "min_count", "known", "longest"), [("retail", 177, 2691, 5), ("mushroom", 2031, 3205, 10)]
)
def test_counts_of_the_fimi_sets(name, min_count, known, longest):
    found = frequent_itemsets(fimi(name), min_count)
    assert (len(found), max(map(len, found))) == (known, longest)


@pytest.mark.parametrize(("name", "rows", "min_count"), [("retail", 800, 5), ("mushroom", 300, 120)])
def test_samples_equal_brute_force_by_hash(name, rows, min_count):
    transactions = fimi(name)[:: max(1, len(fimi(name)) // rows)][:rows]
    if name == "mushroom":  # the brute force takes every subset: half the columns
        transactions = [transaction[::3] for transaction in transactions]
    else:
        transactions = [transaction[:9] for transaction in transactions]
    assert digest(frequent_itemsets(transactions, min_count)) == digest(brute_force(transactions, min_count, 10))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abcdefg"), max_size=6), max_size=25), st.integers(1, 6), st.integers(1, 5))
def test_any_transactions_equal_brute_force(transactions, min_count, max_length):
    assert frequent_itemsets(transactions, min_count, max_length) == brute_force(transactions, min_count, max_length)


def test_a_count_is_a_count_and_not_rounded_from_a_share():
    # 0.07 × 100 is 7.000000000000001 in floating point, whose ceiling is 8.
    transactions = [["a"]] * 7 + [["b"]] * 93
    assert frequent_itemsets(transactions, 7)[frozenset("a")] == 7
    assert frozenset("a") not in frequent_itemsets(transactions, 8)


def test_a_matrix_gives_the_same_sets_as_its_transactions():
    matrix = np.random.default_rng(2).random((80, 6)) < 0.4
    rows = [np.flatnonzero(row).tolist() for row in matrix]
    assert itemsets_of(matrix, 5, 3) == frequent_itemsets(rows, 5, 3)


@pytest.mark.parametrize("max_length", [2, 3, 4, None])
def test_fewer_rows_than_the_count_hold_no_set(max_length):
    assert itemsets_of(np.ones((2, 3), dtype=bool), 3, max_length) == {}


def test_min_count_below_one_is_refused():
    with pytest.raises(ValueError, match="min_count"):
        frequent_itemsets([["a"]], 0)
