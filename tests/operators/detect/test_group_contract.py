import math

import msgspec
import pytest

from operators.detect import correlation, forest, multivariate, ranks
from tests.operators.detect.contract import check_verdict
from tests.operators.detect.group_contract import GroupTrack, check_group_detector

CORRELATION = correlation.CorrelationConfig()
MULTIVARIATE = multivariate.MultivariateConfig(least=0.5, return_blocks=30.0)
FOREST = forest.ForestConfig(least=0.5, return_blocks=30.0)


QUICK_FOREST = {
    "YOUNG": 40, "BLOCK": 5, "LEAST_BLOCKS": 6, "WINDOW_ROWS": (30, 40), "TREES": 4, "HEIGHT": 4,
}  # fmt: skip


def sound_links(links):
    for link in links:
        assert link.leader != link.follower
        assert -1.0 <= link.strength <= 1.0
        assert 0.0 <= link.p_value <= 1.0
        assert 0.0 <= link.q_value <= 1.0
        assert link.lag_us >= 0
        assert link.n >= 0
        assert msgspec.json.decode(msgspec.json.encode(link.evidence)) == link.evidence


def sound_verdict(verdict):
    check_verdict(verdict, "multivariate")


def sound_surprise(verdict):
    check_verdict(verdict, "forest")


TRACKS = [
    GroupTrack(
        "correlation",
        correlation.CorrelationState,
        lambda state, time, values: correlation.advance(state, time, values, CORRELATION),
        sound_links,
        4600,
        480,
    ),
    GroupTrack(
        "multivariate",
        multivariate.MultivariateState,
        lambda state, time, values: multivariate.advance(state, time, values, MULTIVARIATE),
        sound_verdict,
        1600,
        600,
    ),
    GroupTrack(
        "multivariate, always",
        multivariate.MultivariateState,
        lambda state, time, values: multivariate.advance(state, time, values, MULTIVARIATE, always=True),
        sound_verdict,
        1600,
        600,
    ),
    GroupTrack(
        "forest",
        forest.ForestState,
        lambda state, time, values: forest.advance(state, time, values, FOREST),
        sound_surprise,
        1800,
        200,
    ),
    GroupTrack(
        "forest, always",
        forest.ForestState,
        lambda state, time, values: forest.advance(state, time, values, FOREST, always=True),
        sound_surprise,
        1800,
        200,
    ),
]


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.name)
def test_group_detector_keeps_the_contract(track, monkeypatch):
    # A warm-up of a day and a half would make the check take minutes.
    monkeypatch.setattr(multivariate, "YOUNG", 60)
    monkeypatch.setattr(multivariate, "BLOCK", 10)
    monkeypatch.setattr(multivariate, "LEAST_BLOCKS", 6)
    monkeypatch.setattr(ranks, "SAMPLE_US", 480_000_000)
    for name, value in QUICK_FOREST.items():
        monkeypatch.setattr(forest, name, value)
    check_group_detector(track)


class Seen(msgspec.Struct, rename={"rows": "n"}):
    rows: list[float] = []


OUTSIDE = iter(range(10**9))


def grows(state, time, values):
    state.rows.append(0.5)


def remembers_outside(state, time, values):
    return next(OUTSIDE)


def unsound(answer):
    assert answer is None or math.isfinite(answer), "unsound"


@pytest.mark.parametrize(
    ("advance", "complaint"),
    [
        (grows, "state of [0-9]+ bytes"),
        (remembers_outside, "not deterministic"),
        (lambda *_: math.inf, "unsound"),
    ],
)
def test_the_check_finds_a_group_detector_that_breaks_it(advance, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_group_detector(GroupTrack("broken", Seen, advance, unsound, 100, 60))
