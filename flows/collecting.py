"""What the subcommands of `hindsight collect` have in common: where events go."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from flows.settings import Settings
from flows.stopping import StopSignals
from sources.spool import SpoolLockedError, SpoolWriter

LOG = logging.getLogger(__name__)

Emit = Callable[[Sequence[dict[str, Any]]], None]

OUTPUT = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to append the events to, locked against a second writer. Default: standard output.",
)
BROKERS = click.option(
    "--brokers",
    metavar="HOST:PORT",
    help="Send the events to Kafka instead, each to its topic and with its key.",
)
PARTITIONS = 4
"""Of a topic that does not exist yet, as `hindsight publish` has it."""


@contextlib.contextmanager
def sink(output: Path | None, kafka: Settings | None, stop: StopSignals, sync_seconds: float = 1.0) -> Iterator[Emit]:
    """Where events go: whole lines to a file or to standard output, flushed at each call, or Kafka's topics.

    With a state file the lines must be on the disk before the position is, hence `sync_seconds=0` there.
    """
    if output is not None and kafka is not None:
        raise click.UsageError("give either --output or --brokers")
    if kafka is not None:
        yield _to_kafka(kafka, stop)
        return
    if output is None:
        yield _to_stdout
        return
    try:
        with SpoolWriter(output, sync_seconds=sync_seconds, on_large=LOG.warning) as spool:

            def append(events: Sequence[dict[str, Any]]) -> None:
                spool.append(events)

            yield append
    except SpoolLockedError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror or error}") from None


def _to_kafka(settings: Settings, stop: StopSignals) -> Emit:
    """Send events to their topics; each call returns when the brokers have them, however long that takes."""
    from sinks import kafka, publish  # noqa: PLC0415 -- librdkafka is not loaded for files

    limits = publish.Limits(settings.max_record_bytes, settings.future_limit_seconds)
    prefix = settings.topic_prefix
    try:
        kafka.ensure_topics(settings.brokers, kafka.input_topics(prefix), PARTITIONS, settings.kafka_config)
        writer = kafka.KafkaWriter(settings.brokers, prefix, settings.kafka_config, stop=lambda: stop.requested)
    except kafka.KafkaWriteError as error:
        raise click.ClickException(str(error)) from None

    def addressed(events: Sequence[dict[str, Any]]) -> Iterator[publish.Addressed]:
        for event in events:
            raw = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
            found = publish.address(publish.Line(0, raw), prefix, limits, time.time())
            if isinstance(found, publish.Addressed):
                yield found
            else:  # such as a commit of the future
                LOG.warning("event %s is left out: %s: %s", event["id"], found.reason, found.detail)

    def emit(events: Sequence[dict[str, Any]]) -> None:
        try:
            publish.send(writer, addressed(events))
        except publish.PublishError as error:
            raise click.ClickException(str(error)) from None

    return emit


def _to_stdout(events: Sequence[dict[str, Any]]) -> None:
    sys.stdout.write("".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in events))
    sys.stdout.flush()
