"""Outputs for the database sink without the partition step, and what the database then holds."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from operators.encode import encode
from operators.events import decode
from operators.output import Output
from operators.records import Batch, Headers
from operators.tables import Table
from tests.samples import NOW_US


def output(
    values: Sequence[bytes], offsets: Iterable[int] | None = None, origin: tuple[bytes | None, Headers] | None = None
) -> Output:
    """An output with the rows of some events."""
    places = list(range(1, len(values) + 1) if offsets is None else offsets)
    batch = Batch("topic", 3, list(values), places, NOW_US, origin=(lambda _: origin) if origin else None)
    out = Output(batch)
    for value in values:
        for table, row in encode(decode(value)).rows:
            out.add(table, row)
    return out


def stored(url: str, table: Table, where: str = "true") -> list[dict[str, Any]]:
    """A table's rows by column, those that the stream writes; times in microseconds since 1970."""
    columns = [
        sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint" if kind == "timestamptz" else "{}").format(
            sql.Identifier(name)
        )
        for name, kind in table.columns
    ]
    query = sql.SQL("SELECT {} FROM {} WHERE ").format(sql.SQL(", ").join(columns), sql.Identifier(table.name))
    with psycopg.connect(url) as connection:
        rows = connection.execute(query + sql.SQL(where)).fetchall()
    return [dict(zip(table.names, row, strict=True)) for row in rows]


def count(url: str, table: str) -> int:
    """Rows of a table."""
    with psycopg.connect(url) as connection:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row
    return int(row[0])
