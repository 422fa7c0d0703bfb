"""The page of the tables: ``docs/tables.md``, from the catalogue and the comments of a migrated database.

It is written with an embedded server on plain PostgreSQL, in about two seconds. ``make lint`` needs no server, so not
``--check`` but a test sees to it that the page is current.
"""

from __future__ import annotations

import re
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from flows import docs_catalogue, docs_departures
from sinks import migrate
from sinks.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flows.docs_catalogue import Column, Function, Relation
    from flows.docs_departures import Departure

    Table = Callable[[Sequence[str], Sequence[Sequence[str]]], str]

MODULES = (
    "Task management",
    "Pipeline execution",
    "System metrics",
    "Performance analytics",
    "Integration events",
    "Pattern storage",
    "Machine learning models",
)
"""The specification's modules; the migration of the same number makes each."""

REST = "What the flows and the storage need besides"

INTRO = """The seven modules of the specification, what was added to them, the views and functions, and each departure
from the specification with its reason. It shows plain PostgreSQL; on TimescaleDB names and columns are the same,
`rollup_1h` and `rollup_1d` are continuous aggregates, and there is no table `partitions`. Who reads takes the views:
the role `hindsight_reader` sees nothing else."""

SHOWN = 25
"""Differences that one line of the departures names; of more, how many there are."""

_POLICIES = """
SELECT table_name, time_column, chunk::text, coalesce('kept ' || extract(day FROM keep) || ' days', 'kept for ever')
FROM storage_policies
"""


def written(table: Table, note: str) -> str:
    """The page, from a database that is made for it and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hindsight-docs-") as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate.migrate(server.url(), wanted="plain")
        return page(server.url(), table, note)


def page(url: str, table: Table, note: str) -> str:
    """The page, from a migrated database of plain PostgreSQL.

    ``table`` makes a Markdown table, ``note`` says that the page is generated. Raises
    :class:`flows.docs_departures.UnexplainedError`.
    """
    with psycopg.connect(url) as connection:
        found = docs_catalogue.relations(connection, "public")
        wanted = specification(connection)
        functions = docs_catalogue.functions(connection, "public")
        policies = {name: rest for name, *rest in connection.execute(_POLICIES).fetchall()}
        connection.rollback()
    departures = docs_departures.explain(docs_departures.differences(wanted, found))
    parts = [
        "# Tables",
        note,
        INTRO,
    ]
    for title, tables in _modules(found):
        parts.append(f"## {title}")
        parts += [part for one in tables for part in _table(one, policies.get(one.name), table)]
    parts.append("## Views")
    parts += [part for view in found.values() if not view.is_table for part in _view(view, table)]
    parts += ["## Functions", _functions(functions, table)]
    parts += ["## Departures from the specification", _departures(departures, table)]
    return "\n\n".join(parts) + "\n"


def specification(connection: psycopg.Connection[Any]) -> Mapping[str, Relation]:
    """The specification's own tables, made in this transaction in a schema of their own."""
    connection.execute("CREATE SCHEMA specification; SET LOCAL search_path TO specification")
    connection.execute((files("sql") / "specification.sql").read_bytes())
    found = docs_catalogue.relations(connection, "specification")
    connection.execute("DROP SCHEMA specification CASCADE; SET LOCAL search_path TO public")
    return found


def _modules(found: Mapping[str, Relation]) -> Iterator[tuple[str, list[Relation]]]:
    """Each module's title and its tables, in the order in which its migration makes them."""
    left = {name: one for name, one in found.items() if one.is_table}
    for migration in migrate.available()[: len(MODULES)]:
        names = re.findall(r"^CREATE TABLE (\w+)", migration.text, re.MULTILINE)
        title = f"Module {migration.version}: {MODULES[migration.version - 1]}"
        yield title, [left.pop(name) for name in names]
    yield REST, list(left.values())


def _table(one: Relation, policy: Sequence[str] | None, table: Table) -> Iterator[str]:
    yield f"### {one.name}"
    yield one.comment
    if policy:
        time, chunk, keep = policy
        yield f"Cut by `{time}` into pieces of {chunk}, {keep}."
    checks = {column: [c.condition for c in one.checks if c.columns == (column,)] for column in _names(one.columns)}
    yield table(
        ["column", "type", "null, default", "values", "meaning"],
        [
            (
                f"`{column.name}`",
                column.kind,
                _default(column),
                _values(column.name, checks[column.name]),
                column.comment,
            )
            for column in one.columns
        ],
    )
    lines = [f"key {_code(one.key)}"]
    lines += [f"unique {_code(unique)}" for unique in one.uniques]
    lines += [f"refers: {_code(reference)}" for reference in one.references]
    lines += [f"index `{name}`: {definition}" for name, definition in one.indexes.items()]
    lines += [f"check {_code(check.condition)}" for check in one.checks if len(check.columns) != 1]
    yield "\n".join(f"- {line}" for line in lines)


def _view(view: Relation, table: Table) -> Iterator[str]:
    yield f"### {view.name}"
    yield view.comment
    rows = [(f"`{column.name}`", column.kind, column.comment) for column in view.columns]
    yield table(["column", "type", "meaning"], rows)


def _functions(functions: Iterable[Function], table: Table) -> str:
    rows = [
        (f"`{one.name}({one.arguments.replace('IN ', '')})`", _result(one.result), one.comment)
        for one in functions
        if one.result != "trigger"
    ]
    return table(["function", "gives", "meaning"], rows)


def _departures(departures: Iterable[Departure], table: Table) -> str:
    """A row a reason."""
    rows = []
    for departure in departures:
        shown = list(departure.differences)
        if len(shown) > SHOWN:
            first = shown[0].partition(" ")[0]
            kinds = sorted({difference.rpartition(": ")[2] for difference in shown})
            what = f": {'; '.join(kinds)}" if len(kinds) <= SHOWN else ""
            shown = [f"{len(shown)} × {first}{what}"]
        rows.append(("<br>".join(shown), departure.reason))
    return table(["difference", "reason"], rows)


def _names(columns: Iterable[Column]) -> list[str]:
    return [column.name for column in columns]


def _default(column: Column) -> str:
    parts = ["null"] if column.nullable else []
    return ", ".join([*parts, _code(column.default)] if column.default else parts)


def _values(column: str, conditions: Iterable[str]) -> str:
    """Conditions of one column, without its name where they begin with it.

    >>> _values("status", ["status in 'a', 'b'"]), _values("tags", ["jsonb_typeof(tags) = 'array'"])
    ("'a', 'b'", "jsonb_typeof(tags) = 'array'")
    >>> _values("n", ["n > 0"]), _values("score", ["score from 0 to 1"]), _values("v", ["v finite"])
    ('> 0', '0 to 1', 'finite')
    """
    words = []
    for condition in conditions:
        text = condition.removeprefix(f"{column} ")
        words.append(text.removeprefix("in ").removeprefix("from ") if text != condition else condition)
    return "; ".join(words)


def _result(text: str) -> str:
    return text.replace("TABLE(", "rows (") or "(a procedure)"


def _code(text: str) -> str:
    return f"`{text}`"
