"""The labelled streams are what their labels say, and the marking is what the rule says."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.parts import backgrounds, driving, faults, marks, real, reliability, sets
from benchmarks.parts.driving import Opening
from benchmarks.parts.streams import SECOND_US, START_US, Fault, Stream, regular
from operators.detect.calibration import check_knots

ROOT = Path(__file__).resolve().parents[2]


def stream(kind="white", count=800, cadence_s=300.0):
    return backgrounds.synthetic("check", kind, 0, count, cadence_s)


@pytest.mark.parametrize("kind", backgrounds.KINDS)
def test_a_background_is_its_seed(kind):
    one, again, other = stream(kind), stream(kind), backgrounds.synthetic("tune", kind, 0, 800, 300.0)
    assert np.array_equal(one.values, again.values)
    assert not np.array_equal(one.values, other.values)
    assert np.isfinite(one.values).all()
    assert one.sigma > 0.0
    assert (np.diff(one.times_us) > 0).all()


def test_some_kinds_are_kept_from_tuning():
    assert set(backgrounds.kinds("tune")) < set(backgrounds.kinds("check"))


@pytest.mark.parametrize("shape", faults.SHAPES)
def test_a_fault_changes_its_window_and_nothing_else(shape):
    what = faults.SHAPES[shape]
    candidates = [
        *(stream(kind, 1500, 300.0) for kind in ("white", "daily")),
        backgrounds.outcomes("check", 0, 600, 900.0),
        backgrounds.durations("check", 0, 600, 900.0),
    ]
    suited = [one for one in candidates if what.suits(one)]
    assert suited
    for background in suited:
        before = background.values.copy()
        changed = faults.inject(background, shape, what.strengths[-1])
        assert np.array_equal(background.values, before), "the background itself stays as it is"
        assert changed.faults
        inside = np.zeros(len(before), dtype=bool)
        for fault in changed.faults:
            assert fault.start_us <= fault.end_us
            inside |= (background.times_us >= fault.start_us) & (background.times_us <= fault.end_us)
        if shape == "overdue run":
            start, end = changed.overdue
            assert np.array_equal(changed.values, before)
            assert (end - start) / 1e6 > 5 * np.median(before)
        elif shape == "missing data":
            assert np.array_equal(changed.values, before[~inside])
            assert inside.sum() >= what.length[0]
        else:
            assert np.array_equal(changed.values[~inside], before[~inside])
            assert not np.array_equal(changed.values[inside], before[inside])


def test_a_level_shift_has_the_size_it_says():
    background = stream(count=1500)
    changed = faults.inject(background, "level shift up", 6.0)
    off = (changed.values - background.values) / background.sigma
    assert sorted(set(np.round(off, 6))) == [0.0, 6.0]


def test_the_other_of_a_pair_follows_later():
    changed = faults.inject(stream("ar1", 1500), "lagged pair", 10.0)
    fault = changed.faults[0]
    inside = (changed.times_us >= fault.start_us) & (changed.times_us <= fault.end_us)
    a, b = changed.values[inside], changed.partner.values[inside]
    by_lag = {lag: np.corrcoef(a[: len(a) - lag], b[lag:])[0, 1] for lag in range(15)}
    best = max(by_lag, key=by_lag.get)
    assert 2 <= best <= 8
    assert by_lag[best] > 0.8


def opening(at_s, severity="low", confidence=0.8, again=False):
    return Opening("x", START_US + at_s * SECOND_US, severity, confidence, 1.5, 500, again)


def labelled():
    one = Stream("s", "white", 60.0, regular(1000, 60.0), np.zeros(1000), 1.0)
    start = START_US + 30_000 * SECOND_US
    one.faults.append(Fault("spike", 6.0, start, start + 600 * SECOND_US, 300 * SECOND_US, 3600 * SECOND_US))
    return one


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [(29_999, "false"), (30_000, "true"), (30_900, "true"), (30_901, "ignored"), (34_200, "ignored"),
     (34_201, "false"), (59_940, "false"), (60_100, "ignored")],
)  # fmt: skip
def test_marks_follow_the_rule(at_s, expected):
    ((_, found, fault),) = marks.mark(labelled(), [opening(at_s)]).openings
    assert found == expected
    assert (fault is not None) == (expected == "true")


def test_recall_and_delay_are_of_the_first_that_found_it():
    one = marks.mark(labelled(), [opening(30_300), opening(30_060), opening(10)])
    recall = marks.recalls([one])["spike", 6.0]
    assert (recall.faults, recall.share, recall.delays_s, recall.delays_values) == (1, 1.0, [60.0], [1.0])
    assert marks.recalls([marks.mark(labelled(), [])])["spike", 6.0].share == 0.0


def test_pages_are_counted_once_a_pattern_and_by_the_week():
    one = labelled()
    one.faults.clear()
    found = marks.alarms([marks.mark(one, [opening(5, "high"), opening(9, "high", again=True), opening(90)])], "all")
    alarms = found["all"]
    assert (alarms.openings, alarms.pages, alarms.again) == (2, 1, 1)
    assert alarms.a_week(alarms.pages) == pytest.approx(50 * 7 / one.days)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.025, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.6)]
)
def test_the_interval_is_garwoods(count, low, high):
    # Exact bounds, from tables.
    found = marks.poisson_interval(count)
    assert found[0] == pytest.approx(low, abs=0.04)
    assert found[1] == pytest.approx(high, abs=0.04)


def test_isotonic_is_scikit_learns():
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(3)
    x, weight = rng.uniform(1, 5, 200), rng.uniform(0.5, 2.0, 200)
    y = rng.random(200) < x / 6.0
    said = [reliability.Said(*one, "") for one in zip(x.tolist(), y.tolist(), weight.tolist(), strict=True)]
    steps = reliability.isotonic(said)
    ours = [[level for start, level in steps if start <= place][-1] for place in x]
    assert ours == pytest.approx(isotonic.IsotonicRegression().fit(x, y, weight).predict(x))


def test_knots_can_be_used_as_they_are():
    rng = np.random.default_rng(4)
    said = [reliability.Said(float(x), bool(rng.random() < 1 - 1 / x), 1.0, "ab"[i % 2])
            for i, x in enumerate(1.0 + rng.exponential(1.0, 2000))]  # fmt: skip
    fitted = reliability.knots(said)
    check_knots(fitted)
    assert len(fitted) > 6
    for strength, share in fitted:
        assert share == pytest.approx(1 - 1 / strength, abs=0.12)
    from operators.detect.calibration import confident

    assert reliability.left_out(said, confident) < 0.1


def test_precision_is_at_the_assumed_rate_of_faults():
    faulty = labelled()
    clean = Stream("c", "white", 60.0, regular(8000, 60.0), np.zeros(8000), 1.0)
    said = reliability.weigh(
        [marks.mark(clean, [opening(60)])], [marks.mark(faulty, [opening(30_000)])], lambda one: one.confidence
    )
    # All faults are found, so 1 in 4000 values; and one false one in 8000.
    (row,) = reliability.table(said)
    assert row.right == pytest.approx(2 / 3)
    assert reliability.calibration_error([row]) == pytest.approx(0.8 - 2 / 3)


def test_the_products_path_and_a_detector_alone_agree():
    one = faults.inject(stream(count=600), "spike", 20.0)
    said = driving.alone(one, [driving.detector("spike")])
    found, elsewhere = driving.product([one])
    assert not elsewhere
    spikes = [o for o in found[one.entity] if o.detector == "spike"]
    # A pane is judged when it ends, so up to 10 s later.
    assert [(o.severity, round(o.strength, 6)) for o in spikes] == [(o.severity, round(o.strength, 6)) for o in said]
    assert all(0 <= a.time_us - b.time_us <= 10 * SECOND_US for a, b in zip(spikes, said, strict=True))


def test_an_unknown_detector_is_named():
    with pytest.raises(LookupError, match="no detector nonsense"):
        driving.detector("nonsense")


def test_clean_streams_have_names_of_their_own():
    for group in [*sets.clean("check", quick=True), *sets.faulty("check", quick=True)]:
        names = [one.entity for one in group]
        assert len(set(names)) == len(names)


@pytest.mark.skipif(not real.available(), reason="the folder of real data is not here")
def test_real_backgrounds_leave_out_what_is_labelled():
    found = {one.name: one for fold in ("tune", "check") for one in real.streams(fold)}
    assert {one.kind for one in found.values()} >= {
        "machines",
        "builds",
        "build failures",
        "task lead times",
        "nab realTraffic",
    }
    assert not {one.name for one in real.streams("tune")} & {one.name for one in real.streams("check")}
    taxi = found["nyc_taxi"]
    labels = json.loads((real.DATA / "nab/labels/combined_windows.json").read_text())["realKnownCause/nyc_taxi.csv"]
    longest = max((real._micros(after[0]) - real._micros(before[1])) for before, after in itertools.pairwise(labels))
    assert taxi.times_us[-1] - taxi.times_us[0] < max(longest, real._micros(labels[0][0]) - real._micros("2014-07-01"))
    assert START_US <= taxi.times_us[0] < START_US + 7 * 86_400 * SECOND_US


def test_a_quick_run_ends_in_one_json_line():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.shapes", "--quick"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    last = json.loads(done.stdout.strip().splitlines()[-1])
    assert last["recall"]["level shift up 10"] > 0.5
    assert set(last["pages_a_week_50_series"]) == {"5 min", "runs", "synthetic", "all"}
    assert last["homeless"] == 0


@pytest.mark.parametrize(("option", "word"), [("--detector", "nonsense"), ("--shape", "square")])
def test_an_unknown_word_is_one_line_and_2(option, word):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.shapes", "--quick", option, word],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
