"""How quickly does a full database answer, and how much disk does it take? On TimescaleDB or plain PostgreSQL."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

HOUR_US = 3_600_000_000


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option("--database-url", metavar="URL", required=True, help="A migrated database: empty, or with --skip-fill.")
@click.option("--rows", type=click.IntRange(1000), default=20_000_000, show_default=True, help="Metric samples.")
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="Days that they are of.")
@click.option("--series", type=click.IntRange(10), default=500, show_default=True, help="Series that they are of.")
@click.option("--other", type=click.IntRange(1000), default=2_000_000, show_default=True, help="Rows of other events.")
@click.option("--skip-fill", is_flag=True, help="Ask a database that an earlier run filled.")
@click.option("--runs", type=click.IntRange(3), default=10, show_default=True, help="Warm runs of each query.")
@click.option("--cold-runs", type=click.IntRange(0), default=3, show_default=True, help="Cold runs of each query.")
@click.option(
    "--cold-command", metavar="COMMAND", help="What empties the caches. [evict shared buffers, drop the page cache]"
)
@click.option("--only", metavar="TEXT", help="Queries with this in their name.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(
    database_url: str,
    rows: int,
    days: int,
    series: int,
    other: int,
    skip_fill: bool,
    runs: int,
    cold_runs: int,
    cold_command: str | None,
    only: str | None,
    file: Path | None,
) -> None:
    """Fill a database with a month of events by COPY, then time each query of sql/queries and of dashboards.

    The rows are those that the flow would write, aggregates of series included, and end at the last full hour. Then
    summaries are made and, on TimescaleDB, chunks compressed as the policies say. A cold run is one of a new session
    after the caches were emptied, as far as this account may; the output says how far. Progress is shown on standard
    error; standard output is tables and, as its last line, one JSON object.

    \b
    Examples:
      python benchmarks/storage.py --database-url postgresql://localhost/bench
      python benchmarks/storage.py --database-url postgresql://localhost/bench --skip-fill --only "one series"
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    from benchmarks.parts import fill, tables
    from benchmarks.parts.asking import LIMIT_S, Cold, ask
    from benchmarks.parts.disk import per_million, spaces
    from benchmarks.parts.questions import questions
    from benchmarks.parts.samples import Size

    until_us = time.time_ns() // 1000 // HOUR_US * HOUR_US
    took: dict[str, float] = {}
    try:
        with fill.quiet(database_url):
            if not skip_fill:
                start = time.monotonic()
                fill.fill(database_url, Size(rows, days, series, other, until_us), _say)
                took = {"fill": round(time.monotonic() - start, 1), **fill.settle(database_url, _say)}
            host = str(conninfo_to_dict(database_url).get("host", ""))
            cache = Cold(
                database_url, cold_command, local=host in ("", "localhost", "127.0.0.1", "::1") or host[0] == "/"
            )
            with psycopg.connect(database_url, autocommit=True) as connection:
                timescale = fill.has_timescale(connection)
                versions = fill.versions(connection)
                last = connection.execute("SELECT max(collected_at) FROM system_metrics").fetchone()
                assert last is not None
                if last[0] is None:
                    raise click.UsageError("system_metrics is empty: leave out --skip-fill")
                end = -(-last[0].timestamp() // 3600) * 3600
                asked = questions(connection, datetime.fromtimestamp(end, UTC))
            chosen = [question for question in asked if only is None or only in question.name]
            answers = ask(database_url, chosen, runs, cold_runs, cache, _say)
            cache.close()
            with psycopg.connect(database_url, autocommit=True) as connection:
                found = spaces(connection, timescale=timescale)
    except fill.NotEmpty as problem:
        raise click.UsageError(str(problem)) from None
    except psycopg.errors.UndefinedTable as problem:
        raise click.UsageError(f"{str(problem).splitlines()[0]} (run `hindsight migrate`)") from None
    except psycopg.OperationalError as problem:
        raise click.UsageError(f"--database-url: {str(problem).strip().splitlines()[0]}") from None
    tables.show_answers(versions, cache.words, answers)
    tables.show_spaces(found)
    slow = [answer.name for answer in answers if answer.problem or answer.worst > LIMIT_S]
    result = {
        "server": versions,
        "seconds": took,
        "cold": cache.words,
        "queries": {answer.name: answer.figures() for answer in answers},
        "slow": slow,
        "tables": {
            space.table: {
                "rows": space.rows,
                "bytes": space.bytes,
                "compression": space.ratio and round(space.ratio, 1),
            }
            for space in found
        },
        "bytes_per_million_events": round(per_million(found)),
    }
    line = json.dumps(result)
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)
    if any(answer.problem for answer in answers):
        sys.exit(1)


if __name__ == "__main__":
    main()
