"""Sequences: rules "these happened in this order, so that is likely next", matched as events come in.

What rules and tokens are is told in `operators.detect.rules`.

**Matching** is exact: for each rule, entity and length of prefix the *latest* possible start of that prefix is kept,
which is all that matters, since a later start is within reach whenever an earlier one is. So a token costs one step for
each rule that it is an item of, whatever came before. A match may not begin at or before the end of the one before
(same rule and entity), and while a prediction is open no other is made of that rule and entity.

**Keeping score**: each prediction ends as a hit or a miss. A rule's confidence is the mean of a Beta posterior whose
prior is what the mining said, worth `PRIOR_WEIGHT` predictions, so a rule that stopped being true falls silent. Lead
times of hits are summed.

State is bounded: entities a rule, prefixes and predictions in all. What expired goes first, then what began longest
ago.

It does not work well on tokens out of order: each counts as of the latest time seen. A common token as first item makes
a rule that is always half matched. Two rules that say the same say it twice.
"""

import heapq
from collections.abc import Iterable
from typing import Literal

import msgspec

from operators.detect.rules import WILD, Rules, SequenceRule, Step
from operators.detect.verdict import Verdict

MOST_ENTITIES = 64
"""Entities a rule for which a prefix is remembered."""

MOST_PARTIAL = 20_000
"""Pairs of rule and entity for which a prefix is remembered."""

MOST_PENDING = 2_000
"""Open predictions."""

SWEEP = 1024
"""Matched tokens after which expired prefixes are dropped, at least."""

PRIOR_WEIGHT = 10.0
"""Predictions that what the mining said is worth."""

NEVER = -(1 << 62)
"""No time."""

_ABNORMAL = 0.5
"""Confidence from which a prediction is abnormal: likelier than not."""


class Sequenced(msgspec.Struct, frozen=True):
    """What became of a rule: `matched` (the prefix is complete), `hit` (`then` came in time) or `missed`.

    `entity` is what `$x` stands for, or "". `then` is with the entity in it. `started_us` is the prefix's first token,
    `time_us` when this happened (of a miss: its deadline), `lead_us` what a hit was ahead by. `confidence` is that of
    the rule as measured up to then. Without a `then` there is no deadline and no hit.
    """

    kind: Literal["matched", "hit", "missed"]
    rule: SequenceRule
    entity: str
    then: str | None
    started_us: int
    time_us: int
    deadline_us: int
    confidence: float
    lead_us: int = 0

    @property
    def verdict(self) -> Verdict | None:
        """This as a verdict, for the pattern's life: None for a miss and a hit, which end what a match opened.

        `score` is twice the confidence and `threshold` 1: abnormal is what is likelier than not. A rule without a
        `then` tells of what has happened, and is abnormal.
        """
        if self.kind != "matched":
            return None
        sure = self.confidence if self.then else max(self.confidence, _ABNORMAL)
        return Verdict(
            score=2.0 * sure,
            threshold=1.0,
            expected=0.0,
            low=0.0,
            high=1.0,
            direction="up",
            confidence=self.confidence,
            abnormal=sure >= _ABNORMAL,
            evidence={
                "rule": self.rule.id,
                "sequence": " → ".join(self.rule.items),
                "then": self.then or "",
                "entity": self.entity,
                "within_s": round(self.rule.within_us / 1e6, 1),
                "due_in_s": round((self.deadline_us - self.time_us) / 1e6, 1),
                "lead_s": round(self.rule.lead_us / 1e6, 1),
                "support": self.rule.support,
                "lift": round(self.rule.lift, 3),
            },
        )


class Prediction(msgspec.Struct, gc=False, rename={"started_us": "s", "made_us": "m", "deadline_us": "d"}):
    """An open prediction."""

    started_us: int
    made_us: int
    deadline_us: int


class Tally(msgspec.Struct, gc=False, rename={"hits": "h", "misses": "m", "lead_us": "l"}):
    """What became of a rule's predictions. `lead_us` is the sum over its hits."""

    hits: int = 0
    misses: int = 0
    lead_us: int = 0


class SequenceState(
    msgspec.Struct,
    rename={
        "now_us": "t", "prefixes": "p", "count": "n", "pending": "o", "deadlines": "d", "tallies": "k", "steps": "s",
        "dropped": "x",
    },
):  # fmt: skip
    """What is under way. Grows with what is under way, up to about 2 MB at all its bounds.

    `prefixes`: by rule, by entity, the latest start of each prefix (µs or `NEVER`), and the end of the last match.
    `count`: pairs in it. `pending`: open predictions by rule, by entity. `deadlines`: a heap of (µs, rule, entity).
    `tallies`: by rule. `dropped`: prefixes and predictions that the bounds cost.
    """

    now_us: int = NEVER
    prefixes: dict[str, dict[str, list[int]]] = {}
    count: int = 0
    pending: dict[str, dict[str, Prediction]] = {}
    deadlines: list[tuple[int, str, str]] = []
    tallies: dict[str, Tally] = {}
    steps: int = 0
    dropped: int = 0


