"""Running `hindsight stream` as a process of its own, as a user would."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.generate import Generated

ROOT = Path(__file__).resolve().parent.parent


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "flows", *map(str, arguments)]


def environment(**settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    return clean | {f"ANALYTICS_{name.upper()}": value for name, value in settings.items()}


def start(*arguments: str | Path, **settings: str) -> subprocess.Popen[str]:
    """A command in the background; standard output and error are pipes."""
    return subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(metrics_port="0", **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path, timeout: float = 300, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(metrics_port="0", **settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def stream(*arguments: str | Path, timeout: float = 300, **settings: str) -> dict[str, Any]:
    """`hindsight stream`, which must succeed; its last line of output."""
    done = run("stream", *arguments, timeout=timeout, **settings)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def write_files(generated: Generated, folder: Path) -> list[Path]:
    """A JSON Lines file for each partition."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, records in enumerate(generated.partitions):
        path = folder / f"part-{number}.jsonl"
        path.write_bytes(b"".join(raw + b"\n" for raw, _ in records))
        paths.append(path)
    return paths


def inputs(paths: list[Path]) -> list[str]:
    """The paths as `--input` options."""
    return [word for path in paths for word in ("--input", str(path))]
