"""The bare peers, in one thread each.

`python -m benchmarks.parts.bare REPORT WHAT BROKERS TOPIC PARTITIONS [URL ROWS]`, where WHAT is one of

- `loop`: `Consumer.consume(5000)` and decoding into the same typed events; nothing else.
- `copy`: the loop, building the same raw rows, and COPY of them straight into the table, ROWS a transaction.
- `upsert`: the same by a staging table and INSERT … ON CONFLICT, as a replay needs it.
"""

import json
import struct
import sys
import time
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, TopicPartition

from operators import tables as t
from operators.events import decode_fast, document
from operators.identity import NAMESPACE
from operators.pgcopy import ENCODERS, EPOCH_US, HEADER, NULL, TRAILER
from operators.types import MetricSampled
from sinks import sql as statements

BATCH = 5000
PIECE = 1 << 20
_SALTED = NAMESPACE.bytes + b"event:"
_first8 = struct.Struct(">q12x").unpack
_HEAD = struct.Struct(">hiqiqid").pack
_text = ENCODERS["text"]


def read(brokers: str, topic: str, partitions: int) -> Iterator[list[Any]]:
    """Messages from the beginning of each partition to its present end."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "bare",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 20,  # the flow's own setting: the default pauses a fast reader for a second
        }
    )
    places = [TopicPartition(topic, number, 0) for number in range(partitions)]
    left = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.assign(places)
    while left > 0:
        messages = consumer.consume(BATCH, 1.0)
        left -= len(messages)
        yield messages
    consumer.close()


def loop(brokers: str, topic: str, partitions: int) -> int:
    """Consume and decode; the number of events."""
    events = 0
    for messages in read(brokers, topic, partitions):
        for message in messages:
            decode_fast(message.value())
        events += len(messages)
    return events


class Loader:
    """Raw rows, and the transactions that write them."""

    def __init__(self, url: str, staged: bool) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("SET client_min_messages = warning")
        self.staged = staged
        self.rest: dict[tuple[object, ...], bytes] = {}

    def row(self, raw: bytes) -> bytes:
        """The row of `system_metrics` that the flow makes of the same record."""
        event = decode_fast(raw)
        assert isinstance(event, MetricSampled)
        data = event.data
        digest = sha1(_SALTED + f"{event.source}\0{event.id}".encode()).digest()
        key = _first8(digest)[0] & ~0xF000 | 0x5000
        at = int(event.time.timestamp() * 1e6 + 0.5) - EPOCH_US
        spelling = (data.source_system, data.metric_name, data.metric_unit, bytes(data.metric_tags))
        rest = self.rest.get(spelling)
        if rest is None:
            unit = NULL if data.metric_unit is None else _text(data.metric_unit)
            tags = ENCODERS["jsonb"](document(data.metric_tags))
            rest = self.rest[spelling] = _text(data.metric_name) + unit + tags + _text(data.source_system) + NULL
        return _HEAD(8, 8, key, 8, at, 8, data.metric_value) + rest

    def write(self, rows: list[bytes]) -> None:
        """One transaction."""
        table = t.SYSTEM_METRICS
        with self.connection.transaction(), self.connection.cursor() as cursor:
            into = table.name
            if self.staged:
                cursor.execute(statements.create_stage(table))
                into = statements.stage_name(table)
            data = memoryview(b"".join([HEADER, *rows, TRAILER]))
            with cursor.copy(statements.copy(table, into)) as copy:
                for start in range(0, len(data), PIECE):
                    copy.write(data[start : start + PIECE])
            if self.staged:
                for statement in statements.merge(table):
                    cursor.execute(statement)


def main(report: str, what: str, brokers: str, topic: str, partitions: str, url: str = "", rows: str = "0") -> None:
    """Run one peer and write its figures."""
    cpu = time.process_time()
    first: float | None = None
    if what == "loop":
        events = loop(brokers, topic, int(partitions))
    else:
        loader = Loader(url, what == "upsert")
        events = 0
        held: list[bytes] = []
        for messages in read(brokers, topic, int(partitions)):
            if first is None:
                first = time.time()
            row = loader.row
            held += [row(message.value()) for message in messages]
            if len(held) >= int(rows):
                loader.write(held)
                events += len(held)
                held = []
        loader.write(held)
        events += len(held)
        loader.connection.close()
    figures = {"events": events, "cpu": time.process_time() - cpu, "first": first, "last": time.time()}
    Path(report).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
