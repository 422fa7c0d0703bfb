"""`hindsight replay`: a range of history judged again, and how that compares with what is stored."""

import json
from datetime import UTC, datetime

import click


@click.command("replay")
@click.option("--from", "since", type=click.DateTime(), metavar="TIME", help="Patterns that opened from then on, UTC.")
@click.option("--to", "until", type=click.DateTime(), metavar="TIME", help="Patterns that opened before then, UTC.")
@click.option("--database-url", metavar="URL", help="The database that holds the history. [ANALYTICS_DATABASE_URL]")
@click.option("--entity", metavar="E", help="Only this entity's series.")
@click.option("--write", is_flag=True, help="Store what the replay found. Without it nothing is written.")
@click.option("--limit", type=int, default=20, show_default=True, help="Patterns that are listed.")
def command(
    since: datetime | None,
    until: datetime | None,
    database_url: str | None,
    entity: str | None,
    write: bool,
    limit: int,
) -> None:
    """Judge the history of a database again, from its beginning, and compare the patterns of a range with those stored.

    A pattern's id depends on its detector, its series and the time it opened, so the same history under the same
    configuration gives the same ids. Detectors learn from all that came before the range. With --write the patterns of
    the range are stored as the flow would have done; patterns that the replay does not find are kept.
    The last line on standard output is one JSON object.

    \b
    Examples:
      hindsight replay --from 2026-01-05 --to 2026-01-06 --database-url postgresql://localhost/analytics
      hindsight replay --entity shop/main --write
    """
    import psycopg  # noqa: PLC0415 -- --help loads none of it

    from flows.backtest_report import Report, micros, progress, summary  # noqa: PLC0415
    from flows.backtesting import database_records, judge_events, stored, write_patterns  # noqa: PLC0415
    from flows.cli import prepare  # noqa: PLC0415
    from flows.feedback import adjustments_of  # noqa: PLC0415
    from flows.realtime import partition_config  # noqa: PLC0415

    if since is not None and until is not None and since >= until:
        raise click.UsageError("--from must be before --to")
    settings = prepare(**({} if database_url is None else {"database_url": database_url}))
    url = settings.database_url
    try:
        records = database_records(url, None if until is None else until.replace(tzinfo=UTC), entity)
        outcome = judge_events(
            progress(records, "replay"), partition_config(settings), topic="replay", adjustments=adjustments_of(url)
        )
        outcome = outcome.only(entity, None).between(micros(since), micros(until))
        held = stored(url, micros(since), micros(until), entity)
        if write:
            write_patterns(url, outcome)
    except psycopg.Error as problem:
        raise click.ClickException(f"the database can't be used: {str(problem).strip().splitlines()[0]}") from None
    report = Report(limit)
    report.show(outcome)
    found = set(outcome.patterns)
    same, missing, new = held & found, held - found, found - held
    click.echo(f"Against what is stored: {len(same)} the same, {len(new)} new, {len(missing)} not found again")
    report.list("new", [one for key, one in outcome.patterns.items() if key in new])
    numbers = summary(outcome, None) | {"same": len(same), "new": len(new), "missing": len(missing), "written": write}
    click.echo(json.dumps(numbers))
