"""The history of a night on disk: pieces as they were loaded, read again a shard of the components at a time.

A piece's file is a bundle: its quality, and for each shard its rows. A shard's file is one too: what each miner saw in
it, and what it leaves for looking across the shards.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from msgspec.structs import replace

from flows.nightly.work import Work
from operators.mining.history import COMPONENTS, FRAMES, WHOLE, History, empty_frame
from operators.mining.pieces import Columns, Texts, bundle, frame, of_frame, pack, split, unbundle, unpack
from operators.mining.quality import Partial
from operators.mining.results import names
from sources.archive import Piece

SHARD_ROWS = 200_000
"""Rows that a shard should have: a night's memory is that of one shard, and of what is looked at across them.

A component is never cut: one with more rows makes a larger shard.
"""

WITH_SHARDS = ("tasks", "task_dependencies", "interventions")
"""Tables that are no components' and that each shard comes with: joined to what its components did. And of the series
by day, those of its components."""


class Loaded(msgspec.Struct):
    """A piece of a table as it was loaded, without the rows."""

    piece: Piece
    output: str
    rows: int
    skipped: str | None
    again: bool


def shards_for(pieces: Iterable[Piece]) -> int:
    """How many shards the history of these pieces is cut into."""
    rows = sum(piece.rows for piece in pieces if piece.table in COMPONENTS)
    return max(1, -(-rows // SHARD_ROWS))


def loaded_bytes(quality: dict[str, Partial], columns: Columns, table: str, shards: int) -> bytes:
    """A piece's file."""
    about = {name: msgspec.to_builtins(part) | {"days": sorted(part.days)} for name, part in sorted(quality.items())}
    rows = {str(shard): pack(of) for shard, of in sorted(split(columns, table, shards).items())}
    return bundle({"quality": msgspec.msgpack.encode(about)} | rows)


class Shards:
    """The pieces that were loaded and are not left out, as histories of what was known at the end of the night."""

    def __init__(self, work: Work, loaded: Sequence[Loaded], count: int) -> None:
        self._work = work
        self._loaded = loaded
        self._until = work.night.until
        self.count = count

    def history(self, shard: int) -> History:
        """A shard: all rows of some components, with the tables that are joined to them."""
        texts = Texts()
        frames = {table: self._frame(table, shard, texts) for table in COMPONENTS}
        history = History(**{name: empty_frame(name) for name in WHOLE} | self._joined | frames)
        daily = self._daily[self._daily["entity"].isin(names([history]).kinds.keys())]
        return replace(history, daily=daily).before(self._until)

    def whole(self, tables: Iterable[str] = WHOLE) -> History:
        """Of the tables that are no components' those that are named; all others are empty."""
        frames = {name: self._frame(name, 0, Texts()) for name in tables if name in WHOLE}
        return History(**{name: empty_frame(name) for name in FRAMES} | frames).before(self._until)

    def lean(self, files: Sequence[Path], miner: str, tables: Sequence[str]) -> History:
        """What the files of all shards left for a miner to look across, with those of its tables that are whole."""
        frames = {}
        for table in COMPONENTS:
            texts = Texts()
            parts = [
                frame(table, [unpack(data)], texts)
                for file in files
                for _, data in unbundle(file, [f"lean {miner} {table}"])
            ]
            frames[table] = pd.concat(parts, ignore_index=True) if parts else empty_frame(table)
        held = self.whole(tables)
        return History(**{name: getattr(held, name) for name in WHOLE}, **frames).before(self._until)

    def quality(self) -> dict[str, list[dict[str, Partial]]]:
        """What the pieces are like, by table; of those that are left out too."""
        parts: dict[str, list[dict[str, Partial]]] = {}
        for one in self._loaded:
            for _, data in unbundle(self._work.path("load", one.piece.name), ["quality"]):
                found = msgspec.msgpack.decode(data, type=dict[str, Partial])
                parts.setdefault(one.piece.table, []).append(found)
        return parts

    @cached_property
    def _joined(self) -> dict[str, Any]:
        held = self.whole(WITH_SHARDS)
        return {name: getattr(held, name) for name in WITH_SHARDS}

    @cached_property
    def _daily(self) -> Any:
        return self.whole(("daily",)).daily

    def _frame(self, table: str, shard: int, texts: Texts) -> Any:
        return frame(
            table,
            (
                unpack(data)
                for one in self._loaded
                if one.piece.table == table and one.skipped is None and one.rows > 0
                for _, data in unbundle(self._work.path("load", one.piece.name), [str(shard)])
            ),
            texts,
        )


def lean_parts(miner: str, lean: History) -> dict[str, bytes]:
    """What a shard leaves for a miner, as parts of the shard's file."""
    return {
        f"lean {miner} {table}": pack(of_frame(table, getattr(lean, table)))
        for table in COMPONENTS
        if len(getattr(lean, table))
    }
