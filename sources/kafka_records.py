"""The plain part of the Kafka source: its errors, settings, stored offsets, and messages as batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import cast

import msgspec
from confluent_kafka import KafkaError, Message

from operators.records import Batch, Headers

KafkaConfig = Mapping[str, str | int | float | bool]
"""librdkafka settings by name."""

Place = tuple[str, int]
"""Topic and partition number."""

SNAPSHOT_VERSION = 1

UNREADABLE_HEADERS: Headers = [("hindsight.headers", b"unreadable: a header name is not UTF-8")]
"""Stands for headers that the client library cannot decode, so that one record cannot stop the reading."""

DEFAULTS: KafkaConfig = {
    "client.id": "hindsight",
    "fetch.queue.backoff.ms": 20,
    "reconnect.backoff.max.ms": 1000,
    "socket.keepalive.enable": True,
}
"""Where ours differ from librdkafka's and may be changed. Its 1 s pause of a full queue would starve a fast reader."""

FIXED: KafkaConfig = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
}
"""What correctness rests on: may not be set from outside."""

# librdkafka's own error codes have names with an underscore; they are public all the same.
PARTITION_EOF = KafkaError._PARTITION_EOF  # noqa: SLF001
OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
UNREADABLE = frozenset({KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION})  # noqa: SLF001
ACCESS_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


class KafkaSourceError(Exception):
    """Reading cannot go on; the message says what to do, in one line."""

    one_line = True


class OffsetOutOfRange(KafkaSourceError):
    """The stored offset lies outside what the broker has: records are gone, or the topic is another one."""

    def __init__(self, topic: str, partition: int, stored: int, low: int | None, high: int | None) -> None:
        has = f"the broker has {low} (low) to {high} (high)"
        if low is None:
            has = "the broker's range could not be asked"
        super().__init__(
            f"topic {topic} partition {partition}: the stored offset {stored} is out of range: {has}. Records "
            "were deleted before they were read, or the topic was made anew. Nothing is skipped silently: bring "
            "the records back, or start with another recovery directory to read from what there is."
        )
        self.topic, self.partition, self.stored, self.low, self.high = topic, partition, stored, low, high


class _Snapshot(msgspec.Struct):
    version: int
    offsets: dict[str, dict[int, int]]


def encode_offsets(offsets: dict[Place, int]) -> bytes:
    """Next offsets by (topic, partition) as a versioned snapshot, the same bytes for the same offsets.

    >>> decode_offsets(encode_offsets({("t", 1): 5, ("t", 0): 7}))
    {('t', 0): 7, ('t', 1): 5}
    """
    by_topic: dict[str, dict[int, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        by_topic.setdefault(topic, {})[partition] = offset
    return msgspec.msgpack.encode(_Snapshot(SNAPSHOT_VERSION, by_topic))


def decode_offsets(state: bytes) -> dict[Place, int]:
    """The reverse of `encode_offsets`. Raises `KafkaSourceError` for a version or shape it does not know."""
    try:
        snapshot = msgspec.msgpack.decode(state, type=_Snapshot)
    except msgspec.DecodeError as problem:
        raise KafkaSourceError(f"the stored Kafka offsets cannot be read: {problem}") from None
    if snapshot.version != SNAPSHOT_VERSION:
        raise KafkaSourceError(
            f"the stored Kafka offsets are of version {snapshot.version}, this program knows {SNAPSHOT_VERSION}"
        )
    return {
        (topic, partition): offset
        for topic, by_partition in snapshot.offsets.items()
        for partition, offset in by_partition.items()
    }


def client_config(brokers: str, group_id: str, extra: KafkaConfig | None) -> dict[str, str | int | float | bool]:
    """librdkafka settings: ours, those given on top, and last those that may not be changed.

    :raises KafkaSourceError: if `extra` holds one of the last (its value is not repeated).
    """
    extra = extra or {}
    forced: KafkaConfig = {**FIXED, "bootstrap.servers": brokers, "group.id": group_id}
    clash = sorted(set(extra) & set(forced))
    if clash:
        raise KafkaSourceError(f"Kafka setting {', '.join(clash)} cannot be changed here")
    quiet: KafkaConfig = {} if "debug" in extra else {"log_level": 0}
    return {**DEFAULTS, **quiet, **extra, **forced}


_topic = cast(Callable[[Message], str], Message.topic)
_partition = cast(Callable[[Message], int], Message.partition)
_offset = cast(Callable[[Message], int], Message.offset)
_headers = cast(Callable[[Message], Headers | None], Message.headers)


def place_of(message: Message) -> Place:
    """Where a message comes from."""
    return _topic(message), _partition(message)


def has_errors(messages: Iterable[Message]) -> bool:
    """Whether one of what a poll gave is not a record but an error or the end of a partition."""
    return any(map(Message.error, messages))


def offset_of(message: Message) -> int:
    """A record's offset; for the end of a partition, the offset that comes next."""
    return _offset(message)


def split(messages: list[Message]) -> dict[Place, list[Message]]:
    """Messages by partition, each group in its order. `messages` is not empty and holds no errors."""
    places = list(zip(map(_topic, messages), map(_partition, messages), strict=True))
    if places.count(places[0]) == len(places):
        return {places[0]: messages}
    groups: dict[Place, list[Message]] = {}
    for place, message in zip(places, messages, strict=True):
        group = groups.get(place)
        if group is None:
            groups[place] = [message]
        else:
            group.append(message)
    return groups


def _all_headers(messages: list[Message]) -> list[Headers | None]:
    """The headers of each message; a list of one that says so where a name is not UTF-8."""
    found: list[Headers | None] = []
    while len(found) < len(messages):
        try:
            found.extend(map(_headers, islice(messages, len(found), None)))
        except SystemError:
            # What the client raises for such a name. To ask this message again would crash the interpreter.
            found.append(UNREADABLE_HEADERS)
    return found


def to_batch(topic: str, partition: int, messages: list[Message], ingested_us: int) -> Batch:
    """One partition's messages (in order, none an error) as a batch; their offsets rise but may have gaps."""
    first, last = _offset(messages[0]), _offset(messages[-1])
    offsets: Sequence[int] = range(first, last + 1)
    if len(offsets) != len(messages):
        offsets = list(map(_offset, messages))
    found = _all_headers(messages)
    headers = {i: each for i, each in enumerate(found) if each} if any(found) else {}

    def origin(i: int) -> tuple[bytes | None, Headers]:
        return messages[i].key(), headers.get(i, [])

    return Batch(
        topic=topic,
        partition=partition,
        values=list(map(Message.value, messages)),
        offsets=offsets,
        ingested_us=ingested_us,
        headers=headers,
        origin=origin,
    )
