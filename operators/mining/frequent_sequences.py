"""Frequent sequences: which items come one after the other in at least so many sequences (PrefixSpan)."""

from collections.abc import Hashable, Sequence
from typing import TypeVar

from prefixspan import PrefixSpan

Thing = TypeVar("Thing", bound=Hashable)


def frequent_sequences(
    sequences: Sequence[Sequence[Thing]],
    min_count: int,
    max_length: int,
    *,
    times: Sequence[Sequence[int]] | None = None,
    max_gap: int | None = None,
    max_positions: int | None = None,
) -> dict[tuple[Thing, ...], int]:
    """Every sequence of items that at least `min_count` of the sequences hold, in that order, with how many those are.

    PrefixSpan (Pei et al., "PrefixSpan: mining sequential patterns efficiently", ICDE 2001): without limits the library
    of that name; with `max_gap` (between the `times` of neighbours in a pattern) or `max_positions` (between their
    places) our own, which keeps every place a pattern can end at, where the library keeps the first only.

    >>> frequent_sequences(["abc", "acb", "ab"], 2, 2)[("a", "b")]
    3
    >>> frequent_sequences(["abc", "acb", "ab"], 2, 2, max_positions=1)[("a", "b")]
    2
    """
    if min_count < 1:
        raise ValueError(f"min_count must be at least 1, not {min_count}")
    if max_gap is not None or max_positions is not None:
        return dict(_grow(sequences, times, min_count, max_length, max_gap, max_positions))
    miner = PrefixSpan([list(sequence) for sequence in sequences])
    miner.maxlen = max_length
    return {tuple(items): count for count, items in miner.frequent(min_count)}


def _grow(
    sequences: Sequence[Sequence[Thing]], times: Sequence[Sequence[int]] | None, min_count: int, max_length: int,
    max_gap: int | None, max_positions: int | None,
) -> list[tuple[tuple[Thing, ...], int]]:  # fmt: skip
    found: list[tuple[tuple[Thing, ...], int]] = []
    starts: dict[Thing, dict[int, list[int]]] = {}
    for row, sequence in enumerate(sequences):
        for place, item in enumerate(sequence):
            starts.setdefault(item, {}).setdefault(row, []).append(place)
    todo: list[tuple[tuple[Thing, ...], dict[int, list[int]]]] = [
        ((item,), ends) for item, ends in starts.items() if len(ends) >= min_count
    ]
    while todo:
        pattern, ends = todo.pop()
        found.append((pattern, len(ends)))
        if len(pattern) >= max_length:
            continue
        grown: dict[Thing, dict[int, list[int]]] = {}
        for row, places in ends.items():
            for item, reached in _next(sequences[row], times[row] if times else None, places, max_gap, max_positions):
                grown.setdefault(item, {})[row] = reached
        todo.extend(((*pattern, item), rows) for item, rows in grown.items() if len(rows) >= min_count)
    return found


def _next(
    sequence: Sequence[Thing], times: Sequence[int] | None, places: list[int], max_gap: int | None,
    max_positions: int | None,
) -> list[tuple[Thing, list[int]]]:  # fmt: skip
    """Where each item can follow a pattern that ends at `places` (sorted)."""
    reached: dict[Thing, list[int]] = {}
    last, at = -1, 0
    for place in range(places[0] + 1, len(sequence)):
        while at < len(places) and places[at] < place:
            last = places[at]
            at += 1
        # The nearest end before is the one within any limit that some end is within.
        near = max_positions is None or place - last <= max_positions
        if near and (max_gap is None or times is None or times[place] - times[last] <= max_gap):
            reached.setdefault(sequence[place], []).append(place)
    return list(reached.items())


def first_end(items: Sequence[str], times: Sequence[int], pattern: Sequence[str], window_us: int | None) -> int | None:
    """Place of the earliest event that completes `pattern`, or None.

    >>> first_end(["a", "b", "a", "c"], [0, 9, 10, 11], ["a", "c"], 5), first_end(["a"], [0], ["b"], None)
    (3, None)
    """
    places = [place for place, item in enumerate(items) if item == pattern[0]]
    for item in pattern[1:]:
        if not places:
            return None
        places = dict(_next(items, times, places, window_us, None)).get(item, [])
    return places[0] if places else None
