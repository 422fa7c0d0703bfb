"""Spool files: append-only JSON Lines that collectors write and the flow follows.

A spool is the embedded stand-in for a Kafka partition, and keeps its promise: what a reader has seen never
changes. So a torn last line (power cut, full disk) is closed with a line end, which costs one dead letter,
and never cut off.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SIZE_WARNING_BYTES = 1 << 30
"""A spool is never rotated; past this size (1 GiB), and at each doubling, the writer says so."""


class SpoolLockedError(RuntimeError):
    """Another process writes this spool."""


class SpoolWriter:
    """The only writer of one spool file, held by a lock that ends with the process.

    `sync_seconds`: the file is forced to disk at most that often, on an append; `None` leaves it to the
    operating system (a crash of the machine may then lose the last lines, a crash of the process never does).
    `on_large(text)` is told, in one line, when the file passes `size_warning` bytes.

    Raises :class:`SpoolLockedError` when another writer has the file, and `OSError` when it cannot be opened.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "host.jsonl"
    >>> with SpoolWriter(path) as spool:
    ...     spool.append([{"id": "1"}, {"id": "2"}])
    22
    >>> path.read_text()
    '{"id":"1"}\\n{"id":"2"}\\n'
    """

    def __init__(
        self,
        path: Path,
        *,
        sync_seconds: float | None = 1.0,
        size_warning: int = SIZE_WARNING_BYTES,
        on_large: Callable[[str], None] | None = None,
    ) -> None:
        self.path = path
        self._sync_seconds = sync_seconds
        self._warn_at = size_warning
        self._on_large = on_large
        self._synced_at = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise SpoolLockedError(f"{path} is being written by another process") from None
        self.size = os.fstat(self._fd).st_size
        self._torn = self.size > 0 and os.pread(self._fd, 1, self.size - 1) != b"\n"

    def append(self, events: Iterable[Mapping[str, Any]]) -> int:
        """Write the events as whole lines with one write call, and return the number of bytes written.

        Raises `ValueError` for a value that JSON cannot hold (nothing is written) and `OSError` (disk full):
        the lines before the torn one are then in the file, and the next append starts on a line of its own.
        """
        return self.append_lines(
            [json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() for event in events]
        )

    def append_lines(self, events: Iterable[bytes]) -> int:
        """`append` for events that are JSON already, each without a line end in it; raises `OSError` as it does."""
        lines = b"".join(event + b"\n" for event in events)
        if not lines:
            return 0
        # The first line end closes what a crash or a full disk has left torn.
        written = self._write(b"\n" + lines if self._torn else lines)
        self._sync()
        if self.size >= self._warn_at:
            self._warn_at = max(self._warn_at, self.size) * 2
            if self._on_large is not None:
                self._on_large(f"{self.path} has passed {self.size / (1 << 20):,.0f} MiB and is never rotated")
        return written

    def close(self) -> None:
        """Force the file to disk and give up the lock. Calling it again does nothing."""
        if self._fd >= 0:
            try:
                os.fsync(self._fd)
            finally:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, lines: bytes) -> int:
        left = memoryview(lines)
        while left:
            try:
                count = os.write(self._fd, left)
            except OSError:
                done = len(lines) - len(left)
                if done:
                    self._torn = lines[done - 1 : done] != b"\n"
                raise
            self.size += count
            left = left[count:]
        self._torn = False
        return len(lines)

    def _sync(self) -> None:
        if self._sync_seconds is not None and time.monotonic() - self._synced_at >= self._sync_seconds:
            os.fsync(self._fd)
            self._synced_at = time.monotonic()
