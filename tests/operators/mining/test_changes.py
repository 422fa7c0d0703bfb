"""Changes are told by levels that no few outliers move, between stretches that are long enough."""

import numpy as np
import pandas as pd
import pytest

from operators.mining.changes import ChangeMiner
from operators.mining.history import History
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG
from tests.operators.mining.real import _series


def history(seconds, failed=None, per_day=3, steps=None):
    """`per_day` runs of one pipeline each day; `seconds(day, rng)` and `failed(day, rng)` say how one went."""
    rng = np.random.default_rng(3)
    runs, parts = [], []
    for number in range(150 * per_day):
        day = number // per_day
        start = planted.at(day * 1440 + (number % per_day) * 300)
        took = float(seconds(day, rng))
        bad = bool(failed(day, rng)) if failed else False
        runs.append(
            {"id": f"r{number}", "execution_id": str(number), "pipeline_name": "p", "execution_start": start,
             "execution_end": start + pd.Timedelta(seconds=min(took, 3600.0)), "total_duration": took,
             "status": "failure" if bad else "success", "trigger_type": "webhook"}
        )  # fmt: skip
        for order in range(steps(day) if steps else 0):
            parts.append({"pipeline_execution_id": f"r{number}", "pipeline_name": "p", "step_name": f"s{order}",
                          "step_order": order, "execution_start": start, "status": "success"})  # fmt: skip
    of = History.of(runs=runs, steps=parts)
    return History.of(runs=of.runs, steps=of.steps, daily=_series(of.runs, "D"))


def changes(of):
    return [one for one in ChangeMiner().mine(of, CONFIG, planted.UNTIL) if one.kind == "change_point"]


def test_levels_are_the_medians_of_the_runs():
    of = history(lambda day, rng: (600 if day < 90 else 1500) * rng.lognormal(0, 0.3))
    [found] = changes(of)
    at = pd.Timestamp(found.evidence["at_us"], unit="us", tz="UTC")
    ends, took = of.runs["execution_end"], of.runs["total_duration"]
    assert abs((at - planted.START).days - 90) <= 2
    assert found.evidence["before"] == pytest.approx(took[ends < at].median())
    assert found.evidence["after"] == pytest.approx(took[ends >= at].median())
    assert found.effect == pytest.approx(took[ends >= at].median() / took[ends < at].median())


def test_a_few_outliers_are_no_change():
    """Means of the days rise five times, as in the lead times of a project that closes old tasks; medians do not."""
    of = history(lambda day, rng: 600 * rng.lognormal(0, 0.3) * (40 if day >= 100 and rng.random() < 0.15 else 1))
    means = of.daily[of.daily["measure"] == "duration_s"]["avg"].to_numpy()
    assert means[100:].mean() > 5 * means[:100].mean()
    assert changes(of) == []


def test_a_share_of_failures_is_that_of_the_runs():
    of = history(lambda day, rng: 600, lambda day, rng: rng.random() < (0.5 if day < 70 else 0.05))
    [found] = changes(of)
    at = pd.Timestamp(found.evidence["at_us"], unit="us", tz="UTC")
    bad = of.runs["status"] == "failure"
    before = bad[of.runs["execution_end"] < at]
    assert found.measure == "failed" and found.evidence["before"] == pytest.approx(before.mean())
    assert f"({before.sum()} of {len(before)} from" in found.sentence


def test_a_stretch_of_days_is_no_level():
    """Nine bad days at the start and good ones since: an episode, however clear."""
    assert changes(history(lambda day, rng: 600, lambda day, rng: rng.random() < (0.95 if day < 9 else 0.02))) == []


def test_few_runs_are_no_level():
    of = history(lambda day, rng: 600 if day < 15 else 3000, per_day=1)
    assert changes(of) == []


def test_that_there_is_more_to_do_is_said():
    def more(day):
        return 3 if day < 90 else 9

    of = history(lambda day, rng: 200 * more(day) * rng.lognormal(0, 0.2), steps=more)
    [found] = changes(of)
    assert "Runs have 9 steps since, 3 before" in found.sentence and found.evidence["steps"] == [3.0, 9.0]


def test_the_end_of_an_episode_is_told_as_one():
    of = history(lambda day, rng: (2000 if 80 <= day < 105 else 600) * rng.lognormal(0, 0.2))
    first, second = sorted(changes(of), key=lambda one: one.first_seen_us)
    assert (first.evidence["back"], first.evidence["lasts"]) == (False, False)
    assert (second.evidence["back"], second.evidence["lasts"]) == (True, True)
    assert "as it was before" in second.sentence
