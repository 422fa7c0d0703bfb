"""`hindsight collect junit` and `github-actions` on the command line."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.cli import run as hindsight
from operators.events import decode
from tests.sources.github_samples import job, payload, run
from tests.sources.test_junit import PYTEST, SUREFIRE

ROOT = Path(__file__).parents[2]
Captured = pytest.CaptureFixture[str]


def test_junit_twice_gives_the_same(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.xml").write_bytes(PYTEST)
    (tmp_path / "b.xml").write_bytes(SUREFIRE)
    command = ["collect", "junit", str(tmp_path / "a.xml"), str(tmp_path / "b.xml"), "--pipeline", "acme/shop:tests"]
    said = []
    for _ in range(2):
        assert hindsight(command) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    decode(said[0].encode())
    out = tmp_path / "out.jsonl"
    assert hindsight([*command, "--output", str(out), "--run", "7", "--time", "2026-01-05T10:00:00Z"]) == 0
    made = json.loads(out.read_text())["data"]
    assert (made["execution_id"], made["execution_end"]) == ("7", "2026-01-05T10:20:34.500000Z")


def test_junit_bad_reports(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "good.xml").write_bytes(PYTEST.replace(b"failure", b"system-err").replace(b"error", b"properties"))
    (tmp_path / "bad.xml").write_bytes(b"<testsuite>")
    files = [str(tmp_path / name) for name in ("good.xml", "bad.xml", "none.xml")]
    assert hindsight(["collect", "junit", *files]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.partition(tmp_path.name)[2] or line for line in said.err.splitlines()] == [
        "/bad.xml is no whole XML: no element found: line 1, column 11",
        "/none.xml cannot be read: No such file or directory",
        "hindsight: 2 of 3 reports can't be read: nothing is sent",
    ]  # fmt: skip
    assert hindsight(["collect", "junit", *files, "--skip-invalid"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["status"], data["trigger_data"]["unreadable_reports"]) == ("error", 2)


def test_github_actions_from_files(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "runs.json").write_text(json.dumps({"workflow_runs": [run()]}) + json.dumps({"workflow_runs": [run()]}))
    (tmp_path / "jobs.json").write_text(json.dumps({"jobs": [job()]}))
    assert hindsight(["collect", "github-actions", *map(str, tmp_path.glob("*.json"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["job-399444496-finished", "run-30433642-1-finished"]
    for line in lines:
        decode(line.encode())


def test_github_actions_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(json.dumps(job()).encode())))
    assert hindsight(["collect", "github-actions", "--no-steps"]) == 0
    assert "steps" not in json.loads(capsys.readouterr().out)["data"]


def test_mistakes_are_one_line(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANALYTICS_GITHUB_WEBHOOK_SECRET", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text('{"message": "Not Found"}')
    (tmp_path / "good.xml").write_bytes(PYTEST)
    for arguments, words, status in (
        (["junit"], "Missing argument", 2),
        (["junit", "good.xml", "--time", "2026-01-05T10:00:00"], "has no offset", 2),
        (["junit", "good.xml", "--zone", "Mars/Phobos"], "is no zone", 2),
        (["junit", "good.xml", "--output", "x", "--brokers", "localhost:1"], "either --output or --brokers", 2),
        (["github-actions", "--listen", "nowhere"], "must be HOST:PORT", 2),
        (["github-actions", "--listen", "127.0.0.1:0"], "ANALYTICS_GITHUB_WEBHOOK_SECRET", 2),
        (["github-actions", "--listen", "127.0.0.1:0", "bad.json"], "either FILES or --listen", 2),
    ):
        assert hindsight(["collect", *arguments]) == status
        said = capsys.readouterr()
        assert words in said.err and len(said.err.splitlines()) == 1 and said.out == ""
    assert hindsight(["collect", "github-actions", "bad.json"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "bad.json holds neither workflow runs nor jobs"


def test_webhooks_until_a_signal(tmp_path: Path) -> None:
    out = tmp_path / "ci.jsonl"
    command = [
        sys.executable,
        "-m",
        "flows",
        "collect",
        "github-actions",
        "--listen",
        "127.0.0.1:0",
        "--output",
        str(out),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ANALYTICS_GITHUB_WEBHOOK_SECRET": "s3cret"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://127.0.0.1:\d+", process.stderr.readline())
        assert found
        body = json.dumps(payload("completed", workflow_job=job())).encode()
        signature = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        headers = {
            "X-Hub-Signature-256": signature,
            "X-GitHub-Event": "workflow_job",
            "Content-Type": "application/json",
        }
        with urllib.request.urlopen(urllib.request.Request(found[0], body, headers), timeout=10) as answer:
            assert answer.status == 202
        assert json.loads(out.read_text())["id"] == "job-399444496-finished"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
