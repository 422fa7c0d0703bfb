"""Patterns of the code's dependency graph: cycles, hubs, and how far a change reaches."""

from datetime import datetime
from typing import Any

import networkx as nx
import numpy as np
from scipy import stats

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import History, micros
from operators.taxonomy import PatternClass

MOST_NODES = 50_000
"""Nodes of a graph beyond which its blast radius is not looked at."""

MOST_CYCLES = 20
"""Cycles of one graph that are named, the largest knots first."""

MOST_HUBS = 20
"""Nodes of one graph whose blast radius is counted, those with the most direct dependents."""

WIDE = 0.2
"""Share of a graph that must depend on a node, directly or not, for its blast radius to be news."""

FEWEST_DEPENDENTS = 4
"""Things that a graph's news must be about, besides itself."""


class GraphMiner(Miner):
    """Facts of graphs as they stand: cycles and blast radius claim nothing against chance; hubs do.

    A hub has more direct dependents than dependencies thrown at random would give it (binomial). Real graphs are
    uneven by growth, so most have hubs: it says where to be careful, not what is wrong. Edges that were removed from
    the code stay in the table until they are seen again: a cycle may be gone.
    """

    name = "graph"

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:  # noqa: ARG002
        """`support` of `total`: edges of a cycle; direct dependents of a hub among nodes; dependents of a node among
        nodes."""
        history = history.before(until)
        drafts: list[Finding] = []
        tests = 0
        for code, edges in history.code_dependencies.groupby("codebase_id", sort=True):
            found, made = _code(str(code), edges, int(until.timestamp() * 1e6))
            drafts += found
            tests += made
        return Looked(drafts, {0: tests})


def _code(code: str, edges: Any, end_us: int) -> tuple[list[Finding], int]:
    graph = nx.DiGraph()
    graph.add_edges_from((a, b) for a, b in zip(edges["from_node"], edges["to_node"], strict=True) if a != b)
    first, last = micros(edges["first_observed_at"].fillna(edges["observed_at"])), micros(edges["observed_at"])
    seen = (int(first.min()), min(int(last.max()), end_us))
    rows = f"codebase_id = {sql.literal(code)}"
    found = _cycles(code, graph, seen, rows)
    hubs, tests = _hubs(code, graph, seen, rows)
    return found + hubs + _blast(code, graph, seen, rows), tests


def shortest_cycle(graph: Any, knot: set[str]) -> list[str]:
    """A shortest cycle in a strongly connected part of a graph, from its least node; ties by name.

    >>> shortest_cycle(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("b", "a")]), {"a", "b", "c"})
    ['a', 'b']
    """
    part = graph.subgraph(knot)
    ordered = nx.DiGraph()
    ordered.add_nodes_from(sorted(part))
    ordered.add_edges_from(sorted(part.edges))
    best: list[str] | None = None
    # Cycles through the nodes of least degree are enough to look at first in a knot of thousands.
    for node in sorted(ordered, key=lambda name: (ordered.degree(name), name))[:200]:
        lengths = nx.single_source_shortest_path(ordered, node)
        closing = [lengths[last] for last in ordered.predecessors(node) if last in lengths]
        if closing:
            path = min(closing, key=lambda names: (len(names), names))
            least = path.index(min(path))
            turned = path[least:] + path[:least]
            if best is None or (len(turned), turned) < (len(best), best):
                best = turned
    return best or []


def _cycles(code: str, graph: Any, seen: tuple[int, int], rows: str) -> list[Finding]:
    knots = [set(part) for part in nx.strongly_connected_components(graph) if len(part) > 1]
    out = []
    for knot in sorted(knots, key=lambda part: (-len(part), min(part)))[:MOST_CYCLES]:
        cycle = shortest_cycle(graph, knot)
        steps = list(zip(cycle, cycle[1:] + cycle[:1], strict=True))
        path = " → ".join(words.named(name) for name in [*cycle[:5], *(["…"] if len(cycle) > 5 else []), cycle[0]])
        of = f" ({len(knot)} parts hang together so)" if len(knot) > len(cycle) else ""
        sentence = f"In {words.named(code)}, {len(cycle)} parts depend on each other in a circle: {path}{of}."
        edges = ", ".join(f"({sql.literal(a)}, {sql.literal(b)})" for a, b in steps)
        out.append(
            Finding(
                miner=GraphMiner.name, key=f"{code}|cycle|{'→'.join(cycle)}", kind="cycle",
                pattern_class=PatternClass.TECHNICAL_DEBT_ACCUMULATION, entities=(code, *cycle[:10]),
                measure="dependencies",
                support=len(steps), total=len(steps), confidence=1.0, effect=float(len(knot)), effect_name="parts",
                p_value=None, first_seen_us=seen[0], last_seen_us=seen[1], sentence=sentence,
                sql=f"SELECT count(DISTINCT (from_node, to_node)) AS support, {len(steps)} AS total FROM"
                    f" code_dependencies"
                    f" WHERE {rows} AND (from_node, to_node) IN ({edges})",
                evidence={"cycle": cycle, "parts": sorted(knot)[:50], "size": len(knot)},
            )
        )  # fmt: skip
    return out


