"""What the taxonomy says of a pattern, as a classification with its confidence."""

from typing import NamedTuple

from operators.incident.seen import Seen
from operators.taxonomy import KINDS, classify

BY_WORD = 0.9
"""Confidence of a class that a word of the measure decides. A convention: people's verdicts may correct it."""
BY_KIND = 0.6
"""Confidence of a class that only follows from what the series is of."""
MODEL = "taxonomy"


class Classified(NamedTuple):
    """A classification of a pattern: `kind` is class or category."""

    kind: str
    value: str
    confidence: float


def classified(seen: Seen) -> list[Classified]:
    """The class and category of a pattern, and how sure the taxonomy is of them.

    >>> from tests.operators.incident.make import seen
    >>> classified(seen("web", measure="latency_ms", pattern_class="response_time_degradation"))[0]
    Classified(kind='class', value='response_time_degradation', confidence=0.9)
    """
    kind = seen.kind if seen.kind in KINDS else "metric"
    by_kind = classify(kind, "", seen.detector)[1].value
    sure = BY_KIND if seen.pattern_class == by_kind else BY_WORD
    return [Classified("class", seen.pattern_class, sure), Classified("category", seen.category, sure)]
