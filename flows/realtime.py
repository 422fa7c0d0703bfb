"""The realtime flow: files or Kafka → the partition step → the database (and Kafka's output topics)."""

import fcntl
import gc
import json
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bytewax.operators as op
import click
import msgspec
from bytewax._bytewax import run_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.alerting import alert_sender
from flows.correlator import Correlator, CorrelatorError, correlate
from flows.desk import config_of
from flows.feedback import EVERY, Following
from flows.guard import Guard, panics_held_back
from flows.live import LiveStats
from flows.sequence_rules import SequenceRules
from flows.settings import Settings
from operators.detect.rules import Rules
from operators.feedback import Adjustments
from operators.judge import JudgeConfig
from operators.output import Counts, DeadLetter, Output
from operators.partition import Partition, PartitionConfig
from operators.state import StateError
from operators.steps.partition import PartitionLogic, partitions
from sinks.maintain import Maintainer, MaintenanceError, Upkeep, maintain
from sinks.prometheus import Metrics, is_fresh
from sinks.timescale import DatabaseSink, DatabaseWriter, SinkError
from sources.files import FileError, FileSource, topic_of

log = logging.getLogger(__name__)

FLOW = "hindsight_realtime"
READ, PROCESS, WRITE, PUBLISH = "read", "partition", "database", "kafka"
"""Names in the recovery store: changing one drops its state (a test pins them)."""
LIVE_SAMPLE = 50
"""Latencies of a batch that the live view is shown."""


KNOWN: tuple[type[Exception], ...] = (FileError, SinkError, StateError)
"""Failures that a user can do something about; their text is the one line that is shown."""


class FlowError(click.ClickException):
    """The flow can't start or go on; one line, exit status 1."""


class Totals(msgspec.Struct):
    """What the flow has done since the first record of its inputs, restarts included."""

    read: int = 0
    applied: int = 0
    late: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    patterns: int = 0
    seconds: float = 0.0
    resumed_at: int = 0
    """Records that earlier runs with the same recovery directory had read."""


