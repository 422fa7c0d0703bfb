"""Answers that are given again."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.rows import patterns


def test_who_has_the_answer_gets_304(api: Api) -> None:
    patterns(api.store, 2)
    first = api.client.get("/patterns")
    etag = first.headers["etag"]
    for given in (etag, f'"x", W/{etag}', "*"):
        again = api.client.get("/patterns", headers={"If-None-Match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    patterns(api.store, 1, first=9)
    changed = api.client.get("/patterns", headers={"If-None-Match": etag})
    assert (changed.status_code, len(changed.json())) == (200, 3)
    assert changed.headers["etag"] != etag


def test_for_a_moment_the_same_answer_is_given(start: Any) -> None:
    api = start(cache_seconds=60.0)
    before = api.get("/patterns", entity="web-1")
    patterns(api.store, 1)
    try:
        assert api.get("/patterns", entity="web-1") == before == []
        assert len(api.get("/patterns", entity="web-1", limit=5)) == 1
        # Below its other path the links differ, so it is another answer.
        assert len(api.get("/api/v1/patterns", entity="web-1")) == 1
        assert api.client.get("/patterns?entity=web-1").headers["cache-control"] == "private, max-age=60"
        assert "hindsight_api_cached_total 2.0" in api.client.get("/metrics").text
    finally:
        api.store.patterns.patterns.delete(patterns(api.store, 1)[0].id)


def test_errors_are_not_kept(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api = start(cache_seconds=60.0)

    def broken() -> list[Any]:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(api.store.stream, "quality", broken)
        api.get("/quality", 500)
    api.get("/quality")


def test_many_who_ask_at_once_ask_the_database_once(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api = start(cache_seconds=60.0)
    asked = []
    ready = threading.Event()

    def slow() -> list[Any]:
        asked.append(1)
        ready.wait(10)
        return []

    monkeypatch.setattr(api.store.stream, "quality", slow)
    with ThreadPoolExecutor(10) as pool:
        found = [pool.submit(api.client.get, "/quality") for _ in range(10)]
        while not asked:
            time.sleep(0.01)
        time.sleep(0.2)
        ready.set()
        assert {one.result().status_code for one in found} == {200}
    assert len(asked) == 1


def test_nothing_is_kept_beyond_its_room(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.caching.ENTRIES", 3)
    api = start(cache_seconds=60.0)
    for number in range(10):
        api.get("/patterns", limit=number + 1)
    cache = api.made.app._app  # type: ignore[attr-defined]
    assert len(cache._kept) == 3
    assert cache._bytes == sum(len(one.body) for one in cache._kept.values())


def test_a_crowd_is_given_what_is_a_little_old(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api = start(cache_seconds=0.001, pool_size=2)
    api.get("/patterns", entity="web-9")
    patterns(api.store, 1)
    time.sleep(0.01)
    asked = []
    ready = threading.Event()

    def slow() -> list[Any]:
        asked.append(1)
        ready.wait(10)
        return []

    monkeypatch.setattr(api.store.stream, "quality", slow)
    with ThreadPoolExecutor(2) as pool:
        # Both connections are in use: another question that was asked before is answered all the same.
        held = [pool.submit(api.client.get, f"/quality?{number}") for number in range(2)]
        while len(asked) < 2:
            time.sleep(0.01)
        assert api.get("/patterns", entity="web-9") == []
        ready.set()
        assert [one.result().status_code for one in held] == [200, 200]
    assert len(api.get("/patterns", entity="web-1")) == 1
