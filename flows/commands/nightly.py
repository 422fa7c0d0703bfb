"""``hindsight nightly``: what keeps happening, out of the history in the database."""

from __future__ import annotations

import errno
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
    from flows.nightly.outcome import Result
    from flows.spark.engine import SparkEngine

NEEDED = {
    "mlxtend": "mlxtend", "networkx": "networkx", "pandas": "pandas", "prefixspan": "prefixspan",
    "sklearn": "scikit-learn", "tsfresh": "tsfresh",
}  # fmt: skip
"""What the extra brings: modules and their packages."""

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
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise click.ClickException(f"{', '.join(missing)} {are} missing: pip install 'hindsight[nightly]'")
    if engine == "embedded" and (spark_master or spark_dir):
        raise click.UsageError("--spark-master and --spark-dir are for --engine spark")
    from msgspec.structs import replace  # noqa: PLC0415 -- `--help` loads none of it

    from flows.cli import prepare  # noqa: PLC0415
    from flows.databases import chosen_url  # noqa: PLC0415
    from flows.nightly import flow, page, summary  # noqa: PLC0415
    from flows.nightly.pruning import REPORT, prune  # noqa: PLC0415
    from flows.nightly.work import NightlyError, connect  # noqa: PLC0415
    from flows.sequence_rules import rules_path  # noqa: PLC0415
    from flows.stopping import StopSignals  # noqa: PLC0415
    from sources import nights  # noqa: PLC0415

    night = replace(_night(date, since, until, days, not no_series_features), engine=engine)
    settings = prepare(database_url=database_url, spark_master=spark_master, spark_dir=spark_dir)
    folder = settings.data_dir / "nightly"
    stream_reads = rules_path(settings)
    path = rules or stream_reads
    own = f"{night.label}-{night.id.hex[:12]}"
    written = None if no_report else report or folder / own / REPORT
    _check_places(path, folder / own, written)
    url = chosen_url(settings)
    facts: dict[str, Any] = {}

    def told(result: Result, daily: Any, seconds: float) -> dict[str, Any]:
        with connect(url) as connection:
            changed = nights.changed(connection, night.id, night.until)
            facts["newest"] = None if summary.has_events(result) else nights.newest_row(connection)
        if written is not None:
            page.write(written, night, result, daily, seconds, changed)
        return summary.facts(night, result, changed, written, seconds)

    try:
        spark: AbstractContextManager[SparkEngine | None] = nullcontext()
        if engine == "spark":
            shared = settings.spark_dir
            spark = _spark(settings.spark_master, shared / f"hindsight-{own}" if shared else folder / own / "spark")
        with StopSignals() as wish, _progress() as show, spark as counting:
            result, numbers = flow.run(
                url, night, folder, path, report=told, told=show, stop=lambda: wish.requested,
                engine=counting,
            )  # fmt: skip
    except flow.Stopped as problem:
        click.echo(str(problem), err=True)
        click.get_current_context().exit(130)
    except NightlyError as problem:
        raise click.ClickException(str(problem)) from problem
    prune(folder, settings.nightly_keep_days)
    summary.show(night, result, written, limit, stream_reads=stream_reads, newest=facts["newest"])
    click.echo(json.dumps(numbers))


def _check_places(rules: Path, folder: Path, report: Path | None) -> None:
    """What would go wrong after an hour's work is said before it: a bad file of rules, a place that can't be written.

    :raises click.UsageError: with one line.
    """
    from operators.detect.rules import RuleError, load_rules  # noqa: PLC0415

    if rules.exists():
        try:
            load_rules(rules)
        except RuleError as problem:
            raise click.UsageError(f"{problem}: put it right or move it away, it would be overwritten") from None
    places = {"rules": rules, "files of the night": folder / "report.html", "report": report}
    for name, path in places.items():
        if path is None:
            continue
        try:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            trial = path.with_name(f".{path.name}.trial")
            trial.touch()
            trial.unlink()
        except OSError as problem:
            raise click.UsageError(f"{name}: {path} can't be written: {problem.strerror}") from None


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

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if since is None and until is None:
            made = night_of((date or today - timedelta(days=1)).replace(tzinfo=UTC), days)
            start, end = made.since, made.until
        elif date is not None:
            raise click.UsageError("--date and --from/--to exclude each other")
        else:
            end = (until or today).replace(tzinfo=UTC)
            start = end - timedelta(days=days) if since is None else since.replace(tzinfo=UTC)
    except OverflowError:
        raise click.UsageError(
            f"there is no calendar {days} days before, or a day after, {_day(date or until)}"
        ) from None
    if start >= end:
        raise click.UsageError("--from must be before --to")
    # A night that has not been yet would pass for later than all that follow, and they would change nothing.
    if end > today + timedelta(days=1):
        name = "--date" if date is not None else "--to"
        raise click.UsageError(f"{name} {_day(date or until)} is after today, {_day(today)} (UTC)")
    return Night(start, end, series_features=series_features)


def _day(time: datetime | None) -> str:
    return "now" if time is None else time.date().isoformat()


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
