import itertools
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.detect import sequence
from operators.detect.rules import WILD, Rules, SequenceRule
from operators.detect.sequence import MOST_ENTITIES, NEVER, SequenceState, Tally, advance, expire, measured, sweep

SECOND = 1_000_000
ENTITIES = ("a", "b")
TOKENS = ("p:a:f", "p:b:f", "q:a", "q:b", "plain", "p:a:s")
TEMPLATES = ("p:$x:f", "q:$x", "plain", "p:a:f", "q:b")


def encode(state):
    return msgspec.msgpack.encode(state)


def play(rules, events, state=None):
    state, said = SequenceState() if state is None else state, []
    for time, token in events:
        said += advance(state, time, token, rules)
    return said, state


def fits(item, token, entity):
    return item.replace(WILD, entity) == token


def brute(rule, events):
    """Every subsequence of what came so far is tried for each event."""
    wild = any(WILD in item for item in rule.items)
    said, now, seen = [], NEVER, []
    done, pending = {}, {}
    for time, token in events:
        now = max(now, time)
        for entity, (deadline, _) in list(pending.items()):
            if deadline < now:
                said.append(("missed", rule.id, entity, deadline))
                del pending[entity]
        seen.append((now, token))
        bindings = ENTITIES if wild else ("",)
        if rule.then is not None:
            for entity in bindings:
                if entity in pending and fits(rule.then, token, entity):
                    said.append(("hit", rule.id, entity, now - pending.pop(entity)[1]))
        for entity in bindings:
            starts = [
                chain[0][0]
                for chain in itertools.combinations(seen, len(rule.items))
                if chain[-1] is seen[-1]
                and all(fits(item, word, entity) for item, (_, word) in zip(rule.items, chain, strict=True))
                and now - chain[0][0] <= rule.within_us
                and chain[0][0] > done.get(entity, NEVER)
            ]
            if not starts:
                continue
            done[entity] = now
            if entity in pending:
                continue
            if rule.then is not None:
                pending[entity] = (max(starts) + rule.within_us, now)
            said.append(("matched", rule.id, entity, max(starts)))
    return said


def told(said):
    return [
        (
            item.kind,
            item.rule.id,
            item.entity,
            {"matched": item.started_us, "hit": item.lead_us, "missed": item.deadline_us}[item.kind],
        )
        for item in said
    ]


@st.composite
def rule_sets(draw):
    rules = []
    for place in range(draw(st.integers(1, 3))):
        items = tuple(draw(st.lists(st.sampled_from(TEMPLATES), min_size=1, max_size=3)))
        wild = any(WILD in item for item in items)
        then = draw(st.sampled_from((None, "plain", "p:a:s", *(("q:$x",) if wild else ()))))
        rules.append(SequenceRule(f"r{place}", items, draw(st.integers(1, 12)), then, 0.5))
    return rules


EVENTS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(TOKENS)), max_size=14)


@settings(max_examples=400)
@given(rule_sets(), EVENTS)
def test_it_finds_what_brute_force_over_all_subsequences_finds(rules, steps):
    events, now = [], 0
    for gap, token in steps:
        now += gap
        events.append((now, token))
    said, state = play(Rules(rules), events)
    for rule in rules:
        mine = [item for item in said if item.rule.id == rule.id]
        assert sorted(told(mine)) == sorted(brute(rule, events))
        tally = state.tallies.get(rule.id, Tally())
        assert tally.hits == sum(item.kind == "hit" for item in mine)
        assert tally.misses == sum(item.kind == "missed" for item in mine)
        assert tally.lead_us == sum(item.lead_us for item in mine)
    assert state.count == sum(map(len, state.prefixes.values()))


@settings(max_examples=100)
@given(rule_sets(), st.lists(st.tuples(st.integers(-20, 20), st.sampled_from(TOKENS)), max_size=14))
def test_it_goes_on_from_a_snapshot_at_any_point_and_takes_any_order(rules, events):
    rules = Rules(rules)
    said, state = play(rules, events)
    resumed, again = SequenceState(), []
    for time, token in events:
        resumed = msgspec.msgpack.decode(encode(resumed), type=SequenceState)
        again += advance(resumed, time, token, rules)
    assert again == said
    assert encode(resumed) == encode(state)


@given(rule_sets(), EVENTS, st.integers(0, 13))
def test_a_sweep_changes_nothing_that_is_told(rules, steps, place):
    events = [(sum(gap for gap, _ in steps[: i + 1]), token) for i, (_, token) in enumerate(steps)]
    rules, state, said = Rules(rules), SequenceState(), []
    for i, (time, token) in enumerate(events):
        said += advance(state, time, token, rules)
        if i == place:
            sweep(state, rules)
    assert said == play(rules, events)[0]


