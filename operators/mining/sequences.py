"""Sequential patterns: what follows what, in the same run, task, correlation or day."""

from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from operators.mining import words
from operators.mining.engine import Embedded, Engine, SequenceJob, Sequences
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.frequent_sequences import first_end
from operators.mining.history import BAD, JUDGED, History, micros
from operators.mining.lean import of_days
from operators.mining.sequence_sql import counting
from operators.mining.significance import DAY_US, association_p, blocks_of, halves, permutation_p, rate_ratio
from operators.mining.streams import outcomes
from operators.taxonomy import PatternClass

FEWEST_GROUPS = 30
"""Groups (runs, tasks, correlations, days) below which no sequence is looked for."""

MOST_EVENTS = 200
"""Events of a group that are looked at, the first: what bounds the work in a group."""

MOST_CHECKED = 200
"""Sequences of one kind of group that are looked at closely, those with the least p first."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened: when (µs since 1970), in which group, and what."""

    time_us: int
    group: str
    what: str


class Groups(msgspec.Struct, frozen=True, eq=False):
    """Sequences to mine: events of each group in order, groups in the order of their first event.

    `window_us`: the longest gap between two neighbours of a pattern; None: any. `kind` names what a group is,
    `seen_us` when it was, `places` the groups of each item, `present` those in which an entity (a token without its
    status) ended somehow.
    """

    kind: str
    names: list[str]
    places: dict[str, set[int]]
    present: dict[str, set[int]]
    items: list[list[str]]
    times: list[list[int]]
    seen_us: list[int]
    window_us: int | None


class SequenceMiner(Miner):
    """What follows what: failed steps in a run, ends of a task's executions, correlated events, bad ends in a day.

    A sequence A, B → C is claimed when C comes in more of the groups with A, B than in the others in which it could
    have (C's entity ended somehow; Fisher's test and bursts, as rules are) *and* the order matters: rearranging each
    group's events in time keeps it from coming as often. In a day, neighbours are at most `window_s` apart; what
    crosses midnight UTC is not seen.
    """

    name = "sequences"

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine or Embedded()

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """Sequences within runs and tasks; `support` of `total` of them that have all but the last item."""
        return self._looked(component_groups(history.before(until)), config, until)

    def lean(self, history: History, config: MiningConfig) -> History:  # noqa: ARG002
        """What did not end well, and on which days the others ran."""
        return of_days(history)

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """Sequences of correlated events and of days; `support` of `total` of them that have all but the last item."""
        return self._looked(common_groups(history.before(until), config), config, until)

    def layer(self, draft: Finding) -> int:
        """A layer for each length."""
        return len(draft.evidence["sequence"])

    def _looked(self, every: list[Groups], config: MiningConfig, until: datetime) -> Looked:
        drafts: list[Finding] = []
        tests: dict[int, int] = {}
        looked = [groups for groups in every if len(groups.names) >= FEWEST_GROUPS]
        jobs = [
            SequenceJob(groups.items, config.min_count, config.max_length, groups.times, groups.window_us)
            for groups in looked
        ]
        for groups, counts in zip(looked, self._engine.sequences(jobs), strict=True):
            found, made = _sequences_of(groups, counts, config, until)
            drafts += found
            for length, count in made.items():
                tests[length] = tests.get(length, 0) + count
        return Looked(drafts, tests)


def component_groups(history: History) -> list[Groups]:
    """The runs of each pipeline, and the tasks of each project. Items are tokens, as `item` writes them."""
    # Steps that began together ran side by side: which of them is first in the list says nothing.
    alone = ~history.steps.duplicated(["pipeline_execution_id", "execution_start"], keep=False)
    steps = history.steps[alone.to_numpy(dtype=bool)]
    runs = history.runs[history.runs["execution_end"].notna()]
    ended = dict(iter(runs.groupby("pipeline_name", sort=True)))
    found = []
    for pipeline, part in steps.groupby("pipeline_name", sort=True):
        if pipeline not in ended:
            continue
        of = ended[pipeline]
        order = part["step_order"].fillna(0).to_numpy(dtype=np.int64)
        what = [
            item("step", f"{pipeline}/{step}", status)
            for step, status in zip(part["step_name"], part["status"], strict=True)
        ]
        times = dict(zip(of["id"], micros(of["execution_end"]).tolist(), strict=True))
        found.append(_grouped("run", zip(part["pipeline_execution_id"], order, what, strict=True), times, None))
    done = history.task_executions[history.task_executions["status"].isin(JUDGED)]
    for project, part in done.groupby(done["project_name"].fillna("tasks"), sort=True):
        ends = micros(part["execution_end"].fillna(part["execution_start"]))
        what = [item("task", str(project), status) for status in part["status"]]
        found.append(_grouped("task", zip(part["task_id"], ends, what, strict=True), {}, None))
    return found


