"""Kafka as a Bytewax source: one consumer for all partitions, one item a partition and poll.

Bytewax keeps the offsets (its snapshot is the truth for a restart); they are committed to the consumer group
one snapshot later, for the eyes of ordinary Kafka tools only. A stored offset that the broker no longer has is
an error, never a silent skip.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from operators.records import Batch, Mark, key_of
from sources.kafka_records import (
    OUT_OF_RANGE,
    PARTITION_EOF,
    UNREADABLE,
    KafkaConfig,
    KafkaSourceError,
    OffsetOutOfRange,
    Place,
    client_config,
    decode_offsets,
    encode_offsets,
    has_errors,
    offset_of,
    place_of,
    split,
    to_batch,
)
from sources.kafka_watch import Found, Watch

__all__ = ["Item", "KafkaPartition", "KafkaSource", "KafkaSourceError", "OffsetOutOfRange"]

log = logging.getLogger(__name__)

Item = tuple[str, Batch]
"""`<topic>/<partition>` and the records."""


class KafkaSource(FixedPartitionedSource[Item, bytes]):
    """Reads partition subset i of k (`subset`; partition number modulo k is i) of `topics`.

    - `batch_size`: greatest number of records of one poll, over all partitions.
    - `auto_offset_reset`: where a partition without a stored offset starts, if it is there at the start; one that is
      added later is read from its beginning.
    - `exit_at_end`: stop at the high watermarks seen at the start, one STOP_AT_END batch for each partition.
    - `stop`: asked at each poll; True ends the source at once.
    - `on_lag`: called about every `lag_interval_s` seconds with the records not yet read, by (topic, partition);
      **on another thread**.
    - `startup_wait_s`: how long building waits for the brokers before the flow starts without them.

    Raises `KafkaSourceError` for a setting that librdkafka refuses, and when Kafka refuses the login;
    `OffsetOutOfRange` while building or reading.
    """

    def __init__(
        self,
        brokers: str,
        topics: Iterable[str],
        *,
        group_id: str = "hindsight",
        subset: tuple[int, int] = (0, 1),
        batch_size: int = 5000,
        kafka_config: KafkaConfig | None = None,
        auto_offset_reset: Literal["earliest", "latest"] = "earliest",
        exit_at_end: bool = False,
        stop: Callable[[], bool] | None = None,
        on_lag: Callable[[dict[Place, int]], None] | None = None,
        metadata_interval_s: float = 30.0,
        lag_interval_s: float = 5.0,
        idle_interval_s: float = 1.0,
        poll_interval_s: float = 0.02,
        startup_wait_s: float = 10.0,
    ) -> None:
        index, count = subset
        if not 0 <= index < count:
            raise ValueError(f"subset must be (i, k) with 0 <= i < k, not {subset}")
        self.topics = tuple(dict.fromkeys(topics))
        if not self.topics:
            raise ValueError("at least one topic is needed")
        self.config = client_config(brokers, group_id, kafka_config)
        self.subset = subset
        self.batch_size = batch_size
        self.auto_offset_reset = auto_offset_reset
        self.exit_at_end = exit_at_end
        self.stop = stop
        self.on_lag = on_lag
        self.metadata_interval_s = metadata_interval_s
        self.lag_interval_s = lag_interval_s
        self.idle_interval_s = idle_interval_s
        self.poll_interval_s = poll_interval_s
        self.startup_wait_s = startup_wait_s

    def list_parts(self) -> list[str]:
        """The one part of this process, `<i>-of-<k>`."""
        return ["{}-of-{}".format(*self.subset)]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> KafkaPartition:  # noqa: ARG002
        """Start reading, from `resume_state` where there is one."""
        return KafkaPartition(self, decode_offsets(resume_state) if resume_state else {})


class KafkaPartition(StatefulSourcePartition[Item, bytes]):
    """The running side of `KafkaSource`: one consumer, and the watch that tells it about partitions and brokers."""

    def __init__(self, source: KafkaSource, stored: dict[Place, int]) -> None:
        self._source = source
        self._stored = stored
        self._positions = dict(stored)
        """Next offset of every partition ever read, here or before."""
        self._pending_commit: dict[Place, int] = {}
        self._active: set[Place] = set()
        self._at_end: set[Place] = set()
        self._ends: dict[Place, int] = {}
        self._open: set[Place] = set()
        self._started = False
        self._closed = False
        self._next_idle = 0.0
        self._awake: datetime | None = None
        self._complained: set[tuple[str, int]] = set()
        try:
            self._watch = Watch(
                source.config,
                source.topics,
                source.subset,
                metadata_interval_s=source.metadata_interval_s,
                lag_interval_s=source.lag_interval_s,
                on_round=self._tell_lag,
            )
            config = {**source.config, "error_cb": self._watch.on_error, "on_commit": _ignore_commit}
            self._consumer = Consumer(config)
        except KafkaException as problem:
            raise KafkaSourceError(f"Kafka settings: {problem.args[0].str()}") from None
        self._watch.start()
        deadline = time.monotonic() + source.startup_wait_s
        while not self._start() and time.monotonic() < deadline and not self._stopped():
            self._watch.ready.wait(0.05)

    def next_batch(self) -> list[Item]:
        """Whatever is there now, without waiting: a batch for each partition with records, then marks."""
        if self._stopped():
            raise StopIteration
        if not self._start():
            self._sleep(1)
            return []
        if self._source.exit_at_end and not self._open:
            raise StopIteration
        self._assign(self._watch.found())
        try:
            messages = self._consumer.consume(self._source.batch_size, 0)
        except KafkaException as problem:
            self._shut()
            raise KafkaSourceError(f"Kafka: {problem.args[0].str()}") from None
        items = self._batches(messages) if messages else []
        if self._source.exit_at_end:
            items += self._finished()
        elif time.monotonic() >= self._next_idle:
            items += self._idle()
        self._sleep(1 - len(messages) / self._source.batch_size)
        return items

    def next_awake(self) -> datetime | None:
        """At once after a full poll, a poll interval after an empty one: idling and trickles stay cheap."""
        return self._awake

    def snapshot(self) -> bytes:
        """The next offsets; commits those of the snapshot before, which is durable by now, to the group."""
        self._commit(self._pending_commit, asynchronous=True)
        self._pending_commit = self._mine()
        return encode_offsets(self._positions)

    def close(self) -> None:
        """Commit the last snapshot to the group, if the brokers answer, and end the clients."""
        if self._watch.reachable():
            self._commit(self._pending_commit, asynchronous=False)
        self._shut()

    def lag(self) -> dict[Place, int]:
        """Records between what was read and the high watermark, by (topic, partition), as last asked."""
        positions, highs = self._positions, self._watch.highs
        return {place: max(0, high - positions[place]) for place, high in highs.items() if place in positions}

    def _stopped(self) -> bool:
        return self._source.stop is not None and self._source.stop()

    def _sleep(self, share: float) -> None:
        self._awake = None
        if share > 0:
            self._awake = datetime.now(UTC) + timedelta(seconds=share * self._source.poll_interval_s)

    def _shut(self) -> None:
        self._watch.close()
        if not self._closed:
            self._closed = True
            self._consumer.close()

    def _start(self) -> bool:
        """Whether the partitions of the start are assigned; they are as soon as the brokers have named them all."""
        if self._watch.failed is not None:
            self._shut()
            raise KafkaSourceError(f"Kafka: {self._watch.failed}")
        if self._started:
            return True
        if not self._watch.ready.is_set():
            return False
        self._assign(self._watch.found())
        self._started = True
        return True

    def _assign(self, found: list[Found]) -> None:
        if self._started and self._source.exit_at_end:
            return
        starts = []
        for topic, partition, low, high in found:
            place = (topic, partition)
            stored = self._stored.get(place)
            if stored is None:
                latest = self._source.auto_offset_reset == "latest" and not self._started
                start = high if latest else low
            elif low <= stored <= high:
                start = stored
                if stored > low:
                    self._active.add(place)
            else:
                self._shut()
                raise OffsetOutOfRange(topic, partition, stored, low, high)
            if self._started:
                log.info("partition %s/%d is new and read from offset %d", topic, partition, start)
            self._positions[place] = start
            if self._source.exit_at_end:
                self._ends[place] = high
                self._open.add(place)
            starts.append(TopicPartition(topic, partition, start))
        if not starts:
            return
        # Without this, librdkafka looks up a topic that is new to it at its next 1 s tick only.
        with contextlib.suppress(KafkaException):
            for topic in {each.topic for each in starts}:
                self._consumer.list_topics(topic, timeout=1)
        self._consumer.incremental_assign(starts)

    def _batches(self, messages: list[Message]) -> list[Item]:
        ends: dict[Place, int] = {}
        if has_errors(messages):
            messages, ends = self._without_errors(messages)
        ingested_us = time.time_ns() // 1000
        items: list[Item] = []
        for place, group in split(messages).items() if messages else ():
            next_offset = offset_of(group[-1]) + 1
            records = group
            end = self._ends.get(place)
            if end is not None and next_offset > end:
                next_offset = end
                records = [message for message in group if offset_of(message) < end]
            self._positions[place] = next_offset
            if records:
                topic, partition = place
                self._active.add(place)
                self._at_end.discard(place)
                items.append((key_of(topic, partition), to_batch(topic, partition, records, ingested_us)))
        for place, offset in ends.items():
            self._positions[place] = max(self._positions[place], min(offset, self._ends.get(place, offset)))
            self._at_end.add(place)
        return items

    def _without_errors(self, messages: list[Message]) -> tuple[list[Message], dict[Place, int]]:
        """The records, and the offset of each partition that ended with nothing after it."""
        records: list[Message] = []
        ends: dict[Place, int] = {}
        for message in messages:
            error = message.error()
            place = place_of(message)
            if error is None:
                records.append(message)
                ends.pop(place, None)
            elif error.code() == PARTITION_EOF:
                ends[place] = offset_of(message)
            else:
                self._judge(place, error)
        return records, ends

    def _judge(self, place: Place, error: KafkaError) -> None:
        topic, partition = place
        if error.code() in OUT_OF_RANGE:
            low, high = None, None
            try:
                low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
            except (KafkaException, TypeError):
                log.debug("the range of %s/%d could not be asked", topic, partition)
            self._shut()
            raise OffsetOutOfRange(topic, partition, self._positions[place], low, high)
        if error.fatal() or error.code() in UNREADABLE:
            at = self._positions.get(place)
            self._shut()
            raise KafkaSourceError(f"topic {topic} partition {partition} at offset {at}: {error.str()}")
        complaint = (topic, error.code())
        if complaint not in self._complained:
            self._complained.add(complaint)
            log.warning("topic %s partition %s: %s: waiting", topic, partition, error.str())

    def _finished(self) -> list[Item]:
        reached = sorted(place for place in self._open if self._positions[place] >= self._ends[place])
        if reached:
            self._open.difference_update(reached)
            self._consumer.pause([TopicPartition(topic, partition) for topic, partition in reached])
        return [_mark(place, Mark.STOP_AT_END) for place in reached]

    def _idle(self) -> list[Item]:
        self._next_idle = time.monotonic() + self._source.idle_interval_s
        if not self._at_end or not self._watch.reachable():
            return []
        highs = self._watch.highs
        return [
            _mark(place, Mark.IDLE)
            for place in sorted(self._at_end & self._active)
            if place in highs and highs[place] <= self._positions[place]
        ]

    def _mine(self) -> dict[Place, int]:
        """Positions to commit: of the topics that are read now, not what older snapshots carry along."""
        return {place: offset for place, offset in self._positions.items() if place[0] in self._source.topics}

    def _commit(self, offsets: dict[Place, int], *, asynchronous: bool) -> None:
        if not offsets:
            return
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        try:
            if asynchronous:
                self._consumer.commit(offsets=places, asynchronous=True)
            else:
                self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as problem:
            log.debug("the offsets were not committed to the group: %s", problem.args[0].str())

    def _tell_lag(self) -> None:
        if self._source.on_lag is not None:
            self._source.on_lag(self.lag())


def _ignore_commit(error: KafkaError | None, partitions: list[TopicPartition]) -> None:
    """The group's offsets are for reading only; the next commit brings them up to date."""


def _mark(place: Place, mark: Mark) -> Item:
    topic, partition = place
    now_us = time.time_ns() // 1000
    return key_of(topic, partition), Batch(topic, partition, [], (), now_us, mark=mark)
