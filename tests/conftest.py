"""Fixtures every test may use: one database server a session, and a fresh migrated database a test."""

import itertools
import os
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from sinks.embedded import EmbeddedPostgres
from sinks.migrate import migrate

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server on which databases may be made: ANALYTICS_TEST_DATABASE_URL, else an embedded one of our own."""
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


@pytest.fixture(scope="session")
def new_database(database_url: str) -> Iterator[Callable[[str], str]]:
    """Make a database as a copy of a template (``template0`` = empty) and return its URL; all go at the end."""
    made: list[sql.Identifier] = []

    def make(template: str) -> str:
        name = f"hindsight_test_{os.getpid()}_{next(_numbers)}"
        made.append(sql.Identifier(name))
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(made[-1], sql.Identifier(template))
            )
        return with_database(database_url, name)

    yield make
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in reversed(made):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@pytest.fixture(scope="session")
def migrated_template(new_database: Callable[[str], str]) -> str:
    """Name of a migrated database that nobody is connected to."""
    url = new_database("template0")
    migrate(url)
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def database(new_database: Callable[[str], str], migrated_template: str) -> str:
    """URL of a fresh migrated database."""
    return new_database(migrated_template)


@pytest.fixture
def empty_database(new_database: Callable[[str], str]) -> str:
    """URL of a fresh database without any table."""
    return new_database("template0")


def with_database(url: str, name: str) -> str:
    """The URL with another database in it.

    >>> with_database("postgresql://u:p@h:1/a?sslmode=disable", "b")
    'postgresql://u:p@h:1/b?sslmode=disable'
    """
    head, _, options = url.partition("?")
    server = "/".join(head.split("/")[:3])
    return f"{server}/{name}{'?' + options if options else ''}"
