"""Features: each by brute force, and what had not ended by then changes nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.mining.features import DAYS, LASTS, before_start, tables
from operators.mining.history import History
from operators.mining.selection import selected
from operators.mining.series_features import AHEAD_DAYS, WINDOW_DAYS, series_features, windows
from operators.mining.significance import DAY_US
from tests.operators.mining import planted

RUNS = st.lists(
    st.tuples(st.integers(0, 40 * 24), st.integers(0, 30), st.booleans(), st.sampled_from([1.0, 5.0, 60.0])),
    max_size=30,
)
HOUR_US = 3_600_000_000


def columns(runs):
    start = np.array([run[0] * HOUR_US for run in runs], dtype=np.int64)
    end = start + np.array([run[1] * HOUR_US for run in runs], dtype=np.int64)
    return start, end, np.array([run[2] for run in runs], dtype=bool), np.array([run[3] for run in runs], dtype=float)


def brute_force(start, ends, failed, seconds, at):
    """One run's features, from a walk over all that ended before it began."""
    order = sorted(range(len(ends)), key=lambda place: (ends[place], place))
    known = [place for place in order if ends[place] < start[at]]
    out = {f"ended_{days}d": float(sum(start[at] - ends[p] <= days * DAY_US for p in known)) for days in DAYS}
    for last in LASTS:
        lately = [failed[place] for place in known[-last:]]
        out[f"failed_last_{last}"] = sum(lately) / len(lately) if lately else np.nan
    streak = 0
    for place in reversed(known):
        if not failed[place]:
            break
        streak += 1
    bad = [place for place in known if failed[place]]
    out["failures_in_a_row"] = float(streak)
    out["since_end_s"] = (start[at] - ends[known[-1]]) / 1e6 if known else np.nan
    out["since_failure_s"] = (start[at] - ends[bad[-1]]) / 1e6 if bad else np.nan
    out["seconds_last"] = seconds[known[-1]] if known else np.nan
    out["seconds_median_20"] = float(np.median([seconds[place] for place in known[-20:]])) if known else np.nan
    return out


@settings(deadline=None, max_examples=60)
@given(RUNS)
def test_each_feature_by_brute_force(runs):
    start, end, failed, seconds = columns(runs)
    found = before_start(start, end, failed, seconds)
    for at in range(len(runs)):
        for name, value in brute_force(start, end, failed, seconds, at).items():
            assert found[name][at] == pytest.approx(value, nan_ok=True), (name, at)


@settings(deadline=None, max_examples=40)
@given(RUNS, st.data())
def test_what_ends_at_or_after_a_start_changes_nothing_of_it(runs, data):
    start, end, failed, seconds = columns(runs)
    if not runs:
        return
    at = data.draw(st.integers(0, len(runs) - 1))
    later = end >= start[at]
    other = before_start(start, end, failed ^ later, np.where(later, 9.0, seconds))
    for name, values in before_start(start, end, failed, seconds).items():
        assert values[at] == pytest.approx(other[name][at], nan_ok=True), name


def test_tables_have_a_row_for_each_thing_that_counts():
    history = planted.history(runs=120)
    found = {table.of: table for table in tables(history.before(planted.UNTIL))}
    assert set(found) == {"pipeline", "step", "task", "integration"}
    runs = history.runs[history.runs["status"].isin(["success", "failure", "error", "timeout"])]
    table = found["pipeline"]
    assert len(table.refs) == len(runs) and table.values.shape == (len(runs), len(table.names))
    hours = dict(zip(runs["id"], runs["execution_start"].dt.hour, strict=True))
    days = dict(zip(runs["id"], runs["execution_start"].dt.day_of_week, strict=True))
    for name, wanted in (("hour", hours), ("weekday", days)):
        assert table.values[:, table.names.index(name)].tolist() == [wanted[ref] for ref in table.refs]
    same = table.values[:, table.names.index("same_commit_before")]
    of = runs.set_index("id")
    again = [
        (
            (runs["commit_sha"] == of.loc[ref, "commit_sha"])
            & (runs["pipeline_name"] == of.loc[ref, "pipeline_name"])
            & (runs["execution_end"] < of.loc[ref, "execution_start"])
        ).sum()
        for ref in table.refs
    ]
    assert same.tolist() == again and max(again) >= 1


