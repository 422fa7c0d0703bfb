"""`hindsight collect`: events on standard output or in a file, and one line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from operators.events import decode

ROOT = Path(__file__).parents[2]


def hindsight(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", "collect", *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    place = tmp_path / "shop"
    subprocess.run(["git", "init", "-q", str(place)], check=True)
    for number in range(3):
        commit(place, f"{number}\n")
    return place


def commit(place: Path, text: str) -> None:
    (place / "a.py").write_text(text)
    subprocess.run(["git", "-C", str(place), "add", "-A"], check=True)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(place), *identity, "commit", "-q", "-m", "x"], check=True)


def test_host_on_standard_output() -> None:
    done = hindsight("host", "--count", "2", "--interval", "0.2", "--host", "web-1", "--nominal-mbit", "100")
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({event["time"] for event in events}) == 2
    assert {event["data"]["host"] for event in events} == {"web-1"}
    for line in done.stdout.splitlines():
        decode(line.encode())


def test_git_to_a_file_with_a_state(repo: Path, tmp_path: Path) -> None:
    options = ("git", "--output", str(tmp_path / "out.jsonl"), "--state", str(tmp_path / "state"))
    for lines in (12, 12):
        done = hindsight(*options, cwd=repo)
        assert (done.returncode, done.stdout) == (0, "")
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == lines
    commit(repo, "new\n")
    hindsight(*options, cwd=repo)
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 16


def test_git_newest_without_files(repo: Path) -> None:
    done = hindsight("git", str(repo), "--count", "1", "--no-files")
    assert [json.loads(line)["data"]["metric_type"] for line in done.stdout.splitlines()] == [
        "lines_added", "lines_deleted", "files_changed",
    ]  # fmt: skip


def test_git_follow_until_a_signal(repo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "flows", "collect", "git", str(repo), "--follow", "--interval", "0.1"]
    with subprocess.Popen([*command, "--output", str(out)], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        for lines in (12, 16):
            deadline = time.monotonic() + 20
            while not out.exists() or len(out.read_text().splitlines()) < lines:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            if lines == 12:
                second = hindsight("git", str(repo), "--output", str(out))
                assert second.returncode == 1 and "is being written by another process" in second.stderr
                commit(repo, "new\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None and process.stderr.read() == ""


def test_host_that_is_interrupted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows", "collect", "host", "--interval", "0.1"]
    for options, status in (([], 0), (["--count", "1000"], 130)):
        with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(20) == status


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows", "collect", "host", "--interval", "0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(20)
        assert process.stderr.read() == ""


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for arguments, words, status in (
        (("git", str(tmp_path)), "not a git repository", 1),
        (("git", str(tmp_path / "none")), "is not a folder", 1),
        (("host", "--interval", "0"), "--interval", 2),
        (("host", "--count", "x"), "--count", 2),
        (("host", "--count", "1", "--interval", "0.1", "--output", "/dev/null/x"), "/dev/null/x", 1),
        (("host", "--output", "x", "--brokers", "localhost:1"), "either --output or --brokers", 2),
        (("host", "--brokers", "nonsense"), "HOST:PORT", 2),
        (("nothing",), "No such command", 2),
    ):
        done = hindsight(*arguments)
        assert done.returncode == status, done.stderr
        assert words in done.stderr and len(done.stderr.splitlines()) == 1