def advance(state: SequenceState, time_us: int, token: str, rules: Rules) -> list[Sequenced]:
    """Take in one token at event time `time_us`; return what became of the rules: misses, hits, then matches.

    >>> rule = SequenceRule("r", ("pattern:disk:$x", "pattern:cpu:$x"), 600_000_000, "pipeline:$x:failure", 0.8, 40)
    >>> rules, state = Rules([rule]), SequenceState()
    >>> advance(state, 0, "pattern:disk:web-1", rules), advance(state, 1, "pattern:cpu:web-2", rules)
    ([], [])
    >>> [match] = advance(state, 60_000_000, "pattern:cpu:web-1", rules)
    >>> match.kind, match.entity, match.then, match.deadline_us, match.verdict.abnormal
    ('matched', 'web-1', 'pipeline:web-1:failure', 600000000, True)
    >>> [hit] = advance(state, 90_000_000, "pipeline:web-1:failure", rules)
    >>> hit.kind, hit.lead_us, state.tallies["r"]
    ('hit', 30000000, Tally(hits=1, misses=0, lead_us=30000000))
    """
    now = state.now_us = max(time_us, state.now_us)
    said: list[Sequenced] = []
    deadlines = state.deadlines
    if deadlines and deadlines[0][0] < now:
        said = expire(state, now, rules)
    steps = rules.steps(token)
    if not steps:
        return said
    matched: list[Sequenced] = []
    prefixes = state.prefixes
    for step in steps:
        rule, place, wild, size, bound = step
        if place == size:
            if state.pending:
                _come_true(state, rule, wild, now, said)
            continue
        live = prefixes.get(rule.id)
        if live is None:
            if place:
                continue
            live = prefixes[rule.id] = {}
        entities: Iterable[str] = (wild or "",)
        if wild is None and place > bound:
            entities = [name for name in live if name]
        for entity in entities:
            start = _extend(state, step, entity, live, now)
            if start is not None:
                _matched(state, rule, entity, start, now, matched)
    state.steps += 1
    if state.steps >= max(SWEEP, state.count):
        sweep(state, rules)
    said.extend(matched)
    return said


def _extend(state: SequenceState, step: Step, entity: str, live: dict[str, list[int]], now: int) -> int | None:
    """Extend the prefix of `place` items by one; return its start when that makes it whole."""
    rule, place, _, size, bound = step
    starts = live.get(entity)
    if starts is not None and len(starts) != size + 1:  # The rule of that id was another one.
        starts[:] = [NEVER] * (size + 1)
    start = now
    if place:
        held = live.get("") if place == bound else starts
        if held is None or len(held) != size + 1:
            return None
        start = held[place - 1]
        if now - start > rule.within_us:
            return None
    if starts is None:
        if len(live) >= MOST_ENTITIES or state.count >= MOST_PARTIAL:
            _make_room(state, rule.id)
            live = state.prefixes.setdefault(rule.id, {})
        starts = live[entity] = [NEVER] * (size + 1)
        state.count += 1
    if start <= starts[size]:
        return None
    starts[place] = start
    if place < size - 1:
        return None
    starts[size] = now
    return start


def _matched(
    state: SequenceState, rule: SequenceRule, entity: str, start: int, now: int, matched: list[Sequenced]
) -> None:
    deadline = start + rule.within_us
    if rule.then is not None:
        pending = state.pending.setdefault(rule.id, {})
        if entity in pending:
            return
        pending[entity] = Prediction(start, now, deadline)
        heapq.heappush(state.deadlines, (deadline, rule.id, entity))
        if len(state.deadlines) > MOST_PENDING:
            _drop_predictions(state)
    matched.append(_tell(state, "matched", rule, entity, start, now, deadline))


def _come_true(state: SequenceState, rule: SequenceRule, wild: str | None, now: int, said: list[Sequenced]) -> None:
    pending = state.pending.get(rule.id)
    if not pending:
        return
    for entity in [wild] if wild is not None else list(pending):
        prediction = pending.pop(entity, None)
        if prediction is None:
            continue
        if prediction.deadline_us < now:
            pending[entity] = prediction
            continue
        tally = state.tallies.setdefault(rule.id, Tally())
        lead = now - prediction.made_us
        tally.hits += 1
        tally.lead_us += lead
        hit = _tell(state, "hit", rule, entity, prediction.started_us, now, prediction.deadline_us)
        said.append(msgspec.structs.replace(hit, lead_us=lead))
    if not pending:
        del state.pending[rule.id]