def test_selection_takes_what_tells_and_of_twins_the_better_one():
    rng = np.random.default_rng(3)
    failed = rng.random(2000) < 0.3
    signal = failed + rng.normal(0, 1.0, 2000)
    table = next(tables(planted.history(runs=60).before(planted.UNTIL)))._replace(
        failed=failed, names=("hour", "weekday", "by_hand", "since_end_s"),
        values=np.column_stack([signal, 2 * signal + rng.normal(0, 0.1, 2000), rng.normal(size=2000),
                                np.where(rng.random(2000) < 0.8, np.nan, signal)]),
    )  # fmt: skip
    found = {one.name: one for one in selected(table, {"sources": ["x"]})}
    assert [name for name, one in found.items() if one.selected] in (["hour"], ["weekday"])
    auc = (pd.Series(signal).rank()[failed].sum() - failed.sum() * (failed.sum() + 1) / 2) / (
        failed.sum() * (~failed).sum()
    )
    assert found["hour"].importance == pytest.approx(abs(2 * auc - 1))
    assert found["hour"].correlation == pytest.approx(np.corrcoef(signal, failed)[0, 1])
    assert found["hour"].lineage["sources"] == ["x"]
    (better,) = (name for name in ("hour", "weekday") if found[name].selected)
    (twin,) = {"hour", "weekday"} - {better}
    assert found[twin].lineage["stood_for_by"] == better and "stood_for_by" not in found["by_hand"].lineage


def test_axes_of_what_goes_together_can_be_computed_again_from_their_lineage():
    rng = np.random.default_rng(5)
    failed = rng.random(1500) < 0.3
    common = failed + rng.normal(0, 1.0, 1500)
    # Of five, three go together (none stands for another), with gaps; the outcome is no reason to put one with them.
    columns = [common + rng.normal(0, 0.5, 1500) for _ in range(3)] + [rng.normal(size=1500) for _ in range(2)]
    columns[1][::7] = np.nan
    names = ("ended_1d", "ended_7d", "ended_28d", "hour", "weekday")
    table = next(tables(planted.history(runs=60).before(planted.UNTIL)))._replace(
        failed=failed, names=names, values=np.column_stack(columns)
    )
    found = selected(table, {"sources": ["x"]})
    axes = [one for one in found if one.kind == "reduced"]
    members = ["ended_1d", "ended_28d", "ended_7d"]
    assert axes and all(one.lineage["of"] == members for one in axes)
    shares = [one.lineage["explained"] for one in axes]
    assert 0.9 <= sum(shares) <= 1.0 and shares == sorted(shares, reverse=True)
    # By hand: the eigenvectors of the correlations of the values, with medians in the gaps.
    part = np.column_stack([columns[names.index(name)] for name in members])
    part = np.where(np.isnan(part), np.nanmedian(part, axis=0), part)
    sizes, vectors = np.linalg.eigh(np.corrcoef(part, rowvar=False))
    scaled = (part - part.mean(axis=0)) / part.std(axis=0)
    for at, one in enumerate(axes, 1):
        kept = one.lineage
        loads = np.array([kept["loadings"][name] for name in members])
        assert abs(loads @ vectors[:, -at]) == pytest.approx(1.0) and shares[at - 1] == pytest.approx(sizes[-at] / 3)
        again = sum(
            kept["loadings"][name] * (np.where(np.isnan(column), kept["median"][name], column) - kept["mean"][name])
            / kept["scale"][name] for name, column in zip(names, columns, strict=True) if name in members
        )  # fmt: skip
        assert again == pytest.approx(scaled @ loads)
        assert one.correlation == pytest.approx(np.corrcoef(again, failed)[0, 1])
        rank = pd.Series(again).rank()[failed].sum() - failed.sum() * (failed.sum() + 1) / 2
        assert one.importance == pytest.approx(abs(2 * rank / (failed.sum() * (~failed).sum()) - 1))
    assert [one.selected for one in axes] == [True] + [False] * (len(axes) - 1)


def test_a_windows_target_is_the_week_after_it():
    values = np.random.default_rng(1).normal(size=90)
    daily = [planted._bucket("web", "latency_ms", planted.at(1440 * day), value) for day, value in enumerate(values)]
    names, long, targets = windows(History.of(daily=daily))
    assert set(names) == {("web", "latency_ms")} and len(targets) == len(names) > 5
    first = values[90 - AHEAD_DAYS - WINDOW_DAYS : 90 - AHEAD_DAYS]
    assert targets[0] == pytest.approx((values[-AHEAD_DAYS:].mean() - first.mean()) / first.std())
    assert long[long["id"] == 0]["value"].to_numpy() == pytest.approx((first - first.mean()) / first.std())


def test_series_features_find_what_tells_of_the_week_after():
    """Series that turn back after a peak at their end: where the window's greatest value is tells of the next week."""
    rng, daily = np.random.default_rng(2), []
    for number in range(8):
        values = rng.normal(0, 0.4, 120) + 3 * np.sin((np.arange(120) + rng.integers(60)) * 2 * np.pi / 60)
        daily += [planted._bucket(f"s{number}", "load", planted.at(1440 * day), v) for day, v in enumerate(values)]
    found, count = series_features(History.of(daily=daily))
    assert count > 80
    chosen = {one.name for one in found if one.selected and one.kind == "tsfresh"}
    assert any("linear_trend" in name for name in chosen), chosen
    axes = [one.importance for one in found if one.kind == "reduced"]
    assert 0.95 <= sum(axes) <= 1.0 and axes == sorted(axes, reverse=True)
    assert series_features(History.of()) == ([], 0)
