"""Running what is measured as processes of their own, and what each of them used."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Failed(RuntimeError):
    """A measured process ended with an error; the text is the end of what it said."""


@dataclass(frozen=True)
class Run:
    """One process that has ended: its CPU (user and system, start-up included), its report, and its last line."""

    cpu_s: float
    report: dict[str, Any]
    last_line: str

    @property
    def counts(self) -> dict[str, Any]:
        """The flow's last line."""
        counts: dict[str, Any] = json.loads(self.last_line)
        return counts


@dataclass(frozen=True)
class Child:
    """A process that runs. What it says and reports goes to files in `folder`."""

    process: subprocess.Popen[bytes]
    folder: Path

    def finish(self) -> Run:
        """Wait for its end. Raises `Failed` unless that is a success."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            said = (self.folder / "stderr").read_text(errors="replace")
            words = " ".join(map(str, self.process.args))  # type: ignore[arg-type]
            raise Failed(f"{words}: status {self.process.returncode}: {said[-2000:]}")
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        lines = (self.folder / "stdout").read_text(errors="replace").splitlines()
        return Run(usage.ru_utime + usage.ru_stime, report, lines[-1] if lines else "")


def start(
    folder: Path,
    module: str,
    *arguments: str | Path,
    python: str = sys.executable,
    feed: bool = False,
    settings: dict[str, str] | None = None,
) -> Child:
    """Start `module` (a dotted name, or the path of a script). It writes its report to the file named first.

    `settings` become ANALYTICS_ variables, and those of the outside are hidden; with `feed`, standard input is a pipe.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    clean |= {f"ANALYTICS_{name.upper()}": value for name, value in (settings or {}).items()}
    what: Sequence[str] = ["-m", module] if not module.endswith(".py") else [module]
    with (folder / "stdout").open("wb") as said, (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [python, *what, str(folder / "report.json"), *map(str, arguments)],
            cwd=ROOT,
            env=clean,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=said,
            stderr=errors,
        )
    return Child(process, folder)


def flow(folder: Path, *arguments: str | Path, feed: bool = False, settings: dict[str, str] | None = None) -> Child:
    """Start `hindsight stream` with these arguments, with its own default settings but for those named."""
    words = ("stream", *arguments, "--recovery-dir", folder / "recovery")
    given = {"metrics_port": "0"} | (settings or {})
    return start(folder, "benchmarks.parts.child", *words, feed=feed, settings=given)


def finish_flow(child: Child, events: int) -> Run:
    """Wait for a flow's end. Raises `Failed` unless it has applied all of so many events."""
    run = child.finish()
    applied = run.counts["applied"]
    if applied != events:
        raise Failed(f"the flow has applied {applied} of {events} events: {run.last_line}")
    return run
