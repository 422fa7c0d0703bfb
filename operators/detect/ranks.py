"""A series' values as ranks among its own of about a week: what makes series of any unit and shape comparable."""

from bisect import bisect_left, bisect_right, insort

import msgspec

SAMPLES = 128
"""Values of a series that are kept to rank others by."""

SAMPLE_US = 5_400_000_000
"""Time between two of them: 90 minutes, eight days in all. A quarter of it until there are `SAMPLES`."""

EXTREME = 1e100
"""Values beyond are taken for this."""


class Axis(
    msgspec.Struct,
    gc=False,
    rename={"name": "n", "samples": "s", "taken": "t", "taken_us": "u", "seen": "k", "last": "l", "rank": "r"},
):
    """One series: a sample of its values in order, how many were ever taken and when the last one was, rows seen, the
    row that it was last in, and its rank there."""

    name: str
    samples: list[float]
    taken: int
    taken_us: int
    seen: int
    last: int
    rank: float = 0.5

    @property
    def at_rest(self) -> bool:
        """Whether the middle half of its values are one and the same."""
        return self.samples[len(self.samples) // 4] == self.samples[3 * len(self.samples) // 4]


def axis_at(name: str, row: int, time_us: int, value: float) -> Axis:
    """A series that is first seen with `value`, a number, in row number `row`."""
    return Axis(name, [float(max(-EXTREME, min(value, EXTREME)))], 1, time_us, 1, row)


def take(axis: Axis, row: int, time_us: int, value: float) -> None:
    """Rank a number among the past of its series (0 to 1, the middle of its equals), then keep it where one is due.

    >>> axis = axis_at("cpu", 0, 0, 5.0)
    >>> for row, value in enumerate([9.0, 7.0, 8.0], 1):
    ...     take(axis, row, row * SAMPLE_US, value)
    >>> axis.samples, round(axis.rank, 3)
    ([5.0, 7.0, 8.0, 9.0], 0.667)
    """
    value = float(max(-EXTREME, min(value, EXTREME)))
    samples = axis.samples
    axis.rank = (bisect_left(samples, value) + bisect_right(samples, value)) / (2.0 * len(samples))
    axis.last = row
    axis.seen += 1
    full = len(samples) >= SAMPLES
    if time_us - axis.taken_us >= (SAMPLE_US if full else SAMPLE_US / 4.0):
        if full:
            # Which one goes is even over the ranks and in no order of time, so that the oldest fade away.
            del samples[axis.taken * 79 % SAMPLES]
        insort(samples, value)
        axis.taken += 1
        axis.taken_us = time_us
