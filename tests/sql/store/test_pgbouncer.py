"""The pool through a real PgBouncer in transaction mode: one server connection for many clients."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sql.store.errors import QueryTimeout, Unavailable
from sql.store.pool import Database
from sql.store.store import Store
from sql.store.tasks import TASKS
from tests.sql.store.samples import sample

PGBOUNCER = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here (Debian: apt-get install pgbouncer)")


@pytest.fixture(scope="module")
def bouncer(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = conninfo_to_dict(module_database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    password = f" password='{place['password']}'" if place.get("password") else ""
    folder = tmp_path_factory.mktemp("pgbouncer")
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\nd = host={place['host']} port={place.get('port', 5432)} dbname={place['dbname']}"
        f" user={place.get('user', 'postgres')}{password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 1\nmax_client_conn = 100\nserver_login_retry = 0.1\n"
    )
    command = [str(PGBOUNCER), "-q", str(config)]
    if os.geteuid() == 0:
        # It refuses to run as root; and the folders above the file may be root's alone.
        readable = Path(tempfile.gettempdir()) / f"pgbouncer-{os.getpid()}.ini"
        shutil.copy(config, readable)
        os.chmod(readable, 0o644)
        command = [str(PGBOUNCER), "-q", "-u", "nobody", str(readable)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    url = f"postgresql://anybody@127.0.0.1:{port}/d"
    try:
        wait_for(url, process)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=10)
        if os.geteuid() == 0:
            readable.unlink()


def wait_for(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"pgbouncer did not start: {process.stderr.read() if process.stderr else ''}")
            time.sleep(0.1)


@pytest.fixture
def database(bouncer: str) -> Iterator[Database]:
    with Database(bouncer, max_size=8, prepare_threshold=None, application_name="bounced", wait=10) as database:
        yield database


def test_many_clients_share_one_server_connection(database: Database) -> None:
    failed: list[BaseException] = []
    seen: set[int] = set()

    def work(client: int) -> None:
        try:
            tasks = Store(database).tasks
            for number in range(15):  # more often than the default threshold for preparing a statement
                row = sample(TASKS, external_id=f"{client}/{number}", project_name=f"p{client}")
                assert tasks.tasks.create(row) == row
                assert tasks.listing(project=f"p{client}", limit=1).items
                with database.read() as connection:
                    found = connection.execute("SELECT pg_backend_pid(), current_setting('TimeZone')").fetchone()
                assert found
                assert found[1] == "UTC"
                seen.add(found[0])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=[client]) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert len(seen) == 1


def test_one_clients_timeout_is_not_anothers(database: Database) -> None:
    with pytest.raises(QueryTimeout), database.read(timeout=0.2) as connection:
        connection.execute("SELECT pg_sleep(5)")
    with database.read() as connection:
        assert connection.execute("SELECT current_setting('statement_timeout'), pg_sleep(0.4)").fetchone() == (
            "30s",
            "",
        )
    with database._pool.connection() as bare:
        assert bare.execute("SELECT current_setting('statement_timeout')").fetchone() == ("0",)


def test_a_killed_server_connection_is_replaced(database: Database, module_database: str) -> None:
    database.ping()
    with psycopg.connect(module_database, autocommit=True) as connection:
        killed = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    assert killed
    deadline = time.monotonic() + 10
    while True:
        try:
            assert database.ping()
            return
        except Unavailable:
            assert time.monotonic() < deadline


def test_pages_and_many_rows(database: Database) -> None:
    store = Store(database)
    rows = [sample(TASKS, external_id=f"page/{n}", project_name="pages") for n in range(50)]
    assert store.tasks.tasks.save_all(rows) == 50
    seen, after = [], None
    while True:
        page = store.tasks.listing(project="pages", limit=7, after=after)
        seen += page.items
        if not (after := page.next):
            break
    assert sorted(row.id for row in seen) == sorted(row.id for row in rows)
