"""``hindsight doctor``: is everything there that Hindsight needs, and what to do if not."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flows import checkup
from flows.cli import FAILED, prepare

STYLES = {"ok": "green", "warn": "yellow", "FAIL": "red"}


@click.command("doctor")
@click.option(
    "--database-url",
    metavar="URL",
    help="The database. [ANALYTICS_DATABASE_URL; default: the embedded one, if there is one]",
)
@click.option(
    "--brokers",
    metavar="HOST:PORT",
    help="Check Kafka too. [ANALYTICS_BROKERS; default: Kafka is not looked at]",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the embedded database and the spool files. [ANALYTICS_DATA_DIR; default: .hindsight]",
)
@click.option(
    "--recovery-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the recovery snapshots. [ANALYTICS_RECOVERY_DIR; default: .hindsight/recovery]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def command(
    database_url: str | None,
    brokers: str | None,
    data_dir: Path | None,
    recovery_dir: Path | None,
    as_json: bool,
) -> None:
    """Check everything Hindsight needs and say what to do.

    One line a check: ok, warn or FAIL, its name, what was found, and after an arrow what to do. Looks at Python,
    git, the database (reachable, version, tables, TimescaleDB, clock), the last night, Kafka (brokers, topics) when it
    is set, the free disk and the recovery directory. Changes nothing. The exit status is 1 when a check fails. Kafka
    tells no time, so only the database's clock is compared.

    \b
    Example:
      hindsight doctor
      hindsight doctor --brokers localhost:9092 --json
    """
    settings = prepare(database_url=database_url, brokers=brokers, data_dir=data_dir, recovery_dir=recovery_dir)
    checks = checkup.run(settings)
    failed = any(check.level == "FAIL" for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "checks": [vars(check) for check in checks]}, ensure_ascii=False))
    else:
        for check in checks:
            level = click.style(f"{check.level:<4}", fg=STYLES[check.level])
            click.echo(f"{level}  {check.name:<11}  {check.what}" + (f"  → {check.todo}" if check.todo else ""))
    if failed:
        click.get_current_context().exit(FAILED)
