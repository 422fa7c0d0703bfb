"""The checks of `hindsight doctor`, each a function that finds out one thing and changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psycopg
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from flows import nightly_status
from flows.databases import chosen_url, embedded_folder
from flows.live import clean
from flows.settings import Settings
from flows.view import duration, redact
from sinks import migrate
from sources import nights

PYTHON = ((3, 11), (3, 12))
"""Versions that Bytewax has wheels for: the first and the last."""

CLOCK_WARN_S, CLOCK_FAIL_S = 2.0, 60.0
"""From 2 s on latencies are wrong, from a minute on events may be refused as being of the future."""

DISK_WARN, DISK_FAIL = 5 << 30, 1 << 30
BROKER_SECONDS = 5.0

Level = Literal["ok", "warn", "FAIL"]


@dataclass(frozen=True)
class Check:
    """What was found; `todo` says what to do, empty when there is nothing."""

    level: Level
    name: str
    what: str
    todo: str = ""


def run(settings: Settings) -> list[Check]:
    """All checks, in the order in which they are shown."""
    checks = [python(), git()]
    checks += database(settings)
    if "brokers" in settings.model_fields_set:
        checks += kafka(settings)
    index, of = settings.subset
    folder = settings.recovery_dir / f"subset-{index}-of-{of}" if of > 1 else settings.recovery_dir
    return [*checks, disk(settings.data_dir), recovery(folder)]


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Whether the interpreter is one that everything has wheels for.

    >>> python((3, 9, 2)).level
    'FAIL'
    """
    text = ".".join(map(str, version))
    if PYTHON[0] <= version[:2] <= PYTHON[1]:
        return Check("ok", "python", text)
    return Check("FAIL", "python", f"{text} is not supported", "use Python 3.11 or 3.12")


def git() -> Check:
    """Whether git is there for the code history."""
    path = shutil.which("git")
    if path is None:
        return Check("warn", "git", "not installed: no code history", "install git")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return Check("ok", "git", done.stdout.strip().removeprefix("git version "))


def database(settings: Settings) -> list[Check]:
    """Whether the database answers, is of a version that works, and has the tables of this program."""
    url = chosen_url(settings)
    if "database_url" not in settings.model_fields_set and url == settings.database_url:
        folder = embedded_folder(settings)
        if (folder / "cluster").exists():
            what, todo = (
                f"the embedded one in {folder} does not run",
                f"hindsight database start --data-dir {folder}",
            )
        else:
            what, todo = (
                "none set, and no embedded one made yet",
                "hindsight up makes one, or give --database-url",
            )
        return [Check("warn", "database", what, todo)]
    try:
        with migrate.connect(url) as connection:
            return list(_inside(connection, url))
    except migrate.MigrationError as error:
        todo = "start the server, or correct the URL (--database-url, ANALYTICS_DATABASE_URL)"
        return [Check("FAIL", "database", f"{redact(url)}: {clean(error)}", todo)]
    except psycopg.Error as error:
        return [Check("FAIL", "database", f"{redact(url)}: {clean(error)}", "see the server's log")]


def _inside(connection: psycopg.Connection[Any], url: str) -> Iterator[Check]:
    row = connection.execute("SELECT current_setting('server_version'), pg_is_in_recovery()").fetchone()
    version, standby = row or ("", False)
    if standby:
        yield Check("FAIL", "database", f"{redact(url)} is a standby: it cannot be written", "give the primary's URL")
    else:
        yield Check("ok", "database", f"PostgreSQL {version} at {redact(url)}")
    schema = _schema(connection)
    yield schema
    try:
        yield Check("ok", "backend", migrate.backend(connection).reason)
    except migrate.MigrationError as error:
        yield Check("FAIL", "backend", clean(error), "give the server the extension that this database was made with")
    if schema.level == "ok":
        yield _upkeep(connection)
        yield _nights(connection)
    yield _clock(connection)


def _schema(connection: psycopg.Connection[Any]) -> Check:
    try:
        pending = migrate.plan(connection)
    except migrate.MigrationError as error:
        return Check("FAIL", "schema", clean(error), "see docs/operations.md")
    if not pending:
        return Check("ok", "schema", f"up to date ({migrate.available()[-1].label})")
    todo = "hindsight migrate"
    return Check("FAIL", "schema", f"lacks {len(pending)} of {len(migrate.available())} migrations", todo)


def _upkeep(connection: psycopg.Connection[Any]) -> Check:
    row = connection.execute(
        "SELECT count(*), min(bucket)::date FROM summary_changes WHERE bucket < now() - interval '2 d'"
    ).fetchone()
    waiting, since = row or (0, None)
    if not waiting:
        return Check("ok", "upkeep", "summaries are up to date")
    what = f"summaries of {waiting} buckets, from {since} on, have not been made: views are slower, and right"
    return Check("warn", "upkeep", what, "hindsight maintain (a running flow does it by itself)")


def _nights(connection: psycopg.Connection[Any]) -> Check:
    said = nightly_status.told(nights.latest(connection), datetime.now(UTC))
    return Check(said.level, "nightly", said.what, said.todo)


