"""The sink's peer merges rows as the sink does; only then are their rates of the same work."""

import random

import pytest

from benchmarks.parts import writing
from benchmarks.parts.events import Values
from benchmarks.parts.rows import TABLES, rows_of
from benchmarks.parts.samples import HOUR_US
from operators.tables import BY_NAME, Merge, Table
from tests.sinks.writing import stored

UNTIL_US = 1_795_000_000_000_000 // HOUR_US * HOUR_US
NUMBER = 60


def versions(table: Table) -> list[Values]:
    """Rows, and among them others of the same keys: older and newer ones, and some that start at another time."""
    dice = random.Random(1)
    rows = rows_of(table, NUMBER, UNTIL_US)
    if table.merge is not Merge.NEWEST:
        return rows
    at = {name: table.names.index(name) for name in table.names}
    made = []
    for row in rows:
        for by in (-1_000_000, 1_000_000):
            other = list(row)
            other[at["event_time"]] += by
            if "execution_start" in at and dice.random() < 0.3:
                other[at["execution_start"]] -= 60_000_000
            made.append(tuple(other))
    whole = [*rows, *made]
    # One event makes all rows of a group, so versions of a group are not mixed within a transaction.
    whole.sort(key=lambda row: row[at["event_time"]] if table.group == ("pipeline_execution_id",) else 0)
    return whole


@pytest.mark.parametrize("name", TABLES)
def test_both_leave_the_same_rows(database: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = BY_NAME[name]
    rows = versions(table)
    writing.provide(database, table, rows)
    left = []
    for write in (writing.sink, writing.executemany):
        writing.empty(database, table)
        write(database, table, rows)
        found = stored(database, table)
        left.append(sorted(map(repr, found)))
    assert left[0] == left[1]
    assert len(left[0]) >= NUMBER / 2
