"""Sequences that are strong enough, as rules for the stream's `sequence` detector, measured on time they were not
mined from.

The file is the one that the detector reads (`operators.detect.rules`), its tokens are those of `operators.tokens`.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from operators.detect.rules import MOST_ITEMS, SequenceRule
from operators.mining.finding import Finding, MiningConfig
from operators.mining.history import History, micros
from operators.mining.sequences import item
from operators.mining.significance import wilson
from operators.mining.streams import integration_entities
from operators.tokens import USUAL

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
    `base` how often `then` came within the same time after anything that the last item's entity did, good or bad.
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
        """Precision over how often `then` comes anyway."""
        return self.precision / max(self.base, 1e-6)


Row = tuple[int, str, int, str]
"""A time in µs, what the order of one microsecond is by (an id, a number), and a token."""


def rows_of(history: History, wanted: Container[str] | None = None) -> list[Row]:
    """Every event of a history that a rule can speak of, or those whose `stem` is wanted: each as of when the stream is
    told. A run's steps come when it has ended, those that ended well not at all (`operators.tokens.tokens_of`)."""
    runs = history.runs[history.runs["execution_end"].notna()]
    times = micros(runs["execution_end"]).tolist()
    rows = [
        (time, run, 1 << 30, item("pipeline", name, status))
        for time, run, name, status in zip(times, runs["id"], runs["pipeline_name"], runs["status"], strict=True)
    ]
    odd = history.steps[~history.steps["status"].isin(USUAL)]
    ends = dict(zip(runs["id"], times, strict=True)) if len(odd) else {}
    rows += [
        (ends[run], run, int(order), item("step", f"{pipeline}/{step}", status))
        for run, pipeline, step, order, status in zip(
            odd["pipeline_execution_id"], odd["pipeline_name"], odd["step_name"], odd["step_order"].fillna(0),
            odd["status"], strict=True,
        )
        if run in ends
    ]  # fmt: skip
    done = history.task_executions
    rows += _rows(done["execution_end"].fillna(done["execution_start"]), done["id"], "task",
                  done["project_name"].fillna("tasks"), done["status"])  # fmt: skip
    events = history.integration_events
    rows += _rows(events["event_timestamp"], events["id"], "integration", integration_entities(events),
                  events["status"])  # fmt: skip
    changes = history.interventions[history.interventions["kind"] == "configuration"]
    rows += [
        (time, str(key), 0, f"configured:{name}")
        for time, key, name in zip(micros(changes["time"]).tolist(), changes["id"], changes["entity"], strict=True)
    ]
    seen = history.patterns[history.patterns["pattern_type"] != "sequence"]
    rows += [
        (time, str(key), 0, f"pattern:{kind}:{entity}")
        for time, key, kind, entity in zip(
            micros(seen["opened_at"]).tolist(), seen["id"], seen["pattern_type"], seen["entity"], strict=True
        )
    ]
    return rows if wanted is None else [row for row in rows if stem(row[3]) in wanted]


def tokens(rows: Iterable[Row]) -> list[tuple[int, str]]:
    """Rows of one or more shards by time, as the stream's own tokens. Of events of one microsecond the order is by id:
    the stream's is not known.

    >>> tokens(rows_of(History.of()))
    []
    """
    return [(time, token) for time, _, _, token in sorted(rows)]


def wanted_of(findings: Iterable[Finding]) -> frozenset[str]:
    """The stems of the tokens that rules of these findings would speak of."""
    return frozenset(stem(token) for one in findings for token in one.evidence.get("sequence", ()))


def stem(token: str) -> str:
    """A token without how it ended; one that has no ways to end as it is.

    >>> stem("pipeline:shop/main:failure"), stem("pattern:spike:web")
    ('pipeline:shop/main', 'pattern:spike:web')
    """
    return token if token.startswith(("pattern:", "configured:")) else token.rpartition(":")[0]


def _rows(times: Any, keys: Any, kind: str, entities: Any, statuses: Any) -> list[Row]:
    return [
        (time, str(key), 0, item(kind, entity, status))
        for time, key, entity, status in zip(micros(times).tolist(), keys, entities, statuses, strict=True)
    ]


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
    findings: Sequence[Finding], events: Sequence[tuple[int, str]], config: MiningConfig, cut: datetime, until: datetime
) -> list[Compiled]:
    """Rules of the `sequence` findings that were mined up to `cut` and come true from then to `until` in the `events`
    (`tokens`, at least those of `wanted_of` the findings).

    Sequences within a run or a task have no use as they are (their items come without it); sequences of a day and of
    correlated events do. A rule is kept from `LEAST_PRECISION`, `LEAST_GAIN` and `FEWEST_MATCHES` on, if its precision
    is above its base also at the low end.
    """
    start_us, end_us = (int(time.timestamp() * 1e6) for time in (cut, until))
    known = [event for event in events if event[0] <= start_us]
    later = [event for event in events if start_us < event[0] <= end_us]
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
        if len(items) > MOST_ITEMS:
            continue
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
                lead_us=int(np.median(leads)) if leads else 0, base=_base(items[-1], then, within, later),
            )
        )  # fmt: skip
    kept: dict[tuple[tuple[str, ...], str], Compiled] = {}  # days and correlated events may tell the same
    for rule in sorted(rules, key=lambda rule: (-rule.low, -rule.hits, rule.id)):
        if rule.precision >= LEAST_PRECISION and rule.lift >= LEAST_GAIN and rule.low > rule.base:
            kept.setdefault((rule.items, rule.then), rule)
    return list(kept.values())[:MOST_RULES]


def rule_of(rule: Compiled) -> SequenceRule:
    """The rule as the detector takes it; `confidence` is the precision that was measured."""
    return SequenceRule(
        id=rule.id, items=rule.items, within_us=rule.within_us, then=rule.then, confidence=rule.precision,
        support=rule.support, lift=rule.lift, lead_us=rule.lead_us,
    )  # fmt: skip


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


def _base(last: str, then: str, within: int, events: Sequence[tuple[int, str]]) -> float:
    """Of all that ended as `last` could have, or of all events where it has one way only: the share that `then` follows
    within `within`."""
    ends = np.array([time for time, token in events if token == then], dtype=np.int64)
    of = [time for time, token in events if stem(token) == stem(last)]
    if stem(last) == last:
        of = [time for time, _ in events]
    if not of or not len(ends):
        return 0.0
    moments = np.array(of, dtype=np.int64)
    place = np.searchsorted(ends, moments, side="right")
    follows = (place < len(ends)) & (ends[np.minimum(place, len(ends) - 1)] - moments <= within)
    return float(follows.mean())
