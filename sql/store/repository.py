"""Create, read, update and delete for any declared table, and its listings by page."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, Generic

import msgspec
from psycopg import Cursor, sql
from psycopg.rows import kwargs_row
from psycopg.types.json import Jsonb

from sql.store import page as pages
from sql.store import statements
from sql.store.errors import BadRequest, Conflict, NotFound, Refused
from sql.store.page import Page
from sql.store.pool import Connection, Database
from sql.store.queries import query
from sql.store.table import Row, TableOf
from sql.store.where import Conditions, where

Key = str | int | uuid.UUID | datetime | date | timedelta | tuple[Any, ...]
"""A row's key: its value, or in a tuple the values of several columns."""

_json = partial(json.dumps, allow_nan=False)


class Repository(Generic[Row]):
    """The rows of one table.

    ``near``, wherever it can be given, is the row's time to about a day: in a table that is cut by time, only the
    pieces around it are looked into. Each call is a transaction, or part of the one that `Database.write` has open.
    """

    def __init__(self, database: Database, table: TableOf[Row]) -> None:
        self._database = database
        self.table = table

    def get(self, key: Key, *, near: datetime | None = None) -> Row:
        """The row with this key; raises :class:`NotFound`."""
        statement = statements.select(self.table) + sql.SQL(" WHERE ")
        statement += statements.with_key(self.table, near is not None)
        with self._database.read() as connection:
            row = self._cursor(connection).execute(statement, self._key(key, near)).fetchone()
        if row is None:
            raise self._not_found(key)
        return row

    def create(self, row: Row) -> Row:
        """Insert a row, and give it back as it is stored; :class:`Refused` where its key is taken."""
        return self._write([row], statements.insert)[0]

    def save(self, row: Row) -> Row:
        """Insert a row, or put it in the place of the one with the same key; gives it back as it is stored."""
        return self._write([row], statements.upsert)[0]

    def save_all(self, rows: Iterable[Row]) -> int:
        """`save` for many rows in one transaction; gives their number. Of rows with one key the last stays."""
        return len(self._write(list(rows), statements.upsert, answer=False))

    def update(
        self,
        key: Key,
        changes: Mapping[str, Any],
        *,
        expected: Mapping[str, Any] | None = None,
        near: datetime | None = None,
    ) -> Row:
        """Set columns of a row, and give it back as it is then.

        ``expected``: values that the row must still have, such as those the caller saw: :class:`Conflict` if it has
        others. :class:`NotFound` if the row is gone, :class:`Refused` if a rule of the table is broken.
        """
        expected = expected or {}
        self._check_columns([*changes, *expected])
        if not changes or fixed(self.table, changes):
            raise ValueError(f"these columns of {self.table.name} can't be changed: {fixed(self.table, changes)}")
        statement = statements.update(self.table, tuple(changes), tuple(expected), near is not None)
        values = self._key(key, near)
        values |= {f"set_{name}": self._adapted(name, value) for name, value in changes.items()}
        values |= {f"was_{name}": self._adapted(name, value) for name, value in expected.items()}
        with self._database.write() as connection:
            row = self._cursor(connection).execute(statement, values).fetchone()
            if row is None:
                self.get(key, near=near)
                raise Conflict(f"{self.table.name} {_shown(key)} was changed by somebody else")
        return row

    def delete(self, key: Key, *, near: datetime | None = None) -> None:
        """Remove a row; :class:`NotFound` if there is none, :class:`Refused` if another row refers to it."""
        with self._database.write() as connection:
            found = connection.execute(statements.delete(self.table, near is not None), self._key(key, near)).fetchall()
            if not found:
                raise self._not_found(key)

    def page(
        self,
        conditions: Conditions = (),
        *,
        order: str,
        descending: bool = True,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Row]:
        """Rows by a column and then by key; nulls come last. ``after``: the cursor of the page before."""
        limit = pages.checked_limit(limit)
        if order not in self.table.columns:
            raise BadRequest(f"{self.table.name} can't be ordered by {order[:100]!r}")
        columns = (order, *(name for name in self.table.primary if name != order))
        listing = pages.listing_id(self.table.name, columns, descending, [c for c in conditions if c is not None])
        place = pages.decode(after, listing, self._kinds(columns)) if after else None
        rows = self._rows(conditions, columns, descending, limit + 1, place)
        more = len(rows) > limit
        last = [getattr(rows[limit - 1], name) for name in columns] if more else None
        return Page(rows[:limit], pages.encode(listing, last) if last else None)

    def all(self, conditions: Conditions, *, order: str, descending: bool = False) -> list[Row]:
        """The first 1000 rows by a column: for what is few by nature, such as the steps of a run."""
        return self.page(conditions, order=order, descending=descending, limit=pages.MOST).items

    def first(self, conditions: Conditions, *, order: str, descending: bool = True) -> Row | None:
        """The first row by a column, if there is one."""
        return next(iter(self.page(conditions, order=order, descending=descending, limit=1).items), None)

    def _rows(
        self, conditions: Conditions, order: tuple[str, ...], descending: bool, number: int, place: list[Any] | None
    ) -> list[Row]:
        condition, values = where(conditions)
        compose = partial(statements.page, self.table, condition.as_string(), order, descending=descending)
        with self._database.read() as connection:
            cursor = self._cursor(connection)
            if not self.table.columns[order[0]].nullable:
                text = compose(behind=place is not None)
                return cursor.execute(text, [*values, *(place or []), number]).fetchall()
            rows: list[Row] = []
            if place is None or place[0] is not None:
                text = compose(behind=place is not None, null=False)
                rows = cursor.execute(text, [*values, *(place or []), number]).fetchall()
                place = None
            if len(rows) < number:
                text = compose(behind=place is not None, null=True)
                rows += cursor.execute(text, [*values, *(place or [])[1:], number - len(rows)]).fetchall()
            return rows

    def _write(self, rows: Sequence[Row], compose: Any, *, answer: bool = True) -> list[Row]:
        rows = [self.table.identified(row) for row in rows]
        written: list[Row] = []
        with self._database.write() as connection:
            self._ensure_partitions(connection, rows)
            for absent, group in groupby(rows, key=_absent):
                statement = compose(self.table, absent)
                values = [self._values(row) for row in group]
                if answer:
                    cursor = self._cursor(connection)
                    written += [
                        row
                        for one in values
                        for row in cursor.execute(statement + statements.returning(self.table), one)
                    ]
                else:
                    connection.cursor().executemany(statement, values)
        return written if answer else list(rows)

    def _values(self, row: Row) -> dict[str, Any]:
        return {name: self._adapted(name, getattr(row, name)) for name in self.table.columns}

    def _adapted(self, name: str, value: Any) -> Any:
        if value is None or self.table.columns[name].kind != "jsonb":
            return value
        try:
            _json(value)
        except (TypeError, ValueError) as error:
            raise Refused(f"refused: {self.table.name}.{name} is no JSON: {error}") from error
        return Jsonb(value, dumps=_json)

    def _key(self, key: Key, near: datetime | None) -> dict[str, Any]:
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) != len(self.table.key):
            raise ValueError(f"the key of {self.table.name} is ({', '.join(self.table.key)})")
        return {f"key_{name}": part for name, part in zip(self.table.key, parts, strict=True)} | {"near": near}

    def _kinds(self, columns: tuple[str, ...]) -> list[Any]:
        found = [self.table.columns[name] for name in columns]
        return [column.python | None if column.nullable else column.python for column in found]

    def _check_columns(self, columns: Iterable[str]) -> None:
        unknown = [name for name in columns if name not in self.table.columns]
        if unknown:
            raise ValueError(f"{self.table.name} has no column {', '.join(unknown)}")

    def _ensure_partitions(self, connection: Connection, rows: Sequence[Row]) -> None:
        if self.table.time and rows:
            times = sorted({getattr(row, self.table.time) for row in rows})
            connection.execute(statements.ensure_partitions(self.table.name), [times])

    def _cursor(self, connection: Connection) -> Cursor[Row]:
        return connection.cursor(row_factory=kwargs_row(self.table.row))

    def _not_found(self, key: Key) -> NotFound:
        return NotFound(f"{self.table.name} has no row {_shown(key)}")


class Module:
    """What the modules' classes share: a database, and questions that one statement answers."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def ask(self, name: str, row: type[Row], **values: Any) -> list[Row]:
        """The rows that ``sql/queries/NAME.sql`` gives."""
        with self.database.read() as connection:
            return connection.cursor(row_factory=kwargs_row(row)).execute(query(name), values).fetchall()


def fixed(table: TableOf[Any], columns: Iterable[str]) -> list[str]:
    """Those of the columns that an update can't change: they say which row it is, and where it is stored."""
    return [name for name in columns if name in table.primary]


def _absent(row: msgspec.Struct) -> frozenset[str]:
    return frozenset(name for name in row.__struct_fields__ if getattr(row, name) is None)


def _shown(key: Key) -> str:
    """A key in a message, cut short."""
    return ", ".join(str(part)[:80] for part in (key if isinstance(key, tuple) else (key,)))
