"""`hindsight doctor`: each thing that can be wrong is said in one line with what to do."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from bytewax.recovery import init_db_dir
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient

from flows import checkup, cli
from flows.settings import load
from sinks.migrate import available


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "BROKERS", "KAFKA_CONFIG", "RECOVERY_DIR", "DATA_DIR"):
        monkeypatch.delenv(f"ANALYTICS_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def broker() -> Iterator[str]:
    """A mock cluster inside librdkafka: no Kafka, but it answers like one."""
    client = AdminClient({"bootstrap.servers": "mock:1", "test.mock.num.brokers": 1})
    metadata = client.list_topics(timeout=10)
    address = next(iter(metadata.brokers.values()))
    yield f"{address.host}:{address.port}"
    del client


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, ["doctor", *arguments])


def checks(*arguments: str) -> dict[str, Any]:
    done = doctor(*arguments, "--json")
    found = json.loads(done.stdout)
    assert found["ok"] == (done.exit_code == 0)
    assert done.exit_code == int(any(check["level"] == "FAIL" for check in found["checks"]))
    for check in found["checks"]:
        assert check["level"] == "ok" or check["todo"], check
        assert "\n" not in check["what"] + check["todo"]
    return {check["name"]: SimpleNamespace(**check) for check in found["checks"]}


def test_all_is_well(database: str) -> None:
    found = checks("--database-url", database)
    assert {name: check.level for name, check in found.items()} == {
        "python": "ok", "git": "ok", "database": "ok", "schema": "ok", "backend": "ok", "upkeep": "ok", "nightly": "ok",
        "clock": "ok",
        "disk": found["disk"].level, "recovery": "ok",
    }  # fmt: skip
    assert "PostgreSQL" in found["database"].what
    assert available()[-1].label in found["schema"].what


def test_lines(database: str) -> None:
    done = doctor("--database-url", database)
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].startswith("ok    python       3.")
    assert len(lines) == 10


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    done = doctor("--database-url", "postgresql://me:s3cret@localhost:1/x")
    assert done.exit_code == 1
    assert "s3cret" not in done.output and "me:***@localhost:1" in done.output
    assert "FAIL  database" in done.output and "→ start the server" in done.output


def test_tables_are_missing(empty_database: str) -> None:
    found = checks("--database-url", empty_database)
    assert found["schema"].level == "FAIL" and found["schema"].todo == "hindsight migrate"


def test_a_database_ahead_of_this_program(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")
    found = checks("--database-url", database)
    assert found["schema"].level == "FAIL" and "9999_later" in found["schema"].what


def test_without_a_database_it_is_a_warning(tmp_path: Path) -> None:
    found = checks()
    assert found["database"].level == "warn" and "hindsight up" in found["database"].todo
    assert "kafka" not in found
    (tmp_path / ".hindsight" / "postgres" / "cluster").mkdir(parents=True)
    found = checks()
    assert found["database"].level == "warn" and "hindsight database start" in found["database"].todo


@pytest.mark.parametrize(
    ("seconds", "level"),
    [(0.0, "ok"), (1.5, "ok"), (-3.0, "warn"), (30.0, "warn"), (-90.0, "FAIL"), (600.0, "FAIL")],
)
def test_clock(seconds: float, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = SimpleNamespace(execute=lambda query: SimpleNamespace(fetchone=lambda: (1000.0 + seconds,)))
    monkeypatch.setattr("flows.checkup.time.time", lambda: 1000.0)
    check = checkup._clock(connection)  # type: ignore[arg-type]
    assert check.level == level
    assert ("behind" if seconds <= 0 else "ahead") in check.what


def test_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "BROKER_SECONDS", 1.0)
    found = checks("--brokers", "localhost:1")
    assert found["kafka"].level == "FAIL"
    assert "localhost:1" in found["kafka"].what and "refused" in found["kafka"].what
    assert "topics" not in found


def test_topics(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_BROKERS", broker)
    found = checks()
    assert found["kafka"].level == "ok" and found["kafka"].what.startswith("1 broker")
    assert found["topics"].level == "FAIL" and "hindsight.events.metric.v1" in found["topics"].what
    topics = load(env_file=None, brokers=broker).input_topics
    client = AdminClient({"bootstrap.servers": broker})
    for topic in topics:
        client.list_topics(topic, timeout=10)  # the mock cluster makes a topic that is asked for by name
        level = checks()["topics"].level
        assert level == ("ok" if topic == topics[-1] else "warn")


def test_a_kafka_setting_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_KAFKA_CONFIG", '{"no.such.setting": "s3cret"}')
    found = checks("--brokers", "localhost:1")
    assert found["kafka"].level == "FAIL" and "no.such.setting" in found["kafka"].what
    assert "s3cret" not in found["kafka"].what


@pytest.mark.parametrize(("gib", "level"), [(0.5, "FAIL"), (3, "warn"), (50, "ok")])
def test_disk(gib: float, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=int(gib * (1 << 30)))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert checkup.disk(tmp_path / "not" / "there").level == level
    assert asked == [tmp_path]


def test_recovery_that_is_not_there_or_empty(tmp_path: Path) -> None:
    assert checkup.recovery(tmp_path / "new").level == "ok"
    assert "empty" in checkup.recovery(tmp_path).what


def test_recovery_says_whose_it_is(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)  # type: ignore[no-untyped-call]
    store = sqlite3.connect(next(tmp_path.glob("part-*.sqlite3")))
    store.execute("INSERT INTO snaps (step_id, state_key, snap_epoch) VALUES ('other_flow.read', 'k', 1)")
    store.commit()
    store.close()
    assert "flow other_flow, inputs unknown" in checkup.recovery(tmp_path).what
    (tmp_path / "hindsight.json").write_text('{"flow": "hindsight_realtime", "inputs": ["a.v1", "b.v1"]}')
    check = checkup.recovery(tmp_path)
    assert check.level == "ok" and "hindsight_realtime, inputs a.v1, b.v1" in check.what
    (tmp_path / "hindsight.json").write_text("{")
    assert checkup.recovery(tmp_path).level == "FAIL"


def test_recovery_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("x")
    check = checkup.recovery(tmp_path)
    assert check.level == "warn" and "photo.jpg" in check.what
    assert checkup.recovery(tmp_path / "photo.jpg").level == "FAIL"


def test_recovery_and_disk_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.checkup.os.access", lambda path, mode: False)  # root may write anywhere
    assert checkup.recovery(tmp_path).level == "FAIL"
    assert checkup.disk(tmp_path).level == "FAIL"


def test_no_git_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkup.git().level == "warn"


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10, 9), "FAIL"), ((3, 11, 0), "ok"), ((3, 12, 7), "ok"), ((3, 13, 0), "FAIL")]
)
def test_python(version: tuple[int, ...], level: str) -> None:
    assert checkup.python(version).level == level
