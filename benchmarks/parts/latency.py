"""Latency with a live producer: from an event's time to the commit of its row, and of the pattern that it led to.

Six minutes of history warm the detectors up; then 2,000 events a second come in real time. Metrics that jump lead to
pane detections, hosts whose CPU crosses 80 % to threshold detections; when each of them begins, the producer knows. The
moment of a commit is PostgreSQL's own (`track_commit_timestamp`), so nothing polls the tables while it runs.
"""

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from benchmarks.parts import process
from benchmarks.parts.lab import PARTITIONS, Lab, at
from benchmarks.parts.report import Report, quantile
from benchmarks.parts.workload import Sender, stamp
from sinks.embedded import EmbeddedPostgres
from sinks.migrate import migrate

METRICS, HOSTS = 1_600, 400
"""Series at 1 Hz each: together 2,000 events a second."""
HISTORY_S = 370
LIVE_S, QUICK_S = 60, 45
TICK_S = 0.01
JUMPING = 480
"""Metrics that jump once, for `JUMP_S` seconds."""
JUMP_S, HIGH_S = 12, 3
SETTLE_S = 3
"""Live seconds before anything happens."""
LAST_ONSET_S = 28
"""No metric jumps so late: its pane must close, by later events, while the producer runs."""
PANE_TARGET_S, THRESHOLD_TARGET_S = 20.0, 1.0

METRIC = (
    '{"specversion":"1.0","id":"m-%x","source":"agent://live","type":"dev.hindsight.metric.sampled.v1","time":"%sZ",'
    '"data":{"metric_name":"latency_ms","metric_value":%.3f,"metric_unit":"ms",'
    '"metric_tags":{"host":"node-%04d","region":"eu-west-1"},"source_system":"live-%04d"}}'
)
RESOURCE = (
    '{"specversion":"1.0","id":"r-%x","source":"agent://live","type":"dev.hindsight.resource.sampled.v1","time":"%sZ",'
    '"data":{"host":"host-%04d","resource_type":"cpu","usage_percentage":%.2f,"context_data":{"cores":8}}}'
)
ROWS = """SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - at)::float8
    FROM (SELECT xmin, collected_at AS at FROM system_metrics
          UNION ALL SELECT xmin, measured_at FROM resource_usage) AS raw WHERE at >= %s ORDER BY 1"""
PATTERNS = """SELECT p.entity, p.pattern_type, p.event_time, p.written_at,
    (SELECT min(pg_xact_commit_timestamp(e.xmin)) FROM pattern_evolution AS e
     WHERE e.pattern_id = p.id AND e.evolution_type = 'opened')
    FROM detected_patterns AS p WHERE p.opened_at >= %s ORDER BY p.opened_at"""


