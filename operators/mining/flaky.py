"""What ends now one way and now the other on the same commit: flaky runs and steps."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import JUDGED, History, micros
from operators.mining.lean import repeated
from operators.mining.significance import fisher_greater, rate_ratio, wilson
from operators.taxonomy import PatternClass

FEWEST_FLIPS = 3
"""Commits that ended both ways below which nothing is said."""

_KINDS = (("failure", "failed"), ("error", "broke with an error"))


class FlakyMiner(Miner):
    """Steps, runs and tasks whose outcome changes though the commit does not; failure and error are told apart.

    `failure`: tests that say now yes, now no. `error` (timeouts with it): the machinery. A claim is made against the
    other steps or pipelines that ran twice on a commit; where there are no others, the count stands alone. A commit
    is usually run again *because* it failed: the share of commits that flip is no share of all commits. Tasks have no
    commits; there a flip is a task that failed and then, in a later attempt, did not.
    """

    name = "flaky"

    def lean(self, history: History, config: MiningConfig) -> History:  # noqa: ARG002
        """Runs, their steps and executions of tasks that came more than once on a commit (of a task)."""
        return repeated(history)

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:  # noqa: ARG002
        """`support` commits that ended both ways of `total` that ran more than once."""
        history = history.before(until)
        drafts: list[Finding] = []
        tests = 0
        for kind, frame in _repeats(history).items():
            for status, said in _KINDS:
                found, made = _flips(kind, frame, status, said, until)
                drafts += found
                tests += made
        return Looked(drafts, {0: tests})


def _repeats(history: History) -> dict[str, Any]:
    runs = history.runs[history.runs["status"].isin(JUDGED)]
    runs = runs.assign(end_us=micros(runs["execution_end"].fillna(runs["execution_start"])))
    on = runs[runs["commit_sha"].notna()]
    pipelines = pd.DataFrame(
        {"entity": on["pipeline_name"], "same": on["commit_sha"], "status": on["status"], "end_us": on["end_us"]}
    )
    steps = history.steps[history.steps["status"].isin(JUDGED)].merge(
        on[["id", "commit_sha", "end_us"]], left_on="pipeline_execution_id", right_on="id"
    )
    in_steps = pd.DataFrame(
        {
            "entity": steps["pipeline_name"] + "/" + steps["step_name"],
            "same": steps["commit_sha"],
            "status": steps["status"],
            "end_us": steps["end_us"],
        }
    )
    done = history.task_executions[history.task_executions["status"].isin(JUDGED)]
    tasks = pd.DataFrame(
        {
            "entity": done["project_name"].fillna("tasks"),
            "same": done["task_id"],
            "status": done["status"],
            "end_us": micros(done["execution_end"].fillna(done["execution_start"])),
        }
    )
    return {"pipeline": pipelines, "step": in_steps, "task": tasks}


def _flips(kind: str, frame: Any, status: str, said: str, until: datetime) -> tuple[list[Finding], int]:
    bad = frame["status"].isin(["error", "timeout"]) if status == "error" else frame["status"] == status
    frame = frame.assign(bad=bad, good=frame["status"] == "success")
    groups = frame.groupby(["entity", "same"], sort=True).agg(
        n=("bad", "size"), bad=("bad", "any"), good=("good", "any"), last=("end_us", "max")
    )
    groups = groups[groups["n"] > 1].reset_index()
    if not len(groups):
        return [], 0
    groups["flip"] = groups["bad"] & groups["good"]
    totals = groups.groupby("entity", sort=True)["flip"].agg(["size", "sum"])
    rows, flips = int(totals["size"].sum()), int(totals["sum"].sum())
    out = []
    for entity, total, support in zip(totals.index, totals["size"], totals["sum"], strict=True):
        others = rows - int(total)
        p = float(fisher_greater(support, total, flips, rows)) if others else None
        if support < FEWEST_FLIPS and p is None:
            continue
        ratio = float(rate_ratio(int(support), int(total), flips, rows)) if others else 1.0
        if support < FEWEST_FLIPS or (others and ratio <= 1.0):
            continue
        mine = groups[(groups["entity"] == entity) & groups["flip"]]
        out.append(
            _finding(kind, str(entity), status, said, int(support), int(total), ratio, p, mine, (flips, rows), until)
        )
    # Each entity that could have been claimed was tested, also when nothing is said of it.
    return out, int((totals["size"] >= FEWEST_FLIPS).sum()) if len(totals) > 1 and flips else 0


def _finding(
    kind: str, entity: str, status: str, said: str, support: int, total: int, ratio: float, p: float | None, mine: Any,
    all_of: tuple[int, int], until: datetime,
) -> Finding:  # fmt: skip
    low, high = wilson(support, total)
    last = np.sort(mine["last"].to_numpy())
    thing = "tasks" if kind == "task" else "commits"
    elsewhere, others = all_of[0] - support, all_of[1] - total
    sentence = (
        f"{words.named(entity)} is flaky: on {support} of {total} {thing} that ran more than once it both succeeded and"
        f" {said} ({words.share(support, total)}"
        + (f"; the others {words.share(elsewhere, others)}" if others else "")
        + f"), last on {words.day(int(last[-1]))}."
    )
    return Finding(
        miner=FlakyMiner.name, key=f"{kind}|{entity}|{status}", kind="flaky", pattern_class=PatternClass.FAILURE_MODE,
        entities=(entity,), measure="failed", support=support, total=total, confidence=support / total, effect=ratio,
        effect_name="rate_ratio" if p is not None else "count", p_value=p, first_seen_us=int(last[0]),
        last_seen_us=int(last[-1]), sentence=sentence, sql=_check(kind, entity, status, until),
        evidence={"status": status, "share_low": low, "share_high": high, "flips_elsewhere": elsewhere,
                  "repeats_elsewhere": others, "examples": sorted(mine["same"])[:5]},
    )  # fmt: skip


def _check(kind: str, entity: str, status: str, until: datetime) -> str:
    bad = sql.among("x.status", ["error", "timeout"] if status == "error" else [status])
    name, table, same = sql.literal(entity), "pipeline_executions AS x", "x.commit_sha"
    rows = f"x.pipeline_name = {name} AND x.commit_sha IS NOT NULL AND {sql.until('x.execution_end', until)}"
    if kind == "step":
        table = "step_executions AS x JOIN pipeline_executions AS r ON r.id = x.pipeline_execution_id"
        same, rows = "r.commit_sha", (
            f"x.pipeline_name || '/' || x.step_name = {name} AND r.commit_sha IS NOT NULL AND {sql.judged('r.status')}"
            f" AND {sql.until('r.execution_end', until)}"
        )  # fmt: skip
    elif kind == "task":
        table, same = "task_executions AS x", "x.task_id"
        end = sql.until("coalesce(x.execution_end, x.execution_start)", until)
        rows = f"coalesce(x.project_name, 'tasks') = {name} AND {end}"
    return (
        "SELECT count(*) FILTER (WHERE flip) AS support, count(*) AS total FROM"
        f" (SELECT bool_or({bad}) AND bool_or(x.status = 'success') AS flip FROM {table}"
        f" WHERE {rows} AND {sql.judged('x.status')} GROUP BY {same} HAVING count(*) > 1) AS repeated"
    )
