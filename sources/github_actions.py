"""GitHub Actions' JSON as `pipeline.started.v1` and `pipeline.finished.v1` events.

Read are the REST API's workflow runs and jobs, and the webhooks `workflow_run` and `workflow_job`; the same run or job
gives the same events with the same ids from each of them, so they may be mixed and repeated.

| GitHub | pipeline | execution | steps |
|---|---|---|---|
| attempt of a workflow run | `owner/name:WORKFLOW` | `RUN-ATTEMPT` | none |
| job | `owner/name:WORKFLOW/JOB` | the job's id | the job's steps |

A job is a pipeline of its own, since GitHub tells of it on its own; its series have the name that a step of the run
would have. Conclusions: `neutral` is `success`, `timed_out` is `timeout`, `startup_failure` is `error`, `stale` is
`cancelled`, `action_required` (it waits for somebody, nothing ran) is `skipped`. Trigger: `schedule` is scheduled,
`workflow_dispatch` manual, all else, and every job, webhook.

Shapes: https://docs.github.com/en/rest/actions/workflow-runs, …/workflow-jobs, and
https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_run.

Where it does not work well: GitHub does not tell when a run ended, so the end is its `updated_at`, which some later
changes move (the deletion of its logs, for one); a matrix gives each of its jobs a series.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

Event = dict[str, Any]

STARTED = "dev.hindsight.pipeline.started.v1"
FINISHED = "dev.hindsight.pipeline.finished.v1"

CONCLUSIONS: Mapping[str, str] = {
    "success": "success",
    "neutral": "success",
    "failure": "failure",
    "timed_out": "timeout",
    "startup_failure": "error",
    "cancelled": "cancelled",
    "stale": "cancelled",
    "skipped": "skipped",
    "action_required": "skipped",
}
"""GitHub's word → the contract's."""

TRIGGERS: Mapping[str, str] = {"schedule": "scheduled", "workflow_dispatch": "manual"}
"""Events that start a run; all others are `webhook`."""

MOST_NAME = 255
"""Characters of a name, as the contract has it."""
MOST_STEPS = 1000
"""Of a job; GitHub's own limits are below it."""


class GithubError(ValueError):
    """Not what GitHub sends; the message is one line."""


def documents(text: str) -> Iterator[Any]:
    """The JSON documents of a text, one after the other as `gh api --paginate` prints them.

    >>> list(documents('{"a": 1} [2]'))
    [{'a': 1}, [2]]
    """
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        if text[at].isspace() or text[at] == "\ufeff":
            at += 1
            continue
        try:
            found, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as problem:
            raise GithubError(f"is no JSON: {problem}") from None
        except RecursionError:
            raise GithubError("is nested too deep") from None
        yield found


def events(document: Any, *, steps: bool = True) -> list[Event]:
    """The events of a document: a list of runs or jobs, one of them, a webhook's payload, or a list of these.

    A run that waits, or a job that is queued, gives none. Raises :class:`GithubError`.

    >>> run = {"id": 7, "name": "CI", "run_number": 1, "status": "completed", "conclusion": "success", "event": "push",
    ...        "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:04:00Z",
    ...        "repository": {"full_name": "acme/shop"}}
    >>> event, = events({"workflow_runs": [run]})
    >>> event["id"], event["data"]["pipeline_name"], event["data"]["status"]
    ('run-7-1-finished', 'acme/shop:CI', 'success')
    """
    try:
        made = list(_events(document, steps))
    except GithubError:
        raise
    except RecursionError:
        raise GithubError("is nested too deep") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
        what = f"{problem} is missing" if isinstance(problem, KeyError) else str(problem)
        raise GithubError(f"is not what GitHub sends: {what}") from None
    return made


def in_order(found: Iterable[Event]) -> list[Event]:
    """By event time, each `(source, id)` once: GitHub lists the newest first.

    >>> [event["id"] for event in in_order([{"source": "", "time": t, "id": t} for t in "bab"])]
    ['a', 'b']
    """
    once = {(event["source"], event["id"]): event for event in found}
    return sorted(once.values(), key=lambda event: event["time"])


def _events(document: Any, steps: bool) -> Iterator[Event]:
    if isinstance(document, list):
        for one in document:
            yield from _events(one, steps)
        return
    if not isinstance(document, dict):
        raise GithubError("is not what GitHub sends: neither a JSON object nor a list")
    if "workflow_runs" in document or "jobs" in document:
        for one in document.get("workflow_runs") or document.get("jobs") or ():
            yield from _events(one, steps)
    elif isinstance(document.get("workflow_run"), dict):
        yield from _run(document["workflow_run"], document)
    elif isinstance(document.get("workflow_job"), dict):
        yield from _job(document["workflow_job"], document, steps)
    elif "run_id" in document and "status" in document:
        yield from _job(document, {}, steps)
    elif "run_number" in document or "workflow_id" in document:
        yield from _run(document, {})
    else:
        raise GithubError("holds neither workflow runs nor jobs")


