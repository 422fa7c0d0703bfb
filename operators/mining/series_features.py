"""Features of time series by tsfresh: windows of 28 days, what tells of the week after, and fewer axes for them."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from operators.mining.features import Feature
from operators.mining.history import History, micros
from operators.mining.significance import DAY_US

WINDOW_DAYS = 28
"""Days of a window whose features are taken."""

AHEAD_DAYS = 7
"""Days after it whose mean is the target, relative to the window's own mean and spread."""

FEWEST_VALUES = 20
"""Values that a window needs, and four in the week after."""

MOST_WINDOWS = 600
"""Windows in all, the latest of each series in turn: features cost milliseconds each."""

EXPLAINED = 0.95
"""Share of the variance that the reduced axes keep."""

SETTINGS: dict[str, Any] = {
    "autocorrelation": [{"lag": 1}, {"lag": 7}],
    "linear_trend": [{"attr": "slope"}, {"attr": "stderr"}],
    "cid_ce": [{"normalize": True}],
    "skewness": None,
    "kurtosis": None,
    "quantile": [{"q": 0.1}, {"q": 0.9}],
    "ratio_beyond_r_sigma": [{"r": 2}],
    "number_peaks": [{"n": 3}],
    "longest_strike_above_mean": None,
    "mean_abs_change": None,
    "last_location_of_maximum": None,
}
"""What is taken beside tsfresh's minimal set: shape, memory, trend and tails, at 1/50 of its efficient set's time."""


def windows(history: History) -> tuple[list[tuple[str, str]], Any, Any]:
    """Windows of the daily series: what each is of, tsfresh's long table (`id`, `time`, `value`), and the targets."""
    names: list[tuple[str, str]] = []
    parts: list[Any] = []
    targets: list[float] = []
    daily = history.daily[history.daily["avg"].notna()]
    series = []
    for (entity, measure), part in daily.groupby(["entity", "measure"], sort=True):
        days, values = micros(part["time"]) // DAY_US, part["avg"].to_numpy(dtype=float)
        if len(days) >= FEWEST_VALUES + 4:
            series.append(((str(entity), str(measure)), days, values))
    each = max(1, MOST_WINDOWS // max(1, len(series)))
    for name, days, values in series[:MOST_WINDOWS]:
        for back in range(each):
            end = int(days[-1]) + 1 - AHEAD_DAYS * (back + 1)
            inside = (days >= end - WINDOW_DAYS) & (days < end)
            after = (days >= end) & (days < end + AHEAD_DAYS)
            if inside.sum() < FEWEST_VALUES or after.sum() < 4:
                continue
            spread = float(values[inside].std())
            if spread <= 1e-12 * max(1.0, float(np.abs(values[inside]).max())):
                continue
            # The level is the series' own: what tells across series is the shape.
            scaled = (values[inside] - values[inside].mean()) / spread
            parts.append(pd.DataFrame({"id": len(names), "time": days[inside], "value": scaled}))
            names.append(name)
            targets.append(float((values[after].mean() - values[inside].mean()) / spread))
    long = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"id": [], "time": [], "value": []})
    return names, long, np.array(targets)


def series_features(history: History) -> tuple[list[Feature], int]:
    """Features of the daily series and which of them tell of the week after (tsfresh's own selection, with its rate of
    false discoveries), and the axes that hold most of their variance; how many windows they were taken of.

    With fewer than thirty windows it says nothing. A series' windows overlap: the tests are too sure of themselves.
    """
    names, long, targets = windows(history)
    if len(names) < 30:
        return [], len(names)
    from tsfresh import extract_features  # noqa: PLC0415 -- seconds to load
    from tsfresh.feature_extraction import feature_calculators  # noqa: PLC0415
    from tsfresh.feature_selection.relevance import calculate_relevance_table  # noqa: PLC0415

    # `MinimalFCParameters()` is these, and warns of what they are not.
    minimal = {name: None for name, made in vars(feature_calculators).items() if getattr(made, "minimal", False)}
    settings = minimal | SETTINGS
    found = extract_features(
        long, column_id="id", column_sort="time", column_value="value", default_fc_parameters=settings, n_jobs=0,
        disable_progressbar=True,
    ).sort_index()  # fmt: skip
    found = found.loc[:, found.notna().all() & (found.std() > 1e-9)]
    if found.empty:
        return [], len(names)
    told = calculate_relevance_table(found, pd.Series(targets), ml_task="regression", n_jobs=0, fdr_level=0.05)
    lineage = {
        "target": f"mean of the next {AHEAD_DAYS} days against the window's", "rows": len(names),
        "series": len(set(names)), "sources": ["series_1d"], "window_days": WINDOW_DAYS,
    }  # fmt: skip
    out = []
    for name in sorted(found.columns):
        values = found[name].to_numpy()
        correlation = float(np.clip(np.corrcoef(values, targets)[0, 1], -1.0, 1.0))
        row = told.loc[name]
        rank = abs(float(pd.Series(values).corr(pd.Series(targets), method="kendall")))
        out.append(
            Feature("series", name.removeprefix("value__"), "tsfresh", f"tsfresh {name} of {WINDOW_DAYS} days, scaled",
                    rank if np.isfinite(rank) else None, correlation if np.isfinite(correlation) else None,
                    bool(row["relevant"]), lineage | {"p_value": float(row["p_value"])})
        )  # fmt: skip
    return out + _axes(found, targets, lineage), len(names)


def _axes(found: Any, targets: Any, lineage: dict[str, Any]) -> list[Feature]:
    values = found.to_numpy(dtype=float)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    with threadpool_limits(1):  # sums in one order
        axes = PCA(n_components=EXPLAINED, svd_solver="full").fit(scaled)
        scores = axes.transform(scaled)
    out = []
    for at, share in enumerate(axes.explained_variance_ratio_):
        loads = axes.components_[at]
        names = [str(found.columns[i]).removeprefix("value__") for i in np.argsort(-np.abs(loads), kind="stable")[:3]]
        correlation = float(np.clip(np.corrcoef(scores[:, at], targets)[0, 1], -1.0, 1.0))
        out.append(
            Feature("series", f"axis_{at + 1}", "reduced", f"principal axis, most of {', '.join(names)}", float(share),
                    correlation if np.isfinite(correlation) else None, True,
                    lineage | {"of": list(map(str, found.columns))})
        )  # fmt: skip
    return out
