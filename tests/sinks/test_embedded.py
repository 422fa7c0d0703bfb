from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from flows.commands.database import command
from sinks.embedded import EmbeddedError, EmbeddedPostgres
from sinks.embedded.folder import ended

ROOT = Path(__file__).parent.parent.parent
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about leaving root")
LINUX_ONLY = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's parent-death signal")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was started once, as a pattern to copy: initdb is the slow part."""
    path = tmp_path_factory.mktemp("pattern") / "pg"
    with EmbeddedPostgres(path) as server, psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE kept (a int)")
    return path


@pytest.fixture
def data_dir(cluster: Path, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pg"
    shutil.copytree(cluster, path)
    if os.geteuid() == 0:
        owner = cluster.stat()
        for folder, _, names in os.walk(path):
            for name in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(name, owner.st_uid, owner.st_gid)
    yield path
    EmbeddedPostgres(path).stop()


def python(text: str, *arguments: object, launcher: Sequence[str] = ()) -> subprocess.Popen[str]:
    """A Python process of its own that runs a text."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*launcher, sys.executable, "-c", textwrap.dedent(text), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def process_of(path: Path) -> psutil.Process:
    found = EmbeddedPostgres(path)._folder.postmaster()
    assert found is not None
    return found


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def scalar(url: str, text: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(text.encode()).fetchone()
        assert row
        return row[0]


def test_a_new_folder_gives_a_server(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "pg"
    before = tmp_path.stat()
    server = EmbeddedPostgres(path)
    assert not server.is_running()
    with pytest.raises(EmbeddedError, match="no server runs on"):
        server.url()
    url = server.start()
    try:
        parts = conninfo_to_dict(url)
        assert (parts["user"], parts["host"], parts["dbname"]) == ("hindsight", "127.0.0.1", "hindsight")
        assert url == server.url() == f"postgresql://hindsight:{parts['password']}@127.0.0.1:{parts['port']}/hindsight"
        assert scalar(url, "SELECT current_user || ' ' || current_database()") == "hindsight hindsight"
        assert scalar(url, "SHOW unix_socket_directories") == ""
        assert scalar(url, "SHOW listen_addresses") == "127.0.0.1"
        assert scalar(url, "SHOW timezone") == "UTC"
        assert (
            scalar(url, "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'hindsight'")
            == "bC.UTF-8"
        )
        assert scalar(url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'hindsight'").startswith("SCRAM-SHA-256$")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url.replace(str(parts["password"]), "wrong"))
        assert stat.S_IMODE((path / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE((path / "cluster").stat().st_mode) == 0o700
        assert (tmp_path.stat().st_mode, tmp_path.stat().st_uid) == (before.st_mode, before.st_uid)
        assert server.is_running()
        assert server.owned
        assert server.ends_with == os.getpid()
    finally:
        server.close()
    assert not server.is_running()
    assert not server.owned


def test_data_port_and_password_outlast_a_restart(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
    server.stop()
    server.stop()
    assert server.start() == url
    assert scalar(url, "SELECT a FROM kept") == 1
    server.close()


def test_a_taken_port_is_given_up(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    port = int(str(conninfo_to_dict(server.start())["port"]))
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        assert int(str(conninfo_to_dict(server.start())["port"])) != port
    server.close()


def test_a_running_server_is_shared_and_left_alone(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as first:
        second = EmbeddedPostgres(data_dir)
        assert second.start() == first.url()
        assert not second.owned
        second.close()
        assert first.is_running()
    assert not second.is_running()


def test_starts_at_the_same_time_give_one_server(data_dir: Path) -> None:
    urls: list[str] = []
    threads = [threading.Thread(target=lambda: urls.append(EmbeddedPostgres(data_dir).start())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 4
    assert len(set(urls)) == 1
    # Neither does the server end with the thread that started it.
    time.sleep(0.3)
    assert EmbeddedPostgres(data_dir).is_running()


def test_left_running_it_outlives_its_process_and_holds_no_pipe(data_dir: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = [sys.executable, "-m", "flows", "database", "start", "--data-dir", str(data_dir)]
    # Like $(…): output ends only when nobody holds the pipe any more.
    outputs = [
        subprocess.run(start, env=environment, capture_output=True, text=True, timeout=60, check=True) for _ in range(2)
    ]
    assert outputs[0].stdout == outputs[1].stdout
    assert [output.stderr for output in outputs] == ["", ""]
    url = outputs[0].stdout.strip()
    assert scalar(url, "SELECT 1") == 1
    server = EmbeddedPostgres(data_dir)
    assert server.ends_with is None
    assert server.start() == url
    assert not server.owned
    assert os.getsid(process_of(data_dir).pid) != os.getsid(0)
    server.close()
    assert server.is_running()
    server.stop()
    assert not server.is_running()


@LINUX_ONLY
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_process_however_that_ends(data_dir: Path, number: signal.Signals) -> None:
    parent = python(
        """
        import sys, time
        from sinks.embedded import EmbeddedPostgres
        print(EmbeddedPostgres(sys.argv[1]).start(), flush=True)
        time.sleep(60)
        """,
        data_dir,
    )
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert scalar(url, "SELECT 1") == 1
    process = process_of(data_dir)
    parent.send_signal(number)
    # A start at once is the hardest: the old server is on its way out, its process not even reaped.
    assert eventually(lambda: ended(psutil.Process(parent.pid)))
    with EmbeddedPostgres(data_dir) as server:
        assert server.owned
        assert server.url() == url
        assert ended(process)
        parent.wait()
        assert scalar(url, "SELECT count(*) FROM kept") == 0


@LINUX_ONLY
def test_it_ends_when_its_process_ends_in_good_order(data_dir: Path) -> None:
    parent = python(
        "import sys; from sinks.embedded import EmbeddedPostgres; print(EmbeddedPostgres(sys.argv[1]).start())",
        data_dir,
    )
    parent.communicate(timeout=60)
    assert parent.returncode == 0
    assert not EmbeddedPostgres(data_dir).is_running()


def test_a_server_whose_process_died_is_replaced(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.start(leave_running=True)
    orphan = process_of(data_dir)
    state = json.loads((data_dir / "server.json").read_text())
    (data_dir / "server.json").write_text(json.dumps({**state, "owner": {"pid": 2**22 + 1, "started": 1.0}}))
    with EmbeddedPostgres(data_dir) as heir:
        assert heir.owned
        assert ended(orphan)


def test_a_killed_server_starts_again_with_its_data(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO kept VALUES (7)")
    busy = psycopg.connect(url)
    busy.execute("INSERT INTO kept VALUES (8)")
    process_of(data_dir).kill()
    assert eventually(lambda: not server.is_running())
    assert server.start() == url
    assert scalar(url, "SELECT sum(a) FROM kept") == 7
    with contextlib.suppress(psycopg.Error):
        busy.close()
    server.close()


def test_a_pid_file_that_speaks_of_another_program_is_no_server(data_dir: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lines = [str(other.pid), str(data_dir / "cluster"), "1", "1", "", "127.0.0.1", "1 1", "ready"]
        (data_dir / "cluster" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        server = EmbeddedPostgres(data_dir)
        assert not server.is_running()
        with server:
            assert scalar(server.url(), "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_cluster_of_another_major_version_is_refused(data_dir: Path) -> None:
    (data_dir / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="was made by PostgreSQL 16, the installed one is 18") as failure:
        EmbeddedPostgres(data_dir).start()
    assert "\n" not in str(failure.value)


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    before = tmp_path.stat()
    with pytest.raises(EmbeddedError, match="is not empty and holds no server of Hindsight"):
        EmbeddedPostgres(tmp_path).start()
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]
    assert (tmp_path.stat().st_uid, tmp_path.stat().st_mode) == (before.st_uid, before.st_mode)


def test_a_failed_start_says_why_and_leaves_nothing_behind(data_dir: Path) -> None:
    with (data_dir / "cluster" / "postgresql.auto.conf").open("a") as file:
        file.write("shared_buffers = 'lots'\n")
    with pytest.raises(EmbeddedError, match=r"did not start: .*shared_buffers.*server\.log") as failure:
        EmbeddedPostgres(data_dir).start()
    assert "\n" not in str(failure.value)
    assert not any(
        str(data_dir) in " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    )


def test_an_interrupted_first_start_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "pg" / "cluster.new" / "base").mkdir(parents=True)
    (tmp_path / "pg" / "cluster.new" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path / "pg") as server:
        assert scalar(server.url(), "SELECT 1") == 1


def test_settings_of_the_environment_do_not_reach_the_server(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("LC_ALL", "xx_XX.broken")
    with EmbeddedPostgres(data_dir) as server:
        assert scalar(server.url(), "SHOW data_directory") == str(data_dir / "cluster")


def test_a_long_log_is_turned(data_dir: Path) -> None:
    with (data_dir / "server.log").open("wb") as log:
        log.truncate(11 * 1024 * 1024)
    with EmbeddedPostgres(data_dir):
        assert (data_dir / "server.log").stat().st_size < 100_000
        assert (data_dir / "server.log.1").stat().st_size == 11 * 1024 * 1024


def test_command(data_dir: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    place = ["--data-dir", str(data_dir)]
    away = run(command, ["url", *place])
    assert away.exit_code == 1
    assert away.stderr.startswith("Error: no server runs on")
    started = run(command, ["start", *place])
    assert started.exit_code == 0, started.output
    assert scalar(started.stdout.strip(), "SELECT 1") == 1
    assert run(command, ["url", *place]).stdout == started.stdout
    assert [run(command, ["stop", *place]).exit_code for _ in range(2)] == [0, 0]
    assert not EmbeddedPostgres(data_dir).is_running()
    assert run(command, ["stop", "--data-dir", str(tmp_path / "none")]).exit_code == 0
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    assert run(command, ["start", "--data-dir", str(tmp_path / "file")]).exit_code == 2
    for name in ("start", "stop", "url"):
        assert "Example:" in run(command, [name, "--help"]).stdout


def test_command_says_so_when_the_server_ends_with_another_process(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        shared = CliRunner().invoke(command, ["start", "--data-dir", str(data_dir)])
        assert shared.stdout.strip() == server.url()
        assert f"ends with process {os.getpid()}" in shared.stderr
