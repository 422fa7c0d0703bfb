"""The peer of the sink: psycopg's `executemany` of INSERT … ON CONFLICT, which merges rows in the same way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Json, Jsonb

from benchmarks.parts.events import Values
from operators.tables import Merge, Table
from sinks.sql import NEAR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Statement = tuple[sql.Composed, list[int]]
"""A statement, and the places in a row of its parameters."""


def adapted(table: Table, rows: list[Values]) -> list[Values]:
    """Rows as one gives them to psycopg: datetimes and JSON."""
    kinds = [kind for _, kind in table.columns]
    return [tuple(_adapt(kind, value) for kind, value in zip(kinds, row, strict=True)) for row in rows]


def _adapt(kind: str, value: Any) -> Any:
    if kind == "timestamptz" and isinstance(value, int):
        return _EPOCH + timedelta(microseconds=value)
    if kind == "jsonb" and value is not None:
        return Jsonb(value) if not isinstance(value, bytes) else Json(value, dumps=bytes)
    return value


def statements(table: Table) -> list[Statement]:
    """What is executed for each row, in turn."""
    names = list(table.names)
    every = list(range(len(names)))
    casts = [sql.SQL("%s::{}").format(sql.SQL(kind)) for _, kind in table.columns]
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    values = sql.SQL(", ").join(casts)
    head = sql.SQL("INSERT INTO {} ({}) ").format(sql.Identifier(table.name), columns)
    conflict = sql.SQL(" ON CONFLICT ({}) DO ").format(sql.SQL(", ").join(map(sql.Identifier, table.key)))
    skip = {*table.key, *table.keep_first}
    update = sql.SQL("UPDATE SET ") + sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names if name not in skip
    )
    if table.merge is not Merge.NEWEST:
        action = sql.SQL("NOTHING") if table.merge is Merge.KEEP else update
        return [(head + sql.SQL("VALUES (") + values + sql.SQL(")") + conflict + action, every)]
    newer = sql.SQL(" WHERE ({}) > ({})").format(
        sql.SQL(", ").join(sql.Identifier("excluded", name) for name in table.rank),
        sql.SQL(", ").join(sql.Identifier(table.name, name) for name in table.rank),
    )
    if table.group == table.key:
        return [(head + sql.SQL("VALUES (") + values + sql.SQL(")") + conflict + update + newer, every)]

    def compared(columns: tuple[str, ...], sign: str) -> sql.Composed:
        return sql.SQL("({}) " + sign + " ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL(", ").join(casts[names.index(n)] for n in columns)
        )

    places = [names.index(name) for name in (*table.group, *table.rank)]
    near = sql.SQL("")
    if table.time:
        near = sql.SQL(" AND {0} BETWEEN %s - {1}::interval AND %s + {1}::interval").format(
            sql.Identifier(table.time), sql.Literal(NEAR)
        )
        places += [names.index(table.time)] * 2
    where = sql.SQL(" WHERE ") + compared(table.group, "=") + sql.SQL(" AND ")
    losers = sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)) + where + compared(table.rank, "<") + near
    absent = sql.SQL(" WHERE NOT EXISTS (SELECT FROM {}").format(sql.Identifier(table.name))
    insert = head + sql.SQL("SELECT ") + values + absent + where + compared(table.rank, ">") + near + sql.SQL(")")
    return [(losers, places), (insert + conflict + update + newer, every + places)]


def write(connection: psycopg.Connection[Any], table: Table, rows: list[Values], batch: int) -> None:
    """Rows that `adapted` gave, a transaction a batch. A partition that is missing must have been made before."""
    todo = statements(table)
    with connection.cursor() as cursor:
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            with connection.transaction():
                for statement, places in todo:
                    whole = places == list(range(len(table.columns)))
                    cursor.executemany(statement, part if whole else [tuple(row[p] for p in places) for row in part])