def common_groups(history: History, config: MiningConfig) -> list[Groups]:
    """Correlated events, and days."""
    stream = outcomes(history, ["integration"])
    keys = dict(zip(history.integration_events["id"], history.integration_events["correlation_key"], strict=True))
    what = [item("integration", e, status) for e, status in zip(stream["entity"], stream["status"], strict=True)]
    rows = [row for row in zip(map(keys.get, stream["ref"]), stream["end_us"], what, strict=True) if row[0]]
    return [_grouped("correlation", rows, {}, None), *_days(history, config)]


def item(kind: str, entity: str, status: str) -> str:
    """What happened, as the token that the sequence detector knows it by: a kind of series, its entity, how it ended.

    >>> item("pipeline", "shop/main", "failure")
    'pipeline:shop/main:failure'
    """
    return f"{kind}:{entity}:{status}"


def _days(history: History, config: MiningConfig) -> list[Groups]:
    stream = outcomes(history, ["pipeline", "task", "integration"])  # a run fails when its step does: no news
    if not len(stream):
        return []
    what = [item(k, e, status) for k, e, status in zip(stream["kind"], stream["entity"], stream["status"], strict=True)]
    rows = list(zip(stream["end_us"].tolist(), what, strict=True))
    seen = history.patterns
    rows += [
        (time, f"pattern:{kind}:{entity}")
        for time, kind, entity in zip(
            micros(seen["opened_at"]).tolist(), seen["pattern_type"], seen["entity"], strict=True
        )
    ]
    by_day = ((f"{time // DAY_US:06d}", time, what) for time, what in sorted(rows))
    return [_grouped("day", by_day, {}, int(config.window_s * 1e6))]


def _grouped(kind: str, rows: Any, names: Any, window_us: int | None) -> Groups:
    """Events that did not end well, by group. `names`: when groups were, in the order of time, where `rows` do not
    say it."""
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for group, time, what in rows:
        found.setdefault(group, []).append((int(time), what))
    seen = [names.get(name, events[-1][0] if events else 0) for name, events in found.items()]
    present: dict[str, set[int]] = {}
    for at, events in enumerate(found.values()):
        for _, what in events:
            present.setdefault(what.rsplit(":", 1)[0], set()).add(at)
    lists = [sorted(event for event in events if not event[1].endswith(":success")) for events in found.values()]
    items = [[what for _, what in events[:MOST_EVENTS]] for events in lists]
    times = [[time for time, _ in events[:MOST_EVENTS]] for events in lists]
    places: dict[str, set[int]] = {}
    for at, group in enumerate(items):
        for what in group:
            places.setdefault(what, set()).add(at)
    return Groups(kind, list(found), places, present, items, times, seen, window_us)


def _sequences_of(
    groups: Groups, counts: Sequences, config: MiningConfig, until: datetime
) -> tuple[list[Finding], dict[int, int]]:
    candidates = sorted(p for p in counts if len(p) > 1 and p[-1] not in p[:-1] and p[-1].rsplit(":", 1)[1] in BAD)
    tests: dict[int, int] = {}
    for pattern in candidates:
        tests[len(pattern)] = tests.get(len(pattern), 0) + 1
    checked = []
    ends: dict[tuple[str, ...], Any] = {}
    for pattern in candidates:
        for part in (pattern, pattern[:-1], pattern[-1:]):
            if part not in ends:
                ends[part] = _members(groups, part)
        # Only groups in which what comes last ran at all can tell how often it fails.
        asked = np.array(sorted(groups.present[pattern[-1].rsplit(":", 1)[0]]))
        cause, whole = ends[pattern[:-1]][asked], ends[pattern][asked]
        effect = whole | (ends[pattern[-1:]][asked] & ~cause)
        if cause.sum() < config.min_count or cause.all():
            continue
        # Groups are in the order of time: stretches of as many groups.
        p = association_p(cause, effect, blocks_of(np.arange(len(asked)) * DAY_US))
        ratio = float(rate_ratio(int(whole.sum()), int(cause.sum()), int(effect.sum()), len(effect)))
        if p <= config.false_discovery_rate and ratio >= config.min_effect:
            checked.append((p, pattern, cause, effect, asked))
    drafts = []
    checked.sort(key=lambda found: (found[0], found[1]))
    for p, pattern, cause, effect, asked in checked[:MOST_CHECKED]:
        in_order = _order_p(groups, pattern, config)
        drafts.append(_finding(groups, pattern, cause, effect, asked, max(p, in_order), until))
    return _no_longer_than_needed(drafts), tests


