from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from sql.store.errors import (
    Busy,
    Misconfigured,
    NotPermitted,
    QueryTimeout,
    SchemaMissing,
    Unavailable,
)
from sql.store.pool import Database
from sql.store.tasks import TASKS, Tasks
from tests.sql.store.samples import sample


@pytest.fixture
def small(module_database: str) -> Iterator[Database]:
    with Database(module_database, max_size=2, wait=0.5, statement_timeout=5, application_name="small") as database:
        yield database


def setting(database: Database, name: str) -> str:
    with database.read() as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row
    return str(row[0])


def test_ping_and_settings(small: Database) -> None:
    assert 0 < small.ping() < 5
    assert setting(small, "application_name") == "small"
    assert setting(small, "TimeZone") == "UTC"
    assert setting(small, "statement_timeout") == "5s"
    assert setting(small, "transaction_isolation") == "repeatable read"


def test_a_slow_query_is_stopped_and_the_connection_serves_on(small: Database) -> None:
    for work in (small.read, small.write):
        start = time.monotonic()
        with pytest.raises(QueryTimeout, match=r"0\.2 s"), work(timeout=0.2) as connection:
            connection.execute("SELECT pg_sleep(10)")
        assert time.monotonic() - start < 3
    assert setting(small, "statement_timeout") == "5s"


def test_a_read_may_not_write(small: Database) -> None:
    with pytest.raises(NotPermitted), small.read() as connection:
        connection.execute("DELETE FROM tasks")
    with small.read(), pytest.raises(RuntimeError, match="a write within a read"), small.write():
        pass


def test_a_table_that_is_not_there(small: Database) -> None:
    with pytest.raises(SchemaMissing, match="hindsight migrate"), small.read() as connection:
        connection.execute("SELECT 1 FROM not_there")


def test_a_mistake_in_our_own_sql_stays_what_it_is(small: Database) -> None:
    with pytest.raises(psycopg.errors.SyntaxError), small.read() as connection:
        connection.execute("SELEKT 1")
    assert small.ping()


def test_all_connections_in_use(small: Database) -> None:
    release, taken = threading.Event(), threading.Barrier(3)

    def hold() -> None:
        with small.read():
            taken.wait(10)
            release.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    taken.wait(10)
    with pytest.raises(Busy, match="all 2 connections"):
        small.ping()
    release.set()
    for thread in threads:
        thread.join(10)
    assert small.ping()


def test_waiters_get_their_turn(small: Database) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                small.ping()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert "0 of 2" in repr(small)


def kill(url: str, name: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        return len(
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [name]
            ).fetchall()
        )


def test_killed_backends_are_replaced_unseen(small: Database, module_database: str) -> None:
    for _ in range(3):
        small.ping()
        assert kill(module_database, "small") >= 1
        assert small.ping()


def test_a_backend_killed_at_work_is_said_and_the_next_works(small: Database, module_database: str) -> None:
    row = sample(TASKS, external_id="killed")
    with pytest.raises(Unavailable), small.write() as connection:
        Tasks(small).tasks.create(row)
        kill(module_database, "small")
        connection.execute("SELECT 1")
    assert Tasks(small).listing(title=row.title).items == []


def test_a_failed_block_leaves_nothing(small: Database) -> None:
    tasks = Tasks(small)
    row = sample(TASKS, external_id="gone")
    with pytest.raises(ZeroDivisionError), small.write():
        tasks.tasks.create(row)
        _ = 1 / 0
    assert tasks.tasks.page(order="updated_at").items == []


def test_an_inner_write_is_a_savepoint(small: Database) -> None:
    tasks = Tasks(small)
    kept, lost = sample(TASKS, external_id="kept"), sample(TASKS, external_id="lost")
    with small.write():
        tasks.tasks.create(kept)
        with pytest.raises(ZeroDivisionError), small.write():
            tasks.tasks.create(lost)
            _ = 1 / 0
        assert tasks.tasks.page(order="updated_at").items == [kept]
    assert tasks.tasks.page(order="updated_at").items == [kept]
    tasks.tasks.delete(kept.id)


def test_a_failure_that_a_block_ignores_is_not_taken_for_a_commit(small: Database) -> None:
    with pytest.raises(RuntimeError, match="nothing of it is committed"), small.write() as connection:
        Tasks(small).tasks.create(sample(TASKS, external_id="ignored"))
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
    assert Tasks(small).tasks.page(order="updated_at").items == []


def test_a_read_sees_one_moment(small: Database) -> None:
    tasks = Tasks(small)
    row = sample(TASKS, external_id="later")
    with small.read():
        assert tasks.tasks.page(order="updated_at").items == []
        thread = threading.Thread(target=tasks.tasks.create, args=[row])
        thread.start()
        thread.join(10)
        assert tasks.tasks.page(order="updated_at").items == []
    assert tasks.tasks.page(order="updated_at").items == [row]
    tasks.tasks.delete(row.id)


def test_a_database_that_is_away(module_database: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"postgresql://u:secret@127.0.0.1:{port}/d"
    with Database(url, wait=0.3) as database:
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}/d") as caught:
            database.ping()
        assert "secret" not in str(caught.value) + repr(caught.value) + repr(database)


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@[h/d", "host=h pass word=secret", "postgresql://u:secret@h/d?x=1"]
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        Database(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
