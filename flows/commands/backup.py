"""``hindsight backup``: the whole database into a folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("backup")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--database-url", metavar="URL", help="The database. [ANALYTICS_DATABASE_URL]")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Tables written at once.")
def command(folder: Path, database_url: str | None, jobs: int) -> None:
    """Write the whole database, as it is at this moment, into a new folder.

    Flows may go on writing meanwhile. It uses pg_dump, the embedded one or that in PATH, which must not be older than
    the server. The last line on standard output is one JSON object: folder, bytes, tables, rows, seconds.

    \b
    Example:
      hindsight backup /backups/2026-01-05 --jobs 2
    """
    from flows.commands.restore import done, steps  # noqa: PLC0415 -- `--help` loads none of it
    from sinks import dump  # noqa: PLC0415

    with steps(database_url, None) as (url, step):
        done(dump.backup(url, folder, jobs, step), [])
