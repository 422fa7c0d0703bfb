"""Events sent in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer

from api.intake import IntakeError, KafkaLog, SpoolLog
from api.routes.events import BATCH, STRUCTURED
from operators.events import decode
from sinks.kafka import input_topics
from sinks.publish import Addressed
from tests.api.conftest import Api

DATA = {"metric_name": "latency", "metric_value": 12.5, "source_system": "shop"}


def event(number: int = 1, **given: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"e{number}", "source": "test://shop", "type": "dev.hindsight.metric.sampled.v1",
        "time": "2026-01-05T10:15:30Z", "data": DATA,
    } | given  # fmt: skip


def send(api: Api, content: bytes | str, status: int = 202, media: str = STRUCTURED, **headers: str) -> Any:
    response = api.client.post(
        "/events", content=content, headers=api.headers("write", **{"Content-Type": media, **headers})
    )
    assert response.status_code == status, response.text
    return response.json()


def test_one_event(api: Api) -> None:
    assert send(api, json.dumps(event())) == {
        "accepted": 1, "rejected": 0,
        "results": [{"index": 0, "id": "e1", "status": "accepted", "reason": None, "detail": None}],
    }  # fmt: skip
    (written,) = api.log.events
    assert (written.topic, written.key) == ("hindsight.events.metric.v1", b"shop:latency")
    assert json.loads(written.raw) == event()


def test_a_batch_says_of_each_event_what_became_of_it(api: Api) -> None:
    batch = [
        event(1), event(2, type="dev.hindsight.nothing.v1"), event(3, time="yesterday"),
        event(4, time="2999-01-01T00:00:00Z"), {"id": "e5"}, event(6, data={**DATA, "metric_value": "much"}),
        event(7, id=8), event(8),
    ]  # fmt: skip
    found = send(api, json.dumps(batch), media=BATCH)
    assert (found["accepted"], found["rejected"]) == (2, 6)
    assert [(one["id"], one["status"], one["reason"]) for one in found["results"]] == [
        ("e1", "accepted", None), ("e2", "rejected", "unknown_type"), ("e3", "rejected", "bad_time"),
        ("e4", "rejected", "time_in_future"), ("e5", "rejected", "bad_envelope"), ("e6", "rejected", "bad_data"),
        (None, "rejected", "bad_envelope"), ("e8", "accepted", None),
    ]  # fmt: skip
    assert [decode(one.raw).id for one in api.log.events] == ["e1", "e8"]
    assert send(api, "[]", media=BATCH) == {"accepted": 0, "rejected": 0, "results": []}


def test_binary_mode_has_its_attributes_in_headers(api: Api) -> None:
    headers = {f"ce-{name}": str(value) for name, value in event().items() if name != "data"}
    headers["ce-source"] = "test://%C3%A9%20x"
    assert send(api, json.dumps(DATA), media="application/json; charset=utf-8", **headers)["accepted"] == 1
    assert json.loads(api.log.events[0].raw) == event(source="test://é x")
    assert send(api, json.dumps(DATA), media="application/json", **{"ce-id": "1"})["results"][0]["reason"] == (
        "bad_envelope"
    )


def test_plain_json_is_taken_by_its_form(api: Api) -> None:
    assert send(api, json.dumps(event()), media="application/json")["accepted"] == 1
    assert send(api, json.dumps([event(2), event(3)]), media="application/json")["accepted"] == 2


@pytest.mark.parametrize(
    ("content", "media", "status", "code"),
    [
        ("{", STRUCTURED, 422, "no-json"),
        ("", STRUCTURED, 422, "no-json"),
        ("7", STRUCTURED, 422, "no-event"),
        ("{}{}", STRUCTURED, 422, "no-json"),
        ("[1]", BATCH, 422, "no-event"),
        ("{}", BATCH, 422, "no-json"),
        ("[" * 100_000, BATCH, 422, "no-json"),
        (b'{"a": "\xff"}', STRUCTURED, 422, "no-json"),
        ("{}", "text/plain", 415, "content-type"),
        ("{}", f"{STRUCTURED}; charset=latin1", 415, "charset"),
    ],
)
def test_what_is_no_event_at_all(api: Api, content: bytes | str, media: str, status: int, code: str) -> None:
    assert send(api, content, status, media)["type"] == f"urn:hindsight:problem:{code}"
    assert not api.log.events


def test_nothing_is_called_accepted_that_is_not_stored(api: Api) -> None:
    api.log.problem = IntakeError("the disk is full")
    found = send(api, json.dumps(event()), 503)
    assert found["detail"] == "The events are not stored: the disk is full. Send them again."
    assert api.get("/health/ready")["checks"]["events"] == "the disk is full"
    api.log.problem = ValueError("secret inside")
    assert "secret" not in json.dumps(send(api, json.dumps(event()), 503))
    api.log.problem = None
    assert send(api, json.dumps(event()))["accepted"] == 1


def test_a_request_may_have_so_many_events(start: Any) -> None:
    api = start(most_events=2)
    assert send(api, json.dumps([event(n) for n in range(3)]), 413, BATCH)["type"].endswith("too-many-events")
    assert not api.log.events


def test_the_spool_keeps_an_event_a_line(tmp_path: Path) -> None:
    path = tmp_path / "spool" / "api.jsonl"
    log = SpoolLog(path)
    pretty = json.dumps(event(1), indent=2).encode()
    log.write([Addressed("t", b"k", pretty), Addressed("t", b"k", msgspec.json.encode(event(2)))])
    log.close()
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == [event(1), event(2)]


def test_kafka_gets_key_and_bytes() -> None:
    # The mock cluster lives in the producer; it is no Kafka.
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused:1", "log_level": 0})
    address = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    brokers = f"{address.host}:{address.port}"
    for topic in input_topics("hindsight"):
        cluster.list_topics(topic, timeout=10)  # the mock makes a topic that is asked for by name
    log = KafkaLog(brokers, "hindsight", None)
    log.write([Addressed("hindsight.events.metric.v1", b"shop:latency", b'{"a": 1}')])
    log.close()
    reader = Consumer({"bootstrap.servers": brokers, "group.id": "g", "auto.offset.reset": "earliest"})
    reader.subscribe(["hindsight.events.metric.v1"])
    record = reader.poll(20)
    reader.close()
    assert record is not None and (record.key(), record.value()) == (b"shop:latency", b'{"a": 1}')


def test_kafka_that_is_away_is_said() -> None:
    log = KafkaLog("127.0.0.1:1", "hindsight", None, wait=0.5)
    with pytest.raises(IntakeError, match="Kafka"):
        log.write([Addressed("hindsight.events.metric.v1", b"k", b"{}")])
    log.close()
