"""`hindsight` with a stopwatch: `python -m benchmarks.parts.child REPORT [--stages] COMMAND …`.

Notes the time of the first record and of the last commit, and the process's memory. That costs one call a batch.
"""

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.parts import stages
from flows import realtime
from flows.cli import main
from operators.output import Output
from operators.partition import Partition
from operators.records import Batch


class Stopwatch:
    """What a run of the flow is asked about."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.cpu_at_first = 0.0
        self.last: float | None = None
        self.transactions = 0
        self.rows = 0

    def install(self) -> None:
        """Watch the first batch and each commit."""
        process, written = Partition.process, realtime.Observers.written

        def first_batch(partition: Partition, batch: Batch) -> Output:
            self.first = time.time()
            self.cpu_at_first = time.process_time()
            Partition.process = process  # type: ignore[method-assign]
            return process(partition, batch)

        def commit(observers: realtime.Observers, outputs: Sequence[Output], rows: int) -> None:
            written(observers, outputs, rows)
            self.last = time.time()
            self.transactions += 1
            self.rows += rows

        Partition.process = first_batch  # type: ignore[method-assign,assignment]
        realtime.Observers.written = commit  # type: ignore[method-assign,assignment]

    def report(self) -> dict[str, Any]:
        """The figures: times are seconds since 1970, memory is the greatest resident size in MiB."""
        return {
            "first": self.first,
            "last": self.last,
            "cpu_at_first": self.cpu_at_first,
            "cpu": time.process_time(),
            "transactions": self.transactions,
            "rows": self.rows,
            "memory_mb": peak_memory_mb(),
        }


def peak_memory_mb() -> float:
    """The greatest resident size of this process so far, MiB.

    Linux tells it for the program; getrusage, elsewhere, may count what the parent had before this one was started.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    report, *arguments = sys.argv[1:]
    timed = stages.Stages() if arguments[0] == "--stages" else None
    if timed is not None:
        arguments = arguments[1:]
        timed.install()
    watch = Stopwatch()
    watch.install()
    sys.argv = ["hindsight", *arguments]
    try:
        main()
    finally:
        figures = watch.report()
        if timed is not None:
            figures["stages"] = timed.report()
        Path(report).write_text(json.dumps(figures))
