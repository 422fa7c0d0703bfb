"""``hindsight alerts config|test``: Alertmanager's configuration, and a test of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flows.cli import FAILED

DOCKER = Path(__file__).parent.parent.parent / "docker"
"""Where templates and rules are, in the repository."""


@click.group("alerts")
def command() -> None:
    """Configure Alertmanager, and try it.

    How alerts work, and what each receiver needs: docs/alerts.md.

    \b
    Example:
      hindsight alerts config --output /etc/alertmanager
      hindsight alerts test --severity high
    """


@command.command("config")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write alertmanager.yml, templates/ and Prometheus' rules/ into. Default: print alertmanager.yml.",
)
def config(output: Path | None) -> None:
    """Write Alertmanager's configuration from the settings.

    Receivers are those whose ANALYTICS_ALERT_* settings are set: Slack, e-mail, webhook. Secrets stay in the files that
    the settings name. With --output, Prometheus' rules come too, their runbook_url starting with
    ANALYTICS_RUNBOOK_BASE_URL.

    \b
    Example:
      ANALYTICS_ALERT_SLACK_URL_FILE=/run/secrets/slack hindsight alerts config --output /etc/alertmanager
    """
    from flows.alertmanager import configuration, files  # noqa: PLC0415 - `--help` needs no settings
    from flows.cli import prepare  # noqa: PLC0415

    settings = prepare()
    if output is None:
        click.echo(configuration(settings), nl=False)
        return
    if not (DOCKER / "alertmanager/templates").is_dir():
        raise click.ClickException("the templates are in the repository's folder docker/, which is not here")
    for name, text in files(settings, DOCKER).items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")


@command.command("test")
@click.option(
    "--severity",
    type=click.Choice(["low", "medium", "high", "critical"]),
    default="high",
    show_default=True,
    help="Severity of the test notice: it decides who gets it.",
)
@click.option("--escalated", is_flag=True, help="As an incident that has lasted for long.")
@click.option(
    "--lasts",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="When the test ends; the message that it is over follows.",
)
@click.option(
    "--url", "urls", metavar="URL", help="Alertmanagers instead of those set, by commas. [ANALYTICS_ALERTMANAGER_URLS]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def test(severity: str, escalated: bool, lasts: float, urls: str | None, as_json: bool) -> None:
    """Send a test notice to each Alertmanager, and say what came back.

    One line each: whether it was accepted, and which receivers it is for by the configuration that runs there. The exit
    status is 1 when one of them did not take it.

    \b
    Example:
      hindsight alerts test --severity critical --lasts 30
    """
    from flows.alerting import try_alerts  # noqa: PLC0415
    from flows.cli import prepare  # noqa: PLC0415

    settings = prepare(alertmanager_urls=urls)
    if not settings.alertmanager_urls:
        raise click.UsageError("no Alertmanager is set: give --url or set ANALYTICS_ALERTMANAGER_URLS")
    found = try_alerts(settings, severity, lasts, escalated)  # type: ignore[arg-type]
    if as_json:
        click.echo(json.dumps({"ok": all(one.ok for one in found), "alertmanagers": [one._asdict() for one in found]}))
    else:
        for one in found:
            receivers = f"; for {', '.join(one.receivers)}" if one.receivers else ""
            level = click.style("ok  " if one.ok else "FAIL", fg="green" if one.ok else "red")
            click.echo(f"{level}  {one.target}: {one.words}{receivers}")
    if not all(one.ok for one in found):
        click.get_current_context().exit(FAILED)
