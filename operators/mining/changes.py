"""Trends, seasons and change points of the series by hour and by day."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from scipy import stats

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import History, micros
from operators.mining.series_tests import (
    SHORTEST,
    change_points,
    cut,
    first_autocorrelation,
    mann_kendall,
    spread,
    trend_p,
    without_week,
)
from operators.mining.significance import DAY_US, permutation_p
from operators.taxonomy import PatternClass, classify
from operators.words import number

FEWEST_DAYS = 28
"""Days with values that a trend or a change point needs; eight weeks of them for a season by weekday."""

FEWEST_HOUR_DAYS = 14
"""Days with at least half of their hours that a season by hour needs."""


class ChangeMiner(Miner):
    """Trends, change points and seasons by weekday of each daily series, seasons by hour of each hourly series.

    A trend must pass Mann and Kendall's test and go on through the stretches; a change point is tested by the means
    before and after with a variance for autocorrelated values. Where there is both, the change is told and not the
    trend. Days without values are left out, not filled. Series of counts that are mostly zero have medians that say
    little.
    """

    name = "changes"

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` days or hours that lie on the claimed side."""
        history = history.before(until)
        drafts: list[Finding] = []
        tests = 0
        for frame, look in ((history.daily, _by_day), (history.hourly, _by_hour)):
            for (entity, measure), part in frame[frame["avg"].notna()].groupby(["entity", "measure"], sort=True):
                looked = look(str(entity), str(measure), part, config)
                tests += len(looked)
                drafts += [found for found in looked if found is not None]
        return Looked(drafts, {0: tests})

    def conclude(self, looked: Iterable[Looked], config: MiningConfig) -> list[Finding]:
        """A change is told and not the trend that it makes."""
        every = super().conclude(looked, msgspec.structs.replace(config, max_findings=1 << 30))
        changed = {(*finding.entities, finding.measure) for finding in every if finding.kind == "change_point"}
        kept = [f for f in every if f.kind != "trend" or (*f.entities, f.measure) not in changed]
        return kept[: config.max_findings]


