"""The examples of docs/producers.md, run as they stand against the server of the client's tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.sources.test_client import Server, one_server, server  # noqa: F401 - fixtures
from tests.sources.test_junit import PYTEST

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/producers.md").read_text(encoding="utf-8")

NEEDED = pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="takes curl and jq")


def example(language: str, words: str) -> str:
    """The block of the page that holds these words."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (block,) = [block for block in found if words in block]
    return str(block)


def ran(command: list[str], folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    (folder / "hindsight").write_text(f'#!/bin/sh\nexec {sys.executable} -m flows "$@"\n')
    (folder / "hindsight").chmod(0o755)
    github = dict.fromkeys(re.findall(r"GITHUB_[A-Z_]+", PAGE), "7")
    environment = {
        **os.environ, **github, "PYTHONPATH": str(ROOT), "PATH": f"{folder}:{os.environ['PATH']}", "HINDSIGHT_URL": url,
        "HINDSIGHT_TOKEN": "s3cret",
    }  # fmt: skip
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def test_python(server: Server, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    said = ran([sys.executable, "-c", example("python", "Client(")], tmp_path, server.url).stdout
    assert server.accepted == ["order-0", "order-1", "order-2"]
    assert f"`{said.strip()}`" in PAGE


@NEEDED
def test_the_step_and_a_spill_file_with_curl(server: Server, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "report.xml").write_bytes(PYTEST)
    step = textwrap.dedent(example("yaml", "collect junit").partition("run: |\n")[2])
    ran(["bash", "-e", "-c", step], tmp_path, server.url)
    assert len(server.accepted) == 1
    (tmp_path / "events.jsonl").rename(tmp_path / "again.jsonl")
    ran(["bash", "-c", example("sh", "split -l")], tmp_path, server.url)
    assert server.accepted == [json.loads((tmp_path / "again.jsonl").read_text())["id"]] * 2
    assert server.requests[0][1]["Authorization"] == "Bearer s3cret"