def _members(groups: Groups, pattern: tuple[str, ...]) -> Any:
    member = np.zeros(len(groups.names), dtype=bool)
    for at in set.intersection(*(groups.places[what] for what in pattern)):
        member[at] = first_end(groups.items[at], groups.times[at], pattern, groups.window_us) is not None
    return member


def _order_p(groups: Groups, pattern: tuple[str, ...], config: MiningConfig) -> float:
    """p that the pattern comes in so many groups when the events of each are rearranged among their times."""
    shared = sorted(set.intersection(*(groups.places[what] for what in pattern)))
    rows = [(groups.items[at], groups.times[at]) for at in shared]
    observed = sum(first_end(items, times, pattern, groups.window_us) is not None for items, times in rows)
    rng = np.random.default_rng(config.seed)
    null = []
    for _ in range(config.permutations):
        found = 0
        for items, times in rows:
            mixed = [items[at] for at in rng.permutation(len(items))]
            found += first_end(mixed, times, pattern, groups.window_us) is not None
        null.append(found)
    return permutation_p(float(observed), np.array(null))


def _no_longer_than_needed(drafts: list[Finding]) -> list[Finding]:
    """Without sequences that say no more than one they contain, with the same end."""
    kept = []
    for draft in drafts:
        mine = draft.evidence["sequence"]
        shorter = [
            other
            for other in drafts
            if len(other.evidence["sequence"]) < len(mine)
            and other.evidence["sequence"][-1] == mine[-1]
            and set(other.evidence["sequence"]) <= set(mine)
            and (other.p_value or 0.0) <= 0.05
        ]
        if all(draft.confidence > 1.15 * other.confidence for other in shorter):
            kept.append(draft)
    return kept


def _finding(
    groups: Groups, pattern: tuple[str, ...], cause: Any, effect: Any, asked: Any, p: float, until: datetime
) -> Finding:  # fmt: skip
    both = cause & effect
    support, total = int(both.sum()), int(cause.sum())
    ratio = float(rate_ratio(support, total, int(effect.sum()), len(effect)))
    leads, seen = [], []
    for at in asked[both]:
        items, times = groups.items[at], groups.times[at]
        end = first_end(items, times, pattern, groups.window_us)
        start = first_end(items, times, pattern[:-1], groups.window_us)
        if end is not None and start is not None:
            leads.append((times[end] - times[start]) / 1e6)
            seen.append(groups.seen_us[at] if groups.kind == "run" else times[end])
    timed = groups.kind not in ("run",)  # within a run the order of steps is known, not always their times
    lead = float(np.median(leads)) if timed and leads else None
    causes = [_said(what) for what in pattern[:-1]]
    within = f" within {words.duration(groups.window_us / 1e6)} of each other" if groups.window_us else ""
    elsewhere = int(effect.sum()) - support
    last = f", last on {words.day(max(seen))}" if seen else ""
    sentence = (
        f"In the same {groups.kind}, when {', then '.join(causes)}, then {_said(pattern[-1])}{within}"
        f" {words.times(ratio)} as often as otherwise: in {support} of {total} {groups.kind}s, in {elsewhere} of the"
        f" other {len(effect) - total} with {words.named(_entity(pattern[-1]))}{last}."
    )
    early, late = halves(cause, effect)
    return Finding(
        miner=SequenceMiner.name, key=f"{groups.kind}|" + "→".join(pattern), kind="sequence",
        pattern_class=PatternClass.ERROR_PROPAGATION,
        entities=tuple(dict.fromkeys(_entity(what) for what in pattern[::-1])),
        measure="failed", support=support, total=total, confidence=support / total, effect=ratio,
        effect_name="rate_ratio", p_value=p, first_seen_us=min(seen, default=0),
        last_seen_us=max(seen, default=0), early=early, late=late, sentence=sentence,
        sql=counting(groups.kind, pattern, groups.window_us, until), evidence={
            "sequence": list(pattern), "group": groups.kind, "window_s": groups.window_us and groups.window_us / 1e6,
            "lead_s": lead, "groups": len(effect), "others": elsewhere,
        },
    )  # fmt: skip


def _entity(what: str) -> str:
    """The entity of a token; a pattern's token ends with it, the others with a status."""
    kind, rest = what.split(":", 1)
    return rest.split(":", 1)[1] if kind == "pattern" else rest.rsplit(":", 1)[0]


def _said(what: str) -> str:
    verbs = {"failure": "fails", "error": "breaks with an error", "timeout": "times out", "success": "succeeds"}
    if what.startswith("pattern:"):
        return f"{words.named(_entity(what))} shows {what.split(':')[1].replace('_', ' ')}"
    status = what.rsplit(":", 1)[1]
    return f"{words.named(_entity(what))} {verbs.get(status, 'is ' + status)}"
