"""Grouping against connected components by brute force, and what does not depend on the order of arrival."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable

import msgspec
import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.incident.entities import Links, Tie, keys, related
from operators.incident.grouping import Grouper, incident_id, near
from operators.incident.seen import HOUR_US, MINUTE_US, GroupingConfig, Seen
from operators.incident.state import Signature, decode, encode
from tests.operators.incident.make import T0, seen

QUIET = GroupingConfig(burst_patterns=1000)
"""Without bursts."""

ENTITIES = [
    ("shop/main", "pipeline"), ("shop/main/test", "step"), ("shop/main/build", "step"), ("shop/dev", "pipeline"),
    ("shop", "code"), ("shop:src/a.py", "code"), ("web", "resource"), ("api{host=web,zone=1}", "metric"),
    ("api{zone=2}", "metric"), ("a→b:push", "integration"), ("b→c:pull", "integration"), ("db", "resource"),
]  # fmt: skip
LINKS = Links([("db", "shop/dev", Tie(0.9, 0, "correlation"))])


@st.composite
def patterns(draw: st.DrawFn, most: int = 12) -> list[Seen]:
    found = []
    for number in range(draw(st.integers(1, most))):
        entity, kind = draw(st.sampled_from(ENTITIES))
        last = draw(st.one_of(st.none(), st.integers(0, 60)))
        cadence = draw(st.sampled_from([0, 0, 10 * MINUTE_US, 24 * HOUR_US]))
        at = draw(st.integers(0, 300))
        found.append(seen(entity, at, last, number, kind=kind, cadence_us=cadence))
    return found


def components(found: Iterable[Seen]) -> set[frozenset[uuid.UUID]]:
    """By brute force: every pair is compared."""
    graph = networkx.Graph()
    graph.add_nodes_from(one.pattern_id for one in found)
    for one in found:
        for other in found:
            tied = other.entity in LINKS.of(one.entity)
            tree = related(keys(one.entity, one.kind), keys(other.entity, other.kind)) or one.entity == other.entity
            if (tied or tree) and near(one, other, QUIET):
                graph.add_edge(one.pattern_id, other.pattern_id)
    return {frozenset(group) for group in networkx.connected_components(graph)}


def groups(grouper: Grouper) -> set[frozenset[uuid.UUID]]:
    return {frozenset(one.members) for one in grouper.state.incidents.values() if one.members}


@settings(max_examples=150, deadline=None)
@given(patterns(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_incidents_are_connected_components_in_any_order_and_any_batches(
    found: list[Seen], noise: random.Random, size: int
) -> None:
    wanted = components(found)
    shuffled = found.copy()
    noise.shuffle(shuffled)
    once = Grouper(QUIET, links=LINKS)
    once.advance(shuffled, now_us=T0)
    assert groups(once) == wanted
    by_pieces = Grouper(QUIET, links=LINKS)
    for start in range(0, len(shuffled), size):
        by_pieces.advance(shuffled[start : start + size], now_us=T0)
        by_pieces = Grouper(QUIET, decode(encode(by_pieces.state)), LINKS)
    assert groups(by_pieces) == wanted
    # Nobody was told of anything, so even the ids are the same, that of the first pattern of each.
    assert {one.incident_id for one in by_pieces.state.incidents.values()} == set(once.state.incidents)
    assert set(once.state.incidents) == {
        incident_id(min((one for one in found if one.pattern_id in group), key=lambda one: one.order).pattern_id)
        for group in wanted
    }


@settings(max_examples=100, deadline=None)
@given(patterns(), st.randoms(use_true_random=False))
def test_a_history_and_a_stream_group_alike(found: list[Seen], noise: random.Random) -> None:
    history = Grouper(QUIET, links=LINKS)
    held: dict[uuid.UUID, uuid.UUID] = {}
    noise.shuffle(found)
    held |= history.advance(found).moved
    by_incident: dict[uuid.UUID, set[uuid.UUID]] = {}
    for pattern, incident in held.items():
        by_incident.setdefault(incident, set()).add(pattern)
    assert {frozenset(group) for group in by_incident.values()} == components(found)


@settings(max_examples=100, deadline=None)
@given(patterns(8), st.randoms(use_true_random=False))
def test_taking_all_back_leaves_nothing_open(found: list[Seen], noise: random.Random) -> None:
    grouper = Grouper(GroupingConfig(), links=LINKS)
    grouper.advance(found, now_us=T0)
    ids = [one.pattern_id for one in found]
    noise.shuffle(ids)
    for identifier in ids:
        grouper.advance((), [identifier], T0)
    assert grouper.state.members == {}
    assert {one.status for one in grouper.state.incidents.values()} == {"retracted"}
    grouper.tick(T0 + 30 * 24 * HOUR_US)
    assert grouper.state.incidents == {}


def only(grouper: Grouper) -> tuple[uuid.UUID, str, int]:
    (one,) = grouper.state.incidents.values()
    return one.incident_id, one.status, len(one.members)


def minute(number: float) -> int:
    return T0 + round(number * MINUTE_US)


def test_an_incident_resolves_after_a_grace_and_comes_back_as_itself() -> None:
    grouper = Grouper(GroupingConfig())
    first = seen("web", 0)
    grouper.advance([first], now_us=minute(0))
    identifier, status, _ = only(grouper)
    assert (identifier, status) == (incident_id(first.pattern_id), "open")
    over = msgspec.structs.replace(first, is_active=False, resolved_us=minute(3), last_observed_us=minute(3))
    assert identifier in grouper.advance([over], now_us=minute(4)).touched
    assert grouper.tick(minute(8)).touched == {}
    assert only(grouper)[1] == "open"
    assert list(grouper.tick(minute(9)).touched) == [identifier]
    assert only(grouper) == (identifier, "resolved", 1)
    assert grouper.state.incidents[identifier].ended_us == minute(3)
    back = msgspec.structs.replace(first, last_observed_us=minute(11), reopened=1)
    grouper.advance([back], now_us=minute(11))
    assert only(grouper) == (identifier, "open", 1)
    assert grouper.state.incidents[identifier].reopened == 1
    assert grouper.state.incidents[identifier].ended_us is None


def test_flapping_within_the_grace_is_no_news() -> None:
    grouper = Grouper(GroupingConfig())
    pattern = seen("web", 0)
    grouper.advance([pattern], now_us=minute(0))
    statuses = set()
    for number in range(1, 20):
        ended = number % 2 == 1
        pattern = msgspec.structs.replace(
            pattern, is_active=not ended, resolved_us=minute(number) if ended else None,
            last_observed_us=minute(number), reopened=number // 2,
        )  # fmt: skip
        grouper.advance([pattern], now_us=minute(number))
        statuses.add(only(grouper)[1])
    assert statuses == {"open"}
    assert grouper.state.incidents[only(grouper)[0]].reopened == 0


def test_what_people_were_told_of_keeps_its_id_when_incidents_become_one() -> None:
    grouper = Grouper(QUIET)
    late, early = seen("b→c:x", 2, kind="integration"), seen("a→d:x", 1, kind="integration")
    for one in (late, early):
        grouper.advance([one], now_us=minute(2))
    told = grouper.state.incidents[incident_id(late.pattern_id)]
    for one in grouper.state.incidents.values():
        one.written = True
    told.told = Signature("low", 1, "open", None, 0)
    out = grouper.advance([seen("a→b:x", 3, kind="integration")], now_us=minute(3))
    kept = grouper.state.incidents[told.incident_id]
    assert (kept.status, len(kept.members), kept.started_us) == ("open", 3, minute(1))
    gone = grouper.state.incidents[incident_id(early.pattern_id)]
    assert (gone.status, gone.merged_into, gone.members) == ("merged", told.incident_id, [])
    assert {told.incident_id, gone.incident_id} <= set(out.touched)
    assert out.moved[early.pattern_id] == told.incident_id


@pytest.mark.parametrize("apart_s", [0, 1, 10, 30, 39])
def test_a_cascade_over_twenty_unrelated_series_is_one_incident(apart_s: float) -> None:
    grouper = Grouper(GroupingConfig())
    grouper.advance([seen(f"host-{n}", n * apart_s / 60, kind="resource") for n in range(20)], now_us=minute(30))
    (one,) = [one for one in grouper.state.incidents.values() if one.status == "open"]
    assert len(one.members) == 20
    assert one.wide == ["topic"]


def test_three_at_once_are_no_burst_and_other_inputs_are_other_bursts() -> None:
    grouper = Grouper(GroupingConfig())
    found = [seen(f"host-{n}", n / 10, input="abcabc"[n]) for n in range(6)]
    grouper.advance(found, now_us=minute(1))
    assert [one.wide for one in grouper.state.incidents.values()] == [[]] * 6
    good = [seen(f"build-{n}", n / 10, severity="info") for n in range(8)]
    grouper.advance(good, now_us=minute(1))
    assert len(grouper.state.incidents) == 14, "good news is no burst"


def test_an_input_where_much_opens_all_the_time_needs_more_for_a_burst() -> None:
    noise = random.Random(3)
    grouper = Grouper(GroupingConfig())
    times = sorted(noise.uniform(0, 48 * 60) for _ in range(2880))
    found = [seen(f"host-{n}", at, 0.5, kind="resource") for n, at in enumerate(times)]
    wide = 0
    for one in found[1000:]:
        grouper.advance([one])
        wide = max([wide, *(len(each.members) for each in grouper.state.incidents.values() if each.wide)])
    assert wide < 60, "one a minute by chance is not one incident of two days"


def test_an_open_pattern_that_falls_silent_holds_nothing_open_and_wakes_again() -> None:
    grouper = Grouper(GroupingConfig())
    pattern = seen("web", 0)
    grouper.advance([pattern], now_us=minute(0))
    grouper.tick(minute(49 * 60))
    assert only(grouper)[1] == "silent"
    grouper.advance([msgspec.structs.replace(pattern, last_observed_us=minute(50 * 60))], now_us=minute(50 * 60))
    assert only(grouper)[1] == "open"


def test_memory_is_bounded() -> None:
    config = GroupingConfig(most_patterns=50, most_members=10)
    grouper = Grouper(config)
    forgotten = 0
    for number in range(500):
        entity = "web" if number % 2 else f"host-{number}"
        out = grouper.advance([seen(entity, number * 3, 1 if number % 5 else None, kind="resource")])
        forgotten += len(out.forgotten)
        assert len(grouper.state.members) <= 50
        assert all(len(one.members) <= 10 for one in grouper.state.incidents.values())
        assert set(grouper.state.members) == {m for one in grouper.state.incidents.values() for m in one.members}
    assert len(grouper.state.incidents) <= 60
    assert forgotten > 0
    assert len(encode(grouper.state)) < 60_000


def test_told_late_where_it_may_be_part_of_a_burst() -> None:
    grouper = Grouper(GroupingConfig())
    grouper.advance([seen("a", 0), seen("b", 0.5)], now_us=minute(0.5))
    first, second = grouper.state.incidents.values()
    assert not grouper.held(first, minute(0.5))
    assert grouper.held(second, minute(1.4))
    assert not grouper.held(second, minute(1.5))
    grouper.advance([seen("c", 1, severity="critical")], now_us=minute(1))
    assert not grouper.held(grouper.state.incidents[incident_id(seen("c", 1).pattern_id)], minute(1))
