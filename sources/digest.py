"""A stream that remembers a digest of what was read of it, so that a later reader can tell whether it is the same."""

import io
from collections.abc import Callable
from hashlib import blake2b

from sources.files import UNREADABLE, FileError, open_input

BLOCK = 1 << 20
"""Bytes that are read, and hashed, at once."""


class Digested(io.RawIOBase):
    """Reads another stream and hashes it on the way, block by block. Wrap it in a BufferedReader of `BLOCK` bytes.

    >>> stream = Digested(io.BytesIO(b"one\\ntwo\\n"))
    >>> io.BufferedReader(stream, BLOCK).readline(), stream.digest(4) == blake2b(b"one\\n", digest_size=16).digest()
    (b'one\\n', True)
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._before = blake2b(digest_size=16)
        self._start = 0
        self._block = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a BufferedReader gives a memoryview
        """The next bytes of the stream."""
        count = self._stream.readinto1(buffer)
        self._before.update(self._block)
        self._start += len(self._block)
        self._block = bytes(buffer[:count])
        return count

    def digest(self, size: int) -> bytes:
        """The digest of the first `size` bytes, whose end is in the last block read, as that of any line just read."""
        hashed = self._before.copy()
        hashed.update(self._block[: size - self._start])
        return hashed.digest()


class Input:
    """A file of events (plain, `.gz` or `-`) that is read on from where an earlier reader had come."""

    def __init__(self, path: str) -> None:
        """Raises `sources.files.FileError` when it can't be opened."""
        self.path = path
        self._opened = open_input(path)
        self._digested = Digested(self._opened)  # type: ignore[arg-type]  # both readers of open_input are buffered
        self.stream = io.BufferedReader(self._digested, BLOCK)

    def pass_over(self, size: int, digest: bytes, moved: Callable[[], bool]) -> bool:
        """Go to the end of the first `size` bytes. They must have this digest, else it is another file now.

        :returns: False if `moved`, which is called once a block, did not want to go on.
        :raises FileError: with one line, if they differ or there are fewer.
        """
        left = size
        try:
            while left:
                block = self.stream.read(min(BLOCK, left))
                if not block:
                    raise FileError(f"{self.path} ends {left:,} bytes before what was imported of it: it has changed")
                left -= len(block)
                if not moved():
                    return False
        except UNREADABLE as problem:
            raise FileError(f"{self.path}: {problem}") from None
        if self.digest(size) != digest:
            raise FileError(f"{self.path} is not what it was when its first {size:,} bytes were imported")
        return True

    def digest(self, size: int) -> bytes:
        """The digest of the first `size` bytes, up to the line just read."""
        return self._digested.digest(size)

    def packed(self) -> int:
        """Bytes read of the file as it lies on the disk; 0 where that can't be told."""
        inner = getattr(self._opened, "fileobj", self._opened)
        return int(inner.tell()) if self.path != "-" else 0

    def close(self) -> None:
        """Close the file; standard input stays."""
        if self.path != "-":
            self._opened.close()
