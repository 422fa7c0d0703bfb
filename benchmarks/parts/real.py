"""Real backgrounds, where the folder of real data is there: normal stretches, cut out around what is labelled.

Series are dealt to the two folds by their names, so that nothing of a series that was tuned on is checked on.
"""

import csv
import gzip
import hashlib
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.parts.streams import SECOND_US, START_US, WEEK_US, Feed, Stream, robust_sigma

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
"""Where real data is read in place; nothing of it is in the project."""

LEAST = 1000
"""Values that a normal stretch must have; runs and tasks a fifth of it."""

MARGIN_SHARE = 0.25
"""What is cut off beside a labelled window, as a share of its length: labels are not exact."""

Points = list[tuple[int, float]]


def available(data: Path = DATA) -> bool:
    """Whether there is real data here."""
    return (data / "nab" / "labels" / "combined_windows.json").exists()


def fold_of(name: str) -> str:
    """The fold of a real series: half of them are for tuning.

    >>> {fold_of(name) for name in "abcdef"} == {"tune", "check"}
    True
    """
    return "check" if hashlib.sha256(name.encode()).digest()[0] % 2 else "tune"


def streams(fold: str, data: Path = DATA) -> list[Stream]:
    """The normal stretches of a fold, or none where there is no data."""
    if not available(data):
        return []
    found = [*_nab(data / "nab", fold), *_machines(data / "events"), *_runs(data / "events"), *_tasks(data / "events")]
    return [stream for stream in found if fold_of(stream.name) == fold]


def _stream(name: str, kind: str, points: Points, feed: Feed = "metric") -> Stream:
    times, values = np.array([time for time, _ in points], dtype=np.int64), np.array([value for _, value in points])
    # By whole weeks, so that weekday and hour stay what they were.
    times -= (int(times[0]) - START_US) // WEEK_US * WEEK_US
    cadence = float(np.median(np.diff(times))) / SECOND_US
    return Stream(name, kind, cadence, times, values, robust_sigma(values), feed=feed)


def _micros(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def _nab(folder: Path, fold: str) -> Iterator[Stream]:
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text())
    for name, labelled in sorted(windows.items()):
        folder_name, _, file_name = name.partition("/")
        title = file_name.removesuffix(".csv")
        if fold_of(title) != fold:
            continue
        with (folder / "data" / name).open() as file:
            rows = csv.reader(file)
            next(rows)
            points = [(_micros(time), float(value)) for time, value in rows]
        points = sorted(dict(points).items())
        cuts = [(0, points[0][0])]
        for start, end in ((_micros(one[0]), _micros(one[1])) for one in labelled):
            margin = round(MARGIN_SHARE * (end - start))
            cuts.append((start - margin, end + margin))
        cuts.append((points[-1][0] + 1, points[-1][0] + 1))
        stretches = [
            [point for point in points if after <= point[0] < before]
            for (_, after), (before, _) in itertools.pairwise(cuts)
        ]
        longest = max(stretches, key=len)
        if len(longest) >= LEAST:
            yield _stream(title, f"nab {folder_name}", longest)


def _events(path: Path) -> Iterator[dict[str, object]]:
    with gzip.open(path, "rt") as file:
        for line in file:
            yield json.loads(line)


def _machines(folder: Path) -> Iterator[Stream]:
    found: dict[str, Points] = {}
    for event in _events(folder / "host-cpu.jsonl.gz"):
        data: dict[str, object] = event["data"]  # type: ignore[assignment]
        name = f"{data['host']}-{data['resource_type']}"
        found.setdefault(name, []).append((_micros(str(event["time"])), float(str(data["usage_percentage"]))))
    for name, points in sorted(found.items()):
        yield _stream(name, "machines", sorted(points), "resource" if name.endswith("-cpu") else "metric")


def _runs(folder: Path) -> Iterator[Stream]:
    lengths: dict[str, Points] = {}
    failures: dict[str, Points] = {}
    for event in _events(folder / "ci-builds.jsonl.gz"):
        data: dict[str, object] = event["data"]  # type: ignore[assignment]
        name, time = str(data["pipeline_name"]), _micros(str(event["time"]))
        lengths.setdefault(name, []).append((time, float(str(data["total_duration_s"]))))
        failures.setdefault(name, []).append((time, float(data["status"] != "success")))
    for name, points in sorted(lengths.items()):
        if len(points) >= LEAST // 5:
            yield _stream(f"{name}-lengths", "builds", sorted(points), "duration")
            yield _stream(f"{name}-failed", "build failures", sorted(failures[name]), "failed")


def _tasks(folder: Path) -> Iterator[Stream]:
    found: dict[str, Points] = {}
    for event in _events(folder / "tasks.jsonl.gz"):
        data: dict[str, object] = event["data"]  # type: ignore[assignment]
        if str(event["type"]).endswith("task.finished.v1"):
            length = _micros(str(data["execution_end"])) - _micros(str(data["execution_start"]))
            found.setdefault(str(data["project_id"]), []).append((_micros(str(event["time"])), length / 1e6))
    for name, points in sorted(found.items()):
        # Whole days in the source: those of one day are put a minute apart, in their order.
        times = np.array([time for time, _ in sorted(points)], dtype=np.int64)
        times += np.arange(len(times)) * 60 * SECOND_US
        lengths = [length for _, length in sorted(points)]
        yield _stream(f"tasks-{name}", "task lead times", list(zip(times.tolist(), lengths, strict=True)), "duration")
