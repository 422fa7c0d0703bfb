"""Two processes over halves of the partitions against one over all, where the database is not the limit.

Broker, database and flow share the machine's cores, so the gain has a ceiling that is no property of the flow: with all
cores busy all the time, two processes can't be faster than the CPU that everybody uses, divided by the cores. That
ceiling is measured and shown. With files there is no broker, only the database.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parts import process
from benchmarks.parts.lab import PARTITIONS, Lab
from benchmarks.parts.report import Report, middle, spread
from benchmarks.parts.workload import Workload, write_files

SETTINGS = {"raw_rows": "false"}


@dataclass(frozen=True)
class Race:
    """One run of one or more processes: seconds from the first record to the last commit, CPU seconds by whom."""

    seconds: float
    flow_cpu: float
    broker_cpu: float
    database_cpu: float

    @property
    def ceiling(self) -> float:
        """How much faster more processes could be at best on this machine's cores, with the same work done."""
        cores = os.cpu_count() or 1
        return self.seconds / ((self.flow_cpu + self.broker_cpu + self.database_cpu) / cores)


def race(lab: Lab, workload: Workload, inputs: Sequence[Sequence[str | Path]]) -> Race:
    """Run a process for each of `inputs` (words of the command line), all at once, on one fresh database."""
    with lab.database() as url:
        before = lab.server_cpu()
        children = [
            process.flow(lab.fresh("race"), *words, "--database-url", url, settings=SETTINGS) for words in inputs
        ]
        runs = [child.finish() for child in children]
        after = lab.server_cpu()
    applied = sum(run.counts["applied"] for run in runs)
    if applied != workload.events:
        raise process.Failed(f"the processes have applied {applied} of {workload.events} events")
    seconds = max(run.report["last"] for run in runs) - min(run.report["first"] for run in runs)
    flow = sum(run.report["cpu"] - run.report["cpu_at_first"] for run in runs)
    return Race(seconds, flow, after[0] - before[0], after[1] - before[1])


def run(lab: Lab, workload: Workload, repeat: int, report: Report) -> None:
    """One process, two processes, in turns: from Kafka, and from files."""
    paths = write_files(lab.folder, workload, PARTITIONS)
    topic = lab.topic(workload)
    kafka = ["--brokers", lab.kafka.brokers, "--topics", topic, "--exit-at-end"]
    halves = [[*kafka, "--subset", f"{number}/2"] for number in range(2)]
    files: list[list[str | Path]] = [["--input", path] for path in paths]
    both = [[*files[0], *files[2]], [*files[1], *files[3]]]
    sides: dict[str, tuple[Sequence[Sequence[str | Path]], Sequence[Sequence[str | Path]]]] = {
        "kafka": ([kafka], halves),
        "file": ([[word for pair in files for word in pair]], both),
    }
    ratios: dict[str, list[float]] = {name: [] for name in sides}
    ceilings: dict[str, list[float]] = {name: [] for name in sides}
    last: dict[str, tuple[Race, Race]] = {}
    for number in range(repeat):
        lab.say(f"turn {number + 1} of {repeat}")
        for name, (one, two) in sides.items():
            alone, pair = race(lab, workload, one), race(lab, workload, two)
            ratios[name].append(alone.seconds / pair.seconds)
            ceilings[name].append(alone.ceiling)
            last[name] = (alone, pair)
            lab.say(f"  {name}: {alone.seconds:.2f} s alone, {pair.seconds:.2f} s as two")
    for path in paths:
        path.unlink()
    for name in sides:
        alone, pair = last[name]
        rate = f"{workload.events / alone.seconds:,.0f} → {workload.events / pair.seconds:,.0f} events/s"
        servers = f"CPU s: flow {pair.flow_cpu:.1f}, broker {pair.broker_cpu:.1f}, database {pair.database_cpu:.1f}"
        note = f"{rate} ({spread(ratios[name])}); {servers}"
        if name == "kafka":
            report.ratio("two_processes", "two processes ÷ one", middle(ratios[name]), 1.7, at_most=False, note=note)
        else:
            report.add("  the same from files", f"{middle(ratios[name]):.2f}", "", note)
        report.add(
            "    at most, by the cores", f"{middle(ceilings[name]):.2f}", "", f"{os.cpu_count()} cores, all shared"
        )
    report.result["two_processes_more"] = {
        "files": round(middle(ratios["file"]), 3),
        "ceiling": round(middle(ceilings["kafka"]), 3),
        "ceiling_files": round(middle(ceilings["file"]), 3),
        "cores": os.cpu_count(),
    }
