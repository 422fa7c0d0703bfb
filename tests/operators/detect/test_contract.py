import msgspec
import pytest

from operators.detect import burst, drift, flatline, missing, novelty, outcome_drift, prior, spike, threshold, trend
from operators.detect.verdict import Verdict
from tests.operators.detect.contract import Track, check_detector

CPU = threshold.rule_for("cpu_usage")
FAILED = threshold.rule_for("failed")
SPIKE = spike.SpikeConfig()
NOVELTY = novelty.NoveltyConfig()

GROUP = prior.GroupState()
for host in range(20):
    prior.grow(GROUP, host, [35.0 + host % 10 + i % 5 for i in range(30)])
YOUNG = prior.PriorConfig()


def slow(name, module, state_type, config, size_limit, outcomes=False):
    """A detector of slow things, as it is and with a score for each value."""
    return [
        Track(
            name + (", always" if always else ""),
            state_type,
            lambda *point, always=always: module.judge(*point, config, always=always),
            size_limit,
            outcomes,
        )
        for always in (False, True)
    ]


TRACKS = [
    Track("spike", spike.SpikeState, lambda state, time, value: spike.judge(state, time, value, SPIKE), 1100),
    Track("spike, always", spike.SpikeState, lambda *point: spike.judge(*point, SPIKE, always=True), 1100),
    Track("novelty", novelty.NoveltyState, lambda *point: novelty.judge(*point, NOVELTY), 2600),
    Track("novelty, always", novelty.NoveltyState, lambda *point: novelty.judge(*point, NOVELTY, always=True), 2600),
    Track("limit", threshold.ThresholdState, lambda state, time, value: threshold.judge(state, CPU, value, time), 60),
    Track(
        "rate",
        threshold.RateState,
        lambda state, time, value: threshold.judge_rate(state, FAILED, time, 1, int(value)),
        700,
        outcomes=True,
    ),
    Track("prior", prior.YoungState, lambda *point: prior.judge_young(GROUP, *point, YOUNG), 100),
    Track("prior, always", prior.YoungState, lambda *point: prior.judge_young(GROUP, *point, YOUNG, always=True), 100),
    Track(
        "burst",
        burst.BurstState,
        lambda *point: burst.judge_value(*point, burst.BurstConfig()),
        300,
        outcomes=True,
    ),
    Track(
        "burst, always",
        burst.BurstState,
        lambda *point: burst.judge_value(*point, burst.BurstConfig(), always=True),
        300,
        outcomes=True,
    ),
    *slow("drift", drift, drift.DriftState, drift.DriftConfig(), 6144),
    *slow("trend", trend, trend.TrendState, trend.TrendConfig(), 2048),
    *slow("flatline", flatline, flatline.FlatlineState, flatline.FlatlineConfig(), 300),
    *slow("missing", missing, missing.MissingState, missing.MissingConfig(), 300),
    *slow("outcome drift", outcome_drift, outcome_drift.OutcomeState, outcome_drift.OutcomeConfig(), 100, True),
]


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.name)
def test_detector_keeps_the_contract(track):
    check_detector(track)


class Count(msgspec.Struct, rename={"seen": "n", "ring": "r"}):
    seen: int = 0
    ring: list[float] = []


OUTSIDE = iter(range(10**9))


def verdict(score):
    return Verdict(score, 1.0, 0.0, 0.0, 0.0, "up", 0.9, score >= 1.0, {})


def remembers_outside(state, time, value):
    return verdict(float(next(OUTSIDE)))


def forgets_on_resume(state, time, value):
    state.ring = Seen(state.ring)
    state.ring.times += 1
    return verdict(float(state.ring.times))


class Seen(list):
    def __init__(self, before):
        super().__init__(before)
        self.times = getattr(before, "times", 0)


def grows(state, time, value):
    state.ring.append(0.5)


def too_sure(state, time, value):
    return msgspec.structs.replace(verdict(2.0), confidence=1.2)


def speaks_below_its_threshold(state, time, value):
    return msgspec.structs.replace(verdict(0.5), abnormal=True)


def says_infinity(state, time, value):
    return verdict(float("inf"))


@pytest.mark.parametrize(
    ("judge", "complaint"),
    [
        (remembers_outside, "not deterministic"),
        (forgets_on_resume, "resumed at"),
        (grows, "state of [0-9]+ bytes"),
        (too_sure, "on steady"),
        (speaks_below_its_threshold, "abnormal=True"),
        (says_infinity, "score=inf"),
    ],
)
def test_the_check_finds_a_detector_that_breaks_it(judge, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_detector(Track("broken", Count, judge, 60))


def test_the_check_finds_long_names():
    class Wordy(msgspec.Struct):
        observations: int = 0

    with pytest.raises(AssertionError, match="long field names"):
        check_detector(Track("broken", Wordy, lambda *_: None, 100))
