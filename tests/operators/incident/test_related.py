"""Groups of series: components by names, of bounded size; and what becomes of what the tracks say."""

from __future__ import annotations

import msgspec
import networkx
from hypothesis import given
from hypothesis import strategies as st
from pytest import MonkeyPatch

from operators.detect import forest, multivariate
from operators.detect.forest import ForestConfig
from operators.detect.verdict import Verdict
from operators.episodes import SEVERITIES, Life
from operators.incident.entities import keys, related
from operators.incident.related import KINDS, GroupState, Look, Series, groups, move, subject
from operators.incident.seen import MINUTE_US
from operators.patterns import snapshot_pattern

SERIES = [
    Series("web", "cpu", "resource"), Series("web", "memory", "resource"), Series("db", "cpu", "resource"),
    Series("api{host=web}", "rps", "metric"), Series("api{host=x}", "rps", "metric"),
    Series("y{host=z}", "a", "metric"), Series("q{host=z}", "a", "metric"), Series("p", "duration_s", "pipeline"),
    Series("web→db:get", "ms", "integration"), Series("lone", "cpu", "resource"),
    Series("c→d:x", "ms", "integration"), Series("d→e:x", "ms", "integration"),
]  # fmt: skip


@given(st.lists(st.sampled_from(SERIES), max_size=12))
def test_groups_are_components_in_any_order(series: list[Series]) -> None:
    graph = networkx.Graph()
    wanted = [one for one in series if one.kind in KINDS]
    graph.add_nodes_from(wanted)
    graph.add_edges_from(
        (one, other)
        for one in wanted
        for other in wanted
        if related(keys(one.entity, one.kind), keys(other.entity, other.kind))
    )
    components = {tuple(sorted(part)) for part in networkx.connected_components(graph) if len(part) > 1}
    assert {group.series for group in groups(series)} == components


def test_groups_are_bounded_and_say_what_is_left_out() -> None:
    many = [Series(f"s{{host=h{n:03}}}", "m", "metric") for n in range(100)]
    (group,) = groups(many, most=32)
    assert (group.name, len(group.series), group.left_out) == ("s", 32, 68)
    small = [Series(f"h{n}", measure, "resource") for n in range(10) for measure in ("a", "b")]
    assert len(groups(small, total=9)) == 4


def test_the_forest_opens_nothing_while_the_joint_distance_has_something_open(monkeypatch: MonkeyPatch) -> None:
    odd = Verdict(9.0, 3.0, 1.0, 0.0, 2.0, "down", 0.9, True, {"series": "m of s", "value": 8.0})
    said: dict[str, Verdict | None] = {"multivariate": None, "forest": None}
    monkeypatch.setattr(multivariate, "advance", lambda *_: said["multivariate"])
    monkeypatch.setattr(forest, "advance", lambda *_: said["forest"])
    (group,) = groups([Series("web", "a", "resource"), Series("web", "b", "resource")])
    state, minute = GroupState(), 0

    def opened(**now: Verdict | None) -> list[tuple[str, str]]:
        nonlocal minute
        said.update(now)
        minute += 1
        values = {"a of web": 1.0, "b of web": 1.0}
        found = move(state, group, minute * MINUTE_US, values, Life(), Look())
        return [(one.episode.detector, one.kind) for one in found if one.kind in ("opened", "resolved")]

    assert opened(multivariate=odd, forest=odd) == [("multivariate", "opened")]
    assert opened() == []
    ended = [one for _ in range(60) for one in opened(multivariate=None, forest=None)]
    assert ended == [("multivariate", "resolved")]
    minute += 600
    assert opened(forest=odd) == [("forest", "opened")]
    assert opened(multivariate=odd) == [("multivariate", "opened")]
    assert state.rare is not None
    assert state.rare.active
    about = subject(group)
    for episode in (state.rare, state.episode):
        assert episode is not None
        pattern = snapshot_pattern(episode, about)
        assert (pattern.entity, pattern.measure) == ("web", "joint")
        assert SEVERITIES.index(pattern.severity) <= SEVERITIES.index("medium")
        assert pattern.low <= pattern.expected <= pattern.high
        assert "{" not in pattern.pattern_name


def test_a_forest_that_is_switched_off_learns_nothing() -> None:
    (group,) = groups([Series("web", "a", "resource"), Series("web", "b", "resource")])
    for enabled in (True, False):
        state = GroupState()
        look = Look(forest=ForestConfig(enabled=enabled))
        move(state, group, MINUTE_US, {"a of web": 1.0, "b of web": 2.0}, Life(), look)
        assert bool(state.forest.rows) is enabled


def test_a_state_from_before_the_forest_is_read() -> None:
    old: dict[str, object] = {"k": "metric", "t": {}, "f": {}, "e": None}
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=GroupState)
    assert state.forest.rows == 0
    assert state.rare is None
