"""The collectors of `hindsight up`: threads that append what happens here to spool files."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from sources.git import GitError, GitHistory
from sources.host import HostSampler, sample_every
from sources.spool import SpoolWriter

GIT_POLL_SECONDS = 5.0
"""How often HEAD is looked at."""

RETRY_SECONDS = 5.0
"""Pause after a failure, such as a full disk; collectors never give up."""


class Collectors:
    """Threads that collect until :meth:`stop`, each with a spool file of its own in `folder`.

    `warn(text)` is told what goes wrong, in one line. A spool exists as soon as its collector is added.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._ended = threading.Event()
        self._spools: list[SpoolWriter] = []
        self._threads: list[threading.Thread] = []

    @property
    def spools(self) -> list[Path]:
        """All spool files of the folder, those of earlier runs too, in a fixed order."""
        return sorted(self._folder.glob("*.jsonl"))

    def add_host(self, interval: float) -> None:
        """Sample this machine every `interval` seconds into `host.jsonl`.

        Raises :class:`~sources.spool.SpoolLockedError` or `OSError` when the file cannot be opened.
        """
        spool = self._open("host.jsonl")
        sampler = HostSampler()

        def collect() -> None:
            sample_every(sampler, interval, spool.append, wait=self._ended.wait)

        self._add("host", collect)

    def add_git(self, repo: Path) -> str:
        """Read the history of `repo`, and follow it, into `git-NAME.jsonl`; returns the codebase's id.

        Raises :class:`~sources.git.GitError` when `repo` is no git repository, and what :meth:`add_host`
        raises.
        """
        name = "git-" + re.sub(r"[^A-Za-z0-9._-]+", "-", GitHistory(repo).codebase_id)
        spool = self._open(f"{name}.jsonl", sync_seconds=0)  # the position is saved after the lines
        history = GitHistory(repo, self._folder / f"{name}.state", on_warning=self._warn)

        def collect() -> None:
            for events in history.batches(self._ended.is_set):
                spool.append(events)
            self._ended.wait(GIT_POLL_SECONDS)

        self._add("git", collect)
        return history.codebase_id

    def start(self) -> None:
        """Start collecting."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads and close the spools; no-op when stopped already."""
        self._ended.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=10)
        # A git that hangs keeps its thread; the spool is then closed by the end of the process.
        if not any(thread.is_alive() for thread in self._threads):
            for spool in self._spools:
                spool.close()

    def _open(self, name: str, sync_seconds: float = 1.0) -> SpoolWriter:
        spool = SpoolWriter(self._folder / name, sync_seconds=sync_seconds, on_large=self._warn)
        self._spools.append(spool)
        return spool

    def _add(self, name: str, collect: Callable[[], None]) -> None:
        def run() -> None:
            while not self._ended.is_set():
                try:
                    collect()
                except (OSError, GitError, ValueError) as error:
                    self._warn(f"collector {name}: {error}")
                    self._ended.wait(RETRY_SECONDS)

        self._threads.append(threading.Thread(target=run, name=f"collect-{name}", daemon=True))
