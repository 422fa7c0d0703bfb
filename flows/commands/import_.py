"""``hindsight import``: histories in JSON Lines files into the database, as fast as it takes them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flows.importing import Progress

LINE_EVERY = 5.0
"""Seconds between two lines of progress where there is no terminal."""


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--database-url", metavar="URL", help="Where rows go. [ANALYTICS_DATABASE_URL]")
@click.option("--again", is_flag=True, help="Read the files from their start, whatever was imported of them.")
@click.option("--name", metavar="NAME", help="Name of standard input, as a path is that of a file.")
def command(files: tuple[str, ...], database_url: str | None, again: bool, name: str | None) -> None:
    """Import histories: rows, aggregates, dead letters and counts as `stream` writes them, without detection.

    FILE is JSON Lines, plain or .gz; - is standard input. Several files are read one after the other, each as a
    partition of its own. How far each has come stands in the database: killed and started again, an import goes on
    there, a finished file is passed over, and of one that has grown the rest is read. Old events find no patterns.

    \b
    Examples:
      hindsight import builds-2024.jsonl.gz builds-2025.jsonl.gz
      zstdcat metrics.jsonl.zst | hindsight import - --name metrics
    """
    from flows import importing  # noqa: PLC0415 -- `--help` loads none of it
    from flows.cli import INTERRUPTED, prepare  # noqa: PLC0415
    from flows.databases import chosen_url  # noqa: PLC0415
    from flows.stopping import StopSignals  # noqa: PLC0415

    files = tuple(dict.fromkeys(files))
    for path in files:
        if path != "-" and not Path(path).is_file():
            raise click.UsageError(f"{path}: no such file")
    if name is not None and "-" not in files:
        raise click.UsageError("--name goes with -, standard input")
    if again and "-" in files and name is None:
        raise click.UsageError("--again with - needs --name: which history is it?")
    settings = prepare(database_url=database_url)
    with StopSignals() as wish, _shown() as show:
        totals = importing.run(
            settings,
            chosen_url(settings),
            files,
            name=name,
            again=again,
            stop=lambda: wish.requested,
            on_progress=show,
        )
    if totals["already"]:
        click.echo(f"nothing to do for {totals['already']} of {len(files)} files: imported already", err=True)
    if not totals["complete"]:
        click.echo("stopped: the same command goes on here", err=True)
    click.echo(json.dumps(totals))
    if not totals["complete"]:
        click.get_current_context().exit(INTERRUPTED)


@contextmanager
def _shown() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, else a line every few seconds; on stderr."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console  # noqa: PLC0415 -- only where somebody looks
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("importing", total=None)
        start = time.monotonic()

        def show(now: Progress) -> None:
            rate = now.read / (time.monotonic() - start)
            text = f"{now.doing} {Path(now.file).name}  {now.read:,} events  {rate:,.0f}/s"
            bar.update(task, completed=now.bytes, total=now.total or None, description=text)

        yield show


class _Lines:
    """Progress as lines, one every few seconds."""

    def __init__(self) -> None:
        self._start = self._shown = time.monotonic()
        self._first: int | None = None

    def __call__(self, now: Progress) -> None:
        """Show it, if it is time."""
        moment = time.monotonic()
        if now.doing == "importing" and self._first is None:
            self._first = now.bytes
        if moment - self._shown < LINE_EVERY:
            return
        self._shown = moment
        spent = moment - self._start
        text = f"{now.doing} {now.file}: {now.read:,} events, {now.read / spent:,.0f}/s"
        if now.total:
            text += f", {now.bytes / now.total:.0%} of {now.total / 1e6:,.0f} MB"
            done = now.bytes - (self._first or 0)
            if self._first is not None and done > 0:
                text += f", {max(0, now.total - now.bytes) / done * spent:,.0f} s left"
        click.echo(text, err=True)
