"""The events that are measured with: `metric.sampled.v1` of about 300 bytes with two tags, each series at 1 Hz.

Every series has a record key of its own (as the contract makes it), so a peer that can only aggregate by key does the
same job. Times are in order but for a jitter below the lateness, and end shortly before now: the flow takes the events
for live ones, and pays for its latency metrics too.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer

from sinks.kafka import PRODUCER

MEASURES = ("latency", "requests", "errors", "queue", "heap", "threads", "io", "cache", "sessions", "retries")
REGIONS = ("eu-west-1", "us-east-1", "ap-south-1")
JITTER_US = 500_000
"""Greatest distance of an event from its place in order; the lateness is 5 s."""
SPIKING = 2003
"""One pane in so many has values four times the usual, so that detection has something to find."""
TEMPLATE = (
    '{"specversion":"1.0","id":"%08x-5b1c-4f0a-9c3e-%012x","source":"agent://{region}/{host}",'
    '"type":"dev.hindsight.metric.sampled.v1","time":"%sZ","data":{"metric_name":"{measure}_ms",'
    '"metric_value":%.3f,"metric_unit":"ms","metric_tags":{"host":"{host}","region":"{region}"},'
    '"source_system":"service-{service:04d}"}}'
)


@dataclass(frozen=True)
class Workload:
    """So many events of so many series, one a series and `period_s` seconds of event time."""

    events: int
    series: int = 1000
    period_s: float = 1.0
    jitter_us: int = JITTER_US

    @property
    def span_s(self) -> float:
        """Event time from the first to the last event, seconds."""
        return self.events / self.series * self.period_s

    def key(self, series: int) -> bytes:
        """The record key of a series, `source_system:metric_name`."""
        service, measure = divmod(series, len(MEASURES))
        return f"service-{service:04d}:{MEASURES[measure]}_ms".encode()

    def records(self, seed: int = 1, start_us: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Series number and value of each record, in order. `start_us`: time of the first, by default so that the last
        is half a minute before now.
        """
        rand = random.Random(seed)
        if start_us is None:
            start_us = time.time_ns() // 1000 - round((self.span_s + 30) * 1e6)
        shapes = [_shape(series) for series in range(self.series)]
        levels = [20.0 + series * 7919 % 480 for series in range(self.series)]
        step = self.period_s * 1e6 / self.series
        jitter = self.jitter_us
        gauss, uniform = rand.gauss, rand.random
        for number in range(self.events):
            series = number % self.series
            offset = int(number * step)
            value = levels[series] * (1.0 + 0.05 * gauss(0.0, 1.0))
            if (series * 7919 + offset // 10_000_000 * 104_729) % SPIKING == 1:
                value *= 4.0
            at = start_us + offset + (int((2 * uniform() - 1) * jitter) if jitter else 0)
            yield series, (shapes[series] % (number, seed, stamp(at), value)).encode()

    def batches(self, size: int = 5000, seed: int = 1, start_us: int | None = None) -> Iterator[list[bytes | None]]:
        """The values alone, `size` at a time."""
        batch: list[bytes | None] = []
        for _, value in self.records(seed, start_us):
            batch.append(value)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch

    def mean_bytes(self) -> float:
        """Mean length of a record's value."""
        sample = [len(value) for _, value in Workload(1000, self.series, self.period_s).records()]
        return sum(sample) / len(sample)


def _shape(series: int) -> str:
    service, measure = divmod(series, len(MEASURES))
    names = {
        "{host}": f"node-{service:04d}",
        "{region}": REGIONS[service % len(REGIONS)],
        "{measure}": MEASURES[measure],
        "{service:04d}": f"{service:04d}",
    }
    text = TEMPLATE
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def stamp(at_us: int) -> str:
    """RFC 3339 without the zone, to the millisecond.

    >>> stamp(1767608130250123)
    '2026-01-05T10:15:30.250'
    """
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds")[:-6]


class Sender:
    """Sends records, waiting where the client's queue is full."""

    def __init__(self, brokers: str, linger_ms: int = 20) -> None:
        self._producer = Producer({**PRODUCER, "bootstrap.servers": brokers, "linger.ms": linger_ms, "acks": "all"})

    def send(self, topic: str, key: bytes, value: bytes, partition: int) -> None:
        """Queue one record."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def poll(self) -> None:
        """Take in acknowledgements."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        left = self._producer.flush(120)
        if left:
            raise RuntimeError(f"{left} records were not acknowledged within 120 s")


def publish(brokers: str, topic: str, workload: Workload, partitions: int) -> None:
    """The workload into a topic, series spread evenly over its partitions."""
    sender = Sender(brokers)
    keys = [workload.key(series) for series in range(workload.series)]
    for number, (series, value) in enumerate(workload.records()):
        sender.send(topic, keys[series], value, series % partitions)
        if number % 1000 == 0:
            sender.poll()
    sender.flush()


def write_files(folder: Path, workload: Workload, files: int) -> list[Path]:
    """The workload as JSON Lines files, series spread evenly over them."""
    paths = [folder / f"events-{workload.events}-{number}.jsonl" for number in range(files)]
    streams = [path.open("wb") for path in paths]
    try:
        for series, value in workload.records():
            streams[series % files].write(value + b"\n")
    finally:
        for stream in streams:
            stream.close()
    return paths


Say = Callable[[str], None]
"""Shows one line of progress."""
