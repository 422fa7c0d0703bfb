"""The client for producers over Kafka, on librdkafka's mock cluster: a mock, not Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from sources.client import Client, Refusal
from tests.sources.test_kafka_mock import Mock

METRIC = {"source_system": "shop", "metric_name": "carts", "metric_value": 3}


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock()


def test_events_go_to_their_topic_with_their_key(mock: Mock, tmp_path: Path) -> None:
    refused: list[Refusal] = []
    with Client(
        brokers=mock.brokers, topic_prefix="client", source="app://shop", spill_to=tmp_path / "spill.jsonl",
        on_refused=refused.append,
    ) as client:  # fmt: skip
        for number in range(5):
            client.emit("metric.sampled", METRIC, id=str(number))
        client.emit("metric.sampled", {"metric_name": "carts"}, id="bad")
        client.emit("nothing.known", {}, id="unknown")
        assert client.flush(20)
        assert client.counts[:6] == (7, 5, 2, 0, 0, 0)
    assert [(one.event["id"], one.reason) for one in refused] == [("bad", "bad_data"), ("unknown", "unknown_type")]
    consumer = Consumer({"bootstrap.servers": mock.brokers, "group.id": "x", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition("client.events.metric.v1", number, 0) for number in range(4)])
    found = [message for _ in range(5) if (message := consumer.poll(10))]
    consumer.close()
    assert [message.key() for message in found] == [b"shop:carts"] * 5
    assert len({message.partition() for message in found}) == 1


def test_no_broker_means_spilled(tmp_path: Path) -> None:
    client = Client(
        brokers="127.0.0.1:9", source="app://shop", spill_to=tmp_path / "spill.jsonl", timeout=0.3, attempts=1, linger=0
    )
    client.emit("metric.sampled", METRIC)
    assert client.flush(10) and client.close().spilled == 1
    assert (tmp_path / "spill.jsonl").read_text().count("\n") == 1
