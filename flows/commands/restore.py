"""``hindsight restore``: a backup into a new database."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sinks.dump import Summary


@click.command("restore")
@click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--database-url", metavar="URL", required=True, help="The empty database to fill.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Tables read at once.")
def command(folder: Path, database_url: str, jobs: int) -> None:
    """Fill an empty database from a folder that `hindsight backup` made.

    Every table's rows are counted against the backup, and the group roles and their grants are made. A backup of a
    TimescaleDB database needs a server with the same version of TimescaleDB, and is read one table at a time. The last
    line on standard output is one JSON object: folder, bytes, tables, rows, seconds.

    \b
    Example:
      hindsight restore /backups/2026-01-05 --database-url "$(hindsight database start --data-dir new)"
    """
    from sinks import dump  # noqa: PLC0415 -- `--help` needs no driver

    with steps(database_url, len(dump_tables(folder))) as (url, step):
        done(*dump.restore(url, folder, jobs, step))


def dump_tables(folder: Path) -> dict[str, int]:
    """Rows by table of a backup; a folder that is none is a user's mistake."""
    from sinks import dump  # noqa: PLC0415 -- as above

    try:
        return dump.read(folder).tables
    except dump.DumpError as problem:
        raise click.UsageError(str(problem)) from None


@contextmanager
def steps(database_url: str | None, tables: int | None) -> Iterator[tuple[str, Callable[[str], object]]]:
    """The database's URL, and what to call with each step; failures become one line."""
    from flows.cli import prepare  # noqa: PLC0415 -- `--help` needs neither settings nor driver
    from flows.databases import chosen_url  # noqa: PLC0415
    from sinks import dump, migrate  # noqa: PLC0415

    url = chosen_url(prepare(database_url=database_url))
    seen = 0

    def step(text: str) -> None:
        nonlocal seen
        seen += 1
        of = f" (of {tables} tables and their parts)" if tables else ""
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{seen}{of}: {text}", err=True, nl=False)
        else:
            click.echo(text, err=True)

    try:
        yield url, step
    except migrate.DatabaseURLError as problem:
        raise click.UsageError(str(problem)) from problem
    except (dump.DumpError, migrate.MigrationError) as problem:
        raise click.ClickException(str(problem)) from problem
    finally:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)


def done(summary: Summary, notes: list[str]) -> None:
    """What was done: notes and a line for people on stderr, one JSON object on stdout."""
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"{summary.rows:,} rows of {summary.tables} tables, {summary.bytes / 1e6:,.1f} MB, {summary.seconds:.1f} s",
        err=True,
    )
    click.echo(json.dumps(asdict(summary)))
