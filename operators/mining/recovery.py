"""How long it takes until it works again, and whether what was changed helped."""

from datetime import datetime
from typing import Any

import numpy as np
from scipy import stats

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import History, micros
from operators.mining.significance import DAY_US, fisher_greater, rate_ratio, wilson
from operators.mining.streams import outcomes, source
from operators.taxonomy import PatternClass

EFFECT_DAYS = 28
"""Days before and after a change that are compared, at most; the next change of the entity ends them too."""

FEWEST_RUNS = 15
"""Runs on each side of a change below which nothing is said."""


def recoveries(times_us: Any, failed: Any) -> tuple[Any, Any, int]:
    """Times to recovery of one entity's runs in the order of their ends: starts (µs), lengths (seconds), and how many
    go on.

    From the end of the first failed run after a good one (or the first of all) to the end of the next good one.

    >>> recoveries(np.array([0, 10, 20, 30, 40]) * 1_000_000, np.array([False, True, True, False, True]))
    (array([10000000]), array([20.]), 1)
    """
    before = np.concatenate(([False], failed[:-1]))
    starts = times_us[failed & ~before]
    ends = times_us[~failed & before]
    return starts[: len(ends)], (ends - starts[: len(ends)]) / 1e6, len(starts) - len(ends)


class RecoveryMiner(Miner):
    """Recovery times: how long an entity stays broken (a count that claims nothing), and where that got longer or
    shorter.

    The change is between the earlier and the later half of its breakages, by Mann and Whitney's test. It measures until
    the next good run *ended*: a pipeline that runs once a night cannot recover faster than that.
    """

    name = "recovery"

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` breakages that ended of `total`."""
        stream = outcomes(history.before(until), ["pipeline", "task", "integration"])
        drafts: list[Finding] = []
        if not len(stream):
            return Looked()
        for (kind, entity), part in stream.groupby(["kind", "entity"], sort=True):
            starts, seconds, open_ones = recoveries(part["end_us"].to_numpy(), part["failed"].to_numpy())
            if len(seconds) < config.min_count:
                continue
            drafts.append(_level(kind, entity, starts, seconds, open_ones, until))
            if len(seconds) >= 2 * config.min_count:
                drafts.append(_shift(kind, entity, starts, seconds, open_ones, until))
        tests = sum(draft.p_value is not None for draft in drafts)
        return Looked([one for one in drafts if one.kind == "recovery" or _clear(one, config)], {0: tests})


def _clear(finding: Finding, config: MiningConfig) -> bool:
    return max(finding.effect, 1.0 / finding.effect) >= config.min_effect


def _level(kind: str, entity: str, starts: Any, seconds: Any, open_ones: int, until: datetime) -> Finding:
    total, support = len(seconds) + open_ones, len(seconds)
    middle, slow = (float(np.quantile(seconds, share)) for share in (0.5, 0.9))
    sentence = (
        f"When {words.named(entity)} breaks it takes {words.duration(middle)} until it works again (median of {support}"
        f" breakages, nine in ten within {words.duration(slow)}), last on {words.day(int(starts[-1]))}."
    )
    return Finding(
        miner=RecoveryMiner.name, key=f"{kind}|{entity}", kind="recovery", pattern_class=PatternClass.RECOVERY_TIME,
        entities=(entity,), measure="recovery_s", support=support, total=total, confidence=support / total, effect=1.0,
        effect_name="count", p_value=None, first_seen_us=int(starts[0]), last_seen_us=int(starts[-1]),
        sentence=sentence, sql=_check(kind, entity, until),
        evidence={"median_s": middle, "p90_s": slow, "mean_s": float(seconds.mean()), "open": open_ones},
    )  # fmt: skip


def _shift(kind: str, entity: str, starts: Any, seconds: Any, open_ones: int, until: datetime) -> Finding:
    half = len(seconds) // 2
    before, after = seconds[:half], seconds[half:]
    p = float(stats.mannwhitneyu(before, after, alternative="two-sided").pvalue)
    one, two = float(np.median(before)), float(np.median(after))
    ratio = max(two, 1e-9) / max(one, 1e-9)
    word = "longer" if ratio > 1 else "shorter"
    sentence = (
        f"Repairs of {words.named(entity)} take {word} than they did: {words.duration(two)} in the {len(after)}"
        f" breakages"
        f" since {words.day(int(starts[half]))}, {words.duration(one)} in the {half} before (medians)."
    )
    return Finding(
        miner=RecoveryMiner.name, key=f"{kind}|{entity}|change", kind="recovery_change",
        pattern_class=PatternClass.RECOVERY_TIME, entities=(entity,), measure="recovery_s", support=len(seconds),
        total=len(seconds) + open_ones, confidence=1.0 - p, effect=ratio, effect_name="ratio_of_medians", p_value=p,
        first_seen_us=int(starts[half]), last_seen_us=int(starts[-1]), sentence=sentence,
        sql=_check(kind, entity, until), evidence={"before_s": one, "after_s": two, "from_us": int(starts[half])},
    )  # fmt: skip


def _check(kind: str, entity: str, until: datetime) -> str:
    """Breakages that ended, of all, and the median of what they took in seconds."""
    origin = source(kind, entity)
    rows = f"{origin.rows} AND {sql.judged()} AND {sql.until(origin.end, until)}"
    return (
        "SELECT count(ended) AS support, count(*) AS total,"
        " percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM ended - began)::float8) AS median_s FROM"
        " (SELECT min(at) FILTER (WHERE bad) AS began, min(at) FILTER (WHERE NOT bad) AS ended FROM"
        " (SELECT bad, at, count(*) FILTER (WHERE bad AND NOT was_bad) OVER (ORDER BY at, id) AS breakage FROM"
        " (SELECT bad, at, id, coalesce(lag(bad) OVER (ORDER BY at, id), false) AS was_bad FROM"
        f" (SELECT {sql.failed()} AS bad, {origin.end} AS at, id::text AS id FROM {origin.table} WHERE {rows})"
        " AS rows) AS followed) AS counted WHERE breakage > 0 GROUP BY breakage) AS breakages"
    )


class PreventionMiner(Miner):
    """What changes made on purpose did to the failure rate: up to 28 days before against as many after.

    Fisher's test, one-sided in the direction seen and doubled, with the Wilson intervals of both rates. A change made
    because things were bad looks good by itself (rates fall back to their mean): read it with the rate of before.
    """

    name = "prevention"

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` failures of `total` runs after the change; `effect` the rate after over the rate before."""
        history = history.before(until)
        stream = outcomes(history)
        if not len(stream) or not len(history.interventions):
            return Looked()
        parts = {entity: part for (_, entity), part in stream.groupby(["kind", "entity"], sort=True)}
        changes = history.interventions.assign(at=micros(history.interventions["time"]))
        drafts: list[Finding] = []
        tests = 0
        for entity, group in changes.groupby("entity", sort=True):
            if entity not in parts:
                continue
            at = group["at"].tolist()
            for place, (kind, name) in enumerate(zip(group["kind"], group["name"], strict=True)):
                bounds = (at[place - 1] if place else None, at[place], at[place + 1] if place + 1 < len(at) else None)
                found = _effect(parts[entity], str(kind), str(name), bounds, until)
                if found is not None:
                    tests += 1
                    drafts += [found] if _clear(found, config) else []
        return Looked(drafts, {0: tests})


def _effect(part: Any, kind: str, name: str, bounds: tuple[Any, int, Any], until: datetime) -> Finding | None:
    previous, at, following = bounds
    start = max(at - EFFECT_DAYS * DAY_US, previous if previous is not None else -(1 << 62))
    end = min(at + EFFECT_DAYS * DAY_US, following if following is not None else 1 << 62)
    # A run that was under way belongs to neither side.
    ends, begun, failed = (part[column].to_numpy() for column in ("end_us", "start_us", "failed"))
    before, after = (ends > start) & (ends <= at), (begun >= at) & (begun < end)
    n_before, n_after = int(before.sum()), int(after.sum())
    if min(n_before, n_after) < FEWEST_RUNS:
        return None
    bad_before, bad_after = int(failed[before].sum()), int(failed[after].sum())
    rows, bad = n_before + n_after, bad_before + bad_after
    p = 2.0 * min(
        float(fisher_greater(bad_after, n_after, bad, rows)), float(fisher_greater(bad_before, n_before, bad, rows))
    )
    ratio = float(rate_ratio(bad_after, n_after, bad, rows))
    entity, of = str(part["entity"].iloc[0]), str(part["kind"].iloc[0])
    origin = source(of, entity)
    word = "less" if ratio < 1 else "more"
    sentence = (
        f"Since {kind} {words.named(name)} on {words.day(at)}, {words.named(entity)} fails {word} often:"
        f" {bad_after} of {n_after} ({words.share(bad_after, n_after)}), before {bad_before} of {n_before}"
        f" ({words.share(bad_before, n_before)})."
    )
    moment = "(timestamptz 'epoch' + interval '{} microseconds')"
    rows_sql = (
        f"{origin.rows} AND {sql.judged()} AND {sql.until(origin.end, until)} AND {origin.start} >= {moment.format(at)}"
        f" AND {origin.start} < {moment.format(end)}"
    )
    seen = ends[after]
    return Finding(
        miner=PreventionMiner.name, key=f"{of}|{entity}|{kind}|{name}|{at}", kind="prevention",
        pattern_class=PatternClass.PREVENTION_EFFECTIVENESS, entities=(entity,), measure="failed", support=bad_after,
        total=n_after, confidence=max(0.0, 1.0 - p), effect=ratio, effect_name="rate_ratio", p_value=min(1.0, p),
        first_seen_us=at, last_seen_us=int(seen[-1]), sentence=sentence,
        sql=sql.counting(origin.table, rows_sql, sql.failed()),
        evidence={"before": bad_before, "before_total": n_before, "before_interval": list(wilson(bad_before, n_before)),
                  "after_interval": list(wilson(bad_after, n_after))},
    )  # fmt: skip
