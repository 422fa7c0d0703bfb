"""Association rules: which circumstances go with failing, and with being slow."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from operators.mining import sql, words
from operators.mining.contexts import Item, Place, places
from operators.mining.engine import Embedded, Engine, ItemsetJob, Itemsets
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import History
from operators.mining.significance import (
    BLOCKS,
    blocks_of,
    fisher_greater,
    halves,
    rate_ratio,
    wilson,
    within_p,
    within_ratio,
)
from operators.taxonomy import PatternClass

Thing = TypeVar("Thing", bound=Hashable)

MOST_CHECKED = 400
"""Rules of one place that are looked at closely, the least p first."""

BETTER_P = 0.05
"""p at which a longer rule counts as better than each rule it contains."""

BETTER = 1.15
"""And by how much more often its effect must come, at least."""

ROWS_A_STRETCH, MOST_STRETCHES = 20, 100
"""Rows of a stretch of time within which they are compared, and most stretches: more make the test surer of itself,
shorter ones hold too few rows with and without."""

APART = 1.25
"""Between the ratio to all others and to those of the same days: beyond it both are told."""

_CLASS = {"failed": PatternClass.FAILURE_MODE, "slow": PatternClass.BOTTLENECK_IDENTIFICATION}


class RuleMiner(Miner):
    """Circumstances of runs, tasks and events under which they fail, or are slow, more often than the others.

    They are compared with others of the same days (`within_p`): a circumstance that holds for months (a version, a size
    that only grows) is a proxy of time and no rule; that failures changed then is for `changes` and `prevention` to
    tell. How the run before ended is no circumstance of failing: failures come in streaks, whose length is what
    `recovery` tells. What fails more often is not thereby the cause.
    """

    name = "rules"

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine or Embedded()

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """Rules; `support` of `total` rows with the circumstance, `effect` the ratio of rates with and without."""
        drafts: list[Finding] = []
        tests: dict[int, int] = {}
        history = history.before(until)
        with threadpool_limits(1):  # the tables are small: threads would only wait for each other
            counted = self._engine.itemsets(lambda: places(history, until), lambda place: _jobs(place, config))
            looked = [_rules_of(place, counts, config) for place, counts in counted]
        for found, made in (one for of_place in looked for one in of_place):
            drafts += found
            for length, count in made.items():
                tests[length] = tests.get(length, 0) + count
        return Looked(drafts, tests)

    def layer(self, draft: Finding) -> int:
        """A layer for each length."""
        return len(draft.evidence["cause"])


def _jobs(place: Place, config: MiningConfig) -> Iterator[ItemsetJob]:
    """What is counted in a place: its circumstances, and those of the rows of each outcome."""
    yield ItemsetJob(place.matrix, config.at_least(len(place.matrix)), config.max_length)
    for outcome in _outcomes(place, config):
        yield ItemsetJob(place.matrix[place.outcomes[outcome]], config.min_count, config.max_length)


def _outcomes(place: Place, config: MiningConfig) -> list[str]:
    """Outcomes that come often enough, and not always."""
    return [name for name, effect in place.outcomes.items() if config.min_count <= effect.sum() < len(effect)]


def _rules_of(place: Place, counts: list[Itemsets], config: MiningConfig) -> list[tuple[list[Finding], dict[int, int]]]:
    """What goes with each outcome of a place, and how many rules of each length were tested for it."""
    rows = len(place.matrix)
    most = rows - config.at_least(rows)
    causes = {items: count for items, count in counts[0].items() if count <= most}
    if not causes:
        return []
    return [
        _rules_for(place, outcome, causes, with_effect, config)
        for outcome, with_effect in zip(_outcomes(place, config), counts[1:], strict=True)
    ]


def _rules_for(
    place: Place, outcome: str, causes: Itemsets, with_effect: Itemsets, config: MiningConfig
) -> tuple[list[Finding], dict[int, int]]:
    effect = place.outcomes[outcome]
    rows, hits = len(effect), int(effect.sum())
    both = dict.fromkeys(causes, 0) | with_effect
    if outcome == "failed":
        streaks = {at for at, item in enumerate(place.items) if item.attribute == "before"}
        causes = {items: count for items, count in causes.items() if not items & streaks}
        if not causes:
            return [], {}
    ordered = sorted(causes, key=lambda items: (len(items), sorted(items)))
    tests = dict(Counter(map(len, ordered)))
    n_both, n_cause = np.array([(both[items], causes[items]) for items in ordered]).T
    p_values = fisher_greater(n_both, n_cause, hits, rows)
    ratios = rate_ratio(n_both, n_cause, hits, rows)
    good = [
        at
        for at in np.argsort(p_values, kind="stable")
        if p_values[at] <= config.false_discovery_rate
        and ratios[at] >= config.min_effect
        and n_both[at] >= config.min_count
    ][:MOST_CHECKED]
    if not good:
        return [], tests
    member = np.stack([place.matrix[:, sorted(ordered[at])].all(axis=1) for at in good], axis=1)
    blocks = blocks_of(place.starts_us, min(max(rows // ROWS_A_STRETCH, BLOCKS), MOST_STRETCHES))
    at_once = within_p(member, effect, blocks)
    ratios_then = within_ratio(member, effect, blocks)
    shares = {ordered[at]: n_both[at] / n_cause[at] for at in range(len(ordered))}
    kept: list[tuple[int, Any, float]] = []
    for column, at in enumerate(good):
        items = ordered[at]
        p = max(float(p_values[at]), float(at_once[column]))
        if not ratios_then[column] >= config.min_effect:
            p = 1.0
        for without in items if len(items) > 1 else ():
            rest = items - {without}
            outer = (int(both.get(rest, 0)), int(causes.get(rest, 0)))
            better = fisher_greater(n_both[at], n_cause[at], outer[0], outer[1]) if outer[1] else 0.0
            if better > BETTER_P or shares[items] < BETTER * shares.get(rest, 0.0):
                p = 1.0
            p = max(p, float(better))
        kept.append((int(at), member[:, column], p))
    then = {ordered[at]: float(ratio) for at, ratio in zip(good, ratios_then, strict=True)}
    distinct = _distinct(kept, lambda at: _apart_from_hours(place, ordered[at]))
    drafts = [_finding(place, outcome, ordered[at], column, p, then[ordered[at]]) for at, column, p in distinct]
    return drafts, tests


def _distinct(
    kept: list[tuple[int, Any, float]], apart: Callable[[int], frozenset[int] | None]
) -> list[tuple[int, Any, float]]:
    """Without rules whose rows are nearly those of a stronger one (two names of one circumstance), and without those
    that say the same of a longer or shorter part of the day (`apart`: the circumstances beside the hour)."""
    out: list[tuple[int, Any, float]] = []
    for at, column, p in sorted(kept, key=lambda rule: (rule[2], rule[0])):
        mine = apart(at)
        if p < 1.0 and not any(
            _overlap(column, other) >= 0.8 or (mine is not None and mine == apart(before) and _nested(column, other))
            for before, other, _ in out
        ):
            out.append((at, column, p))
    return out


def _apart_from_hours(place: Place, items: frozenset[int]) -> frozenset[int] | None:
    """The items that are not hours; None where none is an hour."""
    rest = frozenset(at for at in items if place.items[at].attribute != "hour")
    return rest if len(rest) < len(items) else None


def _nested(one: Any, other: Any) -> bool:
    return int((one & other).sum()) == min(int(one.sum()), int(other.sum()))


def _overlap(one: Any, other: Any) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _finding(place: Place, outcome: str, items: frozenset[int], member: Any, p: float, ratio_then: float) -> Finding:
    chosen: list[Item] = sorted((place.items[at] for at in items), key=lambda item: item.name)
    effect = place.outcomes[outcome]
    rows, cause, hits = len(effect), int(member.sum()), int((member & effect).sum())
    elsewhere = int(effect.sum()) - hits
    ratio = float(rate_ratio(hits, cause, int(effect.sum()), rows))
    early, late = halves(member, effect)
    seen = place.times_us[member & effect]
    what = "fail" if outcome == "failed" else "are among the slowest tenth"
    apart = max(ratio, ratio_then) > APART * min(ratio, ratio_then)
    at_once = f", {words.times(ratio_then)} those of the same days" if apart else ""
    sentence = (
        f"{place.noun.capitalize()} of {words.named(place.entity)} that {' and '.join(item.words for item in chosen)}"
        f" {what} {words.times(ratio)} as often as the others: {hits} of {cause} ({words.share(hits, cause)}),"
        f" the others {elsewhere} of {rows - cause} ({words.share(elsewhere, rows - cause)})"
        f"{at_once}, last on {words.day(int(seen.max()))}."
    )
    tests = " AND ".join(item.test for item in chosen)
    low, high = wilson(hits, cause)
    return Finding(
        miner=RuleMiner.name, key=f"{place.kind}|{place.entity}|{'&'.join(item.name for item in chosen)}|{outcome}",
        kind="rule", pattern_class=_CLASS[outcome], entities=(place.entity,), measure=outcome,
        support=hits, total=cause, confidence=hits / cause, effect=ratio, effect_name="rate_ratio", p_value=p,
        first_seen_us=int(seen.min()), last_seen_us=int(seen.max()), early=early, late=late, sentence=sentence,
        sql=sql.counting(place.table, f"{place.rows} AND {tests}", place.tests[outcome]),
        evidence={
            "cause": [{"attribute": item.attribute, "value": item.value} for item in chosen],
            "lift": hits / cause * rows / int(effect.sum()), "rate": hits / cause, "rate_low": low, "rate_high": high,
            "others": elsewhere, "others_total": rows - cause, "rows": rows,
            "ratio_same_days": ratio_then,
        },
    )  # fmt: skip
