"""One partition of an input: from raw records to rows, panes, detections and counts. The heart of the realtime path.

Plain Python: `operators/steps/partition.py` runs it inside Bytewax, tests and `backtest` run it bare. What it does to a
record depends on the records before it in the partition and on nothing else (the clock only refuses times in the
future), so batch boundaries, restarts and the number of processes change no row.
"""

import struct
import time
from typing import Self

import msgspec

from operators import tables as t
from operators.aggregate import SECOND, Panes
from operators.encode import SPARSE_KINDS, Encoded, Named, encode, metric_entity
from operators.events import (
    Rejected,
    decode_binary,
    decode_fast,
    document,
    explain,
    is_binary,
    refuse_nul,
)
from operators.feedback import Adjustments
from operators.identity import NAMESPACE, input_id, series_id
from operators.judge import Judge, JudgeConfig
from operators.output import Counts, DeadLetter, Gauges, Output, counter_rows
from operators.pgcopy import ENCODERS, EPOCH_US, NULL, micros
from operators.records import Batch, Mark
from operators.state import PartitionState, Slot, StateError, dump, load
from operators.types import CodeMeasured, Event, MetricSampled, ResourceData, ResourceSampled
from operators.windows import FOLD_AT, Gathering, Watermark

try:  # CPython's own SHA-1 starts 0.1 µs faster than OpenSSL's, which counts here: it is called for each event.
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha1

_SALTED = NAMESPACE.bytes + b"event:"
_first8 = struct.Struct(">q12x").unpack
_HEAD = struct.Struct(">hiqiqid").pack
_FIELD = ENCODERS
SAMPLES = (t.SYSTEM_METRICS, t.RESOURCE_USAGE)
"""Tables of single samples; all others hold things that people look up."""
MOST_CACHED = 200_000
"""Distinct spellings of a series (order and spacing of its tags) that are remembered before starting anew."""


class PartitionConfig(msgspec.Struct, frozen=True):
    """What the settings say about a partition. Times in microseconds."""

    width_us: int = 10 * SECOND
    lateness_us: int = 5 * SECOND
    idle_us: int = 5 * SECOND
    """How long after its last record, and after a pane's end and lateness by the wall clock, an idle partition's pane
    is shown."""
    future_us: int = 300 * SECOND
    most_bytes: int = 1 << 20
    most_series: int = 250_000
    raw_rows: bool = True
    """Write a row for each sample (`SAMPLES`), not only what is derived from it."""
    input: str | None = None
    """What partial aggregates are summed over; None: the topic. Files that are read together are one input."""
    aggregates: bool = False
    """Hand out windows as objects too, for the output topic."""
    judge: JudgeConfig = JudgeConfig()


