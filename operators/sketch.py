"""A mergeable quantile sketch with a bounded relative error: counts in log-linear buckets.

A bucket is a double's sign, exponent and leading mantissa bits, that is its bit pattern shifted right: HdrHistogram's
buckets, found without a logarithm. Too many buckets halve the resolution, as OpenTelemetry's exponential histogram
does. The content depends only on the set of values, not on their order or grouping, which is what replays need; KLL
and t-digest of the well-kept `datasketches` do not promise that, and Datadog's `ddsketch` keeps 2 KB for one value.

Not for values whose absolute, rather than relative, error matters: near zero the buckets get arbitrarily fine.
"""

from array import array
from collections import Counter
from collections.abc import Iterable

import msgspec

SHIFT = 46
"""Bits of a double that a bucket drops: 52 - 46 = 6 mantissa bits stay, so a bucket is at most 1/64 wide, and its
middle at most 0.8 % from any value in it."""
MOST_BUCKETS = 320
"""Beyond this many the resolution is halved, until they fit."""

Buckets = dict[int, int]
"""Count by bucket. Negative values have negative buckets: the sign bit stays the sign."""


class Sketch(msgspec.Struct, rename={"shift": "s", "buckets": "b"}, omit_defaults=True):
    """Counts by bucket at a resolution.

    >>> sketch = Sketch.of([1.0, 2.0, 3.0, 4.0, 100.0])
    >>> round(sketch.quantile(0.5), 1), round(sketch.quantile(1.0))
    (3.0, 100)
    """

    shift: int = SHIFT
    buckets: Buckets = {}  # noqa: RUF012 -- msgspec copies an empty default for each instance

    @classmethod
    def of(cls, values: Iterable[float]) -> "Sketch":
        """The sketch of finite values."""
        bits = memoryview(array("d", values)).cast("B").cast("q").tolist()
        sketch = cls(SHIFT, dict(Counter([pattern >> SHIFT for pattern in bits])))
        if len(sketch.buckets) > MOST_BUCKETS:
            sketch._shrink()
        return sketch

    def merge(self, other: "Sketch") -> None:
        """Take in another sketch: the same as if all of its values had been put into this one."""
        if other.shift > self.shift:
            self._coarsen(other.shift - self.shift)
        mine = self.buckets
        steps = self.shift - other.shift
        for bucket, count in other.buckets.items():
            at = bucket >> steps
            mine[at] = mine.get(at, 0) + count
        if len(mine) > MOST_BUCKETS:
            self._shrink()

    def quantile(self, q: float) -> float:
        """The value at quantile q in [0, 1], within 0.8 % (at full resolution) of a true one; NaN of an empty sketch.

        Where half a bucket is wider than the number itself (below 1e-307) the error is absolute.
        """
        rank = q * (sum(self.buckets.values()) - 1)
        seen = 0
        for value, count in sorted((_middle(bucket, self.shift), count) for bucket, count in self.buckets.items()):
            seen += count
            if seen > rank:
                return value
        return float("nan")

    def _shrink(self) -> None:
        while len(self.buckets) > MOST_BUCKETS:
            self._coarsen(1)

    def _coarsen(self, steps: int) -> None:
        coarse: Buckets = {}
        for bucket, count in self.buckets.items():
            at = bucket >> steps
            coarse[at] = coarse.get(at, 0) + count
        self.buckets = coarse
        self.shift += steps


def _middle(bucket: int, shift: int) -> float:
    """The value in the middle of a bucket: of the first and the last bit pattern in it. Zero is shown as zero."""
    first = bucket << shift
    ends = memoryview(array("q", [first, first + (1 << shift) - 1])).cast("B").cast("d").tolist()
    return ends[0] if bucket in (0, -1 << (63 - shift)) else ends[0] / 2 + ends[1] / 2


def encode(sketch: Sketch) -> bytes:
    """As stored in `metric_rollups.sketch`: msgpack, sorted, so that equal sketches are equal bytes."""
    return msgspec.msgpack.encode([sketch.shift, sorted(sketch.buckets.items())])


def decode(raw: bytes) -> Sketch:
    """The sketch that `encode` wrote."""
    shift, pairs = msgspec.msgpack.decode(raw, type=tuple[int, list[tuple[int, int]]])
    return Sketch(shift, dict(pairs))
