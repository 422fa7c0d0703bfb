"""Contestants of `importing`: the import, the stream, and the peers of `loading`, in turns on one file."""

from pathlib import Path

import psycopg

from benchmarks.parts import loading, process
from benchmarks.parts.lab import Lab
from benchmarks.parts.report import Report, middle, spread
from benchmarks.parts.speed import CHECK
from benchmarks.parts.workload import Workload, write_files

NAMES = ("import", "stream", "raw", "rows")


def run(lab: Lab, key: str, workload: Workload, turns: int, report: Report) -> None:
    """All contestants on one history. Raises `process.Failed` if their raw rows differ."""
    lab.say(f"{key}: writing {workload.events:,} events")
    (path,) = write_files(lab.fresh("history"), workload, 1)
    saved = lab.fresh("saved")
    rows = 0
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    cpu: dict[str, list[float]] = {name: [] for name in NAMES}
    contents = set()
    for turn in range(turns):
        for name in NAMES:
            with lab.database() as url:
                done, spent = _one(lab, name, url, path, saved, workload.events)
                with psycopg.connect(url) as connection:
                    contents.add(connection.execute(CHECK).fetchone())
                if name == "import" and not turn:
                    rows = loading.save(url, saved)
            seconds[name].append(spent)
            cpu[name].append(done.cpu_s)
            lab.say(f"{key}, turn {turn + 1}: {name} {workload.events / spent:,.0f} events/s")
    if len(contents) > 1:
        raise process.Failed(f"the contestants wrote different raw rows: {contents}")
    rates = {name: workload.events / middle(found) for name, found in seconds.items()}
    micro = {name: middle(found) / workload.events * 1e6 for name, found in cpu.items()}
    size = path.stat().st_size / 1e6
    note = f"{size / middle(seconds['import']):,.0f} MB/s, {rows / workload.events:.2f} rows an event"
    report.add(f"{key}: import", f"{rates['import']:,.0f} events/s", "", note)
    titles = {"stream": "stream", "raw": "loader of raw rows alone", "rows": "COPY of the same rows, encoded"}
    for name, title in titles.items():
        ratios = [theirs / ours for ours, theirs in zip(seconds["import"], seconds[name], strict=True)]
        note = f"{rates[name]:,.0f} events/s ({spread(ratios)}); CPU {micro['import']:.1f} ÷ {micro[name]:.1f} µs/event"
        report.add(f"{key}: import ÷ {title}", f"{middle(ratios):.2f}", "", note)
        report.result[f"{key}_vs_{name}"] = round(middle(ratios), 3)
    report.result[f"{key}_events_per_s"] = {name: round(rate) for name, rate in rates.items()}


def _one(lab: Lab, name: str, url: str, path: Path, saved: Path, events: int) -> tuple[process.Run, float]:
    """One run, and its seconds without the start of the interpreter."""
    folder = lab.fresh(name)
    if name == "stream":
        done = process.finish_flow(process.flow(folder, "--input", path, "--database-url", url), events)
        return done, float(done.counts["seconds"])
    if name == "import":
        words = ("import", path, "--database-url", url)
        done = process.finish_flow(process.start(folder, "benchmarks.parts.child", *words), events)
        return done, float(done.counts["seconds"])
    source = path if name == "raw" else saved
    done = process.start(folder, "benchmarks.parts.loading", name, url, source).finish()
    return done, float(done.report["seconds"])
