"""Rules for the sequence track: what they say, the file they come in, and which of them a token concerns.

A token names an event: `pipeline:shop/main:failure`, `integration:github→jira:webhook:failure`,
`pattern:high_cpu_usage:web-1`. A rule has one to `MOST_ITEMS` tokens, which must come in its order with anything in
between, the last within `within_us` of the first; and a token that is then to be expected (`then`), until `within_us`
after the first has passed. In a rule's token `$x` stands for any entity, the same one in all of them, once a token:
`pipeline:$x:failure`.

The file is JSON, times in µs, and only `id`, `items` and `within_us` are needed:

    {"version": 1, "rules": [
      {"id": "deploy-breaks-sync", "items": ["pipeline:$x/deploy:success", "pattern:high_cpu_usage:$x"],
       "within_us": 1800000000, "then": "integration:$x→jira:sync:failure",
       "confidence": 0.82, "support": 41, "lift": 6.3, "lead_us": 420000000}]}
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

WILD = "$x"
"""Stands for an entity in a rule's tokens."""

MOST_ITEMS = 12
"""Tokens of a rule's prefix."""

MOST_RULES = 10_000
"""Rules of a set."""

CACHED = 50_000
"""Spellings of tokens whose rules are remembered before starting anew."""


class RuleError(ValueError):
    """A rule, or a file of rules, that makes no sense. The message is one line."""


class SequenceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the nightly flow has found to come true often. Times in µs.

    `confidence`: share of prefixes that `then` followed, 0 to 1. `support`: sequences in which it was found. `lift`:
    confidence over the share by chance. `lead_us`: usual time between the prefix's end and `then`. `then` None: the
    sequence itself is the news.
    """

    id: str
    items: tuple[str, ...]
    within_us: int
    then: str | None = None
    confidence: float = 0.0
    support: int = 0
    lift: float = 1.0
    lead_us: int = 0


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of rules: `{"version": 1, "rules": [{"id": …, "items": […], "within_us": …, "then": …, …}]}`."""

    version: Literal[1]
    rules: list[SequenceRule]


class Step(NamedTuple):
    """A rule's place that a token fits: an item, or `then` (the place after the last item).

    `entity` is what `$x` is, None when the token says nothing of it. `size` is the number of items, `bound` the place
    of the first that has `$x`.
    """

    rule: SequenceRule
    place: int
    entity: str | None
    size: int
    bound: int


class Rules:
    """A rule set, indexed by token. It holds no state of a stream.

    >>> rules = Rules([SequenceRule("r", ("pipeline:$x:failure", "pipeline:$x:failure"), 10**9)])
    >>> [(step.rule.id, step.place, step.entity) for step in rules.steps("pipeline:shop/main:failure")]
    [('r', 1, 'shop/main'), ('r', 0, 'shop/main')]

    Raises RuleError for a rule that makes no sense, or two of one id.
    """

    def __init__(self, rules: Iterable[SequenceRule]) -> None:
        self.by_id: dict[str, SequenceRule] = {}
        self._exact: dict[str, list[tuple[SequenceRule, int]]] = {}
        self._wild: dict[str, dict[tuple[str, str], list[tuple[SequenceRule, int]]]] = {}
        self._cache: dict[str, tuple[Step, ...]] = {}
        for place, rule in enumerate(rules):
            problem = _problem(rule) or ("its id is not the only one" if rule.id in self.by_id else None)
            if problem is None and place >= MOST_RULES:
                problem = f"there are more than {MOST_RULES} rules"
            if problem:
                raise RuleError(f"rule {place + 1} ({rule.id!r}): {problem}")
            self.by_id[rule.id] = rule
            self._index(rule)

    def _index(self, rule: SequenceRule) -> None:
        """`then` is the step after the last item."""
        for place, item in reversed(list(enumerate((*rule.items, rule.then)))):
            if item is None:
                continue
            if WILD in item:
                before, after = item.split(WILD)
                kinds = self._wild.setdefault(_kind(before), {})
                kinds.setdefault((before, after), []).append((rule, place))
            else:
                self._exact.setdefault(item, []).append((rule, place))

    def steps(self, token: str) -> Sequence["Step"]:
        """What a token fits, rule by rule, later places first."""
        found = self._cache.get(token)
        if found is None:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            found = self._cache[token] = tuple(self._find(token))
        return found

    def _find(self, token: str) -> list["Step"]:
        found = [_step(rule, place, None) for rule, place in self._exact.get(token, ())]
        for kind in (_kind(token), ""):
            for (before, after), steps in self._wild.get(kind, {}).items():
                if token.startswith(before) and token.endswith(after) and len(token) > len(before) + len(after):
                    entity = token[len(before) : len(token) - len(after)]
                    found.extend(_step(rule, place, entity) for rule, place in steps)
        return sorted(found, key=lambda step: (step.rule.id, -step.place))


def load_rules(path: Path) -> Rules:
    """The rules of a JSON file (`RuleFile`).

    Raises RuleError, with the file and what is wrong in one line, for a file that can't be read or makes no sense.
    """
    try:
        return Rules(msgspec.json.decode(path.read_bytes(), type=RuleFile).rules)
    except OSError as problem:
        raise RuleError(f"{path}: {problem.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RuleError) as problem:
        raise RuleError(f"{path}: {problem}") from None


def _step(rule: SequenceRule, place: int, entity: str | None) -> Step:
    return Step(rule, place, entity, len(rule.items), bound_at(rule))


def _kind(text: str) -> str:
    """What a token is indexed by: what stands before its first colon."""
    head, colon, _ = text.partition(":")
    return head if colon else ""


def bound_at(rule: SequenceRule) -> int:
    """The place of the first item that says what `$x` is; the number of items when none does.

    >>> bound_at(SequenceRule("r", ("a:b", "a:$x"), 1)), bound_at(SequenceRule("r", ("a:b",), 1))
    (1, 1)
    """
    for place, item in enumerate(rule.items):
        if WILD in item:
            return place
    return len(rule.items)


def _problem(rule: SequenceRule) -> str | None:
    tokens = [*rule.items, *([] if rule.then is None else [rule.then])]
    if not rule.id:
        return "it has no id"
    if not 1 <= len(rule.items) <= MOST_ITEMS:
        return f"items must be 1 to {MOST_ITEMS}, not {len(rule.items)}"
    if not all(tokens):
        return "a token is empty"
    if any(token.count(WILD) > 1 for token in tokens):
        return f"{WILD} stands twice in a token"
    if rule.then is not None and WILD in rule.then and bound_at(rule) == len(rule.items):
        return f"then has {WILD} and no item has it"
    if rule.within_us <= 0:
        return f"within_us must be positive, not {rule.within_us}"
    if not 0.0 <= rule.confidence <= 1.0:
        return f"confidence must be between 0 and 1, not {rule.confidence}"
    if rule.support < 0 or rule.lift < 0.0 or rule.lead_us < 0:
        return "support, lift and lead_us must not be negative"
    return None
