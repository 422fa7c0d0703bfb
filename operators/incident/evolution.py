"""How incidents change: elsewhere, apart. Rows of `pattern_evolution` besides those of the partitions.

A partition tells how each pattern of its own changes (`operators.pattern_rows`); what needs the other patterns of an
incident is found here.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import msgspec

from operators.incident.seen import Seen

NAMED = 10
"""Series that a state names."""

Kind = Literal["shifting", "splitting"]


class Evolution(msgspec.Struct, frozen=True):
    """A row of `pattern_evolution`; `magnitude` is a difference of scores, or a share for shifting and splitting."""

    pattern_id: uuid.UUID
    kind: Kind
    time_us: int
    previous: dict[str, Any]
    current: dict[str, Any]
    magnitude: float
    factors: dict[str, Any]


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