RULE = SequenceRule("r", ("p:$x:f", "q:$x"), 60 * SECOND, "p:$x:s", 0.8, 40, 3.0)


def test_the_entity_must_be_the_same():
    assert play(Rules([RULE]), [(0, "p:a:f"), (1, "q:b")])[0] == []
    [match], _ = play(Rules([RULE]), [(0, "p:a:f"), (1, "q:a")])
    assert (match.entity, match.then, match.deadline_us) == ("a", "p:a:s", 60 * SECOND)


def test_entities_may_hold_colons_and_slashes():
    [match], _ = play(Rules([RULE]), [(0, "p:shop/main:unit:f"), (1, "q:shop/main:unit")])
    assert match.entity == "shop/main:unit"


def test_a_miss_is_told_when_the_time_has_passed_even_in_silence():
    rules = Rules([RULE])
    _, state = play(rules, [(0, "p:a:f"), (1, "q:a")])
    assert expire(state, 60 * SECOND, rules) == []
    [miss] = expire(state, 60 * SECOND + 1, rules)
    assert (miss.kind, miss.time_us, miss.verdict) == ("missed", 60 * SECOND, None)
    assert state.tallies == {"r": Tally(misses=1)}


def test_a_rule_that_stopped_being_true_falls_silent():
    rules, state, abnormal = Rules([RULE]), SequenceState(), []
    for round_ in range(20):
        start = round_ * 1000 * SECOND
        said, _ = play(rules, [(start, "p:a:f"), (start + SECOND, "q:a")], state)
        abnormal += [item.verdict.abnormal for item in said if item.kind == "matched"]
    assert abnormal[0]
    assert not abnormal[-1]
    assert measured(state, RULE) < 0.3


def test_a_verdict_is_well_formed_for_any_rule():
    for then, confidence in itertools.product((None, "x"), (0.0, 0.3, 0.9, 1.0)):
        [match], _ = play(Rules([SequenceRule("r", ("a",), 5, then, confidence)]), [(0, "a")])
        verdict = match.verdict
        assert verdict.score >= verdict.threshold or not verdict.abnormal
        assert verdict.low <= verdict.expected <= verdict.high
        assert msgspec.json.decode(msgspec.json.encode(verdict.evidence)) == verdict.evidence


def test_other_rules_under_old_ids_break_nothing():
    _, state = play(Rules([RULE]), [(0, "p:a:f"), (1, "q:a"), (2, "p:b:f")])
    other = Rules([SequenceRule("r", ("p:$x:f", "p:$x:f", "q:$x"), 60 * SECOND, "plain", 0.8)])
    said, _ = play(other, [(3, "p:b:f"), (4, "p:b:f"), (5, "q:b")], state)
    assert [item.kind for item in said] == ["matched"]
    sweep(state, Rules([]))
    assert (state.prefixes, state.pending, state.tallies, state.count) == ({}, {}, {}, 0)


def test_state_is_bounded_by_entities_prefixes_and_predictions(monkeypatch):
    monkeypatch.setattr(sequence, "MOST_PARTIAL", 500)
    monkeypatch.setattr(sequence, "MOST_PENDING", 50)
    rnd = random.Random(1)
    rules = Rules([SequenceRule(f"r{i}", (f"p{i}:$x", "q:$x"), 10**12, "never", 0.5) for i in range(20)])
    state = SequenceState()
    for time in range(6000):
        token = f"p{rnd.randrange(20)}:{rnd.randrange(200)}" if rnd.random() < 0.7 else f"q:{rnd.randrange(200)}"
        advance(state, time, token, rules)
        assert state.count == sum(map(len, state.prefixes.values())) <= 500
        assert sum(map(len, state.pending.values())) <= 50
        assert len(state.deadlines) <= 50
    assert max(map(len, state.prefixes.values())) <= MOST_ENTITIES
    assert state.dropped > 0
    assert len(encode(state)) < 60_000


def test_what_expired_is_dropped_without_being_asked():
    rules, state = Rules([RULE]), SequenceState()
    for i in range(5000):
        advance(state, i * 50 * SECOND, f"p:{i}:f", rules)
    assert state.count <= MOST_ENTITIES


def test_field_names_are_short():
    _, state = play(Rules([RULE]), [(0, "p:a:f"), (1, "q:a")])
    assert all(len(name) <= 2 for name in msgspec.msgpack.decode(encode(state)))


@pytest.mark.parametrize("token", ["", ":", "p", "p:", "p::f", "p:f", "é:$x", "$x"])
def test_odd_tokens_match_nothing(token):
    assert play(Rules([RULE]), [(0, token)])[1].count == 0
