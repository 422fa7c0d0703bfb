"""The output topics as a Bytewax sink: dead letters, patterns and one-minute aggregates of each batch."""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from operators.output import Aggregate, DeadLetter, Found, Output
from sinks.kafka import KafkaWriter

PATTERN_TYPE = "dev.hindsight.pattern.detected.v1"
AGGREGATE_TYPE = "dev.hindsight.series.aggregated.v1"


@lru_cache(maxsize=64)
def _time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def pattern_event(found: Found, source: str) -> dict[str, Any]:
    """A pattern's change as a CloudEvent. Its id is the same in each replay."""
    pattern = found.pattern
    data = {
        name: getattr(pattern, name)
        for name in pattern.__struct_fields__
        if not name.endswith("_us") and name != "evidence"
    }
    times = {
        name.removesuffix("_us") + "_at": _time(value)
        for name in pattern.__struct_fields__
        if name.endswith("_us") and (value := getattr(pattern, name)) is not None
    }
    return {
        "specversion": "1.0",
        "id": f"{pattern.pattern_id}/{found.change}/{pattern.observation_count}",
        "source": f"hindsight://{source}",
        "type": PATTERN_TYPE,
        "time": _time(found.event_us),
        "data": data | times | {"change": found.change, "evidence": pattern.evidence},
    }


def aggregate_event(aggregate: Aggregate, source: str, partition: int) -> dict[str, Any]:
    """A window's aggregates as a CloudEvent: one partition's part of it, to be added up where a series has several."""
    stats = aggregate.stats
    start = _time(aggregate.start_us)
    p50, p95, p99 = stats.sketch.quantiles(0.5, 0.95, 0.99)
    return {
        "specversion": "1.0",
        "id": f"{source}/{partition}/{aggregate.entity}/{aggregate.measure}/{aggregate.level}/{start}",
        "source": f"hindsight://{source}",
        "type": AGGREGATE_TYPE,
        "time": start,
        "data": {
            "entity": aggregate.entity,
            "measure": aggregate.measure,
            "window_s": aggregate.level,
            "partition": partition,
            "n": stats.n,
            "sum": stats.sum,
            "min": stats.min,
            "max": stats.max,
            "sum_squares": stats.sum_squares,
            "first": stats.first,
            "last": stats.last,
            "p50": p50,
            "p95": p95,
            "p99": p99,
        },
    }


class _Part(StatefulSinkPartition[Output, None]):
    def __init__(self, writer: KafkaWriter, refused: deque[DeadLetter]) -> None:
        self._writer = writer
        self._refused = refused
        self._now_us = 0

    def write_batch(self, values: list[Output]) -> None:
        writer = self._writer
        for output in values:
            source, partition = output.batch.topic, output.batch.partition
            self._now_us = output.batch.ingested_us
            self._dead_letters(output.dead_letters)
            for found in output.found:
                writer.pattern(str(found.pattern.pattern_id), pattern_event(found, source))
            for aggregate in output.aggregates:
                key = f"{aggregate.entity}:{aggregate.measure}"
                writer.aggregate(key, aggregate_event(aggregate, source, partition))
        self._late_refusals()
        writer.poll()

    def snapshot(self) -> None:
        # The epoch's offsets become durable after this: what it led to must be acknowledged by then.
        self._late_refusals()
        self._writer.flush()

    def close(self) -> None:
        self._late_refusals()
        self._writer.close()

    def _late_refusals(self) -> None:
        """Rows that the database refused, told by the database's own thread."""
        while self._refused:
            self._dead_letters([self._refused.popleft()])

    def _dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            self._writer.dead_letter(
                letter.topic,
                letter.partition,
                letter.offset,
                letter.reason,
                letter.detail,
                letter.key,
                letter.value,
                letter.headers,
                self._now_us,
            )


class TopicsSink(FixedPartitionedSink[Output, None]):
    """Bytewax's view of the output topics. The database sink puts rows that it could not write into `refused`."""

    def __init__(self, writer: KafkaWriter, refused: deque[DeadLetter]) -> None:
        self._writer = writer
        self._refused = refused

    def list_parts(self) -> list[str]:
        """One part."""
        return ["kafka"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Part:  # noqa: ARG002 -- Bytewax's interface
        """The one part."""
        return _Part(self._writer, self._refused)
