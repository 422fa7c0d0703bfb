"""``hindsight publish``: check a JSON Lines file of events and send it to Kafka."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO, cast

import click

if TYPE_CHECKING:
    from flows.settings import Settings
    from sinks.publish import Addressed, Checked

STEP = 500
"""Lines between two movements of the progress bar."""


@click.command("publish")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--brokers", metavar="HOST:PORT", help="The Kafka brokers. [ANALYTICS_BROKERS]")
@click.option("--topic-prefix", help="First part of the topics' names. [ANALYTICS_TOPIC_PREFIX]")
@click.option("--skip-invalid", is_flag=True, help="Send the valid events of a file that also has invalid lines.")
@click.option("--dry-run", is_flag=True, help="Check and count; send nothing.")
@click.option(
    "--partitions",
    type=click.IntRange(min=1, max=10_000),
    default=4,
    show_default=True,
    help="Partitions of a topic that does not exist yet and is created.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=30.0,
    show_default=True,
    help="Seconds without an answer from Kafka after which to give up.",
)
def command(
    file: str,
    brokers: str | None,
    topic_prefix: str | None,
    skip_invalid: bool,
    dry_run: bool,
    partitions: int,
    timeout: float,
) -> None:
    """Check a JSON Lines file of events and send it to Kafka, each event to its topic and with its key.

    FILE may end in .gz; - is standard input. Each line is checked as the realtime flow will check it. If one is
    invalid, the invalid lines are listed, nothing is sent and the exit status is 1, unless --skip-invalid is given.

    \b
    Example:
      hindsight publish events.jsonl.gz --brokers localhost:9092
      hindsight collect host --count 3 | hindsight publish -
    """
    from flows.cli import prepare  # noqa: PLC0415 -- `--help` needs neither settings nor librdkafka
    from sinks.publish import Checked, PublishError  # noqa: PLC0415

    settings = prepare(brokers=brokers, topic_prefix=topic_prefix)
    start = time.monotonic()
    checked = Checked()
    try:
        with _opened(file) as opened:
            twice = dry_run or not skip_invalid
            stream = _rewindable(opened) if twice else opened
            if twice:
                with _events(stream, file, settings, checked, "checking") as events:
                    for _ in events:
                        pass
                stream.seek(0)
                if dry_run or (checked.invalid and not skip_invalid):
                    _list(checked)
                    _summary(checked, None, start)
                    click.get_current_context().exit(1 if checked.invalid and not skip_invalid else 0)
                # Checked again as it is sent: the file may have changed in between.
                checked = Checked()
            sent = _send(stream, file, settings, checked, partitions, timeout)
    except PublishError as problem:
        _list(checked)
        raise click.ClickException(str(problem)) from None
    _list(checked)
    _summary(checked, sent, start)
    if checked.invalid and not skip_invalid:
        raise click.ClickException(f"{file} changed while it was sent: {checked.invalid} lines were left out")


def _send(stream: BinaryIO, file: str, settings: Settings, checked: Checked, partitions: int, timeout: float) -> int:
    from sinks import kafka, publish  # noqa: PLC0415 -- `--help` does not need librdkafka

    config = settings.kafka_config
    try:
        made = kafka.ensure_topics(
            settings.brokers, kafka.input_topics(settings.topic_prefix), partitions, config, timeout=timeout
        )
        stalled = publish.Stalled(timeout)
        writer = kafka.KafkaWriter(settings.brokers, settings.topic_prefix, config, stop=stalled)
    except kafka.KafkaWriteError as problem:
        raise publish.PublishError(str(problem)) from None
    stalled.writer = writer
    if made:
        click.echo(f"created {len(made)} topics with {partitions} partitions", err=True)
    with _events(stream, file, settings, checked, "sending") as events:
        return publish.send(writer, events)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    from sinks.publish import PublishError  # noqa: PLC0415 -- as above

    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = open(file, "rb")  # noqa: SIM115 -- closed below; an error of what follows is not this one's
    except OSError as problem:
        raise PublishError(f"{file} cannot be read: {problem.strerror}") from None
    with stream:
        yield stream


def _rewindable(stream: BinaryIO) -> BinaryIO:
    """The stream itself, or a temporary copy of one that can be read only once, such as a pipe."""
    if stream.seekable():
        return stream
    copy: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- ends with the command
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return cast(BinaryIO, copy)


@contextmanager
def _events(
    stream: BinaryIO, file: str, settings: Settings, checked: Checked, what: str
) -> Iterator[Iterator[Addressed]]:
    """The valid events of the input, with a progress bar on a terminal."""
    from sinks.publish import Limits, read_lines, unpacked  # noqa: PLC0415 -- as above

    limits = Limits(settings.max_record_bytes, settings.future_limit_seconds)
    with _progress(stream, what) as moved, unpacked(stream, file) as plain:
        lines = read_lines(plain, limits.most_bytes)
        yield checked.addressed(lines, settings.topic_prefix, limits, moved)


@contextmanager
def _progress(stream: BinaryIO, what: str) -> Iterator[Callable[[], None]]:
    """A bar on stderr that follows the (packed) bytes read; yields what to call for each line."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 -- only where somebody looks
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    total = None
    if stream.seekable():
        total = stream.seek(0, 2)
        stream.seek(0)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        lines = 0

        def moved() -> None:
            nonlocal lines
            lines += 1
            if lines % STEP == 0 and total is not None:
                bar.update(task, completed=stream.tell(), description=f"{what} {lines:,}")
            elif lines % STEP == 0:
                bar.update(task, description=f"{what} {lines:,}")

        yield moved


def _list(checked: Checked) -> None:
    """The invalid lines, on stderr."""
    for line in checked.listed:
        click.echo(f"line {line.number}: {line.reason}: {' '.join(line.detail.split())}", err=True)
    more = checked.invalid - len(checked.listed)
    if more > 0:
        click.echo(f"… and {more} more", err=True)


def _summary(checked: Checked, sent: int | None, start: float) -> None:
    """The last line: what was sent (None = nothing was tried), and what not."""
    if sent is None:
        text = f"{checked.valid} valid events for {len(checked.topics)} topics, nothing sent"
    else:
        text = f"{sent} events sent to {len(checked.topics)} topics in {time.monotonic() - start:.1f} s"
    if checked.invalid:
        reasons = ", ".join(f"{reason} {count}" for reason, count in checked.reasons.most_common())
        text += f"; {checked.invalid} invalid ({reasons})"
    click.echo(text)
