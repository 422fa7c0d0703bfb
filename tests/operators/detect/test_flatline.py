import math
import random

import pytest

from operators.detect import flatline
from operators.detect.flatline import FlatlineConfig, FlatlineState, judge

CONFIG = FlatlineConfig()
PANE = 10_000_000


def feed(values, step=PANE, state=None, start=0):
    state = FlatlineState() if state is None else state
    return [judge(state, (start + i) * step, value, CONFIG) for i, value in enumerate(values)], state


def opened(verdicts):
    return [i for i, verdict in enumerate(verdicts) if verdict is not None and verdict.abnormal]


def gauss(count, seed=1, digits=None):
    rnd = random.Random(seed)
    return [round(rnd.gauss(50, 3), digits) if digits is not None else rnd.gauss(50, 3) for _ in range(count)]


@pytest.mark.parametrize("stuck", [50.0, 47.123, 0.0])
def test_a_stuck_series_is_told_after_thirty_values(stuck):
    verdicts, _ = feed(gauss(10_000) + [stuck] * 100)
    assert opened(verdicts) == list(range(10_000 + flatline.LEAST_RUN - 1, 10_100))
    verdict = verdicts[-1]
    assert verdict.evidence["kind"] == "stuck"
    assert verdict.evidence["run"] == 100
    assert verdict.evidence["since_us"] == 10_000 * PANE
    assert verdict.expected == stuck
    assert verdicts[10_029].confidence >= 0.7
    assert verdict.confidence > verdicts[10_029].confidence


def test_it_ends_after_some_changes():
    verdicts, state = feed(gauss(2000) + [50.0] * 60 + gauss(10, seed=2))
    assert opened(verdicts)[-1] == 2059
    assert [verdict is None for verdict in verdicts[2060:]] == [False] * flatline.RECOVER + [True] * 7
    assert state.told == 0


def test_zero_within_the_first_day_is_not_told():
    assert opened(feed(gauss(2000) + [0.0] * 300)[0]) == []


def test_little_history_says_nothing():
    assert opened(feed(gauss(90) + [50.0] * 500)[0]) == []
    assert opened(feed(gauss(300) + [50.0] * 70)[0]), "told within a quarter of the history"
    assert opened(feed([float(i % 7) for i in range(101)] + [3.0] * 24)[0]) == []


def test_a_quantised_series_has_to_be_stuck_for_long():
    values = [float(round(random.Random(i // 3).gauss(3, 0.7))) for i in range(20_000)]
    verdicts, state = feed(values + [3.0] * 400)
    first = opened(verdicts)[0] - 20_000
    assert first > 4 * state.longest / 4
    assert 60 < first < 400


@pytest.mark.parametrize(
    "values",
    [
        [5.0] * 5000,
        [0.0] * 5000,
        [float(random.Random(i).random() < 0.01) for i in range(20_000)],
        [float(random.Random(i // 200).random() < 0.1) * (1 + i % 5) for i in range(20_000)],
        [float(round(random.Random(i).gauss(3, 0.3))) for i in range(20_000)],
        [float(i // 500) for i in range(20_000)],
        [50 + 30 * math.sin(i / 400) for i in range(20_000)],
        [random.Random(i).paretovariate(0.8) for i in range(20_000)],
    ],
    ids=["constant", "zero", "rare ones", "bursts", "quantised", "steps", "sine", "pareto"],
)
def test_what_rests_by_nature_is_not_told(values):
    assert opened(feed(values)[0]) == []


def test_a_series_that_hardly_moves_any_more_is_told_as_limp():
    values = gauss(3000) + [50 + value / 1000 for value in gauss(600)]
    verdicts, _ = feed(values)
    assert 3030 < opened(verdicts)[0] < 3300
    assert verdicts[opened(verdicts)[0]].evidence["kind"] == "limp"
    again = feed(values + gauss(60, seed=3))[0]
    assert again[-1] is None


def test_gaps_and_another_cadence_are_no_run():
    values = gauss(500)
    state = FlatlineState()
    told = [judge(state, i * PANE + (i // 100) * 86_400_000_000, value, CONFIG) for i, value in enumerate(values)]
    told += [judge(state, 10**12 + i * 360 * PANE, value, CONFIG) for i, value in enumerate(gauss(200, seed=4))]
    assert told == [None] * 700
