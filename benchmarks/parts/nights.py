"""Nights over generated years: a database with so many runs, a night in a process of its own, nights over chance."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg

from benchmarks.parts import process
from benchmarks.parts.lab import Lab
from benchmarks.parts.workload import Say

START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 365
PER_PIPELINE = 2_000
"""Runs of a pipeline in the year, about five a day."""


def fill(url: str, runs: int) -> int:
    """Fill a migrated database with a year of so many runs; returns the rows that this makes."""
    statements = (Path(__file__).parent / "nights.sql").read_text().split(";\n")
    values = {"runs": runs, "pipelines": max(3, runs // PER_PIPELINE)}
    days = [START + timedelta(days=day) for day in range(DAYS + 1)]
    rows = 0
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("pipeline_executions", "step_executions", "integration_events", "task_executions"):
            connection.execute("SELECT ensure_partitions(%s::regclass, %s::timestamptz[])", [table, days])
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute("SELECT setseed(0.5)")
        for statement in statements:
            if statement.strip():
                cursor = connection.execute(statement.replace("% ", "%% ").encode(), values)
                rows += cursor.rowcount
        connection.execute("ANALYZE")
    return rows


def night(lab: Lab, url: str, *more: str) -> dict[str, Any]:
    """One night over that year: seconds, CPU seconds, peak memory in MiB, and what the command said."""
    folder = lab.fresh("night")
    start = time.monotonic()
    words = ("nightly", "--from", "2025-01-01", "--to", "2026-01-01", "--database-url", url, "--limit", "0", *more)
    child = process.start(
        folder, "benchmarks.parts.child", *words, settings={"data_dir": str(folder / "data"), "log_level": "warning"}
    )
    done = child.finish()
    return {"seconds": time.monotonic() - start, "cpu_s": done.cpu_s, "peak_mib": done.report["memory_mb"],
            "said": json.loads(done.last_line), "stages": stages(url)}  # fmt: skip


def stages(url: str) -> dict[str, float]:
    """Seconds of each stage of the latest night."""
    with psycopg.connect(url) as connection:
        return {
            stage: float(seconds)
            for stage, seconds in connection.execute(
                "SELECT stage, sum(seconds) FROM nightly_stages GROUP BY stage ORDER BY min(finished_at)"
            ).fetchall()
        }


def chance(seeds: int, runs: int, bursts: bool, say: Say) -> dict[str, Any]:
    """What all miners claim against chance of histories in which nothing depends on anything, and what of it the
    two-step check then confirms: by miner how many nights of so many had a claim (a confirmed one), and claims in all.

    `bursts`: failures come in streaks by pipeline, as real ones do, and still depend on nothing else.
    """
    from flows.nightly.miners import MINERS
    from operators.mining.finding import MiningConfig
    from operators.mining.validate import mine_and_judge

    config, until = MiningConfig(), START + timedelta(days=DAYS)
    nights: dict[str, int] = dict.fromkeys(MINERS, 0)
    confirmed_nights: dict[str, int] = dict.fromkeys(MINERS, 0)
    claims = confirmed = pending = 0
    with_any = confirmed_any = 0
    for seed in range(seeds):
        history = null_history(seed, runs, bursts).before(until)
        any_claim = any_confirmed = False
        for name, looking in MINERS.items():
            if not any(one.p_value is not None for one in looking.miner.mine(history, config, until)):
                continue
            found = [one for one in mine_and_judge(looking.miner, history, config, until)
                     if one.finding.p_value is not None]  # fmt: skip
            held = sum(one.status == "confirmed" for one in found)
            nights[name] += 1
            confirmed_nights[name] += bool(held)
            any_claim, any_confirmed = True, any_confirmed or bool(held)
            claims, confirmed = claims + len(found), confirmed + held
            pending += sum(one.status == "pending" for one in found)
        with_any, confirmed_any = with_any + any_claim, confirmed_any + any_confirmed
        say(f"{'bursty' if bursts else 'independent'} night {seed + 1} of {seeds}: {claims} claims so far,"
            f" {confirmed} confirmed")  # fmt: skip
    return {"nights": seeds, "nights_with_a_claim": with_any, "nights_with_a_confirmed_claim": confirmed_any,
            "with_a_claim": {name: count for name, count in nights.items() if count},
            "with_a_confirmed_claim": {name: count for name, count in confirmed_nights.items() if count},
            "claims": claims, "pending": pending, "confirmed": confirmed}  # fmt: skip


def null_history(seed: int, runs: int, bursts: bool) -> Any:
    """A year in which outcomes, causes, errors and series are drawn on their own."""
    from operators.mining.history import History

    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.uniform(0, DAYS * 1440, runs))
    pipeline = rng.integers(0, 5, runs)
    failed = rng.random((runs, 3)) < 0.05  # each step on its own; a run fails with any of them
    if bursts:
        for name in range(5):
            state = np.zeros(3, dtype=bool)
            for place in np.flatnonzero(pipeline == name):
                state = rng.random(3) < np.where(state, 0.75, 0.013)
                failed[place] = state
    bad = failed.any(axis=1)
    took = rng.exponential(10, runs) + 3
    at = [START + timedelta(minutes=float(minute)) for minute in minutes]
    end = [START + timedelta(minutes=float(minute + more)) for minute, more in zip(minutes, took, strict=True)]
    areas = np.array(["payments", "search", "users", "mail", "docs"])
    frames: dict[str, Any] = {
        "runs": [
            {"id": f"r{n}", "execution_id": str(n), "pipeline_name": f"p{pipeline[n]}", "execution_start": at[n],
             "execution_end": end[n], "status": "failure" if bad[n] else "success", "trigger_type": "webhook",
             "total_duration": took[n] * 60, "commit_sha": f"c{n // 2}",
             "trigger_data": {"touches": sorted(areas[rng.random(5) < 0.3].tolist()),
                              "author": f"dev-{rng.integers(12)}",
                              "churn": float(rng.integers(2000))}}
            for n in range(runs)
        ],
        "steps": [
            {"pipeline_execution_id": f"r{n}", "pipeline_name": f"p{pipeline[n]}", "step_name": f"s{step}",
             "step_order": step, "execution_start": at[n] + step * timedelta(minutes=1), "execution_end": end[n],
             "status": "failure" if failed[n, step] else "success",
             "error_details": {"names": sorted({f"Test{t}" for t in rng.integers(0, 30, 3)})} if failed[n, step]
             else None}
            for n in range(runs)
            for step in range(3)
        ],
        "integration_events": [
            {"id": f"e{n}", "event_type": "call", "source_system": f"a{rng.integers(3)}", "target_system": "b",
             "event_data": {}, "event_timestamp": START + timedelta(minutes=float(minute)),
             "processing_duration": float(rng.exponential(40)), "correlation_key": f"k{n // 3}",
             "status": "failure" if rng.random() < 0.08 else "success"}
            for n, minute in enumerate(np.sort(rng.uniform(0, DAYS * 1440, runs // 3)))
        ],
    }  # fmt: skip
    for name, step, count in (("daily", 1440, DAYS), ("hourly", 60, 24 * 30)):
        rows = []
        for series in range(20):
            noise = rng.normal(size=count)
            if series % 2:
                for place in range(1, count):
                    noise[place] += 0.5 * noise[place - 1]
            values = 100 + 20 * noise
            rows.append(
                pd.DataFrame(
                    {"time": [START + timedelta(minutes=step * n) for n in range(count)], "entity": f"e{series}",
                     "measure": "latency_ms", "n": 1.0, "sum": values, "min": values, "max": values, "avg": values}
                )
            )  # fmt: skip
        frames[name] = pd.concat(rows, ignore_index=True)
    return History.of(**frames)
