"""What is in a table is a function of the events alone: any order, any transactions and any redelivery."""

import itertools
import random
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import tables as t
from operators.encode import encode
from operators.events import decode
from operators.tables import Table
from sinks.timescale import DatabaseWriter
from tests.pgread import read
from tests.samples import data_of, raw, time_at
from tests.sinks.writing import output, stored

RULES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pipeline_executions": (("id",), ("event_finished", "event_time", "event_id")),
    "step_executions": (("pipeline_execution_id",), ("event_time", "event_id")),
    "pipeline_configurations": (("id",), ("event_time", "event_id")),
    "tasks": (("id",), ("event_time", "event_id")),
    "task_dependencies": (("dependent_task_id",), ("event_time", "event_id")),
    "task_executions": (("id", "attempt"), ("event_time", "event_id")),
    "code_dependencies": (("codebase_id", "from_node", "to_node", "kind"), ("event_time", "event_id")),
    "recommendation_effectiveness": (("id",), ("event_time", "event_id")),
}
"""What rows are of one thing, and which event wins: a finished one, then the later, then the greater id."""
_runs = itertools.count(1)


@pytest.fixture(scope="module")
def writer(module_database: str) -> Iterator[DatabaseWriter]:
    made = DatabaseWriter(module_database)
    yield made
    made.close()


def event(random_: random.Random, run: int, number: int) -> bytes:
    """An event about one of few things of this run, so that several speak of the same."""
    one = random_.randrange(2)
    kind = random_.choice([
        "pipeline.started", "pipeline.finished", "pipeline.finished", "pipeline.configured", "task.changed",
        "task.finished", "code.dependencies", "recommendation.updated",
    ])  # fmt: skip
    at = time_at(random_.choice([0, 1, 1, 2]))
    identifier = f"{random_.choice(['a', 'B', 'ü', 'z', '~'])}{number}"
    start, end = time_at(random_.choice([-20, -10, -5])), time_at(0)
    data: dict[str, Any] = {}
    match kind:
        case "pipeline.started" | "pipeline.finished":
            data = {"pipeline_name": f"p{run}", "execution_id": f"x{one}", "execution_start": start}
            if kind == "pipeline.finished":
                steps = [
                    {"step_name": f"s{number}", "step_order": order, "execution_start": start, "status": "success"}
                    for order in random_.sample(range(4), random_.randrange(4))
                ]
                status = random_.choice(["success", "failure"])
                data |= {"execution_end": end, "steps": steps, "status": status}
        case "pipeline.configured":
            version = {"configuration_version": str(one), "configuration_data": {"n": number}}
            data = {"pipeline_name": f"p{run}", **version}
        case "task.changed":
            types = ["blocks", "relates_to"]
            edges = [{"task_id": f"r{run}-{n}", "type": random_.choice(types)} for n in range(random_.randrange(3))]
            data = {"task_id": f"r{run}-{one}", "title": f"t{number}", "depends_on": edges}
        case "task.finished":
            attempt = random_.choice([1, 2])
            # Attempts of one run never start at the same moment.
            start = time_at(-30 * attempt - random_.choice([0, 1]))
            data = {"task_id": f"r{run}", "execution_id": f"x{one}", "attempt": attempt}
            data |= {"execution_start": start, "execution_end": end}
        case "code.dependencies":
            edges = [{"from": f"n{n}", "to": "m", "kind": "import"} for n in range(random_.randrange(1, 4))]
            data = {"codebase_id": f"c{run}", "edges": edges, "commit_sha": f"sha{number}"}
        case "recommendation.updated":
            data = {"recommendation_id": f"r{run}-{one}", "note": f"n{number}"}
    return raw(kind, data_of(kind, **data), id=identifier, time=at)


def newest(rows: list[dict[str, Any]], table: str) -> list[dict[str, Any]]:
    """The rows of the winning event of each thing."""
    group, rank = RULES[table]
    best: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        key, place = tuple(row[name] for name in group), tuple(row[name] for name in rank)
        best[key] = max(best.get(key, place), place)
    won = [row for row in rows if best[tuple(row[name] for name in group)] == tuple(row[name] for name in rank)]
    return list({repr(row): row for row in won}.values())


