"""How fast is `hindsight import`, against a bare loader, the database's own limit, and `hindsight stream`?"""

import json
import sys
import time
from pathlib import Path

import click

QUICK_EVENTS, EVENTS = 50_000, 1_000_000
SPARSE_S = 60.0
"""Seconds between two samples of a series in the sparse history: each of them is a bucket of its own."""


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option("--events", type=click.IntRange(min=1000), help=f"Events of the history. [{EVENTS:,}]")
@click.option("--repeat", type=click.IntRange(min=1), help="Turns; medians are shown. [3]")
@click.option("--quick", is_flag=True, help=f"A smoke run: {QUICK_EVENTS:,} events, one turn.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(events: int | None, repeat: int | None, quick: bool, file: Path | None) -> None:
    """Measure `hindsight import` of a file, as ratios, on the embedded PostgreSQL.

    In turns: import; stream of the same file; a loader that decodes the lines and COPYs the raw rows alone; COPY of all
    rows that the import writes, encoded already. Twice: series at 1 Hz, and at one sample a minute.

    \b
    Example:
      python benchmarks/importing.py --quick
      python benchmarks/importing.py --events 5000000 --json figures.json
    """
    from benchmarks.parts import process
    from benchmarks.parts.history import run
    from benchmarks.parts.lab import Lab
    from benchmarks.parts.report import Report
    from benchmarks.parts.workload import Workload

    count = events or (QUICK_EVENTS if quick else EVENTS)
    turns = repeat or (1 if quick else 3)
    report = Report()
    with Lab(_say) as lab:
        try:
            run(lab, "dense", Workload(count), turns, report)
            run(lab, "sparse", Workload(count, period_s=SPARSE_S), turns, report)
        except process.Failed as problem:
            _say(f"FAILED: {problem}")
            sys.exit(1)
    report.show()
    line = json.dumps({**report.result, "events": count, "repeat": turns})
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)


if __name__ == "__main__":
    main()
