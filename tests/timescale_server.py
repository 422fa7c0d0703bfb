"""The TimescaleDB server that the storage tests run on a second time, where there is one.

Either ANALYTICS_TEST_TIMESCALE_URL names a server on which databases may be made, or one of this machine's PostgreSQL
installations has the extension: then a server of its programs is started for the session.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

VARIABLE = "ANALYTICS_TEST_TIMESCALE_URL"
APACHE_VARIABLE = "ANALYTICS_TEST_TIMESCALE_APACHE_URL"
MISSING = (
    f"TimescaleDB: {VARIABLE} names no server, and no PostgreSQL here (pg_config in PATH or /usr/lib/postgresql)"
    " has the extension"
)

CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
max_worker_processes = 24
max_locks_per_transaction = 1024
fsync = off
"""


def installed() -> Path | None:
    """The folder of programs of a PostgreSQL with the extension, or None."""
    found = [shutil.which("pg_config"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/pg_config")))]
    for program in filter(None, found):
        asked = subprocess.run([program, "--sharedir", "--bindir"], capture_output=True, text=True, check=False)
        shared, programs = [*asked.stdout.splitlines(), "", ""][:2]
        if (Path(shared) / "extension" / "timescaledb.control").is_file() and (Path(programs) / "initdb").is_file():
            return Path(programs)
    return None


def available() -> bool:
    """Whether there is a server, or one can be started."""
    return bool(os.environ.get(VARIABLE)) or installed() is not None


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """A server's URL for the length of a block."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    programs = installed()
    assert programs is not None, MISSING
    account: str | None = None
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        account = "postgres"
        shutil.chown(folder, account)
        for place in (folder, *folder.parents):
            if place.owner() == pwd.getpwuid(0).pw_name and place != Path("/"):
                place.chmod(place.stat().st_mode | 0o011)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"

    def run(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, user=account, cwd=folder, check=False)
        if done.returncode:
            pytest.fail(f"{command[0]}: {done.stdout}{done.stderr}")

    run(str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
    with (data / "postgresql.conf").open("a") as file:
        file.write(CONFIGURATION + f"port = {port}\n")
    # pg_ctl's children would keep a pipe open.
    run(str(programs / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")


@contextlib.contextmanager
def apache() -> Iterator[str | None]:
    """A new database on a server with TimescaleDB's Apache build (or `timescaledb.license = apache`), or None."""
    given = os.environ.get(APACHE_VARIABLE)
    if not given:
        yield None
        return
    name = f"hindsight_apache_{os.getpid()}"
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(given, dbname=name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