@dataclass
class Live:
    """What the producer does, and when: the time (seconds since 1970) of each series' first event off the usual."""

    seconds: int
    seed: int = 5
    jumps: dict[int, float] = field(default_factory=dict)
    """Seconds after the start at which a metric jumps."""
    crossings: dict[int, float] = field(default_factory=dict)
    """The same for hosts whose CPU usage crosses the limit."""
    onset: dict[str, float] = field(default_factory=dict)
    """By entity, from when it began."""
    serial: int = 0

    def __post_init__(self) -> None:
        self.rand = random.Random(self.seed)
        chosen = self.rand.sample(range(METRICS), JUMPING)
        self.jumps = {one: self.rand.uniform(SETTLE_S, self.seconds - LAST_ONSET_S) for one in chosen}
        self.crossings = {one: self.rand.uniform(SETTLE_S, self.seconds - SETTLE_S) for one in range(HOSTS)}

    def event(self, series: int, at_us: int, since: float) -> tuple[bytes, bytes, int]:
        """Key, value and partition of a series' event at a time, `since` seconds after the live start."""
        self.serial += 1
        if series < METRICS:
            value = 100.0 + self.rand.gauss(0, 3)
            begin = self.jumps.get(series)
            if begin is not None and begin <= since < begin + JUMP_S:
                value *= 6.0
                self.onset.setdefault(f"live-{series:04d}{{host=node-{series:04d},region=eu-west-1}}", at_us / 1e6)
            text = METRIC % (self.serial, stamp(at_us), value, series, series)
            return f"live-{series:04d}:latency_ms".encode(), text.encode(), series % PARTITIONS
        host = series - METRICS
        value = 30.0 + self.rand.uniform(-4, 4)
        if self.crossings[host] <= since < self.crossings[host] + HIGH_S:
            value = 95.0
            self.onset.setdefault(f"host-{host:04d}", at_us / 1e6)
        text = RESOURCE % (self.serial, stamp(at_us), host, value)
        return f"host-{host:04d}:cpu".encode(), text.encode(), host % PARTITIONS

    def history(self, now_us: int) -> Iterator[tuple[bytes, bytes, int]]:
        """An event every ten seconds of each series, up to now."""
        total = METRICS + HOSTS
        for number in range(HISTORY_S // 10 * total):
            before = HISTORY_S * 1e6 - number * 10e6 / total
            yield self.event(number % total, now_us - int(before), -before / 1e6)


def produce(live: Live, sender: Sender, topic: str) -> float:
    """Send events at their times; returns the live start, seconds since 1970."""
    total = METRICS + HOSTS
    start = time.time()
    sent = 0
    while (since := time.time() - start) < live.seconds:
        while sent < since * total:
            at_us = time.time_ns() // 1000
            sender.send(topic, *live.event(sent % total, at_us, at_us / 1e6 - start))
            sent += 1
        sender.poll()
        time.sleep(TICK_S)
    sender.flush()
    return start


def run(lab: Lab, quick: bool, report: Report) -> None:
    """Follow Kafka while the producer runs; then ask the database."""
    topic = "live.events.metric.v1"
    lab.kafka.create_topic(topic, PARTITIONS)
    live = Live(QUICK_S if quick else LIVE_S)
    server = EmbeddedPostgres(lab.folder / "postgres-latency")
    try:
        url = server.start()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        server.stop()
        url = at(server.start(), "hindsight")
        migrate(url)
        words = ("--brokers", lab.kafka.brokers, "--topics", topic, "--database-url", url)
        child = process.flow(lab.fresh("latency"), *words)
        try:
            sender = Sender(lab.kafka.brokers, linger_ms=5)
            lab.say(f"{HISTORY_S} s of history, then {live.seconds} s live at {METRICS + HOSTS:,} events/s")
            for record in live.history(time.time_ns() // 1000):
                sender.send(topic, *record)
            sender.flush()
            _wait_for(url, live.serial)
            before = live.serial
            start = produce(live, sender, topic)
            _wait_for(url, live.serial)
        finally:
            child.process.send_signal(signal.SIGTERM)
            process.finish_flow(child, live.serial)
        lab.say(f"  {live.serial - before:,} live events in {live.seconds} s")
        with psycopg.connect(url) as connection:
            since = datetime.fromtimestamp(start, UTC)
            rows = [row[0] for row in connection.execute(ROWS, [since])]
            patterns = connection.execute(PATTERNS, [since]).fetchall()
    finally:
        server.stop()
    _report(live, rows, patterns, report)


def _wait_for(url: str, events: int) -> None:
    """Until the flow has counted so many applied events, for at most a minute."""
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute("SELECT sum(n) FROM stream_counters WHERE outcome = 'applied'").fetchone()
            if row is not None and row[0] == events:
                return
            time.sleep(0.5)
    raise process.Failed(f"the flow has not applied {events} events within a minute")


def _report(live: Live, rows: list[float], patterns: list[Any], report: Report) -> None:
    found: dict[str, list[float]] = {"pane": [], "pane_from_end": [], "threshold": [], "threshold_written_at": []}
    seen: set[str] = set()
    for entity, kind_of, event_time, written_at, committed in patterns:
        kind = "threshold" if kind_of == "threshold" else "pane"
        if entity.startswith("host-") != (kind == "threshold"):
            continue
        onset = live.onset.get(entity)
        if onset is None or entity in seen:
            continue
        seen.add(entity)
        end = committed.timestamp()
        found[kind].append(end - onset)
        if kind == "pane":
            found["pane_from_end"].append(end - event_time.timestamp())
        else:
            found["threshold_written_at"].append((written_at - event_time).total_seconds())
    result: dict[str, Any] = {"live_events": len(rows)}
    hosts, metrics = len(live.crossings), len(live.jumps)
    texts = {
        "row": ("event → row", rows, None, f"{len(rows):,} rows, from the event's time to the commit"),
        "threshold": (
            "event → threshold pattern", found["threshold"], THRESHOLD_TARGET_S,
            f"{len(found['threshold'])} of {hosts} crossings found, to the commit",
        ),
        "threshold_written_at": ("  to written_at", found["threshold_written_at"], None, "as detected_patterns has it"),
        "pane": (
            "first event of a jump → pane pattern", found["pane"], PANE_TARGET_S,
            f"{len(found['pane'])} of {metrics} jumps found, to the commit",
        ),
        "pane_from_end": ("  from the pane's end", found["pane_from_end"], None, "5 s of it are the lateness"),
    }  # fmt: skip
    for key, (what, values, target, note) in texts.items():
        if not values:
            raise process.Failed(f"{what}: nothing was found")
        values.sort()
        p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
        result[key] = {"p50": round(p50, 3), "p99": round(p99, 3), "n": len(values)}
        goal = "" if target is None else f"p99 < {target:g} s {'met' if p99 < target else 'MISSED'}"
        report.add(what, f"p50 {p50:.2f} s, p99 {p99:.2f} s", goal, note)
    report.result["latency"] = result
