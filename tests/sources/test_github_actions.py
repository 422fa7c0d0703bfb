"""GitHub's runs and jobs, from the REST API and from webhooks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operators.encode import encode
from operators.events import decode
from sources.github_actions import CONCLUSIONS, GithubError, documents, events, in_order
from tests.sources.github_samples import job, payload, run


def checked(document: Any, **more: Any) -> list[dict[str, Any]]:
    """The events, each of which the flow would take."""
    made = events(document, **more)
    for event in made:
        encode(decode(json.dumps(event).encode()))
    return made


def test_a_run() -> None:
    (made,) = checked({"total_count": 1, "workflow_runs": [run()]})
    assert (made["id"], made["source"], made["time"]) == (
        "run-30433642-1-finished", "ci://github/acme/shop", "2026-01-05T10:04:30.000000Z",
    )  # fmt: skip
    data = made["data"]
    assert (data["pipeline_name"], data["execution_id"], data["status"]) == ("acme/shop:CI", "30433642-1", "success")
    assert (data["execution_start"], data["trigger_type"]) == ("2026-01-05T10:00:05.000000Z", "webhook")
    assert data["commit_sha"].startswith("acb58") and data["trigger_data"]["actor"] == "bob"


def test_a_job_is_a_pipeline_with_steps() -> None:
    (made,) = checked({"total_count": 1, "jobs": [job()]})
    data = made["data"]
    assert (made["id"], made["source"]) == ("job-399444496-finished", "ci://github/acme/shop")
    assert (data["pipeline_name"], data["status"]) == ("acme/shop:CI/test (3.12)", "failure")
    assert [(one["step_order"], one["step_name"], one["status"]) for one in data["steps"]] == [
        (1, "Set up job", "success"), (2, "Run make test", "failure"), (3, "Upload", "skipped"),
        (15, "Complete job", "success"),
    ]  # fmt: skip
    assert data["steps"][2]["execution_start"] == data["steps"][1]["execution_end"] == "2026-01-05T10:03:50.000000Z"
    assert "steps" not in checked(job(), steps=False)[0]["data"]
    # The series are those that a step of the run would have.
    names = {(named.entity, named.measure) for named, _ in encode(decode(json.dumps(made).encode())).points}
    assert ("acme/shop:CI/test (3.12)", "duration_s") in names
    assert ("acme/shop:CI/test (3.12)/Run make test", "failed") in names


def test_webhooks_give_the_same_events_as_the_api() -> None:
    bare = {name: value for name, value in run().items() if name != "repository"}
    assert checked(payload("completed", workflow_run=bare)) == checked(run())
    assert checked(payload("completed", workflow_job=job())) == checked(job())
    assert checked([payload("completed", workflow_job=job()), run()]) == checked([job(), run()])


def test_what_goes_on_has_started_and_what_waits_gives_nothing() -> None:
    begun = run(status="in_progress", conclusion=None)
    (made,) = checked(begun)
    assert (made["id"], made["type"]) == ("run-30433642-1-started", "dev.hindsight.pipeline.started.v1")
    asked = payload("requested", workflow_run=run(status="queued", conclusion=None))
    assert [event["id"] for event in checked(asked)] == [made["id"]]
    assert checked(run(status="queued", conclusion=None)) == []
    (made,) = checked(payload("in_progress", workflow_job=job(status="in_progress", completed_at=None)))
    assert (made["id"], made["time"]) == ("job-399444496-started", "2026-01-05T10:00:10.000000Z")
    for action in ("queued", "waiting"):
        assert checked(payload(action, workflow_job=job(status=action, conclusion=None, completed_at=None))) == []


def test_attempts_are_executions() -> None:
    first, second = checked([run(), run(run_attempt=2)])
    assert first["id"] != second["id"] and second["data"]["execution_id"] == "30433642-2"


@pytest.mark.parametrize(("word", "status"), CONCLUSIONS.items())
def test_conclusions(word: str, status: str) -> None:
    assert checked(run(conclusion=word))[0]["data"]["status"] == status


@pytest.mark.parametrize(("event", "trigger"), [("schedule", "scheduled"), ("workflow_dispatch", "manual")])
def test_triggers(event: str, trigger: str) -> None:
    assert checked(run(event=event))[0]["data"]["trigger_type"] == trigger


def test_odd_but_true() -> None:
    # A skipped job ends a second before it starts; a run can lack its name; GitHub Enterprise has a host of its own.
    (made,) = checked(job(conclusion="skipped", completed_at="2026-01-05T10:00:09Z", steps=[]))
    assert made["time"] == made["data"]["execution_start"]
    assert checked(run(name=""))[0]["data"]["pipeline_name"] == "acme/shop:ci"
    assert checked(run(html_url="https://git.acme.example/a"))[0]["source"] == "ci://git.acme.example/acme/shop"
    long = checked(run(name="w" * 400))[0]["data"]["pipeline_name"]
    assert len(long) == 255


def test_order_and_repetition() -> None:
    made = in_order(events([run(), job(), run()]))
    assert [event["id"] for event in made] == ["job-399444496-finished", "run-30433642-1-finished"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "holds neither workflow runs nor jobs"),
        ({"workflow_runs": [3]}, "neither a JSON object nor a list"),
        ({"message": "Bad credentials"}, "holds neither"),
        (run(id="x"), "no whole number as id"),
        (run(conclusion="exploded"), "conclusion that is not known: 'exploded'"),
        (run(conclusion=None), "conclusion that is not known: 'None'"),
        (run(updated_at="yesterday"), "is not what GitHub sends"),
        (run(updated_at="2026-01-05T10:00:00"), "time without an offset"),
        ({**run(), "repository": None, "url": ""}, "of which repository"),
        ({key: value for key, value in job().items() if key != "name"}, "'name' is missing"),
        (job(steps=[5]), "is not what GitHub sends"),
        (payload("completed", workflow_run={"id": 1}), "is missing"),
    ],
)
def test_what_is_not_githubs(document: Any, words: str) -> None:
    with pytest.raises(GithubError) as caught:
        events(document)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_documents() -> None:
    assert list(documents("\ufeff {}\n[1]{}")) == [{}, [1], {}]
    for text in ('{"a":', "no", "[" * 200_000):
        with pytest.raises(GithubError):
            list(documents(text))
