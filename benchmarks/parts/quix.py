"""Hindsight against Quix Streams: 1-minute tumbling aggregates (n, sum, min, max, avg) by series to PostgreSQL.

Quix gets what suits it: a record key for each series (no repartitioning), one `reduce` for all aggregates, binary COPY
at its checkpoints; and it is run with and without its changelog topics, of which the faster one counts. Hindsight runs
without raw rows, detection and output topics, but still with deduplication, recovery, ten-second and five-minute levels
and sketches.
"""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from benchmarks.parts import process
from benchmarks.parts.lab import Lab, Unavailable
from benchmarks.parts.report import Report, middle
from benchmarks.parts.speed import Figures, figures_of
from benchmarks.parts.workload import Workload

REQUIREMENTS = ("quixstreams==3.*", "psycopg[binary]==3.*")
SETTINGS = {"raw_rows": "false", "real_time_detection_enabled": "false", "output_topics": "false"}
OURS = """SELECT regexp_replace(entity, '{.*', '') || ':' || measure, "time", n, sum, min, max, avg
    FROM series_1m ORDER BY 1, 2"""
THEIRS = 'SELECT series, "time", n, sum, min, max, avg FROM quix_1m ORDER BY 1, 2'
CLOSE = 1e-9
"""Relative difference of sums that is rounding: Quix adds up in the order of arrival, Hindsight exactly by pane."""

Windows = dict[tuple[object, ...], tuple[float, ...]]


def environment(lab: Lab) -> Path:
    """The Python of a virtual environment with Quix Streams, in the user's cache; made the first time.

    Raises `Unavailable` where it can't be made.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / f"hindsight-benchmarks/quixstreams-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin/python"
    if (folder / "complete").exists():
        return python
    lab.say(f"installing {', '.join(REQUIREMENTS)} in {folder}")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], [*pip, *REQUIREMENTS]):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=900)
        except (OSError, subprocess.SubprocessError) as problem:
            raise Unavailable(f"Quix Streams can't be installed: {type(problem).__name__} in {command[2]}") from None
    (folder / "complete").touch()
    return python


def hindsight(lab: Lab, workload: Workload) -> tuple[Figures, Windows]:
    """Our run, and its windows."""
    with lab.database() as url:
        topic = ("--brokers", lab.kafka.brokers, "--topics", lab.topic(workload), "--exit-at-end")
        child = process.flow(lab.fresh("flow"), *topic, "--database-url", url, settings=SETTINGS)
        run = process.finish_flow(child, workload.events)
        return figures_of(run, workload), windows(url, OURS)


def quix(lab: Lab, workload: Workload, python: Path, changelog: bool) -> tuple[Figures, Windows]:
    """Quix's run, and its windows."""
    folder = lab.fresh("quix")
    script = Path(__file__).with_name("quix_job.py")
    with lab.database() as url:
        words = (lab.kafka.brokers, lab.topic(workload), str(workload.events), url, str(int(changelog)))
        run = process.start(folder, str(script), *words, folder / "state", python=str(python)).finish()
        if run.report["events"] != workload.events:
            raise process.Failed(f"Quix has processed {run.report['events']} of {workload.events} events")
        return figures_of(run, workload), windows(url, THEIRS)


def windows(url: str, query: str) -> Windows:
    """Aggregates by series and time."""
    with psycopg.connect(url) as connection:
        return {tuple(row[:2]): tuple(row[2:]) for row in connection.execute(query)}


def compare(ours: Windows, theirs: Windows) -> int:
    """The number of windows that Quix has closed. Raises `Failed` unless Hindsight has the same figures for each.

    Windows that are open at the end of the topic are written by Hindsight only.
    """
    if not theirs:
        raise process.Failed("Quix has written no window: the workload is too short")
    for place, expected in theirs.items():
        found = ours.get(place)
        if found is None or any(abs(a - b) > CLOSE * abs(b) for a, b in zip(found, expected, strict=True)):
            raise process.Failed(f"window {place}: Hindsight has {found}, Quix has {expected}")
    return len(theirs)


def run(lab: Lab, workload: Workload, repeat: int, report: Report) -> None:
    """Hindsight, Quix, and Quix without changelog topics, in turns."""
    _ = lab.kafka
    python = environment(lab)
    rates: dict[str, list[float]] = {"hindsight": [], "quix": [], "quix without changelog": []}
    same = 0
    for number in range(repeat):
        lab.say(f"turn {number + 1} of {repeat}")
        ours, our_windows = hindsight(lab, workload)
        rates["hindsight"].append(ours.rate)
        for changelog, name in ((True, "quix"), (False, "quix without changelog")):
            theirs, their_windows = quix(lab, workload, python, changelog)
            rates[name].append(theirs.rate)
            same = compare(our_windows, their_windows)
        lab.say("  " + ", ".join(f"{name} {each[-1]:,.0f} events/s" for name, each in rates.items()))
    best = max(list(rates)[1:], key=lambda name: middle(rates[name]))
    ratios = [a / b for a, b in zip(rates["hindsight"], rates[best], strict=True)]
    note = f"{middle(rates['hindsight']):,.0f} ÷ {middle(rates[best]):,.0f} events/s; {same:,} windows are equal"
    report.ratio("vs_quix", f"rate ÷ {best}", middle(ratios), 5, at_most=False, note=note)
    for name, each in rates.items():
        if name not in ("hindsight", best):
            report.add(f"  {name}", f"{middle(each):,.0f} events/s")
    report.result["vs_quix_events_per_s"] = {name: round(middle(each)) for name, each in rates.items()}
