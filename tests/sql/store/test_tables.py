from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import psycopg
import pytest

from operators import tables as streamed
from sql.store.errors import BadRequest, Conflict, NotFound, Refused
from sql.store.pool import Database
from sql.store.repository import Repository
from sql.store.table import DERIVED, TableOf
from tests.sql.store.samples import DAY, T0, TABLES, parents, sample

LEFT_OUT = {("recommendation_effectiveness", "event_time"), ("recommendation_effectiveness", "event_id")}
"""Columns that are the stream's alone: the default of event_time is before all times that Python knows."""
UDT = {"text[]": "_text", "uuid[]": "_uuid", "boolean": "bool"}


@pytest.fixture(scope="module")
def catalogue(module_database: str) -> dict[str, dict[str, tuple[str, bool]]]:
    with psycopg.connect(module_database) as connection:
        rows = connection.execute(
            "SELECT table_name::text, column_name::text, udt_name::text, is_nullable = 'YES'"
            " FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for table, column, kind, nullable in rows:
        found.setdefault(table, {})[column] = (kind, nullable)
    return found


def test_every_table_of_the_specification_is_declared() -> None:
    names = {table.name for table in TABLES}
    assert len(names) == len(TABLES) == 32 + 3  # with model_versions; series, dead letters and code dependencies
    assert {table.name for table in streamed.ALL} - names == {
        "stream_counters", "rollups_10s", "rollups_1m", "rollups_5m", "imports",
    }  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_declaration_is_the_catalogues(table: TableOf[Any], catalogue: dict[str, Any]) -> None:
    columns = catalogue[table.name]
    assert set(columns) - set(table.columns) == {name for where, name in LEFT_OUT if where == table.name}
    for name, column in table.columns.items():
        kind, nullable = columns[name]
        assert kind in ({"int4", "int8"} if column.kind == "integer" else {UDT.get(column.kind, column.kind)}), name
        assert column.nullable or not nullable or column.python is not None, name
        if nullable:
            assert column.nullable, f"{name} may be null"


def test_primary_keys_and_times_are_the_catalogues(module_database: str) -> None:
    with psycopg.connect(module_database) as connection:
        keys = connection.execute(
            "SELECT i.indrelid::regclass::text, array_agg(a.attname::text) FROM pg_index i"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
            " WHERE i.indisprimary GROUP BY 1"
        ).fetchall()
        times = dict(connection.execute("SELECT table_name, time_column FROM storage_policies").fetchall())
    primary = {name: set(columns) for name, columns in keys}
    for table in TABLES:
        assert set(table.primary) == primary[table.name], table.name
        assert table.time == times.get(table.name, ""), table.name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_goes_in_and_comes_back(table: TableOf[Any], database: Database) -> None:
    parents(database)
    repository = Repository(database, table)
    row = sample(table)
    key = tuple(getattr(row, name) for name in table.key)
    near = getattr(row, table.time) if table.time else None

    assert repository.create(row) == row
    assert repository.get(key) == repository.get(key, near=near) == row
    with pytest.raises(Refused, match="already"):
        repository.create(row)
    assert repository.save(row) == row
    assert repository.save_all([row, row]) == 2
    assert row in repository.all([], order=table.primary[0])

    changed, value = other_value(table, row)
    if changed:
        was = getattr(row, changed)
        after = repository.update(key, {changed: value}, expected={changed: was}, near=near)
        assert after == repository.get(key) == msgspec.structs.replace(row, **{changed: value})
        with pytest.raises(Conflict):
            repository.update(key, {changed: was}, expected={changed: was})
        # What is kept from the first write stays with a second one.
        saved = repository.save(row)
        assert getattr(saved, changed) == (value if changed in table.kept else was)
    with pytest.raises(ValueError, match="can't be changed"):
        repository.update(key, {table.primary[-1]: 1})
    with pytest.raises(ValueError, match="no column"):
        repository.update(key, {"no; such": 1})

    repository.delete(key, near=near)
    with pytest.raises(NotFound):
        repository.get(key)
    with pytest.raises(NotFound):
        repository.delete(key)
    if changed:
        with pytest.raises(NotFound):
            repository.update(key, {changed: value})


def other_value(table: TableOf[Any], row: Any) -> tuple[str, Any]:
    """A column that an update may set, and another value for it."""
    for name, column in table.columns.items():
        if name in {*table.primary, "id"}:
            continue
        if column.python in (float, int):
            return name, getattr(row, name) + 1 if column.python is int else 0.125
        if column.kind == "jsonb":
            return name, {"lower": 2, "upper": 3} if column.python == dict[str, Any] else [1]
        if column.kind == "text" and name in {"note", "commit_sha", "measure"}:
            return name, "other"
    return "", None


def test_a_none_is_left_to_the_default(database: Database) -> None:
    from sql.store.performance import OPTIMIZATION_OPPORTUNITIES

    repository = Repository(database, OPTIMIZATION_OPPORTUNITIES)
    row = repository.create(sample(OPTIMIZATION_OPPORTUNITIES, supporting_data=None, component_affected="d"))
    assert row.supporting_data == {}


def test_an_id_is_a_function_of_the_natural_key() -> None:
    for table in TABLES:
        if table.identify:
            assert sample(table).id == sample(table).id
    from sql.store.tasks import TASK_EXECUTIONS

    with pytest.raises(ValueError, match="needs its id"):
        sample(TASK_EXECUTIONS, id=DERIVED)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"severity": "urgent"}, r"out of its bounds \(severity\)"),
        ({"confidence_score": float("nan")}, r"out of its bounds \(confidence score\)"),
        ({"entity": None}, "entity is missing"),
        ({"entity": "a\0b"}, "NUL"),
        ({"pattern_data": {"a": float("nan")}}, "pattern_data is no JSON"),
        ({"pattern_data": {"a": object()}}, "pattern_data is no JSON"),
        ({"observation_count": 10**12}, "out of range"),
    ],
)
def test_a_refusal_says_why(database: Database, change: dict[str, Any], words: str) -> None:
    from sql.store.patterns import DETECTED_PATTERNS

    with pytest.raises(Refused, match=words) as caught:
        Repository(database, DETECTED_PATTERNS).create(sample(DETECTED_PATTERNS, **change))
    assert "\n" not in str(caught.value)