def rows_of(values: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for value in values:
        for table, row in encode(decode(value)).rows:
            found.setdefault(table.name, []).append(read(table.columns, row))
    return found


def written(url: str, table: Table, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table's rows about the things of `wanted`."""
    group, _ = RULES[table.name]
    things = {tuple(row[name] for name in group) for row in wanted}
    return [row for row in stored(url, table) if tuple(row[name] for name in group) in things]


def assert_newest(url: str, values: list[bytes]) -> None:
    for name, rows in rows_of(values).items():
        wanted = newest(rows, name)
        found = written(url, t.BY_NAME[name], rows)
        assert sorted(found, key=repr) == sorted(wanted, key=repr), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 40), st.integers(1, 12))
def test_the_newest_event_wins_in_any_order_and_grouping(
    module_database: str, writer: DatabaseWriter, seed: int, events: int, transactions: int
) -> None:
    random_, run = random.Random(seed), next(_runs)
    values = [event(random_, run, number) for number in range(events)]
    arriving = values + random_.choices(values, k=events // 3)
    random_.shuffle(arriving)
    cuts = sorted(random_.choices(range(len(arriving) + 1), k=transactions - 1))
    for start, end in itertools.pairwise([0, *cuts, len(arriving)]):
        writer.put([output(arriving[start:end])])
        writer.drain()
    assert_newest(module_database, values)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 2), min_size=1)), min_size=1, max_size=6),
       st.integers(0, 1 << 32))  # fmt: skip
def test_when_an_edge_was_first_seen_is_known_in_any_order(
    module_database: str, writer: DatabaseWriter, seen: list[tuple[int, set[int]]], seed: int
) -> None:
    run, random_ = next(_runs), random.Random(seed)
    values = [
        raw("code.dependencies", data_of("code.dependencies", codebase_id=f"f{run}", edges=[
            {"from": f"n{node}", "to": "m", "kind": "import"} for node in sorted(nodes)
        ]), id=f"e{number}", time=time_at(at))
        for number, (at, nodes) in enumerate(seen)
    ]  # fmt: skip
    random_.shuffle(values)
    cut = random_.randrange(len(values) + 1)
    for part in (values[:cut], values[cut:]):
        writer.put([output(part)])
        writer.drain()
    with psycopg.connect(module_database) as connection:
        found = connection.execute(
            "SELECT from_node, first_observed_at, observed_at FROM code_dependencies WHERE codebase_id = %s",
            [f"f{run}"],
        ).fetchall()
    times = {
        f"n{node}": [datetime.fromisoformat(time_at(at)) for at, nodes in seen if node in nodes] for node in range(3)
    }
    assert {name: (first, last) for name, first, last in found} == {
        name: (min(at), max(at)) for name, at in times.items() if at
    }


def orders(values: list[bytes]) -> list[list[list[bytes]]]:
    """All orders, each one by one and all at once."""
    found = []
    for order in itertools.permutations(values):
        found += [[[value] for value in order], [list(order)]]
    return found


def outcomes(url: str, writer: DatabaseWriter, table: Table, make: Any) -> set[str]:
    """What a table holds after each order and grouping of some events; `make(run)` makes them anew."""
    seen = set()
    for place in range(len(orders(make(0)))):
        run = next(_runs)
        values = make(run)
        for transaction in orders(values)[place]:
            writer.put([output(transaction)])
            writer.drain()
        rows = written(url, table, rows_of(values)[table.name])
        known = {"id", "task_id", "pipeline_execution_id", "pipeline_name", "event_id", "external_id"}
        seen.add(repr(sorted(sorted((k, v) for k, v in row.items() if k not in known) for row in rows)))
    return seen


