"""Fixtures every test may use: one database server a session, and a fresh migrated database a test."""

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from sinks.backend import recorded
from sinks.embedded import EmbeddedPostgres
from sinks.migrate import migrate
from tests import timescale_server

_numbers = itertools.count(1)

ON_BOTH = (
    "tests/sql/",
    "tests/sinks/test_merge",
    "tests/sinks/test_backend",
    "tests/sinks/test_timescale",
    "tests/sinks/test_m",
    "tests/sinks/test_dump",
    "tests/system/test_oracle",
    "tests/flows/test_status",
    "tests/flows/test_import",
    "tests/benchmarks/test_filling",
    "tests/benchmarks/test_peer",
    "tests/docker/test_dashboards",
)
"""Tests of storage, by the beginning of their path: they run on plain PostgreSQL, and on TimescaleDB where it is."""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command that a test calls in this process sets up logging, to a stream that may be gone in the next test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run storage tests on both twins."""
    path = metafunc.definition.path.relative_to(metafunc.config.rootpath).as_posix()
    if "database_url" in metafunc.fixturenames and path.startswith(ON_BOTH) and timescale_server.available():
        metafunc.parametrize("database_url", ["plain", "timescale"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server on which databases may be made.

    ANALYTICS_TEST_DATABASE_URL, else an embedded one of our own; with the parameter "timescale" a TimescaleDB server.
    """
    if getattr(request, "param", "plain") == "timescale":
        with timescale_server.server(tmp_path_factory.mktemp("timescale")) as url:
            yield url
        return
    given = os.environ.get("ANALYTICS_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        # Nothing here has to survive a crash of the machine. Tests of crashes start servers of their own.
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.url()


@contextlib.contextmanager
def temporary_database(server: str, template: str) -> Iterator[str]:
    """A copy of a template (``template0`` = empty) for the length of a block; gives its URL."""
    name = f"hindsight_test_{os.getpid()}_{next(_numbers)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(create)
    try:
        yield with_database(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(drop)


@pytest.fixture(scope="session")
def migrated_template(database_url: str) -> Iterator[str]:
    """Name of a migrated database that nobody is connected to."""
    with temporary_database(database_url, "template0") as url:
        migrate(url)
        name = str(conninfo_to_dict(url)["dbname"])
        with psycopg.connect(database_url, autocommit=True) as connection:
            # TimescaleDB's workers would connect to it once a minute, and it couldn't be copied then.
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
            guests = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
            while connection.execute(guests, [name]).fetchall():
                time.sleep(0.1)
        yield name


@pytest.fixture(scope="session")
def twin(database_url: str, migrated_template: str) -> str:
    """Which of the twins the databases of this test are: "timescale" or "plain"."""
    with temporary_database(database_url, migrated_template) as url, psycopg.connect(url) as connection:
        return str(recorded(connection))


@pytest.fixture
def database(database_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a fresh migrated database."""
    with temporary_database(database_url, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(database_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a migrated database that the tests of a module share."""
    with temporary_database(database_url, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """URL of a fresh database without any table."""
    with temporary_database(database_url, "template0") as url:
        yield url


def with_database(url: str, name: str) -> str:
    """The URL with another database in it.

    >>> with_database("postgresql://u:p@h:1/a?sslmode=disable", "b")
    'postgresql://u:p@h:1/b?sslmode=disable'
    """
    head, _, options = url.partition("?")
    server = "/".join(head.split("/")[:3])
    return f"{server}/{name}{'?' + options if options else ''}"
