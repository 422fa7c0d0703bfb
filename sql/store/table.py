"""A table as Python sees it: a frozen class for its rows, and what identifies one. Everything else is derived.

All SQL of `statements` is made from these declarations, and never from what a user sends.
"""

import types
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from operators.identity import identity

DERIVED = uuid.UUID(int=0)
"""Stands in a row's `id` until the repository derives the real one from the natural key."""

Json = dict[str, Any]
"""A jsonb object."""
JsonList = list[Any]
"""A jsonb array."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What every row is: immutable, its fields the table's columns.

    A field that is None on the way in is left to the column's default.
    """


Row = TypeVar("Row", bound=Record)

TYPES: dict[Any, str] = {
    str: "text", int: "integer", float: "float8", bool: "boolean", bytes: "bytea", uuid.UUID: "uuid",
    datetime: "timestamptz", date: "date", timedelta: "interval", Json: "jsonb", JsonList: "jsonb",
    list[str]: "text[]", list[uuid.UUID]: "uuid[]",
}  # fmt: skip
"""SQL's name for the type of a field; `integer` stands for bigint too."""


@dataclass(frozen=True)
class Column:
    """A column: its field's type without None, and whether it may be null."""

    python: Any
    nullable: bool

    @property
    def kind(self) -> str:
        """Its type in SQL."""
        return TYPES[self.python]


@dataclass(frozen=True)
class TableOf(Generic[Row]):
    """A declared table.

    `key`: the columns that identify a row. `time`: the column by which the table is cut into chunks or partitions; it
    belongs to the primary key, and where it is not in `key`, the key is unique without it. `identify` derives a row's
    id. `kept`: columns that writing a row again leaves as they are.
    """

    row: type[Row]
    name: str
    key: tuple[str, ...] = ("id",)
    time: str = ""
    identify: Callable[[Row], uuid.UUID] | None = None
    kept: tuple[str, ...] = ("created_at",)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns by name, in the order of the class."""
        hints = get_type_hints(self.row)
        return {name: _column(hints[name]) for name in self.row.__struct_fields__}

    @property
    def primary(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return self.key if not self.time or self.time in self.key else (*self.key, self.time)

    def identified(self, row: Row) -> Row:
        """The row with its id; raises ValueError where there is nothing to derive it from."""
        if getattr(row, "id", None) != DERIVED:
            return row
        if self.identify is None:
            raise ValueError(f"a row of {self.name} needs its id: it is its event's")
        return msgspec.structs.replace(row, id=self.identify(row))


def derived(kind: str, *columns: str) -> Callable[[Any], uuid.UUID]:
    """An id from the natural key: the same row gets the same id, whoever makes it and however often.

    >>> from types import SimpleNamespace
    >>> of = derived("ml_model", "model_name", "model_version")
    >>> of(SimpleNamespace(model_name="failure", model_version="3")) == identity("ml_model", "failure\\0" + "3")
    True
    """
    return lambda row: identity(kind, "\0".join(_text(getattr(row, name)) for name in columns))


def _text(value: object) -> str:
    """A value of a key as text that does not depend on a time zone."""
    return str(round(value.timestamp() * 1_000_000)) if isinstance(value, datetime) else str(value)


def _column(hint: Any) -> Column:
    if get_origin(hint) in (Union, types.UnionType):
        inner = [argument for argument in get_args(hint) if argument is not types.NoneType]
        return Column(inner[0], nullable=True)
    return Column(hint, nullable=False)