def test_a_finished_run_wins_whatever_its_time(module_database: str, writer: DatabaseWriter) -> None:
    def make(run: int) -> list[bytes]:
        def started(identifier: str, start: float, at: float) -> bytes:
            data = data_of("pipeline.started", pipeline_name=f"order{run}", execution_start=time_at(start))
            return raw("pipeline.started", data, id=identifier, time=time_at(at))

        finished = data_of("pipeline.finished", pipeline_name=f"order{run}")
        end = raw("pipeline.finished", finished, id="a", time=time_at(0))
        return [end, started("b", -500, 9), started("c", -900, 5)]

    (only,) = outcomes(module_database, writer, t.PIPELINE_EXECUTIONS, make)
    assert "'failure'" in only


def test_attempts_that_start_together(module_database: str, writer: DatabaseWriter) -> None:
    def make(run: int) -> list[bytes]:
        def finished(identifier: str, attempt: int, start: float, at: float) -> bytes:
            fields = {"task_id": f"together{run}", "attempt": attempt, "execution_start": time_at(start)}
            data = data_of("task.finished", **fields, execution_end=time_at(0))
            return raw("task.finished", data, id=identifier, time=time_at(at))

        return [finished("a", 1, -10, 3), finished("b", 2, -10, 2), finished("c", 2, -20, 1)]

    assert len(outcomes(module_database, writer, t.TASK_EXECUTIONS, make)) == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_row_that_is_there_stays(module_database: str, writer: DatabaseWriter, seed: int) -> None:
    """Samples and integration events: once each, whatever comes again, alone or in one transaction."""
    random_, run = random.Random(seed), next(_runs)
    kinds = ["metric.sampled", "resource.sampled", "integration.occurred", "pattern.labelled"]
    values = [raw(random_.choice(kinds), id=f"k{run}-{n}", time=time_at(n)) for n in range(random_.randrange(1, 12))]
    arriving = values * 2
    random_.shuffle(arriving)
    while arriving:
        size = random_.randrange(1, 8)
        writer.put([output(arriving[:size])])
        del arriving[:size]
    writer.drain()
    for name, rows in rows_of(values).items():
        table = t.BY_NAME[name]
        keys = {tuple(row[key] for key in table.key) for row in rows}
        found = [row for row in stored(module_database, table) if tuple(row[key] for key in table.key) in keys]
        assert sorted(found, key=repr) == sorted(rows, key=repr), name


def written_twice(url: str, writer: DatabaseWriter, together: bool) -> dict[str, Any]:
    identifier = uuid.uuid4()
    row = dict.fromkeys(t.DETECTED_PATTERNS.names, None) | {
        "id": identifier, "pattern_name": "n", "pattern_type": "spike", "pattern_category": "error",
        "pattern_data": {}, "detection_algorithm": "a", "confidence_score": 0.5, "significance_score": 0.5,
        "detected_at": 0, "last_observed_at": 0, "observation_count": 1, "is_active": True, "entity": "e",
        "measure": "m", "severity": "low", "opened_at": 0, "event_time": 1, "ingested_at": 2, "decided_at": 3,
        "explanation": "first",
    }  # fmt: skip
    outs = []
    for later in ({}, {"explanation": "second", "event_time": 10, "ingested_at": 20, "decided_at": 30}):
        out = output([])
        line = t.DETECTED_PATTERNS.encode(list((row | later).values()))
        out.replace(t.DETECTED_PATTERNS, identifier.bytes, line)
        outs.append(out)
    for one in [outs] if together else [outs[:1], outs[1:]]:
        writer._commit(one)
    (found,) = (one for one in stored(url, t.DETECTED_PATTERNS) if one["id"] == identifier)
    return found


@pytest.mark.parametrize("together", [
    False,
    True,
])  # fmt: skip
def test_a_later_write_replaces_and_leaves_what_is_kept(
    module_database: str, writer: DatabaseWriter, together: bool
) -> None:
    found = written_twice(module_database, writer, together)
    assert found["explanation"] == "second"
    assert (found["event_time"], found["ingested_at"], found["decided_at"]) == (1, 2, 3)
