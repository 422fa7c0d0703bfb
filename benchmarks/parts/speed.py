"""Contestants of `cpu` and `rows`: the flow in several configurations, and the bare peers, in turns on one topic."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from benchmarks.parts import process
from benchmarks.parts.lab import PARTITIONS, Lab
from benchmarks.parts.report import Report, middle, spread
from benchmarks.parts.workload import Workload

CHECK = "SELECT count(*), coalesce(sum(hashtextextended(s::text, 0)), 0) FROM system_metrics AS s"
"""Rows, and a sum of their hashes: equal for equal tables."""


@dataclass(frozen=True)
class Figures:
    """Of one run: CPU seconds (start-up included), events a second from the first record to the last commit."""

    cpu_s: float
    rate: float
    report: dict[str, Any]


def stream(
    lab: Lab, workload: Workload, *, check: list[Any] | None = None, settings: dict[str, str] | None = None
) -> Figures:
    """The complete flow over the workload's topic, to its end."""
    topic = lab.topic(workload)
    with lab.database() as url:
        words = ("--brokers", lab.kafka.brokers, "--topics", topic, "--exit-at-end", "--database-url", url)
        child = process.flow(lab.fresh("flow"), *words, settings=settings)
        run = process.finish_flow(child, workload.events)
        if check is not None:
            check.append(_content(url))
    return figures_of(run, workload)


def bare(lab: Lab, workload: Workload, what: str, rows: int = 0, check: list[Any] | None = None) -> Figures:
    """A bare peer over the same topic. Its CPU is measured inside, from after its imports."""
    topic = lab.topic(workload)
    arguments = [what, lab.kafka.brokers, topic, str(PARTITIONS)]
    if what == "loop":
        run = process.start(lab.fresh("bare"), "benchmarks.parts.bare", *arguments).finish()
    else:
        with lab.database() as url:
            run = process.start(lab.fresh("bare"), "benchmarks.parts.bare", *arguments, url, str(rows)).finish()
            if check is not None:
                check.append(_content(url))
    if run.report["events"] != workload.events:
        raise process.Failed(f"the bare {what} has read {run.report['events']} of {workload.events} events")
    figures = figures_of(run, workload)
    return Figures(run.report["cpu"], figures.rate, run.report)


def figures_of(run: process.Run, workload: Workload) -> Figures:
    """Figures of a process that has reported its first and last moment."""
    first, last = run.report["first"], run.report["last"]
    rate = workload.events / (last - first) if first and last and workload.events else 0.0
    return Figures(run.cpu_s, rate, run.report)


def _content(url: str) -> Any:
    with psycopg.connect(url) as connection:
        return connection.execute(CHECK).fetchone()


VARIANTS: dict[str, dict[str, str]] = {
    "flow": {},
    "flow, no output topics": {"output_topics": "false"},
    "flow, no raw rows": {"raw_rows": "false"},
    "flow, no detection": {"real_time_detection_enabled": "false"},
}


def run(lab: Lab, workload: Workload, repeat: int, parts: set[str], report: Report) -> None:
    """Measure `cpu` and `rows`, whichever is wanted, in one set of turns."""
    empty = Workload(0, workload.series)
    lab.topic(workload)
    lab.topic(empty)
    seen: dict[str, list[Figures]] = {}
    contents: list[Any] = []
    batch = 0

    def turn(name: str, action: Callable[[], Figures]) -> Figures:
        before = time.monotonic()
        figures = action()
        seen.setdefault(name, []).append(figures)
        spent = time.monotonic() - before
        lab.say(f"  {name}: {figures.cpu_s:.2f} s CPU, {figures.rate:,.0f} events/s ({spent:.0f} s)")
        return figures

    for number in range(repeat):
        lab.say(f"turn {number + 1} of {repeat}")
        if "cpu" in parts:
            turn("empty", lambda: stream(lab, empty))
            turn("loop", lambda: bare(lab, workload, "loop"))
        figures = turn("flow", lambda: stream(lab, workload, check=contents))
        if "rows" in parts:
            batch = batch or round(workload.events / figures.report["transactions"])
            for what in ("copy", "upsert"):
                turn(what, partial(bare, lab, workload, what, batch, contents))
        if "cpu" in parts:
            for name, settings in VARIANTS.items():
                if settings:
                    turn(name, partial(stream, lab, workload, settings=settings))
    if len(set(contents)) > 1:
        raise process.Failed(f"the flow and the loaders wrote different rows: {contents}")
    if "cpu" in parts:
        _report_cpu(seen, workload, report)
    if "rows" in parts:
        _report_rows(seen, batch, report)


def _report_cpu(seen: dict[str, list[Figures]], workload: Workload, report: Report) -> None:
    micro = 1e6 / workload.events
    base = middle([one.cpu_s for one in seen["empty"]])
    loop = [one.cpu_s * micro for one in seen["loop"]]
    report.add("bare loop", f"{middle(loop):.2f} µs/event", "", spread(loop))
    result: dict[str, Any] = {"loop": round(middle(loop), 3), "start_up_s": round(base, 3)}
    for name in VARIANTS:
        cost = [(one.cpu_s - base) * micro for one in seen[name]]
        ratios = [ours / theirs for ours, theirs in zip(cost, loop, strict=True)]
        note = f"{middle(cost):.2f} µs/event ({spread(cost)}), less {base:.2f} s of start-up"
        if name == "flow":
            report.ratio("cpu_vs_bare_loop", "CPU of the flow ÷ bare loop", middle(ratios), 4, at_most=True, note=note)
        else:
            report.add(f"  {name}", f"{middle(ratios):.2f}", "", note)
        result[name] = round(middle(cost), 3)
    report.result["cpu_us_per_event"] = result
    report.result["transactions"] = {name: seen[name][-1].report["transactions"] for name in VARIANTS}


def _report_rows(seen: dict[str, list[Figures]], batch: int, report: Report) -> None:
    flow = [one.rate for one in seen["flow"]]
    copy = [one.rate for one in seen["copy"]]
    upsert = [one.rate for one in seen["upsert"]]
    ratios = [ours / theirs for ours, theirs in zip(flow, copy, strict=True)]
    note = f"{middle(flow):,.0f} ÷ {middle(copy):,.0f} events/s; {batch:,} rows a transaction, rows equal"
    report.ratio("rows_vs_bare_loader", "rate ÷ bare loader", middle(ratios), 0.7, at_most=False, note=note)
    others = [ours / theirs for ours, theirs in zip(flow, upsert, strict=True)]
    report.add("  ÷ loader by staging table", f"{middle(others):.2f}", "", f"{middle(upsert):,.0f} events/s")
    report.result["events_per_s"] = {
        "flow": round(middle(flow)),
        "loader": round(middle(copy)),
        "loader_upsert": round(middle(upsert)),
    }
