"""Trends, seasons and change points of the series by hour and by day."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from scipy import stats

from operators.mining import words
from operators.mining.days import Days, days_of, moment, plain
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import History
from operators.mining.lean import named
from operators.mining.series_tests import (
    SHORTEST,
    change_points,
    cut,
    first_autocorrelation,
    mann_kendall,
    spread,
    trend_p,
    two_means_p,
    without_week,
)
from operators.mining.significance import DAY_US, permutation_p
from operators.taxonomy import PatternClass, classify
from operators.words import number

FEWEST_DAYS = 28
"""Days with values that a trend or a change point needs; eight weeks of them for a season by weekday."""

FEWEST_HOUR_DAYS = 14
"""Days with at least half of their hours that a season by hour needs."""

FEWEST_VALUES = 30
"""Runs (tasks, events) that each side of a change of theirs needs: the median of 30 lies between the 10th and the 21st
of them (at 95 %), that of fewer nearly anywhere where lengths differ by hundreds of times."""

EXPLAINED = 0.5
"""Part of the change of a pipeline's length (as logarithms) from which on that of its number of steps is told with it:
then there is more (less) to do, and it need not be slower (faster)."""

LONG_ENOUGH = 14
"""Days with values of a stretch that is a level; a shorter one is an episode."""

MOST_CHANGES = 3
"""Changes of one series that are told, the latest."""


class ChangeMiner(Miner):
    """Trends, change points and seasons by weekday of each daily series, seasons by hour of each hourly series.

    A trend must pass Mann and Kendall's test and go on through the stretches. A change point is tested twice, by the
    means of values with the far ones cut and by ranks, both with a variance for autocorrelated values, and told by
    medians (shares of failures), which no few outliers move. Where there is both, the change is told and not the
    trend. Days without values are left out, not filled. Series of counts that are mostly zero have medians that say
    little. What changed in the last `LONG_ENOUGH` days is for `baselines` to tell.
    """

    name = "changes"

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` days that lie on the claimed side, of series of what components did."""
        days = days_of(history.before(until), until, of_components=True)
        return _looked([_by_day(one, config) for one in days])

    def lean(self, history: History, config: MiningConfig) -> History:  # noqa: ARG002
        """Which components there are: their series are looked at with what they did."""
        return named(history)

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` days or hours that lie on the claimed side, of all other series and of all by hour."""
        history = history.before(until)
        looks = [_by_day(days, config) for days in days_of(history, until, of_components=False)]
        frame = history.hourly
        for (entity, measure), part in frame[frame["avg"].notna()].groupby(["entity", "measure"], sort=True):
            looks.append(_by_hour(plain(str(entity), str(measure), part), config))
        return _looked(looks)

    def conclude(self, looked: Iterable[Looked], config: MiningConfig) -> list[Finding]:
        """A change is told and not the trend that it makes."""
        every = super().conclude(looked, msgspec.structs.replace(config, max_findings=1 << 30))
        changed = {(*finding.entities, finding.measure) for finding in every if finding.kind == "change_point"}
        kept = [f for f in every if f.kind != "trend" or (*f.entities, f.measure) not in changed]
        return kept[: config.max_findings]


def _looked(looks: list[list[Finding | None]]) -> Looked:
    drafts = [found for looked in looks for found in looked if found is not None]
    return Looked(drafts, {0: sum(map(len, looks))})


def _by_day(days: Days, config: MiningConfig) -> list[Finding | None]:
    if len(days.values) < FEWEST_DAYS:
        return []
    found: list[Finding | None] = [_trend(days, config)]
    found += _changes(days, config) or [None]
    if len(days.values) >= 2 * FEWEST_DAYS:
        weekday = ((days.times_us // DAY_US) + 3) % 7  # 1 January 1970 was a Thursday
        found.append(_season(days, weekday, 7, config))
    return found


def _by_hour(hours: Days, config: MiningConfig) -> list[Finding | None]:
    _, counts = np.unique(hours.times_us // DAY_US, return_counts=True)
    if (counts >= 12).sum() < FEWEST_HOUR_DAYS:
        return []
    return [_season(hours, (hours.times_us // 3_600_000_000) % 24, 24, config)]


def _trend(days: Days, config: MiningConfig) -> Finding | None:
    times, values = days.times_us, days.values
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
    whole = float(times[-1] - times[0]) / DAY_US
    sentence = (
        f"{_what(days)} has {word} steadily from about {words.level(days.measure, start)} to"
        f" {words.level(days.measure, end)} in {whole:.0f} days"
        f" up to {words.day(int(times[-1]))} (by day; Kendall's tau {tau:.2f})."
    )
    return _finding("trend", days, times, side[half:], ratio, p, sentence, early, late,
                    _counted(days, int(times[half]), int(times[-1]) + DAY_US, middle, ">" if slope > 0 else "<"),
                    {"tau": tau, "start": start, "end": end, "days": whole, "direction": word})  # fmt: skip


def _thin(values: Any, most: int = 400) -> Any:
    """Means of neighbours, so that no more than `most` are left: Mann and Kendall's test takes all pairs."""
    every = -(-len(values) // most)
    if every == 1:
        return values
    return np.array([part.mean() for part in np.split(values, range(every, len(values), every))])


def _changes(days: Days, config: MiningConfig) -> list[Finding]:
    """The latest changes between stretches that are long enough and hold enough values, each with its p.

    Shorter ones are episodes: what is before them is compared with what is after.
    """
    calm = without_week(days.times_us, cut(days.values))
    bounds = [0, *change_points(calm), len(calm)]
    stretches = [part for part in pairwise(bounds) if part[1] - part[0] >= LONG_ENOUGH]
    phi = first_autocorrelation(calm)
    inflate = (1.0 + phi) / (1.0 - phi)
    # Any place, with any stretch before and after it, could have been the one: Bonferroni over them.
    many = len(calm) ** 2 / SHORTEST
    found = []
    for first, before, after in zip([None, *stretches], stretches, stretches[1:], strict=False):
        one, two = calm[slice(*before)], calm[slice(*after)]
        # One variance for both sides: a short stretch that happens to be calm must not look certain.
        floor = 0.5 * spread(np.diff(calm)) ** 2
        p = max(two_means_p(one, two, inflate, floor), two_means_p(*_ranks(one, two), inflate))
        change = _change(days, first, before, after, min(1.0, many * p), config)
        if change is not None:
            found.append(change)
    return found[-MOST_CHANGES:]


def _ranks(one: Any, two: Any) -> tuple[Any, Any]:
    """Two stretches as ranks: a test of means of ranks is Mann and Whitney's (Conover & Iman, 1981)."""
    ranks = stats.rankdata(np.concatenate((one, two)))
    return ranks[: len(one)], ranks[len(one) :]


def _change(
    days: Days, first: tuple[int, int] | None, before: tuple[int, int], after: tuple[int, int], p: float,
    config: MiningConfig,
) -> Finding | None:  # fmt: skip
    """The change between two stretches of days, `first` the one before both."""
    times, at = days.times_us, after[0]
    start, stop, middle, end = (int(times[before[0]]), int(times[before[1] - 1]) + DAY_US, int(times[at]),
                                int(times[after[1] - 1]) + DAY_US)  # fmt: skip
    last = after[1] == len(times)
    counts = [float(days.weights[days.within(*part)].sum()) for part in ((start, stop), (middle, end))]
    if days.of_runs and min(counts) < FEWEST_VALUES:
        return None
    one, two = days.level(start, stop), days.level(middle, end)
    ratio = _ratio(days, one, two, *counts)
    if max(ratio, 1.0 / ratio) < 1.0 + (config.min_effect - 1.0) / 2.0:
        return None
    limit = (one + two) / 2.0
    part = days.values[slice(*after)]
    side = part > limit if two > one else part < limit
    if not side.any():
        return None
    inside = int(times[(at + after[1]) // 2])
    early, late = (
        _ratio(days, one, days.level(*half), counts[0], float(days.within(*half).sum()))
        for half in ((middle, inside), (inside, end))
    )
    back = first is not None and _is_back(days, int(times[first[0]]), start, middle, two, config)
    word = "rose" if two > one else "fell"
    since = ("since" if last else f"until {words.day(end - DAY_US)}") + (
        f"; as it was before {words.day(start)}" if back else ""
    )
    sentence = f"{_what(days)} {word} around {words.day(middle)} from {words.level(days.measure, one)}"
    if days.is_share and days.of_runs:
        bad = [round(level * count) for level, count in zip((one, two), counts, strict=True)]
        sentence += (
            f" ({bad[0]} of {counts[0]:.0f} from {words.day(start)} on) to {words.level(days.measure, two)}"
            f" ({bad[1]} of {counts[1]:.0f} {since})."
        )
    else:
        number_of = counts if days.of_runs else [before[1] - before[0], after[1] - at]
        unit = "" if days.of_runs else " days"
        size = f"{words.times(max(ratio, 1 / ratio))}; " if one and two else ""
        sentence += (
            f" to {words.level(days.measure, two)} ({size}medians of the"
            f" {number_of[0]:.0f}{unit} from {words.day(start)} on and of the {number_of[1]:.0f} {since})."
        )
    steps = [days.steps_within(*part) for part in ((start, stop), (middle, end))]
    more = np.isfinite(steps).all() and np.log(steps[1] / steps[0]) / np.log(ratio) >= EXPLAINED
    if more:
        sentence += f" Runs have {number(steps[1])} steps since, {number(steps[0])} before (medians)."
    levels = f", ({days.level_sql(start, stop)}) AS before, ({days.level_sql(middle, end)}) AS since"
    if more:
        levels += f", ({days.steps_sql(start, stop)}) AS steps_before, ({days.steps_sql(middle, end)}) AS steps_since"
    check = _counted(days, middle, end, limit, ">" if two > one else "<", levels)
    return _finding("change_point", days, times[slice(*after)], side, ratio, p, sentence, early, late, check,
                    {"at_us": middle, "before": one, "after": two, "from_us": start, "to_us": int(times[after[1] - 1]),
                     "n_before": counts[0], "n_after": counts[1], "lasts": last, "back": back}
                    | ({"steps": steps} if more else {}),
                    key=f"change|{middle // (7 * DAY_US)}")  # fmt: skip


def _is_back(days: Days, first_us: int, start_us: int, middle_us: int, now: float, config: MiningConfig) -> bool:
    """Whether a shorter stretch ended with the level that was before it: an episode is over."""
    earlier = days.level(first_us, start_us)
    here = float(days.weights[days.within(first_us, start_us)].sum())
    ratio = _ratio(days, earlier, now, here, here)
    alike = max(ratio, 1.0 / ratio) < 1.0 + (config.min_effect - 1.0) / 4.0
    return alike and start_us - first_us > middle_us - start_us


def _ratio(days: Days, one: float, two: float, before: float, after: float) -> float:
    """How many times the level before the level after is; half a failure is lent to a share of none."""
    if not days.is_share:
        return (abs(two) + 1e-12) / (abs(one) + 1e-12)
    if min(one, two) > 0.0:
        return two / one
    return ((two * after + 0.5) / (after + 1.0)) / ((one * before + 0.5) / (before + 1.0))


def _season(days: Days, phase: Any, length: int, config: MiningConfig) -> Finding | None:
    """A season by weekday or by hour: rearranged are whole cycles' phases, so that what lasts within a cycle stays."""
    times, values = days.times_us, days.values
    calm = cut(values)
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
    grouped = pd.Series(values).groupby(phase)
    levels = grouped.mean() if days.is_share else grouped.median()
    levels = levels[grouped.size() >= 4]
    if len(levels) < length // 2 or not (levels.abs() > 0).all():
        return None
    high, low = int(levels.idxmax()), int(levels.idxmin())
    ratio = float(levels[high] / levels[low]) if levels[low] > 0 else 1.0
    if ratio < config.min_effect:
        return None
    names = {7: ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"]}.get(
        length, [f"{hour:02d}:00 UTC" for hour in range(24)]
    )
    middle = float(np.median(values))
    side = values[phase == high] > middle
    if not side.any():
        return None
    half = times < times[len(times) // 2]
    early, late = (_ratio_of(days, part, phase, high, low) for part in (half, ~half))
    word = "on" if length == 7 else "at"
    sentence = (
        f"{_what(days)} is highest {word} {names[high]} ({words.level(days.measure, float(levels[high]))}) and lowest"
        f" {word} {names[low]} ({words.level(days.measure, float(levels[low]))}): {words.times(ratio)},"
        f" {'means' if days.is_share else 'medians'} of {len(used)} {'weeks' if length == 7 else 'days'}."
    )
    table, part = days.table, f"isodow FROM time AT TIME ZONE 'UTC') = {high + 1}"
    if length == 24:
        table, part = table.replace("FROM series_1d", "FROM series_1h"), f"hour FROM time AT TIME ZONE 'UTC') = {high}"
    check = (
        f"SELECT count(*) FILTER (WHERE value > {middle!r}) AS support, count(*) AS total, {days.profile_sql()} AS"
        f" highest FROM {table} WHERE time >= {moment(times[0])} AND time <= {moment(times[-1])} AND extract({part}"
    )
    return _finding("weekly" if length == 7 else "daily", days, times[phase == high], side, ratio, p, sentence, early,
                    late, check, {"profile": {str(at): float(value) for at, value in levels.items()}})  # fmt: skip


def _profile_power(rest: Any, phase: Any, length: int) -> float:
    sums = np.bincount(phase, weights=rest, minlength=length)
    counts = np.bincount(phase, minlength=length)
    return float((sums**2 / np.maximum(counts, 1)).sum())


def _ratio_of(days: Days, part: Any, phase: Any, high: int, low: int) -> float | None:
    one, two = days.values[part & (phase == high)], days.values[part & (phase == low)]
    if min(len(one), len(two)) < 2:
        return None
    up, down = (float(x.mean() if days.is_share else np.median(x)) for x in (one, two))
    return up / down if min(up, down) > 0.0 else None


def _counted(days: Days, start_us: int, end_us: int, limit: float, sign: str, levels: str = "") -> str:
    """Days of a time, its end excluded, on the claimed side of a limit."""
    return (
        f"SELECT count(*) FILTER (WHERE value {sign} {limit!r}) AS support, count(*) AS total{levels} FROM"
        f" {days.table} WHERE time >= {moment(start_us)} AND time < {moment(end_us)}"
    )


def _finding(
    kind: str, days: Days, times: Any, side: Any, ratio: float, p: float, sentence: str,
    early: float | None, late: float | None, check: str, evidence: dict[str, Any], key: str = "",
) -> Finding:  # fmt: skip
    entity, measure = days.entity, days.measure
    return Finding(
        miner=ChangeMiner.name, key=f"{entity}|{measure}|{key or kind}", kind=kind, pattern_class=_class(measure),
        entities=(entity,), measure=measure, support=int(side.sum()), total=len(side),
        confidence=float(side.mean()) if len(side) else 0.0, effect=ratio, effect_name="ratio_of_levels", p_value=p,
        first_seen_us=int(times[0]), last_seen_us=int(times[-1]), early=early, late=late, sentence=sentence, sql=check,
        evidence=evidence,
    )  # fmt: skip


def _what(days: Days) -> str:
    what = {"failed": "The share of failed runs", "duration_s": "The duration"}.get(days.measure, days.measure)
    return f"{what} of {words.named(days.entity)}"


def _class(measure: str) -> PatternClass:
    kind = "resource" if measure.endswith("_usage") else "pipeline" if measure in ("duration_s", "failed") else "metric"
    return classify(kind, measure, "trend")[1]
