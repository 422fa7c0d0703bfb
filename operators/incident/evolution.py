"""How patterns change: weaker, elsewhere, apart. Rows of `pattern_evolution` besides those of the partitions.

A partition tells of opening, strengthening and the end (`operators.pattern_rows`); what needs a memory of what was
told, or of the other patterns of an incident, is found here.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import msgspec

from operators.incident.seen import Seen

WEAKER = 1.5
"""A score below 1/1.5 of the one last told is a weakening, as one of 1.5 times it is a strengthening."""
NAMED = 10
"""Series that a state names."""

Kind = Literal["weakening", "shifting", "splitting"]


class Told(msgspec.Struct, rename={"score": "s", "direction": "w"}):
    """What was last told of a pattern."""

    score: float
    direction: str | None


class Evolution(msgspec.Struct, frozen=True):
    """A row of `pattern_evolution`; `magnitude` is a difference of scores, or a share for shifting and splitting."""

    pattern_id: uuid.UUID
    kind: Kind
    time_us: int
    previous: dict[str, Any]
    current: dict[str, Any]
    magnitude: float
    factors: dict[str, Any]


def told_of(seen: Seen) -> Told:
    """What is told of a pattern when it is first seen."""
    return Told(seen.score, seen.direction)


def compare(told: Told, before: Seen, now: Seen) -> list[Evolution]:
    """What changed between two states of a pattern; `told` is brought up to date.

    >>> from tests.operators.incident.make import seen
    >>> first = seen("web", score=9.0)
    >>> [(one.kind, one.magnitude) for one in compare(told_of(first), first, seen("web", score=5.0))]
    [('weakening', -4.0)]
    >>> compare(told_of(first), first, seen("web", score=7.0))
    []
    """
    found = []
    if now.direction != told.direction and now.direction is not None:
        if told.direction is not None:
            found.append(
                Evolution(
                    now.pattern_id, "shifting", now.last_observed_us,
                    _state(before), _state(now), now.score - told.score,
                    {"direction": [told.direction, now.direction]},
                )
            )  # fmt: skip
        told.direction, told.score = now.direction, now.score
    elif now.is_active and now.score * WEAKER < told.score:
        found.append(
            Evolution(
                now.pattern_id, "weakening", now.last_observed_us,
                _state(before) | {"score": told.score}, _state(now), now.score - told.score,
                {"value": [before.value, now.value]},
            )
        )  # fmt: skip
        told.score = now.score
    told.score = max(told.score, now.score)
    return found


def moved(members: Sequence[Seen], new: Seen) -> Evolution | None:
    """Shifting of the affected series: all earlier patterns of the incident have ended, and another series opens."""
    if not members or any(one.is_active or one.end_us > new.opened_us for one in members):
        return None
    before = {_series(one) for one in members}
    if _series(new) in before:
        return None
    last = max(members, key=lambda one: (one.end_us, one.order))
    return Evolution(
        new.pattern_id, "shifting", new.opened_us,
        {"series": sorted(before)[:NAMED], "score": last.score}, {"series": [_series(new)], "score": new.score},
        1.0 / (len(before) + 1), {"from": _series(last), "after_seconds": (new.opened_us - last.end_us) / 1e6},
    )  # fmt: skip


def split(members: Sequence[Seen], new: Seen, hang_together: Callable[[Seen, Seen], bool]) -> Evolution | None:
    """Splitting: what connected an incident has ended in part, and with `new` it goes on in separate groups."""
    going = [one for one in members if one.is_active or one.end_us > new.opened_us]
    if len(going) == len(members) or not going:
        return None
    before = groups(going, hang_together)
    after = groups([*going, new], hang_together)
    if len(before) > 1 or len(after) < 2:
        return None
    return Evolution(
        new.pattern_id, "splitting", new.opened_us,
        {"groups": [_names(before[0])]}, {"groups": [_names(group) for group in after]},
        1.0 - 1.0 / len(after), {"ended": _names([one for one in members if one not in going])},
    )  # fmt: skip


def groups(members: Collection[Seen], hang_together: Callable[[Seen, Seen], bool]) -> list[list[Seen]]:
    """Connected components, in the order of their first members."""
    left = list(members)
    found: list[list[Seen]] = []
    while left:
        group = [left.pop(0)]
        for one in group:  # grows while it is walked
            near = [other for other in left if hang_together(one, other)]
            group += near
            left = [other for other in left if other not in near]
        found.append(group)
    return found


def _series(seen: Seen) -> str:
    return f"{seen.entity} {seen.measure}"


def _names(members: Collection[Seen]) -> list[str]:
    return sorted({_series(one) for one in members})[:NAMED]


def _state(seen: Seen) -> dict[str, Any]:
    return {
        "score": seen.score,
        "severity": seen.severity,
        "value": seen.value,
        "direction": seen.direction,
        "is_active": seen.is_active,
    }
