from __future__ import annotations

import msgspec

from operators.incident.entities import keys, related
from operators.incident.evolution import groups, moved, split
from operators.incident.grouping import Grouper
from operators.incident.seen import MINUTE_US, GroupingConfig, Seen
from tests.operators.incident.make import T0, seen


def together(one: Seen, other: Seen) -> bool:
    return related(keys(one.entity, one.kind), keys(other.entity, other.kind))


def test_a_shift_to_another_series_needs_all_earlier_ones_to_have_ended() -> None:
    ended, going = seen("shop/main/build", 0, 2, kind="step"), seen("shop/main/build", 0, kind="step")
    new = seen("shop/main/test", 3, kind="step")
    row = moved([ended], new)
    assert row is not None
    assert row.previous["series"] == ["shop/main/build m"]
    assert row.current["series"] == ["shop/main/test m"]
    assert row.factors["after_seconds"] == 60.0
    assert moved([going], new) is None
    assert moved([ended, going], new) is None
    assert moved([ended], seen("shop/main/build", 3, kind="step")) is None, "the same series came back"
    assert moved([], new) is None


def test_what_connected_two_groups_ends_and_they_go_on_apart() -> None:
    bridge = seen("a→b:push", 0, 2, kind="integration")
    left, right = seen("a", 1, kind="resource"), seen("b", 3, kind="resource")
    row = split([bridge, left], right, together)
    assert row is not None
    assert (row.kind, row.current["groups"], row.factors["ended"]) == (
        "splitting", [["a m"], ["b m"]], ["a→b:push m"]
    )  # fmt: skip
    lasting = msgspec.structs.replace(bridge, is_active=True, resolved_us=None)
    assert split([lasting, left], right, together) is None
    assert split([bridge, left], seen("a", 3, number=1, kind="resource"), together) is None
    assert [len(group) for group in groups([left, right, lasting], together)] == [3]


def test_the_grouper_tells_of_all_of_them() -> None:
    grouper = Grouper(GroupingConfig())
    bridge, left = seen("a→b:push", 0, kind="integration"), seen("a", 1, kind="resource", score=9.0)
    grouper.advance([bridge, left], now_us=T0 + MINUTE_US)
    over = msgspec.structs.replace(bridge, is_active=False, resolved_us=T0 + 2 * MINUTE_US)
    weaker = msgspec.structs.replace(left, score=3.0)
    out = grouper.advance([over, weaker, seen("b", 3, kind="resource")], now_us=T0 + 3 * MINUTE_US)
    assert [one.kind for one in out.evolution] == ["splitting"]
