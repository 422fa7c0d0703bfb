"""`hindsight api` and `hindsight token` as their users meet them."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from flows import cli
from tests import flow

EVENT = {
    "specversion": "1.0", "id": "1", "source": "test://shop", "type": "dev.hindsight.metric.sampled.v1",
    "time": "2026-01-05T10:00:00Z", "data": {"metric_name": "m", "metric_value": 1.0, "source_system": "shop"},
}  # fmt: skip


def command(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    assert cli.run([*arguments]) == status
    shown = capsys.readouterr()
    return shown.out.strip(), shown.err.strip()


def token(database: str, capsys: pytest.CaptureFixture[str], scope: str = "write", *more: str) -> str:
    return command(capsys, "token", "create", "ci", "--scope", scope, "--database-url", database, *more)[0]


def test_tokens_from_making_to_revoking(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    there = ("--database-url", database)
    made, said = command(capsys, "token", "create", "ci", "--scope", "write", "--days", "30", *there)
    assert made.startswith("hs_") and "\n" not in made and made not in said
    (listed,) = json.loads(command(capsys, "token", "list", "--json", *there)[0])
    assert (listed["name"], listed["scope"], listed["state"], listed["last_used_at"]) == ("ci", "write", "valid", None)
    assert listed["expires_at"] is not None and made.rpartition("_")[2] not in json.dumps(listed)
    assert "last used never" in command(capsys, "token", "list", *there)[0]
    assert command(capsys, "token", "revoke", listed["id"], *there)[0] == f"revoked: {listed['id']}"
    assert json.loads(command(capsys, "token", "list", "--json", *there)[0])[0]["state"] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("create", ""), 2), (("create", "x" * 201), 2), (("create", "x", "--scope", "all"), 2),
        (("create", "x", "--days", "0"), 2), (("revoke", "7"), 2),
        (("revoke", "00000000-0000-0000-0000-000000000009"), 1),
    ],
)  # fmt: skip
def test_wrong_usage_of_tokens_is_one_line(
    module_database: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int
) -> None:
    out, err = command(capsys, "token", *arguments, "--database-url", module_database, status=status)
    assert not out and len(err.splitlines()) == 1


def test_a_taken_port_is_one_line(module_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        _, err = command(capsys, "api", "--port", port, "--database-url", module_database, status=1)
    assert err == f"hindsight: 127.0.0.1:{port} can't be used: Address already in use"


def test_without_the_extra_it_says_what_to_install(
    module_database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name == "api.app" or name.startswith("fastapi")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    _, err = command(capsys, "api", "--database-url", module_database, status=1)
    assert err == "hindsight: fastapi is missing: pip install 'hindsight[api]'"


def test_it_serves_until_sigterm_as_the_least_role(
    module_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the rights of a writer only, and with what is sent in on disk before it is accepted."""
    writer = token(module_database, capsys)
    login = f"api_{time.monotonic_ns()}"
    with psycopg.connect(module_database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'plain' IN ROLE hindsight_writer".encode())
    place = psycopg.conninfo.conninfo_to_dict(module_database)
    url = f"postgresql://{login}:plain@{place['host']}:{place['port']}/{place['dbname']}"
    process = flow.start(
        "api", "--port", "0", "--database-url", url, data_dir=str(tmp_path), api_pool_size="2"
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {writer}"}, timeout=30) as client:
            assert client.get("/health/ready").json()["status"] == "ok"
            for path in ("/patterns", "/series", "/incidents", "/recommendations", "/kpis", "/quality", "/analyses"):
                assert client.get(path).status_code == 200, path
            assert client.post("/events", json=EVENT).json()["accepted"] == 1
            assert json.loads((tmp_path / "spool/api.jsonl").read_text()) == EVENT
            body = {"start_date": "2026-01-05T00:00:00Z", "end_date": "2026-01-06T00:00:00Z"}
            job = client.post("/patterns/analyze", json=body).json()["url"]
            deadline = time.monotonic() + 30
            while (found := client.get(job).json())["status"] in ("queued", "running"):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert found["status"] == "succeeded"
            assert stream_ends(client, process)
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE api_tokens SET scope = 'admin'")
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        with psycopg.connect(module_database, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {login}".encode())


def stream_ends(client: httpx.Client, process: Any) -> bool:
    """A stream that is open when the signal comes ends, and does not hold up the end."""
    with client.stream("GET", "/patterns/stream") as response:
        lines = response.iter_lines()
        next(lines)
        process.send_signal(signal.SIGTERM)
        return all(True for _ in lines)
