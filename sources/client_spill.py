"""Where events of :class:`sources.client.Client` go that could not be sent: a JSON Lines file.

The file is opened for each write, so it may be moved away at any time and what is in it sent by `hindsight publish`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path


def spill(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines, and force them to the disk; several threads and processes may do it at a time.

    Raises `OSError` where they can't be written; then none of them counts as written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "spill.jsonl"
    >>> spill(path, [b'{"id":"1"}']), spill(path, [b'{"id":"2"}'])
    (None, None)
    >>> path.read_text()
    '{"id":"1"}\\n{"id":"2"}\\n'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not readable to others: events may say what is nobody else's business.
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        # A line that a crash has torn is closed, so that it costs itself alone.
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        left = memoryview((b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines))
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        # A process forked meanwhile has this handle too, and would keep the lock that a close alone leaves.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)
