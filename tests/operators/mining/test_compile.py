"""Compiled rules: measured as the stream's detector would, in the format that it reads."""

import random

import msgspec
import pytest

from operators.detect import rules as detect
from operators.detect import sequence
from operators.events import decode
from operators.mining import compile as compiling
from operators.mining.compile import compile_rules, measure, rows_of, rule_of, tokens, wanted_of
from operators.mining.sequences import SequenceMiner
from operators.mining.validate import cut_of
from operators.pgcopy import micros
from operators.tokens import tokens_of
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG
from tests.operators.mining.real import CI_BUILDS, events, load


@pytest.fixture(scope="module")
def compiled():
    history = planted.history(runs=700)
    cut = cut_of(history, planted.UNTIL)
    found = SequenceMiner().mine(history.before(cut), CONFIG, cut)
    events = tokens(rows_of(history.before(planted.UNTIL), wanted_of(found)))
    return history, cut, compile_rules(found, events, CONFIG, cut, planted.UNTIL)


def test_a_planted_sequence_becomes_a_rule_with_its_precision(compiled):
    _, _, rules = compiled
    rule = next(rule for rule in rules if rule.then == "integration:shop→desk:ticket:failure")
    assert rule.items == ("integration:shop→bank:charge:failure",)
    assert 0.5 <= rule.precision <= 0.95 and rule.low < rule.precision  # planted: 0.75
    assert abs(rule.lead_us - 180_000_000) < 2_000_000
    assert rule.lift > 2 and rule.low > rule.base > 0.0
    assert len({(rule.items, rule.then) for rule in rules}) == len(rules)


def test_precision_is_of_time_that_was_not_mined(compiled):
    history, cut, rules = compiled
    later = [event for event in tokens(rows_of(history.before(planted.UNTIL))) if event[0] > cut.timestamp() * 1e6]
    for rule in rules:
        made, leads = measure(rule.items, rule.then, rule.within_us, later)
        assert (rule.matches, rule.hits) == (made, len(leads)) and rule.precision == len(leads) / made


def test_tokens_are_those_of_the_stream():
    """Every event of the real history, decoded and turned into tokens as the stream does it."""
    if not CI_BUILDS.exists():
        pytest.skip(f"no {CI_BUILDS.name} here")
    theirs = []
    for line in map(msgspec.json.encode, events(CI_BUILDS)):
        event = decode(line)
        theirs += [(micros(event.time), token) for token in tokens_of(event)]
    ours = tokens(rows_of(load(CI_BUILDS)))
    assert sorted(ours) == sorted(theirs) and [time for time, _ in ours] == sorted(time for time, _ in theirs)
    assert sum(token.startswith("step:") for _, token in ours) == 774 + 275  # failures and errors, as its README counts


def test_shuffled_history_compiles_to_nothing():
    history = planted.shuffled(planted.history(runs=700), 1)
    cut = cut_of(history, planted.UNTIL)
    found = SequenceMiner().mine(history.before(cut), CONFIG, cut)
    assert compile_rules(found, tokens(rows_of(history)), CONFIG, cut, planted.UNTIL) == []


def test_the_detector_reads_the_file_and_comes_to_the_same_hits(compiled, tmp_path):
    """The detector itself, on random streams."""
    path = tmp_path / "rules.json"
    path.write_bytes(msgspec.json.encode(detect.RuleFile(1, [rule_of(rule) for rule in compiled[2]])))
    assert set(detect.load_rules(path).by_id) == {rule.id for rule in compiled[2]}
    rnd = random.Random(5)
    for _ in range(200):
        items = tuple(rnd.choice("abc") for _ in range(rnd.randint(1, 3)))
        then = rnd.choice("abcd")
        within = rnd.randint(2, 30)
        now, events = 0, []
        for _ in range(60):
            now += rnd.randint(0, 6)
            events.append((now, rnd.choice("abcd")))
        rules = detect.Rules([detect.SequenceRule("r", items, within, then)])
        state = sequence.SequenceState()
        said = [what for time, token in events for what in sequence.advance(state, time, token, rules)]
        hits = [what.lead_us for what in said if what.kind == "hit"]
        made = sum(what.kind == "matched" for what in said)
        assert measure(items, then, within, events) == (made, hits), (items, then, within, events)


def test_a_rules_base_is_how_often_its_end_follows_the_same_entity_at_all():
    minute = 60_000_000
    events = []
    for hour in range(100):  # after a failure of a (each fifth) b fails three times in four, else once in twenty
        at = hour * 60 * minute
        bad = hour % 5 == 0
        events.append((at, "pipeline:a:failure" if bad else "pipeline:a:success"))
        fails = (hour // 5) % 4 != 0 if bad else hour % 20 == 1
        events.append((at + minute, "pipeline:b:failure" if fails else "pipeline:b:success"))
    rule = ("pipeline:a:failure", "pipeline:b:failure", 10 * minute)
    assert compiling._base(*rule, events) == pytest.approx(0.2)
    # Ten idle years make the rule no better.
    assert compiling._base(*rule, [*events, (10 * 365 * 1440 * minute, "pipeline:c:success")]) == pytest.approx(0.2)
