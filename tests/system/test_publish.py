"""`hindsight publish` against Apache Kafka itself."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from tests.system.kafka_server import KafkaServer

ROOT = Path(__file__).parents[2]


def metric(number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"m{number}",
        "source": "test",
        "type": "dev.hindsight.metric.sampled.v1",
        "time": f"2026-01-05T10:15:{number % 60:02d}Z",
        "data": {"metric_name": "load", "metric_value": number, "source_system": f"host{number % 7}"},
    }


def task(number: int) -> dict[str, Any]:
    data = {"task_id": f"T-{number % 3}", "title": "t", "status": "open"}
    return metric(number) | {"id": f"t{number}", "type": "dev.hindsight.task.changed.v1", "data": data}


def jsonl(events: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def publish(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "flows", "publish", *arguments]
    return subprocess.run(command, cwd=ROOT, input=given, capture_output=True, timeout=90, check=False)


def content(kafka: KafkaServer, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
    """(partition, key, value) of all records of a topic, by partition in their order."""
    consumer = Consumer(
        {"bootstrap.servers": kafka.brokers, "group.id": "look", "enable.partition.eof": True, "log_level": 0}
    )
    places = [TopicPartition(topic, p, 0) for p in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    consumer.assign(places)
    found, ended = [], 0
    while ended < len(places):
        message = consumer.poll(15)
        assert message is not None
        if message.error() is not None:
            ended += 1
        else:
            found.append((message.partition() or 0, message.key(), message.value()))
    consumer.close()
    return sorted(found, key=lambda each: each[0])


def test_events_reach_their_topics_in_order_with_their_keys(kafka: KafkaServer, tmp_path: Path) -> None:
    events = [make(number) for number in range(500) for make in (metric, task)]
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(jsonl(events)))
    done = publish(str(file), "--brokers", kafka.brokers, "--topic-prefix", "pub", "--partitions", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"1000 events sent to 2 topics in ")
    assert done.stderr == b"created 6 topics with 3 partitions\n"
    metrics = content(kafka, "pub.events.metric.v1")
    assert {key for _, key, _ in metrics} == {f"host{n}:load".encode() for n in range(7)}
    for host in range(7):
        mine = [(partition, value) for partition, key, value in metrics if key == b"host%d:load" % host]
        assert len({partition for partition, _ in mine}) == 1
        assert [json.loads(value or b"")["id"] for _, value in mine] == [f"m{n}" for n in range(host, 500, 7)]
    tasks = content(kafka, "pub.events.task.v1")
    assert sorted(value or b"" for _, _, value in tasks) == sorted(jsonl([task(n)])[:-1] for n in range(500))
    assert {key for _, key, _ in tasks} == {b"T-0", b"T-1", b"T-2"}


def test_invalid_lines_are_listed_and_keep_the_rest_back_unless_skipped(kafka: KafkaServer) -> None:
    text = jsonl([metric(1)]) + b"oops\n\n" + jsonl([metric(2) | {"type": "x"}, metric(3)])
    target = ("--brokers", kafka.brokers, "--topic-prefix", "half")
    refused = publish("-", *target, given=text)
    assert refused.returncode == 1
    assert refused.stdout == b"2 valid events for 1 topics, nothing sent; 2 invalid (not_json 1, unknown_type 1)\n"
    listed = refused.stderr.decode().splitlines()
    assert [each.split(":")[:2] for each in listed] == [["line 2", " not_json"], ["line 4", " unknown_type"]]
    assert "half.events.metric.v1" not in kafka.admin().list_topics(timeout=10).topics
    sent = publish("-", *target, "--skip-invalid", given=text)
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith(b"2 events sent to 1 topics") and b"2 invalid" in sent.stdout
    assert [json.loads(value or b"")["id"] for _, _, value in content(kafka, "half.events.metric.v1")] in (
        ["m1", "m3"],
        ["m3", "m1"],
    )


def test_a_dry_run_sends_nothing() -> None:
    done = publish("-", "--brokers", "127.0.0.1:9", "--dry-run", given=jsonl([metric(1)]))
    assert (done.returncode, done.stdout) == (0, b"1 valid events for 1 topics, nothing sent\n")


def test_an_unreachable_broker_is_one_line() -> None:
    done = publish("-", "--brokers", "127.0.0.1:9", "--timeout", "1", given=jsonl([metric(1)]))
    assert (done.returncode, done.stdout) == (1, b"")
    (said,) = done.stderr.decode().splitlines()
    assert "Kafka at 127.0.0.1:9 does not answer" in said


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = publish(str(tmp_path / "none.jsonl"))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
