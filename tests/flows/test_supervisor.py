"""`hindsight up` around a stand-in for the flow: what is started, handed over and ended, and in what order."""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest
from rich.console import Console

from flows import collectors, supervisor
from flows.demo import CpuLoad
from flows.live import LiveStats
from flows.settings import Settings, load
from flows.stopping import StopSignals
from flows.supervisor import Plan, demo_plan, supervise
from flows.view import LiveView
from sources.spool import SpoolWriter
from tests.flows.test_view import Found

NOTHING = {
    "read": 0,
    "applied": 0,
    "late": 0,
    "dead_letters": 0,
    "duplicates": 0,
    "patterns": 0,
    "resumed_at": 0,
}


class Flow:
    """Stands in for the flow: counts the lines of its inputs until it is told to stop."""

    def __init__(self, then: Callable[[Flow], None] = lambda flow: None) -> None:
        self.then = then
        self.settings: Settings | None = None
        self.inputs: list[Path] = []
        self.lines = 0

    def __call__(
        self,
        settings: Settings,
        *,
        inputs: list[Path],
        follow: bool,
        stop: Callable[[], bool],
        live: LiveStats,
    ) -> dict[str, Any]:
        assert follow and threading.current_thread() is threading.main_thread()
        assert all(path.exists() for path in inputs)
        self.settings, self.inputs = settings, inputs
        live.record_pattern(Found())
        while not stop():
            self.lines = sum(len(path.read_text().splitlines()) for path in inputs)
            self.then(self)
            time.sleep(0.02)
        return {**NOTHING, "read": self.lines, "applied": self.lines, "patterns": 1}


@pytest.fixture
def plan(tmp_path: Path, database: str) -> Plan:
    settings = load(env_file=None, data_dir=tmp_path / "data")
    return Plan(settings, database_url=database, host_interval_s=0.1, duration_s=0.6)


def run(plan: Plan, flow: Any) -> tuple[int, str]:
    out = io.StringIO()
    return supervise(plan, flow, Console(file=out, width=100)), out.getvalue()


def test_a_bounded_run(plan: Plan) -> None:
    flow = Flow()
    status, printed = run(plan, flow)
    assert status == 0
    assert flow.lines >= 4
    assert flow.settings is not None and flow.settings.database_url == plan.database_url
    assert flow.settings.recovery_dir.parent == plan.settings.data_dir
    assert f"read {flow.lines} = applied {flow.lines} + late 0 + dead letters 0 + duplicates 0" in printed
    assert "high_cpu_usage in web-1 cpu_usage" in printed
    assert "hindsight status" in printed
    with psycopg.connect(str(plan.database_url)) as connection:
        assert connection.execute("SELECT to_regclass('detected_patterns')").fetchone() != (None,)
    (host,) = [path for path in flow.inputs if path.name == "host.jsonl"]
    kinds = {json.loads(line)["data"]["resource_type"] for line in host.read_text().splitlines()}
    assert {"cpu", "memory", "disk"} <= kinds
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("collect-", "view"))]


def test_nothing_applied_in_a_bounded_run_is_a_failure(plan: Plan) -> None:
    status, _ = run(plan, lambda settings, **options: NOTHING)
    assert status == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(plan: Plan, number: int, request: pytest.FixtureRequest) -> None:
    # Under nohup the suite itself ignores SIGHUP, and a run would rightly go on.
    request.addfinalizer(functools.partial(signal.signal, number, signal.getsignal(number)))
    signal.signal(number, signal.SIG_DFL)
    before = signal.getsignal(number)
    flow = Flow(then=lambda flow: os.kill(os.getpid(), number) if flow.lines else None)
    status, printed = run(Plan(**{**vars(plan), "duration_s": None}), flow)
    assert status == 0 and "Hindsight ran for" in printed
    assert signal.getsignal(number) is before


