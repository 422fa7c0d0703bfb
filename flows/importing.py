"""Histories in files → the database: the realtime flow's rows without its detectors and without the dataflow engine.

One partition at a time, in this thread; the rows are written by the sink's. A checkpoint follows the rows it speaks of
through the same queue, so whatever is killed when, the next import begins at or before what is written, and writing a
row again changes nothing.
"""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from flows.realtime import Totals, partition_config, sum_up
from flows.settings import Settings
from operators import tables as t
from operators.judge import JudgeConfig
from operators.output import Output
from operators.partition import Partition, PartitionConfig
from operators.records import Batch, Mark
from operators.state import StateError
from sinks import migrate
from sinks.imports import Checkpoint, Imports, ImportsError, checkpoint
from sinks.timescale import DatabaseWriter, SinkError
from sources.digest import Input
from sources.files import STDIN, UNREADABLE, FileError, LineReader, Position, topic_of

log = logging.getLogger(__name__)

KNOWN = (FileError, SinkError, StateError, ImportsError, migrate.MigrationError)
"""Failures that a user can do something about."""
EVERY = 0.5
"""Seconds between two checkpoints."""
SHARE = 0.05
"""Most of the time that checkpoints may take: the state of many series is large, and then they come less often."""


class ImportFailed(click.ClickException):
    """The import can't begin or go on; one line, exit status 1."""


@dataclass(frozen=True)
class Progress:
    """How far an import is, in bytes as they lie on the disk."""

    file: str
    doing: str
    """checking (what was imported before) or importing."""
    bytes: int
    total: int
    """All files together; 0: not known, there is standard input among them."""
    read: int
    """Records read by this run."""


OnProgress = Callable[[Progress], None]


def run(
    settings: Settings,
    url: str,
    files: Sequence[str],
    *,
    name: str | None = None,
    again: bool = False,
    stop: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = lambda _: None,
) -> dict[str, Any]:
    """Import files into the database; return the counts since each file's first record, as `stream` does.

    `name` stands for the path of standard input. Keys besides those of `stream`: `files`, `already` (files of which
    there was nothing left to import) and `complete`, false if `stop()` ended it.

    :raises ImportFailed: with one line. What was committed stays, and the next import goes on from there.
    """
    start = time.monotonic()
    paths = {f"file:{name}" if name and path == STDIN else topic_of(path): path for path in files}
    gc.set_threshold(100_000, 50, 100)
    try:
        with migrate.connect(url) as connection:
            at = Imports(connection).begin(list(paths), again)
            writer = DatabaseWriter(url, capacity=settings.write_queue_batches, abandon=stop)
            job = _Job(settings, writer, stop, on_progress, list(paths.values()))
            try:
                for topic, path in paths.items():
                    job.file(topic, path, at[topic])
            except FileError:
                writer.close()  # what came before the damage stays
                raise
            writer.close()
    except KNOWN as problem:
        raise ImportFailed(str(problem)) from problem
    if not stop():
        sum_up(url, log.info)
    job.totals.seconds = round(time.monotonic() - start, 3)
    more = {"files": len(paths), "already": job.already, "complete": not stop()}
    return msgspec.to_builtins(job.totals) | more  # type: ignore[no-any-return]


class _Job:
    """One run over all files."""

    def __init__(
        self,
        settings: Settings,
        writer: DatabaseWriter,
        stop: Callable[[], bool],
        on_progress: OnProgress,
        paths: Sequence[str],
    ) -> None:
        self.settings = settings
        self.writer = writer
        self.stop = stop
        self.on_progress = on_progress
        self.totals = Totals()
        self.already = 0
        self._before = 0
        self._total = 0 if STDIN in paths else sum(Path(path).stat().st_size for path in paths)

    def file(self, topic: str, path: str, at: Checkpoint) -> None:
        """Import one file, or what is left of it."""
        partition = self._partition(topic, path, at)
        counts = partition.state.counts
        self.totals.resumed_at += counts.read
        if not self.stop():
            source = Input(path)
            try:
                if self._passed(source, at) and not self._read(source, partition, at):
                    self.already += 1
                self._before += source.packed()
            finally:
                source.close()
        self.totals.read += counts.read
        self.totals.applied += counts.applied
        self.totals.late += counts.late
        self.totals.duplicates += counts.duplicates
        self.totals.dead_letters += counts.dead

    def _partition(self, topic: str, path: str, at: Checkpoint) -> Partition:
        common = partition_config(self.settings)
        judge = JudgeConfig(enabled=False, thresholds=())
        config: PartitionConfig = msgspec.structs.replace(common, input=at.together, judge=judge)
        if at.state is None:
            return Partition(topic, 0, config)
        try:
            return Partition.resume(at.state, config)
        except StateError:
            raise ImportsError(
                f"{path} was begun by a newer Hindsight, or with other settings of panes and lateness: use those, "
                "or --again to read it from its start"
            ) from None

    def _passed(self, source: Input, at: Checkpoint) -> bool:
        """Pass over what was imported; False if that was stopped."""

        def moved() -> bool:
            self._tell(source, "checking")
            return not self.stop()

        return not at.size or source.pass_over(at.size, at.digest, moved)

    def _read(self, source: Input, partition: Partition, at: Checkpoint) -> bool:
        """Read to the end and write all; False if a finished file had nothing new."""
        position = Position(byte=at.size, line=at.lines, within=at.within_line)
        lines = LineReader(source.stream, position, self.settings.max_record_bytes)
        due, ended = time.monotonic() + EVERY, False
        while not ended and not self.stop():
            try:
                values, numbers = lines.read(self.settings.batch_size, final=True)
            except UNREADABLE as problem:
                raise FileError(f"{source.path}: line {position.line + 1}: {problem}") from None
            ended = not values
            if ended and at.finished and position.byte == at.size:
                return False
            mark = Mark.END if ended else Mark.DATA
            batch = Batch(partition.topic, 0, values, numbers, time.time_ns() // 1000, mark=mark)
            self.writer.put([_without_patterns(partition.process(batch))])
            now = time.monotonic()
            if ended or now >= due:
                self._note(source, partition, position, at, ended)
                due = time.monotonic() + max(EVERY, (time.monotonic() - now) / SHARE)
            self._tell(source, "importing", partition.state.counts.read)
        if not ended:
            self._note(source, partition, position, at, False)
        return True

    def _note(self, source: Input, partition: Partition, position: Position, at: Checkpoint, finished: bool) -> None:
        state = partition.snapshot()
        digest = source.digest(position.byte)
        now = Checkpoint(at.together, position.byte, position.line, position.within, digest, state, finished)
        self.writer.put([checkpoint(partition.topic, now)])

    def _tell(self, source: Input, doing: str, read: int = 0) -> None:
        done = self.totals.read + read - self.totals.resumed_at
        self.on_progress(Progress(source.path, doing, self._before + source.packed(), self._total, max(0, done)))


def _without_patterns(out: Output) -> Output:
    """The count of patterns is left as it is: a stream that has read the same file may have found some."""
    key = f"{out.batch.topic}\0{out.batch.partition}\0patterns\0".encode()
    out.sets.get(t.STREAM_COUNTERS.name, {}).pop(key, None)
    return out
