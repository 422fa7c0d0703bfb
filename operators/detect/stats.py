"""Small statistics that detectors share. Pure functions of floats; nothing here keeps state."""

import math
from collections.abc import Sequence

MAD_TO_SIGMA = 1.4826
"""Makes a median absolute deviation comparable with a standard deviation on Gaussian values (1 / 0.6745)."""

Z_ONE_SIDED_95 = 1.6448536269514722
"""The 0.95 quantile of the standard normal distribution."""


def median(ordered: Sequence[float]) -> float:
    """The median of a sorted, non-empty sequence.

    >>> median([1.0, 2.0, 4.0, 9.0])
    3.0
    """
    size = len(ordered)
    middle = size // 2
    if size % 2:
        return ordered[middle]
    return ordered[middle - 1] + (ordered[middle] - ordered[middle - 1]) / 2.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value at `share` (0 to 1) of a sorted, non-empty sequence, between neighbours by proportion (Hyndman-Fan 7).

    >>> quantile([0.0, 10.0, 20.0], 0.75)
    15.0
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    if below + 1 >= len(ordered):
        return ordered[-1]
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


def median_deviation(values: Sequence[float], centre: float) -> float:
    """The median absolute deviation of a non-empty sequence from `centre`, not scaled.

    >>> median_deviation([1.0, 2.0, 3.0, 100.0, 2.5], 2.5)
    0.5
    """
    return median(sorted([abs(value - centre) for value in values]))


def wilson_lower(failures: float, trials: float, z: float = Z_ONE_SIDED_95) -> float:
    """The lower bound of Wilson's score interval for a proportion, one-sided at 95 % unless `z` says otherwise.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927). With no trials
    nothing is known: 0.

    >>> round(wilson_lower(3, 10), 4)
    0.1269
    """
    if trials <= 0:
        return 0.0
    rate = failures / trials
    square = z * z / trials
    spread = z * math.sqrt((rate * (1.0 - rate) + square / 4.0) / trials)
    return max(0.0, (rate + square / 2.0 - spread) / (1.0 + square))