class Partition:
    """The step's logic for one partition.

    >>> from operators.records import Batch
    >>> line = (b'{"specversion":"1.0","id":"1","source":"s","type":"dev.hindsight.metric.sampled.v1",'
    ...         b'"time":"2026-01-05T10:15:30Z","data":{"metric_name":"m","metric_value":1.5,"source_system":"web"}}')
    >>> partition = Partition("file:x", 0, PartitionConfig())
    >>> out = partition.process(Batch("file:x", 0, [line, line, b"{}"], range(1, 4), ingested_us=1_800_000_000_000_000))
    >>> out.counts.read, out.counts.applied, out.counts.duplicates, out.counts.dead_letters
    (3, 1, 1, {'bad_envelope': 1})
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        config: PartitionConfig,
        state: PartitionState | None = None,
        adjustments: Adjustments | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.config = config
        if state is None:
            state = PartitionState(topic, partition, Watermark(config.width_us, config.lateness_us), Counts())
        self.state = state
        self.judge = Judge(self.state, config.judge, topic, partition, adjustments)
        lane = partition if config.input is None else input_id(topic)
        self.panes = Panes(self.state, (input_id(config.input or topic), lane), self.judge, config.aggregates)
        self.quiet_since = 0
        """Wall clock of the last record that was read, microseconds."""
        self._seen = {key for keys in self.state.seen.values() for key in keys}
        self._metrics: dict[tuple[object, ...], tuple[int, Slot | None, bytes]] = {}
        self._resources: dict[tuple[str, str], tuple[int, Slot | None, bytes, bytes]] = {}
        self._ids: dict[Named, int] = {}
        self._new_series: list[bytes] = []

    @classmethod
    def resume(cls, snapshot: bytes, config: PartitionConfig, adjustments: Adjustments | None = None) -> Self:
        """A partition as it was. Raises `operators.state.StateError` for a snapshot that can't be read."""
        state = load(snapshot)
        if (state.watermark.width, state.watermark.lateness) != (config.width_us, config.lateness_us):
            raise StateError(
                "the recovery state was made with another pane width or lateness: use a new --recovery-dir"
            )
        return cls(state.topic, state.partition, config, state, adjustments)

    def snapshot(self) -> bytes:
        """The state, for recovery."""
        return dump(self.state)

    def process(self, batch: Batch) -> Output:
        """Take in the next records of the partition; return all that follows from them."""
        out = Output(batch)
        before = (self.state.counts.read, self.state.counts.patterns)
        self._records(batch, out)
        if batch.values:
            self.quiet_since = batch.ingested_us
        if batch.mark is Mark.END:
            self.panes.close_all(out)
            self._forget()
        elif batch.mark is Mark.STOP_AT_END:
            self.panes.show(None, out)
        elif batch.mark is Mark.IDLE:
            config = self.config
            if batch.ingested_us - self.quiet_since >= config.idle_us:
                self.panes.show(batch.ingested_us - config.lateness_us - config.idle_us, out)
        self.judge.flush(out)
        for row in self._new_series:
            out.add(t.SERIES, row)
        self._new_series.clear()
        self._account(batch, out, before)
        return out

    def _account(self, batch: Batch, out: Output, before: tuple[int, int]) -> None:
        state = self.state
        counts = state.counts
        out.counts = msgspec.structs.replace(counts, dead_letters=dict(counts.dead_letters))
        out.gauges = Gauges(state.watermark.time, len(state.panes), len(state.slots), state.series_refused)
        if (counts.read, counts.patterns) != before:
            now = time.time_ns() // 1000
            for key, row in counter_rows(self.topic, self.partition, counts, now):
                out.replace(t.STREAM_COUNTERS, key, row)
        for letter in out.dead_letters:
            out.add(t.DEAD_LETTERS, letter.row(batch.ingested_us))

    def _records(self, batch: Batch, out: Output) -> None:  # noqa: PLR0915 -- one loop, inlined for speed
        state = self.state
        config = self.config
        counts = state.counts
        watermark = state.watermark
        width = watermark.width
        most_bytes = config.most_bytes
        horizon = batch.ingested_us + config.future_us
        headers = batch.headers
        metrics, resources = self._metrics, self._resources
        seen = self._seen
        metric_rows: list[bytes] = []
        resource_rows: list[bytes] = []
        event_us = out.event_us
        raw_rows = config.raw_rows
        judge_event = self.judge.event
        values = batch.values
        applied = late = duplicates = 0
        newest = -(1 << 62) if watermark.time is None else watermark.time
        counts.read += len(values)
        pane_now: int | None = None
        gathered: dict[int, Gathering] = {}
        keys: list[int] = []
        for index, raw in enumerate(values):
            encoded: Encoded | None = None
            try:
                if raw is None:
                    raise Rejected("empty", "the record has no value")
                if len(raw) > most_bytes:
                    raise Rejected("too_large", f"{len(raw)} bytes, the limit is {most_bytes}")
                if headers and index in headers and is_binary(headers[index]):
                    event = decode_binary(raw, headers[index])
                else:
                    if b"\\" in raw:
                        refuse_nul(raw)
                    event = decode_fast(raw)
                seconds = event.time.timestamp()
                us = int(seconds * 1e6 + 0.5) if seconds > 0 else micros(event.time)
                if us > horizon:
                    ahead = config.future_us // SECOND
                    raise Rejected("time_in_future", f"{event.time.isoformat()} is over {ahead} s ahead of the clock")
                is_late = us // width <= watermark.closed
                digest = sha1(_SALTED + f"{event.source}\0{event.id}".encode()).digest()
                event_key = _first8(digest)[0] & ~0xF000 | 0x5000
                if is_late:
                    encoded = encode(event)
                elif isinstance(event, MetricSampled):
                    metric = event.data
                    spelling = (
                        metric.source_system,
                        metric.metric_name,
                        metric.metric_unit,
                        metric.aggregation_period,
                        bytes(metric.metric_tags),
                    )
                    cached = metrics.get(spelling)
                    if cached is None:
                        cached = self._metric(event, spelling)
                    series, slot, rest = cached
                    value = metric.metric_value
                    row = _HEAD(8, 8, event_key, 8, us - EPOCH_US, 8, value) + rest
                    rows = metric_rows
                elif isinstance(event, ResourceSampled):
                    resource = event.data
                    value = resource.usage_percentage
                    known = resources.get((resource.host, resource.resource_type))
                    if known is None:
                        known = self._resource(event)
                    series, slot, head, rest = known
                    if (
                        resource.absolute_value is not None
                        or resource.peak_usage is not None
                        or resource.average_usage is not None
                        or bytes(resource.context_data)
                    ):
                        rest = head + _extras(resource)
                    row = _HEAD(9, 8, event_key, 8, us - EPOCH_US, 8, value) + rest
                    rows = resource_rows
                else:
                    encoded = encode(event)
            except Exception as problem:
                self._refuse(batch, index, raw, problem, out)
                continue
            if is_late:
                late += 1
                if encoded is not None:
                    self._add_rows(encoded, out)
                continue
            pane = us // width
            if event_key in seen:
                duplicates += 1
                if us > newest:
                    newest = us
                    if us >= watermark.next_close and watermark.advance(us):
                        pane_now = None
                        self._close(out)
                continue
            seen.add(event_key)
            if pane != pane_now:
                pane_now = pane
                gathered = state.panes.setdefault(pane, {})
                keys = state.seen.setdefault(pane, [])
            keys.append(event_key)
            applied += 1
            if encoded is None:
                event_us.append(us)
                if raw_rows:
                    rows.append(row)
                if slot is None:
                    state.series_refused += 1
                else:
                    gathering = gathered.get(series)
                    if gathering is None:
                        gathered[series] = Gathering([(us, event_key, value)])
                    else:
                        gathering.points.append((us, event_key, value))
                        if len(gathering.points) >= FOLD_AT:
                            gathering.fold()
                    if slot.ruled:
                        judge_event(slot, us, value, out)
            else:
                if not isinstance(event, CodeMeasured):
                    event_us.append(us)
                self._apply(event, encoded, us, event_key, gathered, out)
            if us > newest:
                newest = us
                if us >= watermark.next_close and watermark.advance(us):
                    pane_now = None
                    self._close(out)
        if applied or duplicates:
            watermark.time = newest
        counts.late += late
        counts.duplicates += duplicates
        counts.applied += applied
        if metric_rows:
            out.rows.setdefault(t.SYSTEM_METRICS.name, []).extend(metric_rows)
        if resource_rows:
            out.rows.setdefault(t.RESOURCE_USAGE.name, []).extend(resource_rows)

    def _apply(
        self, event: Event, encoded: Encoded, us: int, event_key: int, gathered: dict[int, Gathering], out: Output
    ) -> None:
        self._add_rows(encoded, out)
        self.judge.record(event, encoded.points, us, out)
        for named, value in encoded.points:
            series = self._series(named)
            slot = self.state.slots.get(series)
            if slot is None:
                self.state.series_refused += 1
                continue
            gathering = gathered.get(series)
            if gathering is None:
                gathered[series] = Gathering([(us, event_key, value)])
            else:
                gathering.points.append((us, event_key, value))
                if len(gathering.points) >= FOLD_AT:
                    gathering.fold()
            if slot.ruled or slot.kind in SPARSE_KINDS:
                self.judge.event(slot, us, value, out)

    def _add_rows(self, encoded: Encoded, out: Output) -> None:
        for table, row in encoded.rows:
            if self.config.raw_rows or table not in SAMPLES:
                out.add(table, row)

    def _close(self, out: Output) -> None:
        self.panes.close(out)
        self._forget()

    def _forget(self) -> None:
        """Keys of closed panes are not needed any more: what comes again there is late."""
        state = self.state
        closed = state.watermark.closed
        for pane in [pane for pane in state.seen if pane <= closed]:
            self._seen.difference_update(state.seen.pop(pane))

    def _refuse(self, batch: Batch, index: int, raw: bytes | None, problem: Exception, out: Output) -> None:
        rejected = explain(raw or b"", problem)
        counts = self.state.counts.dead_letters
        counts[rejected.reason] = counts.get(rejected.reason, 0) + 1
        key, headers = batch.origin(index) if batch.origin else (None, [])
        offset = batch.offsets[index]
        out.dead_letters.append(
            DeadLetter(self.topic, self.partition, offset, rejected.reason, rejected.detail, key, raw, headers)
        )

    def _series(self, named: Named) -> int:
        series = self._ids.get(named)
        if series is None:
            series = series_id(named.entity, named.measure)
            if series not in self.state.slots:
                if len(self.state.slots) >= self.config.most_series:
                    return series
                self.state.slots[series] = self.judge.new_slot(named.entity, named.measure, named.kind)
            if len(self._ids) >= MOST_CACHED:
                self._ids.clear()
            self._ids[named] = series
            self._new_series.append(t.SERIES.encode((series, named.entity, named.measure, named.kind)))
        return series

    def _metric(self, event: MetricSampled, spelling: tuple[object, ...]) -> tuple[int, Slot | None, bytes]:
        data = event.data
        series = self._series(Named(metric_entity(data), data.metric_name, "metric"))
        rest = (
            _FIELD["text"](data.metric_name)
            + (NULL if data.metric_unit is None else _FIELD["text"](data.metric_unit))
            + _FIELD["jsonb"](document(data.metric_tags))
            + _FIELD["text"](data.source_system)
            + (NULL if data.aggregation_period is None else _FIELD["text"](data.aggregation_period))
        )
        if len(self._metrics) >= MOST_CACHED:
            self._metrics.clear()
        cached = (series, self.state.slots.get(series), rest)
        self._metrics[spelling] = cached
        return cached

    def _resource(self, event: ResourceSampled) -> tuple[int, Slot | None, bytes, bytes]:
        data = event.data
        series = self._series(Named(data.host, f"{data.resource_type}_usage", "resource"))
        head = _FIELD["text"](data.host) + _FIELD["text"](data.resource_type)
        known = (series, self.state.slots.get(series), head, head + NULL * 3 + _FIELD["jsonb"](b"{}"))
        if len(self._resources) >= MOST_CACHED:
            self._resources.clear()
        self._resources[data.host, data.resource_type] = known
        return known


def _extras(data: ResourceData) -> bytes:
    floats = (data.absolute_value, data.peak_usage, data.average_usage)
    number = _FIELD["float8"]
    return b"".join([NULL if value is None else number(value) for value in floats]) + _FIELD["jsonb"](
        document(data.context_data)
    )
