"""``hindsight nightly``: what keeps happening, out of the history in the database."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from flows.nightly.night import Night, Stage
    from flows.nightly.stages import Result
    from flows.spark.engine import SparkEngine

NEEDED = ("mlxtend", "networkx", "pandas", "prefixspan", "sklearn", "tsfresh")
"""What the extra brings."""

TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command("nightly")
@click.option("--date", "date", type=TIME, metavar="D", help="The night after this day, UTC. Default: yesterday.")
@click.option("--from", "since", type=TIME, metavar="TIME", help="History from then on, UTC, instead of --date.")
@click.option("--to", "until", type=TIME, metavar="TIME", help="History before then, UTC.")
@click.option("--days", type=click.IntRange(1, 3660), default=365, show_default=True, help="Days of history to --date.")
@click.option("--database-url", metavar="URL", help="The database with the history. [ANALYTICS_DATABASE_URL]")
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where rules for the stream go; else to nightly/ in the data folder. [ANALYTICS_SEQUENCE_RULES]",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the report goes. Default: report.html in the night's folder.",
)
@click.option("--no-report", is_flag=True, help="Write no report.")
@click.option("--no-series-features", is_flag=True, help="Leave out the features of time series.")
@click.option(
    "--engine",
    type=click.Choice(["embedded", "spark"]),
    default="embedded",
    show_default=True,
    help="What counts sets and sequences: this process, or Spark (the extra hindsight[spark]).",
)
@click.option("--spark-master", metavar="MASTER", help="Spark for --engine spark. [ANALYTICS_SPARK_MASTER]")
@click.option(
    "--spark-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Files for Spark, where all its machines see them. [ANALYTICS_SPARK_DIR]",
)
@click.option("--limit", type=click.IntRange(0), default=10, show_default=True, help="Findings that are listed.")
def command(
    date: datetime | None,
    since: datetime | None,
    until: datetime | None,
    days: int,
    database_url: str | None,
    rules: Path | None,
    report: Path | None,
    no_report: bool,
    no_series_features: bool,
    engine: Literal["embedded", "spark"],
    spark_master: str | None,
    spark_dir: Path | None,
    limit: int,
) -> None:
    """Find what keeps happening in the history of a database: rules, sequences, flaky steps, changes, baselines.

    What is found lands in detected_patterns and the tables of its kinds, each with one sentence and the SQL that counts
    its numbers again; sequences that come true often enough become rules for the stream. A pattern that was found
    before is updated, one that is no longer found weakens and is retired. Killed and started again, it goes on where it
    was; a night twice is a night once. docs/nightly.md says how to run it each night.
    The last line on standard output is one JSON object.

    \b
    Examples:
      hindsight nightly
      hindsight nightly --date 2026-01-05 --days 90 --report night.html
      hindsight nightly --from 2025-01-01 --to 2026-01-01 --database-url postgresql://localhost/analytics
      hindsight nightly --engine spark --spark-master spark://head:7077 --spark-dir /shared/hindsight
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(f"{missing[0]} is missing: pip install 'hindsight[nightly]'")
    if engine == "embedded" and (spark_master or spark_dir):
        raise click.UsageError("--spark-master and --spark-dir are for --engine spark")
    from msgspec.structs import replace  # noqa: PLC0415 -- `--help` loads none of it
    from rich.console import Console  # noqa: PLC0415

    from flows.cli import prepare  # noqa: PLC0415
    from flows.databases import chosen_url  # noqa: PLC0415
    from flows.nightly import flow, page, summary  # noqa: PLC0415
    from flows.nightly.work import NightlyError  # noqa: PLC0415
    from flows.stopping import StopSignals  # noqa: PLC0415

    night = replace(_night(date, since, until, days, not no_series_features), engine=engine)
    settings = prepare(database_url=database_url, spark_master=spark_master, spark_dir=spark_dir)
    folder = settings.data_dir / "nightly"
    own = f"{night.label}-{night.id.hex[:12]}"
    path = rules or settings.sequence_rules or folder / "sequence-rules.json"
    written = None if no_report else report or folder / own / "report.html"

    def told(result: Result, daily: Any, seconds: float) -> dict[str, object]:
        if written is not None:
            page.write(written, night, result, daily, seconds)
        return summary.facts(night, result, written, seconds)

    try:
        spark: AbstractContextManager[SparkEngine | None] = nullcontext()
        if engine == "spark":
            shared = settings.spark_dir
            spark = _spark(settings.spark_master, shared / f"hindsight-{own}" if shared else folder / own / "spark")
        with StopSignals() as wish, _progress() as show, spark as counting:
            result, numbers = flow.run(
                chosen_url(settings), night, folder, path, report=told, told=show, stop=lambda: wish.requested,
                engine=counting,
            )  # fmt: skip
    except flow.Stopped as problem:
        click.echo(str(problem), err=True)
        click.get_current_context().exit(130)
    except NightlyError as problem:
        raise click.ClickException(str(problem)) from problem
    summary.show(Console(), night, result, written, limit)
    click.echo(json.dumps(numbers))


def _spark(master: str, folder: Path) -> SparkEngine:
    from flows.spark.engine import SparkEngine  # noqa: PLC0415
    from flows.spark.session import missing  # noqa: PLC0415

    lack = missing()
    if lack is not None:
        raise click.ClickException(lack)
    return SparkEngine(master, folder)


def _night(
    date: datetime | None, since: datetime | None, until: datetime | None, days: int, series_features: bool
) -> Night:
    from flows.nightly.night import Night, night_of  # noqa: PLC0415

    if since is None and until is None:
        day = date or datetime.now(UTC) - timedelta(days=1)
        made = night_of(day.replace(tzinfo=UTC), days)
        return Night(made.since, made.until, made.engine, series_features=series_features)
    if date is not None:
        raise click.UsageError("--date and --from/--to exclude each other")
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) if until is None else until
    end = end.replace(tzinfo=UTC)
    start = end - timedelta(days=days) if since is None else since.replace(tzinfo=UTC)
    if start >= end:
        raise click.UsageError("--from must be before --to")
    return Night(start, end, series_features=series_features)


@contextmanager
def _progress() -> Iterator[Callable[[Stage, str], None]]:
    """A bar of the stages on a terminal, else a line when a stage begins; on stderr."""
    from flows.nightly.night import STAGES  # noqa: PLC0415

    if not sys.stderr.isatty():
        seen: list[str] = []

        def line(stage: Stage, _: str) -> None:
            if stage not in seen:
                seen.append(stage)
                click.echo(f"{stage} …", err=True)

        yield line
        return
    from rich.console import Console  # noqa: PLC0415 -- only where somebody looks
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("nightly", total=len(STAGES))

        def show(stage: Stage, part: str) -> None:
            bar.update(task, completed=STAGES.index(stage), description=f"{stage} {part}".ljust(32))

        yield show
