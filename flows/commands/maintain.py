"""``hindsight maintain``: the upkeep of the database, once."""

from __future__ import annotations

import click


@click.command("maintain")
@click.option("--database-url", metavar="URL", help="The database. [ANALYTICS_DATABASE_URL]")
def command(database_url: str | None) -> None:
    """Make partitions ahead, sum up what changed, drop what was kept for long enough.

    The flow does this by itself every few minutes, and so does TimescaleDB; run it by hand after changing
    storage_policies, or from a timer where no flow runs. What is kept how long: docs/operations.md.

    \b
    Example:
      hindsight maintain --database-url postgresql://localhost/analytics
    """
    from flows.cli import prepare  # noqa: PLC0415 - `--help` needs neither settings nor driver
    from flows.databases import chosen_url  # noqa: PLC0415
    from sinks.maintain import MaintenanceError, maintain  # noqa: PLC0415

    url = chosen_url(prepare(database_url=database_url))
    try:
        done = maintain(url, on_step=click.echo)
    except MaintenanceError as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(
        f"partitions made: {done.partitions}; summed up: {done.weeks} weeks of series, {done.days} days of the rest;"
        f" dropped: {len(done.dropped)}; still changing: {done.waiting}"
    )
