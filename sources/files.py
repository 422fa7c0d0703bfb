"""JSON Lines files as a source: plain, `.gz` or standard input, read once or followed; one partition each."""

import gzip
import logging
import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import msgspec
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.records import Batch, Mark, key_of

log = logging.getLogger(__name__)

STDIN = "-"
IDLE_EVERY = 1.0
"""Seconds between the idle ticks of a followed file."""
POLL = 0.05
"""Seconds between looks at a followed file that has not grown."""

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading raises when a file, or its compression, is damaged."""

Item = tuple[str, Batch]


class FileError(Exception):
    """The input can't be read, or is not the file that the recovery state speaks of."""


class Position(msgspec.Struct):
    """Where a file is read on: bytes (of the uncompressed text) and lines so far, and whether its end was processed."""

    byte: int = 0
    line: int = 0
    ended: bool = False
    within: bool = False
    """In the middle of a line that was too long and has been handed on: what is left of it is passed over."""


def topic_of(path: str) -> str:
    """The input's name in counters, metrics and dead letters: `file:` and the absolute path.

    >>> topic_of("-")
    'file:-'
    """
    return "file:-" if path == STDIN else f"file:{os.path.abspath(path)}"


def open_input(path: str) -> BinaryIO:
    """An input for reading its uncompressed bytes.

    :raises FileError: with one line that says what is wrong.
    """
    if path == STDIN:
        return sys.stdin.buffer
    try:
        if path.endswith(".gz"):
            return gzip.open(path, "rb")  # type: ignore[return-value]  # GzipFile is a BinaryIO in all but name
        return open(path, "rb")
    except OSError as problem:
        raise FileError(f"{path}: {problem.strerror or problem}") from None


class LineReader:
    """Whole lines of a stream, a batch at a time, with no line held beyond a limit.

    A longer line is handed on as far as the limit goes and passed over from there: the partition step makes a dead
    letter of what it gets, which is still longer than its own limit.
    """

    def __init__(self, stream: BinaryIO, position: Position, most_bytes: int) -> None:
        self._stream = stream
        self._most = most_bytes + 2
        self.position = position
        self._partial = b""

    def read(self, most_lines: int, *, final: bool) -> tuple[list[bytes | None], list[int]]:
        """Up to so many lines that are there, without their ends, and their numbers. Blank lines are not records.

        A last line without an end is returned only if `final`: in a file that grows it is not complete yet.
        """
        values: list[bytes | None] = []
        numbers: list[int] = []
        position = self.position
        while len(values) < most_lines:
            raw = self._stream.readline(self._most - len(self._partial))
            if self._partial:
                raw, self._partial = self._partial + raw, b""
            if not raw:
                break
            complete = raw.endswith(b"\n")
            if position.within:
                position.byte += len(raw)
                position.within = not complete
                continue
            if not complete and len(raw) < self._most and not final:
                self._partial = raw
                break
            position.within = not complete and len(raw) >= self._most
            position.byte += len(raw)
            position.line += 1
            line = raw.rstrip(b"\r\n") if raw.endswith(b"\n") else raw
            if line and not line.isspace():
                values.append(line)
                numbers.append(position.line)
        return values, numbers


class FilePartition(StatefulSourcePartition[Item, bytes]):
    """One file. Its snapshot is its position."""

    def __init__(
        self,
        path: str,
        snapshot: bytes | None,
        *,
        batch_size: int,
        most_bytes: int,
        follow: bool,
        stop: Callable[[], bool],
    ) -> None:
        self._path = path
        self._topic = topic_of(path)
        self._key = key_of(self._topic, 0)
        self._batch_size = batch_size
        self._follow = follow
        self._stop = stop
        self._position = msgspec.msgpack.decode(snapshot, type=Position) if snapshot else Position()
        self._stream = open_input(path)
        self._seek()
        self._reader = LineReader(self._stream, self._position, most_bytes)
        self._awake: datetime | None = None
        self._idle_at = 0.0

    def next_batch(self) -> list[Item]:
        """The next lines as one item; at the end of the file one that closes its panes, then no more."""
        if self._stop():
            raise StopIteration
        try:
            values, numbers = self._reader.read(self._batch_size, final=not self._follow)
        except UNREADABLE as problem:
            raise FileError(f"{self._path}: line {self._position.line + 1}: {problem}") from None
        self._awake = None
        if values:
            self._position.ended = False
            return [self._item(values, numbers, Mark.DATA)]
        if not self._follow:
            if self._position.ended:
                raise StopIteration
            self._position.ended = True
            return [self._item([], [], Mark.END)]
        self._check_rotation()
        self._awake = datetime.now(UTC) + timedelta(seconds=POLL)
        now = time.monotonic()
        if self._position.line and now >= self._idle_at:
            self._idle_at = now + IDLE_EVERY
            return [self._item([], [], Mark.IDLE)]
        return []

    def next_awake(self) -> datetime | None:
        """At once while there are lines, later when a followed file has no more."""
        return self._awake

    def snapshot(self) -> bytes:
        """The position after the last batch."""
        return msgspec.msgpack.encode(self._position)

    def close(self) -> None:
        """Close the file."""
        if self._path != STDIN:
            self._stream.close()

    def _item(self, values: list[bytes | None], numbers: Sequence[int], mark: Mark) -> Item:
        return self._key, Batch(self._topic, 0, values, numbers, time.time_ns() // 1000, mark=mark)

    def _seek(self) -> None:
        """Go to where the recovery state says. Standard input can't be read again: it goes on with what comes."""
        wanted = self._position.byte
        if not wanted or self._path == STDIN:
            return
        plain = not self._path.endswith(".gz")
        size = os.fstat(self._stream.fileno()).st_size if plain else None
        if size is not None and size < wanted:
            raise FileError(
                f"{self._path} has {size} bytes, but was already read up to {wanted}: it is another file now; "
                "use a new --recovery-dir to read it from its start"
            )
        try:
            reached = self._stream.seek(wanted)
        except UNREADABLE as problem:
            raise FileError(f"{self._path}: {problem}, before the position that was reached") from None
        if reached != wanted:
            raise FileError(f"{self._path} is shorter than what was already read of it: use a new --recovery-dir")

    def _check_rotation(self) -> None:
        if self._path == STDIN or self._path.endswith(".gz"):
            return
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return
        here = os.fstat(self._stream.fileno())
        if there.st_size < self._position.byte or (there.st_ino, there.st_dev) != (here.st_ino, here.st_dev):
            raise FileError(f"{self._path} was truncated or replaced while it was followed: lines may be missing")


class FileSource(FixedPartitionedSource[Item, bytes]):
    """Files as partitions of one source. `stop` ends it early and leaves the panes open for the next run."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        batch_size: int = 5000,
        most_bytes: int = 1 << 20,
        follow: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._paths = {topic_of(path): path for path in paths}
        self._options = {"batch_size": batch_size, "most_bytes": most_bytes, "follow": follow, "stop": stop}

    def list_parts(self) -> list[str]:
        """One part a file."""
        return list(self._paths)

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> FilePartition:  # noqa: ARG002 -- Bytewax's interface
        """A file from where it was left."""
        if for_part not in self._paths:
            raise FileError(f"the recovery directory belongs to another input ({for_part}): use a new --recovery-dir")
        return FilePartition(self._paths[for_part], resume_state, **self._options)  # type: ignore[arg-type]


__all__ = ["FileError", "FileSource", "LineReader", "Position", "open_input", "topic_of"]
