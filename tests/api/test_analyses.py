"""Analyses on demand: jobs that outlive their process."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flows.analysing import analyse
from tests.api import analyses
from tests.api.conftest import Api
from tests.api.rows import T0
from tests.flow import stream

BODY = {"start_date": "2026-01-05T10:00:00Z", "end_date": "2026-01-06T10:00:00Z", "entity": "web-1"}


def ended(api: Api, url: str, seconds: float = 30) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found: dict[str, Any] = api.get(url)
        if found["finished_at"]:
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def until(found: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_from_asking_to_its_result(start: Any) -> None:
    api = start(analyse=analyses.quick)
    response = api.client.post("/api/v1/patterns/analyze", json=BODY, headers=api.headers())
    assert response.status_code == 202
    begun = response.json()
    assert begun["status"] == "started"
    assert response.headers["location"] == begun["url"] == f"/api/v1/analyses/{begun['task_id']}"
    found = ended(api, begun["url"])
    assert (found["status"], found["progress"], found["result"]) == ("succeeded", 1.0, {"asked": "web-1"})
    assert (found["requested_by"], found["attempts"]) == ("test write", 1)
    assert found["request"]["start_date"] == "2026-01-05T10:00:00Z"
    assert api.get("/analyses", statuses="succeeded")[0]["id"] == found["id"]
    # One that has ended stays as it is.
    assert api.client.delete(begun["url"], headers=api.headers()).json() == found


@pytest.mark.parametrize(("entity", "error"), [("said", "no such entity"), ("other", "it failed with ValueError")])
def test_a_failure_is_one_line_without_secrets(start: Any, entity: str, error: str) -> None:
    api = start(analyse=analyses.failing)
    found = ended(api, api.post("/patterns/analyze", BODY | {"entity": entity}, 202)["url"])
    assert (found["status"], found["error"], found["result"]) == ("failed", error, None)


def test_cancel_and_restart(start: Any, tmp_path: Path) -> None:
    mark = tmp_path / "began"
    first = start(analyse=analyses.endless)
    url = first.post("/patterns/analyze", BODY | {"entity": str(mark)}, 202)["url"]
    until(mark.exists)
    until(lambda: first.get(url)["progress"] == 0.25)
    # The process ends under it: the next one goes on with it.
    first.made.services.runner.stop()
    assert first.get(url)["status"] == "queued"
    mark.unlink()
    second = start(analyse=analyses.endless)
    until(mark.exists)
    assert second.get(url)["attempts"] == 1  # it was given back, and so the attempt did not count
    # Of others, only an admin may cancel.
    other = second.client.delete(url, headers=second.headers("read"))
    assert other.status_code == 403
    assert second.client.delete(url, headers=second.headers("admin")).status_code == 202
    assert ended(second, url)["status"] == "cancelled"


def test_one_whose_process_was_killed_is_begun_again(start: Any, tmp_path: Path) -> None:
    api = start(analyse=analyses.killed_once)
    found = ended(api, api.post("/patterns/analyze", BODY | {"entity": str(tmp_path / "mark")}, 202)["url"])
    assert (found["status"], found["attempts"], found["result"]) == ("succeeded", 2, {"asked": "again"})


def test_a_silent_owner_loses_its_job_and_may_not_write(api: Api) -> None:
    jobs = api.store.analyses
    job = jobs.ask_for(uuid.uuid4(), {}, "x")
    lost, owner = uuid.uuid4(), uuid.uuid4()
    assert jobs.claim(lost, 60) is not None
    assert jobs.claim(owner, 60) is None
    assert jobs.claim(owner, 0) is not None
    assert not jobs.beat(job.id, lost, 0.9)
    assert not jobs.finish(job.id, lost, "succeeded", result={})
    assert jobs.beat(job.id, owner, 0.3)
    assert jobs.finish(job.id, owner, "succeeded", result={"a": 1})
    assert api.get(f"/analyses/{job.id}")["result"] == {"a": 1}


def test_one_that_ends_its_process_each_time_fails_in_the_end(api: Api) -> None:
    jobs = api.store.analyses
    job = jobs.ask_for(uuid.uuid4(), {}, "x")
    while jobs.claim(uuid.uuid4(), 0):
        pass
    found = api.get(f"/analyses/{job.id}")
    assert (found["status"], found["error"]) == ("failed", "the process that worked on it ended 3 times")


def test_the_same_key_begins_no_second_one_and_a_queue_has_an_end(start: Any, tmp_path: Path) -> None:
    api = start(analyse=analyses.endless, analyses_waiting=2)
    body = BODY | {"entity": str(tmp_path / "x")}
    one, same = (api.post("/patterns/analyze", body, 202, **{"Idempotency-Key": "k"})["task_id"] for _ in range(2))
    assert one == same
    two = api.post("/patterns/analyze", body, 202)["task_id"]
    assert api.post("/patterns/analyze", body, 429)["type"].endswith("too-many-analyses")
    # Asked for again, it is no new one, however many wait.
    assert api.post("/patterns/analyze", body, 202, **{"Idempotency-Key": "k"})["task_id"] == one
    for job in (two, one):
        api.client.delete(f"/analyses/{job}", headers=api.headers())
    assert ended(api, f"/analyses/{two}")["attempts"] == 0
    ended(api, f"/analyses/{one}")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"end_date": "2026-01-05T09:00:00Z"}, 422), ({"start_date": "2026-01-05T10:00:00"}, 422),
        ({"start_date": None}, 422), ({"sensitivity": 1}, 422), ({"confidence_threshold": 2}, 422),
        ({"what": 1}, 422), ({"entity": ""}, 422), ({"store": True}, 403),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly(start: Any, change: dict[str, Any], status: int) -> None:
    api = start(analyse=analyses.quick)
    api.post("/patterns/analyze", BODY | change, status)
    assert api.get("/analyses") == []


def test_without_a_runner_nothing_is_begun(api: Api) -> None:
    assert api.post("/patterns/analyze", BODY, 503)["type"].endswith("no-analyses")


def test_the_real_work_finds_what_the_flow_found(database: str, tmp_path: Path) -> None:
    import json
    from datetime import timedelta

    lines = []
    for number in range(400):
        slow = 4.0 if 350 <= number < 362 else 1.0
        lines.append(
            json.dumps(
                {
                    "specversion": "1.0", "id": str(number), "source": "test://shop",
                    "type": "dev.hindsight.metric.sampled.v1",
                    "time": (T0 + timedelta(seconds=10 * number)).isoformat(),
                    "data": {
                        "metric_name": "response_time", "metric_unit": "s", "source_system": "shop",
                        "metric_value": slow * (0.3 + 0.01 * (number * 37 % 11) / 11),
                    },
                }
            )
        )  # fmt: skip
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    stream("--input", tmp_path / "events.jsonl", "--database-url", database, "--recovery-dir", tmp_path / "recovery")

    shares: list[float] = []
    request = msgspec.to_builtins(BODY | {"entity": None})
    found = analyse(database, request, shares.append)
    assert found["events"] == 400
    assert found["patterns_found"] == found["patterns_known"] >= 1
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert analyse(database, request | {"pattern_types": ["nothing"]}, shares.append)["patterns_found"] == 0
