"""`hindsight up` for real: the embedded server, this machine's samples, the flow, and every way to end it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

ROOT = Path(__file__).parents[2]
UP = [sys.executable, "-m", "flows", "up", "--no-git"]
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT), "ANALYTICS_HOST_INTERVAL_SECONDS": "0.5", "ANALYTICS_METRICS_PORT": "0",
    "PYTHONUNBUFFERED": "1",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder; whatever a failed test leaves running on it is ended by its process id."""
    yield tmp_path
    for process in servers(tmp_path):
        with contextlib.suppress(psutil.Error):
            process.kill()


def servers(folder: Path) -> list[psutil.Process]:
    """PostgreSQL's processes of this folder, and any `up`."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    return subprocess.Popen(
        [*UP, "--data-dir", str(folder / "data"), *options], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment | ENVIRONMENT,
    )  # fmt: skip


def wait_for_records(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"\| applied ([0-9,]+) ", line)
        if found and found[1] != "0":
            return
    assert process.stderr is not None
    raise AssertionError(f"ended early: {process.stderr.read()}")


def wait_until_none(folder: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := servers(folder):
        assert time.monotonic() < deadline, [process.info for process in left]
        time.sleep(0.1)


def test_signals_a_second_up_and_kill_9(folder: Path) -> None:
    first = start(folder)
    wait_for_records(first)
    second = start(folder)
    _, refusal = second.communicate(timeout=60)
    assert second.returncode == 1
    assert len(refusal.splitlines()) == 1 and f"process {first.pid}" in refusal
    first.send_signal(signal.SIGINT)
    printed, errors = first.communicate(timeout=60)
    assert first.returncode == 0, errors
    assert "Hindsight ran for" in printed and "hindsight status" in printed and "Traceback" not in errors
    wait_until_none(folder, 0)

    killed = start(folder)
    wait_for_records(killed)
    killed.kill()
    killed.communicate(timeout=60)
    last = start(folder, "--duration", "6")
    printed, errors = last.communicate(timeout=90)
    assert last.returncode == 0, errors
    assert "in earlier runs" in printed
    counts = [
        int(n.replace(",", "")) for n in re.findall(r"(?:read|applied|late|letters|duplicates) ([\d,]+)", printed)
    ]
    read, *rest = counts[-5:]
    assert read == sum(rest) > 0
    wait_until_none(folder, 10)


def test_in_a_terminal(folder: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        for name, value in {**ENVIRONMENT, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"}.items():
            os.environ[name] = value
        os.execv(sys.executable, [*UP, "--data-dir", str(folder / "data")])
    screen = b""
    try:
        deadline = time.monotonic() + 90
        interrupted = False
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    screen += os.read(terminal, 65536)
                except OSError:  # the other end is closed
                    break
            if not interrupted and re.search(rb"applied [1-9]", screen):
                os.write(terminal, b"\x03")  # Ctrl-C, as the terminal makes it: to the whole process group
                interrupted = True
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(terminal)
    text = screen.decode(errors="replace")
    assert status == 0, text[-2000:]
    assert "patterns found" in text and "watermark" in text
    assert text.rindex("\x1b[?1049l") > text.rindex("\x1b[?1049h")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "Hindsight ran for" in text[text.rindex("\x1b[?1049l") :]
    wait_until_none(folder, 0)


def test_a_second_signal_ends_it_at_once_and_leaves_no_server(folder: Path) -> None:
    process = start(folder)
    wait_for_records(process)
    os.kill(process.pid, signal.SIGSTOP)  # both signals are there before either is handled
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(timeout=20)
    assert process.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    wait_until_none(folder, 15)
