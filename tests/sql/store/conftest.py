from __future__ import annotations

from collections.abc import Iterator

import pytest

from sql.store.pool import Database
from sql.store.store import Store


@pytest.fixture(scope="module")
def database(module_database: str) -> Iterator[Database]:
    """A pool over a database that the tests of a module share."""
    with Database(module_database, max_size=8) as database:
        yield database


@pytest.fixture(scope="module")
def store(database: Database) -> Store:
    return Store(database)
