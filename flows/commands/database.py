"""``hindsight database start|stop|url``: the embedded PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sinks.embedded import EmbeddedPostgres

DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the server. Default: postgres/ in the setting data_dir (.hindsight/postgres).",
)


@click.group("database")
def command() -> None:
    """Start or stop the embedded PostgreSQL server.

    It listens on 127.0.0.1 alone, with a password that stands in its folder, and keeps its port from start to start.

    \b
    Example:
      url=$(hindsight database start --data-dir /var/tmp/hindsight)
      hindsight migrate --database-url "$url"
      hindsight database stop --data-dir /var/tmp/hindsight
    """


@command.command("start")
@DATA_DIR
def start(data_dir: Path | None) -> None:
    """Start the server, leave it running, and print its URL.

    One that runs already stays as it is. Standard output is the URL alone.

    \b
    Example:
      url=$(hindsight database start --data-dir /var/tmp/hindsight)
    """
    with _server(data_dir) as server:
        click.echo(server.start(leave_running=True))
        if (process := server.ends_with) is not None:
            click.echo(f"hindsight: this server ran already, and ends with process {process}", err=True)


@command.command("stop")
@DATA_DIR
def stop(data_dir: Path | None) -> None:
    """Stop the server; open transactions roll back.

    Nothing happens when it does not run.

    \b
    Example:
      hindsight database stop --data-dir /var/tmp/hindsight
    """
    with _server(data_dir) as server:
        server.stop()


@command.command("url")
@DATA_DIR
def url(data_dir: Path | None) -> None:
    """Print the URL of the running server, with its password.

    The exit status is 1 when it does not run.

    \b
    Example:
      psql "$(hindsight database url --data-dir /var/tmp/hindsight)"
    """
    with _server(data_dir) as server:
        click.echo(server.url())


@contextmanager
def _server(data_dir: Path | None) -> Iterator[EmbeddedPostgres]:
    from sinks.embedded import EmbeddedError, EmbeddedPostgres  # noqa: PLC0415 - `--help` needs no driver

    if data_dir is None:
        from flows.cli import prepare  # noqa: PLC0415 - nor the settings

        data_dir = prepare().data_dir / "postgres"
    try:
        yield EmbeddedPostgres(data_dir)
    except EmbeddedError as error:
        raise click.ClickException(str(error)) from error
