"""Pieces of history between the database and the miners: rows as packed columns, and packed columns as a table."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from operators.mining.history import FRAMES
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
    """Pieces as one DataFrame with the types of `History`.

    >>> columns = empty("runs")
    >>> [len(frame("runs", [columns, columns])), str(frame("runs", [columns]).dtypes["execution_end"])]
    [0, 'datetime64[us, UTC]']
    """
    texts = texts or Texts()
    parts: dict[str, list[Any]] = {name: [] for name in FRAMES[table].columns}
    for piece in pieces:
        for name, kind in FRAMES[table].columns.items():
            parts[name].append(_typed(piece[name], kind, texts))
    out = {}
    for name, kind in FRAMES[table].columns.items():
        values = np.concatenate(parts[name]) if parts[name] else _typed([], kind, texts)
        out[name] = pd.Series(values).dt.tz_localize("UTC") if kind == "time" else pd.Series(values, dtype=values.dtype)
        parts[name] = []
    return pd.DataFrame(out, columns=list(FRAMES[table].columns))


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
