"""Years of one pipeline with one planted rule: how often it is found, and how often another one is claimed."""

from datetime import timedelta
from typing import Any

import numpy as np

from benchmarks.parts.nights import DAYS, START
from benchmarks.parts.workload import Say

PLANTED = "pipeline|p|by=bo|failed"
STRENGTHS = ((400, 3.0), (1500, 1.0), (1500, 2.0))
"""Runs of the year, and how many times as often those of one author in five fail (1: not planted)."""


def power(seeds: int, say: Say) -> dict[str, dict[str, Any]]:
    """Of so many years of each strength and background: in how many the planted rule is found, in how many another."""
    from operators.mining.finding import MiningConfig
    from operators.mining.rules import RuleMiner

    out = {}
    for regimes in (False, True):
        for streaks in (False, True):
            name = " and ".join([*(["regimes"] if regimes else []), *(["streaks"] if streaks else [])]) or "independent"
            for runs, ratio in STRENGTHS:
                found = others = 0
                for seed in range(seeds):
                    history = year(seed, runs, ratio, streaks, regimes)
                    keys = [one.key for one in RuleMiner().mine(history, MiningConfig(), START + timedelta(days=DAYS))]
                    found += PLANTED in keys
                    others += any("by=bo" not in key for key in keys)
                out[f"{name}, {runs} runs, {ratio:g} ×"] = {"found": found, "others": others}
                say(f"{name}: {runs} runs, {ratio:g} ×: found in {found} of {seeds}, another rule in {others}")
    return out


def year(seed: int, runs: int, ratio: float, streaks: bool, regimes: bool) -> Any:
    """A year in which 10 % of the runs fail and an author's `ratio` times as often.

    `streaks`: a second cause of failures comes with 3 % a run and stays with 75 %. `regimes`: 4 % fail or 30 %, as
    changes every 45 days in the mean; versions change every 40 days, on their own.
    """
    from operators.mining.history import History

    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.uniform(0, DAYS * 1440, runs))
    changes, levels = np.cumsum(rng.exponential(45 * 1440, 30)), rng.choice([0.04, 0.3], 31)
    versions = np.cumsum(rng.exponential(40 * 1440, 40))
    areas = np.array(["a", "b", "c", "d", "e"])
    rows, broken = [], False
    for number, minute in enumerate(minutes.tolist()):
        by = "bo" if rng.random() < 0.2 else str(rng.choice(["ada", "cy", "di", "ed"]))
        level = float(levels[np.searchsorted(changes, minute)]) if regimes else 0.1
        failed = bool(rng.random() < level * (ratio if by == "bo" else 1.0))
        if streaks:
            broken = bool(rng.random() < (0.75 if broken else 0.03))
        at = START + timedelta(minutes=minute)
        rows.append(
            {"id": f"r{number}", "execution_id": str(number), "pipeline_name": "p", "execution_start": at,
             "execution_end": at + timedelta(minutes=9), "status": "failure" if failed or broken else "success",
             "trigger_type": "webhook", "total_duration": 600.0 + float(rng.normal()),
             "configuration_version": f"v{np.searchsorted(versions, minute)}",
             "trigger_data": {"by": by, "touches": sorted(areas[rng.random(5) < 0.3].tolist()),
                              "churn": float(rng.integers(2000))}}
        )  # fmt: skip
    return History.of(runs=rows)
