"""The Kafka source on Apache Kafka itself: retention, growth, transactions, kill -9, and what ordinary tools see."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, run_main
from confluent_kafka import Consumer, Producer, TopicPartition

from operators.records import Batch, Mark
from sinks.kafka import KafkaWriter, ensure_topics
from sources.kafka import KafkaPartition, KafkaSource, KafkaSourceError, OffsetOutOfRange
from sources.kafka_records import decode_offsets, encode_offsets
from tests.system.kafka_server import PASSWORD, USER, KafkaServer

Items = list[tuple[str, Batch]]
Build = Callable[..., KafkaPartition]


@pytest.fixture
def build(kafka: KafkaServer) -> Iterator[Build]:
    """Build a part of a source on the broker; all are closed at the end."""
    parts: list[KafkaPartition] = []

    def make(*topics: str, state: bytes | None = None, **settings: Any) -> KafkaPartition:
        source = KafkaSource(kafka.brokers, topics, **{"group_id": topics[0], **settings})
        parts.append(source.build_part("in", source.list_parts()[0], state))
        return parts[-1]

    yield make
    for part in parts:
        part.close()


def send(kafka: KafkaServer, topic: str, values: list[bytes], partition: int = 0, **settings: Any) -> None:
    producer = Producer({"bootstrap.servers": kafka.brokers, "acks": "all", "linger.ms": 5, **settings})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def poll(part: KafkaPartition, until: Callable[[Items], bool], seconds: float = 30.0) -> Items:
    """Poll as Bytewax would until `until` of the items so far, or the source ends."""
    items: Items = []
    deadline = time.monotonic() + seconds
    while not until(items):
        assert time.monotonic() < deadline, f"only {len(records(items))} records"
        try:
            items += part.next_batch()
        except StopIteration:
            break
        time.sleep(0.005)
    return items


def records(items: Items) -> list[tuple[str, int, bytes | None]]:
    return [
        (key, offset, value) for key, batch in items for offset, value in zip(batch.offsets, batch.values, strict=True)
    ]


def marks(items: Items, mark: Mark) -> list[str]:
    return [key for key, batch in items if batch.mark is mark]


def at_least(count: int) -> Callable[[Items], bool]:
    return lambda items: len(records(items)) >= count


def never(_: Items) -> bool:
    return False


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%06d" % n for n in range(start, start + count)]


def test_an_offset_that_retention_took_is_a_clear_error(kafka: KafkaServer, build: Build) -> None:
    kafka.create_topic("gone", 2)
    send(kafka, "gone", numbers(100), 1)
    part = build("gone", batch_size=10)
    poll(part, at_least(10))
    state = part.snapshot()
    stored = decode_offsets(state)["gone", 1]
    kafka.delete_records("gone", 1, 60)
    with pytest.raises(OffsetOutOfRange) as caught:
        build("gone", state=state)
    said = str(caught.value)
    assert f"topic gone partition 1: the stored offset {stored} is out of range" in said
    assert "the broker has 60 (low) to 100 (high)" in said and "recovery directory" in said
    assert "\n" not in said
    with pytest.raises(OffsetOutOfRange, match=r"stored offset 101 .* 60 \(low\) to 100 \(high\)"):
        build("gone", state=encode_offsets({("gone", 1): 101}))
    assert len(records(poll(build("gone", state=encode_offsets({("gone", 1): 60})), at_least(40)))) == 40
    assert len(records(poll(build("gone"), at_least(40)))) == 40


def test_records_that_go_while_they_are_read_are_a_clear_error(kafka: KafkaServer, build: Build) -> None:
    kafka.create_topic("going", 1)
    send(kafka, "going", [b"x" * 1000] * 2000, **{"batch.num.messages": 10})
    part = build("going", batch_size=1, kafka_config={"queued.min.messages": 1, "fetch.message.max.bytes": 1000})
    poll(part, at_least(1))
    kafka.delete_records("going", 0, 1900)
    with pytest.raises(OffsetOutOfRange, match=r"1900 \(low\) to 2000 \(high\)") as caught:
        poll(part, never)
    assert 0 < caught.value.stored < 1900


def test_partitions_and_topics_that_come_later_are_read_from_their_beginning(
    kafka: KafkaServer, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sources")
    kafka.create_topic("grows", 1)
    send(kafka, "grows", [b"a"])
    part = build("grows", "later", metadata_interval_s=0.5, auto_offset_reset="latest")
    assert not records(part.next_batch())
    kafka.add_partitions("grows", 3)
    send(kafka, "grows", [b"b"], 2)
    assert records(poll(part, at_least(1))) == [("grows/2", 0, b"b")]
    kafka.create_topic("later", 1)
    send(kafka, "later", [b"c"])
    assert records(poll(part, at_least(1))) == [("later/0", 0, b"c")]
    state = decode_offsets(part.snapshot())
    assert state == {("grows", 0): 1, ("grows", 1): 0, ("grows", 2): 1, ("later", 0): 1}
    said = caplog.messages
    assert sum("topic later does not exist yet" in line for line in said) == 1
    assert sum("topic later is there now" in line for line in said) == 1
    assert sum("partition grows/2 is new" in line for line in said) == 1


def test_kill9_of_the_broker_loses_and_repeats_nothing(
    kafka: KafkaServer, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sources")
    kafka.create_topic("killed", 2)
    send(kafka, "killed", numbers(20_000), 0)
    send(kafka, "killed", numbers(20_000), 1)
    small = {"queued.min.messages": 500, "fetch.message.max.bytes": 20_000}
    part = build("killed", batch_size=100, idle_interval_s=0.1, kafka_config=small)
    items = poll(part, at_least(5_000))
    kafka.kill9()
    away = poll(part, lambda _: "does not answer" in caplog.text)
    assert len(records(items + away)) < 40_000
    back = threading.Thread(target=kafka.restart)
    back.start()
    items += away + poll(part, lambda more: len(records(items + away + more)) >= 40_000, 60)
    back.join()
    items += poll(part, lambda more: len(set(marks(more, Mark.IDLE))) == 2)
    for partition in (0, 1):
        got = [(offset, value) for key, offset, value in records(items) if key == f"killed/{partition}"]
        assert got == list(enumerate(numbers(20_000)))
    assert not marks(away, Mark.IDLE)
    assert len(caplog.messages) == 2, caplog.messages
    assert "does not answer" in caplog.messages[0] and "answers again" in caplog.messages[1]


def test_no_idle_tick_while_the_broker_is_away(
    kafka: KafkaServer, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sources")
    kafka.create_topic("quiet", 1)
    send(kafka, "quiet", [b"a"])
    part = build("quiet", idle_interval_s=0.1)
    poll(part, lambda items: bool(marks(items, Mark.IDLE)))
    kafka.kill9()
    poll(part, lambda _: "does not answer" in caplog.text)
    ticks: Items = []
    until = time.monotonic() + 2
    while time.monotonic() < until:
        ticks += part.next_batch()
        time.sleep(0.02)
    assert ticks == []
    kafka.restart()
    assert marks(poll(part, lambda items: bool(marks(items, Mark.IDLE))), Mark.IDLE) == ["quiet/0"]


def test_a_source_built_while_the_broker_is_away_waits_for_it(
    kafka: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sources")
    kafka.create_topic("patient", 1)
    send(kafka, "patient", [b"a"])
    kafka.kill9()
    source = KafkaSource(kafka.brokers, ["patient"], group_id="patient", startup_wait_s=0.2, exit_at_end=True)
    part = source.build_part("in", "0-of-1", None)
    assert part.next_batch() == []
    assert part.next_awake() is not None
    poll(part, lambda _: "does not answer" in caplog.text)
    kafka.restart()
    assert records(poll(part, never)) == [("patient/0", 0, b"a")]
    part.close()
    assert len(caplog.messages) == 2, caplog.messages


def test_the_group_shows_the_snapshot_before_and_after_close_the_last(kafka: KafkaServer) -> None:
    kafka.create_topic("seen", 1)
    send(kafka, "seen", numbers(30))
    source = KafkaSource(kafka.brokers, ["seen"], group_id="seen-group", batch_size=10)
    part = source.build_part("in", "0-of-1", None)
    first = len(records(poll(part, at_least(10))))
    part.snapshot()
    assert committed(kafka, "seen-group", "seen") < 0
    second = len(records(poll(part, at_least(10))))
    part.snapshot()
    deadline = time.monotonic() + 10
    while committed(kafka, "seen-group", "seen") < 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert committed(kafka, "seen-group", "seen") == first
    part.close()
    assert committed(kafka, "seen-group", "seen") == first + second


def committed(kafka: KafkaServer, group: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": kafka.brokers, "group.id": group})
    (place,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
    consumer.close()
    return int(place.offset)


def test_exit_at_end_is_not_held_up_by_transactions(kafka: KafkaServer, build: Build) -> None:
    """The end of a partition may be a transaction marker, or records of a transaction that was given up."""
    kafka.create_topic("markers", 2)
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": "t"})
    producer.init_transactions(30)
    for give_up in (False, True):
        producer.begin_transaction()
        for value in numbers(10):
            producer.produce("markers", value, partition=0)
        producer.flush(30)
        (producer.abort_transaction if give_up else producer.commit_transaction)(30)
    part = build("markers", exit_at_end=True)
    items = poll(part, never)
    assert records(items) == [("markers/0", n, value) for n, value in enumerate(numbers(10))]
    assert sorted(marks(items, Mark.STOP_AT_END)) == ["markers/0", "markers/1"]
    state = part.snapshot()
    assert decode_offsets(state) == {("markers", 0): 22, ("markers", 1): 0}
    send(kafka, "markers", [b"after"])
    again = poll(build("markers", state=state, exit_at_end=True), never)
    assert records(again) == [("markers/0", 22, b"after")]


def test_offsets_with_gaps_stay_true(kafka: KafkaServer, build: Build) -> None:
    kafka.create_topic("gaps", 1)
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": "gaps"})
    producer.init_transactions(30)
    for value in (b"a", b"b", b"c"):
        producer.begin_transaction()
        producer.produce("gaps", value, partition=0)
        producer.commit_transaction(30)
    items = poll(build("gaps"), at_least(3))
    assert records(items) == [("gaps/0", 0, b"a"), ("gaps/0", 2, b"b"), ("gaps/0", 4, b"c")]


def test_dead_letter_round_trip(kafka: KafkaServer, build: Build) -> None:
    """What the source says of a record is enough to write it again, byte for byte."""
    ensure_topics(kafka.brokers, ["trip", "trip.dlq"], 1)
    raw, key = bytes(range(256)), b"\x00\xff"
    headers = [("ce_type", b"\xfe"), ("twice", b"1"), ("twice", b"2"), ("none", None)]
    producer = Producer({"bootstrap.servers": kafka.brokers})
    producer.produce("trip", b"plain")
    producer.produce("trip", raw, key, headers=headers)
    producer.flush(20)
    writer = KafkaWriter(kafka.brokers)
    for _, batch in poll(build("trip"), at_least(2)):
        assert batch.origin is not None
        for i, value in enumerate(batch.values):
            if value == raw:
                found_key, found = batch.origin(i)
                place = (batch.topic, batch.partition, batch.offsets[i])
                writer.dead_letter(*place, "not_json", "no", found_key, value, found, batch.ingested_us)
    writer.flush(20)
    ((_, letter),) = [item for item in poll(build("trip.dlq"), at_least(1)) if item[1].values]
    assert letter.values == [raw]
    assert letter.origin is not None
    found_key, found = letter.origin(0)
    assert (found_key, found[:4]) == (key, headers)
    assert {name: value for name, value in found[4:] if name != "dlq.time"} == {
        "dlq.topic": b"trip",
        "dlq.partition": b"0",
        "dlq.offset": b"1",
        "dlq.reason": b"not_json",
        "dlq.detail": b"no",
    }


def login(password: str) -> dict[str, str | int | float | bool]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": password,
    }


def test_a_login_is_passed_on(kafka: KafkaServer) -> None:
    kafka.create_topic("login", 1)
    writer = KafkaWriter(kafka.login_brokers, kafka_config=login(PASSWORD))
    writer.send("login", None, b"a")
    writer.flush(20)
    source = KafkaSource(kafka.login_brokers, ["login"], kafka_config=login(PASSWORD), exit_at_end=True)
    part = source.build_part("in", "0-of-1", None)
    assert records(poll(part, never)) == [("login/0", 0, b"a")]
    part.close()


def test_a_login_that_is_refused_is_an_error_without_the_password(
    kafka: KafkaServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    source = KafkaSource(kafka.login_brokers, ["login"], kafka_config=login("wrong-and-secret"))
    with pytest.raises(KafkaSourceError, match=r"access was refused: .*[Aa]uthentication") as caught:
        source.build_part("in", "0-of-1", None)
    assert "wrong-and-secret" not in str(caught.value) + caplog.text
    assert "\n" not in str(caught.value)


def test_an_impossible_tls_setting_is_an_error(kafka: KafkaServer) -> None:
    tls: dict[str, str | int | float | bool] = {
        "security.protocol": "SSL",
        "ssl.ca.location": "/does/not/exist",
    }
    with pytest.raises(KafkaSourceError, match="Kafka settings"):
        KafkaSource(kafka.brokers, ["t"], kafka_config=tls).build_part("in", "0-of-1", None)


def test_a_dataflow_resumes_where_it_was(kafka: KafkaServer, tmp_path: Path) -> None:
    kafka.create_topic("flow", 2)
    init_db_dir(tmp_path, 1)
    seen: Items = []
    for run in range(3):
        for partition in (0, 1):
            send(kafka, "flow", numbers(100, 100 * run), partition)
        flow = Dataflow("tiny")
        source = KafkaSource(kafka.brokers, ["flow"], group_id="flow", batch_size=7, exit_at_end=True)
        op.output("out", op.input("in", flow, source), TestingSink(seen))
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(tmp_path)))
        assert committed(kafka, "flow", "flow") == 100 * (run + 1)
    for partition in (0, 1):
        got = [(offset, value) for key, offset, value in records(seen) if key == f"flow/{partition}"]
        assert got == list(enumerate(numbers(300)))
    assert len(marks(seen, Mark.STOP_AT_END)) == 6
