"""What a database's catalogue says of a schema: tables, views and functions, with their comments.

Read alike from what the migrations made and from the specification's own schema. Pieces of tables (partitions) and what
belongs to an extension are no part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

_RELATIONS = """
SELECT oid, relname, relkind IN ('r', 'p'), coalesce(obj_description(oid, 'pg_class'), '')
FROM pg_class
WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
ORDER BY relname
"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
    CASE WHEN a.attidentity <> '' THEN 'a running number' ELSE coalesce(pg_get_expr(d.adbin, d.adrelid, true), '') END,
    coalesce(col_description(a.attrelid, a.attnum), '')
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_CONSTRAINTS = """
SELECT contype::text, conname, pg_get_constraintdef(oid, true),
    ARRAY(SELECT attname FROM unnest(conkey) AS n JOIN pg_attribute ON attrelid = conrelid AND attnum = n)
FROM pg_constraint WHERE conrelid = %s AND contype IN ('p', 'u', 'f', 'c')
ORDER BY conname
"""
_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid, 0, true)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %s AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u'))
ORDER BY c.relname
"""
_FUNCTIONS = """
SELECT p.proname, pg_get_function_identity_arguments(p.oid), coalesce(pg_get_function_result(p.oid), ''),
    coalesce(obj_description(p.oid, 'pg_proc'), '')
FROM pg_proc AS p
WHERE p.pronamespace = %s::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
ORDER BY p.proname, 2
"""
_SHORT = {
    "timestamp with time zone": "timestamptz",
    "double precision": "float8",
    "character varying": "varchar",
}
_CAST = re.compile(
    r"::(?:double precision|character varying|timestamp with(?:out)? time zone|[a-z]\w*)(?:\(\d+\))?(?:\[\])?"
)


@dataclass(frozen=True)
class Column:
    """A column; ``default`` is SQL, empty for none."""

    name: str
    kind: str
    nullable: bool
    default: str
    comment: str


@dataclass(frozen=True)
class Check:
    """A CHECK: its name, its condition as SQL without what PostgreSQL adds, the columns it is about."""

    name: str
    condition: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Relation:
    """A table or a view; a view has columns only.

    ``key`` is the primary key as ``(a, b)``, ``uniques`` are constraints of that form, ``references`` foreign keys as
    ``a → table``, ``indexes`` name → ``method (columns)``, constraints' own indexes left out.
    """

    name: str
    is_table: bool
    comment: str
    columns: tuple[Column, ...]
    key: str
    uniques: tuple[str, ...]
    references: tuple[str, ...]
    checks: tuple[Check, ...]
    indexes: dict[str, str]


@dataclass(frozen=True)
class Function:
    """A function or procedure: its arguments, what it gives (empty for a procedure) and its comment."""

    name: str
    arguments: str
    result: str
    comment: str


def relations(connection: Connection[Any], schema: str) -> dict[str, Relation]:
    """The tables and views of a schema, by name."""
    found = connection.execute(_RELATIONS, [schema]).fetchall()
    return {name: _relation(connection, oid, name, is_table, text) for oid, name, is_table, text in found}


def functions(connection: Connection[Any], schema: str) -> list[Function]:
    """The functions and procedures of a schema, by name."""
    rows = connection.execute(_FUNCTIONS, [schema]).fetchall()
    return [Function(name, short(arguments), short(result), comment) for name, arguments, result, comment in rows]


def _relation(connection: Connection[Any], oid: int, name: str, is_table: bool, comment: str) -> Relation:
    columns = tuple(
        Column(column, short(kind), nullable, thin(default), text)
        for column, kind, nullable, default, text in connection.execute(_COLUMNS, [oid]).fetchall()
    )
    kinds: dict[str, list[tuple[str, str, list[str]]]] = {"p": [], "u": [], "f": [], "c": []}
    for kind, constraint, text, names in connection.execute(_CONSTRAINTS, [oid]).fetchall():
        kinds[kind].append((constraint, text, names))
    checks = (Check(name, thin(text.removeprefix("CHECK ")), tuple(names)) for name, text, names in kinds["c"])
    return Relation(
        name,
        is_table,
        comment,
        columns,
        "".join(text.removeprefix("PRIMARY KEY ") for _, text, _ in kinds["p"]),
        tuple(sorted(text.removeprefix("UNIQUE ") for _, text, _ in kinds["u"])),
        tuple(sorted(_reference(text) for _, text, _ in kinds["f"])),
        tuple(checks),
        {index: _method(text) for index, text in connection.execute(_INDEXES, [oid]).fetchall()},
    )


def _reference(text: str) -> str:
    """``a → table`` of a foreign key's definition.

    >>> _reference("FOREIGN KEY (model_id) REFERENCES ml_models(id) ON DELETE CASCADE")
    'model_id → ml_models'
    """
    found = re.fullmatch(r"FOREIGN KEY \((.+?)\) REFERENCES (?:\w+\.)?(\w+)\(.*", text)
    if not found:
        raise ValueError(f"not a foreign key: {text}")
    return f"{found[1]} → {found[2]}"


def _method(text: str) -> str:
    """Method, columns and condition of an index.

    >>> _method("CREATE UNIQUE INDEX i ON ONLY public.t USING btree (a, b) WHERE is_active")
    'unique btree (a, b) where is_active'
    """
    unique = "unique " if text.startswith("CREATE UNIQUE") else ""
    return unique + thin(text.partition(" USING ")[2]).replace(" WHERE ", " where ")


def short(text: str) -> str:
    """SQL with the short names of types.

    >>> short("character varying(255)[]"), short("times timestamp with time zone[]")
    ('varchar(255)[]', 'times timestamptz[]')
    """
    for long, name in _SHORT.items():
        text = text.replace(long, name)
    return text


def thin(text: str) -> str:
    """An expression of PostgreSQL's pretty-printer without casts, and in words where it is a range or a list.

    >>> thin("(n > 0 AND (status = ANY (ARRAY['a'::text, 'b'::text])))")
    "n > 0 AND (status in 'a', 'b')"
    >>> thin("(score >= 0::double precision AND score <= 1::double precision)")
    'score from 0 to 1'
    >>> thin("(v > '-Infinity'::double precision AND v < 'Infinity'::double precision)")
    'v finite'
    """
    text = _CAST.sub("", text)
    text = re.sub(r"= ANY \(ARRAY\[(.*?)\]\)", r"in \1", text)
    text = re.sub(r"'(-?\d+)'", r"\1", text)
    text = re.sub(r"(\w+) > '-Infinity' AND \1 < 'Infinity'", r"\1 finite", text)
    text = re.sub(r"(\w+) >= 0 AND \1 < 'Infinity'", r"\1 finite, 0 or more", text)
    text = re.sub(r"(\w+) >= (-?\d+) AND \1 <= (-?\d+)", r"\1 from \2 to \3", text)
    return text[1:-1] if text.startswith("(") and _closes_at_end(text) else text


def _closes_at_end(text: str) -> bool:
    """Whether the bracket that opens the text closes at its end."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return at == len(text) - 1
    return False
