"""`hindsight collect --brokers` against Apache Kafka itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.system.kafka_server import KafkaServer
from tests.system.test_publish import content

ROOT = Path(__file__).parents[2]


def collect(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows", "collect", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)


def test_events_reach_their_topics_with_their_keys(kafka: KafkaServer, tmp_path: Path) -> None:
    done = collect("host", "--brokers", kafka.brokers, "--count", "2", "--interval", "0.2", "--host", "web-1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = content(kafka, "hindsight.events.metric.v1")
    assert {b"web-1:cpu", b"web-1:memory", b"web-1:disk"} <= {key for _, key, _ in found}
    assert len({json.loads(value or b"")["id"] for _, _, value in found}) == len(found)

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
    options = ("git", str(repo), "--brokers", kafka.brokers, "--state", str(tmp_path / "state"))
    for _ in range(2):
        assert collect(*options).returncode == 0
    code = content(kafka, "hindsight.events.code.v1")
    assert [key for _, key, _ in code] == [b"shop"] * 3
    assert [json.loads(value or b"")["data"]["metric_type"] for _, _, value in code] == [
        "lines_added", "lines_deleted", "files_changed",
    ]  # fmt: skip
