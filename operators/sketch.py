"""A mergeable quantile sketch: the values themselves while they are few, then counts in log-linear buckets.

A bucket is a double's sign, exponent and leading mantissa bits, that is its bit pattern shifted right: HdrHistogram's
buckets, found without a logarithm. Too many buckets halve the resolution, as OpenTelemetry's exponential histogram
does. The content depends only on the set of values, not on their order or grouping, which is what replays need; KLL
and t-digest of the well-kept `datasketches` do not promise that, and Datadog's `ddsketch` keeps 2 KB for one value.

Not for values whose absolute, rather than relative, error matters: near zero the buckets get arbitrarily fine.
"""

import struct
from array import array
from collections import Counter
from collections.abc import Iterable
from math import copysign, isfinite, nan

import msgspec

MAX_FINITE = 1.7976931348623157e308
EXACT = 32
"""Up to so many values are stored as they are: quantiles of few runs are exact."""
HELD = 64
"""Up to so many are held as they are in memory: a minute of seconds is counted once, when it is stored."""
SHIFT = 46
"""Bits of a double that a bucket drops: 52 - 46 = 6 mantissa bits stay, so a bucket is at most 1/64 wide, and its
middle at most 0.8 % from any value in it."""
MOST_BUCKETS = 320
"""Beyond this many the resolution is halved, until they fit."""


class Sketch(msgspec.Struct, rename={"values": "v", "shift": "s", "buckets": "b"}, omit_defaults=True):
    """Either `values` (at most `HELD`, in any order) or `buckets`: count by bucket, negative ones for negative values.

    >>> sketch = Sketch.of([1.0, 2.0, 3.0, 4.0, 100.0])
    >>> sketch.quantile(0.5), sketch.quantile(1.0)
    (3.0, 100.0)
    >>> round(Sketch.of([float(value) for value in range(1, 1001)]).quantile(0.95))
    948
    """

    values: list[float] = []
    shift: int = SHIFT
    buckets: dict[int, int] = {}

    @classmethod
    def of(cls, values: list[float]) -> "Sketch":
        """The sketch of finite values; the list is taken over."""
        sketch = cls(values)
        if len(values) > HELD:
            sketch._count_all()
        return sketch

    def merge(self, other: "Sketch") -> None:
        """Take in another sketch: the same as if all of its values had been put into this one."""
        if not other.values and not other.buckets:
            return
        if not self.buckets and not other.buckets and len(self.values) + len(other.values) <= HELD:
            self.values = self.values + other.values
            return
        self._count_all()
        if other.values:
            steps = self.shift - SHIFT
            self._count((bucket >> steps, 1) for bucket in _buckets(other.values))
        else:
            if other.shift > self.shift:
                self._coarsen(other.shift - self.shift)
            steps = self.shift - other.shift
            self._count((bucket >> steps, count) for bucket, count in other.buckets.items())
        if len(self.buckets) > MOST_BUCKETS:
            self._shrink()

    def copy(self) -> "Sketch":
        """An independent copy."""
        return Sketch(self.values[:], self.shift, dict(self.buckets))

    def counted(self) -> "Sketch":
        """The same with its values counted."""
        return self if not self.values else Sketch([], SHIFT, dict(Counter(_buckets(self.values))))

    def quantile(self, q: float) -> float:
        """One of `quantiles`."""
        return self.quantiles(q)[0]

    def quantiles(self, *wanted: float) -> list[float]:
        """The values of rank `q * (n - 1)`, rounded down, for rising q in [0, 1].

        Within 0.8 % when counted at full resolution; below 1e-307, where a bucket is wider than the number itself, the
        error is absolute. NaN of an empty sketch.
        """
        if self.values:
            ordered = sorted(self.values)
            return [ordered[int(q * (len(ordered) - 1))] for q in wanted]
        counted = sorted((_middle(bucket, self.shift), count) for bucket, count in self.buckets.items())
        total = sum(self.buckets.values())
        found: list[float] = []
        seen = 0
        for value, count in counted:
            seen += count
            while len(found) < len(wanted) and seen > wanted[len(found)] * (total - 1):
                found.append(value)
        return found + [nan] * (len(wanted) - len(found))

    def _count(self, pairs: Iterable[tuple[int, int]]) -> None:
        mine = self.buckets
        for bucket, count in pairs:
            mine[bucket] = mine.get(bucket, 0) + count

    def _count_all(self) -> None:
        """From values to buckets."""
        if self.values:
            self.buckets = dict(Counter(_buckets(self.values)))
            self.values = []
            if len(self.buckets) > MOST_BUCKETS:
                self._shrink()

    def _shrink(self) -> None:
        while len(self.buckets) > MOST_BUCKETS:
            self._coarsen(1)

    def _coarsen(self, steps: int) -> None:
        fine, self.buckets = self.buckets, {}
        self._count((bucket >> steps, count) for bucket, count in fine.items())
        self.shift += steps


def _buckets(values: list[float]) -> list[int]:
    return [bits >> SHIFT for bits in memoryview(array("d", values)).cast("B").cast("q").tolist()]


def _middle(bucket: int, shift: int) -> float:
    """The value in the middle of a bucket: of the first and the last bit pattern in it. Zero is shown as zero."""
    first = bucket << shift
    ends = memoryview(array("q", [first, first + (1 << shift) - 1])).cast("B").cast("d").tolist()
    if bucket in (0, -1 << (63 - shift)):
        return ends[0]
    # The top bucket of a coarse sketch reaches into the patterns that are no numbers.
    return ends[0] / 2 + (ends[1] if isfinite(ends[1]) else copysign(MAX_FINITE, ends[0])) / 2


_DOUBLES = [struct.Struct(f"<{count}d").pack for count in range(EXACT + 1)]


def encode(sketch: Sketch) -> bytes:
    """As stored in `rollups_….sketch`: equal sketches are equal bytes.

    A byte 0 and sorted little-endian doubles, or a byte 1 and msgpack of the shift and the sorted buckets.
    """
    if 0 < len(sketch.values) <= EXACT:
        return b"\0" + _DOUBLES[len(sketch.values)](*sorted(sketch.values))
    if sketch.values:
        sketch = sketch.counted()
    return b"\1" + msgspec.msgpack.encode([sketch.shift, sorted(sketch.buckets.items())])


def decode(raw: bytes) -> Sketch:
    """The sketch that `encode` wrote."""
    if raw[0] == 0:
        return Sketch(list(struct.unpack(f"<{len(raw) // 8}d", raw[1:])))
    shift, pairs = msgspec.msgpack.decode(raw[1:], type=tuple[int, list[tuple[int, int]]])
    return Sketch([], shift, dict(pairs))
