"""The runs behind `shapes.py`, and the tables that they end in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.parts import faults, marks, reliability, sets
from benchmarks.parts.driving import Detector, Opening, alone, product
from benchmarks.parts.marks import Alarms, Marked, mark
from benchmarks.parts.reliability import Bin
from benchmarks.parts.streams import Stream
from operators.detect.calibration import confident
from operators.episodes import SEVERITIES

Say = Callable[[str], None]
WIDTH = 150
FACTS = frozenset({"threshold"})
"""Detectors whose confidence is that of a statement about numbers, not about a fault."""


@dataclass
class Run:
    """All that was marked."""

    clean: list[Marked] = field(default_factory=list)
    faulty: list[Marked] = field(default_factory=list)
    homeless: list[Opening] = field(default_factory=list)
    """Patterns in an entity that was not fed: of a group of series, say. False where the streams were clean."""
    reliability: list[Bin] = field(default_factory=list)


def run(fold: str, detectors: Sequence[Detector], shape: str, part: str, scale: int, quick: bool, say: Say) -> Run:
    """Drive all streams of a fold, by the product's path unless `detectors` are named."""
    done = Run()
    if part != "faults":
        for group in sets.clean(fold, scale, quick):
            say(f"clean: {len(group)} series, {sum(len(one.values) for one in group):,} values")
            done.clean += _drive(group, detectors, done.homeless)
    if part != "clean":
        for group in sets.faulty(fold, quick, shape):
            say(f"{group[0].faults[0].shape}: {len(group)} series, {sum(len(one.values) for one in group):,} values")
            done.faulty += _drive(group, detectors, [])
    known = [[_estimates(one) for one in reliability.known(part)] for part in (done.clean, done.faulty)]
    said = reliability.weigh(*known, lambda opening: opening.confidence)
    done.reliability = reliability.table(said) if part == "both" and not shape else []
    return done


def _estimates(one: Marked) -> Marked:
    """Without the openings that are facts: that a value is above somebody's limit is true, fault or none."""
    return replace(one, openings=[kept for kept in one.openings if kept[0].detector not in FACTS])


def _drive(group: Sequence[Stream], detectors: Sequence[Detector], homeless: list[Opening]) -> list[Marked]:
    if not detectors:
        found, elsewhere = product(group)
        homeless += elsewhere
        return [mark(stream, found[stream.entity]) for stream in group]
    marked = []
    for stream in group:
        openings = alone(stream, detectors)
        if stream.partner is not None:
            openings += alone(stream.partner, detectors)
        marked.append(mark(stream, openings))
    return marked


def show(done: Run, detail: bool) -> dict[str, Any]:
    """Print the tables; return the figures for the last line."""
    console = Console(width=WIDTH)
    result: dict[str, Any] = {}
    if done.faulty:
        result["recall"] = _show_recall(console, done.faulty)
        if detail:
            _show_backgrounds(console, done.faulty)
    if done.clean:
        result["false_alarms"] = _show_alarms(console, done.clean)
        result.update(_show_pages(console, done, detail))
    if done.reliability:
        table = Table("confidence said", "patterns", "mean", "overlap a fault", title="Calibration")
        for row in done.reliability:
            table.add_row(f"{row.low} to {row.high}", str(row.patterns), f"{row.said:.2f}", f"{row.right:.2f}")
        console.print(table)
        error = reliability.calibration_error(done.reliability) or 0.0
        console.print(f"ECE {error:.3f}, with one fault each {reliability.FAULT_EVERY:,} values of a series")
        result["ece"] = round(error, 3)
        result["reliability"] = [
            [row.low, row.patterns, round(row.said, 3), round(row.right, 3)] for row in done.reliability
        ]
    return result


def _show_recall(console: Console, faulty: Sequence[Marked]) -> dict[str, float]:
    table = Table("shape", "strength", "faults", "recall", "median delay", "p90", "in values", "p90", "spoke first",
                  title="Faults found")  # fmt: skip
    figures = {}
    for (shape, strength), recall in marks.recalls(faulty).items():
        delays = [f"{recall.delay(share):,.0f} s" for share in (0.5, 0.9)]
        delays += [f"{recall.delay(share, values=True):.1f}" for share in (0.5, 0.9)]
        first = ", ".join(f"{name} {count}" for name, count in recall.by.most_common(4))
        table.add_row(
            shape, f"{strength:g} {faults.SHAPES[shape].unit}", str(recall.faults), f"{recall.share:.2f}",
            *(delays if recall.delays_s else ["–"] * 4), first,
        )  # fmt: skip
        figures[f"{shape} {strength:g}"] = round(recall.share, 3)
    console.print(table)
    return figures


