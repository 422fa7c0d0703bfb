"""`hindsight publish` without its command line: check JSON Lines events and send them to their topics."""

from __future__ import annotations

import gzip
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, cast

from operators.encode import encode
from operators.events import Rejected, decode, route
from operators.pgcopy import micros
from sinks.kafka import KafkaWriteError, KafkaWriter, NotAcknowledged

READ_BYTES = 1 << 16


class PublishError(Exception):
    """One line: what stopped the publishing, and how far it was."""

    one_line = True


class Line(NamedTuple):
    """A line of the input: its number from 1, and its bytes without the line end (cut where they are too many)."""

    number: int
    raw: bytes


class Invalid(NamedTuple):
    """A line that breaks the contract."""

    number: int
    reason: str
    detail: str


class Addressed(NamedTuple):
    """A valid event and where it goes."""

    topic: str
    key: bytes
    raw: bytes


class Limits(NamedTuple):
    """What a record may be: its bytes, and how far (seconds) its time may be ahead of the clock."""

    most_bytes: int = 1_048_576
    future_s: float = 300.0


def read_lines(stream: BinaryIO, most_bytes: int) -> Iterator[Line]:
    """The lines that are not blank; of one longer than `most_bytes`, a little more than that many bytes.

    >>> import io
    >>> [line.number for line in read_lines(io.BytesIO(b"a\\n\\nb"), 10)]
    [1, 3]
    """
    number = 0
    while raw := stream.readline(most_bytes + 2):
        number += 1
        rest = raw
        while not rest.endswith(b"\n") and (rest := stream.readline(READ_BYTES)):
            pass
        raw = raw.rstrip(b"\r\n")
        if raw.strip():
            yield Line(number, raw)


def address(line: Line, prefix: str, limits: Limits, now_s: float) -> Addressed | Invalid:
    """Check an event as the flow will (`now_s`: seconds since 1970), and say where it goes.

    >>> address(Line(7, b"{}"), "hindsight", Limits(), 0.0)
    Invalid(number=7, reason='bad_envelope', detail='Object missing required field `type`')
    """
    try:
        if len(line.raw) > limits.most_bytes:
            raise Rejected("too_large", f"the limit is {limits.most_bytes} bytes")
        event = decode(line.raw)
        encode(event)
        ahead_s = micros(event.time) / 1e6 - now_s
        if ahead_s > limits.future_s:
            raise Rejected("time_in_future", f"{ahead_s:.0f} s ahead of the clock")
        kind, key = route(event)
    except Rejected as problem:
        return Invalid(line.number, problem.reason, problem.detail)
    return Addressed(f"{prefix}.events.{kind}.v1", key.encode(), line.raw)


class Checked:
    """What a check found: valid events by topic, and the first invalid lines (`kept` of them) with all their counts."""

    def __init__(self, kept: int = 50) -> None:
        self.topics: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.listed: list[Invalid] = []
        self._kept = kept

    @property
    def valid(self) -> int:
        """Number of valid events."""
        return self.topics.total()

    @property
    def invalid(self) -> int:
        """Number of invalid lines."""
        return self.reasons.total()

    def addressed(
        self, lines: Iterable[Line], prefix: str, limits: Limits, on_line: Callable[[], None]
    ) -> Iterator[Addressed]:
        """The valid events of `lines`, counted as they pass; `on_line` is called for each line."""
        for line in lines:
            found = address(line, prefix, limits, time.time())
            on_line()
            if isinstance(found, Addressed):
                self.topics[found.topic] += 1
                yield found
                continue
            self.reasons[found.reason] += 1
            if len(self.listed) < self._kept:
                self.listed.append(found)


class Stalled:
    """True once waiting, which asks often, has seen no record acknowledged for `timeout_s` seconds."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._count = -1
        self._since = 0.0
        self._asked = 0.0
        self.writer: KafkaWriter | None = None

    def __call__(self) -> bool:
        """Whether to give up."""
        count = self.writer.acknowledged if self.writer else 0
        now = time.monotonic()
        if count != self._count or now - self._asked > 1:
            self._count, self._since = count, now
        self._asked = now
        return now - self._since > self._timeout_s


def send(writer: KafkaWriter, events: Iterable[Addressed]) -> int:
    """Send events in their order and wait until all are acknowledged; how many.

    :raises PublishError: when the brokers stop acknowledging or refuse, with how many were taken.
    """
    try:
        for event in events:
            writer.send(event.topic, event.key, event.raw)
        writer.flush()
    except NotAcknowledged as problem:
        raise PublishError(f"{problem}; {writer.acknowledged} were") from None
    except KafkaWriteError as problem:
        raise PublishError(f"{problem} (events sent before: {writer.acknowledged})") from None
    return writer.acknowledged


@contextmanager
def unpacked(raw: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """The uncompressed bytes of an open file, by its name (`.gz`).

    :raises PublishError: when reading within the `with` fails.
    """
    try:
        if not name.endswith(".gz"):
            yield raw
            return
        with gzip.GzipFile(fileobj=raw) as stream:
            yield cast(BinaryIO, stream)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise PublishError(f"{name} is not a whole gzip file: {problem}") from None
    except OSError as problem:
        raise PublishError(f"{name} cannot be read: {problem.strerror or problem}") from None
