"""How many rows a second the sink writes, against `executemany`; and what old and compressed rows cost it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.parts import peer
from benchmarks.parts.events import Values
from benchmarks.parts.report import middle
from benchmarks.parts.rows import moved, rows_of
from benchmarks.parts.samples import DAY_US
from benchmarks.parts.workload import Say
from operators.output import Output
from operators.records import Batch
from operators.tables import Table
from sinks.pieces import copy_rows
from sinks.timescale import DatabaseWriter

BATCH = 5_000
"""Rows of a batch of the flow, and of a transaction of the peer."""


@dataclass(frozen=True)
class Rate:
    """Seconds of wall-clock time and of this process's CPU for some rows."""

    rows: int
    wall: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Rows a second."""
        return self.rows / self.wall

    @property
    def cpu_us(self) -> float:
        """Microseconds of client CPU a row."""
        return self.cpu / self.rows * 1e6


def _outputs(table: Table, rows: list[Values]) -> Iterator[Output]:
    for start in range(0, len(rows), BATCH):
        output = Output(Batch("benchmark", 0, [], [], 0))
        for values in rows[start : start + BATCH]:
            output.add(table, table.encode(values))
        yield output


def sink(url: str, table: Table, rows: list[Values]) -> tuple[Rate, Rate]:
    """The writer's rate: from rows as values to rows committed, encoding included, as in the flow beside the writing;
    then the same rows once more."""
    rates = []
    writer = DatabaseWriter(url)
    try:
        for _ in range(2):
            wall, cpu = time.perf_counter(), time.process_time()
            writer.put(_outputs(table, rows))
            writer.drain()
            rates.append(Rate(len(rows), time.perf_counter() - wall, time.process_time() - cpu))
    finally:
        writer.close()
    return rates[0], rates[1]


def executemany(url: str, table: Table, rows: list[Values]) -> tuple[Rate, Rate]:
    """The peer's rate, first with new rows, then with the same."""
    given = peer.adapted(table, rows)
    rates = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
        for _ in range(2):
            wall, cpu = time.perf_counter(), time.process_time()
            peer.write(connection, table, given, BATCH)
            rates.append(Rate(len(rows), time.perf_counter() - wall, time.process_time() - cpu))
    return rates[0], rates[1]


def empty(url: str, table: Table) -> None:
    """A table without rows, and a server that has written back what came before."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table.name)))
        connection.execute("TRUNCATE summary_changes")
        connection.execute("CHECKPOINT")


def provide(url: str, table: Table, rows: list[Values]) -> None:
    """The partitions that rows need."""
    if not table.time:
        return
    place = table.names.index(table.time)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT ensure_partitions(%s::regclass, ARRAY(SELECT to_timestamp(unnest(%s::float8[]))))",
            [table.name, sorted({row[place] // DAY_US * 86_400.0 for row in rows})],
        )


@dataclass(frozen=True)
class Compared:
    """Medians for one table: the sink's and the peer's rates, for new rows and for a replay."""

    table: Table
    rows: int
    new: tuple[Rate, Rate]
    replay: tuple[Rate, Rate]

    @property
    def ratios(self) -> tuple[float, float]:
        """The sink's rows a second by the peer's, new and replayed."""
        return (
            self.new[0].per_second / self.new[1].per_second,
            self.replay[0].per_second / self.replay[1].per_second,
        )

    def figures(self) -> dict[str, Any]:
        """For the last line: rows a second and µs of client CPU a row, of the sink and of the peer."""
        found: dict[str, Any] = {"rows": self.rows}
        for name, pair, ratio in (("new", self.new, self.ratios[0]), ("replay", self.replay, self.ratios[1])):
            found[name] = {
                "rows_s": [round(rate.per_second) for rate in pair],
                "cpu_us": [round(rate.cpu_us, 2) for rate in pair],
                "ratio": round(ratio, 2),
            }
        return found


def compare(url: str, table: Table, number: int, until_us: int, turns: int, say: Say) -> Compared:
    """Both in turns, each on an empty table."""
    rows = rows_of(table, number, until_us)
    provide(url, table, rows)
    found: dict[Any, list[Rate]] = {}
    for _ in range(turns):
        for place, write in enumerate((sink, executemany)):
            empty(url, table)
            for which, rate in enumerate(write(url, table, rows)):
                found.setdefault((which, place), []).append(rate)
    rates = {key: _median(several) for key, several in found.items()}
    result = Compared(table, len(rows), (rates[0, 0], rates[0, 1]), (rates[1, 0], rates[1, 1]))
    empty(url, table)
    say(f"{table.name}: {result.ratios[0]:.2f} new, {result.ratios[1]:.2f} replayed")
    return result


def _median(rates: list[Rate]) -> Rate:
    return Rate(rates[0].rows, middle([rate.wall for rate in rates]), middle([rate.cpu for rate in rates]))


def load(url: str, table: Table, rows: list[Values]) -> None:
    """Rows by COPY alone."""
    provide(url, table, rows)
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        copy_rows(cursor, table, table.name, [table.encode(values) for values in rows])


def compress(url: str, table: Table, before_us: int) -> int:
    """Compress the chunks that end before this; how many there are."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT compress_chunk(c) FROM show_chunks(%s::regclass, older_than => to_timestamp(%s)) AS c",
            [table.name, before_us / 1e6],
        ).fetchall()
    return len(rows)


def past(url: str, table: Table, number: int, until_us: int, weeks: int, *, timescale: bool) -> dict[str, float]:
    """Rows a second of new rows on an empty table and behind `weeks` of history, its older part compressed."""
    rows = rows_of(table, number, until_us)
    figures = {}
    for name, depth in (("empty", 0), ("history", weeks)):
        empty(url, table)
        provide(url, table, rows)
        for week in range(1, depth + 1):
            load(url, table, moved(table, rows[: number // 5], -week * 7 * DAY_US, week))
        if timescale:
            compress(url, table, until_us - 30 * DAY_US)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table.name)))
        new, replay = sink(url, table, rows)
        figures[name], figures[f"{name}, replayed"] = new.per_second, replay.per_second
    empty(url, table)
    return figures


def compressed(url: str, table: Table, number: int, until_us: int) -> dict[str, float]:
    """Rows a second that the sink writes into a chunk with five times as many: new rows and rows that are there,
    before and after the chunk was compressed. `lost` is how many rows there were too few or too many afterwards."""
    whole = rows_of(table, number * 6, until_us)
    written = whole[::6]
    others = [row for place, row in enumerate(whole) if place % 6]
    figures: dict[str, float] = {}
    lost = 0
    for packed in (False, True):
        for what, there in (("new", others), ("replay", whole)):
            empty(url, table)
            load(url, table, there)
            if packed:
                compress(url, table, until_us + 40 * DAY_US)
            rate, _ = sink(url, table, written)
            figures[f"{what}, {'compressed' if packed else 'as it was'}"] = rate.per_second
            with psycopg.connect(url) as connection:
                row = connection.execute(
                    sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))
                ).fetchone()
            assert row is not None
            lost += abs(len(whole) - row[0])
    empty(url, table)
    return {**figures, "lost": lost}
