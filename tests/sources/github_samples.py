"""GitHub's JSON, written by hand in the documented shapes (only the fields that matter, and some that do not)."""

from __future__ import annotations

from typing import Any

REPOSITORY = {"id": 1, "full_name": "acme/shop", "private": True, "html_url": "https://github.com/acme/shop"}


def run(**more: Any) -> dict[str, Any]:
    """A workflow run, as `GET /repos/acme/shop/actions/runs` lists it."""
    return {
        "id": 30433642, "name": "CI", "node_id": "MDEyOldvcmtmbG93IFJ1bjI2OTI4OQ==", "head_branch": "main",
        "head_sha": "acb5820ced9479c074f688cc328bf03f341a511d", "path": ".github/workflows/ci.yml@main",
        "display_title": "Fix the cart", "run_number": 562, "run_attempt": 1, "event": "push", "status": "completed",
        "conclusion": "success", "workflow_id": 159038, "url": "https://api.github.com/repos/acme/shop/actions/runs/1",
        "html_url": "https://github.com/acme/shop/actions/runs/30433642", "pull_requests": [],
        "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:04:30Z",
        "run_started_at": "2026-01-05T10:00:05Z", "actor": {"login": "ada", "id": 1},
        "triggering_actor": {"login": "bob", "id": 2}, "repository": REPOSITORY, **more,
    }  # fmt: skip


def step(number: int, name: str, conclusion: str | None, start: str | None, end: str | None) -> dict[str, Any]:
    """A step of a job."""
    status = "completed" if conclusion else "queued"
    return {
        "name": name, "status": status, "conclusion": conclusion, "number": number,
        "started_at": start, "completed_at": end,
    }  # fmt: skip


STEPS = [
    step(1, "Set up job", "success", "2026-01-05T10:00:10.000Z", "2026-01-05T10:00:12.000Z"),
    step(2, "Run make test", "failure", "2026-01-05T10:00:12.000Z", "2026-01-05T10:03:50.000Z"),
    step(3, "Upload", "skipped", None, None),
    step(15, "Complete job", "success", "2026-01-05T10:03:50.000Z", "2026-01-05T10:03:51.000Z"),
]


def job(**more: Any) -> dict[str, Any]:
    """A job, as `GET /repos/acme/shop/actions/runs/30433642/jobs` lists it; it does not name its repository."""
    return {
        "id": 399444496, "run_id": 30433642, "workflow_name": "CI", "head_branch": "main",
        "run_url": "https://api.github.com/repos/acme/shop/actions/runs/30433642", "run_attempt": 1,
        "node_id": "MDg6Q2hlY2tSdW4zOTk0NDQ0OTY=", "head_sha": "acb5820ced9479c074f688cc328bf03f341a511d",
        "url": "https://api.github.com/repos/acme/shop/actions/jobs/399444496",
        "html_url": "https://github.com/acme/shop/runs/29679449/jobs/399444496", "status": "completed",
        "conclusion": "failure", "created_at": "2026-01-05T10:00:06Z", "started_at": "2026-01-05T10:00:10Z",
        "completed_at": "2026-01-05T10:03:52Z", "name": "test (3.12)", "steps": STEPS, "labels": ["ubuntu-latest"],
        "runner_id": 1, "runner_name": "GitHub Actions 5", "runner_group_id": 2, **more,
    }  # fmt: skip


def payload(action: str, **about: Any) -> dict[str, Any]:
    """A webhook's body: `about` is `workflow_run` or `workflow_job`."""
    return {"action": action, **about, "repository": REPOSITORY, "sender": {"login": "ada", "id": 1, "type": "User"}}