def test_ends_in_order_whatever_happens(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Server:
        def __init__(self, folder: Path) -> None:
            assert folder == plan.settings.data_dir / "postgres"

        def start(self, leave_running: bool) -> str:
            assert not leave_running
            order.append("database starts")
            return str(plan.database_url)

        def close(self) -> None:
            order.append("database ends")

    def watched(kind: type, name: str) -> None:
        original = kind.stop  # type: ignore[attr-defined]

        def stop(self: Any) -> None:
            order.append(name)
            original(self)

        monkeypatch.setattr(kind, "stop", stop)

    monkeypatch.setattr(supervisor, "EmbeddedPostgres", Server)
    watched(collectors.Collectors, "collectors end")
    watched(LiveView, "view ends")

    def flow(settings: Settings, **options: Any) -> dict[str, Any]:
        raise click.ClickException("the flow broke")

    with pytest.raises(click.ClickException, match="the flow broke"):
        run(Plan(**{**vars(plan), "database_url": None}), flow)
    assert list(dict.fromkeys(order)) == ["database starts", "collectors end", "view ends", "database ends"]


def test_one_up_a_data_folder(plan: Plan) -> None:
    def flow(settings: Settings, **options: Any) -> dict[str, Any]:
        with pytest.raises(click.ClickException) as raised:
            run(plan, Flow())
        assert f"process {os.getpid()}" in str(raised.value) and "--data-dir" in str(raised.value)
        return NOTHING

    run(plan, flow)
    assert run(plan, Flow())[0] == 0


def test_a_lock_left_by_a_killed_process_is_no_obstacle(plan: Plan) -> None:
    plan.settings.data_dir.mkdir()
    lock = plan.settings.data_dir / "up.lock"
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(click.ClickException):
            run(plan, Flow())
        process.kill()
    assert run(plan, Flow())[0] == 0


def test_a_folder_that_cannot_be_used_is_one_line(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(click.ClickException, match="cannot use"):
        run(plan, Flow())


def test_a_database_that_is_away_is_one_line(plan: Plan) -> None:
    away = Plan(**{**vars(plan), "database_url": "postgresql://localhost:1/none"})
    with pytest.raises(click.ClickException, match="cannot connect") as raised:
        run(away, Flow())
    assert "\n" not in str(raised.value)


def test_the_spools_of_earlier_runs_are_read_too(plan: Plan) -> None:
    with SpoolWriter(plan.settings.data_dir / "spool" / "git-acme-shop.jsonl") as spool:
        spool.append([{"id": "1"}])
    flow = Flow()
    run(plan, flow)
    assert [path.name for path in flow.inputs] == ["api.jsonl", "git-acme-shop.jsonl", "host.jsonl"]


def test_the_history_of_a_repository(plan: Plan, tmp_path: Path) -> None:
    repo = tmp_path / "shop"
    for command in (
        ["init", "-q", str(repo)],
        [
            "-C",
            str(repo),
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "x",
        ],
    ):
        subprocess.run(["git", *command], check=True)
    flow = Flow()
    run(Plan(**{**vars(plan), "repo": repo, "host_interval_s": None, "duration_s": 1.0}), flow)
    assert [path.name for path in flow.inputs] == ["api.jsonl", "git-shop.jsonl"]
    assert flow.lines == 3


def test_no_repository_is_a_warning_or_an_error(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    status, printed = run(Plan(**{**vars(plan), "repo": tmp_path}), Flow())
    assert status == 0 and "no code history" in printed
    with pytest.raises(click.ClickException, match="not a git repository"):
        run(Plan(**{**vars(plan), "repo": tmp_path, "repo_required": True}), Flow())
    assert run(plan, Flow())[0] == 0


def test_log_lines_go_to_a_file_and_warnings_to_the_view(plan: Plan) -> None:
    handlers = list(logging.getLogger().handlers)

    def flow(settings: Settings, **options: Any) -> dict[str, Any]:
        logging.getLogger("sinks").warning("the database is away")
        assert any("the database is away" in text for text in options["live"].snapshot().warnings)
        return NOTHING

    run(plan, flow)
    assert "the database is away" in (plan.settings.data_dir / "up.log").read_text()
    assert logging.getLogger().handlers == handlers


def test_recovery_is_kept_by_database(plan: Plan) -> None:
    other = Plan(**{**vars(plan), "database_url": "postgresql://h/other"})
    embedded = Plan(**{**vars(plan), "database_url": None})
    folders = {str(supervisor._recovery_dir(one)) for one in (plan, other, embedded)}
    assert len(folders) == 3
    changed = Plan(**{**vars(other), "database_url": "postgresql://h/other"})
    assert supervisor._recovery_dir(changed) == supervisor._recovery_dir(other)


def test_a_collector_that_fails_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectors, "RETRY_SECONDS", 0.05)
    said: list[str] = []
    running = collectors.Collectors(tmp_path, said.append)
    running.add_host(0.05)
    spool = running._spools[0]
    append, failures = spool.append, iter([OSError(28, "No space left on device")])

    def fails_once(events: Any) -> int:
        for error in failures:
            raise error
        return append(events)

    monkeypatch.setattr(spool, "append", fails_once)
    running.start()
    deadline = time.monotonic() + 10
    while not spool.size and time.monotonic() < deadline:
        time.sleep(0.02)
    running.stop()
    assert spool.size > 0
    assert len(said) == 1 and "collector host" in said[0] and "No space left" in said[0]


def test_the_demos_load_is_real_bounded_and_said(plan: Plan) -> None:
    said: list[str] = []
    load_test = CpuLoad(said.append, after=0.0, seconds=0.8, cores=1)
    load_test.start()
    time.sleep(0.5)
    children = psutil.Process().children()
    busy = [child for child in children if "os.getppid" in " ".join(child.cmdline())]
    assert len(busy) == 1 and sum(busy[0].cpu_times()[:2]) > 0
    assert said == [
        "demo: loading the CPU for 1 s so that there is something to see (a busy process on each of 1 cores)"
    ]
    time.sleep(0.6)
    load_test.stop()
    assert said[1:] == [""]
    assert not busy[0].is_running()


def test_the_demos_load_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import time; from flows.demo import CpuLoad; load = CpuLoad(print, after=0, seconds=60, cores=1);"
        "load.start(); time.sleep(0.7); import psutil;"
        "print(psutil.Process().children()[0].pid, flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        pid = int(next(line for line in process.stdout if line.strip().isdigit()))
        process.kill()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)


def test_the_demo_is_bounded_and_has_its_load(plan: Plan) -> None:
    demo = demo_plan(plan, duration_s=110.0)
    assert demo.load_after_s == 30.0 and demo.load_s == 15.0 and demo.duration_s == 110.0
    assert demo.settings is plan.settings


def test_a_second_signal_ends_the_process_at_once() -> None:
    code = (
        "import os, signal; from flows.stopping import StopSignals\n"
        "with StopSignals(on_second=lambda: os.write(1, b'restored')) as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT); print('not reached')"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert (done.returncode, done.stdout) == (130, "restored")


def test_a_signal_after_the_programs_own_wish_is_a_first_one() -> None:
    with StopSignals() as stop:
        stop.request()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested and stop.signal == signal.SIGTERM
