"""Itemsets: what counts as coming together."""

import numpy as np

from operators.mining.frequent_sets import itemsets_of
from operators.mining.itemsets import together_p


def test_a_set_is_as_good_as_its_worst_cut():
    """c is independent of the pair (a, b): the three together are no pattern, though a and b are."""
    rng = np.random.default_rng(0)
    a = rng.random(400) < 0.3
    matrix = np.stack([a, a & (rng.random(400) < 0.9), rng.random(400) < 0.4], axis=1)
    counts = itemsets_of(matrix, 1, 3)
    pair, three = together_p([frozenset({0, 1}), frozenset({0, 1, 2})], counts, 400)
    assert pair < 1e-20 and three > 0.01
