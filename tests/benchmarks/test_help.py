"""The benchmarks are not run here, but they load, and say how they are used."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = sorted((ROOT / "benchmarks").glob("[a-z]*.py"))
PARTS = sorted((ROOT / "benchmarks/parts").glob("[a-z]*.py"))


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(path), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_help_has_an_example(path: Path) -> None:
    done = run(path, "--help")
    assert done.returncode == 0, done.stderr
    assert "Example" in done.stdout
    assert f"benchmarks/{path.name}" in done.stdout


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_the_readme_names_it(path: Path) -> None:
    assert path.name in (ROOT / "benchmarks/README.md").read_text()


def test_an_unknown_part_is_one_line_and_2() -> None:
    done = run(ROOT / "benchmarks/realtime.py", "--only", "speed")
    assert done.returncode == 2
    assert "speed: there is no such part" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", [path for path in PARTS if path.stem != "quix_job"], ids=lambda path: path.stem)
def test_parts_load(path: Path) -> None:
    # quix_job.py runs in an environment of its own, which the suite does not have.
    assert import_module(f"benchmarks.parts.{path.stem}").__doc__


def test_the_workload_is_what_it_says() -> None:
    from benchmarks.parts.workload import Workload
    from operators.events import decode, route
    from operators.types import MetricSampled

    workload = Workload(events=3000, series=100)
    found = [(series, decode(value)) for series, value in workload.records()]
    assert len(found) == 3000
    assert len({event.id for _, event in found}) == 3000
    assert 250 < workload.mean_bytes() < 350
    times = [event.time for _, event in found]
    last = times[0]
    for series, event in found:
        assert isinstance(event, MetricSampled)
        assert route(event).key.encode() == workload.key(series)
        assert (last - event.time).total_seconds() <= 1.0  # in order but for the jitter
        last = max(last, event.time)
    assert 29 <= (max(times) - min(times)).total_seconds() <= 31
