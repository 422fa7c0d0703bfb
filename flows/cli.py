"""The ``hindsight`` command: a table of subcommands, each imported only when it is called.

Exit status: 0 = done, 1 = failed, 2 = wrong usage or configuration, 130 = interrupted. An error is one
line on stderr; a traceback appears only with ``ANALYTICS_LOG_LEVEL=debug``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import select
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.settings import Settings

COMMANDS: dict[str, tuple[str, str]] = {
    "up": (
        "flows.commands.up",
        "Run all of it on this machine: database, collectors, detection, a live view.",
    ),
    "stream": ("flows.commands.stream", "Read events from a file or Kafka, detect patterns, write rows."),
    "publish": ("flows.commands.publish", "Check a JSON Lines file of events and send it to Kafka."),
    "collect": (
        "flows.commands.collect",
        "Turn what happens on this machine or in a repository into events.",
    ),
    "import": ("flows.commands.import_", "Import histories from files at the database's speed."),
    "migrate": ("flows.commands.migrate", "Create or update the tables and views."),
    "maintain": ("flows.commands.maintain", "Upkeep of the database: partitions, summaries, what is old."),
    "status": ("flows.commands.status", "Show what was read, applied, late, rejected and found."),
    "alerts": ("flows.commands.alerts", "Configure Alertmanager, and try it."),
    "api": ("flows.commands.api", "Serve the HTTP API."),
    "token": ("flows.commands.token", "Make, list and revoke tokens of the HTTP API."),
    "doctor": ("flows.commands.doctor", "Check everything Hindsight needs and say what to do."),
    "label": ("flows.commands.label", "Say whether a pattern was right: detection learns from it."),
    "backtest": ("flows.commands.backtest", "Show what the detectors would have said of a history."),
    "replay": ("flows.commands.replay", "Judge a range of the database's history again: the same ids."),
    "nightly": ("flows.commands.nightly", "Find what keeps happening in the history, each night."),
    "backup": ("flows.commands.backup", "Write the whole database into a folder."),
    "restore": ("flows.commands.restore", "Fill a new database from such a folder."),
    "database": ("flows.commands.database", "Start or stop the embedded PostgreSQL server."),
}
"""Subcommand → (module that holds its ``command``, help in one line), in the order ``--help`` shows them."""

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses other than 0."""

DEBUG_HINT = "run with ANALYTICS_LOG_LEVEL=debug for the traceback"


class LazyGroup(click.Group):
    """A group whose help comes from :data:`COMMANDS`, so that showing it imports no subcommand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names in the table whose module is there."""
        return [name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand's module; ``None`` if there is no such subcommand."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands from the table."""
        rows = [(name, COMMANDS[name][1]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        try:
            click.echo(f"hindsight {importlib.metadata.version('hindsight')}")
        except importlib.metadata.PackageNotFoundError:
            click.echo("hindsight (not installed)")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def cli() -> None:
    """Learn from the history of a software organisation's work, and say what goes wrong while it does.

    Settings come from options, ANALYTICS_* variables and a .env file, in that order of strength.

    \b
    Example:
      hindsight up --demo
      hindsight stream --input events.jsonl.gz --database-url postgresql://localhost/analytics
    """


def prepare(**options: Any) -> Settings:
    """What every subcommand does first: read the settings, with the options it was given, and set up logging.

    ``options`` are settings by field name, ``None`` = not given. Raises
    :class:`flows.settings.SettingsError`.
    """
    from flows import log, settings  # noqa: PLC0415 - pydantic costs more than all of `--help`

    chosen = settings.load(**options)
    log.configure(chosen.log_level, chosen.log_format)
    for message in settings.unknown_variables(os.environ):
        logging.getLogger(__name__).warning(message)
    return chosen


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    status = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = status or FAILED
    if _stdout_is_closed():
        # The reader went away (`hindsight … | head`): keep Python from complaining once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit status; every error becomes one line on stderr."""
    try:
        if "_HINDSIGHT_COMPLETE" in os.environ:
            cli.main(list(arguments), prog_name="hindsight")
        with cli.make_context("hindsight", list(arguments)) as ctx:
            result = cli.invoke(ctx)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except BrokenPipeError as error:
        if _stdout_is_closed():
            return FAILED
        return _report(error)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        return _report(error)


def _report(error: BaseException) -> int:
    """Print the line for an error, and return the exit status."""
    for cause in _chain(error):
        if isinstance(cause, KeyboardInterrupt):
            return INTERRUPTED
        if isinstance(cause, click.exceptions.NoArgsIsHelpError):
            click.echo(cause.format_message(), err=True)
            return USAGE
        if isinstance(cause, click.UsageError):
            path = cause.ctx.command_path if cause.ctx else "hindsight"
            _say(f"{_flat(cause.format_message())} (try '{path} --help')")
            return USAGE
        if isinstance(cause, click.ClickException):
            _say(_flat(cause.format_message()))
            return cause.exit_code
    if _debugging():
        traceback.print_exception(error)
    cause = _origin(error)
    _say(f"{type(cause).__name__}: {_flat(str(cause)) or 'no message'} ({DEBUG_HINT})")
    return FAILED


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, outermost first: Bytewax wraps what a step raises."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__
    return chain


def _origin(error: BaseException) -> BaseException:
    """The error to name: the first that is no wrapper of Bytewax's (a place in its Rust source)."""
    chain = _chain(error)
    return next((cause for cause in chain if not str(cause).startswith("(src/")), chain[-1])


def _flat(text: str) -> str:
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        click.echo(f"hindsight: {text}", err=True)


def _debugging() -> bool:
    return os.environ.get("ANALYTICS_LOG_LEVEL", "").lower() == "debug" or logging.getLogger().isEnabledFor(
        logging.DEBUG
    )


def _stdout_is_closed() -> bool:
    """Whether stdout is a pipe that nobody reads: then that is what broke, and not a connection to a server."""
    with contextlib.suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    return False


if __name__ == "__main__":
    main()