def _by_day(entity: str, measure: str, part: Any, config: MiningConfig) -> list[Finding | None]:
    times, values = micros(part["time"]), part["avg"].to_numpy(dtype=float)
    if len(values) < FEWEST_DAYS:
        return []
    found = [_trend(entity, measure, times, values, config)]
    found.append(_change(entity, measure, times, values, config))
    if len(values) >= 2 * FEWEST_DAYS:
        weekday = ((times // DAY_US) + 3) % 7  # 1 January 1970 was a Thursday
        found.append(_season(entity, measure, times, values, weekday, 7, config))
    return found


def _by_hour(entity: str, measure: str, part: Any, config: MiningConfig) -> list[Finding | None]:
    times, values = micros(part["time"]), part["avg"].to_numpy(dtype=float)
    _, counts = np.unique(times // DAY_US, return_counts=True)
    if (counts >= 12).sum() < FEWEST_HOUR_DAYS:
        return []
    hour = (times // 3_600_000_000) % 24
    return [_season(entity, measure, times, values, hour, 24, config)]


def _trend(entity: str, measure: str, times: Any, values: Any, config: MiningConfig) -> Finding | None:
    short = _thin(values)
    tau, _, p = mann_kendall(short)
    p = max(p, trend_p(cut(values)))
    _, slope, _ = mann_kendall(_thin(cut(values)))
    span = len(short) - 1
    start = float(np.median(values[: max(7, len(values) // 8)]))
    end = start + slope * span
    ratio = (abs(end) + 1e-12) / (abs(start) + 1e-12)
    if max(ratio, 1.0 / ratio) < 1.0 + (config.min_effect - 1.0) / 2.0 or slope == 0.0:
        return None
    middle = float(np.median(values))
    half = len(values) // 2
    side = values > middle if slope > 0 else values < middle
    slopes = [mann_kendall(_thin(values[part]))[1] for part in (slice(0, half), slice(half, None))]
    early, late = (
        float(np.exp(np.sign(s * slope) * abs(np.log(ratio)) * min(1.0, abs(s / slope)) * np.sign(ratio - 1.0)))
        for s in slopes
    )
    word = "risen" if slope > 0 else "fallen"
    days = float(times[-1] - times[0]) / DAY_US
    sentence = (
        f"{_what(measure)} of {words.named(entity)} has {word} steadily from about {_level(measure, start)} to"
        f" {_level(measure, end)} in"
        f" {days:.0f} days up to {words.day(int(times[-1]))} (daily means; Kendall's tau {tau:.2f})."
    )
    return _finding("trend", entity, measure, times, side[half:], ratio, p, sentence, early, late,
                    _means(entity, measure, int(times[half]), middle, ">" if slope > 0 else "<", int(times[-1])),
                    {"tau": tau, "start": start, "end": end, "days": days, "direction": word})  # fmt: skip


def _thin(values: Any, most: int = 400) -> Any:
    """Means of neighbours, so that no more than `most` are left: Mann and Kendall's test takes all pairs."""
    every = -(-len(values) // most)
    if every == 1:
        return values
    return np.array([part.mean() for part in np.split(values, range(every, len(values), every))])


def _change(entity: str, measure: str, times: Any, values: Any, config: MiningConfig) -> Finding | None:
    calm = without_week(times, cut(values))
    places = change_points(calm)
    if not places:
        return None
    bounds = [0, *places, len(values)]
    best: tuple[float, int, int, int] | None = None
    phi = first_autocorrelation(calm)
    for before, at, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        one, two = calm[before:at], calm[at:after]
        inflate = (1.0 + phi) / (1.0 - phi)
        # One variance for both sides: a short stretch that happens to be calm must not look certain.
        pooled = (one.var() * len(one) + two.var() * len(two)) / max(1, len(one) + len(two) - 2)
        pooled = max(float(pooled), 0.5 * spread(np.diff(calm)) ** 2)
        error = np.sqrt(inflate * pooled * (1.0 / len(one) + 1.0 / len(two)))
        distance = abs(float(two.mean() - one.mean()))
        freedom = max(2.0, (len(one) + len(two)) / inflate - 2.0)
        # Any place, with any stretch before and after it, could have been the one: Bonferroni over them.
        many = len(values) ** 2 / SHORTEST
        p = min(1.0, many * float(2.0 * stats.t.sf(distance / max(error, 1e-12 * max(distance, 1e-300)), freedom)))
        if best is None or p <= best[0]:
            best = (p, before, at, after)
    assert best is not None
    p, before, at, after = best
    one, two = float(values[before:at].mean()), float(values[at:after].mean())
    ratio = (abs(two) + 1e-12) / (abs(one) + 1e-12)
    if max(ratio, 1.0 / ratio) < 1.0 + (config.min_effect - 1.0) / 2.0:
        return None
    middle = (one + two) / 2.0
    side = values[at:after] > middle if two > one else values[at:after] < middle
    word = "rose" if two > one else "fell"
    inside = at + (after - at) // 2
    early, late = (
        (abs(float(values[part].mean())) + 1e-12) / (abs(one) + 1e-12)
        for part in (slice(at, inside), slice(inside, after))
    )
    sentence = (
        f"{_what(measure)} of {words.named(entity)} {word} on {words.day(int(times[at]))} from"
        f" {_level(measure, one)} to {_level(measure, two)}"
        f" ({words.times(max(ratio, 1 / ratio))}; means of {at - before} days before and {after - at} since)."
    )
    return _finding("change_point", entity, measure, times[at:after], side, ratio, p, sentence, early, late,
                    _means(entity, measure, int(times[at]), middle, ">" if two > one else "<", int(times[after - 1]),
                           int(times[before])),
                    {"at_us": int(times[at]), "before": one, "after": two, "from_us": int(times[before]),
                     "to_us": int(times[after - 1]),
                    "changes": [int(times[c]) for c in places[:20]]},
                    key=f"change|{int(times[at]) // (7 * DAY_US)}")  # fmt: skip


def _season(
    entity: str, measure: str, times: Any, values: Any, phase: Any, length: int, config: MiningConfig
) -> Finding | None:
    """A season by weekday or by hour: rearranged are whole cycles' phases, so that what lasts within a cycle stays."""
    calm = cut(values)
    cycle = times // (DAY_US * (7 if length == 7 else 1))
    step = DAY_US if length == 7 else 3_600_000_000
    cycle = (times + (3 * DAY_US if length == 7 else 0)) // (step * length)
    rest = calm - pd.Series(calm).groupby(cycle).transform("mean").to_numpy()
    observed = _profile_power(rest, phase, length)
    rng = np.random.default_rng(config.seed)
    used, place = np.unique(cycle, return_inverse=True)
    null = [
        _profile_power(rest, (phase + rng.integers(length, size=len(used))[place]) % length, length)
        for _ in range(config.permutations)
    ]
    p = permutation_p(observed, np.array(null))
    means = pd.Series(values).groupby(phase).mean()
    sizes = pd.Series(values).groupby(phase).size()
    means = means[sizes >= 4]
    if len(means) < length // 2 or not (means.abs() > 0).all():
        return None
    high, low = int(means.idxmax()), int(means.idxmin())
    ratio = float(means[high] / means[low]) if means[low] > 0 else 1.0
    if ratio < config.min_effect:
        return None
    names = {7: ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"]}.get(
        length, [f"{hour:02d}:00 UTC" for hour in range(24)]
    )
    side = values[phase == high] > float(np.median(values))
    half = times < times[len(times) // 2]
    early, late = (_ratio_of(values[part], phase[part], high, low) for part in (half, ~half))
    word = "on" if length == 7 else "at"
    sentence = (
        f"{_what(measure)} of {words.named(entity)} is highest {word} {names[high]}"
        f" ({_level(measure, float(means[high]))})"
        f" and lowest {word}"
        f" {names[low]} ({_level(measure, float(means[low]))}): {words.times(ratio)}, means of {len(used)}"
        f" {'weeks' if length == 7 else 'days'}."
    )
    name, part = ("series_1d", f"isodow FROM time AT TIME ZONE 'UTC') = {high + 1}") if length == 7 else (
        "series_1h", f"hour FROM time AT TIME ZONE 'UTC') = {high}")  # fmt: skip
    check = (
        f"SELECT count(*) FILTER (WHERE avg > {float(np.median(values))!r}) AS support, count(*) AS total,"
        f" avg(avg) AS highest FROM {name} WHERE {_series(entity, measure)} AND {_between(times[0], times[-1])}"
        f" AND extract({part}"
    )
    return _finding("weekly" if length == 7 else "daily", entity, measure, times[phase == high], side, ratio, p,
    sentence,
                    early, late, check, {"profile": {str(at): float(value) for at,
                    value in means.items()}})  # fmt: skip


def _profile_power(rest: Any, phase: Any, length: int) -> float:
    sums = np.bincount(phase, weights=rest, minlength=length)
    counts = np.bincount(phase, minlength=length)
    return float((sums**2 / np.maximum(counts, 1)).sum())


def _ratio_of(values: Any, phase: Any, high: int, low: int) -> float | None:
    one, two = values[phase == high], values[phase == low]
    if min(len(one), len(two)) < 2 or two.mean() <= 0.0 or one.mean() <= 0.0:
        return None
    return float(one.mean() / two.mean())


def _series(entity: str, measure: str) -> str:
    return f"entity = {sql.literal(entity)} AND measure = {sql.literal(measure)}"


def _between(start_us: int, end_us: int) -> str:
    moment = "timestamptz 'epoch' + interval '{} microseconds'"
    return f"time >= {moment.format(int(start_us))} AND time <= {moment.format(int(end_us))}"


def _means(
    entity: str, measure: str, start_us: int, limit: float, sign: str, end_us: int, before_us: int | None = None
) -> str:
    """Days on the claimed side; with `before_us` the mean of the days from then on, and of those that are counted."""
    levels = ""
    if before_us is not None:
        earlier = f"{_series(entity, measure)} AND {_between(before_us, start_us - 1)}"
        levels = f", (SELECT avg(avg) FROM series_1d WHERE {earlier}) AS before, avg(avg) AS since"
    return (
        f"SELECT count(*) FILTER (WHERE avg {sign} {limit!r}) AS support, count(*) AS total{levels} FROM series_1d"
        f" WHERE {_series(entity, measure)} AND {_between(start_us, end_us)}"
    )


def _finding(
    kind: str, entity: str, measure: str, times: Any, side: Any, ratio: float, p: float, sentence: str,
    early: float | None, late: float | None, check: str, evidence: dict[str, Any], key: str = "",
) -> Finding:  # fmt: skip
    return Finding(
        miner=ChangeMiner.name, key=f"{entity}|{measure}|{key or kind}", kind=kind, pattern_class=_class(measure),
        entities=(entity,), measure=measure, support=int(side.sum()), total=len(side),
        confidence=float(side.mean()) if len(side) else 0.0, effect=ratio, effect_name="ratio_of_levels", p_value=p,
        first_seen_us=int(times[0]), last_seen_us=int(times[-1]), early=early, late=late, sentence=sentence, sql=check,
        evidence=evidence,
    )  # fmt: skip


def _what(measure: str) -> str:
    return {"failed": "The share of failed runs", "duration_s": "The duration"}.get(measure, measure)


def _level(measure: str, value: float) -> str:
    """A value of a measure in its own unit.

    >>> _level("failed", 0.365), _level("duration_s", 3310200.0), _level("processing_ms", 250.0), _level("load", 1.5)
    ('36 %', '38 days', '0.25 s', '1.5')
    """
    if measure == "failed":
        return words.share(value, 1.0)
    if measure.endswith(("_s", "_ms")):
        return words.duration(value / (1000.0 if measure.endswith("_ms") else 1.0))
    return number(value)


def _class(measure: str) -> PatternClass:
    kind = "resource" if measure.endswith("_usage") else "pipeline" if measure in ("duration_s", "failed") else "metric"
    return classify(kind, measure, "trend")[1]
