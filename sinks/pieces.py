"""Rows on their way into tables that are cut by time: COPY, and missing partitions.

A table may be a hypertable, which makes its chunks itself, or a partitioned one, where a row whose time no partition
holds is an error; then the database's `ensure_partitions` makes what the rows need.
"""

from collections.abc import Iterable, Mapping, Sequence

import psycopg

from operators.pgcopy import HEADER, TRAILER
from operators.tables import BY_NAME, Table
from sinks import sql as statements

COPY_PIECE = 1 << 20
DAY_US = 86_400_000_000


def copy_rows(cursor: psycopg.Cursor, table: Table, into: str, lines: Iterable[bytes]) -> None:
    """COPY encoded rows into a table, or into its staging table."""
    data = memoryview(b"".join([HEADER, *lines, TRAILER]))
    with cursor.copy(statements.copy(table, into)) as copy:
        for start in range(0, len(data), COPY_PIECE):
            copy.write(data[start : start + COPY_PIECE])


def no_partition(problem: BaseException) -> bool:
    """Whether the database refused a row because no partition holds its time.

    That has the code of a check that failed, but names no constraint (and words that depend on the server's language).
    """
    return isinstance(problem, psycopg.errors.CheckViolation) and not problem.diag.constraint_name


def make_partitions(connection: psycopg.Connection, rows: Mapping[str, Sequence[bytes]]) -> None:
    """Make the partitions that these rows need, each table in a transaction of its own."""
    for name, lines in rows.items():
        table = BY_NAME[name]
        if not table.time or not lines:
            continue
        with connection.transaction(), connection.cursor() as cursor:
            if at := table.time_at():
                cursor.execute(statements.ensure_partitions(table), {"days": _days(lines, at)})
                continue
            cursor.execute(statements.create_stage(table))
            copy_rows(cursor, table, statements.stage_name(table), lines)
            cursor.execute(statements.ensure_staged_partitions(table))


def _days(lines: Iterable[bytes], at: slice) -> list[int]:
    """Days of the times at this place in encoded rows, counted from 2000-01-01."""
    return sorted({int.from_bytes(time, "big", signed=True) // DAY_US for time in {line[at] for line in lines}})
