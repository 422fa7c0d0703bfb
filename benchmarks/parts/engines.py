"""Counting and nights by engine, as processes of their own: `python -m benchmarks.parts.engines REPORT SET ENGINE
MASTER` counts one of the FIMI sets twice."""

import gzip
import json
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg

from benchmarks.parts import nights, process
from benchmarks.parts.lab import Lab

ENGINES = ("embedded", "spark")
FIMI = {"retail": 177, "mushroom": 2031}
"""Least counts: 0.2 % and 25 %."""

DATA = Path(__file__).resolve().parents[2] / "../shared/data/fimi"


class Machine:
    """While in use, watches the Java processes that this process's children start."""

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self.cpu_s = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Machine":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            with suppress(psutil.Error):
                for child in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):
                        if child.name() == "java":
                            self.peak_mib = max(self.peak_mib, child.memory_info().rss / 2**20)
                            self.cpu_s = max(self.cpu_s, sum(child.cpu_times()[:2]))


def count(lab: Lab, name: str, engine: str, master: str) -> dict[str, Any] | None:
    """One of the FIMI sets, counted twice in one process; None where it is not here."""
    if not (DATA / f"{name}.dat.gz").exists():
        return None
    with Machine() as machine:
        done = process.start(lab.fresh("engine"), "benchmarks.parts.engines", name, engine, master).finish()
    # What a process has waited for counts as its own: the JVM.
    return done.report | {
        "cpu_s": round(done.cpu_s - machine.cpu_s, 1), "jvm_cpu_s": round(machine.cpu_s, 1),
        "jvm_mib": round(machine.peak_mib),
    }  # fmt: skip


def night(lab: Lab, url: str, engine: str, master: str) -> dict[str, Any]:
    """One night with an engine."""
    more = ("--spark-master", master) if engine == "spark" else ()
    with Machine() as machine:
        found = nights.night(lab, url, "--no-series-features", "--no-report", "--engine", engine, *more)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT sum(seconds) FROM nightly_stages JOIN nightly_runs AS r ON r.id = run_id"
            " WHERE stage = 'mine' AND r.engine = %s", [engine],
        ).fetchone()  # fmt: skip
    return {
        "seconds": round(found["seconds"], 1),
        "cpu_s": round(found["cpu_s"] - machine.cpu_s, 1),
        "jvm_cpu_s": round(machine.cpu_s, 1),
        "python_mib": round(found["peak_mib"]),
        "jvm_mib": round(machine.peak_mib),
        "mine_s": round(float(row[0]), 1) if row else None,
        "findings": found["said"]["findings"],
    }


def cost(found: dict[str, Any]) -> str:
    """CPU and memory in words."""
    jvm = f" + JVM {found['jvm_cpu_s']:.0f} s, {found['jvm_mib']:,} MiB" if found["jvm_mib"] else ""
    return f"CPU {found['cpu_s']:.0f} s, {found['python_mib']:,} MiB{jvm}"


def main(path: str, name: str, engine: str, master: str) -> None:
    """Count twice, and report."""
    from benchmarks.parts.child import peak_memory_mb
    from flows.spark.engine import SparkEngine
    from operators.mining.engine import Embedded, ItemsetJob

    with gzip.open(DATA / f"{name}.dat.gz", "rt") as lines:
        rows = [line.split() for line in lines]
    job = ItemsetJob(rows, FIMI[name])
    took, sets = [], 0
    with tempfile.TemporaryDirectory() as folder, SparkEngine(master, Path(folder) / "files") as spark:
        counting = spark if engine == "spark" else Embedded()
        for _ in range(2):
            begin = time.monotonic()
            [(_, [found])] = counting.itemsets(lambda: ["all"], lambda _: [job])
            took.append(round(time.monotonic() - begin, 2))
            sets = len(found)
    figures = {"first_s": took[0], "again_s": took[1], "sets": sets, "python_mib": round(peak_memory_mb())}
    Path(path).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