def _run(run: Mapping[str, Any], around: Mapping[str, Any]) -> Iterator[Event]:
    attempt = run.get("run_attempt") or 1
    execution = f"{_whole(run, 'id')}-{attempt}"
    workflow = run.get("name") or (around.get("workflow") or {}).get("name") or _stem(run.get("path")) or "workflow"
    repository, source = _place(run, around)
    start = _moment(run.get("run_started_at") or run["created_at"])
    data = {
        "pipeline_name": f"{repository}:{workflow}"[:MOST_NAME],
        "execution_id": execution,
        "execution_start": _stamp(start),
        "trigger_type": TRIGGERS.get(run.get("event") or "", "webhook"),
        "trigger_data": _some(
            event=run.get("event"),
            branch=run.get("head_branch"),
            number=run.get("run_number"),
            attempt=attempt,
            actor=(run.get("triggering_actor") or run.get("actor") or {}).get("login"),
            url=run.get("html_url"),
        ),
        **_some(commit_sha=run.get("head_sha") or None),
    }
    if run.get("status") == "completed":
        yield _finished(f"run-{execution}", source, data, _moment(run["updated_at"]), run.get("conclusion"))
    elif run.get("status") in ("in_progress", "requested", "queued") and _has_begun(run, around):
        yield _event(f"run-{execution}-started", source, STARTED, data["execution_start"], data)


def _has_begun(run: Mapping[str, Any], around: Mapping[str, Any]) -> bool:
    # A payload says what happened; `requested` comes as a run is queued, and its start is known then.
    return run["status"] == "in_progress" or around.get("action") in ("requested", "in_progress")


def _job(job: Mapping[str, Any], around: Mapping[str, Any], with_steps: bool) -> Iterator[Event]:
    number = _whole(job, "id")
    repository, source = _place(job, around)
    if job["status"] not in ("completed", "in_progress"):
        return
    start = _moment(job.get("started_at") or job.get("created_at") or job["completed_at"])
    workflow = job.get("workflow_name") or "workflow"
    data = {
        "pipeline_name": f"{repository}:{workflow}/{job['name']}"[:MOST_NAME],
        "execution_id": str(number),
        "execution_start": _stamp(start),
        "trigger_type": "webhook",
        "trigger_data": _some(
            run=f"{_whole(job, 'run_id')}-{job.get('run_attempt') or 1}",
            branch=job.get("head_branch"),
            runner=job.get("runner_name"),
            labels=job.get("labels"),
            url=job.get("html_url"),
        ),
        **_some(commit_sha=job.get("head_sha") or None),
    }
    if job["status"] == "in_progress":
        yield _event(f"job-{number}-started", source, STARTED, data["execution_start"], data)
        return
    if with_steps and (steps := _steps(job, start)):
        data["steps"] = steps
    # A job that is skipped may end before it starts.
    end = max(start, _moment(job["completed_at"]))
    yield _finished(f"job-{number}", source, data, end, job.get("conclusion"))


def _steps(job: Mapping[str, Any], start: datetime) -> list[dict[str, Any]]:
    made: dict[int, dict[str, Any]] = {}
    last = start
    for step in (job.get("steps") or ())[:MOST_STEPS]:
        if step.get("status") != "completed" or not step.get("conclusion"):
            continue
        begun = _moment(step["started_at"]) if step.get("started_at") else last
        last = max(begun, _moment(step["completed_at"])) if step.get("completed_at") else begun
        number = _whole(step, "number")
        made[number] = {
            "step_name": str(step["name"])[:MOST_NAME] or "step",
            "step_order": number,
            "execution_start": _stamp(begun),
            "execution_end": _stamp(last),
            "status": _status(step["conclusion"]),
        }
    return list(made.values())


def _finished(name: str, source: str, data: dict[str, Any], end: datetime, conclusion: Any) -> Event:
    stamp = _stamp(max(end, _moment(data["execution_start"])))
    data |= {"execution_end": stamp, "status": _status(conclusion)}
    return _event(f"{name}-finished", source, FINISHED, stamp, data)


def _event(name: str, source: str, kind: str, time: str, data: Mapping[str, Any]) -> Event:
    return {"specversion": "1.0", "id": name, "source": source, "type": kind, "time": time, "data": data}


def _status(conclusion: Any) -> str:
    if conclusion not in CONCLUSIONS:
        raise GithubError(f"has a conclusion that is not known: {str(conclusion)[:40]!r}")
    return CONCLUSIONS[conclusion]


def _place(thing: Mapping[str, Any], around: Mapping[str, Any]) -> tuple[str, str]:
    """The repository's full name, and the events' source."""
    full = (thing.get("repository") or around.get("repository") or {}).get("full_name")
    url = urlsplit(str(thing.get("run_url") or thing.get("url") or ""))
    if not full:  # …/repos/OWNER/NAME/actions/runs/7
        parts = url.path.split("/")
        at = parts.index("repos") if "repos" in parts else -1
        if at < 0 or len(parts) < at + 3:
            raise GithubError("does not say of which repository it is")
        full = "/".join(parts[at + 1 : at + 3])
    host = urlsplit(str(thing.get("html_url") or "")).netloc or "github.com"
    place = "github" if host == "github.com" else host
    return str(full), f"ci://{quote(place, safe=':')}/{quote(str(full))}"[:2048]


def _whole(thing: Mapping[str, Any], name: str) -> int:
    value = thing[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise GithubError(f"has no whole number as {name}")
    return value


def _moment(text: Any) -> datetime:
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise GithubError(f"has a time without an offset: {str(text)[:40]!r}")
    return found.astimezone(UTC)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _stem(path: Any) -> str:
    """`.github/workflows/ci.yml@main` → `ci`."""
    return str(path or "").rpartition("/")[2].partition("@")[0].rpartition(".")[0]


def _some(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
