"""Batches of :class:`sources.client.Client` to Kafka. Takes `confluent-kafka`, which is loaded only here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from operators.encode import encode
from operators.events import Rejected, decode, route
from sources.client_outcomes import Refused, TryAgain

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

MOST_BYTES = 1_000_000
"""Of an event: brokers take 1 MiB with key and headers unless configured."""


class KafkaTransport:
    """To the topics of the contract, each event checked as the flow will check it, and with its key.

    `timeout`: seconds for a batch to be acknowledged by all in-sync replicas.
    """

    def __init__(self, brokers: str, prefix: str, timeout: float, config: Mapping[str, object] | None = None) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 -- not needed for HTTP

        self._prefix = prefix
        self._timeout = timeout
        self._producer = Producer(
            {
                "enable.idempotence": True,
                "log_level": 0,
                "linger.ms": 5,
                # What is not acknowledged in time is not sent later on its own.
                "message.timeout.ms": max(int(timeout * 1000), 1000),
                **(config or {}),
                "bootstrap.servers": brokers,
            }
        )

    def post(self, lines: Sequence[bytes]) -> Mapping[int, Refused]:
        """As :meth:`sources.client_outcomes.Transport.post`."""
        refused: dict[int, Refused] = {}
        failed: list[str] = []

        def done(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error.str())

        until = time.monotonic() + self._timeout
        for index, line in enumerate(lines):
            try:
                if len(line) > MOST_BYTES:
                    raise Rejected("too_large", f"the limit is {MOST_BYTES} bytes")
                event = decode(line)
                encode(event)
                kind, key = route(event)
            except Rejected as problem:
                refused[index] = Refused(problem.reason, problem.detail)
                continue
            while True:
                try:
                    self._producer.produce(f"{self._prefix}.events.{kind}.v1", line, key.encode(), on_delivery=done)
                    break
                except BufferError:
                    if time.monotonic() > until:
                        raise TryAgain("Kafka does not acknowledge") from None
                    self._producer.poll(0.1)
        if left := self._producer.flush(self._timeout + 1):
            raise TryAgain(f"Kafka does not acknowledge {left} records")
        if failed:
            raise TryAgain(f"Kafka does not take {len(failed)} records: {failed[0]}")
        return refused

    def close(self) -> None:
        """Nothing is open: each batch is flushed."""
