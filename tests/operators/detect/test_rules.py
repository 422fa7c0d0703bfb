import json

import pytest

from operators.detect.rules import MOST_ITEMS, RuleError, Rules, SequenceRule, load_rules

GOOD = {"id": "r", "items": ["p:$x:f", "q:$x"], "within_us": 60_000_000, "then": "p:$x:s", "confidence": 0.8}


def written(tmp_path, content):
    path = tmp_path / "rules.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_a_file_loads_as_its_rules(tmp_path):
    rules = load_rules(written(tmp_path, {"version": 1, "rules": [GOOD, {**GOOD, "id": "s", "then": None}]}))
    assert list(rules.by_id) == ["r", "s"]
    assert rules.by_id["r"] == SequenceRule("r", ("p:$x:f", "q:$x"), 60_000_000, "p:$x:s", 0.8)
    assert [(step.rule.id, step.place, step.entity) for step in rules.steps("p:shop/main:f")] == [
        ("r", 0, "shop/main"),
        ("s", 0, "shop/main"),
    ]
    assert [(step.rule.id, step.place) for step in rules.steps("p:a:s")] == [("r", 2)]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": ""}, "it has no id"),
        ({"items": []}, f"items must be 1 to {MOST_ITEMS}, not 0"),
        ({"items": ["a"] * (MOST_ITEMS + 1)}, f"items must be 1 to {MOST_ITEMS}"),
        ({"items": ["a", ""], "then": None}, "a token is empty"),
        ({"items": ["$x:$x"]}, "stands twice in a token"),
        ({"items": ["a"]}, "then has $x and no item has it"),
        ({"within_us": 0}, "within_us must be positive, not 0"),
        ({"within_us": 1.5}, "Expected `int`"),
        ({"confidence": 1.2}, "confidence must be between 0 and 1, not 1.2"),
        ({"lift": -1.0}, "must not be negative"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"items": "abc"}, "Expected `array`"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_in_one_line(tmp_path, change, problem):
    path = written(tmp_path, {"version": 1, "rules": [{**GOOD, **change}]})
    with pytest.raises(RuleError) as caught:
        load_rules(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert problem in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "Expected `object`"),
        (b'{"version": 2, "rules": []}', "Invalid enum value 2"),
        (b'{"version": 1}', "missing required field `rules`"),
        ({"version": 1, "rules": [GOOD, GOOD]}, "rule 2 ('r'): its id is not the only one"),
        (b'{"version": 1, "rules": [{"id": "\xff"}]}', "utf-8"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_one_line(tmp_path, content, problem):
    with pytest.raises(RuleError) as caught:
        load_rules(written(tmp_path, content))
    assert problem.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RuleError, match=r"none\.json: No such file"):
        load_rules(tmp_path / "none.json")


def test_a_template_needs_an_entity_and_its_ends_do_not_overlap():
    rules = Rules([SequenceRule("r", ("ab:$x:ba",), 1)])
    assert [len(rules.steps(token)) for token in ("ab:1:ba", "ab::ba", "ab:ba", "ab:1:b", "xab:1:ba")] == [
        1,
        0,
        0,
        0,
        0,
    ]


def test_a_template_may_begin_with_the_entity():
    rules = Rules([SequenceRule("r", ("$x:failure",), 1)])
    assert [step.entity for token in ("shop:failure", "a:b:failure") for step in rules.steps(token)] == ["shop", "a:b"]
