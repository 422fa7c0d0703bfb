"""The SQL of the repositories, made from declarations."""

from functools import cache
from typing import Any

from psycopg import sql

from sql.store.table import TableOf

_Table = TableOf[Any]
SEVERAL = sql.SQL(", ")


def names(columns: tuple[str, ...] | list[str], prefix: str = "") -> sql.Composed:
    """Columns, comma-separated."""
    return SEVERAL.join(sql.Identifier(prefix, name) if prefix else sql.Identifier(name) for name in columns)


@cache
def select(table: _Table) -> sql.Composed:
    """All declared columns of a table."""
    return sql.SQL("SELECT {c} FROM {t}").format(c=names([*table.columns]), t=sql.Identifier(table.name))


@cache
def insert(table: _Table, absent: frozenset[str]) -> sql.Composed:
    """A new row: parameters by name, `absent` columns left to their defaults."""
    values = [sql.SQL("DEFAULT") if name in absent else sql.Placeholder(name) for name in table.columns]
    return sql.SQL("INSERT INTO {t} ({c}) VALUES ({v})").format(
        t=sql.Identifier(table.name), c=names([*table.columns]), v=SEVERAL.join(values)
    )


@cache
def upsert(table: _Table, absent: frozenset[str]) -> sql.Composed:
    """A row in the place of the one with the same primary key, if there is one."""
    changed = [name for name in table.columns if name not in {*table.primary, *table.kept}]
    return sql.SQL("{i} ON CONFLICT ({k}) DO UPDATE SET {a}").format(
        i=insert(table, absent),
        k=names(table.primary),
        a=SEVERAL.join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in changed),
    )


@cache
def returning(table: _Table) -> sql.Composed:
    """The clause that gives the row as it now is."""
    return sql.SQL(" RETURNING {}").format(names([*table.columns]))


@cache
def with_key(table: _Table, near: bool) -> sql.Composed:
    """The condition that a row has the key, parameters `key_…`, and with `near` that its time is about `near`."""
    tests = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"key_{name}")) for name in table.key]
    if near:
        tests.append(
            sql.SQL(
                "{0} BETWEEN %(near)s::timestamptz - interval '1 d' AND %(near)s::timestamptz + interval '1 d'"
            ).format(sql.Identifier(table.time))
        )
    return sql.SQL(" AND ").join(tests)


@cache
def update(table: _Table, changed: tuple[str, ...], expected: tuple[str, ...], near: bool) -> sql.Composed:
    """Set columns, parameters `set_…`, of the row with the key, if it still has the values `was_…`."""
    return sql.SQL("UPDATE {t} SET {a} WHERE {w}{e}{r}").format(
        t=sql.Identifier(table.name),
        a=SEVERAL.join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"set_{name}")) for name in changed
        ),
        w=with_key(table, near),
        e=sql.Composed(
            [
                sql.SQL(" AND {} IS NOT DISTINCT FROM {}").format(sql.Identifier(name), sql.Placeholder(f"was_{name}"))
                for name in expected
            ]
        ),
        r=returning(table),
    )


@cache
def delete(table: _Table, near: bool) -> sql.Composed:
    """Remove the row with the key."""
    return sql.SQL("DELETE FROM {t} WHERE {w} RETURNING {k}").format(
        t=sql.Identifier(table.name), w=with_key(table, near), k=names(table.primary)
    )


def rendered(text: sql.Composable) -> sql.SQL:
    """The same as one text: to put one together costs more than many a query."""
    return sql.SQL(text.as_string())


@cache
def page(
    table: _Table,
    condition: str,
    order: tuple[str, ...],
    *,
    descending: bool,
    behind: bool,
    null: bool | None = None,
) -> sql.SQL:
    """Rows of a listing in order, the last parameter their number, `behind` a place (before it as many parameters).

    ``null``: whether the first of the ordering columns is null in these rows; None = it can't be. Rows with null come
    last, by the other columns, as a query of their own: a comparison of rows knows no null, and this way an index on
    the columns serves both.
    """
    compared = order[1:] if null else order
    tests: list[sql.Composable] = [sql.SQL(condition)]
    if null is not None:
        tests.append(sql.SQL("{} IS NULL" if null else "{} IS NOT NULL").format(sql.Identifier(order[0])))
    if behind:
        tests.append(
            sql.SQL("({}) {} ({})").format(
                names(compared), sql.SQL("<" if descending else ">"), SEVERAL.join(sql.Placeholder() * len(compared))
            )
        )
    direction = sql.SQL(" DESC" if descending else "")
    whole = sql.SQL("{s} WHERE {w} ORDER BY {o} LIMIT %s").format(
        s=select(table),
        w=sql.SQL(" AND ").join(tests),
        o=SEVERAL.join(sql.Identifier(name) + direction for name in compared),
    )
    return rendered(whole)


@cache
def ensure_partitions(name: str) -> sql.Composed:
    """Make the partitions that rows of these times need."""
    return sql.SQL("SELECT ensure_partitions({}::regclass, %s::timestamptz[])").format(sql.Literal(name))
