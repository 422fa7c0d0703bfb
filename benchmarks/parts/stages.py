"""Where the flow's CPU goes: thread time of its stages, a call a batch (or a pane), so that watching costs little.

Calls nest: a stage's own time is its time less that of the stages within it. What the main thread uses besides is
Bytewax and start-up; what no Python thread uses is librdkafka's.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from operators.aggregate import Panes
from operators.events import decode_fast
from operators.judge import Judge
from operators.partition import Partition
from operators.steps.partition import PartitionLogic

STAGES = {
    "consume": "consume, group by partition",
    "partition": "partition loop, without decoding",
    "decode": "decode (measured on its own)",
    "panes": "closing panes: aggregates and rows",
    "judge": "detection on panes",
    "snapshot": "snapshots of the state",
    "observe": "metrics, main thread",
    "topics": "output topics",
    "put": "handing to the database thread",
    "rest": "Bytewax and the rest of the main thread",
    "writer": "database thread: rows, COPY",
    "written": "metrics, database thread",
    "native": "librdkafka's threads",
}
"""Stages in the order of the table."""
SAMPLE = 20_000


class Stages:
    """Own thread time by stage, seconds."""

    def __init__(self) -> None:
        self.own: dict[str, float] = defaultdict(float)
        self._open: dict[int, list[float]] = defaultdict(list)
        self._sample: list[bytes] = []
        self._events = 0
        self._main = threading.get_ident()
        self._start = time.thread_time()
        self._writer = 0.0

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its own time added to a stage."""
        own, stacks = self.own, self._open
        clock, ident = time.thread_time, threading.get_ident

        def call(*args: Any, **kwargs: Any) -> Any:
            stack = stacks[ident()]
            stack.append(0.0)
            start = clock()
            try:
                return function(*args, **kwargs)
            finally:
                spent = clock() - start
                own[name] += spent - stack.pop()
                if stack:
                    stack[-1] += spent

        return call

    def install(self) -> None:
        """Watch the classes that the flow is made of."""
        from flows.realtime import Observers
        from sinks import timescale, topics
        from sources.kafka import KafkaPartition

        watched: list[tuple[Any, str, str]] = [
            (KafkaPartition, "next_batch", "consume"),
            (KafkaPartition, "snapshot", "snapshot"),
            (PartitionLogic, "on_batch", "partition"),
            (PartitionLogic, "snapshot", "snapshot"),
            (Panes, "close", "panes"),
            (Panes, "show", "panes"),
            (Judge, "pane", "judge"),
            (Observers, "processed", "observe"),
            (Observers, "written", "written"),
            (topics._Part, "write_batch", "topics"),  # noqa: SLF001
            (topics._Part, "snapshot", "topics"),  # noqa: SLF001
            (timescale._Part, "write_batch", "put"),  # noqa: SLF001
            (timescale._Part, "snapshot", "put"),  # noqa: SLF001
            (timescale.DatabaseWriter, "_run", "writer"),
        ]
        for owner, method, stage in watched:
            setattr(owner, method, self.timed(stage, getattr(owner, method)))
        process = Partition.process

        def sampled(partition: Partition, batch: Any) -> Any:
            self._events += len(batch.values)
            if len(self._sample) < SAMPLE:
                self._sample += [value for value in batch.values if value]
            return process(partition, batch)

        Partition.process = sampled  # type: ignore[method-assign,assignment]

    def report(self) -> dict[str, float]:
        """CPU by stage in µs an event. Call it on the main thread, when the flow has ended."""
        main = time.thread_time() - self._start
        whole = time.process_time()
        own = dict(self.own)
        writer = own.get("writer", 0.0) + own.get("written", 0.0)
        start = time.thread_time()
        for raw in self._sample:
            decode_fast(raw)
        decode = (time.thread_time() - start) / max(1, len(self._sample)) * self._events
        own["decode"] = decode
        own["partition"] -= decode
        in_main = sum(own.get(name, 0.0) for name in STAGES if name not in ("writer", "written", "native", "rest"))
        own["rest"] = main - in_main
        own["native"] = whole - self._start - main - writer
        return {name: own.get(name, 0.0) / max(1, self._events) * 1e6 for name in STAGES}
