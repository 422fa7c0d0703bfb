"""Prometheus and Alertmanager themselves, at free ports, for the length of a block."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

READY_S = 20.0


def missing() -> str | None:
    """What is not installed here."""
    names = ("prometheus", "prometheus-alertmanager")
    absent = [name for name in names if shutil.which(name) is None]
    return f"{' and '.join(absent)} missing (Debian's packages of these names)" if absent else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def alertmanager(folder: Path, port: int) -> Iterator[str]:
    """Alertmanager with the configuration in `folder`; gives its URL."""
    command = ["prometheus-alertmanager", f"--config.file={folder / 'alertmanager.yml'}", "--cluster.listen-address="]
    with _running([*command, f"--storage.path={folder / 'data'}"], folder, port) as url:
        yield url


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[str]:
    """Prometheus with the configuration in `folder`; gives its URL."""
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with _running(command, folder, port) as url:
        yield url


@contextmanager
def _running(command: Sequence[str], folder: Path, port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with open(folder / "log", "wb") as log:
        arguments = [*command, f"--web.listen-address=127.0.0.1:{port}"]
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + READY_S
        while not _ready(url):
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError((folder / "log").read_text()[-3000:])
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
