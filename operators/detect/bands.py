"""A band of a series: what it did in the last minutes against the last hours."""

import msgspec

CHANGE_RATE = 0.01
"""Learning rate of the usual size of a change and of the share of rows without one."""

EXTREME = 1e100
"""Values beyond are taken for this, so that products of squares stay finite."""


class Channel(
    msgspec.Struct,
    gc=False,
    rename={
        "name": "n",
        "fast": "f",
        "slow": "s",
        "one": "b",
        "two": "a",
        "seen": "k",
        "last": "l",
        "anew": "x",
        "step": "d",
        "rests": "r",
    },
):
    """One series: its means, the last value and the one before, rows seen, the row it was last in, whether a gap makes
    its means start anew, the usual size of its changes, and the share of rows without one."""

    name: str
    fast: float
    slow: float
    one: float
    two: float
    seen: int = 0
    last: int = 0
    anew: bool = False
    step: float = 0.0
    rests: float = 0.0


def channel_at(name: str, row: int, value: float) -> Channel:
    """A series that is first seen with `value`, in row number `row`."""
    start = float(max(-EXTREME, min(value, EXTREME)))
    return Channel(name, start, start, start, start, 0, row)


def move(channel: Channel, row: int, value: float, fast_rate: float, slow_rate: float, anew: bool) -> None:
    """Move a series' means by its value in row number `row`, a number; `anew` sets both to it.

    What moves them is the median of the last three values: an outlier of one row moves nothing, a shift waits for a
    row. While fewer rows were seen than the memories are long, the means are plain ones.

    >>> channel = channel_at("cpu", 0, 5.0)
    >>> for row, value in enumerate([5.0, 5.0, 900.0, 5.0, 8.0, 8.0], 1):
    ...     move(channel, row, value, 0.5, 0.01, False)
    >>> channel.fast, channel.slow, channel.seen
    (7.25, 5.625, 6)
    """
    value = float(max(-EXTREME, min(value, EXTREME)))
    if anew:
        channel.fast = channel.slow = channel.one = channel.two = value
        channel.anew = False
    channel.last = row
    channel.seen += 1
    one, two = channel.one, channel.two
    change = abs(value - one)
    if change:
        channel.rests -= CHANGE_RATE * channel.rests
        step = channel.step or change
        channel.step = step + CHANGE_RATE * (min(change, 4.0 * step) - step)
    else:
        channel.rests += CHANGE_RATE * (1.0 - channel.rests)
    middle = max(min(one, two), min(max(one, two), value))
    channel.two, channel.one = one, value
    channel.fast += max(fast_rate, 1.0 / channel.seen) * (middle - channel.fast)
    channel.slow += max(slow_rate, 1.0 / channel.seen) * (channel.fast - channel.slow)
