"""Which database is meant when nobody names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import databases
from flows.databases import chosen_url, embedded_folder
from flows.settings import load
from sinks.embedded import EmbeddedError


class Server:
    running = True
    fails = False

    def __init__(self, folder: Path) -> None:
        assert folder == Path("data/postgres")

    def is_running(self) -> bool:
        if self.fails:
            raise EmbeddedError("not yours")
        return self.running

    def url(self) -> str:
        return "postgresql://embedded"


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> type[Server]:
    monkeypatch.delenv("ANALYTICS_DATABASE_URL", raising=False)
    kind = type("Own", (Server,), {})
    monkeypatch.setattr(databases, "EmbeddedPostgres", kind)
    return kind


def test_the_embedded_one_while_it_runs(server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(env_file=None, data_dir=Path("data"))
    assert embedded_folder(settings) == Path("data/postgres")
    assert chosen_url(settings) == "postgresql://embedded"
    server.running = False
    assert chosen_url(settings) == settings.database_url
    server.running, server.fails = True, True
    assert chosen_url(settings) == settings.database_url


def test_a_named_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    named = load(env_file=None, data_dir=Path("data"), database_url="postgresql://named")
    assert chosen_url(named) == "postgresql://named"
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", "postgresql://variable")
    assert chosen_url(load(env_file=None, data_dir=Path("data"))) == "postgresql://variable"
