"""Groups of series: components by names, of bounded size."""

from __future__ import annotations

import networkx
from hypothesis import given
from hypothesis import strategies as st

from operators.incident.entities import keys, related
from operators.incident.related import KINDS, Series, groups

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
