"""The background half of the Kafka source: which partitions exist, where they end, and whether the brokers answer.

These questions block for a network round trip or a timeout, so a thread with a client of its own asks them; the
reading half (`sources.kafka`) only looks at the answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from sources.kafka_records import ACCESS_REFUSED, KafkaConfig, Place

log = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 3.0
"""How long one question may take before the brokers count as away."""

AWAY_RETRY_S = 0.5
"""Pause between two attempts while the brokers are away."""

MISSING_RETRY_S = 2.0
"""How often a topic that does not exist, or a partition without a leader, is looked for."""

_BEGINNING, _END = -2, -1


class Found(NamedTuple):
    """A partition to read, with its low and high watermark as it was found."""

    topic: str
    partition: int
    low: int
    high: int


class Watch(threading.Thread):
    """Asks the brokers every `lag_interval_s` for the ends, every `metadata_interval_s` for the partitions.

    It reads what belongs to subset i of k: partition number modulo k is i. `on_round` is called on this thread
    after each answered round. Logs one line when the brokers go away and one when they are back, one when a topic
    is missing and one when it has come.
    """

    def __init__(
        self,
        config: KafkaConfig,
        topics: Iterable[str],
        subset: tuple[int, int],
        *,
        metadata_interval_s: float,
        lag_interval_s: float,
        on_round: Callable[[], None],
    ) -> None:
        super().__init__(name="kafka-watch", daemon=True)
        self._consumer = Consumer({**config, "error_cb": self.on_error})
        self._brokers = config["bootstrap.servers"]
        self._topics = tuple(topics)
        self._subset = subset
        self._metadata_interval_s = metadata_interval_s
        self._lag_interval_s = lag_interval_s
        self._on_round = on_round
        self._known: set[Place] = set()
        self._missing: set[str] = set()
        self._found: SimpleQueue[Found] = SimpleQueue()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._away_since: float | None = None
        self._suspected_at = 0.0
        self._answered_at = 0.0
        self._next_metadata = 0.0
        self.ready = threading.Event()
        """Set once every partition that existed at the start was found with its ends."""
        self.highs: dict[Place, int] = {}
        """The latest known high watermark; a partition without a leader is not in it. Replaced, never changed."""
        self.failed: str | None = None
        """Why reading cannot go on: the brokers refused the login or a topic at the start, or a fault in here."""

    def found(self) -> list[Found]:
        """Partitions discovered since the last call."""
        drained = []
        while True:
            try:
                drained.append(self._found.get_nowait())
            except Empty:
                return drained

    @property
    def missing(self) -> frozenset[str]:
        """Topics that the brokers do not have (yet)."""
        return frozenset(self._missing)

    def reachable(self) -> bool:
        """Whether the brokers answered after the last doubt, and not too long ago."""
        fresh = time.monotonic() - self._answered_at < 2 * self._lag_interval_s + REQUEST_TIMEOUT_S
        return fresh and self._away_since is None and self._answered_at > self._suspected_at

    def on_error(self, error: KafkaError) -> None:
        """A client-wide error of librdkafka: doubt that the brokers are there, and ask at once."""
        if error.code() in ACCESS_REFUSED:
            self._refuse(error)
        self._suspected_at = time.monotonic()
        self._wake.set()

    def close(self) -> None:
        """End the thread; waits at most for the request under way."""
        self._closing.set()
        self._wake.set()
        if self.is_alive():
            self.join(timeout=REQUEST_TIMEOUT_S + 1)

    def run(self) -> None:
        """The thread's loop."""
        try:
            while not self._closing.is_set():
                self._wake.clear()
                asked = time.monotonic()
                try:
                    self._consumer.poll(0)
                    if asked >= self._next_metadata:
                        self._discover(asked)
                    self._ask_ends()
                except KafkaException as problem:
                    self._lost(problem.args[0], asked)
                else:
                    self._answered(asked)
                self._wake.wait(self._pause())
                if self._away_since is not None:
                    self._closing.wait(AWAY_RETRY_S)
        except Exception as problem:
            log.exception("the watch of Kafka ended")
            self.failed = f"{type(problem).__name__}: {problem}"
        finally:
            self._consumer.close()

    def _pause(self) -> float:
        if self._away_since is not None:
            return 0.0
        until_metadata = self._next_metadata - time.monotonic()
        return max(0.0, min(self._lag_interval_s, until_metadata))

    def _discover(self, now: float) -> None:
        """Look for partitions of ours that are not known yet; those without a leader are looked for again soon."""
        there = self._consumer.list_topics(timeout=REQUEST_TIMEOUT_S).topics
        index, count = self._subset
        new: list[Place] = []
        for topic in self._topics:
            metadata = there.get(topic)
            if metadata is None or metadata.error is not None:
                if metadata is not None and metadata.error.code() in ACCESS_REFUSED:
                    self._refuse(metadata.error)
                self._miss(topic)
                continue
            if topic in self._missing:
                self._missing.discard(topic)
                log.info("topic %s is there now, with %d partitions", topic, len(metadata.partitions))
            new += [(topic, p) for p in metadata.partitions if p % count == index]
        new = [place for place in new if place not in self._known]
        lows, highs = self._ends(new, _BEGINNING), self._ends(new, _END)
        complete = [place for place in new if place in lows and place in highs]
        for topic, partition in complete:
            place = (topic, partition)
            self._known.add(place)
            self._found.put(Found(topic, partition, lows[place], highs[place]))
        self.highs = {**self.highs, **{place: highs[place] for place in complete}}
        if len(complete) == len(new):
            self.ready.set()
        soon = len(complete) < len(new) or bool(self._missing)
        interval = min(MISSING_RETRY_S, self._metadata_interval_s) if soon else self._metadata_interval_s
        self._next_metadata = now + interval

    def _miss(self, topic: str) -> None:
        if topic not in self._missing:
            self._missing.add(topic)
            known = {place for place in self._known if place[0] == topic}
            log.warning("topic %s %s: waiting for it", topic, "is gone" if known else "does not exist yet")

    def _ask_ends(self) -> None:
        if self._known:
            self.highs = self._ends(sorted(self._known), _END)

    def _ends(self, places: list[Place], which: int) -> dict[Place, int]:
        """The offsets that the brokers hold for "beginning" or "end"; a partition that fails is left out."""
        if not places:
            return {}
        asked = [TopicPartition(topic, partition, which) for topic, partition in places]
        told = self._consumer.offsets_for_times(asked, timeout=REQUEST_TIMEOUT_S)
        good = [each for each in told if each.error is None and each.offset >= 0]
        return {(each.topic, each.partition): each.offset for each in good}

    def _lost(self, error: KafkaError, now: float) -> None:
        if error.code() in ACCESS_REFUSED:
            self._refuse(error)
        if self._away_since is None and not self._closing.is_set():
            self._away_since = now
            log.warning("Kafka at %s does not answer (%s): waiting", self._brokers, error.str())

    def _answered(self, asked: float) -> None:
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            log.warning("Kafka at %s answers again after %.1f s", self._brokers, seconds)
            self._away_since = None
        self._answered_at = asked
        self._on_round()

    def _refuse(self, error: KafkaError) -> None:
        if self.failed is None and not self.ready.is_set():
            self.failed = f"access was refused: {error.str()}"
