"""Half-space trees against River's, from the same seed and the same rows."""

import math
import random

import pytest
from river.anomaly import HalfSpaceTrees
from river.tree.padded import PaddedLeaf

from operators.detect.halfspaces import forest, leaves, surprise


def masses_of(node):
    if isinstance(node, PaddedLeaf):
        return [node.r_mass]
    return masses_of(node.left) + masses_of(node.right)


def inner(node, place=1):
    if isinstance(node, PaddedLeaf):
        return {}
    return {
        place: (node.feature, node.threshold),
        **inner(node.left, 2 * place),
        **inner(node.right, 2 * place + 1),
    }


@pytest.mark.parametrize(("features", "trees", "height", "seed"), [(1, 2, 3, 0), (3, 5, 6, 1), (7, 4, 8, 42)])
def test_trees_and_masses_are_rivers(features, trees, height, seed):
    rnd = random.Random(seed)
    names = [f"s{i}" for i in range(features)]
    rows = [[rnd.random() for _ in names] for _ in range(100)]
    theirs = HalfSpaceTrees(n_trees=trees, height=height, window_size=len(rows), seed=seed)
    ours = forest(features, trees, height, seed)
    masses = [[0] * 2**height for _ in range(trees)]
    for row in rows:
        theirs.learn_one(dict(zip(names, row, strict=True)))
        for mass, leaf in zip(masses, leaves(ours, height, row), strict=True):
            mass[leaf] += 1
    assert [masses_of(tree) for tree in theirs.trees] == masses
    for tree, mine in zip(theirs.trees, ours, strict=True):
        assert {
            place: (names[on], at)
            for place, (on, at) in enumerate(zip(*mine, strict=True))
            if place
        } == inner(tree)  # fmt: skip


def test_a_forest_depends_on_nothing_but_its_shape_and_seed():
    first = forest(3, 2, 4, 1)
    forest.cache_clear()
    random.random()
    assert forest(3, 2, 4, 1) == first
    assert forest(3, 2, 4, 2) != first


def test_surprise_is_the_information_of_the_leaves():
    masses = [[1, 3], [4, 0]]
    share = [(masses[0][1] + 0.5) / 4, (masses[1][1] + 0.5) / 4]
    assert surprise(masses, 4, [1, 1]) == pytest.approx(-sum(math.log2(one) for one in share) / 2)
