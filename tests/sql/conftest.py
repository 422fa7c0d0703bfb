from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.sql.rows import Connection


@pytest.fixture
def database(module_database: str) -> Iterator[Connection]:
    """A connection whose work is rolled back."""
    with psycopg.connect(module_database) as connection:
        yield connection
        connection.rollback()
