import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.detect.verdict import Verdict
from operators.feedback import CEILING, FLOOR, WEIGHTS, Adjustments, Label, adjusted

SERIES = ("web", "cpu_usage", "spike")


def verdict(score: float, confidence: float = 0.8, abnormal: bool | None = None) -> Verdict:
    return Verdict(score, 5.0, 0.0, 0.0, 1.0, "up", confidence, score >= 5.0 if abnormal is None else abnormal, {})


def factor_by_hand(verdicts: list[str]) -> float:
    factor = 1.0
    for one in verdicts:
        factor = min(max(factor * WEIGHTS[one], FLOOR), CEILING)
    return factor


@given(st.lists(st.sampled_from(sorted(WEIGHTS)), max_size=30))
def test_the_factor_is_what_the_labels_make_of_it(verdicts: list[str]) -> None:
    labels = [Label(*SERIES, verdict, time) for time, verdict in enumerate(verdicts)]
    adjustments = Adjustments(reversed(labels))
    for time in range(len(verdicts)):
        assert adjustments.factor(*SERIES, time) == factor_by_hand(verdicts[: time + 1])
    assert FLOOR <= adjustments.factor(*SERIES, 1000) <= CEILING
    assert adjustments.factor(*SERIES, -1) == 1.0, "before the first label"


def test_labels_are_of_one_series_and_detector() -> None:
    adjustments = Adjustments([Label(*SERIES, "false_positive", 0)])
    assert adjustments.factor(*SERIES, 5) > 1.0
    for other in (("db", "cpu_usage", "spike"), ("web", "memory_usage", "spike"), ("web", "cpu_usage", "novelty")):
        assert adjustments.factor(*other, 5) == 1.0
    adjustments.replace([])
    assert adjustments.factor(*SERIES, 5) == 1.0


@pytest.mark.parametrize("factor", [0.8, 0.95, 1.25, 4.0])
@pytest.mark.parametrize("score", [3.9, 4.0, 4.9, 5.0, 6.2, 6.3, 30.0])
def test_a_moved_threshold_decides(score: float, factor: float) -> None:
    said = adjusted(verdict(score), factor)
    assert said.threshold == 5.0 * factor
    assert said.abnormal == (score >= 5.0 * factor)
    assert (said.confidence >= 0.8) == (factor <= 1.0)


def test_what_a_detector_withholds_stays_withheld() -> None:
    """A rate of two failures is no pattern however high: a label about the series doesn't change that."""
    assert not adjusted(verdict(9.0, abnormal=False), 0.8).abnormal
    assert not adjusted(verdict(9.0, abnormal=False), 1.5).abnormal
