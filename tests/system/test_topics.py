"""The flow on a real broker: dead letters as they came, patterns and aggregates as events, group offsets."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from tests import flow
from tests.system.kafka_server import KafkaServer
from tests.tables import query

TOPIC = "flow.events.metric.v1"


def sample(number: int, value: float) -> bytes:
    event = {
        "specversion": "1.0",
        "id": f"s{number}",
        "source": "agent://a",
        "type": "dev.hindsight.resource.sampled.v1",
        "time": f"2026-01-05T10:{number // 60:02d}:{number % 60:02d}Z",
        "data": {"host": "web-1", "resource_type": "cpu", "usage_percentage": value},
    }
    return json.dumps(event).encode()


BAD: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], str]] = [
    (b"k1", b"not json \xff\x00", [], "not_json"),
    (None, b'{"specversion": "1.0"}', [("trace", b"\x00\xff"), ("trace", None)], "bad_envelope"),
    (b"k\xff", b"{}", [("ce_type", b"\xff"), ("ce_specversion", b"1.0")], "bad_envelope"),
    (b"tomb", None, [], "empty"),
    (b"big", b'{"a": "' + b"x" * (1 << 20) + b'"}', [], "too_large"),
]


def records_of(broker: KafkaServer, topic: str, count: int) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": broker.brokers, "group.id": "look", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(1)])
    found: list[Message] = []
    for _ in range(100):
        found += [message for message in consumer.consume(1000, 0.3) if message.error() is None]
        if len(found) >= count:
            break
    consumer.close()
    return found


@pytest.fixture
def read(kafka: KafkaServer, database: str, tmp_path: Path) -> dict[str, Any]:
    kafka.create_topic(TOPIC, 1, {"max.message.bytes": str(4 << 20)})
    producer = Producer({"bootstrap.servers": kafka.brokers, "message.max.bytes": 4 << 20})
    for number in range(180):
        producer.produce(TOPIC, sample(number, 95.0 if 100 <= number < 110 else 40.0), b"web-1:cpu")
    for key, value, headers, _ in BAD:
        producer.produce(TOPIC, value, key, headers=headers)
    binary = json.loads(sample(179, 40.0))
    attributes = {f"ce_{name}": binary[name] for name in ("source", "type", "time", "specversion")} | {"ce_id": "bin"}
    headers_ok = [(name, text.encode()) for name, text in attributes.items()]
    producer.produce(TOPIC, json.dumps(binary["data"]).encode(), b"web-1:cpu", headers=headers_ok)
    assert producer.flush(30) == 0
    options = ("--brokers", kafka.brokers, "--topics", TOPIC, "--database-url", database)
    counts = flow.stream(
        *options, "--exit-at-end", "--recovery-dir", tmp_path / "state", topic_prefix="flow", group_id="seen"
    )
    return counts | {"database": database}


def test_outputs(read: dict[str, Any], kafka: KafkaServer) -> None:
    assert (read["read"], read["applied"], read["dead_letters"]) == (186, 181, len(BAD))

    letters = records_of(kafka, f"{TOPIC}.dlq", len(BAD))
    assert len(letters) == len(BAD)
    for letter, (key, value, headers, reason) in zip(letters, BAD, strict=True):
        assert (letter.key(), letter.value()) == (key, value)
        there = letter.headers() or []
        assert there[: len(headers)] == headers
        added = dict(there[len(headers) :])
        assert added["dlq.reason"] == reason.encode()
        assert added["dlq.topic"] == TOPIC.encode()
        assert set(added) == {f"dlq.{name}" for name in ("topic", "partition", "offset", "reason", "detail", "time")}
    stored = query(read["database"], "SELECT reason, record_value, record_key FROM dead_letters ORDER BY record_offset")
    assert [(reason, value or b"", key) for key, value, _, reason in BAD] == stored

    patterns = [json.loads(record.value() or b"") for record in records_of(kafka, "flow.patterns.v1", 2)]
    assert {event["type"] for event in patterns} == {"dev.hindsight.pattern.detected.v1"}
    assert {event["data"]["change"] for event in patterns} >= {"opened", "resolved"}
    found = query(read["database"], "SELECT id::text, entity FROM detected_patterns")
    assert {(event["data"]["pattern_id"], event["data"]["entity"]) for event in patterns} == set(found)

    windows = [json.loads(record.value() or b"")["data"] for record in records_of(kafka, "flow.metrics.v1", 2)]
    rows = query(
        read["database"],
        "SELECT n, sum, min, max FROM series_1m WHERE entity = 'web-1' ORDER BY time LIMIT 2",
    )
    assert [(one["n"], one["sum"], one["min"], one["max"]) for one in windows[:2]] == rows

    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "seen"})
    assert consumer.committed([TopicPartition(TOPIC, 0)], timeout=10)[0].offset == 186
    consumer.close()