class Observers:
    """Who is told what while the flow runs: metrics, the live view, the totals."""

    def __init__(self, metrics: Metrics, live: LiveStats | None) -> None:
        self.metrics = metrics
        self.live = live
        self.partitions: dict[tuple[str, int], Partition] = {}
        self.resumed_at = 0
        self.writer: DatabaseWriter | None = None
        self.letters: deque[DeadLetter] = deque(maxlen=10_000)
        """Rows that the database refused and that Kafka has not been told of yet; not used with files."""

    def started(self, partition: Partition) -> None:
        """A partition starts or resumes."""
        counts = msgspec.structs.replace(partition.state.counts, dead_letters=dict(partition.state.counts.dead_letters))
        self.resumed_at += counts.read
        self.partitions[partition.topic, partition.partition] = partition
        self.metrics.resumed(partition.topic, partition.partition, counts)

    def processed(self, output: Output) -> None:
        """A batch came out of the partition step."""
        self.metrics.processed(output)
        writer = self.writer
        if writer is not None:
            self.metrics.queue.set(writer.depth)
            self.metrics.blocked.set(writer.seconds_blocked)
        if self.live is None:
            return
        counts, gauges = output.counts, output.gauges
        self.live.record_batch(
            f"{output.batch.topic}/{output.batch.partition}",
            counts.read,
            counts.applied,
            counts.late,
            counts.dead,
            counts.duplicates,
            gauges.watermark_us,
            gauges.series,
            gauges.open_panes,
        )
        if writer is not None:
            self.live.record_queue(writer.depth, writer.capacity)

    def written(self, outputs: Sequence[Output], rows: int) -> None:
        """Outputs were committed. Called from the writer's thread."""
        now = time.time_ns() // 1000
        self.metrics.written(outputs, rows, now)
        if self.live is None:
            return
        for output in outputs:
            oldest = output.batch.ingested_us - 3_600_000_000
            step = max(1, len(output.event_us) // LIVE_SAMPLE)
            sample = [(now - at) / 1e6 for at in output.event_us[::step] if at > oldest]
            self.live.record_written(0, sample)
            for found in output.found:
                fresh = is_fresh(found, oldest)
                latency = (now - found.event_us) / 1e6 if fresh else None
                fields = {name: getattr(found.pattern, name) for name in found.pattern.__struct_fields__}
                self.live.record_pattern(SimpleNamespace(**fields, latency_s=latency))
        self.live.record_written(rows)

    def refused(self, letter: DeadLetter) -> None:
        """The database refused a row. Called from the writer's thread."""
        self.metrics.refused_rows.inc()
        self.letters.append(letter)

    def totals(self, seconds: float) -> Totals:
        """The counts of all partitions."""
        counts = [partition.state.counts for partition in self.partitions.values()]
        return Totals(
            sum(one.read for one in counts),
            sum(one.applied for one in counts),
            sum(one.late for one in counts),
            sum(one.dead for one in counts),
            sum(one.duplicates for one in counts),
            sum(one.patterns for one in counts),
            round(seconds, 3),
            self.resumed_at,
        )


def partition_config(settings: Settings, files: Sequence[str] = (), aggregates: bool = False) -> PartitionConfig:
    """What the settings say about a partition. `files`: the topics of files that are read together.

    :raises SettingsError: with one line, for a file of rules that makes no sense.
    """
    return PartitionConfig(
        input="\n".join(sorted(files)) if len(files) > 1 else None,
        aggregates=aggregates,
        width_us=settings.pane_seconds * 1_000_000,
        lateness_us=int(settings.lateness_seconds * 1e6),
        idle_us=int(settings.idle_flush_seconds * 1e6),
        future_us=int(settings.future_limit_seconds * 1e6),
        most_bytes=settings.max_record_bytes,
        raw_rows=settings.raw_rows,
        judge=JudgeConfig(
            enabled=settings.real_time_detection_enabled,
            least_confidence=settings.pattern_confidence_threshold,
            sensitivity=settings.anomaly_detection_sensitivity,
            thresholds=tuple(sorted(settings.alert_thresholds.items())),
            rules=tuple(SequenceRules(settings)().by_id.values()),
        ),
    )


def build(
    source: Source[Any],
    config: PartitionConfig,
    writer: DatabaseWriter,
    observers: Observers,
    guard: Guard,
    kafka_sink: Any = None,
    adjustments: Adjustments | None = None,
    rules: Callable[[], Rules] | None = None,
) -> Dataflow:
    """The dataflow: only wiring. `rules` gives those that count from a snapshot on; without it they stay."""
    flow = Dataflow(FLOW)
    batches = op.input(READ, flow, guard.connector(source))

    def logic(snapshot: bytes | None) -> PartitionLogic:
        taken = observers.metrics.snapshot_taken
        made = PartitionLogic(config, snapshot, observers.started, taken, adjustments, rules)
        return guard.watch(made, "on_batch", "snapshot")

    def tell(item: tuple[str, Output]) -> tuple[str, Output]:
        observers.processed(item[1])
        return item

    outputs = op.map("tell", partitions(PROCESS, batches, guard.call(logic)), guard.call(tell))
    op.output(WRITE, outputs, guard.connector(DatabaseSink(writer)))
    if kafka_sink is not None:
        op.output(PUBLISH, outputs, guard.connector(kafka_sink))
    return flow


def sum_up(url: str, on_step: Callable[[str], object] = lambda _: None) -> None:
    """Sum up what a history changed, so that the views need not; they are right without it."""
    try:
        maintain(url, on_step)
    except MaintenanceError as problem:
        log.warning("upkeep of the database: %s", problem)


def nights_told(metrics: Metrics) -> Callable[[Upkeep], None]:
    """Let the metrics say when a night last finished."""

    def tell(done: Upkeep) -> None:
        if done.night_finished_at is not None:
            metrics.night.set(done.night_finished_at.timestamp())

    return tell


def group(settings: Settings, metrics: Metrics, stop: Callable[[], bool] = lambda: False) -> None:
    """Group what a history's patterns were into incidents; people are told of the last hour's only."""
    try:
        with alert_sender(settings, metrics) as alerts:
            correlate(settings.database_url, config_of(settings), alerts.offer, stop)
    except CorrelatorError as problem:
        log.warning("correlator: %s", problem)


def run(
    settings: Settings,
    *,
    inputs: Sequence[str | Path] = (),
    kafka: bool = False,
    follow: bool = False,
    exit_at_end: bool = False,
    stop: Callable[[], bool] = lambda: False,
    live: LiveStats | None = None,
) -> dict[str, Any]:
    """Run the flow until its input ends or `stop()`; return the totals.

    :raises FlowError: with one line, when it can't start or go on. What was read since the last snapshot is then read
        again by the next run, which changes nothing in the tables.
    """
    start = time.monotonic()
    metrics = Metrics()
    observers = Observers(metrics, live)
    names = list(settings.input_topics) if kafka else [topic_of(str(path)) for path in inputs]
    source: Source[Any]
    kafka_sink: Any = None
    if kafka:
        source = _kafka_source(settings, exit_at_end, stop, metrics)
        kafka_sink = _kafka_sink(settings, observers.letters, stop) if settings.output_topics else None
    else:
        source = FileSource(
            [str(path) for path in inputs],
            batch_size=settings.batch_size,
            most_bytes=settings.max_record_bytes,
            follow=follow,
            stop=stop,
        )
    writer = DatabaseWriter(
        settings.database_url,
        capacity=settings.write_queue_batches,
        on_written=observers.written,
        on_refused=observers.refused,
        on_retry=metrics.retries.inc,
        abandon=stop,
    )
    observers.writer = writer
    server = None
    if settings.performance_monitoring_enabled and settings.metrics_port and (kafka or follow):
        server = metrics.serve(settings.metrics_host, settings.metrics_port)
    guard = Guard()
    config_of_run = partition_config(settings, () if kafka else names, aggregates=kafka_sink is not None)
    endless = kafka or follow
    following = Following(settings.database_url, EVERY if endless else 0, on_verdicts=metrics.judged)
    # What is read to its end is judged by one set of rules.
    rules = SequenceRules(settings, metrics.rules.set, metrics.rules_refused.inc) if endless else None
    flow = build(source, config_of_run, writer, observers, guard, kafka_sink, following.adjustments, rules)
    # Batches are many small objects without cycles: the default thresholds walk all the state for nothing.
    gc.set_threshold(100_000, 50, 100)
    try:
        with (
            following,
            recovery(settings, names) as config,
            panics_held_back(),
            Maintainer(settings.database_url, settings.maintenance_seconds if endless else 0, nights_told(metrics)),
            alert_sender(settings, metrics) as alerts,
            Correlator(settings.database_url, config_of(settings, endless), alerts.offer, metrics.correlated),
        ):
            run_main(flow, epoch_interval=timedelta(seconds=settings.epoch_seconds), recovery_config=config)
        writer.close()
        if not endless and settings.incident_grouping_enabled:
            group(settings, metrics, stop)
        if not endless and settings.maintenance_seconds:
            sum_up(settings.database_url)
    except BaseException as problem:
        cause = guard.first or problem
        if isinstance(cause, KNOWN) or getattr(cause, "one_line", False):
            raise FlowError(str(cause)) from cause
        raise cause from None
    finally:
        if server is not None:
            server.shutdown()
    return msgspec.to_builtins(observers.totals(time.monotonic() - start))  # type: ignore[no-any-return]


def _kafka_source(settings: Settings, exit_at_end: bool, stop: Callable[[], bool], metrics: Metrics) -> Source[Any]:
    from sources.kafka import KafkaSource  # noqa: PLC0415 -- librdkafka is not loaded for files

    return KafkaSource(
        settings.brokers,
        settings.input_topics,
        group_id=settings.group_id,
        subset=settings.subset,
        batch_size=settings.batch_size,
        kafka_config=settings.kafka_config,
        auto_offset_reset=settings.auto_offset_reset,
        exit_at_end=exit_at_end,
        stop=stop,
        on_lag=metrics.lagging,
    )


def _kafka_sink(settings: Settings, refused: deque[DeadLetter], stop: Callable[[], bool]) -> Any:
    from sinks.kafka import KafkaWriter  # noqa: PLC0415
    from sinks.topics import TopicsSink  # noqa: PLC0415

    writer = KafkaWriter(settings.brokers, settings.topic_prefix, settings.kafka_config, stop=stop)
    return TopicsSink(writer, refused)


@contextmanager
def recovery(settings: Settings, names: Sequence[str]) -> Iterator[RecoveryConfig]:
    """The recovery store for these inputs, locked. A store of other inputs is refused rather than mixed."""
    index, of = settings.subset
    folder = Path(settings.recovery_dir)
    if of > 1:
        folder = folder / f"subset-{index}-of-{of}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "a")  # noqa: SIM115 -- held until the flow ends
    except OSError as problem:
        raise FlowError(f"recovery directory {folder}: {problem.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FlowError(f"recovery directory {folder} is in use by another process") from None
        about = folder / "hindsight.json"
        wanted = sorted(names)
        if about.exists() and (noted := about.read_text()):
            held = json.loads(noted)["inputs"]
            if not set(held) <= set(wanted):
                raise FlowError(
                    f"recovery directory {folder} belongs to other inputs ({', '.join(held)}); use a new one"
                )
        if not list(folder.glob("part-*.sqlite3")):
            _new_store(folder)
        fresh = about.with_suffix(".new")  # a kill must not leave half a file
        fresh.write_text(json.dumps({"flow": FLOW, "inputs": wanted}))
        fresh.replace(about)
        yield RecoveryConfig(str(folder))


def _new_store(folder: Path) -> None:
    """An empty store, there whole or not at all: a kill in between must not leave one nothing can resume from."""
    making = folder / "making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    init_db_dir(making, 1)
    for part in making.glob("part-*.sqlite3"):  # the one of it: its connection is closed, so it is in one file
        part.replace(folder / part.name)
    making.rmdir()


__all__ = ["Counts", "FlowError", "Totals", "build", "run"]
