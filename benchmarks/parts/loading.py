"""The peers of `hindsight import`, in one thread each: `python -m benchmarks.parts.loading REPORT WHAT URL FROM`.

WHAT is one of

- `raw`: read and decode the lines of the file FROM, COPY their raw rows; no windows, no counts, no checkpoints.
- `rows`: COPY all rows of all tables, encoded already, as they are in the folder FROM: the database's own limit.
"""

import json
import sys
import time
from itertools import islice
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.parts.bare import BATCH, PIECE, Loader

TABLES = ("system_metrics", "series", "stream_counters")
ROLLUPS = ("rollups_10s", "rollups_1m", "rollups_5m", "metric_rollups")
"""Of these, the ones that are tables."""
TRANSACTION = 40_000
"""Rows; about what the sink commits at once."""


def save(url: str, folder: Path) -> int:
    """The rows that an import has written, one file a table; their number."""
    rows = 0
    with psycopg.connect(url) as connection:
        for name in (*TABLES, *ROLLUPS):
            kind = connection.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", [name]).fetchone()
            if kind is None or kind[0] not in {"r", "p"}:
                continue
            with connection.cursor() as cursor, (folder / name).open("wb") as file:
                with cursor.copy(_statement("COPY (SELECT * FROM {}) TO STDOUT (FORMAT BINARY)", name)) as copy:
                    for block in copy:
                        file.write(block)
                rows += cursor.rowcount
    return rows


def _statement(text: str, name: str) -> sql.Composed:
    return sql.SQL(text).format(sql.Identifier(name))


def load_rows(url: str, folder: Path) -> None:
    """The rows of `save` into an empty database."""
    with psycopg.connect(url) as connection:
        for path in sorted(folder.iterdir()):
            statement = _statement("COPY {} FROM STDIN (FORMAT BINARY)", path.name)
            with connection.cursor() as cursor, path.open("rb") as file, cursor.copy(statement) as copy:
                while block := file.read(PIECE):
                    copy.write(block)


def load_raw(url: str, path: Path) -> None:
    """Lines → raw rows."""
    loader = Loader(url, staged=False)
    held: list[bytes] = []
    with path.open("rb") as file:
        while lines := list(islice(file, BATCH)):
            held += [loader.row(line) for line in lines]
            if len(held) >= TRANSACTION:
                loader.write(held)
                held = []
    loader.write(held)
    loader.connection.close()


def main(report: str, what: str, url: str, source: str) -> None:
    """Run one peer and write its figures."""
    start = time.monotonic()
    if what == "raw":
        load_raw(url, Path(source))
    else:
        load_rows(url, Path(source))
    Path(report).write_text(json.dumps({"seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