def test_a_refusal_names_the_missing_row(database: Database) -> None:
    from sql.store.models import FEATURE_ENGINEERING

    row = sample(FEATURE_ENGINEERING, model_id=sample(TABLES[1]).id)
    with pytest.raises(Refused, match="model id") as caught:
        Repository(database, FEATURE_ENGINEERING).create(row)
    assert caught.value.constraint == "feature_engineering_model_id_fkey"


def test_a_change_of_what_is_summed_up_is_marked(database: Database) -> None:
    from sql.store.integration import INTEGRATION_EVENTS

    def marks() -> int:
        with database.read() as connection:
            found = connection.execute(
                "SELECT count(*) FROM summary_changes WHERE summary = 'integration' AND bucket = '2026-01-05Z'"
            ).fetchone()
        return found[0] if found else 0

    repository = Repository(database, INTEGRATION_EVENTS)
    row = sample(INTEGRATION_EVENTS)
    counts = [marks()]
    for step in (
        lambda: repository.create(row),
        lambda: repository.update(row.id, {"status": "failure"}),
        lambda: repository.delete(row.id),
    ):
        step()
        counts.append(marks())
    assert [later - earlier for earlier, later in pairwise(counts)] == [1, 1, 1]


def test_an_order_that_is_no_column_is_refused(database: Database) -> None:
    with pytest.raises(BadRequest, match="can't be ordered"):
        Repository(database, TABLES[0]).page(order="title; DROP TABLE tasks")


def test_near_spares_the_other_pieces_of_a_table(database: Database) -> None:
    from sql.store import statements
    from sql.store.pipelines import PIPELINE_EXECUTIONS

    repository = Repository(database, PIPELINE_EXECUTIONS)
    rows = [
        sample(PIPELINE_EXECUTIONS, execution_id=f"near {n}", execution_start=T0 + n * 30 * DAY, execution_end=None)
        for n in range(4)
    ]
    repository.save_all(rows)

    def scans(near: bool) -> int:
        statement = statements.select(PIPELINE_EXECUTIONS).as_bytes() + b" WHERE "
        statement += statements.with_key(PIPELINE_EXECUTIONS, near).as_bytes()
        values = {"key_id": rows[2].id, "near": rows[2].execution_start + DAY / 2}
        with database.read() as connection:
            plan = connection.execute(b"EXPLAIN " + statement, values).fetchall()
        return sum(" Scan using " in line or "Seq Scan" in line for (line,) in plan)

    assert scans(near=True) == 1
    assert scans(near=False) >= 4
    assert repository.get(rows[2].id, near=rows[2].execution_start + DAY / 2) == rows[2]
    with pytest.raises(NotFound):
        repository.get(rows[2].id, near=rows[2].execution_start + 2 * DAY)
