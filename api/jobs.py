"""Analyses on demand: jobs in the database, each worked on in a process of its own.

The work is pure Python for minutes: in a thread it would hold up every request. The child says that it is alive, and
writes the outcome itself; it ends when its parent is gone. Killed at any moment, the job is begun again by whichever
API process sees that nobody works on it.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
import uuid
from typing import Any

from api.config import Analyse, ApiConfig, Stopped
from api.metrics import ApiMetrics
from sql.store.api import Analyses, Analysis
from sql.store.errors import StoreError
from sql.store.pool import Database

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often a process looks for jobs of others that were left; its own are begun at once."""
BEAT_SECONDS = 1.0
CLEAN_SECONDS = 3600.0

_NICE = 10
"""Requests go before analyses."""


class Runner:
    """Works on one job at a time, in a thread that only waits for the child."""

    def __init__(self, url: str, analyses: Analyses, analyse: Analyse, config: ApiConfig, metrics: ApiMetrics) -> None:
        self._url = url
        self._analyses = analyses
        self._analyse = analyse
        self._config = config
        self._metrics = metrics
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="analyses", daemon=True)
        self._cleaned = 0.0

    def start(self) -> None:
        """Start looking for jobs."""
        self._thread.start()

    def stop(self) -> None:
        """End; a job in work is given back, and begun again by the next process."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def wake(self) -> None:
        """There is a job."""
        self._wake.set()

    def _run(self) -> None:
        while not self._ended:
            try:
                owner = uuid.uuid4()
                job = self._analyses.claim(owner, self._config.lease_seconds)
                if job is not None:
                    self._work(job, owner)
                    continue
                self._clean()
            except StoreError as problem:
                log.debug("no analyses: %s", problem)
            except Exception:
                log.exception("analyses")
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _work(self, job: Analysis, owner: uuid.UUID) -> None:
        context = multiprocessing.get_context("spawn")
        arguments = (self._url, job.id, owner, job.request, self._analyse)
        child = context.Process(target=work, args=arguments, name=f"analysis {job.id}", daemon=True)
        child.start()
        while child.is_alive() and not self._ended:
            child.join(0.2)
        if child.is_alive():
            child.terminate()
            child.join(5)
            if child.is_alive():
                child.kill()
                child.join()
            self._analyses.release(job.id, owner)
            return
        if child.exitcode:
            # Ended without a word: killed, or for want of memory. It is tried again a few times.
            log.warning("analysis %s: its process ended with %s", job.id, child.exitcode)
            self._analyses.release(job.id, owner, failed=True)
            return
        self._metrics.analyses.labels(self._analyses.analyses.get(job.id).status).inc()

    def _clean(self) -> None:
        if time.monotonic() - self._cleaned > CLEAN_SECONDS or not self._cleaned:
            self._cleaned = time.monotonic()
            self._analyses.clean(self._config.analyses_days)


class _Beat:
    """Says each second that the child is at work, and learns whether it shall go on."""

    def __init__(self, analyses: Analyses, job: uuid.UUID, owner: uuid.UUID) -> None:
        self._analyses = analyses
        self._job = job
        self._owner = owner
        self._progress = 0.0
        self._wanted = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> "_Beat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=10)

    def progress(self, share: float) -> None:
        """Note how far the work is; raises `Stopped` where it is no longer wanted."""
        self._progress = min(max(share, 0.0), 1.0)
        if not self._wanted:
            raise Stopped

    def _run(self) -> None:
        parent = multiprocessing.parent_process()
        while not self._ended.is_set():
            try:
                if (parent is not None and not parent.is_alive()) or not self._analyses.beat(
                    self._job, self._owner, self._progress
                ):
                    self._wanted = False
            except StoreError as problem:
                log.debug("heartbeat: %s", problem)
            self._ended.wait(BEAT_SECONDS)


def work(url: str, job: uuid.UUID, owner: uuid.UUID, request: dict[str, Any], analyse: Analyse) -> None:
    """Do a job, in a process of its own, and write its outcome."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of the job.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    with Database(url, max_size=2, application_name="hindsight-analysis") as database:
        analyses = Analyses(database)
        try:
            with _Beat(analyses, job, owner) as beat:
                result = analyse(url, request, beat.progress)
                beat.progress(1.0)
        except Stopped:
            analyses.finish(job, owner, "cancelled")
        except Exception as problem:
            log.exception("analysis %s", job)
            one_line = " ".join(str(problem).split())[:500] if hasattr(problem, "one_line") else ""
            analyses.finish(job, owner, "failed", error=one_line or f"it failed with {type(problem).__name__}")
        else:
            analyses.finish(job, owner, "succeeded", result=result)