def _hubs(code: str, graph: Any, seen: tuple[int, int], rows: str) -> tuple[list[Finding], int]:
    nodes, edges = graph.number_of_nodes(), graph.number_of_edges()
    if nodes < 3 * FEWEST_DEPENDENTS:
        return [], 0
    names = sorted(graph)
    degrees = np.array([graph.in_degree(name) for name in names])
    p_values = stats.binom.sf(degrees - 1, edges, 1.0 / nodes)
    usual = edges / nodes
    out = []
    for at in np.argsort(p_values, kind="stable")[:MOST_HUBS]:
        support = int(degrees[at])
        if support < FEWEST_DEPENDENTS or support < 3.0 * usual:
            continue
        sentence = (
            f"In {words.named(code)}, {words.named(names[at])} is a hub: {support} of {nodes - 1} other parts use it"
            f" directly,"
            f" {words.times(support / usual)} the usual {usual:.1f}."
        )
        out.append(
            Finding(
                miner=GraphMiner.name, key=f"{code}|hub|{names[at]}", kind="hub",
                pattern_class=PatternClass.TECHNICAL_DEBT_ACCUMULATION, entities=(code, names[at]),
                measure="dependencies",
                support=support, total=nodes - 1, confidence=support / (nodes - 1), effect=support / usual,
                effect_name="ratio_to_mean", p_value=float(p_values[at]), first_seen_us=seen[0], last_seen_us=seen[1],
                sentence=sentence, sql=_of_nodes(rows,
                f"SELECT DISTINCT from_node AS name FROM code_dependencies WHERE {rows}"
                                                 f" AND to_node = {sql.literal(names[at])} AND from_node <> to_node"),
                evidence={"used_by": support, "uses": graph.out_degree(names[at]), "mean": usual},
            )
        )  # fmt: skip
    return out, nodes


def _blast(code: str, graph: Any, seen: tuple[int, int], rows: str) -> list[Finding]:
    nodes = graph.number_of_nodes()
    if nodes > MOST_NODES or nodes < 3 * FEWEST_DEPENDENTS:
        return []
    out = []
    for name in sorted(graph, key=lambda node: (-graph.in_degree(node), node))[:MOST_HUBS]:
        support = len(nx.ancestors(graph, name))
        if support < max(FEWEST_DEPENDENTS, WIDE * (nodes - 1)):
            continue
        direct = graph.in_degree(name)
        sentence = (
            f"A change of {words.named(name)} can reach {support} of the other {nodes - 1} parts of {words.named(code)}"
            f" ({words.share(support, nodes - 1)}): {direct} use it directly."
        )
        reach = (
            "WITH RECURSIVE reach(name) AS (SELECT from_node FROM code_dependencies"
            f" WHERE {rows} AND to_node = {sql.literal(name)} UNION SELECT d.from_node FROM code_dependencies AS d"
            f" JOIN reach AS r ON d.to_node = r.name WHERE d.{rows}) SELECT name FROM reach"
            f" WHERE name <> {sql.literal(name)}"
        )
        out.append(
            Finding(
                miner=GraphMiner.name, key=f"{code}|blast|{name}", kind="blast_radius",
                pattern_class=PatternClass.TECHNICAL_DEBT_ACCUMULATION, entities=(code, name), measure="dependencies",
                support=support, total=nodes - 1, confidence=support / (nodes - 1), effect=float(support / max(1,
                direct)),
                effect_name="reach_per_dependent", p_value=None, first_seen_us=seen[0], last_seen_us=seen[1],
                sentence=sentence, sql=_of_nodes(rows, reach), evidence={"direct": direct, "reach": support},
            )
        )  # fmt: skip
    return out


def _of_nodes(rows: str, names: str) -> str:
    nodes = (
        f"SELECT from_node FROM code_dependencies WHERE {rows} AND from_node <> to_node"
        f" UNION SELECT to_node FROM code_dependencies WHERE {rows} AND from_node <> to_node"
    )
    return (
        f"SELECT (SELECT count(*) FROM ({names}) AS n) AS support, (SELECT count(*) - 1 FROM ({nodes}) AS n) AS total"
    )