def _clock(connection: psycopg.Connection[Any]) -> Check:
    def once() -> tuple[float, float]:
        before = time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        after = time.time()
        return after - before, (row[0] if row else before) - (before + after) / 2

    # The quickest answer has the least room for error.
    _, difference = min(once() for _ in range(3))
    what = f"the database's is {duration(abs(difference))} {'ahead' if difference > 0 else 'behind'}"
    todo = "let both machines follow the same time server (NTP)"
    if abs(difference) < CLOCK_WARN_S:
        return Check("ok", "clock", what)
    return Check("warn" if abs(difference) < CLOCK_FAIL_S else "FAIL", "clock", what, todo)


def kafka(settings: Settings) -> list[Check]:
    """Whether a broker answers and has the topics that are read."""
    reasons: list[str] = []
    config: dict[str, Any] = {"log_level": 0, **settings.kafka_config, "bootstrap.servers": settings.brokers}
    config["error_cb"] = lambda error: reasons.append(error.str())
    todo = "start Kafka, or correct --brokers / ANALYTICS_BROKERS (SASL and TLS go into ANALYTICS_KAFKA_CONFIG)"
    try:
        client = AdminClient(config)
    except (KafkaException, ValueError, TypeError) as problem:
        return [Check("FAIL", "kafka", f"ANALYTICS_KAFKA_CONFIG: {_words(problem)}", "correct the setting")]
    try:
        metadata = client.list_topics(timeout=BROKER_SECONDS)
    except KafkaException as problem:
        client.poll(0)  # librdkafka's own reasons say more than the time-out that follows from them
        return [Check("FAIL", "kafka", f"{settings.brokers}: {clean((reasons or [_words(problem)])[0])}", todo)]
    checks = [Check("ok", "kafka", f"{len(metadata.brokers)} broker(s) at {settings.brokers}")]
    wanted = settings.input_topics
    missing = [topic for topic in wanted if topic not in metadata.topics or metadata.topics[topic].error]
    if missing:
        todo = "create them, or let hindsight publish do it"
        level: Level = "FAIL" if len(missing) == len(wanted) else "warn"
        return [*checks, Check(level, "topics", f"missing: {', '.join(missing)}", todo)]
    partitions = sum(len(metadata.topics[topic].partitions) for topic in wanted)
    return [*checks, Check("ok", "topics", f"{len(wanted)} with {partitions} partitions")]


def _words(problem: Exception) -> str:
    error = problem.args[0] if problem.args else problem
    return clean(error.str() if isinstance(error, KafkaError) else error)


def disk(folder: Path) -> Check:
    """Whether there is room where the data folder is, or will be."""
    place = _existing(folder)
    free = shutil.disk_usage(place).free
    what = f"{free / (1 << 30):,.1f} GiB free for {folder}"
    if not os.access(place, os.W_OK):
        return Check("FAIL", "disk", f"{place} cannot be written", "give another --data-dir")
    if free < DISK_WARN:
        return Check("FAIL" if free < DISK_FAIL else "warn", "disk", what, "make room, or give another --data-dir")
    return Check("ok", "disk", what)


def recovery(folder: Path) -> Check:
    """Whether snapshots can be written, and which flow and inputs those that are there belong to."""
    todo = "give another --recovery-dir"
    place = _existing(folder)
    if not place.is_dir():
        return Check("FAIL", "recovery", f"{place} is no folder", todo)
    if not os.access(place, os.W_OK | os.X_OK):
        return Check("FAIL", "recovery", f"{place} cannot be written", todo)
    if place != folder or not any(folder.iterdir()):
        return Check("ok", "recovery", f"{folder} is empty: a flow starts at the beginning of its inputs")
    parts = sorted(folder.glob("part-*.sqlite3"))
    if not parts:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:3])
        return Check("warn", "recovery", f"{folder} holds other things ({found}) and no snapshots", todo)
    try:
        flow, inputs = _recovered(folder, parts)
    except (OSError, ValueError, KeyError, TypeError, sqlite3.Error) as error:
        return Check("FAIL", "recovery", f"{folder} cannot be read: {clean(error)}", todo)
    age = time.time() - max(part.stat().st_mtime for part in parts)
    return Check("ok", "recovery", f"{folder} is of flow {flow}, {inputs}; written {duration(max(age, 0.0))} ago")


def _recovered(folder: Path, parts: list[Path]) -> tuple[str, str]:
    """The flow's name, and its inputs in words, from our own note or else from Bytewax's step names."""
    about = folder / "hindsight.json"
    if about.exists():
        note = json.loads(about.read_text())
        return str(note["flow"]), "inputs " + ", ".join(note["inputs"])
    flows: set[str] = set()
    for part in parts:
        with closing(sqlite3.connect(f"file:{part}?mode=ro", uri=True)) as store:
            flows |= {step.partition(".")[0] for (step,) in store.execute("SELECT DISTINCT step_id FROM snaps")}
    return ", ".join(sorted(flows)) or "none yet", "inputs unknown"


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
