"""The binary COPY tuples, read back by an independent reader and by PostgreSQL itself."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import pgcopy
from operators import tables as t
from tests.pgread import fields, read, value

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
MOMENTS = st.datetimes(timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "float8": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "text": TEXT,
    "bytea": st.binary(max_size=20),
    "jsonb": st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    ).filter(lambda document: isinstance(document, dict | list)),
    "uuid": st.uuids(),
    "timestamptz": MOMENTS,
    "text[]": st.lists(TEXT, max_size=4),
    "uuid[]": st.lists(st.uuids(), max_size=4),
}
KINDS = sorted(VALUES)
ROWS = st.tuples(*(st.none() | VALUES[kind] for kind in KINDS))


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def test_every_type_of_the_tables_is_tried_here() -> None:
    assert {kind for table in t.ALL for _, kind in table.columns} <= set(KINDS) == set(pgcopy.ENCODERS)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_a_row_reads_back(row: tuple[Any, ...]) -> None:
    found = read([(kind, kind) for kind in KINDS], pgcopy.Encoder(KINDS)(row))
    wanted = dict(zip(KINDS, row, strict=True))
    if wanted["timestamptz"] is not None:
        wanted["timestamptz"] = micros(wanted["timestamptz"])
    assert found == wanted


@settings(max_examples=100, deadline=None)
@given(st.datetimes(timezones=st.timezones()))
def test_micros_are_exact(moment: datetime) -> None:
    assert pgcopy.micros(moment) == micros(moment.astimezone(UTC) if moment.year not in (1, 9999) else moment)
    assert value("timestamptz", fields(pgcopy.Encoder(["timestamptz"])([moment]))[0] or b"") == pgcopy.micros(moment)


def test_a_time_may_be_microseconds_and_json_bytes() -> None:
    row = pgcopy.Encoder(["timestamptz", "jsonb"])([1_767_608_130_250_123, b'{"a": 1}'])
    assert read([("at", "timestamptz"), ("of", "jsonb")], row) == {"at": 1_767_608_130_250_123, "of": {"a": 1}}


def test_too_few_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pgcopy.Encoder(["int", "int"])([1])


@settings(max_examples=8, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=20))
def test_postgres_reads_the_same(module_database: str, rows: list[tuple[Any, ...]]) -> None:
    names = [f"c{number}" for number in range(len(KINDS))]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, KINDS, strict=True))
    encode = pgcopy.Encoder(KINDS)
    with psycopg.connect(module_database) as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute(f"CREATE TEMP TABLE tried (place serial, {columns}) ON COMMIT DROP")
        with cursor.copy(f"COPY tried ({', '.join(names)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(b"".join([pgcopy.HEADER, *map(encode, rows), pgcopy.TRAILER]))
        cursor.execute(f"SELECT {', '.join(names)} FROM tried ORDER BY place")
        assert cursor.fetchall() == rows


def test_uuid_arrays_keep_their_order() -> None:
    ids = [uuid.UUID(int=number) for number in (3, 1, 2)]
    assert read([("ids", "uuid[]")], pgcopy.Encoder(["uuid[]"])([ids]))["ids"] == ids
