"""The timer of the nightly container: a signal reaches the run at once, a missed night is made up for."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "nightly.sh"
RUN = """#!/bin/sh
echo "$@" >>"$ANALYTICS_DATA_DIR/runs"
trap 'echo ended >>"$ANALYTICS_DATA_DIR/runs"; exit 130' TERM
[ -e "$ANALYTICS_DATA_DIR/fails" ] && exit 1
[ -e "$ANALYTICS_DATA_DIR/long" ] || exit 0
sleep 60 >/dev/null 2>&1 & wait $!
"""


class Timer:
    """The script with a `hindsight` that only writes down that it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "bin" / "hindsight").write_text(RUN)
        (folder / "bin" / "hindsight").chmod(0o755)
        self.last_run = folder / "nightly" / "last-run"
        self.failed = folder / "failed"

    def start(self) -> subprocess.Popen[bytes]:
        # Due an hour ago and in 23 hours, whenever the test runs.
        at = time.strftime("%H:%M", time.gmtime(time.time() - 3600))
        more = {
            "ANALYTICS_DATA_DIR": str(self.folder), "HINDSIGHT_NIGHTLY_AT": at,
            "HINDSIGHT_NIGHTLY_FAILED": str(self.failed), "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }  # fmt: skip
        return subprocess.Popen(["sh", str(SCRIPT)], env=os.environ | more, stderr=subprocess.PIPE)

    @property
    def runs(self) -> list[str]:
        path = self.folder / "runs"
        return path.read_text().splitlines() if path.exists() else []


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def end(started: "subprocess.Popen[bytes]") -> bytes:
    began = time.monotonic()
    started.send_signal(signal.SIGTERM)
    _, said = started.communicate(timeout=10)
    assert started.returncode == 0 and time.monotonic() - began < 3
    return said


@pytest.fixture
def timer(tmp_path: Path) -> Timer:
    return Timer(tmp_path)


def test_the_first_start_of_all_waits_for_its_time(timer: Timer) -> None:
    started = timer.start()
    until(timer.last_run.exists)
    time.sleep(0.3)
    assert b"the next run is at" in end(started)
    assert timer.runs == [] and time.time() - int(timer.last_run.read_text()) < 3700


def test_a_night_that_was_missed_is_made_up_for_once(timer: Timer) -> None:
    timer.last_run.parent.mkdir()
    timer.last_run.write_text(f"{int(time.time()) - 90_000}\n")
    started = timer.start()
    until(lambda: time.time() - int(timer.last_run.read_text() or 0) < 3700)
    time.sleep(0.3)
    end(started)
    assert timer.runs == ["nightly"]
    end_again = timer.start()
    time.sleep(0.3)
    end(end_again)
    assert timer.runs == ["nightly"]


def test_one_that_failed_is_tried_again_by_the_next_container(timer: Timer) -> None:
    timer.last_run.parent.mkdir()
    timer.last_run.write_text("0\n")
    (timer.folder / "fails").touch()
    started = timer.start()
    until(timer.failed.exists)
    time.sleep(0.3)
    end(started)
    assert timer.runs == ["nightly"], "not again and again"
    (timer.folder / "fails").unlink()
    started = timer.start()
    until(lambda: len(timer.runs) == 2 and not timer.failed.exists())
    end(started)


def test_a_signal_reaches_the_run_at_once(timer: Timer) -> None:
    timer.last_run.parent.mkdir()
    timer.last_run.write_text("0\n")
    (timer.folder / "long").touch()
    started = timer.start()
    until(lambda: timer.runs == ["nightly"])
    time.sleep(0.2)
    end(started)
    assert timer.runs == ["nightly", "ended"]
    assert timer.last_run.read_text() == "0\n", "it is made up for at the next start"
