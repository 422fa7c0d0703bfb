"""`hindsight backtest`: what the detectors would have said of a history."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from flows.backtesting import Outcome
    from flows.settings import Settings

LISTED = 20


@click.command("backtest")
@click.option("--csv", "table", metavar="FILE", help="One series from a CSV file with a heading.")
@click.option("--time-column", default="timestamp", show_default=True, metavar="T", help="Its column of times.")
@click.option("--value-column", default="value", show_default=True, metavar="V", help="Its column of values.")
@click.option("--out", metavar="OUT.csv", help="With --csv: write each detector's score, and what opened, row by row.")
@click.option("--kind", default="metric", show_default=True, help="With --csv: metric, resource, ….")
@click.option("--input", "inputs", multiple=True, metavar="PATH", help="Events: a JSON Lines file, plain or .gz.")
@click.option("--database-url", metavar="URL", help="Events that a database holds. [ANALYTICS_DATABASE_URL]")
@click.option("--from", "since", type=click.DateTime(), metavar="TIME", help="Patterns that opened from then on, UTC.")
@click.option("--to", "until", type=click.DateTime(), metavar="TIME", help="Patterns that opened before then, UTC.")
@click.option("--entity", metavar="E", help="Only this entity's series.")
@click.option("--measure", metavar="M", help="Only series of this measure.")
@click.option("--sensitivity", type=float, help="Try another anomaly_detection_sensitivity (0 to 1).")
@click.option("--confidence", type=float, help="Try another pattern_confidence_threshold (0 to 1).")
@click.option("--threshold", "limits", multiple=True, metavar="RULE=LIMIT", help="Try another limit of a rule.")
@click.option("--plot", metavar="FILE", help="Draw the series with the most patterns: .png, .svg or .html.")
@click.option("--limit", type=int, default=LISTED, show_default=True, help="Patterns that are listed.")
def command(
    table: str | None,
    time_column: str,
    value_column: str,
    out: str | None,
    kind: str,
    inputs: tuple[str, ...],
    database_url: str | None,
    since: datetime | None,
    until: datetime | None,
    entity: str | None,
    measure: str | None,
    sensitivity: float | None,
    confidence: float | None,
    limits: tuple[str, ...],
    plot: str | None,
    limit: int,
) -> None:
    """Run the detectors over a history and show what would have been said. Nothing is written to a database.

    With --sensitivity, --confidence or --threshold the history is judged twice, and the difference to the current
    configuration is shown. The last line on standard output is one JSON object.

    \b
    Examples:
      hindsight backtest --csv cpu.csv --time-column timestamp --value-column value --out scores.csv --plot cpu.png
      hindsight backtest --input builds.jsonl.gz --sensitivity 0.99
      hindsight backtest --database-url postgresql://localhost/analytics --from 2026-01-05 --entity web-1 --plot
      web.html
    """
    from flows import plotting  # noqa: PLC0415 -- --help loads none of it
    from flows.backtest_report import Report, micros, summary  # noqa: PLC0415
    from flows.backtesting import Difference  # noqa: PLC0415
    from flows.cli import prepare  # noqa: PLC0415

    if sum((table is not None, bool(inputs), database_url is not None)) != 1:
        raise click.UsageError("give one of --csv, --input and --database-url")
    if out is not None and table is None:
        raise click.UsageError("--out goes with --csv")
    if plot is not None:
        plotting.check(Path(plot))
    for path in (table, *inputs):
        if path is not None and not Path(path).is_file():
            raise click.UsageError(f"{path}: no such file")
    settings = prepare(**({} if database_url is None else {"database_url": database_url}))
    tried = _tried(settings, sensitivity, confidence, limits)
    window = micros(since), micros(until)

    def judge(chosen: "Settings") -> "Outcome":
        if table is not None:
            outcome = _judge_table(chosen, table, (time_column, value_column), kind, entity, measure, out)
        else:
            outcome = _judge_events(chosen, inputs, until, entity, plot is not None).only(entity, measure)
        return outcome.between(*window)

    before = None if tried is None else judge(settings)
    after = judge(settings if tried is None else tried)
    difference = None if before is None else Difference.of(before.patterns, after.patterns)
    report = Report(limit)
    report.show(after)
    if difference is not None:
        report.difference(difference)
    if plot is not None:
        report.plot(Path(plot), after)
    click.echo(json.dumps(summary(after, difference)))


def _tried(
    settings: "Settings", sensitivity: float | None, confidence: float | None, limits: tuple[str, ...]
) -> "Settings | None":
    """The settings to try, None when they are the current ones."""
    from flows.settings import load  # noqa: PLC0415

    changes: dict[str, Any] = {}
    if sensitivity is not None:
        changes["anomaly_detection_sensitivity"] = sensitivity
    if confidence is not None:
        changes["pattern_confidence_threshold"] = confidence
    if limits:
        held = dict(settings.alert_thresholds)
        for text in limits:
            rule, _, value = text.partition("=")
            if rule not in held:
                raise click.UsageError(f"--threshold {text}: no rule {rule!r}; there are: {', '.join(sorted(held))}")
            try:
                held[rule] = float(value)
            except ValueError:
                raise click.UsageError(f"--threshold {text}: {value!r} is no number") from None
        changes["alert_thresholds"] = held
    return load(**{**settings.model_dump(exclude_unset=True), **changes}) if changes else None


def _judge_table(
    settings: "Settings",
    table: str,
    columns: tuple[str, str],
    kind: str,
    entity: str | None,
    measure: str | None,
    out: str | None,
) -> "Outcome":
    from flows.backtesting import judge_table  # noqa: PLC0415
    from flows.realtime import partition_config  # noqa: PLC0415
    from operators.taxonomy import KINDS  # noqa: PLC0415
    from sources.table import TableError, read_series  # noqa: PLC0415

    if kind not in KINDS:
        raise click.UsageError(f"--kind {kind}: there are {', '.join(KINDS)}")
    try:
        rows = read_series(table, *columns)
    except TableError as problem:
        raise click.ClickException(str(problem)) from None
    name = entity or Path(table).stem
    scored, outcome = judge_table(rows, name, measure or columns[1], kind, partition_config(settings))
    if out is not None:
        try:
            with open(out, "w", newline="", encoding="utf-8") as lines:
                writer = csv.writer(lines)
                writer.writerow(["timestamp", "value", *(f"{track}_score" for track in scored.tracks), "opened"])
                cells = zip(rows.texts, rows.values, scored.scores, scored.opened, strict=True)
                for text, value, scores, opened in cells:
                    writer.writerow([text, "" if value is None else value, *(f"{s:.6g}" for s in scores), opened])
        except OSError as problem:
            raise click.ClickException(f"--out {out}: {problem.strerror}") from None
    return outcome


def _judge_events(
    settings: "Settings", inputs: tuple[str, ...], until: datetime | None, entity: str | None, keep_series: bool
) -> "Outcome":
    import psycopg  # noqa: PLC0415

    from flows.backtest_report import progress  # noqa: PLC0415
    from flows.backtesting import Outcome, database_records, file_records, judge_events  # noqa: PLC0415
    from flows.realtime import partition_config  # noqa: PLC0415
    from sources.files import FileError, topic_of  # noqa: PLC0415

    config = partition_config(settings)
    whole = Outcome()
    try:
        for path in inputs:
            records = file_records(path, settings.batch_size, settings.max_record_bytes)
            whole.join(judge_events(progress(records, path), config, topic=topic_of(path), keep_series=keep_series))
        if not inputs:
            limit = None if until is None else until.replace(tzinfo=UTC)
            records = database_records(settings.database_url, limit, entity)
            whole.join(judge_events(progress(records, "history"), config, keep_series=keep_series))
    except FileError as problem:
        raise click.ClickException(str(problem)) from None
    except psycopg.Error as problem:
        raise click.ClickException(f"the database can't be read: {str(problem).strip().splitlines()[0]}") from None
    return whole
