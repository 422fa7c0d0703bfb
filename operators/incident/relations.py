"""How the patterns of an incident relate: which precedes which, which correlate, and which causes which.

"Precedes" is no more than an order. "Causes" is said only where the same two series opened in the same order, with
about the same lag, in several incidents before, seldom the other way round, and a link between them (a correlation
with a lag, a dependency) says so on its own. That is still no proof: a common cause that hits one of them sooner looks
alike.
"""

import statistics
import uuid
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from operators.incident.entities import Links
from operators.incident.seen import Seen

Relation = Literal["precedes", "correlates_with", "causes"]

MOST_PARENTS = 4
"""Patterns before it that one is related to: the first of the incident, and the latest others."""
LEAST_LAG_US = 1_000_000
"""What opens within a second has no order."""
LEAST_TIMES = 3
"""Earlier incidents in which the one preceded the other."""
SAME_LAG = 0.5
"""A lag is the same within this share of the median lag, or `SLACK_US`."""
SLACK_US = 30_000_000
AGREE = 0.8
"""Share of the earlier incidents that must agree, in order and in lag."""

Pair = tuple[str, str, str, str]
"""Two series: entity and measure of the one, of the other."""


class Relationship(msgspec.Struct, frozen=True):
    """A row of `pattern_relationships`: parent comes first; `offset_us` is from its opening to the child's."""

    parent: uuid.UUID
    child: uuid.UUID
    kind: Relation
    strength: float
    offset_us: int
    discovered_us: int


class Earlier(msgspec.Struct, frozen=True):
    """What earlier incidents say of two series: the lags with the first one first, and how often it was last."""

    lags_us: tuple[int, ...] = ()
    reverse: int = 0


NOTHING = Earlier()


def pair(parent: Seen, child: Seen) -> Pair:
    """The key of what earlier incidents say."""
    return parent.entity, parent.measure, child.entity, child.measure


def parents(seen: Seen, before: Sequence[Seen]) -> list[Seen]:
    """Patterns of the incident that a new one is related to: one a series; `before` is ordered, the latest first."""
    others: dict[tuple[str, str], Seen] = {}
    for one in before:
        if (one.entity, one.measure) != (seen.entity, seen.measure):
            others.setdefault((one.entity, one.measure), one)
    found = list(others.values())
    return found if len(found) <= MOST_PARENTS else [*found[: MOST_PARENTS - 1], found[-1]]


def relations(seen: Seen, before: Sequence[Seen], links: Links, earlier: Mapping[Pair, Earlier]) -> list[Relationship]:
    """How a pattern that is new in an incident relates to those before it."""
    rows: list[Relationship] = []
    for parent in parents(seen, before):
        lag = seen.opened_us - parent.opened_us
        known = earlier.get(pair(parent, seen), NOTHING)
        tie = links.between(parent.entity, seen.entity)
        back = links.between(seen.entity, parent.entity)

        def row(kind: Relation, strength: float, parent: Seen = parent, lag: int = lag) -> Relationship:
            return Relationship(
                parent.pattern_id, seen.pattern_id, kind, min(1.0, max(0.0, strength)), lag, seen.opened_us
            )

        if lag >= LEAST_LAG_US:
            rows.append(row("precedes", order_strength(known)))
        either = tie or back
        if either is not None and either.kind == "correlation":
            rows.append(row("correlates_with", either.strength))
        if tie is not None and lag >= LEAST_LAG_US and repeats(known, lag):
            rows.append(row("causes", order_strength(known) * tie.strength))
    return rows


def order_strength(known: Earlier) -> float:
    """How surely the one comes before the other: its share of the earlier incidents, by Laplace's rule; alone 2/3.

    >>> order_strength(NOTHING), order_strength(Earlier((1, 1, 1), 0)), order_strength(Earlier((1,), 2))
    (0.6666666666666666, 0.8333333333333334, 0.5)
    """
    hits = len(known.lags_us) + 1
    return (hits + 1) / (hits + known.reverse + 2)


def repeats(known: Earlier, lag_us: int) -> bool:
    """Whether earlier incidents bear out that order and that lag.

    >>> minute = 60_000_000
    >>> repeats(Earlier((minute, minute, 2 * minute)), minute), repeats(Earlier((minute, minute)), minute)
    (False, False)
    >>> repeats(Earlier((minute, minute, minute)), minute), repeats(Earlier((minute,) * 3, reverse=2), minute)
    (True, False)
    """
    times = len(known.lags_us)
    if times < LEAST_TIMES or times < AGREE * (times + known.reverse):
        return False
    median = statistics.median(known.lags_us)
    slack = max(SAME_LAG * median, SLACK_US)
    same = sum(abs(one - median) <= slack for one in known.lags_us)
    return same >= AGREE * times and abs(lag_us - median) <= slack
