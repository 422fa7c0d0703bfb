"""Two ways to ask what would be told of a stream: one detector on its own, and the product's whole path.

Both give `Opening`s, so that the rest does not care. The first is for tuning a detector, the second for published
figures.
"""

import heapq
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, NamedTuple

from benchmarks.parts.streams import SECOND_US, Stream
from operators.episodes import SEVERITIES, Life, Subject
from operators.partition import Partition, PartitionConfig
from operators.patterns import advance, snapshot_pattern
from operators.records import Batch, Mark

WALL_US = 4_000_000_000_000_000
"""The clock as the product sees it (2096): no time of a stream is in the future."""

BATCH = 2000
PANE_US = 10 * SECOND_US
KIND_OF = {"metric": "metric", "resource": "resource", "duration": "pipeline", "failed": "pipeline"}


@dataclass
class Opening:
    """A pattern from when it opened (or opened again). `severity` and `confidence` are the greatest it reached.

    `strength` is score / threshold at the opening, `seen` how many values of the series came before.
    """

    detector: str
    time_us: int
    severity: str
    confidence: float
    strength: float
    seen: int = 0
    again: bool = False
    measure: str = ""

    @property
    def pages(self) -> bool:
        """Whether somebody is called for it."""
        return self.severity in {"high", "critical"}


class Detector(NamedTuple):
    """A detector on its own: `judge(state, time_us, value, config)` as in `operators.detect`."""

    name: str
    state: Callable[[], Any]
    judge: Callable[..., Any]
    config: Callable[[str], Any]
    """The configuration for a measure."""
    outcomes: bool = False
    """Whether it judges 0 and 1 only."""


def detector(name: str) -> Detector:
    """The detector of `operators/detect/NAME.py`, by the names that all of them keep to: `NameState`, `NameConfig`,
    `judge`.

    Raises LookupError for a module that isn't there, or doesn't keep to them.
    """
    try:
        module = import_module(f"operators.detect.{name}")
        prefix = "".join(word.capitalize() for word in name.split("_"))
        state, config = getattr(module, f"{prefix}State"), getattr(module, f"{prefix}Config")
        judge = getattr(module, "judge_value", None) or module.judge
    except (ImportError, AttributeError) as problem:
        raise LookupError(f"there is no detector {name} that is judged value by value ({problem})") from None

    def configure(measure: str) -> Any:
        return config.of(measure=measure) if hasattr(config, "of") else config()

    return Detector(name, state, judge, configure, outcomes=name in {"burst", "outcomes"})


def alone(stream: Stream, detectors: Sequence[Detector], least_confidence: float = 0.7) -> list[Opening]:
    """What each of the detectors opens on the stream, one by one, value by value."""
    life = Life(open_confidence=least_confidence)
    found: list[Opening] = []
    subject = Subject(stream.entity, stream.measure, KIND_OF[stream.feed], "bench", 0)
    times, values = stream.times_us.tolist(), stream.values.tolist()
    for one in detectors:
        if one.outcomes != (stream.feed == "failed"):
            continue
        state, config, judge = one.state(), one.config(stream.measure), one.judge
        episode, current = None, None
        for seen, (time_us, value) in enumerate(zip(times, values, strict=True)):
            verdict = judge(state, time_us, value, config)
            if verdict is None and episode is None:
                continue
            episode, change = advance(episode, subject, one.name, verdict, value, time_us, life)
            if change is None or episode is None:
                continue
            if change.kind == "opened" and verdict is not None:
                strength = verdict.score / verdict.threshold
                current = Opening(
                    one.name, time_us, "info", 0.0, strength, seen, bool(episode.reopened), stream.measure
                )
                found.append(current)
            if current is not None and change.kind != "resolved":
                _raise(current, snapshot_pattern(episode, subject))
    return found


def _raise(opening: Opening, pattern: Any) -> None:
    opening.confidence = max(opening.confidence, pattern.confidence)
    if SEVERITIES.index(pattern.severity) > SEVERITIES.index(opening.severity):
        opening.severity = pattern.severity


