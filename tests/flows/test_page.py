"""The page beside `hindsight up`."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx
import pytest

from flows import page as pages
from flows.page import Page, PageError
from flows.settings import Settings, load
from sql.store.pool import Database
from sql.store.store import Store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    return load(env_file=None, data_dir=data_dir, metrics_port=0)


def test_it_serves_with_a_token_that_ends_with_it(settings: Settings, module_database: str) -> None:
    with socket.socket() as taken:
        # Whoever has not chosen a port gets another one when the usual is taken; here it may be free as well.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", settings.api_port))
            taken.listen()
        except OSError:
            pass
        page = Page(settings, module_database)
        try:
            address, _, token = page.start().partition("/#token=")
            assert not address.endswith(f":{settings.api_port}")
            with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}) as client:
                assert "<title>Hindsight</title>" in client.get("/").text
                assert client.get("/health/ready").json()["status"] == "ok"
                event = {
                    "specversion": "1.0", "id": "1", "source": "test://", "type": "dev.hindsight.metric.sampled.v1",
                    "time": "2026-01-05T10:00:00Z",
                    "data": {"metric_name": "m", "metric_value": 1.0, "source_system": "s"},
                }  # fmt: skip
                assert client.post("/events", json=event).json()["accepted"] == 1
                assert (settings.data_dir / "spool/api.jsonl").read_text().count("\n") == 1
        finally:
            page.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
    with Database(module_database) as database:
        (row,) = Store(database).tokens.listing()
    assert (row.name, row.scope, row.revoked_at is not None) == ("page of hindsight up", "write", True)


def test_it_ends_when_its_parent_is_gone(settings: Settings, module_database: str) -> None:
    page = Page(settings, module_database)
    address = page.start().partition("/#")[0]
    assert page._process is not None and page._process.stdin is not None
    page._process.stdin.close()  # as it is when this process is killed
    deadline = time.monotonic() + 20
    while page._process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert address.startswith("http://127.0.0.1:")
    page.stop()


def test_a_chosen_port_that_is_taken_and_a_missing_extra_are_one_line(
    settings: Settings, module_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = load(env_file=None, data_dir=settings.data_dir, api_port=port)
        with pytest.raises(PageError, match=f"^no page: 127.0.0.1:{port} can't be used: Address already in use"):
            Page(chosen, module_database).start()
    monkeypatch.setattr(pages, "NEEDED", ("no_such_module",))
    with pytest.raises(PageError, match=r"^no page: no_such_module is missing: pip install 'hindsight\[api\]'$"):
        Page(settings, module_database).start()