def _show_backgrounds(console: Console, faulty: Sequence[Marked]) -> None:
    found = marks.recalls(faulty, by_kind=True)
    shapes = list(dict.fromkeys(shape for shape, _ in found))
    table = Table("recall by background", *shapes, title="All strengths together")
    for kind in dict.fromkeys(kind for _, kind in found):
        cells = [found.get((shape, kind)) for shape in shapes]
        table.add_row(str(kind), *("" if cell is None else f"{cell.share:.2f}" for cell in cells))
    console.print(table)


def _alarm_row(name: str, one: Alarms) -> list[str]:
    severities = [str(one.severities[severity] or "") for severity in SEVERITIES]
    by = ", ".join(f"{detector} {count}" for detector, count in one.detectors.most_common(4))
    return [
        name, str(one.series), f"{one.days:,.0f}", f"{one.values:,}", f"{one.openings / one.days:.3f}",
        f"{1000.0 * one.openings / one.values:.2f}", *severities, by,
    ]  # fmt: skip


def _show_alarms(console: Console, clean: Sequence[Marked]) -> dict[str, dict[str, float]]:
    figures = {}
    for by in ("kind", "cadence"):
        title = "False alarms on clean streams"
        table = Table(
            f"by {by}", "series", "days", "values", "a series-day", "a 1000 values", *SEVERITIES, "by", title=title
        )
        for name, one in marks.alarms(clean, by).items():
            table.add_row(*_alarm_row(name, one))
            figures[name] = {"series_days": round(one.days, 1), "alarms": one.openings, "pages": one.pages}
        console.print(table)
    return figures


def _show_pages(console: Console, done: Run, detail: bool) -> dict[str, Any]:
    table = Table("false pages a week over 50 series", "rate", "95 % from", "to", "pages", "of series", "series-weeks")
    figures: dict[str, Any] = {}
    everything = marks.alarms(done.clean, "all")["all"]
    groups = {"synthetic": reliability.known(done.clean)}
    groups["real"] = [one for one in done.clean if one.stream.kind not in reliability.SYNTHETIC]
    kinds = {name: marks.alarms(some, "all")["all"] for name, some in groups.items() if some}
    for name, one in [*marks.alarms(done.clean, "cadence").items(), *kinds.items(), ("all", everything)]:
        low, high = marks.poisson_interval(one.pages)
        table.add_row(
            name, f"{one.a_week(one.pages):.2f}", f"{one.a_week(low):.2f}", f"{one.a_week(high):.2f}", str(one.pages),
            str(len({page.split(" ")[0] for page in one.paging})), f"{one.days / 7.0:,.0f}",
        )  # fmt: skip
        figures[name] = [round(one.a_week(count), 2) for count in (one.pages, low, high)]
    console.print(table)
    if done.homeless:
        console.print(f"besides, {len(done.homeless)} patterns of no single series on clean streams")
    if detail:
        for page in sorted(set(everything.paging)):
            console.print(f"  {page} ×{everything.paging.count(page)}")
    return {"pages_a_week_50_series": figures, "homeless": len(done.homeless)}


def calibrate(detectors: Sequence[Detector], quick: bool, say: Say) -> dict[str, Any]:
    """Fit strength to confidence on the tuning fold, for young and for grown series, and print the knots."""
    done = Run()
    streams = [stream for group in sets.clean("tune", 1, quick) for stream in group]
    say(f"clean: {len(streams)} series")
    done.clean = [mark(one, alone(one, detectors, 0.0)) for one in streams]
    for young in (False, True):
        streams = [stream for group in sets.faulty("tune", quick, young=young) for stream in group]
        say(f"with faults{' in young series' if young else ''}: {len(streams)} series")
        done.faulty += [mark(one, alone(one, detectors, 0.0)) for one in streams]
    result: dict[str, Any] = {}
    console = Console(width=WIDTH)
    for name, ages in (("young", (0, float(reliability.YOUNG))), ("grown", (reliability.YOUNG, float("inf")))):
        faulty = [one for one in reliability.known(done.faulty) if _age(one) == name]
        said = reliability.weigh(reliability.known(done.clean), faulty, lambda opening: opening.strength, ages)
        fitted = reliability.knots(said)
        error = reliability.left_out(said, confident)
        console.print(
            f"\n{name} ({ages[0]} to {ages[1]:g} values seen): {len(said)} openings, {sum(o.true for o in said)} true"
        )
        console.print("knots (strength, confidence): " + ", ".join(f"({x}, {y})" for x, y in fitted), highlight=False)
        console.print(f"calibration error on kinds of background that were left out of the fit: {error}")
        result[name] = {"knots": fitted, "left_out_error": error}
    return result


def _age(marked: Marked) -> str:
    first = min(fault.start_us for fault in marked.stream.faults)
    return "young" if int((marked.stream.times_us < first).sum()) < reliability.YOUNG else "grown"
