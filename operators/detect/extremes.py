"""The law of maxima: how far a score goes by accident, learned from how far it went."""

import math
from collections.abc import Sequence

from operators.detect.stats import quantile

LOW, MIDDLE, HIGH = 0.1, 0.5, 0.8
"""Quantiles of the maxima that are fitted. The top fifth is left out: some of them were no accidents."""

SHAPE = 0.1
"""The shape to begin with: a somewhat heavy tail."""

SHAPE_MAXIMA = 100
"""How many maxima the shape to begin with is worth."""

HEAVIEST = 0.4
"""Greatest shape; the least is 0 (Gumbel): no score is taken for bounded."""


def extreme(maxima: Sequence[float], blocks: float, heaviest: float = HEAVIEST) -> float:
    """The level that maxima of blocks exceed by accident once in `blocks` blocks. At least two maxima.

    A generalised extreme value law through three quantiles of the maxima, its shape shrunk to `SHAPE` (de Haan &
    Ferreira, "Extreme Value Theory", 2006, section 1.1 for the law). It is not efficient, but up to a fifth of the
    blocks may hold real trouble without moving it. `heaviest`: the greatest shape; 0 takes the law for Gumbel's.

    >>> gumbel = [-math.log(-math.log((i + 0.5) / 1000)) for i in range(1000)]
    >>> 9.0 < extreme(gumbel, 10_000) < 11.0
    True
    """
    ordered = sorted(maxima)
    low, middle, high = quantile(ordered, LOW), quantile(ordered, MIDDLE), quantile(ordered, HIGH)
    if high - low <= 1e-12 * abs(high):
        return high
    count = len(ordered)
    shape = _shape((high - middle) / max(middle - low, 1e-12 * abs(high)))
    shape = min(max((count * shape + SHAPE_MAXIMA * SHAPE) / (count + SHAPE_MAXIMA), 0.0), heaviest)
    scale = (high - low) / (_standard(HIGH, shape) - _standard(LOW, shape))
    return middle + scale * (_standard(1.0 - 1.0 / blocks, shape) - _standard(MIDDLE, shape))


def _standard(share: float, shape: float) -> float:
    """The quantile at `share` of the standard law of this shape."""
    gumbel = -math.log(-math.log(share))
    return math.expm1(shape * gumbel) / shape if abs(shape) > 1e-6 else gumbel


def _shape(ratio: float) -> float:
    """The shape whose upper distance of quantiles is `ratio` times the lower one; between -0.5 and 1, by bisection."""
    least, most = -0.5, 1.0
    for _ in range(30):
        shape = (least + most) / 2.0
        middle = _standard(MIDDLE, shape)
        if (_standard(HIGH, shape) - middle) < ratio * (middle - _standard(LOW, shape)):
            least = shape
        else:
            most = shape
    return (least + most) / 2.0
