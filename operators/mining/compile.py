"""Sequences that are strong enough, as rules for the stream's `sequence` detector, measured on time they were not
mined from.

The file is the one that the detector reads: {"version": 1, "rules": [...]}, times in µs.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from operators.mining.finding import Finding, MiningConfig
from operators.mining.history import History, micros
from operators.mining.sequences import item
from operators.mining.significance import wilson
from operators.mining.streams import outcomes

LEAST_PRECISION = 0.3
"""Precision on held-out time below which a rule is not compiled: it would mostly be wrong."""

FEWEST_MATCHES = 5
"""Matches in held-out time that it takes to believe a precision."""

LEAST_GAIN = 2.0
"""And how many times as likely as at any other time what follows must be."""

MOST_RULES = 500
"""Rules of a set, the most precise first; the detector itself takes more."""

REACH = 0.95
"""Share of the mined sequences whose whole length a rule's `within_us` must hold."""


class Compiled(msgspec.Struct, frozen=True):
    """A rule with the detector's fields. On held-out time, `matches` matches of the items came with `hits` of `then`.

    `precision` is hits over matches, `low` its lower Wilson bound, `lead_us` the median time from the match to `then`,
    `base` the share of equally long stretches of that time that hold a `then`, whatever came before.
    """

    id: str
    items: tuple[str, ...]
    within_us: int
    then: str
    support: int
    matches: int
    hits: int
    precision: float
    low: float
    lead_us: int
    base: float

    @property
    def lift(self) -> float:
        """Precision over what any stretch of that length has."""
        return self.precision / max(self.base, 1e-6)


def tokens(history: History) -> list[tuple[int, str]]:
    """Every event that a rule can speak of, by time: ends of runs, steps, tasks and integrations, and patterns.

    >>> tokens(History.of())
    []
    """
    stream = outcomes(history)
    rows: list[tuple[int, str]] = []
    if len(stream):
        rows = [
            (int(end), item(kind, entity, status))
            for end, kind, entity, status in zip(
                stream["end_us"], stream["kind"], stream["entity"], stream["status"], strict=True
            )
        ]
    seen = history.patterns
    opened = micros(seen["opened_at"])
    rows += [
        (int(time), f"pattern:{kind}:{entity}")
        for time, kind, entity in zip(opened, seen["pattern_type"], seen["entity"], strict=True)
    ]
    return sorted(rows)


def measure(
    items: Sequence[str], then: str, within_us: int, events: Iterable[tuple[int, str]]
) -> tuple[int, list[int]]:
    """Predictions that the detector would make on `events` (by time), and the lead of each that came true, in µs.

    Its rules of matching: the latest start within reach counts, a match may not begin at or before the end of the one
    before, and while a prediction is open no other is made.

    >>> measure(["a", "b"], "c", 10, [(0, "a"), (3, "b"), (9, "c"), (20, "a"), (25, "b"), (31, "c")])
    (2, [6])
    """
    starts: list[int | None] = [None] * len(items)
    last_end: int | None = None
    made = 0
    leads: list[int] = []
    pending: tuple[int, int] | None = None
    for time, token in events:
        if pending is not None and pending[1] < time:
            pending = None
        if token == then and pending is not None:
            leads.append(time - pending[0])
            pending = None
        for place in range(len(items) - 1, -1, -1):
            if items[place] != token:
                continue
            start = time if place == 0 else starts[place - 1]
            if start is None or time - start > within_us or (last_end is not None and start <= last_end):
                continue
            starts[place] = start
            if place == len(items) - 1:
                last_end = time
                if pending is None:
                    pending = (time, start + within_us)
                    made += 1
    return made, leads


def compile_rules(
    findings: Sequence[Finding], history: History, config: MiningConfig, cut: datetime, until: datetime
) -> list[Compiled]:
    """Rules of the `sequence` findings that were mined up to `cut` and come true from then to `until`.

    Sequences within a run or a task have no use as they are (their items come without it); sequences of a day and of
    correlated events do. A rule is kept from `LEAST_PRECISION`, `LEAST_GAIN` and `FEWEST_MATCHES` on.
    """
    known = tokens(history.before(cut))
    start_us, end_us = (int(time.timestamp() * 1e6) for time in (cut, until))
    later = [event for event in tokens(history.before(until)) if event[0] > start_us]
    rules = []
    for finding in findings:
        sequence = finding.evidence.get("sequence", ())
        if (
            finding.kind != "sequence"
            or finding.evidence.get("group") not in ("day", "correlation")
            or len(sequence) < 2
        ):
            continue
        *items, then = sequence
        window_s = finding.evidence.get("window_s") or config.window_s
        reach = int(window_s * 1e6) * len(items)
        lengths = _lengths(items, then, reach, known)
        if not len(lengths):
            continue
        within = int(np.ceil(np.quantile(lengths, REACH)))
        within = min(reach, max(within, 1_000_000))
        made, leads = measure(items, then, within, later)
        if made < FEWEST_MATCHES:
            continue
        low, _ = wilson(len(leads), made)
        rules.append(
            Compiled(
                id=str(finding.id), items=tuple(items), within_us=within, then=then, support=finding.support,
                matches=made, hits=len(leads), precision=len(leads) / made, low=low,
                lead_us=int(np.median(leads)) if leads else 0, base=_base(then, within, later, start_us, end_us),
            )
        )  # fmt: skip
    kept = [rule for rule in rules if rule.precision >= LEAST_PRECISION and rule.lift >= LEAST_GAIN]
    return sorted(kept, key=lambda rule: (-rule.low, -rule.hits, rule.id))[:MOST_RULES]


def rule_file(rules: Sequence[Compiled]) -> bytes:
    """The detector's file: JSON, rules in the order given.

    >>> rule_file([])
    b'{"version":1,"rules":[]}'
    """
    fields: list[dict[str, Any]] = [
        {
            "id": rule.id,
            "items": rule.items,
            "within_us": rule.within_us,
            "then": rule.then,
            "confidence": rule.precision,
            "support": rule.support,
            "lift": rule.lift,
            "lead_us": rule.lead_us,
        }
        for rule in rules
    ]
    return msgspec.json.encode({"version": 1, "rules": fields})


def _lengths(items: Sequence[str], then: str, reach: int, events: Sequence[tuple[int, str]]) -> Any:
    """From the latest start of each whole prefix to the `then` that follows within reach."""
    wanted = {*items, then}
    starts: list[int | None] = [None] * len(items)
    out = []
    for time, token in events:
        if token not in wanted:
            continue
        whole = starts[-1]
        if token == then and whole is not None and time - whole <= reach:
            out.append(time - whole)
            starts = [None] * len(items)
        for place in range(len(items) - 1, -1, -1):
            if items[place] == token:
                start = time if place == 0 else starts[place - 1]
                if start is not None and time - start <= reach:
                    starts[place] = start
    return np.array(out)


def _base(then: str, within: int, events: Sequence[tuple[int, str]], start_us: int, end_us: int) -> float:
    """Share of the time from which `then` comes within `within`."""
    covered, reached = 0, start_us
    for time, token in events:
        if token == then:
            covered += max(0, time - max(reached, time - within))
            reached = max(reached, time)
    return covered / max(1, end_us - start_us)
