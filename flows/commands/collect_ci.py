"""`hindsight collect junit` and `hindsight collect github-actions`: what CI says, as events in JSON Lines."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from flows.cli import prepare
from flows.collecting import BROKERS, OUTPUT, sink
from flows.settings import Settings
from flows.stopping import StopSignals
from sources import github_actions as gha
from sources.github_webhook import MOST_BODY, Receiver
from sources.junit import JunitError, Report, Run, event, read

LOG = logging.getLogger(__name__)

MOST_INPUT = 64 << 20
"""Bytes of one file of GitHub's JSON."""

STDIN = "-"


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """RFC 3339 with an offset."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no time such as 2026-01-05T10:15:30Z", ctx, param) from None
    if found.tzinfo is None:
        raise click.BadParameter(f"{value!r} has no offset, such as Z or +02:00", ctx, param)
    return found


def _zone(ctx: click.Context, param: click.Parameter, value: str) -> tzinfo:
    """A zone of the IANA database."""
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"{value!r} is no zone such as UTC or Europe/Berlin", ctx, param) from None


@click.command("junit")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, allow_dash=True), metavar="FILES...")
@OUTPUT
@BROKERS
@click.option(
    "--pipeline",
    metavar="NAME",
    help="Name of the pipeline whose run this is, such as acme/shop:tests. Default: FOLDER:tests, of this folder.",
)
@click.option("--run", metavar="ID", help="Id of the run, such as the CI's. Default: a digest of the reports.")
@click.option(
    "--time",
    "begun",
    metavar="TIME",
    callback=_moment,
    help="When the tests began, where a report does not say. Default: counted back from when its file was written.",
)
@click.option(
    "--zone",
    metavar="ZONE",
    callback=_zone,
    default="UTC",
    show_default=True,
    help="Zone of timestamps without an offset, such as Europe/Berlin.",
)
@click.option("--commit", metavar="SHA", help="The commit that was tested.")
@click.option(
    "--trigger",
    type=click.Choice(["manual", "scheduled", "webhook"]),
    default="webhook",
    show_default=True,
    help="What started the run.",
)
@click.option(
    "--steps",
    type=click.Choice(["class", "test", "none"]),
    default="class",
    show_default=True,
    help="What makes a step of the run: a class (a file, with pytest), or a test. Each step is two series.",
)
@click.option(
    "--skip-invalid", is_flag=True, help="Go on without reports that can't be read; the run's status is then error."
)
def junit(
    files: Sequence[str],
    output: Path | None,
    brokers: str | None,
    pipeline: str | None,
    run: str | None,
    begun: datetime | None,
    zone: tzinfo,
    commit: str | None,
    trigger: str,
    steps: str,
    skip_invalid: bool,
) -> None:
    """Turn JUnit reports (XML) of one run of tests into an event.

    All FILES are one run: one event of type pipeline.finished.v1 with a step for each class of tests, its status, its
    seconds, and the failed tests by name. Understood are the reports of pytest, Maven (surefire and failsafe),
    Gradle, Ant, Jest and others of that family. - is standard input.

    The run's status is failure where a test failed, else error where one could not run, else success; skipped where
    none ran. Given the same reports again, the event has the same id and changes nothing.

    A report that can't be read is named in one line; then nothing is sent and the exit status is 1, unless
    --skip-invalid is given. Reports that declare a document type or entities are refused, as are those above 64 MiB.

    \b
    Example:
      pytest --junitxml=report.xml; hindsight collect junit report.xml --pipeline acme/shop:tests
      hindsight collect junit target/surefire-reports/TEST-*.xml --run "$GITHUB_RUN_ID" --commit "$GITHUB_SHA" \\
          --pipeline "$GITHUB_REPOSITORY:tests" --output events.jsonl
      hindsight collect junit report.xml --steps test --brokers localhost:9092
    """
    settings = prepare(brokers=brokers)
    reports = []
    for file in files:
        try:
            reports.append(_report(file, zone, begun is not None))
        except JunitError as problem:
            click.echo(f"{file} {problem}", err=True)
    bad = len(files) - len(reports)
    if bad and (not skip_invalid or not reports):
        raise click.ClickException(f"{bad} of {len(files)} reports can't be read: nothing is sent")
    name = pipeline or f"{Path.cwd().name or 'root'}:tests"
    try:
        made = event(reports, Run(name, run, begun, steps, commit, trigger))
    except JunitError as problem:
        where = f"{files[0]} " if len(files) == 1 else "the reports: "
        raise click.ClickException(f"{where}{problem}") from None
    if bad:
        made["data"]["status"] = "error"
        made["data"]["trigger_data"]["unreadable_reports"] = bad
    _emit([made], output, settings, brokers)


def _report(file: str, zone: tzinfo, has_time: bool) -> Report:
    if file == STDIN:
        return read(sys.stdin.buffer, zone)
    try:
        with open(file, "rb") as stream:
            written = datetime.fromtimestamp(os.fstat(stream.fileno()).st_mtime, UTC)
            report = read(stream, zone, written)
    except OSError as problem:
        raise JunitError(f"cannot be read: {problem.strerror or problem}") from None
    if not has_time and any(suite.start is None for suite in report.suites):
        LOG.info("%s has no timestamp: it ends when the file was written (--time says when it began)", file)
    return report


@click.command("github-actions")
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False, allow_dash=True), metavar="[FILES]...")
@OUTPUT
@BROKERS
@click.option("--steps/--no-steps", default=True, show_default=True, help="Also the steps of each job.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Receive webhooks there, until a signal, instead of reading. Port 0 = any that is free.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(min=1024, max=25 << 20),
    default=MOST_BODY,
    show_default=True,
    help="With --listen: greatest size of a delivery.",
)
def github_actions(
    files: Sequence[str],
    output: Path | None,
    brokers: str | None,
    steps: bool,
    listen: str | None,
    max_body_bytes: int,
) -> None:
    """Turn GitHub Actions' workflow runs and jobs into events.

    FILES (default: standard input) hold JSON of GitHub's REST API: lists of workflow runs or of jobs, single ones, or
    webhook payloads, one document after the other. A run that is going on gives pipeline.started.v1, one that has
    ended pipeline.finished.v1. The pipeline of a run is OWNER/NAME:WORKFLOW, that of a job OWNER/NAME:WORKFLOW/JOB,
    with the job's steps. Ids are made of GitHub's, so that repeating, overlapping and mixing with webhooks change
    nothing. One line says what is wrong with a file; then nothing is sent and the exit status is 1.

    With --listen it receives webhooks: set one up in the repository's settings with the content type
    application/json, the events "Workflow runs" and "Workflow jobs", and a secret, and give the same secret in
    ANALYTICS_GITHUB_WEBHOOK_SECRET (the environment or .env; it is no option). Every delivery's signature is checked;
    202 = stored, 400 = not GitHub's JSON, 401 = not signed with the secret, 413 = too large, 503 = not stored, to be
    redelivered. GET /health/live is for probes. It speaks plain HTTP: put a proxy with TLS before it. A signal ends it
    when what has begun is stored; the exit status is then 0.

    \b
    Example:
      gh api 'repos/acme/shop/actions/runs?per_page=100' --paginate | hindsight collect github-actions
      gh api repos/acme/shop/actions/runs/30433642/jobs | hindsight collect github-actions --output ci.jsonl
      export ANALYTICS_GITHUB_WEBHOOK_SECRET=...
      hindsight collect github-actions --listen 127.0.0.1:8090 --output ci.jsonl
    """
    settings = prepare(brokers=brokers)
    if listen is not None:
        if files:
            raise click.UsageError("give either FILES or --listen")
        _listen(listen, output, settings, brokers, steps, max_body_bytes)
        return
    made: list[gha.Event] = []
    bad = 0
    for file in files or (STDIN,):
        try:
            for document in gha.documents(_text(file)):
                made += gha.events(document, steps=steps)
        except gha.GithubError as problem:
            bad += 1
            click.echo(f"{'standard input' if file == STDIN else file} {problem}", err=True)
    if bad:
        raise click.ClickException(f"{bad} of {len(files or STDIN)} inputs can't be used: nothing is sent")
    _emit(gha.in_order(made), output, settings, brokers)


def _text(file: str) -> str:
    try:
        if file == STDIN:
            raw = _limited(sys.stdin.buffer)
        else:
            with open(file, "rb") as stream:
                raw = _limited(stream)
        text = raw.decode()
    except OSError as problem:
        raise gha.GithubError(f"cannot be read: {problem.strerror or problem}") from None
    except UnicodeDecodeError as problem:
        raise gha.GithubError(f"is not UTF-8: {problem}") from None
    if not text.strip():
        raise gha.GithubError("is empty")
    return text


def _limited(stream: BinaryIO) -> bytes:
    raw = stream.read(MOST_INPUT + 1)
    if len(raw) > MOST_INPUT:
        raise gha.GithubError(f"is longer than {MOST_INPUT >> 20} MiB")
    return raw


def _emit(made: Sequence[dict[str, Any]], output: Path | None, settings: Settings, brokers: str | None) -> None:
    with StopSignals() as stop, sink(output, settings if brokers else None, stop) as emit:
        emit(made)


def _listen(
    address: str, output: Path | None, settings: Settings, brokers: str | None, steps: bool, most_body: int
) -> None:
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})", address)
    if not found or int(found[3]) > 65_535:
        raise click.UsageError("--listen must be HOST:PORT, such as 127.0.0.1:8090")
    secret = settings.github_webhook_secret.get_secret_value().encode()
    if not secret:
        raise click.UsageError("--listen takes the webhook's secret in ANALYTICS_GITHUB_WEBHOOK_SECRET")
    # 202 says that the events are safe: each delivery is forced to the disk.
    with StopSignals() as stop, sink(output, settings if brokers else None, stop, sync_seconds=0) as emit:
        try:
            receiver = Receiver(found[1] or found[2], int(found[3]), secret, emit, steps=steps, most_body=most_body)
        except OSError as problem:
            raise click.ClickException(f"{address} can't be used: {problem.strerror or problem}") from None
        receiver.start()
        click.echo(f"receives webhooks at {receiver.url}", err=True)
        while not stop.wait(3600):
            pass
        receiver.stop()
