"""Frequent itemsets: which items come together in at least so many transactions (FP-Growth)."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from mlxtend.frequent_patterns import fpgrowth
from scipy import sparse

Thing = TypeVar("Thing", bound=Hashable)

COUNTED = 3
"""Length up to which sets of a matrix's columns are counted outright."""


def frequent_itemsets(
    transactions: Sequence[Iterable[Thing]], min_count: int, max_length: int | None = None
) -> dict[frozenset[Thing], int]:
    """Every set of items that is in at least `min_count` transactions, with how many those are.

    FP-Growth (Han, Pei & Yin, SIGMOD 2000) of mlxtend. What is not frequent alone goes first, and the rest is sparse:
    memory follows the items that are there, not transactions × items. It is no help against a dense table with a low
    `min_count`, whose answer itself is exponential: set `max_length` there. An item twice in a transaction counts once.

    >>> found = frequent_itemsets([["a", "b"], ["a", "b", "c"], ["a"]], 2)
    >>> sorted(("".join(sorted(items)), count) for items, count in found.items())
    [('a', 3), ('ab', 2), ('b', 2)]
    """
    if min_count < 1:
        raise ValueError(f"min_count must be at least 1, not {min_count}")
    rows = [set(transaction) for transaction in transactions]
    counts = Counter(item for row in rows for item in row)
    kept = sorted(
        (item for item, count in counts.items() if count >= min_count), key=lambda item: (-counts[item], repr(item))
    )
    if not kept:
        return {}
    place = {item: at for at, item in enumerate(kept)}
    members = [sorted(place[item] for item in row if item in place) for row in rows]
    pointers = np.concatenate(([0], np.cumsum([len(row) for row in members])))
    indices = np.fromiter((at for row in members for at in row), dtype=np.int64, count=int(pointers[-1]))
    matrix = sparse.csr_matrix((np.ones(len(indices), dtype=bool), indices, pointers), shape=(len(rows), len(kept)))
    return {frozenset(kept[at] for at in items): count for items, count in _grow(matrix, min_count, max_length)}


def _grow(matrix: Any, min_count: int, max_length: int | None) -> Iterable[tuple[frozenset[int], int]]:
    """FP-Growth over a sparse matrix of bool; mlxtend takes a share, so the half keeps ceil() from rounding one off."""
    frame = pd.DataFrame.sparse.from_spmatrix(matrix)
    found = fpgrowth(frame, min_support=(min_count - 0.5) / matrix.shape[0], max_len=max_length)
    counts = np.rint(found["support"].to_numpy() * matrix.shape[0]).astype(int)
    return zip(found["itemsets"], counts.tolist(), strict=True)


def itemsets_of(matrix: Any, min_count: int, max_length: int | None) -> dict[frozenset[int], int]:
    """`frequent_itemsets` of a matrix of bool (rows × items): sets of column numbers.

    >>> itemsets_of(np.array([[True, True], [True, True], [True, False]]), 2, 2)[frozenset({0, 1})]
    2
    """
    if not matrix.size or len(matrix) < min_count:
        return {}
    if max_length is not None and max_length <= COUNTED:
        return _counted(matrix, min_count, max_length)
    return dict(_grow(sparse.csr_matrix(matrix), min_count, max_length))


def _counted(matrix: Any, min_count: int, max_length: int) -> dict[frozenset[int], int]:
    """All sets of up to three columns, counted by matrix products: for tens of columns quicker than growing trees.

    Products of float32 are exact up to 16.7 million rows.
    """
    alone = matrix.sum(axis=0)
    kept = np.flatnonzero(alone >= min_count)
    values = np.ascontiguousarray(matrix[:, kept], dtype=np.float32)
    found = {frozenset((int(item),)): int(alone[item]) for item in kept}
    if max_length < 2:
        return found
    pairs = values.T @ values
    for one in range(len(kept)):
        partners = one + 1 + np.flatnonzero(pairs[one, one + 1 :] >= min_count)
        for two in partners:
            found[frozenset((int(kept[one]), int(kept[two])))] = int(pairs[one, two])
        if max_length < COUNTED or len(partners) < 2:
            continue
        rest = values[values[:, one] > 0][:, partners]
        threes = rest.T @ rest
        for two, three in np.argwhere(np.triu(threes >= min_count, 1)):
            items = frozenset(int(kept[at]) for at in (one, partners[two], partners[three]))
            found[items] = int(threes[two, three])
    return found
