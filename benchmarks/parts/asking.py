"""How long queries take, with warm and with cold caches, and which parts of their plans cost it."""

import contextlib
import re
import shlex
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.parts.questions import Question
from benchmarks.parts.report import quantile
from benchmarks.parts.workload import Say

LIMIT_S = 1.0
"""What a query may take at p95."""
PATIENCE = "60s"
ENOUGH_S = 20.0
"""After so much time the warm runs of a query end, once there are three."""
PAGE_CACHE = Path("/proc/sys/vm/drop_caches")
PARTITION = re.compile(r"_p\d{4,8}x*$")
COMPRESSED = re.compile(r"compress_hyper_\d+_\d+_chunk")
CHUNKS = """
SELECT c.chunk_name, coalesce(a.view_name, c.hypertable_name)
FROM timescaledb_information.chunks AS c LEFT JOIN timescaledb_information.continuous_aggregates AS a
    ON a.materialization_hypertable_name = c.hypertable_name
"""


class Cold:
    """Empties caches: by a command, else what this account may empty of the server's and the system's."""

    def __init__(self, url: str, command: str | None, *, local: bool) -> None:
        self._url = url
        self._command = shlex.split(command) if command else None
        self._system = local and command is None and _writable(PAGE_CACHE)
        self._server = False
        if command is None:
            with psycopg.connect(url, autocommit=True) as connection, contextlib.suppress(psycopg.Error):
                connection.execute("CREATE EXTENSION IF NOT EXISTS pg_buffercache")
                connection.execute("SELECT pg_buffercache_evict_all()")
                self._server = True

    @property
    def words(self) -> str:
        """What it does."""
        if self._command:
            return f"a new session after `{shlex.join(self._command)}`"
        done = ["shared buffers evicted"] * self._server + ["page cache dropped"] * self._system
        return ", ".join(["a new session", *done])

    def empty(self) -> None:
        """Do it."""
        if self._command:
            subprocess.run(self._command, check=True, stdout=subprocess.DEVNULL)
        if self._server:
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute("SELECT pg_buffercache_evict_all()")
        if self._system:
            PAGE_CACHE.write_text("3")

    def close(self) -> None:
        """Remove what it brought."""
        if self._server:
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute("DROP EXTENSION pg_buffercache")


def _writable(path: Path) -> bool:
    try:
        with path.open("w"):
            return True
    except OSError:
        return False


@dataclass(frozen=True)
class Answer:
    """Seconds of a query's runs, sorted; rows it gave; its costliest nodes. `problem` if it failed."""

    name: str
    rows: int
    warm: tuple[float, ...]
    cold: tuple[float, ...]
    drivers: tuple[str, ...]
    problem: str = ""

    @property
    def worst(self) -> float:
        """The greater of both p95."""
        return max((quantile(part, 0.95) for part in (self.warm, self.cold) if part), default=0.0)

    def figures(self) -> dict[str, Any]:
        """For the last line; milliseconds."""
        if self.problem:
            return {"problem": self.problem}
        found: dict[str, Any] = {"rows": self.rows}
        for name, part in (("warm", self.warm), ("cold", self.cold)):
            if part:
                found[name] = [round(quantile(part, q) * 1e3, 1) for q in (0.5, 0.95)]
        return {**found, "drivers": list(self.drivers)}


@contextlib.contextmanager
def _session(url: str) -> Iterator[psycopg.Connection[Any]]:
    # Dashboards send each query anew, so no prepared statements.
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(f"SET statement_timeout = '{PATIENCE}'".encode())
        connection.execute("SET timezone = 'UTC'")
        yield connection


def _timed(connection: psycopg.Connection[Any], question: Question) -> tuple[float, int]:
    start = time.perf_counter()
    rows = len(connection.execute(question.text, question.values).fetchall())
    return time.perf_counter() - start, rows


def ask(url: str, questions: list[Question], warm: int, cold: int, cache: Cold, say: Say) -> list[Answer]:
    """Cold runs of each query, each after the caches were emptied, then warm ones after one that does not count."""
    answers = []
    with _session(url) as connection:
        names = chunk_names(connection)
    for question in questions:
        colds, warms, drivers, rows = [], [], [], 0
        try:
            for _ in range(cold):
                cache.empty()
                with _session(url) as connection:
                    colds.append(_timed(connection, question)[0])
            with _session(url) as connection:
                _, rows = _timed(connection, question)
                while len(warms) < warm and (len(warms) < 3 or sum(warms) < ENOUGH_S):
                    warms.append(_timed(connection, question)[0])
                drivers = explain(connection, question, names)
            answer = Answer(question.name, rows, tuple(sorted(warms)), tuple(sorted(colds)), tuple(drivers))
        except psycopg.Error as problem:
            answer = Answer(question.name, 0, (), (), (), str(problem).strip().splitlines()[0])
        answers.append(answer)
        say(f"{question.name}: {answer.problem or f'{answer.worst:.3f} s'}")
    return answers


def chunk_names(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The table of each of TimescaleDB's chunks."""
    there = connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    return dict(connection.execute(CHUNKS.encode()).fetchall()) if there is not None else {}


def explain(connection: psycopg.Connection[Any], question: Question, names: dict[str, str], most: int = 3) -> list[str]:
    """The nodes of the plan with the greatest time of their own, pieces of a table as one, and planning."""
    row = connection.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + question.text, question.values).fetchone()
    assert row is not None
    plan = row[0][0]
    own: dict[str, list[float]] = defaultdict(lambda: [0.0, 0, 0, 0])
    _own_time(plan["Plan"], own, names)
    own["planning"] = [plan["Planning Time"], 1, 0, 0]
    nodes = sorted(own.items(), key=lambda item: -item[1][0])[:most]
    return [
        f"{name} {ms:.0f} ms"
        + (f" ({count:.0f} nodes, {rows:,.0f} rows, {pages:,.0f} pages)" if name != "planning" else "")
        for name, (ms, count, rows, pages) in nodes
    ]


def _own_time(node: dict[str, Any], own: dict[str, list[float]], names: dict[str, str]) -> float:
    """Add up a node's own time below its name, and give its whole time: of all workers, milliseconds."""
    whole = node.get("Actual Total Time", 0.0) * node.get("Actual Loops", 1)
    parts = node.get("Plans", [])
    inner = sum(_own_time(part, own, names) for part in parts)
    name = node.get("Custom Plan Provider") or node["Node Type"]
    place = node.get("Relation Name") or node.get("Index Name")
    if place:
        name += f" {names.get(place) or COMPRESSED.sub('of compressed chunks', PARTITION.sub('', place))}"
    pages = [node.get(f"Shared {kind} Blocks", 0) for kind in ("Hit", "Read")]
    below = [part.get(f"Shared {kind} Blocks", 0) for part in parts for kind in ("Hit", "Read")]
    entry = own[name]
    entry[0] += max(whole - inner, 0.0)
    entry[1] += 1
    entry[2] += node.get("Actual Rows", 0) * node.get("Actual Loops", 1)
    entry[3] += max(sum(pages) - sum(below), 0)
    return whole
