"""CPU an event of the partition's plain logic, without any input or output: does it grow with events, or with series?

Each series has as many panes as its detectors need to warm up before the measurement begins, so that they judge
throughout, whatever the number of events a series.

`python -m benchmarks.parts.cost REPORT EVENTS SERIES` measures one workload in a process of its own.
"""

import gc
import json
import sys
import time
from pathlib import Path

from benchmarks.parts import process
from benchmarks.parts.lab import Lab
from benchmarks.parts.report import Report, middle
from benchmarks.parts.workload import Workload
from operators.detect.spike import WARM_UP
from operators.partition import Partition, PartitionConfig
from operators.records import Batch

BY_EVENTS = (100_000, 500_000, 2_000_000)
BY_SERIES = (10, 100, 1_000, 10_000)
SERIES, EVENTS = 1_000, 500_000
WARM_UP_PANES = WARM_UP + 2
FLAT = 1.25
"""Greatest cost by least: beyond this it is not flat."""


def measure(workload: Workload) -> float:
    """CPU microseconds an event that `Partition.process` takes, in batches of 5,000; without making the events."""
    gc.set_threshold(100_000, 50, 100)  # as the flow does
    partition = Partition("bench", 0, PartitionConfig(aggregates=True))
    before = Workload(workload.series * WARM_UP_PANES, workload.series, period_s=10.0, jitter_us=0)
    start_us = time.time_ns() // 1000 - round((workload.span_s + 30) * 1e6)
    offset = 0
    for values in before.batches(seed=2, start_us=start_us - round(before.span_s * 1e6)):
        partition.process(_batch(values, offset))
        offset += len(values)
    spent = 0.0
    for values in workload.batches(start_us=start_us):
        batch = _batch(values, offset)
        start = time.process_time()
        partition.process(batch)
        spent += time.process_time() - start
        offset += len(values)
    counts = partition.state.counts
    if counts.applied != offset:
        raise RuntimeError(f"{counts.applied} of {offset} events were applied: {counts}")
    return spent / workload.events * 1e6


def _batch(values: list[bytes | None], offset: int) -> Batch:
    return Batch("bench", 0, values, range(offset, offset + len(values)), time.time_ns() // 1000)


def run(lab: Lab, quick: bool, repeat: int, report: Report) -> None:
    """Both series of workloads, in turns."""
    shrink = 10 if quick else 1
    by_events = [Workload(events // shrink, SERIES) for events in BY_EVENTS]
    by_series = [Workload(EVENTS // shrink, series) for series in BY_SERIES]
    costs: dict[Workload, list[float]] = {workload: [] for workload in (*by_events, *by_series)}
    for number in range(repeat):
        lab.say(f"turn {number + 1} of {repeat}")
        for workload, found in costs.items():
            words = [str(workload.events), str(workload.series)]
            cost = process.start(lab.fresh("cost"), "benchmarks.parts.cost", *words).finish().report["cost"]
            found.append(cost)
            lab.say(f"  {workload.events:,} events, {workload.series:,} series: {cost:.2f} µs an event")
    for key, what, workloads in (
        ("cost_by_events", "by events", by_events),
        ("cost_by_series", "by series", by_series),
    ):
        figures = {
            str(each.events if key == "cost_by_events" else each.series): round(middle(costs[each]), 3)
            for each in workloads
        }
        report.result[key] = figures
        ratio = max(figures.values()) / min(figures.values())
        note = ", ".join(f"{int(number):,}: {cost:.2f}" for number, cost in figures.items())
        flat = "met" if ratio <= FLAT else "MISSED"
        report.add(f"µs CPU an event {what}, greatest ÷ least", f"{ratio:.2f}", f"≤ {FLAT} {flat}", note)


if __name__ == "__main__":
    target, *numbers = sys.argv[1:]
    Path(target).write_text(json.dumps({"cost": measure(Workload(*map(int, numbers)))}))
