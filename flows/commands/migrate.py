"""``hindsight migrate``: create or update the tables and views."""

from __future__ import annotations

from typing import Literal

import click


@click.command("migrate")
@click.option("--database-url", metavar="URL", help="The database. [ANALYTICS_DATABASE_URL]")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if the database is behind.")
@click.option("--plan", "show", is_flag=True, help="Change nothing; print the SQL that would run.")
@click.option(
    "--backend",
    type=click.Choice(["auto", "timescale", "plain"]),
    default="auto",
    show_default=True,
    help="What a new database becomes; auto = TimescaleDB where the server has it.",
)
def command(database_url: str | None, check: bool, show: bool, backend: Literal["auto", "timescale", "plain"]) -> None:
    """Create or update the tables and views.

    Migrations are numbered and run once each, in order, in a transaction; two runs at a time wait for each other.
    A database becomes a TimescaleDB or a plain PostgreSQL one with its first run, and stays that.
    The roles hindsight_writer, hindsight_reader and hindsight_admin are made where the account may make roles.

    \b
    Example:
      hindsight migrate --database-url postgresql://localhost/analytics
      hindsight migrate --check
      hindsight migrate --plan --backend plain | less
    """
    from flows.cli import prepare  # noqa: PLC0415 - `--help` needs neither settings nor driver
    from sinks import migrate  # noqa: PLC0415

    if check and show:
        raise click.UsageError("give either --check or --plan")
    url = prepare(database_url=database_url).database_url
    wanted = None if backend == "auto" else backend
    try:
        if not (check or show):
            applied = migrate.migrate(url, on_step=click.echo, wanted=wanted)
            click.echo(f"up to date: {len(applied)} applied" if applied else "up to date")
            return
        with migrate.connect(url) as connection:
            kind = migrate.backend(connection, wanted)
            pending = migrate.plan(connection, twin=kind.twin)
    except migrate.DatabaseURLError as error:
        raise click.UsageError(str(error)) from error
    except migrate.MigrationError as error:
        raise click.ClickException(str(error)) from error
    if show:
        click.echo(f"-- backend: {kind.reason}")
        for migration in pending:
            click.echo(f"-- {migration.label}\n{migration.text}")
        return
    click.echo(f"backend: {kind.reason}")
    click.echo(f"behind by {len(pending)}: {', '.join(step.label for step in pending)}" if pending else "up to date")
    if pending:
        click.get_current_context().exit(1)
