"""``hindsight up``: all of it on this machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("up")
@click.option("--demo", is_flag=True, help="Two minutes with a real CPU load of 15 s in them, then a summary.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the database, the spool files and the state. [ANALYTICS_DATA_DIR; default: .hindsight]",
)
@click.option(
    "--repo",
    type=click.Path(path_type=Path),
    help="Git repository whose history is read and followed. [ANALYTICS_GIT_REPOSITORY; default: this folder's]",
)
@click.option("--no-git", is_flag=True, help="Leave the code history out.")
@click.option("--no-host", is_flag=True, help="Leave this machine's CPU, memory, disk and network out.")
@click.option("--no-page", is_flag=True, help="Leave the HTTP API and its page out.")
@click.option(
    "--database-url",
    metavar="URL",
    help="Use this database instead of starting the embedded one. [ANALYTICS_DATABASE_URL]",
)
@click.option("--duration", type=click.FloatRange(min=1), help="End by itself after so many seconds.")
def command(
    demo: bool,
    data_dir: Path | None,
    repo: Path | None,
    no_git: bool,
    no_host: bool,
    no_page: bool,
    database_url: str | None,
    duration: float | None,
) -> None:
    """Run all of Hindsight on this machine, with a live view.

    Starts the embedded PostgreSQL, brings its tables up to date, samples this machine, reads the history of
    a git repository, detects patterns in both as they come, and shows them on a page: open the address that it
    prints (the page can judge patterns, by a token in that address). Ctrl-C or SIGTERM ends everything cleanly, a
    second one at once. The next call goes on where this one ended. Where standard output is no terminal, the
    view is a line every few seconds. Log lines go to up.log in the data folder.

    \b
    Example:
      hindsight up
      hindsight up --demo
      hindsight up --repo ~/src/shop --database-url postgresql://localhost/analytics
    """
    from flows import demo as demonstration  # noqa: PLC0415 - `--help` needs neither settings, driver nor Bytewax
    from flows import realtime  # noqa: PLC0415
    from flows.cli import prepare  # noqa: PLC0415
    from flows.supervisor import Plan, demo_plan, supervise  # noqa: PLC0415

    if no_git and repo is not None:
        raise click.UsageError("give either --repo or --no-git")
    if no_git and no_host:
        raise click.UsageError("--no-git and --no-host together leave nothing to collect")
    if demo and no_host:
        raise click.UsageError("the demo shows this machine: it cannot go with --no-host")
    settings = prepare(database_url=database_url, data_dir=data_dir, git_repository=repo)
    given = settings.model_fields_set
    plan = Plan(
        settings,
        database_url=settings.database_url if "database_url" in given else None,
        recovery_dir=settings.recovery_dir if "recovery_dir" in given else None,
        host_interval_s=None if no_host else settings.host_interval_seconds,
        repo=None if no_git else settings.git_repository,
        repo_required="git_repository" in given,
        duration_s=duration,
        page=not no_page,
    )
    if demo:
        plan = demo_plan(
            plan, host_interval_s=demonstration.SAMPLE_SECONDS, duration_s=duration or demonstration.SECONDS
        )
    click.get_current_context().exit(supervise(plan, realtime.run))
