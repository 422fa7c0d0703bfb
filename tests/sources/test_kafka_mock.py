"""The Kafka source on librdkafka's mock cluster: a broker in this process, without Java. It is a mock, not Kafka.

What only a real broker can show (retention, new partitions, kill -9) is in tests/system/test_kafka_source.py.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Producer

from operators.records import Batch, Mark
from sources.kafka import KafkaPartition, KafkaSource, KafkaSourceError
from sources.kafka_records import UNREADABLE_HEADERS, client_config, decode_offsets, encode_offsets

PARTITIONS = 4
"""What the mock gives a topic that is made by writing to it."""


class Mock:
    """The mock cluster lives in this producer."""

    def __init__(self) -> None:
        self.producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused:1", "log_level": 0})
        (broker,) = self.producer.list_topics(timeout=10).brokers.values()
        self.brokers = f"{broker.host}:{broker.port}"

    def send(self, topic: str, partition: int, values: list[bytes | None], **more: Any) -> None:
        for value in values:
            self.producer.produce(topic, value, partition=partition, **more)
        assert self.producer.flush(10) == 0


@pytest.fixture(scope="module")
def mock() -> Mock:
    return Mock()


Build = Callable[..., KafkaPartition]


@pytest.fixture
def build(mock: Mock) -> Iterator[Build]:
    """Build a part of a source on the mock; all are closed at the end."""
    parts: list[KafkaPartition] = []

    def make(topic: str, state: bytes | None = None, **settings: Any) -> KafkaPartition:
        source = KafkaSource(mock.brokers, [topic], group_id=topic, **settings)
        (name,) = source.list_parts()
        parts.append(source.build_part("in", name, state))
        return parts[-1]

    yield make
    for part in parts:
        part.close()


def take(part: KafkaPartition, enough: Callable[[list[Batch]], bool], seconds: float = 10.0) -> list[tuple[str, Batch]]:
    """Poll until `enough` of the batches so far, as Bytewax would (it fails after `seconds`)."""
    items: list[tuple[str, Batch]] = []
    deadline = time.monotonic() + seconds
    while not enough([batch for _, batch in items]):
        assert time.monotonic() < deadline, items
        try:
            items += part.next_batch()
        except StopIteration:
            assert enough([batch for _, batch in items]), items
            break
        time.sleep(0.005)
    return items


def records(items: list[tuple[str, Batch]]) -> dict[str, list[tuple[int, bytes | None]]]:
    found: dict[str, list[tuple[int, bytes | None]]] = {}
    for key, batch in items:
        pairs = list(zip(batch.offsets, batch.values, strict=True))
        found.setdefault(key, []).extend(pairs)
    return {key: pairs for key, pairs in found.items() if pairs}


def holds(count: int) -> Callable[[list[Batch]], bool]:
    return lambda batches: sum(len(batch.values) for batch in batches) >= count


def test_batches_by_partition_with_headers_keys_and_tombstones(mock: Mock, build: Build) -> None:
    mock.send("shapes", 0, [b"a", b"b"], key=b"k")
    mock.send("shapes", 0, [None], headers=[("ce_type", b"t"), ("n", None), ("ce_type", b"u")])
    mock.send("shapes", 2, [b"c"])
    before = time.time_ns() // 1000
    items = take(build("shapes"), holds(4))
    assert records(items) == {"shapes/0": [(0, b"a"), (1, b"b"), (2, None)], "shapes/2": [(0, b"c")]}
    for key, batch in items:
        assert key == f"{batch.topic}/{batch.partition}"
        if batch.mark is Mark.IDLE:
            continue
        assert batch.mark is Mark.DATA
        assert before <= batch.ingested_us <= time.time_ns() // 1000
        assert batch.origin is not None
        for i, offset in enumerate(batch.offsets):
            sent = [("ce_type", b"t"), ("n", None), ("ce_type", b"u")] if batch.values[i] is None else []
            assert batch.origin(i) == (b"k" if offset < 2 and batch.partition == 0 else None, sent)
            assert batch.headers.get(i, []) == sent


def test_a_poll_holds_at_most_batch_size(mock: Mock, build: Build) -> None:
    mock.send("sizes", 0, [b"%d" % i for i in range(100)])
    items = take(build("sizes", batch_size=7), holds(100))
    assert records(items)["sizes/0"] == [(i, b"%d" % i) for i in range(100)]
    assert max(len(batch.values) for _, batch in items) <= 7


def test_resume_goes_on_after_the_snapshot(mock: Mock, build: Build) -> None:
    mock.send("resume", 1, [b"%d" % i for i in range(50)])
    part = build("resume", batch_size=10)
    first = take(part, holds(20))
    state = part.snapshot()
    rest = take(build("resume", state), holds(50 - len(records(first)["resume/1"])))
    assert records(first)["resume/1"] + records(rest)["resume/1"] == [(i, b"%d" % i) for i in range(50)]


def test_snapshot_bytes_are_pinned() -> None:
    """Stored by earlier runs: this exact form must stay readable."""
    golden = bytes.fromhex("82a776657273696f6e01a76f66667365747382a1618200070305a16281012a")
    offsets = {("b", 1): 42, ("a", 3): 5, ("a", 0): 7}
    assert encode_offsets(offsets) == golden
    assert decode_offsets(golden) == offsets


@pytest.mark.parametrize("state", [b"", b"\x80", b"junk", encode_offsets({}).replace(b"\x01", b"\x63", 1)])
def test_a_snapshot_of_another_kind_is_refused(state: bytes) -> None:
    with pytest.raises(KafkaSourceError, match="stored Kafka offsets"):
        decode_offsets(state)


def test_subsets_share_the_partitions(mock: Mock, build: Build) -> None:
    for partition in range(PARTITIONS):
        mock.send("subsets", partition, [b"x"])
    seen = []
    for index in range(3):
        part = build("subsets", subset=(index, 3), exit_at_end=True)
        items = drain(part)
        seen.append({batch.partition for _, batch in items})
    assert seen == [{0, 3}, {1}, {2}]


def drain(part: KafkaPartition, seconds: float = 10.0) -> list[tuple[str, Batch]]:
    """Poll until the source ends by itself."""
    items: list[tuple[str, Batch]] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            items += part.next_batch()
        except StopIteration:
            return items
        time.sleep(0.002)
    raise AssertionError(f"did not end: {items}")


def test_exit_at_end_stops_at_the_watermarks_of_the_start(mock: Mock, build: Build) -> None:
    mock.send("bounded", 0, [b"%d" % i for i in range(30)])
    mock.send("bounded", 1, [b"x"])
    part = build("bounded", batch_size=4, exit_at_end=True)
    mock.send("bounded", 0, [b"later"] * 5)
    mock.send("bounded", 3, [b"later"])
    items = drain(part)
    assert records(items) == {"bounded/0": [(i, b"%d" % i) for i in range(30)], "bounded/1": [(0, b"x")]}
    stops = [key for key, batch in items if batch.mark is Mark.STOP_AT_END]
    assert sorted(stops) == [f"bounded/{p}" for p in range(PARTITIONS)]
    for partition in range(PARTITIONS):
        marks = [batch.mark for key, batch in items if key == f"bounded/{partition}"]
        assert marks[-1] is Mark.STOP_AT_END
    state = part.snapshot()
    assert decode_offsets(state) == {
        ("bounded", 0): 30,
        ("bounded", 1): 1,
        ("bounded", 2): 0,
        ("bounded", 3): 0,
    }
    again = drain(build("bounded", state, exit_at_end=True))
    assert records(again) == {
        "bounded/0": [(30 + i, b"later") for i in range(5)],
        "bounded/3": [(0, b"later")],
    }


def test_idle_ticks_come_once_an_interval_and_only_where_something_was_read(mock: Mock, build: Build) -> None:
    mock.send("idle", 1, [b"a"])
    part = build("idle", idle_interval_s=0.2)
    items = take(part, lambda batches: sum(batch.mark is Mark.IDLE for batch in batches) >= 4)
    idle = [batch for _, batch in items if batch.mark is Mark.IDLE]
    assert {batch.partition for batch in idle} == {1}
    assert [len(batch.values) for batch in idle] == [0] * len(idle)
    gaps = [b.ingested_us - a.ingested_us for a, b in pairwise(idle)]
    assert min(gaps) >= 150_000
    kinds = [batch.mark for _, batch in items]
    assert kinds.index(Mark.DATA) < kinds.index(Mark.IDLE)


def test_a_resumed_partition_ticks_without_new_records(mock: Mock, build: Build) -> None:
    mock.send("idle.resumed", 0, [b"a"])
    state = encode_offsets({("idle.resumed", 0): 1})
    part = build("idle.resumed", state, idle_interval_s=0.1)
    items = take(part, lambda batches: len(batches) >= 2)
    assert {(batch.partition, batch.mark) for _, batch in items} == {(0, Mark.IDLE)}


def test_stop_ends_it_without_a_mark(mock: Mock, build: Build) -> None:
    mock.send("stop", 0, [b"a"])
    asked = threading.Event()
    part = build("stop", stop=asked.is_set, exit_at_end=False)
    take(part, holds(1))
    asked.set()
    with pytest.raises(StopIteration):
        part.next_batch()


def test_latest_starts_at_the_end_and_keeps_that_place(mock: Mock, build: Build) -> None:
    mock.send("latest", 0, [b"old"] * 3)
    part = build("latest", auto_offset_reset="latest")
    state = part.snapshot()
    assert decode_offsets(state)["latest", 0] == 3
    mock.send("latest", 0, [b"new"])
    assert records(take(part, holds(1))) == {"latest/0": [(3, b"new")]}
    assert records(take(build("latest", state), holds(1))) == {"latest/0": [(3, b"new")]}


def test_lag_is_told(mock: Mock, build: Build) -> None:
    mock.send("lag", 0, [b"x"] * 20)
    told: list[dict[tuple[str, int], int]] = []
    part = build("lag", batch_size=5, on_lag=told.append, lag_interval_s=0.1)
    assert part.lag()["lag", 0] == 20
    take(part, holds(20))
    deadline = time.monotonic() + 5
    while (not told or told[-1].get(("lag", 0)) != 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert told[-1] == {("lag", partition): 0 for partition in range(PARTITIONS)}
    assert part.lag() == told[-1]


def test_polling_at_the_end_is_put_off_but_a_full_poll_is_not(mock: Mock, build: Build) -> None:
    mock.send("awake", 0, [b"x"] * 10)
    part = build("awake", batch_size=5)
    full = False
    for _ in range(1000):
        got = sum(len(batch.values) for _, batch in part.next_batch())
        full = full or got == 5
        if got in {0, 5}:  # in between it depends on what else librdkafka had to say
            assert (part.next_awake() is None) == (got == 5)
        time.sleep(0.001)
    assert full


def test_a_header_name_that_is_not_utf8_stops_nothing(mock: Mock, build: Build) -> None:
    mock.send("poison", 0, [b"a"], headers=[("n", b"1")])
    send_with_header_name(mock.brokers, b"poison", b"\xff\xfe", b"b")
    mock.send("poison", 0, [b"c"], headers=[("n", b"3")])
    reader = build("poison")
    time.sleep(1.0)  # all of it is fetched by then, so that one poll gets it
    batch = next(batch for _, batch in take(reader, holds(3)) if batch.values)
    assert batch.values == [b"a", b"b", b"c"]
    assert batch.headers == {0: [("n", b"1")], 1: UNREADABLE_HEADERS, 2: [("n", b"3")]}
    assert batch.origin is not None and batch.origin(1) == (None, UNREADABLE_HEADERS)


def send_with_header_name(brokers: str, topic: bytes, name: bytes, value: bytes) -> None:
    """Send to partition 0 through librdkafka's C interface: the Python one refuses such a name."""
    (library,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*")
    rdkafka = ctypes.CDLL(str(library))
    for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(rdkafka, function).restype = ctypes.c_void_p
    said = ctypes.create_string_buffer(200)
    config = ctypes.c_void_p(rdkafka.rd_kafka_conf_new())
    for setting, to in ((b"bootstrap.servers", brokers.encode()), (b"log_level", b"0")):
        assert rdkafka.rd_kafka_conf_set(config, setting, to, said, 200) == 0
    producer = ctypes.c_void_p(rdkafka.rd_kafka_new(0, config, said, 200))
    headers = ctypes.c_void_p(rdkafka.rd_kafka_headers_new(1))
    rdkafka.rd_kafka_header_add(headers, name, ctypes.c_ssize_t(len(name)), b"v", ctypes.c_ssize_t(1))
    arguments = (
        *(ctypes.c_int(1), ctypes.c_char_p(topic)),
        *(ctypes.c_int(3), ctypes.c_int32(0)),
        *(ctypes.c_int(7), ctypes.c_int(2)),
        *(ctypes.c_int(4), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(ctypes.c_int(10), headers),
        ctypes.c_int(0),
    )
    assert rdkafka.rd_kafka_producev(producer, *arguments) == 0
    assert rdkafka.rd_kafka_flush(producer, 10_000) == 0
    rdkafka.rd_kafka_destroy(producer)


def test_settings_that_correctness_rests_on_are_refused() -> None:
    with pytest.raises(KafkaSourceError, match=r"enable\.auto\.commit cannot be changed") as caught:
        KafkaSource("b:1", ["t"], kafka_config={"enable.auto.commit": True, "sasl.password": "secret"})
    assert "secret" not in str(caught.value)
    config = client_config("b:1", "g", {"sasl.username": "u", "fetch.queue.backoff.ms": 5})
    assert config["sasl.username"] == "u" and config["fetch.queue.backoff.ms"] == 5


def test_an_unknown_setting_is_one_clear_error() -> None:
    source = KafkaSource("b:1", ["t"], kafka_config={"no.such.setting": "1"})
    with pytest.raises(KafkaSourceError, match=r"no\.such\.setting"):
        source.build_part("in", "0-of-1", None)


@pytest.mark.parametrize("subset", [(1, 1), (-1, 2), (0, 0)])
def test_an_impossible_subset_is_refused(subset: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="subset"):
        KafkaSource("b:1", ["t"], subset=subset)
