"""What the Kafka sink writes, on Apache Kafka itself."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

import msgspec
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import ConfigResource

from sinks.kafka import (
    DEAD_LETTER_BYTES,
    KafkaWriteError,
    KafkaWriter,
    NotAcknowledged,
    all_topics,
    ensure_topics,
)
from tests.system.kafka_server import KafkaServer


def read(kafka: KafkaServer, topic: str, count: int, partition: int = 0) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    found: list[Message] = []
    deadline = time.monotonic() + 15
    while len(found) < count and time.monotonic() < deadline:
        found += [message for message in consumer.consume(count, 0.2) if message.error() is None]
    consumer.close()
    assert len(found) == count
    return found


def test_topics_are_created_once(kafka: KafkaServer) -> None:
    names = all_topics("made")
    assert len(names) == 14
    assert sorted(ensure_topics(kafka.brokers, names, 3)) == sorted(names)
    assert ensure_topics(kafka.brokers, names, 3) == []
    admin = kafka.admin()
    there = admin.list_topics(timeout=10).topics
    assert {name: len(there[name].partitions) for name in names} == {
        name: 1 if name.endswith(".dlq") else 3 for name in names
    }
    resource = ConfigResource(ConfigResource.Type.TOPIC, "made.events.task.v1.dlq")
    (config,) = admin.describe_configs([resource]).values()
    assert config.result(10)["max.message.bytes"].value == str(DEAD_LETTER_BYTES)


def test_dead_letter_keeps_bytes_key_and_headers(kafka: KafkaServer) -> None:
    ensure_topics(kafka.brokers, ["in.dlq"], 1)
    writer = KafkaWriter(kafka.brokers)
    raw, key = bytes(range(256)), b"\xff\x00key"
    headers = [("ce_type", b"\xfe\x00"), ("twice", b"1"), ("twice", b"2"), ("none", None), ("empty", b"")]
    at = datetime(2026, 1, 5, 10, 15, 30, 250_000, UTC)
    writer.dead_letter("in", 3, 2**40, "not_json", "zeichen: ä", key, raw, headers, at)
    writer.dead_letter("in", 3, 2**40 + 1, "empty", "", None, None, [], 1_767_608_130_250_000)
    writer.flush(20)
    assert (writer.pending, writer.acknowledged) == (0, 2)
    first, second = read(kafka, "in.dlq", 2)
    assert (first.value(), first.key()) == (raw, key)
    assert first.headers() == [
        *headers,
        ("dlq.topic", b"in"),
        ("dlq.partition", b"3"),
        ("dlq.offset", b"1099511627776"),
        ("dlq.reason", b"not_json"),
        ("dlq.detail", "zeichen: ä".encode()),
        ("dlq.time", b"2026-01-05T10:15:30.250Z"),
    ]
    assert (second.value(), second.key()) == (None, None)
    assert dict(second.headers() or [])["dlq.time"] == b"2026-01-05T10:15:30.250Z"


def test_a_dead_letter_larger_than_the_record_limit_fits(kafka: KafkaServer) -> None:
    ensure_topics(kafka.brokers, ["big.dlq"], 1)
    writer = KafkaWriter(kafka.brokers, kafka_config={"compression.type": "none"})
    raw = b"x" * (3 * 1024 * 1024)
    writer.dead_letter("big", 0, 0, "too_large", "", None, raw, [], 0)
    writer.flush(20)
    (found,) = read(kafka, "big.dlq", 1)
    assert found.value() == raw


def test_what_the_topic_cannot_take_is_sent_without_its_value(kafka: KafkaServer) -> None:
    kafka.create_topic("small.dlq", config={"max.message.bytes": "2000"})
    writer = KafkaWriter(kafka.brokers, kafka_config={"compression.type": "none"})
    writer.dead_letter("small", 0, 0, "too_large", "", b"k", b"x" * 5000, [], 0)
    writer.dead_letter("small", 0, 1, "not_json", "", b"k", b"y", [], 0)
    writer.flush(20)
    found = {dict(message.headers() or [])["dlq.offset"]: message for message in read(kafka, "small.dlq", 2)}
    assert found[b"0"].value() is None and found[b"0"].key() == b"k"
    assert dict(found[b"0"].headers() or [])["dlq.value_bytes"] == b"5000"
    assert found[b"1"].value() == b"y"


def test_a_missing_output_topic_is_created(kafka: KafkaServer) -> None:
    writer = KafkaWriter(kafka.brokers, "fresh")
    writer.pattern("shop:duration", {"type": "dev.hindsight.pattern.detected.v1", "data": {"n": 1}})
    writer.aggregate("shop", {"n": 2})
    writer.flush(40)
    (pattern,), (aggregate,) = read(kafka, "fresh.patterns.v1", 1), read(kafka, "fresh.metrics.v1", 1)
    assert pattern.key() == b"shop:duration"
    assert msgspec.json.decode(pattern.value() or b"")["data"] == {"n": 1}
    assert (aggregate.key(), aggregate.value()) == (b"shop", b'{"n":2}')


def test_an_outage_is_waited_out_and_said_once(kafka: KafkaServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sinks.kafka")
    ensure_topics(kafka.brokers, ["outage.patterns.v1"], 1)
    writer = KafkaWriter(kafka.brokers, "outage")
    writer.pattern("k", {"n": 0})
    writer.flush(20)
    kafka.kill9()
    for n in range(1, 50):
        writer.pattern("k", {"n": n})
    with pytest.raises(NotAcknowledged, match="49 records"):
        writer.flush(1.5)
    assert writer.pending == 49
    back = threading.Thread(target=kafka.restart)
    back.start()
    writer.flush(60)
    back.join()
    values = [msgspec.json.decode(each.value() or b"")["n"] for each in read(kafka, "outage.patterns.v1", 50)]
    assert values == list(range(50))
    assert len(caplog.messages) == 2, caplog.messages
    assert "does not answer" in caplog.messages[0] and "answers again" in caplog.messages[1]


def test_stop_ends_the_wait() -> None:
    stopped = threading.Event()
    writer = KafkaWriter("127.0.0.1:9", stop=stopped.is_set)
    writer.pattern("k", {})
    stopped.set()
    with pytest.raises(NotAcknowledged):
        writer.flush()


def test_settings_are_checked_and_not_repeated() -> None:
    with pytest.raises(KafkaWriteError, match="acks cannot be changed"):
        KafkaWriter("127.0.0.1:9", kafka_config={"acks": "1"})
    with pytest.raises(KafkaWriteError, match=r"no\.such") as caught:
        KafkaWriter("127.0.0.1:9", kafka_config={"no.such": "1", "sasl.password": "secret"})
    assert "secret" not in str(caught.value)


def test_unreachable_brokers_are_one_clear_line() -> None:
    with pytest.raises(KafkaWriteError, match=r"Kafka at 127\.0\.0\.1:9 does not answer"):
        ensure_topics("127.0.0.1:9", ["t"], 1, timeout=1)
