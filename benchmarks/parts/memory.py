"""Peak memory of the flow's process with many series: each has one event a pane, 52 panes of 10 s.

That fills what `spike` remembers (48 panes) and the store's and the flow's buffers. The other detectors remember days,
and have hardly begun: what a series takes when all are full is what `benchmarks/detectors.py` prints as resident.

Events are made while they are read, through standard input; snapshots and detection are on, raw rows are off (they pass
through and stay nowhere). What is measured is the process's greatest resident size.
"""

import time

from benchmarks.parts import process
from benchmarks.parts.lab import Lab
from benchmarks.parts.report import Report
from benchmarks.parts.workload import Workload

SERIES, ROUNDS = 100_000, 52
"""`spike` remembers 48 panes."""
LIMIT_MB = 2048


def run(lab: Lab, quick: bool, report: Report) -> None:
    """Feed the flow, look at its peak."""
    series = SERIES // 10 if quick else SERIES
    workload = Workload(series * ROUNDS, series, period_s=10.0, jitter_us=0)
    lab.say(f"{workload.events:,} events of {series:,} series")
    folder = lab.fresh("memory")
    begin = time.monotonic()
    with lab.database() as url:
        child = process.flow(folder, "--input", "-", "--database-url", url, feed=True, settings={"raw_rows": "false"})
        pipe = child.process.stdin
        assert pipe is not None
        try:
            for number, (_, value) in enumerate(workload.records()):
                pipe.write(value + b"\n")
                if number % 1_000_000 == 999_999:
                    lab.say(f"  {number + 1:,} events, {time.monotonic() - begin:.0f} s")
            pipe.close()
        except BrokenPipeError:
            lab.say("  the flow has ended early")
        done = process.finish_flow(child, workload.events)
    peak = done.report["memory_mb"]
    state = sum(path.stat().st_size for path in (folder / "recovery").rglob("*") if path.is_file()) / (1 << 20)
    note = f"{state:,.0f} MiB recovery store; {workload.events / (time.monotonic() - begin):,.0f} events/s"
    if quick:
        report.skip(["memory_mb_100k_series"], "quick: fewer series")
        report.add(f"peak memory at {series:,} series", f"{peak:,.0f} MiB", "", note)
        return
    verdict = "met" if peak <= LIMIT_MB else "MISSED"
    report.result["memory_mb_100k_series"] = round(peak)
    report.add(f"peak memory at {series:,} series", f"{peak:,.0f} MiB", f"≤ {LIMIT_MB} {verdict}", note)
