"""Conditions on the columns of a table: what listings filter by. Columns are ours, values are parameters."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

_FORMS = {
    "equals": sql.SQL("{} = %s"),
    "one_of": sql.SQL("{} = ANY(%s)"),
    "at_least": sql.SQL("{} >= %s"),
    "below": sql.SQL("{} < %s"),
    "has": sql.SQL("{} @> ARRAY[%s]"),
    "nightly": sql.SQL("starts_with({}, 'nightly: ')"),
    "not_nightly": sql.SQL("NOT starts_with({}, 'nightly: ')"),
    "contains": sql.SQL("position(lower(%s) IN lower({})) > 0"),
}

_PLAIN = ("nightly", "not_nightly")
"""Forms without a parameter: a partial index is used where its own text stands in the query."""


@dataclass(frozen=True)
class Condition:
    """A condition on one column."""

    column: str
    form: str
    value: Any

    def composed(self) -> sql.Composed:
        """As SQL with one parameter, or none (`_PLAIN`)."""
        return _FORMS[self.form].format(sql.Identifier(self.column))


Conditions = Sequence[Condition | None]
"""Conditions that must all hold; None holds always, so that a filter nobody gave costs nothing to write."""


def equals(column: str, value: Any) -> Condition | None:
    """The column has this value."""
    return None if value is None else Condition(column, "equals", value)


def one_of(column: str, values: Collection[Any] | None) -> Condition | None:
    """The column has one of these values; of no values, none."""
    return None if values is None else Condition(column, "one_of", sorted(values))


def at_least(column: str, value: Any) -> Condition | None:
    """The column's value is this or greater."""
    return None if value is None else Condition(column, "at_least", value)


def below(column: str, value: Any) -> Condition | None:
    """The column's value is less than this."""
    return None if value is None else Condition(column, "below", value)


def has(column: str, value: Any) -> Condition | None:
    """The column, an array, has this element."""
    return None if value is None else Condition(column, "has", value)


def contains(column: str, text: str | None) -> Condition | None:
    """The column's text contains this, in capitals or not. No character has a special meaning."""
    return Condition(column, "contains", text) if text else None


def nightly(column: str, wanted: bool | None) -> Condition | None:
    """The column names an algorithm of the nightly flow (`wanted`), or of the realtime flow; None holds always."""
    return None if wanted is None else Condition(column, "nightly" if wanted else "not_nightly", None)


def between(column: str, since: datetime | None, until: datetime | None) -> list[Condition | None]:
    """The column's time is in [since, until)."""
    return [at_least(column, since), below(column, until)]


def where(conditions: Conditions) -> tuple[sql.Composable, list[Any]]:
    """All conditions as SQL (`true` for none), and their parameters.

    >>> text, values = where([equals("status", "open"), None, at_least("priority", 2)])
    >>> text.as_string(), values
    ('"status" = %s AND "priority" >= %s', ['open', 2])
    """
    given = [condition for condition in conditions if condition is not None]
    if not given:
        return sql.SQL("true"), []
    return sql.SQL(" AND ").join(c.composed() for c in given), [c.value for c in given if c.form not in _PLAIN]
