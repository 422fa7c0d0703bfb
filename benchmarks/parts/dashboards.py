"""Dashboards under load: a database filled by the flow itself, the API as a process, and events that come in."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import psutil  # type: ignore[import-untyped]
import psycopg

from benchmarks.parts.process import ROOT, Failed
from benchmarks.parts.users import SEVERITIES, Asked
from benchmarks.parts.workload import Say, Workload
from sql.store.patterns import DetectedPattern
from sql.store.pool import Database
from sql.store.store import Store

SERIES, PERIOD_S, HISTORY_S = 200, 10.0, 6 * 3600
"""Series that the dashboards show, their cadence, and how much of each there is: 432,000 events."""
PATTERNS, INCIDENTS = 2000, 200
LIVE_SERIES = 1000
INCIDENT = """
INSERT INTO incidents (id, title, summary, entity, category, pattern_class, severity, confidence, status, started_at,
    updated_at, patterns, series)
VALUES (%s, 'Slow', 'It is slow.', %s, 'performance', 'x', %s, 0.9, %s, %s, %s, 2, 1)
"""


def fill(url: str, folder: Path, say: Say) -> None:
    """Six hours of series up to now through the realtime flow; patterns and incidents among them as rows."""
    count = SERIES * int(HISTORY_S / PERIOD_S)
    workload = Workload(count, SERIES, PERIOD_S)
    start_us = int((time.time() - HISTORY_S) * 1e6)
    path = folder / "history.jsonl"
    with path.open("wb") as file:
        for batch in workload.batches(start_us=start_us):
            file.write(b"\n".join(value for value in batch if value is not None) + b"\n")
    say(f"{count:,} events through the flow")
    hindsight("stream", "--input", path, "--recovery-dir", folder / "history", url=url).finish()
    say(f"{PATTERNS:,} patterns, {INCIDENTS} incidents")
    with Database(url) as database, psycopg.connect(url) as connection:
        rows = connection.execute("SELECT entity, measure FROM series ORDER BY series_id").fetchall()
        now = datetime.now(UTC)
        Store(database).patterns.patterns.save_all(
            _pattern(number, *rows[number % len(rows)], now - timedelta(minutes=number)) for number in range(PATTERNS)
        )
        for number in range(INCIDENTS):
            values = [
                uuid.UUID(int=number), rows[number % len(rows)][0], SEVERITIES[number % 4],
                "open" if number < 20 else "resolved", now - timedelta(minutes=number), now,
            ]  # fmt: skip
            connection.execute(INCIDENT, values)
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def _pattern(number: int, entity: str, measure: str, at: datetime) -> DetectedPattern:
    severity = SEVERITIES[number % 4]
    return DetectedPattern(
        id=uuid.UUID(int=number + 1), pattern_name=f"{measure} of {entity} spiked", pattern_type="spike",
        pattern_category="performance", detection_algorithm="spike", confidence_score=0.7 + number % 30 / 100,
        significance_score=number % 97 / 97, detected_at=at, last_observed_at=at + timedelta(minutes=3), entity=entity,
        measure=measure, severity=severity, direction="up", opened_at=at, is_active=number < 40,
        resolved_at=None if number < 40 else at + timedelta(minutes=4), explanation=f"{measure} of {entity} rose.",
        pattern_data={
            "class": "response_time_degradation", "value": 93.0, "expected": 41.0, "low": 30.0, "high": 50.0,
            "evidence": {"z": 7.5, "recent": [{"time": at.isoformat(), "value": 93.0}] * 10},
        },
    )  # fmt: skip


class hindsight:  # noqa: N801 -- reads as the command that it starts
    """A command in the background; what it says on stderr goes to a file."""

    def __init__(self, *words: str | Path, url: str, **settings: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
        given = {"metrics_port": "0", "database_url": url, **settings}
        clean |= {f"ANALYTICS_{name.upper()}": value for name, value in given.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows", *map(str, words)],
            cwd=ROOT, env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(self) -> str:
        """Its last line. Raises `Failed`."""
        said, problem = self.process.communicate()
        if self.process.returncode:
            raise Failed(problem[-2000:])
        return said.splitlines()[-1] if said else ""

    def stop(self) -> str:
        """End it, and its last line."""
        self.process.terminate()
        return self.finish()


@contextlib.contextmanager
def api(url: str, folder: Path, **settings: str) -> Iterator[tuple[Asked, psutil.Process]]:
    """`hindsight api`, with what there is to ask for."""
    child = hindsight("api", "--port", "0", url=url, data_dir=str(folder), **settings)
    try:
        assert child.process.stdout is not None
        address = child.process.stdout.readline().strip()
        if not address:
            raise Failed(child.finish() or "the API did not start")
        with httpx.Client(base_url=address, timeout=60) as client:
            patterns = [one["id"] for one in client.get("/patterns?limit=1000&confidence_threshold=0").json()]
            series = [one["id"] for one in client.get(f"/series?limit={SERIES}").json()]
        host, _, port = address.removeprefix("http://").rpartition(":")
        yield Asked(host, int(port), patterns, series), psutil.Process(child.process.pid)
    finally:
        child.process.terminate()
        child.process.wait(30)


@contextlib.contextmanager
def ingest(url: str, folder: Path, rate: int, say: Say) -> Iterator[dict[str, float]]:
    """A flow that follows a file to which so many events a second are added; at the end its counts are in the dict."""
    spool = folder / f"live-{time.monotonic_ns()}.jsonl"
    spool.touch()
    child = hindsight("stream", "--input", spool, "--follow", "--recovery-dir", folder / spool.stem, url=url)
    ended = threading.Event()
    sent = 0

    def write() -> None:
        nonlocal sent
        batches = Workload(rate * 3600, LIVE_SERIES, LIVE_SERIES / rate).batches(max(rate // 20, 1), start_us=_now_us())
        with spool.open("ab", buffering=0) as file:
            began = time.monotonic()
            for batch in batches:
                if ended.is_set():
                    return
                file.write(b"\n".join(value for value in batch if value is not None) + b"\n")
                sent += len(batch)
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))

    writer = threading.Thread(target=write, daemon=True)
    counts: dict[str, float] = {}
    time.sleep(3)  # it has begun
    began = time.monotonic()
    writer.start()
    try:
        yield counts
    finally:
        ended.set()
        writer.join()
        seconds = time.monotonic() - began
        time.sleep(3)
        line = msgspec.json.decode(child.stop())
        counts |= {"sent": sent, "read": line["read"], "late": line["late"], "per_second": round(sent / seconds, 1)}
        say(f"ingest: {counts}")


def _now_us() -> int:
    return time.time_ns() // 1000


def cached(asked: Asked) -> float:
    """How many answers have been given again so far."""
    text = httpx.get(f"http://{asked.host}:{asked.port}/metrics").text
    line = next(line for line in text.splitlines() if line.startswith("hindsight_api_cached_total "))
    return float(line.split()[1])
