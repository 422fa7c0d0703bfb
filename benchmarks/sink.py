"""How fast does the sink write each table, against `executemany`? And what do history and compression cost it?"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

HOUR_US = 3_600_000_000
WEEKS = 52
TARGET = 2.0


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option("--database-url", metavar="URL", required=True, help="A migrated database whose rows may be removed.")
@click.option("--rows", type=click.IntRange(100), default=50_000, show_default=True, help="Rows of each table.")
@click.option("--turns", type=click.IntRange(1), default=3, show_default=True, help="Turns; medians are shown.")
@click.option("--only", metavar="TABLE[,TABLE]", help="Some of the tables.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(database_url: str, rows: int, turns: int, only: str | None, file: Path | None) -> None:
    """Measure the database sink, table by table: rows a second of new rows and of a replay.

    The peer is psycopg's executemany of INSERT … ON CONFLICT that merges rows in the same way; both write the same
    rows in the same run, from values in Python to the commit. Then new rows among compressed ones (TimescaleDB), and
    behind a year of history for the tables where an old row may have to go. Tables are emptied again and again, so the
    database must be without rows at the start. Progress is shown on standard error; standard output is tables and, as
    its last line, one JSON object.

    \b
    Examples:
      python benchmarks/sink.py --database-url postgresql://localhost/bench
      python benchmarks/sink.py --database-url postgresql://localhost/bench --only system_metrics,rollups_5m --turns 5
    """
    import psycopg

    from benchmarks.parts import fill, tables, writing
    from benchmarks.parts.rows import NEWEST, PACKED, TABLES
    from operators.tables import BY_NAME

    wanted = [name.strip() for name in only.split(",")] if only else list(TABLES)
    unknown = [name for name in wanted if name not in BY_NAME]
    if unknown:
        raise click.UsageError(f"--only {unknown[0]}: the sink writes no such table; it writes {', '.join(TABLES)}")
    until_us = time.time_ns() // 1000 // HOUR_US * HOUR_US
    compared, past, packed = [], {}, {}
    try:
        with psycopg.connect(database_url, autocommit=True) as connection:
            timescale = fill.has_timescale(connection)
            versions = fill.versions(connection)
            fill.require_empty(connection, wanted)
        with fill.quiet(database_url):
            for name in wanted:
                compared.append(writing.compare(database_url, BY_NAME[name], rows, until_us, turns, _say))
            for table in NEWEST:
                if table.name in wanted:
                    _say(f"{table.name} behind {WEEKS} weeks of history")
                    past[table.name] = writing.past(
                        database_url, table, rows // 5, until_us, WEEKS, timescale=timescale
                    )
            for table in PACKED if timescale else ():
                if table.name in wanted:
                    _say(f"{table.name} into compressed chunks")
                    packed[table.name] = writing.compressed(database_url, table, rows // 5, until_us)
    except fill.NotEmpty as problem:
        raise click.UsageError(str(problem)) from None
    except psycopg.errors.UndefinedTable as problem:
        raise click.UsageError(f"{str(problem).splitlines()[0]} (run `hindsight migrate`)") from None
    except psycopg.OperationalError as problem:
        raise click.UsageError(f"--database-url: {str(problem).strip().splitlines()[0]}") from None
    tables.show_rates(versions, compared, TARGET)
    tables.show_figures(f"new rows behind {WEEKS} weeks of history, rows/s", past)
    tables.show_figures("rows into a chunk with five times as many, rows/s", packed)
    result: dict[str, Any] = {
        "server": versions,
        "rows": rows,
        "turns": turns,
        "tables": {each.table.name: each.figures() for each in compared},
        "history": past,
        "compressed": packed,
        "below_target": [each.table.name for each in compared if min(each.ratios) < TARGET],
    }
    line = json.dumps(result)
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)
    if any(figures["lost"] for figures in packed.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
