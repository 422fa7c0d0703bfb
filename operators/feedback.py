"""What people's verdicts do to detection: a threshold per series and detector that moves with them.

Each `false_positive` makes the detector's threshold in that series higher by `HIGHER`, each `expected` by
`MUCH_HIGHER`, each `true_positive` lower by `LOWER`; never below `FLOOR` times what it was, nor above `CEILING` times.
A verdict counts from the time it was given on: a replay judges what came before without it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from operators.detect.verdict import Verdict

HIGHER = 1.25
"""Factor of a false alarm: three of them double the threshold."""

MUCH_HIGHER = 1.5
"""Factor of "true, but expected": nobody wants to hear of it again, whatever the detector's merit."""

LOWER = 0.95
"""Factor of a true alarm: what is right need not shout, yet one right alarm is weak evidence of what it misses."""

FLOOR = 0.8
"""A threshold never falls below this share of the shipped one, however many verdicts say that it is right."""

CEILING = 4.0
"""Nor does it rise beyond this: a detector is not switched off by labels, only by configuration."""

WEIGHTS: Mapping[str, float] = {"false_positive": HIGHER, "expected": MUCH_HIGHER, "true_positive": LOWER}

MOST_CONFIDENT = 0.999
"""No factor makes a verdict surer than this."""


class Label(NamedTuple):
    """A person's verdict about a pattern of one series and detector, given at a time (µs since 1970)."""

    entity: str
    measure: str
    detector: str
    verdict: str
    time_us: int


class Adjustments:
    """Threshold factors by series and detector, as verdicts moved them in the course of time.

    >>> series = ("web", "cpu_usage", "spike")
    >>> adjustments = Adjustments([Label(*series, "false_positive", 10), Label(*series, "expected", 20)])
    >>> [adjustments.factor(*series, time) for time in (9, 10, 20)]
    [1.0, 1.25, 1.875]
    """

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._steps: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}
        self.replace(labels)

    def replace(self, labels: Iterable[Label]) -> None:
        """Take these labels instead of all before. May be called from another thread: readers see the old or the
        new."""
        steps: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}
        for label in sorted(labels, key=lambda label: (label.time_us, label.verdict)):
            times, factors = steps.setdefault((label.entity, label.measure, label.detector), ([], []))
            before = factors[-1] if factors else 1.0
            times.append(label.time_us)
            factors.append(min(max(before * WEIGHTS.get(label.verdict, 1.0), FLOOR), CEILING))
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def factor(self, entity: str, measure: str, detector: str, time_us: int) -> float:
        """What the threshold is multiplied by for a value at `time_us`; 1 where nobody said anything."""
        if not self._steps:
            return 1.0
        found = self._steps.get((entity, measure, detector))
        if found is None:
            return 1.0
        place = bisect_right(found[0], time_us)
        return found[1][place - 1] if place else 1.0


def adjusted(verdict: Verdict, factor: float) -> Verdict:
    """The verdict under a threshold that is `factor` times as high.

    The doubt (1 - confidence) grows by the factor as the threshold does.

    >>> said = Verdict(6.0, 5.0, 0.0, 0.0, 1.0, "up", 0.8, True, {})
    >>> [(adjusted(said, factor).abnormal, round(adjusted(said, factor).confidence, 2)) for factor in (0.8, 1.1, 1.25)]
    [(True, 0.84), (True, 0.78), (False, 0.75)]
    """
    threshold = verdict.threshold * factor
    held = verdict.abnormal if factor > 1.0 else verdict.abnormal or verdict.score < verdict.threshold
    return msgspec.structs.replace(
        verdict,
        threshold=threshold,
        abnormal=held and verdict.score >= threshold,
        confidence=min(max(0.0, 1.0 - (1.0 - verdict.confidence) * factor), MOST_CONFIDENT),
        evidence={**verdict.evidence, "label_factor": round(factor, 4)},
    )
