"""What Hindsight writes to Kafka: dead letters with their original bytes, patterns, aggregates; and the topics.

Every record is acknowledged by all replicas (idempotent producer). A broker outage is waited out; a missing output
topic is created.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from operators.events import TOPICS

log = logging.getLogger(__name__)

KafkaConfig = Mapping[str, str | int | float | bool]
"""librdkafka settings by name."""

Header = tuple[str, bytes | None]

PRODUCER: KafkaConfig = {
    "client.id": "hindsight",
    "linger.ms": 20,
    "compression.type": "lz4",
    "message.max.bytes": 64 * 1024 * 1024,
    "reconnect.backoff.max.ms": 1000,
    "topic.metadata.propagation.max.ms": 5000,
    "partitioner": "murmur2_random",
}
"""Ours where librdkafka's differ; may be changed. The broker's size limit decides, not the client's, and a key goes to
the partition that Java producers would choose, so that several producers agree."""

RELIABLE: KafkaConfig = {"enable.idempotence": True, "acks": "all", "message.timeout.ms": 0}
"""May not be changed: nothing is dropped after a time."""

DEAD_LETTER_BYTES = 16 * 1024 * 1024
"""`max.message.bytes` of a `.dlq` topic: a dead letter is the record and a few headers, and so a little larger."""

POLL_EVERY = 100
"""Acknowledgements are taken in once per so many records."""

_TOO_LARGE = KafkaError.MSG_SIZE_TOO_LARGE
# librdkafka's own error codes have names with an underscore; they are public all the same.
_NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})  # noqa: SLF001
_ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001


class KafkaWriteError(Exception):
    """Writing cannot go on; one line that says why."""

    one_line = True


class NotAcknowledged(KafkaWriteError):
    """The time was up before the brokers had acknowledged everything; what is open stays so, and may be waited for."""


class _Record(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


def input_topics(prefix: str) -> list[str]:
    """The input topics of the contract.

    >>> input_topics("hindsight")[0]
    'hindsight.events.metric.v1'
    """
    return [f"{prefix}.events.{kind}.v1" for kind in TOPICS]


def all_topics(prefix: str, inputs: Sequence[str] = ()) -> list[str]:
    """Input topics (those given, or the contract's), a `.dlq` for each, and the output topics.

    >>> all_topics("h", ["a"])
    ['a', 'a.dlq', 'h.patterns.v1', 'h.metrics.v1']
    """
    sources = list(inputs) or input_topics(prefix)
    dead = [f"{topic}.dlq" for topic in sources]
    return [*sources, *dead, f"{prefix}.patterns.v1", f"{prefix}.metrics.v1"]


def ensure_topics(
    brokers: str,
    names: Iterable[str],
    partitions: int,
    kafka_config: KafkaConfig | None = None,
    *,
    timeout: float = 30.0,
) -> list[str]:
    """Create the topics that do not exist yet, and return their names; the others are left as they are.

    A `.dlq` topic gets one partition and room for the largest records; replication is the broker's default.

    :raises KafkaWriteError: when the brokers do not answer within `timeout` seconds or refuse.
    """
    admin = AdminClient(_client_config(brokers, kafka_config))
    try:
        there = admin.list_topics(timeout=timeout).topics
        new = [_new_topic(name, partitions) for name in dict.fromkeys(names) if name not in there]
        created = []
        for name, done in (admin.create_topics(new, operation_timeout=timeout) if new else {}).items():
            try:
                done.result(timeout=timeout)
                created.append(name)
            except KafkaException as problem:
                if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise KafkaWriteError(f"topic {name} cannot be created: {problem.args[0].str()}") from None
    except KafkaException as problem:
        raise KafkaWriteError(f"Kafka at {brokers} does not answer: {problem.args[0].str()}") from None
    except TimeoutError:
        raise KafkaWriteError(f"Kafka at {brokers} does not make topics within {timeout:g} s") from None
    return created


def _new_topic(name: str, partitions: int) -> NewTopic:
    if name.endswith(".dlq"):
        limit = {"max.message.bytes": str(DEAD_LETTER_BYTES)}
        return NewTopic(name, num_partitions=1, replication_factor=-1, config=limit)
    return NewTopic(name, num_partitions=partitions, replication_factor=-1)


def _client_config(brokers: str, extra: KafkaConfig | None) -> dict[str, str | int | float | bool]:
    quiet: KafkaConfig = {} if extra and "debug" in extra else {"log_level": 0}
    return {**quiet, **(extra or {}), "bootstrap.servers": brokers}


class KafkaWriter:
    """Writes to the output topics from one thread; records are sent in the background until `flush`.

    `kafka_config` holds further librdkafka settings (SASL, TLS); they are never logged. `stop` ends waiting for a
    full queue or in `flush`, with `NotAcknowledged`.

    :raises KafkaWriteError: for a setting that librdkafka refuses.
    """

    def __init__(
        self,
        brokers: str,
        prefix: str = "hindsight",
        kafka_config: KafkaConfig | None = None,
        *,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._extra = kafka_config
        self._stop = stop
        self._open: dict[int, _Record] = {}
        self._alone: set[int] = set()
        self._next = 0
        self._acknowledged = 0
        self._failed: list[tuple[int, KafkaError]] = []
        self._down = False
        self._said = False
        self._there: set[str] = set()
        """Output topics that are known to exist."""
        self._producer = self._connect()

    @property
    def pending(self) -> int:
        """Records that no broker has acknowledged yet."""
        return len(self._open)

    @property
    def acknowledged(self) -> int:
        """Records that the brokers have acknowledged."""
        return self._acknowledged

    def dead_letter(
        self,
        topic: str,
        partition: int,
        offset: int,
        reason: str,
        detail: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header],
        time: datetime | int,
    ) -> None:
        """Send a record that could not be read to `<topic>.dlq`, as it came, with where it was and why it is here.

        time: when it was refused, with its zone, or microseconds since 1970; written in RFC 3339, UTC.
        """
        if isinstance(time, int):
            time = datetime.fromtimestamp(time / 1e6, UTC)
        stamp = time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        about = {
            "dlq.topic": topic,
            "dlq.partition": str(partition),
            "dlq.offset": str(offset),
            "dlq.reason": reason,
            "dlq.detail": detail,
            "dlq.time": stamp,
        }
        added = [(name, text.encode("utf-8", "backslashreplace")) for name, text in about.items()]
        self._send(_Record(f"{topic}.dlq", key, value, [*headers, *added]))

    def pattern(self, key: str, event: Mapping[str, object]) -> None:
        """Send a detected pattern, a CloudEvent, to `<prefix>.patterns.v1`."""
        self._send(_Record(f"{self._prefix}.patterns.v1", key.encode(), msgspec.json.encode(event), ()))

    def aggregate(self, key: str, event: Mapping[str, object]) -> None:
        """Send a window's aggregates to `<prefix>.metrics.v1`."""
        self._send(_Record(f"{self._prefix}.metrics.v1", key.encode(), msgspec.json.encode(event), ()))

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Send any record."""
        self._send(_Record(topic, key, value, ()))

    def poll(self) -> None:
        """Take in what the brokers have acknowledged, without waiting."""
        self._serve(0)

    def flush(self, timeout: float | None = None) -> None:
        """Return when everything sent is acknowledged; an outage is waited out (one log line when it begins to matter).

        :raises NotAcknowledged: after `timeout` seconds (None = never) or when `stop` says so. Call it again.
        :raises KafkaWriteError: when a record can never be written.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._open:
            left = 0.1 if deadline is None else min(0.1, max(0.0, deadline - time.monotonic()))
            if not self._producer.flush(left):
                self._serve(0.01 if self._failed else 0)
            if self._open:
                self._give_up_if(deadline is not None and time.monotonic() >= deadline)

    def close(self, timeout: float = 10.0) -> None:
        """Flush within `timeout` seconds. Raises as `flush` does."""
        self.flush(timeout)

    def _connect(self) -> Producer:
        extra = self._extra or {}
        clash = sorted(set(extra) & set(RELIABLE))
        if clash:
            raise KafkaWriteError(f"Kafka setting {', '.join(clash)} cannot be changed here")
        config = {**PRODUCER, **_client_config(self._brokers, extra), **RELIABLE, "error_cb": self._on_error}
        try:
            return Producer(config)
        except KafkaException as problem:
            raise KafkaWriteError(f"Kafka settings: {problem.args[0].str()}") from None

    def _send(self, record: _Record) -> None:
        if record.topic not in self._there:
            self._make(record.topic)
        number = self._next
        self._next += 1
        self._open[number] = record
        self._produce(number)
        if number % POLL_EVERY == 0:
            self._serve(0)

    def _make(self, topic: str) -> None:
        """Create an output topic that is not there before its first record; record by record would take minutes.

        If the brokers don't answer now, it is found missing when they do.
        """
        self._there.add(topic)
        try:
            if ensure_topics(self._brokers, [topic], 1, self._extra, timeout=2.0):
                log.info("topic %s was created", topic)
        except KafkaWriteError:
            self._down = True

    def _produce(self, number: int) -> None:
        """Hand a record to librdkafka; a full queue is waited for, which is the back-pressure."""
        record = self._open[number]
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers=list(record.headers),
                    on_delivery=partial(self._delivered, number),
                )
                return
            except BufferError:
                self._producer.poll(0.1)
                self._give_up_if(False)
            except KafkaException as problem:
                self._failed.append((number, problem.args[0]))
                return

    def _give_up_if(self, late: bool) -> None:
        if self._down and not self._said:
            self._said = True
            log.warning("Kafka at %s does not answer: %d records wait to be written", self._brokers, len(self._open))
        if late or (self._stop is not None and self._stop()):
            raise NotAcknowledged(f"Kafka at {self._brokers} has not acknowledged {len(self._open)} records")

    def _on_error(self, error: KafkaError) -> None:
        self._down = self._down or error.code() == _ALL_DOWN

    def _delivered(self, number: int, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append((number, error))
            return
        self._alone.discard(number)
        if self._open.pop(number, None) is not None:
            self._acknowledged += 1
        self._down = False
        if self._said:
            self._said = False
            log.warning("Kafka at %s answers again: records are written", self._brokers)

    def _serve(self, seconds: float) -> None:
        self._producer.poll(seconds)
        failed, self._failed = self._failed, []
        gone = [number for number, error in failed if error.code() in _NO_TOPIC and number in self._open]
        self._there.difference_update(self._open[number].topic for number in gone)
        fatal = [error for _, error in failed if error.fatal()]
        if fatal:
            # The idempotent session is lost for good; whether the last records arrived is unknown: send them again.
            log.warning("the Kafka producer is begun anew: %s", fatal[0].str())
            self._producer.purge()
            self._failed = []
            self._producer = self._connect()
            for number in list(self._open):
                self._produce(number)
            return
        while failed:
            number, error = failed.pop(0)
            if number in self._open:
                try:
                    self._repair(number, error)
                except KafkaWriteError:
                    self._failed += failed
                    raise

    def _repair(self, number: int, error: KafkaError) -> None:
        record = self._open[number]
        if error.code() in _NO_TOPIC:
            if record.topic not in self._there:
                self._failed.append((number, error))
                self._make(record.topic)
                self._failed.pop()
                # The producer remembers that there was no such topic until it asks again.
                self._producer.list_topics(record.topic, timeout=5)
        elif error.code() == _TOO_LARGE and number not in self._alone:
            # A whole batch is refused for its size; which record is too large shows when each is sent alone.
            self._alone.add(number)
            self._produce(number)
            self._producer.flush(5)
            return
        elif error.code() == _TOO_LARGE and record.value is not None:
            size = str(len(record.value)).encode()
            log.warning(
                "a record of %s bytes is too large for topic %s: sent without its value",
                int(size),
                record.topic,
            )
            self._open[number] = record._replace(value=None, headers=[*record.headers, ("dlq.value_bytes", size)])
        elif not error.retriable():
            del self._open[number]
            raise KafkaWriteError(f"topic {record.topic} cannot be written: {error.str()}")
        self._produce(number)
