"""What is usual: rows of `performance_baselines` and `performance_analytics`, and what departs from it."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from scipy import stats

from operators.identity import identity
from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import History
from operators.mining.significance import DAY_US, rate_ratio, wilson
from operators.mining.streams import outcomes, source
from operators.taxonomy import PatternClass
from operators.words import number

WINDOWS = {"daily": (1, 30), "weekly": (7, 12), "monthly": (30, 12)}
"""Days of a window, and how many windows before the current one make the baseline."""

FEWEST = 10
"""Outcomes that a baseline needs."""

LATELY = 3
"""Windows before the current one from whose median it must depart, too: what changed before them is no news."""

FEWEST_NOW = 8
"""Outcomes in the current window below which it is not called a departure."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `performance_baselines`. `metrics` by metric type: `response_time` (s), `error_rate`, `throughput`."""

    id: uuid.UUID
    component_name: str
    component_kind: str
    baseline_type: str
    baseline_metrics: dict[str, dict[str, float]]
    confidence_level: float
    sample_size: int
    established_at: datetime
    valid_until: datetime


class Analytics(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `performance_analytics`: a window against its baseline; `performance_delta` in percent, None of
    nothing."""

    id: uuid.UUID
    component_name: str
    component_kind: str
    metric_type: str
    baseline_value: float
    current_value: float
    performance_delta: float | None
    measurement_window: timedelta
    analyzed_at: datetime
    context_metadata: dict[str, Any]


def median_interval(values: Any, level: float = 0.95) -> tuple[float, float, float]:
    """An interval for the median from order statistics, whatever the distribution: low, high, and what it covers.

    >>> median_interval(np.arange(1.0, 21.0))
    (6.0, 15.0, 0.9586105346679688)
    """
    ordered = np.sort(values)
    n = len(ordered)
    low = int(stats.binom.ppf((1.0 - level) / 2.0, n, 0.5))
    while low > 0 and 1.0 - 2.0 * stats.binom.cdf(low - 1, n, 0.5) < level:
        low -= 1
    low = max(low, 1)
    return (
        float(ordered[low - 1]),
        float(ordered[n - low]),
        float(max(0.0, 1.0 - 2.0 * stats.binom.cdf(low - 1, n, 0.5))),
    )


def baselines(history: History, until: datetime) -> tuple[list[Baseline], list[Analytics]]:
    """The rows of every pipeline, step, project and integration at `until`: three baselines, and each window against
    its own.

    The current window is no part of its baseline. Windows count back from `until`; one without outcomes counts for
    throughput as 0, from the component's first outcome on. A component that ended nothing in a window has no
    analytics row of it but that of its throughput.
    """
    stream = outcomes(history.before(until))
    end_us = int(until.timestamp() * 1e6)
    rows: list[Baseline] = []
    now: list[Analytics] = []
    if not len(stream):
        return rows, now
    for (kind, entity), part in stream.groupby(["kind", "entity"], sort=True):
        for name, (days, windows) in WINDOWS.items():
            made = _baseline(str(kind), str(entity), part, name, days, windows, end_us, until)
            if made is not None:
                rows.append(made[0])
                now.extend(made[1])
    return rows, now


def _windows(part: Any, days: int, windows: int, end_us: int) -> tuple[Any, Any, int]:
    """Each outcome's window (0 the current one), which outcomes belong to any, and the windows that there were."""
    age = (end_us - part["end_us"].to_numpy()) // (days * DAY_US)
    oldest = int(age.max())
    return age, age <= windows, min(windows, oldest)


def _baseline(
    kind: str, entity: str, part: Any, name: str, days: int, windows: int, end_us: int, until: datetime
) -> tuple[Baseline, list[Analytics]] | None:
    age, used, there = _windows(part, days, windows, end_us)
    before = used & (age >= 1)
    size = int(before.sum())
    if size < FEWEST or there < 3:
        return None
    failed, seconds = part["failed"].to_numpy(), part["seconds"].to_numpy()
    took = seconds[before & np.isfinite(seconds)]
    bad = int(failed[before].sum())
    counts = np.array([int((age == at).sum()) for at in range(1, there + 1)], dtype=float)
    low, high = wilson(bad, size)
    metrics = {
        "error_rate": {"mean": bad / size, "low": low, "high": high, "n": float(size)},
        "throughput": {"median": float(np.median(counts)), "p10": float(np.quantile(counts, 0.1)),
                       "p90": float(np.quantile(counts, 0.9)), "windows": float(there)},
    }  # fmt: skip
    covered = 0.95
    if len(took) >= FEWEST:
        least, most, covered = median_interval(took)
        shares = {f"p{at}": float(np.quantile(took, at / 100.0)) for at in (10, 50, 90, 95)}
        metrics["response_time"] = shares | {"median_low": least, "median_high": most, "n": float(len(took))}
    window = timedelta(days=days)
    baseline = Baseline(
        id=identity("baseline", f"{kind}\0{entity}\0{name}\0{until.isoformat()}"), component_name=entity,
        component_kind=kind, baseline_type=name, baseline_metrics=metrics, confidence_level=covered, sample_size=size,
        established_at=until, valid_until=until + window,
    )  # fmt: skip
    current = age == 0
    n = int(current.sum())
    values = {"throughput": (metrics["throughput"]["median"], float(n))}
    if n:
        values["error_rate"] = (bad / size, float(failed[current].mean()))
    lately = seconds[current & np.isfinite(seconds)]
    if len(lately) and "response_time" in metrics:
        values["response_time"] = (metrics["response_time"]["p50"], float(np.median(lately)))
    analytics = [
        Analytics(
            id=identity("analytics", f"{kind}\0{entity}\0{metric}\0{name}\0{until.isoformat()}"),
            component_name=entity, component_kind=kind, metric_type=metric, baseline_value=usual, current_value=value,
            performance_delta=100.0 * (value - usual) / usual if usual else None, measurement_window=window,
            analyzed_at=until, context_metadata={"kind": kind, "baseline": name, "n": n, "baseline_n": size},
        )
        for metric, (usual, value) in sorted(values.items())
    ]  # fmt: skip
    return baseline, analytics


class BaselineMiner(Miner):
    """The last week and month against the baseline: longer or shorter runs (Mann-Whitney), more or fewer failures
    (Fisher).

    To allow for runs that come in bursts, and fail in streaks, the window must also lie outside what nine in ten of the
    earlier windows were, and a streak of failures counts once. It compares with the last twelve windows (a yearly
    season looks like a departure) and must depart from the last three as well: what changed before is for `changes`.
    """

    name = "baselines"

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` outcomes in the window that failed, or took longer (shorter) than usual."""
        stream = outcomes(history.before(until))
        if not len(stream):
            return Looked()
        end_us = int(until.timestamp() * 1e6)
        drafts: list[Finding] = []
        tests = 0
        for (kind, entity), part in stream.groupby(["kind", "entity"], sort=True):
            for name in ("weekly", "monthly"):
                days, windows = WINDOWS[name]
                age, used, there = _windows(part, days, windows, end_us)
                if there < 5 or (age == 0).sum() < FEWEST_NOW or (used & (age > 0)).sum() < 4 * FEWEST:
                    continue
                for departs in (_slower, _worse):
                    tests += 1
                    found = departs(str(kind), str(entity), part, age, there, days, end_us, config, until)
                    drafts += [found] if found is not None else []
        return Looked(drafts, {0: tests})


def _unusual(current: float, earlier: list[float]) -> bool:
    if len(earlier) < 5:
        return False
    low, high = np.quantile(earlier, [0.05, 0.95])
    return not low <= current <= high


def _departs(lately: float, whole: float, config: MiningConfig) -> bool:
    """Whether a ratio to the last windows is on the side of that to all of them, and no small one."""
    least = 1.0 + (config.min_effect - 1.0) / 2.0
    return lately >= least if whole > 1.0 else lately <= 1.0 / least


def _slower(
    kind: str,
    entity: str,
    part: Any,
    age: Any,
    there: int,
    days: int,
    end_us: int,
    config: MiningConfig,
    until: datetime,
) -> Finding | None:
    seconds = part["seconds"].to_numpy()
    known = np.isfinite(seconds)
    now, before = seconds[known & (age == 0)], seconds[known & (age >= 1) & (age <= there)]
    if len(now) < FEWEST_NOW or len(before) < 4 * FEWEST:
        return None
    usual, value = float(np.median(before)), float(np.median(now))
    windows = [seconds[known & (age == at)] for at in range(1, there + 1)]
    ratio = (value + 1e-9) / (usual + 1e-9)
    if max(ratio, 1 / ratio) < 1.0 + (config.min_effect - 1.0) / 2.0:
        return None
    if not _unusual(value, [float(np.median(window)) for window in windows if len(window) >= 3]):
        return None
    lately = np.concatenate(windows[:LATELY])
    if len(lately) >= FEWEST_NOW and not _departs((value + 1e-9) / (float(np.median(lately)) + 1e-9), ratio, config):
        return None
    p = float(stats.mannwhitneyu(now, before, alternative="two-sided").pvalue)
    longer = ratio > 1
    support = int((now > usual).sum() if longer else (now < usual).sum())
    sentence = (
        f"In the last {days} days {words.named(entity)} took {words.duration(value)}, usual is {words.duration(usual)}"
        f" (medians): {support} of {len(now)} were {'longer' if longer else 'shorter'} than usual."
    )
    return _departure(kind, entity, "duration_s", days, support, len(now), ratio, p, sentence, end_us, until,
                      f"{{seconds}} {'>' if longer else '<'} {usual!r}", "{seconds} IS NOT NULL",
                      {"usual": usual, "current": value, "n_before": len(before)})  # fmt: skip


def _worse(
    kind: str,
    entity: str,
    part: Any,
    age: Any,
    there: int,
    days: int,
    end_us: int,
    config: MiningConfig,
    until: datetime,
) -> Finding | None:
    failed = part["failed"].to_numpy()
    now, before = failed[age == 0], failed[(age >= 1) & (age <= there)]
    bad, total, rows = int(now.sum()), len(now), len(now) + len(before)
    all_bad = bad + int(before.sum())
    if all_bad < config.min_count:
        return None
    ratio = float(rate_ratio(bad, total, all_bad, rows))
    if max(ratio, 1 / ratio) < config.min_effect:
        return None
    windows = [failed[age == at] for at in range(1, there + 1)]
    if not _unusual(bad / total, [float(window.mean()) for window in windows if len(window) >= 3]):
        return None
    lately = np.concatenate(windows[:LATELY])
    then = float(rate_ratio(bad, total, bad + int(lately.sum()), total + len(lately)))
    if len(lately) >= FEWEST_NOW and not _departs(then, ratio, config):
        return None
    p = float(stats.fisher_exact([[bad, total - bad], [all_bad - bad, len(before) - all_bad + bad]]).pvalue)
    known = age <= there
    p = max(p, _in_streaks(failed[known], age[known] == 0))
    sentence = (
        f"In the last {days} days {words.named(entity)} failed {bad} times in {total} ({words.share(bad, total)}),"
        f" usual is"
        f" {number(round(100.0 * float(before.mean()), 1))} %."
    )
    return _departure(kind, entity, "failed", days, bad, total, ratio, p, sentence, end_us, until, sql.failed(), "true",
                      {"usual": float(before.mean()), "current": bad / total, "n_before": len(before)})  # fmt: skip


def _in_streaks(failed: Any, now: Any) -> float:
    """p of the current window's failures when a streak of them counts once: its first failure, among the runs that
    came after a good one (Fisher, two-sided). Longer streaks are longer repairs, which `recovery` tells.

    >>> failed = np.array([False] * 40 + [True] * 10)
    >>> round(_in_streaks(failed, np.arange(50) >= 40), 3)
    0.024
    """
    after_good = np.concatenate(([True], ~failed[:-1]))
    first = failed & after_good
    table = [[int((first & part).sum()), int((after_good & ~first & part).sum())] for part in (now, ~now)]
    return float(stats.fisher_exact(table).pvalue)


def _departure(
    kind: str, entity: str, measure: str, days: int, support: int, total: int, ratio: float, p: float, sentence: str,
    end_us: int, until: datetime, hits: str, counted: str, evidence: dict[str, Any],
) -> Finding:  # fmt: skip
    origin = source(kind, entity)
    start = end_us - days * DAY_US
    rows = (
        f"{origin.rows} AND {sql.judged()} AND {sql.until(origin.end, until)} AND"
        f" {counted.format(seconds=origin.seconds)}"
        f" AND {origin.end} > timestamptz 'epoch' + interval '{start} microseconds'"
    )
    slow = measure == "duration_s"
    return Finding(
        miner=BaselineMiner.name, key=f"{kind}|{entity}|{measure}|{days}", kind="departure",
        pattern_class=PatternClass.RESPONSE_TIME_DEGRADATION if slow else PatternClass.FAILURE_MODE, entities=(entity,),
        measure=measure, support=support, total=total, confidence=support / total, effect=ratio,
        effect_name="ratio_of_medians" if slow else "rate_ratio", p_value=p, first_seen_us=start, last_seen_us=end_us,
        sentence=sentence, sql=sql.counting(origin.table, rows, hits.format(seconds=origin.seconds)), evidence=evidence,
    )  # fmt: skip
