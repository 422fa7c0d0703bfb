"""What counts sets and sequences for the miners: here, in this process; `flows.spark` has the same on Spark.

A miner hands over all that it wants counted at once: an engine on many machines has a second's start for each batch.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np

from operators.mining.frequent_sequences import frequent_sequences
from operators.mining.frequent_sets import frequent_itemsets, itemsets_of

Place = TypeVar("Place")

Itemsets = dict[frozenset[Any], int]
"""Frequent sets with how many transactions hold each."""

Sequences = dict[tuple[Any, ...], int]
"""Frequent sequences with how many sequences hold each."""


class ItemsetJob(msgspec.Struct, frozen=True, eq=False):
    """Transactions whose frequent sets are wanted, up to `max_length` items (None: any).

    `rows`: a matrix of bool (rows × items; sets are of its column numbers), or collections of items. `most_pairs`: with
    more frequent pairs than that, sets of more than two items are left out.

    :raises ValueError: when `min_count` is below 1.
    """

    rows: Any
    min_count: int
    max_length: int | None = None
    most_pairs: int | None = None

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise ValueError(f"min_count must be at least 1, not {self.min_count}")


class SequenceJob(msgspec.Struct, frozen=True, eq=False):
    """Sequences whose frequent subsequences are wanted; the limits are those of `frequent_sequences`.

    :raises ValueError: when `min_count` is below 1.
    """

    sequences: Sequence[Sequence[Hashable]]
    min_count: int
    max_length: int
    times: Sequence[Sequence[int]] | None = None
    max_gap: int | None = None
    max_positions: int | None = None

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise ValueError(f"min_count must be at least 1, not {self.min_count}")


class Engine(Protocol):
    """Counts; the answer to a job is the same from every engine, but for the order within it."""

    def itemsets(
        self, places: Callable[[], Iterable[Place]], jobs: Callable[[Place], Iterable[ItemsetJob]]
    ) -> Iterator[tuple[Place, list[Itemsets]]]:
        """Each place with the answers to its jobs.

        `places` may be called twice, and must give the same places in the same order: so an engine counts all of them
        at once, and neither it nor the miner holds more than one of them in memory.
        """

    def sequences(self, jobs: Sequence[SequenceJob]) -> list[Sequences]:
        """The answers to jobs, in their order."""


class Embedded:
    """The engine in this process: place by place, job by job.

    >>> found = Embedded().itemsets(lambda: ["here"], lambda place: [ItemsetJob([["a", "b"], ["a", "b"], ["a"]], 2)])
    >>> [(place, [sorted(("".join(sorted(s)), n) for s, n in sets.items()) for sets in answers])
    ...  for place, answers in found]
    [('here', [[('a', 3), ('ab', 2), ('b', 2)]])]
    """

    def itemsets(
        self, places: Callable[[], Iterable[Place]], jobs: Callable[[Place], Iterable[ItemsetJob]]
    ) -> Iterator[tuple[Place, list[Itemsets]]]:
        """Each place with the answers to its jobs; `places` is called once."""
        for place in places():
            yield place, [_itemsets(job) for job in jobs(place)]

    def sequences(self, jobs: Sequence[SequenceJob]) -> list[Sequences]:
        """The answers to jobs, in their order."""
        return [
            frequent_sequences(job.sequences, job.min_count, job.max_length, times=job.times, max_gap=job.max_gap,
                               max_positions=job.max_positions)
            for job in jobs
        ]  # fmt: skip


def _itemsets(job: ItemsetJob) -> Itemsets:
    # Pairs tell beforehand how many longer sets there will be.
    if job.most_pairs is not None and (job.max_length is None or job.max_length > 2):
        pairs = _up_to(job, 2)
        if sum(len(items) == 2 for items in pairs) > job.most_pairs:
            return pairs
    return _up_to(job, job.max_length)


def _up_to(job: ItemsetJob, max_length: int | None) -> Itemsets:
    if isinstance(job.rows, np.ndarray):
        return dict(itemsets_of(job.rows, job.min_count, max_length))
    return frequent_itemsets(job.rows, job.min_count, max_length)
