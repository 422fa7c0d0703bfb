import math

import msgspec
import pytest

from operators.detect import correlation
from tests.operators.detect.group_contract import GroupTrack, check_group_detector

CORRELATION = correlation.CorrelationConfig()


def sound_links(links):
    for link in links:
        assert link.leader != link.follower
        assert -1.0 <= link.strength <= 1.0
        assert 0.0 <= link.p_value <= 1.0
        assert 0.0 <= link.q_value <= 1.0
        assert link.lag_us >= 0
        assert link.n >= 0
        assert msgspec.json.decode(msgspec.json.encode(link.evidence)) == link.evidence


TRACKS = [
    GroupTrack(
        "correlation",
        correlation.CorrelationState,
        lambda state, time, values: correlation.advance(state, time, values, CORRELATION),
        sound_links,
        4600,
        480,
    ),
]


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.name)
def test_group_detector_keeps_the_contract(track):
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
