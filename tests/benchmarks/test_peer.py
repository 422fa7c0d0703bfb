"""The sink's peer merges rows as the sink does; only then are their rates of the same work."""

import random
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from benchmarks.parts import writing
from benchmarks.parts.events import Values
from benchmarks.parts.rows import TABLES, rows_of
from benchmarks.parts.samples import HOUR_US
from operators.tables import BY_NAME, Merge, Table
from tests.sinks.writing import stored

ROOT = Path(__file__).resolve().parents[2]

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
def test_both_leave_the_same_rows(database: str, name: str) -> None:
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


def refused(question: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / f"benchmarks/{question}.py"), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("question", ["storage", "sink"])
def test_what_is_wrong_with_the_database_is_one_line(question: str, empty_database: str) -> None:
    assert "(run `hindsight migrate`)" in refused(question, "--database-url", empty_database)
    nowhere = "postgresql://nobody@127.0.0.1:1/x?connect_timeout=2"
    assert "Error: --database-url: " in refused(question, "--database-url", nowhere)


def test_rows_of_others_are_left_alone(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO series VALUES (1, 'shop', 'response_time', 'metric')")
    assert "series has rows already" in refused("sink", "--database-url", database, "--only", "series")
    assert "the sink writes no such table" in refused("sink", "--database-url", database, "--only", "nothing")
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT series_id FROM series").fetchall() == [(1,)]
