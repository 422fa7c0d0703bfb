"""Pieces of history between the database and the miners: rows as packed columns, and packed columns as a table."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from operators.mining.history import COMPONENTS, FRAMES
from operators.pgcopy import micros

NO_TIME = -(1 << 63)
"""How numpy writes that there is no time."""

Columns = dict[str, list[Any]]
"""A piece by column: times in µs since 1970, JSON as text, None where there is no value."""


def empty(table: str) -> Columns:
    """A piece without rows."""
    return {name: [] for name in FRAMES[table].columns}


def add(columns: Columns, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Append rows, in the order of the table's columns; times are datetimes with an offset."""
    for (name, kind), values in zip(FRAMES[table].columns.items(), zip(*rows, strict=True), strict=False):
        if kind == "time":
            columns[name].extend(None if value is None else micros(value) for value in values)
        elif kind == "number":
            columns[name].extend(None if value is None else float(value) for value in values)
        else:
            columns[name].extend(values)


def pack(columns: Columns) -> bytes:
    """A piece as bytes, the same for the same rows."""
    return zlib.compress(msgspec.msgpack.encode(columns), 1)


def unpack(data: bytes) -> Columns:
    """What `pack` packed."""
    return msgspec.msgpack.decode(zlib.decompress(data), type=dict[str, list[Any]])


def of_frame(table: str, frame: Any) -> Columns:
    """A table, or some of its columns, as a piece: what `frame` makes a table of again."""
    out: Columns = {}
    for name in frame.columns:
        kind, values = FRAMES[table].columns[name], frame[name]
        if kind == "time":
            times = values.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
            out[name] = [None if at == NO_TIME else at for at in times.tolist()]
        elif kind == "number":
            out[name] = [None if value != value else value for value in values.tolist()]
        elif kind == "json":
            out[name] = [None if value is None else msgspec.json.encode(value).decode() for value in values]
        else:
            out[name] = values.tolist()
    return out


def shard_of(component: str | None, shards: int) -> int:
    """The shard of a component of any kind: from its name alone. Tasks of no project are those of `tasks`.

    >>> shard_of("api", 4), shard_of("anything", 1), shard_of(None, 7) == shard_of("tasks", 7)
    (3, 0, True)
    """
    return zlib.crc32((component or "tasks").encode()) % shards


def split(columns: Columns, table: str, shards: int) -> dict[int, Columns]:
    """The rows of a piece by shard; a table that is no components' is all in shard 0.

    >>> columns = empty("runs")
    >>> add(columns, "runs", [("1", "1", "shop/main", *[None] * 8), ("2", "2", "api", *[None] * 8)])
    >>> {shard: part["id"] for shard, part in split(columns, "runs", 4).items()}
    {0: ['1'], 3: ['2']}
    """
    by = COMPONENTS.get(table)
    if by is None or shards == 1:
        return {0: columns}
    known = {name: shard_of(name, shards) for name in set(columns[by])}
    of_rows = np.fromiter((known[name] for name in columns[by]), dtype=np.int64, count=len(columns[by]))
    rows = {int(shard): np.flatnonzero(of_rows == shard).tolist() for shard in np.unique(of_rows)}
    return {shard: {name: [values[at] for at in places] for name, values in columns.items()}
            for shard, places in rows.items()}  # fmt: skip


def bundle(parts: Mapping[str, bytes]) -> bytes:
    """Several bytes as one, each of which `unbundle` reads without the others."""
    head = msgspec.msgpack.encode({name: len(data) for name, data in parts.items()})
    return b"".join([len(head).to_bytes(8, "big"), head, *parts.values()])


def unbundle(path: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Those of the named that a file of `bundle` holds, in its order."""
    wanted = set(names)
    with open(path, "rb") as file:
        sizes = msgspec.msgpack.decode(file.read(int.from_bytes(file.read(8), "big")), type=dict[str, int])
        for name, size in sizes.items():
            if name in wanted:
                yield name, file.read(size)
            else:
                file.seek(size, 1)


class Texts:
    """One object for each text, and for each JSON text what it decodes to: what comes again takes no memory again.

    What it gives out is shared by many rows and must not be changed.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._decoded: dict[str, Any] = {}

    def one(self, text: str | None) -> str | None:
        """The text, as it was first seen."""
        return None if text is None else self._texts.setdefault(text, text)

    def decoded(self, text: str | None) -> Any:
        """What a JSON text says."""
        if text is None:
            return None
        found = self._decoded.get(text)
        if found is None:
            found = self._decoded[text] = msgspec.json.decode(text)
        return found


def frame(table: str, pieces: Iterable[Columns], texts: Texts | None = None) -> Any:
    """Pieces as one DataFrame with the types of `History`; of pieces with some columns only, with these.

    >>> columns = empty("runs")
    >>> [len(frame("runs", [columns, columns])), str(frame("runs", [columns]).dtypes["execution_end"])]
    [0, 'datetime64[us, UTC]']
    """
    texts = texts or Texts()
    parts: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, values in piece.items():
            parts.setdefault(name, []).append(_typed(values, FRAMES[table].columns[name], texts))
    out = {}
    for name, kind in FRAMES[table].columns.items():
        if parts and name not in parts:
            continue
        column = np.concatenate(parts[name]) if parts else _typed([], kind, texts)
        out[name] = pd.Series(column).dt.tz_localize("UTC") if kind == "time" else pd.Series(column, dtype=column.dtype)
        if name in parts:
            parts[name] = []  # its rows are in `out` now
    return pd.DataFrame(out)


def _typed(values: list[Any], kind: str, texts: Texts) -> Any:
    if kind == "time":
        times = np.fromiter((NO_TIME if at is None else at for at in values), dtype=np.int64, count=len(values))
        return times.astype("datetime64[us]")
    if kind == "number":
        numbers = (np.nan if value is None else value for value in values)
        return np.fromiter(numbers, dtype=float, count=len(values))
    out = np.empty(len(values), dtype=object)
    out[:] = [texts.decoded(value) for value in values] if kind == "json" else [texts.one(value) for value in values]
    return out
