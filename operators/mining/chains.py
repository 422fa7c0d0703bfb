"""What waits for what: the chain of steps that sets a run's time, chains of tasks, and tasks that wait in a circle."""

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.graph import FEWEST_DEPENDENTS, MOST_CYCLES, shortest_cycle
from operators.mining.history import JUDGED, History, micros
from operators.taxonomy import PatternClass

BOTTLENECK = 0.4
"""Share of the time of a run's longest chain of steps that a step must take, in the median, to be its bottleneck."""

SLACK_S = 1.0
"""Seconds by which a step may begin before another ended and still count as having waited for it."""


class ChainMiner(Miner):
    """Counts that claim nothing against chance: bottleneck steps, the longest chain of tasks, circles of tasks.

    Steps say when they began and ended, not what they waited for: a step counts as waiting for the one that ended last
    before it began. Runs of one step, and steps without an end, say nothing.
    """

    name = "chains"

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` runs in which the step is the longest of its chain."""
        return Looked(_bottlenecks(history.before(until), config, until))

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:  # noqa: ARG002
        """`support` of `total` links of a chain or circle of tasks, whatever projects they are of."""
        return Looked(_tasks(history.before(until), until))


def critical_path(steps: list[tuple[int, int, str]]) -> list[tuple[str, int]]:
    """The chain of steps that sets when the last one ends: (name, length in µs), first to last. Steps are (start,
    end, name).

    >>> critical_path([(0, 10_000_000, "build"), (0, 4_000_000, "lint"), (10_000_000, 25_000_000, "test")])
    [('build', 10000000), ('test', 15000000)]
    """
    left = sorted(steps, key=lambda step: (step[1], step[0], step[2]))
    path: list[tuple[str, int]] = []
    begun = None
    while left:
        start, end, name = left.pop()
        if begun is None or end <= begun + SLACK_S * 1e6:
            path.append((name, end - start))
            begun = start
    return path[::-1]


def _bottlenecks(history: History, config: MiningConfig, until: datetime) -> list[Finding]:
    steps = history.steps[history.steps["execution_end"].notna() & history.steps["status"].isin(JUDGED)]
    steps = steps.assign(start=micros(steps["execution_start"]), end=micros(steps["execution_end"]))
    found: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    totals: dict[str, int] = {}
    for pipeline, part in _runs_of(steps):
        path = critical_path(part)
        whole = sum(length for _, length in path)
        if whole <= 0:
            continue
        totals[pipeline] = totals.get(pipeline, 0) + 1
        name, length = max(path, key=lambda step: (step[1], step[0]))
        ended = max(end for _, end, _ in part)
        found.setdefault((pipeline, name), []).append((ended, length / whole, length / 1e6))
    out = []
    for (pipeline, name), runs in sorted(found.items()):
        total, support = totals[pipeline], len(runs)
        part_of, seconds = (float(np.median([run[at] for run in runs])) for at in (1, 2))
        if support < max(config.at_least(total), total / 2) or part_of < BOTTLENECK:
            continue
        last = sorted(run[0] for run in runs)
        sentence = (
            f"{words.named(name)} is the bottleneck of {words.named(pipeline)}: the longest step of what everything"
            f" waits for"
            f" in {support} of {total} runs, there {words.share(part_of, 1.0)} of the time"
            f" ({words.duration(seconds)}, medians)."
        )
        out.append(
            Finding(
                miner=ChainMiner.name, key=f"{pipeline}|{name}", kind="bottleneck",
                pattern_class=PatternClass.BOTTLENECK_IDENTIFICATION, entities=(pipeline, f"{pipeline}/{name}"),
                measure="duration_s", support=support, total=total, confidence=support / total,
                effect=part_of, effect_name="share_of_time", p_value=None, first_seen_us=last[0], last_seen_us=last[-1],
                sentence=sentence, sql=_counting(pipeline, name, until),
                evidence={"median_share": part_of, "median_s": seconds},
            )
        )  # fmt: skip
    return out


def _counting(pipeline: str, step: str, until: datetime) -> str:
    """A query of one row: the runs whose `critical_path` has `step` as its longest, and the runs that have a path.

    Each run's steps go into arrays first, so that the way through them looks at no other run's.
    """
    ended = 'ORDER BY execution_end, execution_start, step_name COLLATE "C"'
    runs = (
        f"SELECT {', '.join(f'array_agg({name} {ended}) AS {name}s' for name in _STEP)} FROM step_executions"
        f" WHERE pipeline_name = {sql.literal(pipeline)} AND execution_end IS NOT NULL AND {sql.judged()}"
        f" AND {sql.until('execution_end', until)} GROUP BY pipeline_execution_id HAVING count(*) > 1"
    )
    path = (
        f"WITH RECURSIVE s AS (SELECT * FROM unnest({', '.join(f'r.{name}s' for name in _STEP)}) WITH ORDINALITY"
        " AS u (name, began, ended, place)), path AS ((SELECT * FROM s ORDER BY place DESC LIMIT 1) UNION ALL"
        " SELECT n.* FROM path AS p CROSS JOIN LATERAL (SELECT * FROM s WHERE s.place < p.place"
        f" AND s.ended <= p.began + interval '{SLACK_S:g} s' ORDER BY s.place DESC LIMIT 1) AS n)"
        " SELECT name, sum(ended - began) OVER () AS whole FROM path"
        ' ORDER BY ended - began DESC, name COLLATE "C" DESC LIMIT 1'
    )
    return (
        f"SELECT count(*) FILTER (WHERE name = {sql.literal(step)}) AS support, count(*) AS total"
        f" FROM ({runs}) AS r CROSS JOIN LATERAL ({path}) AS longest WHERE whole > interval '0'"
    )


_STEP = ("step_name", "execution_start", "execution_end")


def _runs_of(steps: Any) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """The pipeline of each run of two steps and more, and its steps: start, end, name; by pipeline and run."""
    steps = steps.sort_values(["pipeline_name", "pipeline_execution_id"], kind="stable")
    rows = list(zip(steps["start"].tolist(), steps["end"].tolist(), steps["step_name"], strict=True))
    pipelines, runs = steps["pipeline_name"].tolist(), steps["pipeline_execution_id"].to_numpy()
    bounds = [0, *(np.flatnonzero(runs[1:] != runs[:-1]) + 1).tolist(), len(rows)] if rows else []
    for first, end in pairwise(bounds):
        if end - first > 1:
            yield pipelines[first], rows[first:end]


def longest_path(graph: Any, weights: dict[str, float]) -> tuple[float, list[str]]:
    """The path of a graph without circles whose nodes weigh most together; ([], 0) for one with circles.

    >>> longest_path(nx.DiGraph([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]), {"a": 1, "b": 5, "c": 2, "d": 1})
    (7.0, ['a', 'b', 'd'])
    """
    if not nx.is_directed_acyclic_graph(graph):
        return 0.0, []
    best: dict[str, tuple[float, list[str]]] = {}
    for node in nx.lexicographical_topological_sort(graph):
        before = max((best[other] for other in graph.predecessors(node)), key=lambda path: path[0], default=(0.0, []))
        best[node] = (before[0] + float(weights.get(node, 0.0)), before[1])
        best[node] = (best[node][0], [*before[1], node])
    return max(best.values(), key=lambda path: (path[0], [-ord(char) for char in path[1][0]]), default=(0.0, []))


def _tasks(history: History, until: datetime) -> list[Finding]:
    """The longest chain of tasks that wait for each other, and circles among them."""
    links = history.task_dependencies[history.task_dependencies["dependency_type"] == "blocks"]
    if not len(links):
        return []
    tasks = history.tasks.drop_duplicates("id").set_index("id")
    title, project = tasks["external_id"].to_dict(), tasks["project_name"].to_dict()
    hours = (tasks["actual_effort"].fillna(tasks["estimated_effort"]).fillna(0.0) / 60.0).to_dict()
    graph = nx.DiGraph(sorted(zip(links["parent_task_id"], links["dependent_task_id"], strict=True)))
    seen = micros(links["created_at"])
    out = _task_cycles(graph, title, project, (int(seen.min()), int(seen.max())))
    for part in sorted(nx.weakly_connected_components(graph), key=lambda nodes: (-len(nodes), min(nodes)))[:5]:
        total, path = longest_path(graph.subgraph(part), hours)
        if len(path) < FEWEST_DEPENDENTS or total <= 0.0:
            continue
        of = sum(hours.get(node, 0.0) for node in part)
        heavy = max(path, key=lambda node: (hours.get(node, 0.0), node))
        where = project.get(path[0]) or "tasks"
        sentence = (
            f"In {words.named(where)}, {len(path)} tasks wait for one another in a chain of {total:.0f} h of the"
            f" {of:.0f} h"
            f" that hang together; the longest of them is {words.named(title.get(heavy, heavy))} with"
            f" {hours.get(heavy, 0.0):.0f} h."
        )
        pairs = ", ".join(f"({sql.literal(a)}, {sql.literal(b)})" for a, b in pairwise(path))
        out.append(
            Finding(
                miner=ChainMiner.name, key=f"{where}|chain|{path[0]}|{path[-1]}", kind="critical_path",
                pattern_class=PatternClass.BOTTLENECK_IDENTIFICATION, entities=(where, *path[:10]), measure="effort_h",
                support=len(path) - 1, total=len(path) - 1, confidence=1.0, effect=total / max(of / len(part), 1e-9),
                effect_name="ratio_to_mean_task", p_value=None, first_seen_us=int(seen.min()),
                last_seen_us=int(seen.max()), sentence=sentence,
                sql=f"SELECT count(*) AS support, {len(path) - 1} AS total FROM task_dependencies WHERE"
                    " dependency_type = 'blocks' AND (parent_task_id::text, dependent_task_id::text) IN"
                    f" ({pairs}) AND {sql.until('created_at', until)}",
                evidence={"path": path[:50], "hours": total, "hours_connected": of, "tasks_connected": len(part)},
            )
        )  # fmt: skip
    return out


def _task_cycles(graph: Any, title: dict[str, str], project: dict[str, str], seen: tuple[int, int]) -> list[Finding]:
    out = []
    knots = [set(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]
    for knot in sorted(knots, key=lambda part: (-len(part), min(part)))[:MOST_CYCLES]:
        cycle = shortest_cycle(graph, knot)
        pairs = ", ".join(
            f"({sql.literal(a)}, {sql.literal(b)})" for a, b in zip(cycle, cycle[1:] + cycle[:1], strict=True)
        )
        where = project.get(cycle[0]) or "tasks"
        names = " → ".join(words.named(title.get(node, node)) for node in [*cycle[:5], cycle[0]])
        out.append(
            Finding(
                miner=ChainMiner.name, key=f"{where}|waits|{'→'.join(cycle)}", kind="cycle",
                pattern_class=PatternClass.BOTTLENECK_IDENTIFICATION, entities=(where, *cycle[:10]),
                measure="dependencies",
                support=len(cycle), total=len(cycle), confidence=1.0, effect=float(len(knot)), effect_name="tasks",
                p_value=None, first_seen_us=seen[0], last_seen_us=seen[1],
                sentence=f"In {words.named(where)}, tasks block each other in a circle, so none can start: {names}.",
                sql=f"SELECT count(*) AS support, {len(cycle)} AS total FROM task_dependencies WHERE dependency_type"
                    f" = 'blocks'"
                    f" AND (parent_task_id::text, dependent_task_id::text) IN ({pairs})",
                evidence={"cycle": cycle},
            )
        )  # fmt: skip
    return out
