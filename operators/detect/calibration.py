"""From a detector's strength to a confidence that means what it says: a rising line through a few measured knots.

Of patterns told with a confidence of 0.9, nine in ten should be right. How strong a score must be for that is not in
the detector's formula: it is measured, on synthetic streams with known faults and without (real ones have faults that
nobody labelled). `python benchmarks/shapes.py
--calibrate DETECTOR` does so and prints knots that a detector holds as a constant:

1. strength is score / threshold at the moment a pattern opens;
2. each opening is marked: it overlaps an injected fault, or it does not;
3. openings are weighed to a base rate, **one fault each 4,000 values of a series** (two weeks at 5 minutes), all
   shapes that the detector sees being alike often, and all kinds of background alike common;
4. the share of right ones is made to rise with strength (isotonic regression by pooling adjacent violators), and cut
   down to few knots; beside them the calibration error is told on each kind of background when it is left out of the
   fit.

It does not work well where life is far from those assumptions: with half as many faults a 0.9 is worth 0.82, with a
tenth 0.47 (odds scale with the rate of faults), and on a background of a sort that was not among the measured ones
nothing is known.
"""

import itertools
from collections.abc import Sequence

Knots = Sequence[tuple[float, float]]
"""Pairs of strength and confidence, rising in both; at least one."""


def confident(knots: Knots, strength: float) -> float:
    """The confidence at a strength (score / threshold): linear between knots, flat beyond the first and the last one.

    >>> knots = ((1.0, 0.6), (2.0, 0.9))
    >>> confident(knots, 0.5), confident(knots, 1.5), confident(knots, 80.0)
    (0.6, 0.75, 0.9)
    """
    below, least = knots[0]
    if not strength > below:
        return least
    for above, most in knots:
        if strength < above:
            return least + (most - least) * (strength - below) / (above - below)
        below, least = above, most
    return least


def check_knots(knots: Knots) -> Knots:
    """The same knots. Raises ValueError unless strengths rise, and confidences don't fall and lie in [0, 1].

    >>> check_knots(((1.0, 0.9), (2.0, 0.8)))
    Traceback (most recent call last):
        ...
    ValueError: knots must rise: ((1.0, 0.9), (2.0, 0.8))
    """
    pairs = list(knots)
    rising = all(a[0] < b[0] and a[1] <= b[1] for a, b in itertools.pairwise(pairs))
    if not pairs or not rising or not all(0.0 <= confidence <= 1.0 for _, confidence in pairs):
        raise ValueError(f"knots must rise: {knots}")
    return knots
