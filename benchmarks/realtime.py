"""How fast is the realtime flow, against what it could be? Each answer is a ratio, both sides measured in one run."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

PARTS = ("cpu", "rows", "quix", "processes", "cost", "memory", "latency", "stages")
KEYS = {
    "cpu": ["cpu_vs_bare_loop"],
    "rows": ["rows_vs_bare_loader"],
    "quix": ["vs_quix"],
    "processes": ["two_processes"],
    "cost": ["cost_by_events", "cost_by_series"],
    "memory": ["memory_mb_100k_series"],
    "latency": ["latency"],
    "stages": ["stages"],
}
"""Parts and their keys in the last line."""
QUICK_EVENTS, EVENTS = 50_000, 500_000
NOT_ASKED = "not asked for"


def _say(text: str) -> None:
    click.echo(f"[{time.strftime('%H:%M:%S')}] {text}", err=True)


@click.command()
@click.option("--events", type=click.IntRange(min=1000), help=f"Events of the workload. [{EVENTS:,}]")
@click.option("--repeat", type=click.IntRange(min=1), help="Turns of each comparison; medians are shown. [3]")
@click.option("--quick", is_flag=True, help=f"A smoke run: {QUICK_EVENTS:,} events, one turn, small rest.")
@click.option("--only", metavar="PART[,PART]", help=f"Some parts of it: {', '.join(PARTS)}.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the last line there too.")
def main(events: int | None, repeat: int | None, quick: bool, only: str | None, file: Path | None) -> None:
    """Measure the realtime flow against bare peers, as ratios, on Apache Kafka and the embedded PostgreSQL.

    Apache Kafka needs Java 17 and Maven; without them what needs it is skipped, and the last line says so. Servers,
    topics and databases are the benchmark's own, and gone at the end. Progress is shown on standard error; standard
    output is a table and, as its last line, one JSON object.

    \b
    Examples:
      python benchmarks/realtime.py --quick
      python benchmarks/realtime.py --only cpu,rows --events 1000000 --repeat 5 --json figures.json
    """
    wanted = [part.strip() for part in only.split(",")] if only else list(PARTS)
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise click.UsageError(f"--only {unknown[0]}: there is no such part; parts are {', '.join(PARTS)}")

    from benchmarks.parts import cost, latency, memory, processes, quix, speed, where
    from benchmarks.parts.lab import Lab, Unavailable
    from benchmarks.parts.process import Failed
    from benchmarks.parts.report import Report
    from benchmarks.parts.workload import Workload

    workload = Workload(events or (QUICK_EVENTS if quick else EVENTS))
    turns = repeat or (1 if quick else 3)
    report = Report()
    failed = False
    with Lab(_say) as lab:
        both = {"cpu", "rows"} & set(wanted)
        parts: list[tuple[list[str], Callable[[], None]]] = [
            (sorted(both), lambda: speed.run(lab, workload, turns, both, report)),
            (["quix"], lambda: quix.run(lab, workload, turns, report)),
            (["processes"], lambda: processes.run(lab, workload, turns, report)),
            (["cost"], lambda: cost.run(lab, quick, turns, report)),
            (["memory"], lambda: memory.run(lab, quick, report)),
            (["latency"], lambda: latency.run(lab, quick, report)),
            (["stages"], lambda: where.run(lab, workload, report)),
        ]
        for names, action in parts:
            keys = [key for name in names for key in KEYS[name]]
            if not names or not set(names) & set(wanted):
                continue
            _say(f"--- {', '.join(names)}")
            try:
                action()
            except Unavailable as problem:
                _say(f"skipped: {problem}")
                report.skip(keys, str(problem))
            except Failed as problem:
                failed = True
                _say(f"FAILED: {problem}")
                report.skip(keys, "it failed")
    for part, keys in KEYS.items():
        if part not in wanted:
            report.skip(keys, NOT_ASKED)
    report.show()
    line = json.dumps({**report.result, "events": workload.events, "repeat": turns, "skipped": report.skipped})
    if file is not None:
        file.write_text(line + "\n")
    click.echo(line)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
