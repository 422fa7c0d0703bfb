"""Transactions and sequences as integers in Parquet files, which Spark reads: written job by job, in bounded memory."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

WRITTEN = 200_000
"""Integers that are held back before they are written as one row group."""


class Coded(msgspec.Struct, frozen=True, eq=False):
    """The rows of a job as places in `names`, which are frequent alone in `alone` rows each.

    Row i is `values[offsets[i]:offsets[i + 1]]`; `places` says where in its own row each value stood, of sequences.
    Rows that have fewer than two frequent items are not there: they hold no set of two.
    """

    names: Sequence[Any]
    alone: Sequence[int]
    offsets: Any
    values: Any
    rows: Any
    places: Any


def coded(rows: Any, min_count: int) -> Coded:
    """Of a matrix of bool (names are its column numbers) or of collections of items, the items of a row in order.

    >>> found = coded([["b", "a"], ["b"], ["c", "b", "a"]], 2)
    >>> found.names, found.alone, found.offsets.tolist(), found.values.tolist()
    (['b', 'a'], [3, 2], [0, 2, 4], [0, 1, 0, 1])
    """
    if isinstance(rows, np.ndarray):
        counts = rows.sum(axis=0)
        kept = np.flatnonzero(counts >= min_count)
        part = rows[:, kept]
        part = part[part.sum(axis=1) >= 2]
        at, values = np.nonzero(part)
        return _coded(kept.tolist(), counts[kept].tolist(), at, values, at)
    sets = [set(row) for row in rows]
    names, alone = _frequent(sets, min_count)
    place = {name: at for at, name in enumerate(names)}
    lists = [sorted(place[item] for item in row if item in place) for row in sets]
    at = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    values = np.fromiter(chain.from_iterable(lists), dtype=np.int64, count=len(at))
    return _coded(names, alone, at, values, at)


def coded_sequences(sequences: Sequence[Sequence[Hashable]], min_count: int) -> Coded:
    """Of sequences, in their order.

    >>> found = coded_sequences(["axba", "ab", "b"], 2)
    >>> found.names, found.values.tolist(), found.rows.tolist(), found.places.tolist()
    (['b', 'a'], [1, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 2, 3, 0, 1])
    """
    names, alone = _frequent((set(sequence) for sequence in sequences), min_count)
    place = {name: at for at, name in enumerate(names)}
    found = [
        (row, at, place[item]) for row, sequence in enumerate(sequences) for at, item in enumerate(sequence)
        if item in place
    ]  # fmt: skip
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return _coded(names, alone, table[:, 0], table[:, 2], table[:, 1])


def _frequent(sets: Iterable[set[Any]], min_count: int) -> tuple[list[Any], list[int]]:
    counts = Counter(chain.from_iterable(sets))
    names = sorted((name for name, n in counts.items() if n >= min_count), key=lambda name: (-counts[name], repr(name)))
    return names, [counts[name] for name in names]


def _coded(names: Sequence[Any], alone: Sequence[int], at: Any, values: Any, places: Any) -> Coded:
    """From values with the row of each, rows ascending."""
    rows, index, sizes = np.unique(at, return_index=True, return_counts=True)
    if len(rows) and sizes.min() < 2:
        kept = np.repeat(sizes >= 2, sizes)
        return _coded(names, alone, at[kept], values[kept], places[kept])
    return Coded(names, alone, np.append(index, len(at)), values, np.repeat(rows, sizes), places)


class Lists:
    """A Parquet file of rows `job`, `items` (a list): transactions, or sequences."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 -- the extra's
        import pyarrow.parquet as pq  # noqa: PLC0415

        self.path = path
        self.rows = 0
        self._schema = pa.schema([("job", pa.int32()), ("items", pa.list_(pa.int32()))])
        self._out = pq.ParquetWriter(path, self._schema)
        self._held: list[Any] = []
        self._size = 0

    def add(self, job: int, of: Coded, base: int) -> None:
        """Rows of a job, whose items are numbered from `base`."""
        import pyarrow as pa  # noqa: PLC0415 -- the extra's

        count = len(of.offsets) - 1
        lists = pa.ListArray.from_arrays(pa.array(of.offsets, pa.int32()), pa.array(of.values + base, pa.int32()))
        self._held.append(pa.table([pa.array(np.full(count, job), pa.int32()), lists], schema=self._schema))
        self._size += len(of.values)
        self.rows += count
        if self._size >= WRITTEN:
            self._write()

    def close(self) -> None:
        """Write what is held back; the file is whole."""
        self._write()
        self._out.close()

    def _write(self) -> None:
        import pyarrow as pa  # noqa: PLC0415 -- the extra's

        if self._held:
            self._out.write_table(pa.concat_tables(self._held))
            self._held, self._size = [], 0


class Events:
    """A Parquet file of the events of sequences: the `row` (sequence) and `place` of each, its `time`, its `item`."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 -- the extra's
        import pyarrow.parquet as pq  # noqa: PLC0415

        self.path = path
        self._rows = 0
        types = {"row": pa.int32(), "place": pa.int32(), "time": pa.int64(), "item": pa.int32()}
        self._out = pq.ParquetWriter(path, pa.schema(list(types.items())))

    def add(self, of: Coded, times: Sequence[Sequence[int]] | None, base: int) -> None:
        """Events of a job, whose items are numbered from `base`; without `times` all are at 0."""
        import pyarrow as pa  # noqa: PLC0415 -- the extra's

        at = zip(of.rows.tolist(), of.places.tolist(), strict=True)
        when = [times[row][place] for row, place in at] if times is not None else np.zeros(len(of.rows), np.int64)
        columns = (of.rows + self._rows, of.places, when, of.values + base)
        schema = self._out.schema
        self._out.write_table(
            pa.table([pa.array(one, field.type) for one, field in zip(columns, schema, strict=True)], schema=schema)
        )
        self._rows += int(of.rows[-1]) + 1

    def close(self) -> None:
        """The file is whole."""
        self._out.close()
