"""What goes together when something fails, by frequent itemsets."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import Any, TypeVar

import msgspec
import numpy as np
from scipy import stats

from operators.mining import sql, words
from operators.mining.engine import Embedded, Engine, ItemsetJob, Itemsets
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import BAD, History
from operators.mining.significance import DAY_US, block_p, blocks_of, fisher_greater
from operators.mining.streams import errors_of, has_error, outcomes, source
from operators.taxonomy import PatternClass

Thing = TypeVar("Thing", bound=Hashable)

MOST_SYMPTOMS = 120
"""Symptoms of one pipeline looked at, the most frequent."""

FEW_PAIRS = 1000
"""Frequent pairs of one pipeline beyond which longer sets are not counted: they would be hundreds of thousands."""

MOST_CHECKED = 300
"""Sets of one pipeline that are looked at closely, the least p first."""

SAME = 0.75
"""Sets whose failed runs overlap so far are one: forty tests that always break together are one finding, not 780."""


def together_p(itemsets: Sequence[frozenset[Thing]], counts: Mapping[frozenset[Thing], int], rows: int) -> Any:
    """p that each set's items come together by chance: the greatest of Fisher's over all ways to cut the set in two.

    Webb, "Self-sufficient itemsets", ACM TKDD 4 (2010): a set is productive when no part of it explains the rest.
    `counts` must hold every subset.

    >>> counts = {frozenset("a"): 10, frozenset("b"): 10, frozenset("ab"): 9}
    >>> bool(together_p([frozenset("ab")], counts, 100)[0] < 1e-9)
    True
    """
    worst = np.zeros(len(itemsets))
    for size in {len(items) for items in itemsets}:
        at = [place for place, items in enumerate(itemsets) if len(items) == size]
        ordered = [sorted(itemsets[place], key=repr) for place in at]
        whole = np.array([counts[itemsets[place]] for place in at])
        for cut in range(1, size // 2 + 1):
            for part in combinations(range(size), cut):
                one = np.array([counts[frozenset(items[i] for i in part)] for items in ordered])
                rest = [i for i in range(size) if i not in part]
                other = np.array([counts[frozenset(items[i] for i in rest)] for items in ordered])
                worst[at] = np.maximum(worst[at], fisher_greater(whole, one, other, rows))
    return worst


class ItemsetMiner(Miner):
    """Symptoms that come together: among a pipeline's failed runs, failed steps and the names that errors give.

    It says nothing of what causes them, and nothing of a pipeline whose failures have one symptom each.
    """

    name = "itemsets"

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine or Embedded()

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """Sets of two and more symptoms; `support` of `total` failed runs of the pipeline."""
        symptoms = _symptoms(history.before(until))
        drafts: list[Finding] = []
        tests = 0

        def look() -> Iterator[_Failed]:
            return (_failed(entity, runs) for entity, runs in symptoms.items())

        def job(failed: _Failed) -> list[ItemsetJob]:
            # Longer sets than pairs can be hundreds of thousands; `_merge` makes sets of pairs as well.
            fewest = config.at_least(len(failed.rows))
            return [ItemsetJob(failed.rows, fewest, config.max_length, most_pairs=FEW_PAIRS)]

        for failed, (counts,) in self._engine.itemsets(look, job):
            found, made = _sets_of(failed, counts, config, until)
            drafts += found
            tests += made
        return Looked(drafts, {0: tests})


def _symptoms(history: History) -> dict[str, list[tuple[int, frozenset[tuple[str, str]]]]]:
    """By pipeline: each failed run's end and its symptoms, `("step", name)` and `("error", name)`."""
    runs = outcomes(history, ["pipeline"])
    if not len(runs):
        return {}
    runs = runs[runs["failed"]]
    steps = history.steps[history.steps["status"].isin(BAD)]
    found: dict[str, set[tuple[str, str]]] = {}
    for run, step, details in zip(
        steps["pipeline_execution_id"], steps["step_name"], steps["error_details"], strict=True
    ):
        symptoms = found.setdefault(run, set())
        symptoms.add(("step", step))
        symptoms.update(("error", name) for name in errors_of(details))
    out: dict[str, list[tuple[int, frozenset[tuple[str, str]]]]] = {}
    for entity, end, ref in zip(runs["entity"], runs["end_us"], runs["ref"], strict=True):
        out.setdefault(entity, []).append((int(end), frozenset(found.get(ref, ()))))
    return dict(sorted(out.items()))


class _Failed(msgspec.Struct, frozen=True, eq=False):
    """Failed runs of a pipeline: when each ended, the symptoms it had of those that are looked at, and how many runs
    had each symptom."""

    entity: str
    times: Any
    rows: list[frozenset[tuple[str, str]]]
    alone: Counter[tuple[str, str]]


def _failed(entity: str, runs: list[tuple[int, frozenset[tuple[str, str]]]]) -> _Failed:
    total = len(runs)
    alone = Counter(symptom for _, symptoms in runs for symptom in symptoms)
    # What is in every failed run (the only step) goes with anything.
    usual = sorted((s for s, count in alone.items() if count < 0.95 * total), key=lambda s: (-alone[s], s))
    kept = usual[:MOST_SYMPTOMS]
    rows = [symptoms & frozenset(kept) for _, symptoms in runs]
    return _Failed(
        entity, np.array([end for end, _ in runs], dtype=np.int64), rows, Counter({s: alone[s] for s in kept})
    )


