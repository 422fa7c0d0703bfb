"""`hindsight api`: the HTTP API."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from api.config import ApiConfig
    from api.intake import EventLog
    from flows.settings import Settings

BACKLOG = 4096
"""Connections that may wait to be accepted: a thousand pages opened at once are no error."""


@click.command("api")
@click.option("--host", metavar="H", help="Address to serve on. [ANALYTICS_API_HOST; default: 127.0.0.1]")
@click.option("--port", type=int, metavar="P", help="Port; 0 = any that is free. [ANALYTICS_API_PORT; default: 8000]")
@click.option(
    "--database-url",
    metavar="URL",
    help="The database. [ANALYTICS_DATABASE_URL; default: the embedded one, if it runs]",
)
@click.option("--brokers", metavar="HOST:PORT", help="Events sent in go to Kafka. [ANALYTICS_BROKERS]")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when standard input is closed.")
def command(
    host: str | None, port: int | None, database_url: str | None, brokers: str | None, with_parent: bool
) -> None:
    """Serve the HTTP API and its page, until SIGTERM or SIGINT.

    Reading is free to whoever reaches the address (ANALYTICS_API_REQUIRE_TOKEN=true changes that); writing takes a
    token: `hindsight token create`. Events that are sent in go to Kafka where brokers are named, else into the spool
    file api.jsonl in the data folder, which `hindsight up` follows, and `hindsight stream --input … --follow`. The
    description of the API is at /openapi.json, the page at /. The first line on standard output is its URL.

    \b
    Example:
      hindsight api --host 127.0.0.1 --port 8000 --database-url postgresql://localhost/analytics
    """
    from flows.cli import prepare  # noqa: PLC0415 -- --help loads none of it
    from flows.databases import chosen_url  # noqa: PLC0415
    from flows.stopping import StopSignals  # noqa: PLC0415

    try:
        from api.app import create  # noqa: PLC0415
        from flows.serving import serve  # noqa: PLC0415
    except ModuleNotFoundError as problem:
        raise click.ClickException(f"{problem.name} is missing: pip install 'hindsight[api]'") from None
    from flows.analysing import analyse  # noqa: PLC0415
    from sql.store.errors import Misconfigured  # noqa: PLC0415

    settings = prepare(api_host=host, api_port=port, database_url=database_url, brokers=brokers)
    url = chosen_url(settings)
    listening = _listen(settings.api_host, settings.api_port)
    try:
        made = create(url, config_of(settings), event_log=_event_log(settings), analyse=analyse)
    except Misconfigured as problem:
        raise click.UsageError(str(problem)) from None
    name = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    click.echo(f"http://{name}:{listening.getsockname()[1]}")
    # The server hands a signal on when it has ended; without this it would end the process then.
    with StopSignals() as stop:
        if with_parent:
            threading.Thread(target=_end_with_parent, daemon=True).start()
        serve(made, listening, settings.api_trusted_proxies, lambda: stop.requested)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def config_of(settings: Settings) -> ApiConfig:
    """What the settings say about the API."""
    from api.config import ApiConfig  # noqa: PLC0415

    return ApiConfig(
        pool_size=settings.api_pool_size,
        query_seconds=settings.api_query_seconds,
        cache_seconds=settings.api_cache_seconds,
        require_token=settings.api_require_token,
        most_body=settings.api_max_body_bytes,
        rate=settings.api_rate_per_second,
        burst=settings.api_rate_burst,
        rate_loopback=settings.api_rate_loopback,
        cors_origins=settings.api_cors_origins,
        flow_metrics=settings.api_flow_metrics,
        topic_prefix=settings.topic_prefix,
        most_record=_most_record(settings),
        future_s=settings.future_limit_seconds,
    )


def _most_record(settings: Settings) -> int:
    # Kafka's own limit is of the whole record: key, headers and batch need their room.
    return min(settings.max_record_bytes, 1_040_000 if "brokers" in settings.model_fields_set else 1 << 30)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as problem:
        words = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror or str(problem)
        raise click.ClickException(f"{host}:{port} can't be used: {words}") from None


def _event_log(settings: Settings) -> EventLog:
    from api.intake import KafkaLog, SpoolLog  # noqa: PLC0415
    from flows.databases import API_SPOOL  # noqa: PLC0415
    from sinks.kafka import KafkaWriteError  # noqa: PLC0415
    from sources.spool import SpoolLockedError  # noqa: PLC0415

    if "brokers" in settings.model_fields_set:
        try:
            return KafkaLog(settings.brokers, settings.topic_prefix, settings.kafka_config)
        except KafkaWriteError as problem:
            raise click.UsageError(str(problem)) from None
    try:
        return SpoolLog(settings.data_dir / "spool" / API_SPOOL)
    except (SpoolLockedError, OSError) as problem:
        raise click.ClickException(f"no place for events: {problem}; give --brokers, or another data folder") from None
