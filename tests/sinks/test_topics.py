"""What the output topics are given, before any Kafka: `tests/system/test_topics.py` has the broker."""

import json
from collections import deque
from datetime import datetime
from typing import Any

import msgspec

from operators.output import DeadLetter, Output
from operators.partition import PartitionConfig
from operators.records import Mark
from sinks.topics import TopicsSink
from tests.partitions import Runner
from tests.samples import NOW_US, metric, raw, time_at


class Recorder:
    """Stands in for `KafkaWriter` and keeps what it is told, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def dead_letter(self, *place: Any) -> None:
        self.calls.append(("dead_letter", place))

    def pattern(self, key: str, event: dict[str, Any]) -> None:
        self.calls.append(("pattern", (key, json.loads(msgspec.json.encode(event)))))

    def aggregate(self, key: str, event: dict[str, Any]) -> None:
        self.calls.append(("aggregate", (key, json.loads(msgspec.json.encode(event)))))

    def poll(self) -> None:
        self.calls.append(("poll", None))

    def flush(self) -> None:
        self.calls.append(("flush", None))

    def close(self) -> None:
        self.calls.append(("close", None))

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.calls if name == kind]


def cpu(percent: float, at_s: float, number: int) -> bytes:
    data = {"host": "web-1", "resource_type": "cpu", "usage_percentage": percent}
    return raw("resource.sampled", data, id=f"c{number}", time=time_at(at_s))


def outputs(batch_size: int) -> list[Output]:
    runner = Runner(PartitionConfig(aggregates=True))
    values = [cpu(95 if 20 <= at < 90 else 5, at, at) for at in range(0, 200, 5)]
    values += [b"broken", metric(2, 201, "m"), cpu(5, 500, 500)]
    for start in range(0, len(values), batch_size):
        runner.feed(values[start : start + batch_size])
    runner.feed([], Mark.END)
    return runner.database.outputs


def published(outs: list[Output]) -> Recorder:
    recorder = Recorder()
    sink = TopicsSink(recorder, deque())  # type: ignore[arg-type]
    assert sink.list_parts() == ["kafka"]
    sink.build_part("kafka", "kafka", None).write_batch(outs)
    return recorder


def test_a_pattern_is_a_cloudevent() -> None:
    found = published(outputs(5)).of("pattern")
    assert found[0][1]["data"]["change"] == "opened"
    assert found[-1][1]["data"]["change"] == "resolved"
    for key, event in found:
        data = event["data"]
        assert (event["specversion"], event["type"]) == ("1.0", "dev.hindsight.pattern.detected.v1")
        assert event["source"] == "hindsight://file:/x"
        assert key == data["pattern_id"]
        assert datetime.fromisoformat(event["time"]).tzinfo
        assert (data["entity"], data["measure"], data["pattern_type"]) == ("web-1", "cpu_usage", "threshold")
        assert data["opened_at"] == time_at(20)
        assert not any(name.endswith("_us") for name in data)
        assert data["evidence"]["rule"] == "high_cpu_usage"
    last = found[-1][1]["data"]
    assert last["resolved_at"] > last["last_observed_at"] == time_at(85)
    assert found[0][1]["time"] == time_at(20)


def test_ids_are_the_same_in_each_replay() -> None:
    def ids(batch_size: int, kind: str) -> list[str]:
        return [event["id"] for _, event in published(outputs(batch_size)).of(kind)]

    for kind in ("pattern", "aggregate"):
        first = ids(5, kind)
        assert first == ids(5, kind)
        assert len(set(first)) == len(first), "each change and window has one of its own"
    assert ids(1, "aggregate") == ids(5, "aggregate") == ids(1000, "aggregate")


def test_only_final_minutes_are_aggregates() -> None:
    found = [event for key, event in published(outputs(7)).of("aggregate") if key == "web-1:cpu_usage"]
    assert [(event["time"], event["data"]["n"]) for event in found][:4] == [
        (time_at(0), 12), (time_at(60), 12), (time_at(120), 12), (time_at(180), 4),
    ]  # fmt: skip
    first = found[0]["data"]
    assert (first["entity"], first["measure"], first["window_s"]) == ("web-1", "cpu_usage", 60)
    assert (first["sum"], first["min"], first["max"], first["first"], first["last"]) == (4 * 5 + 8 * 95, 5, 95, 5, 95)
    assert (first["p50"], first["p95"], first["p99"]) == (95, 95, 95)
    assert found[0]["type"] == "dev.hindsight.series.aggregated.v1"


def test_dead_letters_go_with_their_bytes() -> None:
    ((topic, partition, offset, reason, detail, key, value, headers, when),) = published(outputs(9)).of("dead_letter")
    assert (topic, partition, offset, reason) == ("file:/x", 0, 41, "not_json")
    assert detail
    assert (key, value, headers, when) == (None, b"broken", [], NOW_US)


def test_refused_rows_follow_and_a_snapshot_waits_for_all() -> None:
    recorder, refused = Recorder(), deque[DeadLetter]()
    part = TopicsSink(recorder, refused).build_part("kafka", "kafka", None)  # type: ignore[arg-type]
    refused.append(DeadLetter("t", 1, 5, "rejected_by_database", "no", b"k", b"v", []))
    part.write_batch([])
    assert [name for name, _ in recorder.calls] == ["dead_letter", "poll"]
    refused.append(DeadLetter("t", 1, 6, "rejected_by_database", "no", b"k", b"v", []))
    part.snapshot()
    assert [name for name, _ in recorder.calls[2:]] == ["dead_letter", "flush"]
    part.close()
    assert [name for name, _ in recorder.calls[4:]] == ["close"]
    assert not refused
