"""A history with known patterns in noise, and the same without them: what each miner must and must not find."""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from operators.mining.history import FRAMES, History

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
DAYS = 180
UNTIL = START + timedelta(days=DAYS)
CHANGE_DAY = 110
HOURLY_DAYS = 18
KINDS = {
    "net": "connection refused upstream gateway socket",
    "disk": "filesystem quota exceeded volume writing",
    "assert": "assertion expected actual mismatch value",
}


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=float(minutes))


@cache
def history(seed: int = 1, runs: int = 1500) -> History:
    """Made once a process: whoever wants another one makes it of copies of its frames."""
    rng = np.random.default_rng(seed)
    frames: dict[str, list[dict[str, Any]]] = {name: [] for name in FRAMES}
    _shop(rng, frames, runs)
    _noise(rng, frames, runs // 2)
    _integrations(rng, frames)
    _tasks(rng, frames)
    _code(rng, frames)
    _series(rng, frames)
    return History.of(**frames)


def _run(frames: Any, name: str, number: int, start: float, minutes: float, status: str, **more: Any) -> str:
    run = f"{name}#{number}"
    frames["runs"].append(
        {"id": run, "execution_id": str(number), "pipeline_name": name, "execution_start": at(start),
         "execution_end": at(start + minutes), "status": status, "trigger_type": "webhook",
         "total_duration": minutes * 60} | more
    )  # fmt: skip
    return run


def _shop(rng: Any, frames: Any, runs: int) -> None:
    """Builds that touch payments after 16:00 fail often; a failed build takes the deployment with it; flaky e2e."""
    every = DAYS * 1440 / runs
    for number in range(runs):
        start = number * every + rng.uniform(0, every * 0.5)
        hour = (start // 60) % 24
        touches = [name for name in ("payments", "search", "users", "mail") if rng.random() < 0.35] or ["docs"]
        rate = 0.5 if hour >= 16 and "payments" in touches else 0.08
        failed = rng.random() < rate
        status = "failure" if failed else "success"
        commit = f"c{number // 2}" if number % 5 < 2 else f"d{number}"
        size = float(rng.integers(1, 5000))
        run = _run(frames, "shop/main", number, start, 10 + rng.exponential(3), status, commit_sha=commit,
                   trigger_data={"touches": touches, "churn": size, "by": str(rng.choice(["ada", "bo",
                   "cy"]))})  # fmt: skip
        names: list[str] = []
        if failed:
            names = [name for name in ("TestA", "TestB", "TestC", "TestD") if rng.random() < 0.25]
            names += ["TestPay", "TestRefund"] if rng.random() < 0.5 else []
        kind = list(KINDS)[int(rng.integers(3))]
        message = " ".join(rng.permutation(KINDS[kind].split())[:4]) + f" in {kind}{int(rng.integers(9))} at {number}"
        flaky = rng.random() < 0.22
        for order, step in enumerate(("lint", "unit", "e2e"), 1):
            ended = "failure" if (step == "unit" and failed) or (step == "e2e" and flaky) else "success"
            details = (
                {"names": names} if step == "unit" and failed else {"message": message} if ended == "failure" else {}
            )
            frames["steps"].append(
                {"pipeline_execution_id": run, "pipeline_name": "shop/main", "step_name": step, "step_order": order,
                 "execution_start": at(start + order - 1), "execution_end": at(start + (order if order < 3 else 9)),
                 "status": ended, "error_details": details}
            )  # fmt: skip
        if rng.random() < 0.9:
            broken = rng.random() < (0.7 if failed else 0.05)
            _run(frames, "shop/deploy", number, start + 20 + rng.exponential(4), 3, "failure" if broken else "success")


def _noise(rng: Any, frames: Any, runs: int) -> None:
    for name in ("blog/main", "docs/main"):
        every = DAYS * 1440 / runs
        for number in range(runs):
            start = number * every + rng.uniform(0, every * 0.5)
            status = str(rng.choice(["success", "failure", "error"], p=[0.85, 0.1, 0.05]))
            _run(frames, name, number, start, 5 + rng.exponential(2), status, commit_sha=f"{name}{number // 2}",
                 configuration_version="2" if start > 1440 * CHANGE_DAY else "1")  # fmt: skip
    # A change that helped: tests of nightly/main fail half as often and less since.
    for number in range(DAYS * 2):
        start = number * 720.0 + rng.uniform(0, 300)
        failed = rng.random() < (0.45 if start < 1440 * CHANGE_DAY else 0.05)
        _run(frames, "nightly/main", number, start, 30 + rng.normal(0, 2), "failure" if failed else "success")
    frames["interventions"].append(
        {
            "id": "i1",
            "time": at(1440 * CHANGE_DAY),
            "entity": "nightly/main",
            "kind": "configuration",
            "name": "retries",
        }
    )
    frames["interventions"].append(
        {"id": "i2", "time": at(1440 * CHANGE_DAY), "entity": "blog/main", "kind": "configuration", "name": "theme"}
    )


def _integrations(rng: Any, frames: Any) -> None:
    """order → charge fails → ticket fails, far more often than a ticket fails otherwise."""
    number = 0
    for group in range(500):
        start = group * (DAYS * 1440 / 500) + rng.uniform(0, 100)
        charge = rng.random() < 0.2
        ticket = rng.random() < (0.75 if charge else 0.05)
        for order, (source, target, kind, bad) in enumerate(
            (
                ("shop", "bank", "order", rng.random() < 0.05),
                ("shop", "bank", "charge", charge),
                ("shop", "desk", "ticket", ticket),
            )
        ):
            frames["integration_events"].append(
                {"id": f"e{number}", "event_type": kind, "source_system": source, "target_system": target,
                 "event_data": {}, "event_timestamp": at(start + order * 3),
                 "processing_duration": 40 + rng.exponential(9),
                 "status": "failure" if bad else "success", "correlation_key": f"k{group:04d}"}
            )  # fmt: skip
            number += 1


def _tasks(rng: Any, frames: Any) -> None:
    for number in range(300):
        start = number * 800.0
        frames["tasks"].append(
            {"id": f"t{number}", "external_id": f"T-{number}", "status": "done", "created_at": at(start),
             "updated_at": at(start), "project_name": "shop", "priority": float(rng.integers(1, 4)),
             "actual_effort": 60.0 * float(rng.integers(1, 9)), "tags": ["db"] if rng.random() < 0.3 else []}
        )  # fmt: skip
        db = frames["tasks"][-1]["tags"] == ["db"]
        bad = rng.random() < (0.5 if db else 0.1)
        frames["task_executions"].append(
            {"id": f"x{number}", "task_id": f"t{number}", "attempt": 1.0, "execution_start": at(start + 10),
             "execution_end": at(start + 100 + rng.exponential(60)), "status": "error" if bad else "success",
             "error_type": "Deadlock" if bad else None, "project_name": "shop"}
        )  # fmt: skip
    for number in range(20):
        frames["task_dependencies"].append(
            {"parent_task_id": f"t{number}", "dependent_task_id": f"t{number + 1}", "dependency_type": "blocks",
             "created_at": at(0)}
        )  # fmt: skip
    for one, two in (("t40", "t41"), ("t41", "t42"), ("t42", "t40")):
        frames["task_dependencies"].append(
            {"parent_task_id": one, "dependent_task_id": two, "dependency_type": "blocks", "created_at": at(0)}
        )


def _code(rng: Any, frames: Any) -> None:
    edges = {(int(a), int(b)) for a, b in rng.integers(0, 120, size=(150, 2)) if a < b}
    edges |= {(at, 5) for at in range(20, 70, 2)} | {(90, 91), (91, 92), (92, 90)}
    for one, two in sorted(edges):
        frames["code_dependencies"].append(
            {
                "codebase_id": "shop",
                "from_node": f"m{one}",
                "to_node": f"m{two}",
                "kind": "import",
                "observed_at": at(0),
            }
        )


def _series(rng: Any, frames: Any) -> None:
    day = np.arange(DAYS)
    daily = {
        ("web", "latency_ms"): 100 + rng.normal(0, 8, DAYS) + 60 * (day >= CHANGE_DAY),
        ("repo", "complexity"): 50 + 0.5 * day + rng.normal(0, 5, DAYS),
        ("desk", "tickets"): 40 + 30 * (day % 7 < 5) + rng.normal(0, 6, DAYS),
        ("calm", "latency_ms"): 100 + rng.normal(0, 8, DAYS),
    }
    for (entity, measure), values in daily.items():
        frames["daily"] += [_bucket(entity, measure, at(1440 * i), value) for i, value in enumerate(values)]
    hours = np.arange(HOURLY_DAYS * 24)
    for number in range(24):
        peak = (10, 3, 18)[number % 3]
        shape = 100 + 40 * np.cos((hours % 24 - peak) * np.pi / 12) * (1 + number)
        values = shape + rng.normal(0, 10, len(hours))
        frames["hourly"] += [
            _bucket(f"host-{number}", "requests", at(1440 * (DAYS - HOURLY_DAYS) + 60 * i), value)
            for i, value in enumerate(values)
        ]


def _bucket(entity: str, measure: str, time: datetime, value: float) -> dict[str, Any]:
    return {"time": time, "entity": entity, "measure": measure, "n": 1.0, "sum": value, "min": value, "max": value,
            "avg": float(value)}  # fmt: skip


def frames_of(of: History) -> dict[str, Any]:
    return {name: getattr(of, name) for name in FRAMES}


def reordered(of: History, seed: int) -> History:
    return History.of(**{name: frame.sample(frac=1.0, random_state=seed) for name, frame in frames_of(of).items()})


def shuffled(of: History, seed: int) -> History:
    """The same parts, dealt anew: how runs, steps, executions and events ended, values of a series among its times,
    words.

    Outcomes go to any entity of the kind: that one fails more than another is no chance, so it must not stay.
    """
    rng = np.random.default_rng(seed)
    frames = {name: frame.copy() for name, frame in frames_of(of).items()}

    def deal(frame: Any, by: list[str], columns: list[str]) -> Any:
        places = np.empty(len(frame), dtype=np.int64)
        for rows in frame.groupby(by, sort=True).indices.values() if by else [np.arange(len(frame))]:
            places[rows] = rng.permutation(rows)
        out = frame.copy()
        for column in columns:
            out[column] = frame[column].to_numpy()[places]
        return out

    frames["runs"] = deal(frames["runs"], [], ["status"])
    frames["steps"] = deal(frames["steps"], [], ["status", "error_details"])
    frames["steps"]["error_details"] = _mixed(frames["steps"], rng)
    frames["integration_events"] = deal(frames["integration_events"], [], ["status"])
    frames["task_executions"] = deal(frames["task_executions"], [], ["status", "error_type"])
    for name in ("daily", "hourly"):
        frames[name] = deal(frames[name], ["entity", "measure"], ["avg"])
    code = frames["code_dependencies"]
    nodes = sorted(set(code["from_node"]) | set(code["to_node"]))
    code["to_node"] = rng.choice(nodes, size=len(code))
    return History.of(**frames)


def _mixed(steps: Any, rng: Any) -> list[Any]:
    """Names and words dealt anew among those that have any: lists of as many, texts of as many."""
    out = list(steps["error_details"])
    rows = [i for i, details in enumerate(out) if isinstance(details, dict) and details]
    split = [out[i].get("names") or out[i].get("message", "").split() for i in rows]
    flat = [word for words in split for word in words]
    flat = [flat[i] for i in rng.permutation(len(flat))]
    for i, words in zip(rows, split, strict=True):
        mine, flat = flat[: len(words)], flat[len(words) :]
        out[i] = {"names": sorted(set(mine))} if "names" in out[i] else {"message": " ".join(mine)}
    return out


def moved(of: History, weeks: int) -> History:
    frames = {}
    for name, frame in frames_of(of).items():
        times = [column for column, kind in FRAMES[name].columns.items() if kind == "time"]
        frames[name] = frame.assign(**{column: frame[column] + pd.Timedelta(weeks=weeks) for column in times})
    return History.of(**frames)


def scaled(of: History, by: float) -> History:
    frames = frames_of(of)
    for name in ("daily", "hourly"):
        frames[name] = frames[name].assign(**{c: frames[name][c] * by for c in ("sum", "min", "max", "avg")})
    return History.of(**frames)
