"""Half-space trees in flat lists: what a forest is made of, and how much of the past fell where.

Tan, Ting & Liu, "Fast anomaly detection for streaming data", IJCAI 2011, built as River's `anomaly.HalfSpaceTrees`
builds them: from the same seed the same trees, and after the same rows the same masses in the leaves. A tree is a
function of seed and shape, so only masses need be kept; those of inner nodes are sums of their leaves'.
"""

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

PADDING = 0.15
"""Share of a side of a cell, at either end, in which it is not split."""


class Tree(NamedTuple):
    """The inner nodes in heap order, the root at 1: the feature that is asked, and the value from which it is right."""

    features: tuple[int, ...]
    splits: tuple[float, ...]


@lru_cache(maxsize=64)
def forest(features: int, trees: int, height: int, seed: int) -> tuple[Tree, ...]:
    """Trees over features from 0 to 1, each with 2 ** `height` leaves.

    >>> tree, = forest(features=2, trees=1, height=1, seed=1)
    >>> len(tree.features), tree.features[1] in (0, 1), 0.15 < tree.splits[1] < 0.85
    (2, True, True)
    """
    chance = random.Random(seed)
    return tuple(_tree(features, height, chance) for _ in range(trees))


def _tree(features: int, height: int, chance: random.Random) -> Tree:
    asked, splits = [0] * 2**height, [0.0] * 2**height
    cell = [(0.0, 1.0)] * features
    names = range(features)

    def grow(node: int) -> None:
        if node >= 2**height:
            return
        (on,) = chance.choices(names, weights=[high - low for low, high in cell])
        low, high = whole = cell[on]
        at = chance.uniform(low + PADDING * (high - low), high - PADDING * (high - low))
        asked[node], splits[node] = on, at
        cell[on] = (low, at)
        grow(2 * node)
        cell[on] = (at, high)
        grow(2 * node + 1)
        cell[on] = whole

    grow(1)
    return Tree(tuple(asked), tuple(splits))


def leaves(trees: Sequence[Tree], height: int, row: Sequence[float]) -> list[int]:
    """The leaf of each tree, from 0, that a row of features falls into.

    >>> leaves([Tree((0, 0), (0.0, 0.4))], 1, [0.5])
    [1]
    """
    first = 2**height
    levels = range(height)
    found = []
    for features, splits in trees:
        node = 1
        for _ in levels:
            node = 2 * node + (row[features[node]] >= splits[node])
        found.append(node - first)
    return found


def surprise(masses: Sequence[Sequence[float]], weight: float, fallen: Sequence[int]) -> float:
    """How unlikely the leaves are that a row has `fallen` into, in bits: the mean over trees of -log₂ of their share of
    the past, of whose rows there are `weight`; half a row is added, so that an empty leaf has a share.

    >>> surprise([[1.5, 6.0]], 8.0, [0])
    2.0
    """
    found = math.fsum([math.log2(mass[leaf] + 0.5) for mass, leaf in zip(masses, fallen, strict=True)])
    return math.log2(weight) - found / len(fallen)
