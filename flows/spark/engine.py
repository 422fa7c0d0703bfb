"""The miners' engine on Spark: MLlib's FPGrowth and PrefixSpan over Parquet files, all jobs of a miner at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from flows.spark.batch import Coded, Events, Lists, coded, coded_sequences
from flows.spark.levels import levels
from flows.spark.session import Session
from operators.mining.engine import ItemsetJob, Itemsets, Place, SequenceJob, Sequences

MOST_SETS = 10_000
"""Sets of a job up to which FPGrowth counts it whatever the length asked for: it has no limit of its own, and the sets
that are too long are left out afterwards. A job that could have more goes to PrefixSpan, which has one. Of fifty places
of 2,000 rows and sets of up to three, FPGrowth took 7 s with four items a row and 94 s with nine, PrefixSpan 17 and 30.
"""

MOST_PROJECTIONS = 20_000_000
"""Rows × items of the jobs that PrefixSpan counts together: it looks for every frequent item in every row."""


class _Job(msgspec.Struct):
    """What is kept of a job while Spark counts: the names of its items, which are numbered from `base`."""

    min_count: int
    max_length: int | None
    most_pairs: int | None
    names: Sequence[Any]
    alone: Sequence[int]
    base: int


class _Pack(msgspec.Struct):
    """Jobs that are counted together, down to the least of their counts."""

    floor: int
    max_length: int | None
    file: Lists
    jobs: list[int]


class _Found(msgspec.Struct, frozen=True, eq=False):
    """Sets or sequences as Spark gives them: entry i is `values[starts[i]:starts[i + 1]]`, in `counts[i]` rows."""

    starts: Any
    values: Any
    counts: Any


class _Part(msgspec.Struct, frozen=True, eq=False):
    """The entries of one job: their numbers in what was found."""

    found: _Found
    numbers: Any

    def entries(self) -> Iterator[tuple[list[int], int]]:
        starts, values, counts = self.found.starts, self.found.values, self.found.counts
        for at in self.numbers.tolist():
            yield values[starts[at] : starts[at + 1]].tolist(), int(counts[at])


class SparkEngine:
    """Counts as `operators.mining.engine.Embedded` does, with the same answers, on as many machines as Spark has.

    Only the counting is distributed: the miners, and what they make of the counts, stay in this process. Jobs share no
    items, so those of a batch are one set of transactions. They are counted together where their `min_count` is within
    the same power of two; what is too seldom for its job is left out here. A batch costs seconds however small it is.

    :raises flows.spark.session.SparkError: from any call when Spark fails.
    """

    def __init__(self, master: str, folder: Path) -> None:
        """`folder` is made anew when it is first needed, and is gone at the end; every machine of a cluster must see
        it under the same path."""
        self.session = Session(master, folder)
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.stop()

    def itemsets(
        self, places: Callable[[], Iterable[Place]], jobs: Callable[[Place], Iterable[ItemsetJob]]
    ) -> Iterator[tuple[Place, list[Itemsets]]]:
        """Each place with the answers to its jobs; `places` is called twice."""
        batch = _Batch(self._file)
        ends = [0]
        with self.session.told("the files for Spark"):
            for place in places():
                for job in jobs(place):
                    batch.add_itemsets(job)
                ends.append(len(batch.jobs))
        found = self._count(batch)
        for place, (start, end) in zip(places(), pairwise(ends), strict=True):
            yield place, [_itemsets(batch.jobs[number], found.pop(number, None)) for number in range(start, end)]

    def sequences(self, jobs: Sequence[SequenceJob]) -> list[Sequences]:
        """The answers to jobs, in their order."""
        batch = _Batch(self._file)
        with self.session.told("the files for Spark"):
            for job in jobs:
                batch.add_sequences(job)
        found = self._count(batch)
        return [_sequences(job, found.get(number)) for number, job in enumerate(batch.jobs)]

    def _file(self) -> Path:
        self.session.spark  # noqa: B018 -- makes the folder
        self._files += 1
        return self.session.folder / f"{self._files:06d}.parquet"

    def _count(self, batch: "_Batch") -> dict[int, "_Part"]:
        """By job, what Spark found of it."""
        batch.close()
        found: dict[int, _Part] = {}
        bases = np.array([job.base for job in batch.jobs])
        with self.session.told("Spark could not count"):
            for pack in batch.packs:
                made = self._pack(pack, pack.max_length, batch)
                again = [number for number in pack.jobs if _longer_wanted(pack, batch.jobs[number], made.get(number))]
                if again:
                    longest = max(batch.jobs[number].max_length or 0 for number in again)
                    made |= self._pack(pack, longest, batch, again)
                found |= made
                pack.file.path.unlink()
            for limits, events in batch.events.items():
                entries = list(levels(self.session.spark, events.path.as_uri(), *limits))
                starts = np.cumsum([0, *(len(items) for items, _ in entries)])
                values = np.array(list(chain.from_iterable(items for items, _ in entries)), dtype=np.int64)
                counts = np.array([count for _, count in entries], dtype=np.int64)
                found |= _by_job(_Found(starts, values, counts), bases)
                events.path.unlink()
        return found

    def _pack(
        self, pack: _Pack, max_length: int | None, batch: "_Batch", only: list[int] | None = None
    ) -> dict[int, "_Part"]:
        from pyspark.ml.fpm import FPGrowth, PrefixSpan  # noqa: PLC0415 -- the extra's
        from pyspark.sql import functions as f  # noqa: PLC0415

        spark = self.session.spark
        table = spark.read.parquet(pack.file.path.as_uri())
        rows = pack.file.rows
        if only is not None:
            table = table.where(f.col("job").isin(only))
            rows = table.count()
        parts = int(spark.conf.get("spark.sql.shuffle.partitions"))
        # The half keeps Spark's ceil() of a share from rounding one off.
        share = (pack.floor - 0.5) / rows
        if max_length is None:
            growth = FPGrowth(itemsCol="items", minSupport=share, numPartitions=parts)
            sets = growth.fit(table.select("items").repartition(parts)).freqItemsets
            lengths = [batch.jobs[number].max_length for number in pack.jobs]
            if None not in lengths:
                sets = sets.where(f.size("items") <= max(length for length in lengths if length is not None))
        else:
            # A set of ordered items is a sequence of them.
            sequences = table.select(f.expr("transform(items, item -> array(item)) AS sequence")).repartition(parts)
            miner = PrefixSpan(minSupport=share, maxPatternLength=max_length)
            sets = miner.findFrequentSequentialPatterns(sequences.cache())
            sets = sets.select(f.flatten("sequence").alias("items"), "freq")
        got = sets.where(f.size("items") >= 2).toArrow()
        spark.catalog.clearCache()
        lists = got["items"].combine_chunks()
        found = _Found(lists.offsets.to_numpy().astype(np.int64), lists.values.to_numpy(), got["freq"].to_numpy())
        return _by_job(found, np.array([job.base for job in batch.jobs]))


class _Batch:
    """Jobs being written to files, with those that are counted together in one."""

    def __init__(self, file: Callable[[], Path]) -> None:
        self.jobs: list[_Job] = []
        self._file = file
        self._next = 0
        self.packs: list[_Pack] = []
        self.events: dict[tuple[int, int, int | None, int | None], Events] = {}
        self._open: dict[tuple[int, int | None], _Pack] = {}

    def add_itemsets(self, job: ItemsetJob) -> None:
        of = coded(job.rows, job.min_count)
        self._keep(_Job(job.min_count, job.max_length, job.most_pairs, of.names, of.alone, self._next))
        sizes = np.diff(of.offsets)
        whole = float((2.0 ** np.minimum(sizes, 99)).sum()) / _power(job.min_count) <= MOST_SETS
        wanted = job.max_length if job.most_pairs is None else 2
        if job.max_length != 1:
            self._write(of, None if whole or job.max_length is None else wanted)

    def add_sequences(self, job: SequenceJob) -> None:
        of = coded_sequences(job.sequences, job.min_count)
        self._keep(_Job(job.min_count, job.max_length, None, of.names, of.alone, self._next))
        if job.max_length == 1:
            return
        if job.max_gap is None and job.max_positions is None:
            self._write(of, job.max_length)
        elif len(of.offsets) > job.min_count:
            gap = job.max_gap if job.times is not None else None
            limits = (_power(job.min_count), job.max_length, gap, job.max_positions)
            if limits not in self.events:
                self.events[limits] = Events(self._file())
            self.events[limits].add(of, job.times, self.jobs[-1].base)

    def close(self) -> None:
        """All files are whole on disk."""
        for pack in self._open.values():
            pack.file.close()
        for events in self.events.values():
            events.close()

    def _keep(self, job: _Job) -> None:
        self.jobs.append(job)
        self._next += len(job.names)

    def _write(self, of: Coded, max_length: int | None) -> None:
        count, job = len(of.offsets) - 1, self.jobs[-1]
        if count < job.min_count:
            return
        kind = (_power(job.min_count), max_length)
        pack = self._open.get(kind)
        if pack is not None and max_length is not None:
            rows, items = pack.file.rows + count, sum(len(self.jobs[number].names) for number in pack.jobs)
            if rows * (items + len(of.names)) > MOST_PROJECTIONS:
                pack.file.close()
                pack = None
        if pack is None:
            pack = self._open[kind] = _Pack(job.min_count, max_length, Lists(self._file()), [])
            self.packs.append(pack)
        pack.floor = min(pack.floor, job.min_count)
        pack.file.add(len(self.jobs) - 1, of, job.base)
        pack.jobs.append(len(self.jobs) - 1)


def _power(count: int) -> int:
    """The power of two at or below a count.

    >>> [_power(count) for count in (1, 7, 8)]
    [1, 4, 8]
    """
    return 1 << (count.bit_length() - 1)


def _longer_wanted(pack: _Pack, job: _Job, part: _Part | None) -> bool:
    """Whether a job of which pairs were counted wants longer sets, and has few enough pairs for that."""
    if pack.max_length is None or job.most_pairs is None or job.max_length is None or job.max_length <= 2:
        return False
    return part is not None and _pairs(job, part) <= job.most_pairs


def _pairs(job: _Job, part: _Part) -> int:
    found, at = part.found, part.numbers
    return int(((found.counts[at] >= job.min_count) & (np.diff(found.starts)[at] == 2)).sum())


def _by_job(found: _Found, bases: Any) -> dict[int, _Part]:
    """Entries by the job whose items they are of."""
    if not len(found.counts):
        return {}
    # A job without items has the base of the next: the last of those at or below is the one that has it.
    job = np.searchsorted(bases, found.values[found.starts[:-1]], side="right") - 1
    order = np.argsort(job, kind="stable")
    numbers, first = np.unique(job[order], return_index=True)
    return {int(number): _Part(found, part) for number, part in zip(numbers, np.split(order, first[1:]), strict=True)}


def _entries(job: _Job, part: _Part | None) -> Iterator[tuple[list[Any], int]]:
    yield from (([name], count) for name, count in zip(job.names, job.alone, strict=True))
    if part is None:
        return
    limit = job.max_length
    if job.most_pairs is not None and _pairs(job, part) > job.most_pairs:
        limit = min(2, limit or 2)
    for items, count in part.entries():
        if count >= job.min_count and (limit is None or len(items) <= limit):
            yield [job.names[at - job.base] for at in items], count


def _itemsets(job: _Job, part: _Part | None) -> Itemsets:
    return {frozenset(items): count for items, count in _entries(job, part)}


def _sequences(job: _Job, part: _Part | None) -> Sequences:
    return {tuple(items): count for items, count in _entries(job, part)}
