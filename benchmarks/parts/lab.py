"""The servers of a run: Apache Kafka and PostgreSQL, started when first wanted, gone at the end with all they hold."""

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from benchmarks.parts.workload import Say, Workload, publish
from sinks.embedded import EmbeddedPostgres
from sinks.kafka import all_topics, ensure_topics
from sinks.migrate import migrate
from tests.system.kafka_server import KafkaServer, KafkaServerError, missing_tools

TEMPLATE = "benchmark_template"
PARTITIONS = 4


class Unavailable(Exception):
    """A peer or a server that can't be had here; the text says why."""


class Lab:
    """Servers, topics, databases and folders of one run of the benchmark."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.folder = Path(tempfile.mkdtemp(prefix="hindsight-bench-"))
        self._kafka: KafkaServer | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._url = ""
        self._topics: dict[tuple[Workload, int], str] = {}
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._kafka is not None:
                self._kafka.stop()
        finally:
            try:
                if self._postgres is not None:
                    self._postgres.stop()
            finally:
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def kafka(self) -> KafkaServer:
        """The broker. Raises `Unavailable` where there is no Java or Maven."""
        if self._kafka is None:
            missing = missing_tools()
            if missing:
                raise Unavailable(f"Apache Kafka cannot run here: {missing}")
            self.say("starting Apache Kafka")
            server = KafkaServer(self.folder / "kafka", heap_mb=768)
            self._kafka = server
            try:
                server.start()
                ensure_topics(server.brokers, all_topics("hindsight"), PARTITIONS)
            except KafkaServerError as problem:
                raise Unavailable(f"Apache Kafka cannot run here: {str(problem).splitlines()[0]}") from None
        return self._kafka

    @property
    def postgres(self) -> str:
        """URL of the embedded server, with a migrated template database on it."""
        if self._postgres is None:
            self.say("starting PostgreSQL")
            self._postgres = EmbeddedPostgres(self.folder / "postgres")
            self._url = self._postgres.start()
            self._execute("CREATE DATABASE {}", TEMPLATE)
            migrate(at(self._url, TEMPLATE))
        return self._url

    def topic(self, workload: Workload, partitions: int = PARTITIONS) -> str:
        """A topic that holds the workload; filled once a run."""
        place = (workload, partitions)
        if place not in self._topics:
            brokers = self.kafka.brokers
            name = f"bench-{workload.events}-{workload.series}-{partitions}"
            self.kafka.create_topic(name, partitions)
            if workload.events:
                self.say(f"publishing {workload.events:,} events of {workload.mean_bytes():.0f} bytes to {name}")
                publish(brokers, name, workload, partitions)
            self._topics[place] = name
        return self._topics[place]

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """URL of a fresh migrated database, dropped afterwards. The server has written back what came before."""
        name = f"bench_{next(self._numbers)}"
        server = self.postgres
        with psycopg.connect(at(server, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
            )
            connection.execute("CHECKPOINT")
        try:
            yield at(server, name)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def fresh(self, name: str) -> Path:
        """A new folder."""
        path = self.folder / f"{name}-{next(self._numbers)}"
        path.mkdir()
        return path

    def server_cpu(self) -> tuple[float, float]:
        """CPU seconds that broker and database have used so far."""
        broker = psutil.Process(self._kafka.pid) if self._kafka and self._kafka.pid else None
        database = 0.0
        if self._postgres is not None:
            with psycopg.connect(at(self._url, "postgres")) as connection:
                row = connection.execute("SELECT pg_backend_pid()").fetchone()
                assert row is not None
                master = psutil.Process(row[0]).parent()
                if master is not None:
                    database = sum(master.cpu_times()[:4])
                    for child in master.children(recursive=True):
                        with contextlib.suppress(psutil.Error):
                            database += sum(child.cpu_times()[:2])
        return (sum(broker.cpu_times()[:2]) if broker else 0.0), database

    def _execute(self, text: str, name: str) -> None:
        with psycopg.connect(at(self._url, "postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(text).format(sql.Identifier(name)))


def at(url: str, name: str) -> str:
    """The URL with another database in it.

    >>> at("postgresql://u:p@h:1/a", "b")
    'postgresql://u:p@h:1/b'
    """
    return f"{url.rpartition('/')[0]}/{name}"