def expire(state: SequenceState, now_us: int, rules: Rules) -> list[Sequenced]:
    """The predictions whose deadline lies before stream time `now_us`, as misses. `advance` does it by itself; a stream
    that fell silent needs it."""
    said: list[Sequenced] = []
    while state.deadlines and state.deadlines[0][0] < now_us:
        deadline, rule_id, entity = heapq.heappop(state.deadlines)
        pending = state.pending.get(rule_id, {})
        prediction = pending.get(entity)
        if prediction is None or prediction.deadline_us != deadline:
            continue
        del pending[entity]
        if not pending:
            del state.pending[rule_id]
        rule = rules.by_id.get(rule_id)
        if rule is not None:
            state.tallies.setdefault(rule_id, Tally()).misses += 1
            said.append(_tell(state, "missed", rule, entity, prediction.started_us, deadline, deadline))
    return said


def measured(state: SequenceState, rule: SequenceRule) -> float:
    """The rule's confidence, 0 to 1: what the mining said, and what became of its predictions since.

    >>> rule = SequenceRule("r", ("a",), 1, "b", confidence=0.9)
    >>> measured(SequenceState(), rule), measured(SequenceState(tallies={"r": Tally(hits=1, misses=29)}), rule)
    (0.9, 0.25)
    """
    tally = state.tallies.get(rule.id)
    if tally is None:
        return rule.confidence
    return (PRIOR_WEIGHT * rule.confidence + tally.hits) / (PRIOR_WEIGHT + tally.hits + tally.misses)


def forget(state: SequenceState, rule_id: str) -> None:
    """Drop what is under way of a rule, and its score; `sweep` then puts the rest in order."""
    state.prefixes.pop(rule_id, None)
    state.pending.pop(rule_id, None)
    state.tallies.pop(rule_id, None)


def sweep(state: SequenceState, rules: Rules) -> None:
    """Drop what can no longer become anything: expired prefixes, and what belongs to rules that are gone.

    Call it when the rules change; `advance` does it from time to time.
    """
    state.steps = state.count = 0
    for rule_id, live in list(state.prefixes.items()):
        rule = rules.by_id.get(rule_id)
        oldest = state.now_us - rule.within_us if rule else state.now_us + 1
        for entity, starts in list(live.items()):
            if max(starts) < oldest:
                del live[entity]
        state.count += len(live)
        if not live:
            del state.prefixes[rule_id]
    state.pending = {name: pending for name, pending in state.pending.items() if name in rules.by_id}
    state.tallies = {name: tally for name, tally in state.tallies.items() if name in rules.by_id}
    state.deadlines = sorted(
        [
            (prediction.deadline_us, rule_id, entity)
            for rule_id, pending in state.pending.items()
            for entity, prediction in pending.items()
        ]
    )


def _tell(
    state: SequenceState,
    kind: Literal["matched", "hit", "missed"],
    rule: SequenceRule,
    entity: str,
    start: int,
    now: int,
    deadline: int,
) -> Sequenced:
    then = None if rule.then is None else rule.then.replace(WILD, entity)
    return Sequenced(kind, rule, entity, then, start, now, deadline, measured(state, rule))


def _make_room(state: SequenceState, rule_id: str) -> None:
    """Drop the entity of the rule (or, when all are too many, a quarter of all) that began longest ago."""
    if len(state.prefixes.get(rule_id, ())) >= MOST_ENTITIES:
        live = state.prefixes[rule_id]
        del live[min(live, key=lambda entity: (max(live[entity]), entity))]
        state.count -= 1
        state.dropped += 1
        return
    ages = sorted(
        [(max(starts), name, entity) for name, live in state.prefixes.items() for entity, starts in live.items()]
    )
    for _, name, entity in ages[: MOST_PARTIAL // 4]:
        del state.prefixes[name][entity]
        state.count -= 1
        state.dropped += 1
        if not state.prefixes[name] and name != rule_id:
            del state.prefixes[name]


def _drop_predictions(state: SequenceState) -> None:
    """Drop entries of the heap that are settled; if that is not enough, the predictions due last."""
    alive = sorted(
        [
            entry
            for entry in set(state.deadlines)
            if (found := state.pending.get(entry[1], {}).get(entry[2])) and found.deadline_us == entry[0]
        ]
    )
    for _, rule_id, entity in alive[3 * MOST_PENDING // 4 :]:
        del state.pending[rule_id][entity]
        state.dropped += 1
        if not state.pending[rule_id]:
            del state.pending[rule_id]
    state.deadlines = alive[: 3 * MOST_PENDING // 4]
