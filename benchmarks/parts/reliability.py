"""Is a confidence what it says? Openings weighed to an assumed rate of faults, their reliability, and a monotone fit.

A precision depends on how often things do go wrong, and the streams here are full of faults. So each true opening
counts for what it would in a life where one fault comes each `FAULT_EVERY` values, all shapes alike often, and each
false one for its rate a value in clean streams, all kinds of background alike often:

    precision = t / (t + f)
    t = mean over shapes of openings a fault / FAULT_EVERY,  f = mean over kinds of openings a value
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.parts.backgrounds import KINDS
from benchmarks.parts.driving import Opening
from benchmarks.parts.marks import Marked

FAULT_EVERY = 4000
"""Values of a series between two faults, assumed: two weeks at 5 minutes. NAB's labels have one each 3,150; fewer
faults mean that less can be believed, so this is the careful side of it."""

SYNTHETIC = frozenset({*KINDS, "outcomes", "durations"})
BINS = (0.7, 0.8, 0.9, 0.95, 1.0)
YOUNG = 300
"""Values of a series below which it counts as young, for the fit."""


class Said(NamedTuple):
    """One opening, and what it is worth as evidence."""

    x: float
    """Its confidence, or its strength."""
    true: bool
    weight: float
    kind: str


class Bin(NamedTuple):
    """One row of a reliability table."""

    low: float
    high: float
    patterns: int
    said: float
    """Mean of the confidences, weighed."""
    right: float
    """Share of true ones, weighed."""
    weight: float


def weigh(
    clean: Sequence[Marked],
    faulty: Sequence[Marked],
    of: Callable[[Opening], float],
    ages: tuple[int, float] = (0, float("inf")),
) -> list[Said]:
    """All openings as evidence. `ages`: only those of series that have seen from … to before … values.

    A pattern that opens again is no second pattern. Shapes that a detector never speaks of weigh nothing: that a
    detector is blind to flatlines says nothing about its spikes.
    """
    shapes: Counter[str] = Counter()
    values: Counter[str] = Counter()
    found: list[tuple[Opening, str, str]] = []
    lies: list[tuple[Opening, str]] = []
    for one in faulty:
        shapes.update(fault.shape for fault in one.stream.faults)
        found += [
            (opening, fault.shape, one.stream.kind)
            for opening, mark, fault in one.openings
            if mark == "true" and fault is not None and (not opening.again) and ages[0] <= opening.seen < ages[1]
        ]
    for one in clean:
        count = len(one.stream.values)
        values[one.stream.kind] += int(max(0.0, min(count, ages[1]) - ages[0]))
        lies += [(o, one.stream.kind) for o in one.false if not o.again and ages[0] <= o.seen < ages[1]]
    spoken = {shape for _, shape, _ in found}
    kinds = sum(1 for count in values.values() if count)
    said = [
        Said(of(opening), True, 1.0 / (shapes[shape] * len(spoken) * FAULT_EVERY), kind)
        for opening, shape, kind in found
    ]
    return said + [Said(of(opening), False, 1.0 / (values[kind] * kinds), kind) for opening, kind in lies]


def known(marked: Iterable[Marked]) -> list[Marked]:
    """Those in synthetic backgrounds: what is false is certain only where no unlabelled fault can be."""
    return [one for one in marked if one.stream.kind in SYNTHETIC]


def table(said: Iterable[Said], edges: Sequence[float] = BINS) -> list[Bin]:
    """The reliability table: by confidence, the last bin with its upper edge."""
    items = list(said)
    rows = []
    for low, high in itertools.pairwise(edges):
        inside = [one for one in items if low <= one.x < high or (high == edges[-1] and one.x >= high)]
        weight = sum(one.weight for one in inside)
        if inside:
            mean = sum(one.x * one.weight for one in inside) / weight
            right = sum(one.weight for one in inside if one.true) / weight
            rows.append(Bin(low, high, len(inside), mean, right, weight))
    return rows


def calibration_error(rows: Sequence[Bin]) -> float | None:
    """The expected calibration error: mean distance of what was said and what was right (Naeini et al., AAAI 2015)."""
    total = sum(row.weight for row in rows)
    return sum(row.weight * abs(row.said - row.right) for row in rows) / total if total else None


def isotonic(said: Iterable[Said]) -> list[tuple[float, float]]:
    """The best rising fit of right to x, as steps (least x of a block, its share of true ones).

    Pool adjacent violators (Ayer et al., Annals of Mathematical Statistics 26, 1955).

    >>> isotonic([Said(1, False, 1, ""), Said(2, True, 1, ""), Said(3, False, 1, ""), Said(4, True, 1, "")])
    [(1, 0.0), (2, 0.5), (4, 1.0)]
    """
    ties: dict[float, list[float]] = {}  # weight, weight of true ones
    for one in said:
        tie = ties.setdefault(one.x, [0.0, 0.0])
        tie[0] += one.weight
        tie[1] += one.weight * one.true
    blocks: list[list[float]] = []  # least x, weight, weight of true ones
    for x, tie in sorted(ties.items()):
        blocks.append([x, *tie])
        while len(blocks) > 1 and blocks[-2][2] * blocks[-1][1] >= blocks[-1][2] * blocks[-2][1]:
            _, weight, true = blocks.pop()
            blocks[-1][1] += weight
            blocks[-1][2] += true
    return [(x, true / weight) for x, weight, true in blocks]


def knots(said: Iterable[Said], at: Sequence[float] = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0)) -> list[tuple[float, float]]:  # fmt: skip # noqa: E501
    """The fit as few knots, for `operators.detect.calibration.confident`: x and confidence, both rising.

    Between two of `at` the weighed share of true ones is taken at their weighed mean, then pooled to rise; a prior of
    two openings (one true, one false, each of mean weight) keeps a bin of few from saying 0 or 1.
    """
    items = list(said)
    pooled: list[Said] = []
    for low, high in zip(at, [*at[1:], float("inf")], strict=True):
        inside = [one for one in items if low <= one.x < high]
        if not inside:
            continue
        weight = sum(one.weight for one in inside)
        share = (sum(one.weight for one in inside if one.true) + weight / len(inside)) / (
            weight + 2 * weight / len(inside)
        )
        middle = sum(one.x for one in inside) / len(inside)
        pooled += [Said(middle, True, weight * share, ""), Said(middle, False, weight * (1.0 - share), "")]
    return [(round(x, 2), round(min(y, 0.99), 3)) for x, y in isotonic(pooled)]


def left_out(said: Sequence[Said], confident: Callable[[list[tuple[float, float]], float], float]) -> float | None:
    """The calibration error of all openings, each said with knots that were fitted without its kind of background."""
    again: list[Said] = []
    for kind in {one.kind for one in said}:
        fitted = knots([one for one in said if one.kind != kind])
        if fitted:
            again += [one._replace(x=confident(fitted, one.x)) for one in said if one.kind == kind]
    return calibration_error(table(again, [place / 10.0 for place in range(11)]))


def plot(rows: Sequence[Bin], error: float, file: Path) -> None:
    """The calibration plot, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 5.2), layout="constrained")
    axes.plot([0.65, 1.0], [0.65, 1.0], color="0.6", linestyle="--", label="as said")
    said, right = [row.said for row in rows], [row.right for row in rows]
    axes.plot(said, right, marker="o", color="tab:blue", label="measured")
    for row in rows:
        axes.annotate(f"{row.patterns}", (row.said, row.right), textcoords="offset points", xytext=(7, -12), fontsize=9)
    axes.set(xlim=(0.65, 1.01), ylim=(-0.02, 1.02), xlabel="confidence said", ylabel="share that overlaps a fault")
    axes.set_title(
        f"Patterns by confidence (their number beside each), ECE {error:.2f}\none fault each {FAULT_EVERY:,} values"
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