def _sets_of(failed: _Failed, counts: Itemsets, config: MiningConfig, until: datetime) -> tuple[list[Finding], int]:
    entity, times, rows, alone = failed.entity, failed.times, failed.rows, failed.alone
    total = len(rows)
    sets = sorted((items for items in counts if len(items) > 1), key=sorted)
    if not sets:
        return [], 0
    # Runs that name many symptoms have any two of them: chance is dealt by the length of each run's list as well.
    expected = _expected(sets, alone, rows)
    support = np.array([counts[items] for items in sets])
    p_values = np.maximum(together_p(sets, counts, total), stats.poisson.sf(support - 1, expected))
    lifts = support / expected
    good = [at for at in np.argsort(p_values, kind="stable") if lifts[at] >= config.min_effect][:MOST_CHECKED]
    blocks = blocks_of(times)
    has = {item: np.array([item in row for row in rows]) for item in alone}
    merged: list[tuple[frozenset[tuple[str, str]], Any, float]] = []
    for items, p in ((sets[at], float(p_values[at])) for at in good):
        if p > config.false_discovery_rate:
            continue
        columns = np.stack([has[item] for item in sorted(items)])
        in_bursts = max(
            float(block_p(columns[i][:, None].astype(float), np.delete(columns, i, 0).all(0).astype(float), blocks)[0])
            for i in range(len(columns))
        )
        _merge(merged, items, columns.all(axis=0), max(p, in_bursts), has)
    drafts = []
    for items, member, p in merged:
        days = len(np.unique(times[member] // DAY_US))
        # One broken afternoon is no habit.
        if days >= 3:
            drafts.append(_finding(entity, items, alone, total, p, times, member, rows, until))
    return drafts, len(sets)


def _expected(
    sets: Sequence[frozenset[tuple[str, str]]],
    alone: Mapping[tuple[str, str], int],
    rows: Sequence[frozenset[tuple[str, str]]],
) -> Any:
    """How often each set is to be expected when every item goes to runs in proportion to how many items they have.

    The margins of Gionis et al., "Assessing data mining results via swap randomization" (ACM TKDD 1, 2007), kept in
    the mean instead of by swaps.
    """
    sizes, runs = np.unique([len(row) for row in rows], return_counts=True)
    all_items = float((sizes * runs).sum())
    chance = {item: np.minimum(1.0, alone[item] * sizes / all_items) for item in {i for items in sets for i in items}}
    return np.array([float((runs * np.prod([chance[item] for item in items], axis=0)).sum()) for items in sets])


def _merge(
    merged: list[tuple[frozenset[tuple[str, str]], Any, float]], items: frozenset[tuple[str, str]], member: Any,
    p: float, has: Mapping[tuple[str, str], Any],
) -> None:  # fmt: skip
    """Add a set, or its items to a stronger one that has nearly the same runs."""
    for at, (others, theirs, strongest) in enumerate(merged):
        if (member & theirs).sum() < SAME * (member | theirs).sum():
            continue
        union = items | others
        both = np.stack([has[item] for item in union]).all(axis=0)
        if both.sum() >= SAME * theirs.sum():
            merged[at] = (union, both, strongest)
        return
    merged.append((items, member, p))


def _finding(
    entity: str, items: frozenset[tuple[str, str]], alone: Mapping[tuple[str, str], int], total: int,
    p: float, times: Any, member: Any, rows: list[frozenset[tuple[str, str]]], until: datetime,
) -> Finding:  # fmt: skip
    support = int(member.sum())
    ordered = sorted(items)
    lift = _lift(rows, items) or 1.0
    seen = times[member]
    least = min(alone[item] for item in items)
    names = [f"step {name}" if what == "step" else name for what, name in ordered]
    early, late = (_lift(rows[part], items) for part in (slice(0, total // 2), slice(total // 2, None)))
    sentence = (
        f"When {words.named(entity)} fails, {words.listed(names)} fail together {words.times(lift)} as often as by"
        f" chance:"
        f" in {support} of {total} failed runs (the rarest of them failed in {least}), last on"
        f" {words.day(int(seen[-1]))}."
    )
    return Finding(
        miner=ItemsetMiner.name, key=f"{entity}|" + "|".join(f"{what}={name}" for what, name in ordered),
        kind="itemset", pattern_class=PatternClass.FAILURE_MODE, entities=(entity,), measure="failed",
        support=support, total=total, confidence=support / least, effect=lift, effect_name="lift", p_value=p,
        first_seen_us=int(seen[0]), last_seen_us=int(seen[-1]), early=early, late=late, sentence=sentence,
        sql=_check(entity, ordered, until),
        evidence={"items": [list(item) for item in ordered], "alone": [alone[item] for item in ordered]},
    )  # fmt: skip


def _lift(rows: list[frozenset[tuple[str, str]]], items: frozenset[tuple[str, str]]) -> float | None:
    """How often all come together, over what is to be expected (`_expected`); None where one comes too seldom."""
    alone = {item: sum(item in row for row in rows) for item in items}
    if min(alone.values()) < 3:
        return None
    return max(sum(items <= row for row in rows), 0.5) / max(float(_expected([items], alone, rows)[0]), 1e-3)


def _check(entity: str, items: list[tuple[str, str]], until: datetime) -> str:
    origin = source("pipeline", entity)
    tests = []
    for what, name in items:
        test = f"s.step_name = {sql.literal(name)}"
        if what == "error":
            test = has_error("step", name, "s.")
        tests.append(
            "EXISTS (SELECT FROM step_executions AS s WHERE s.pipeline_execution_id = r.id"
            f" AND {sql.failed('s.status')} AND {test})"
        )
    rows = f"r.{origin.rows} AND {sql.failed('r.status')} AND {sql.until('r.execution_end', until)}"
    return sql.counting("pipeline_executions AS r", rows, " AND ".join(tests))