def product(streams: Sequence[Stream]) -> tuple[dict[str, list[Opening]], list[Opening]]:
    """What the product says of streams that come in together as one partition: openings by the stream's entity.

    The second list is of patterns in no entity that was fed. Raises RuntimeError when an event is refused.
    """
    partition = Partition("bench", 0, PartitionConfig(raw_rows=False))
    entities = {stream.entity for stream in streams}
    found: dict[str, list[Opening]] = {entity: [] for entity in entities}
    homeless: list[Opening] = []
    open_now: dict[uuid.UUID, Opening] = {}
    merged = heapq.merge(
        *[_events(one) for stream in streams for one in _with_partner(stream)], key=lambda pair: pair[0]
    )
    offset = 0
    while True:
        lines = [line for _, line in _take(merged, BATCH)]
        mark = Mark.DATA if lines else Mark.END
        out = partition.process(Batch("bench", 0, list(lines), range(offset, offset + len(lines)), WALL_US, mark=mark))
        offset += len(lines)
        for told in out.found:
            pattern = told.pattern
            if told.change in {"opened", "confirmed", "reopened"}:
                threshold = float(pattern.evidence.get("threshold_score") or 1.0)
                opening = Opening(
                    pattern.pattern_type, told.event_us, "info", 0.0, pattern.score / threshold,
                    again=told.change == "reopened", measure=pattern.measure,
                )  # fmt: skip
                open_now[pattern.pattern_id] = opening
                found.get(pattern.entity, homeless).append(opening)
            if told.change != "resolved" and pattern.pattern_id in open_now:
                _raise(open_now[pattern.pattern_id], pattern)
        if not lines:
            break
    if partition.state.counts.dead_letters or partition.state.counts.late:
        raise RuntimeError(f"events were refused: {partition.state.counts}")
    return found, homeless


def _take(pairs: Iterator[tuple[int, bytes]], count: int) -> list[tuple[int, bytes]]:
    return [pair for _, pair in zip(range(count), pairs, strict=False)]


def _with_partner(stream: Stream) -> list[Stream]:
    return [stream] if stream.partner is None else [stream, stream.partner]


def _text(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat()


def _line(source: str, number: object, kind: str, time_us: int, data: dict[str, object]) -> tuple[int, bytes]:
    event = {
        "specversion": "1.0", "id": str(number), "source": source, "type": f"dev.hindsight.{kind}.v1",
        "time": _text(time_us), "data": data,
    }  # fmt: skip
    return time_us, json.dumps(event).encode()


def _events(stream: Stream) -> Iterator[tuple[int, bytes]]:
    pairs = enumerate(zip(stream.times_us.tolist(), stream.values.tolist(), strict=True))
    source = f"bench://{stream.name}/{stream.measure}"
    if stream.feed == "metric":
        for number, (time_us, value) in pairs:
            data = {"metric_name": stream.measure, "metric_value": value, "source_system": stream.entity}
            yield _line(source, number, "metric.sampled", time_us, data)
    elif stream.feed == "resource":
        for number, (time_us, value) in pairs:
            data = {"host": stream.entity, "resource_type": "cpu", "usage_percentage": value}
            yield _line(source, number, "resource.sampled", time_us, data)
    else:
        yield from _runs(stream, source)


def _runs(stream: Stream, source: str) -> Iterator[tuple[int, bytes]]:
    """Both ends of each run, in the order of time; one that never ends within the stream has a start only."""
    lines: list[tuple[int, bytes]] = []
    ends = zip(stream.times_us.tolist(), stream.values.tolist(), strict=True)
    spans = [
        (f"run-{number}", end - round((value if stream.feed == "duration" else 60.0) * SECOND_US), end, value)
        for number, (end, value) in enumerate(ends)
    ]
    if stream.overdue is not None:
        spans.append(("run-overdue", *stream.overdue, 0.0))
    for name, start, end, value in spans:
        run = {
            "pipeline_name": stream.entity, "execution_id": f"{stream.entity}-{name}", "execution_start": _text(start),
            "trigger_type": "scheduled",
        }  # fmt: skip
        lines.append(_line(source, f"{name}-start", "pipeline.started", start, run))
        failed = stream.feed == "failed" and value > 0.0
        finish = {"execution_end": _text(end), "status": "failure" if failed else "success"}
        lines.append(_line(source, name, "pipeline.finished", end, {**run, **finish}))
    yield from sorted(lines)
