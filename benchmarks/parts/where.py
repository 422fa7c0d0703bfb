"""Where the CPU goes, by stage: one run of the flow with its stages timed (see `stages`)."""

from benchmarks.parts import process
from benchmarks.parts.lab import Lab
from benchmarks.parts.report import Report
from benchmarks.parts.stages import STAGES
from benchmarks.parts.workload import Workload


def run(lab: Lab, workload: Workload, report: Report) -> None:
    """One timed run in the default configuration."""
    topic = lab.topic(workload)
    with lab.database() as url:
        words = ("--brokers", lab.kafka.brokers, "--topics", topic, "--exit-at-end", "--database-url", url)
        folder = lab.fresh("stages")
        settings = {"metrics_port": "0", "recovery_dir": str(folder / "recovery")}
        child = process.start(folder, "benchmarks.parts.child", "--stages", "stream", *words, settings=settings)
        figures = process.finish_flow(child, workload.events).report["stages"]
    total = sum(figures.values())
    for name, title in STAGES.items():
        report.add(f"  {title}", f"{figures[name]:.2f} µs/event", "", f"{figures[name] / total:.0%}")
    report.result["stages"] = {name: round(value, 3) for name, value in figures.items()}
