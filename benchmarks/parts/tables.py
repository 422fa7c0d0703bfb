"""Tables of what storage costs, on standard output."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from benchmarks.parts.asking import LIMIT_S, Answer
from benchmarks.parts.disk import Space, per_million
from benchmarks.parts.report import quantile
from benchmarks.parts.writing import Compared

WIDTH = 160


def _ms(values: tuple[float, ...], q: float) -> str:
    return f"{quantile(values, q) * 1e3:,.1f}" if values else "–"


def show_answers(versions: str, cold: str, answers: list[Answer]) -> None:
    """A line a query, milliseconds."""
    table = Table(
        "query", "rows", "warm p50", "p95", "cold p50", "p95", "what costs it", title=f"{versions}; cold: {cold}"
    )
    for answer in answers:
        if answer.problem:
            table.add_row(answer.name, "", "", "", "", "", f"FAILED: {answer.problem}")
            continue
        mark = " SLOW" if answer.worst > LIMIT_S else ""
        figures = [_ms(part, q) for part in (answer.warm, answer.cold) for q in (0.5, 0.95)]
        nodes = "; ".join(answer.drivers if mark else answer.drivers[:1])
        table.add_row(answer.name + mark, f"{answer.rows:,}", *figures, nodes)
    Console(width=WIDTH).print(table)


def show_spaces(found: list[Space]) -> None:
    """A line a table."""
    table = Table("table", "rows", "MB", "bytes a row", "compressed MB before", "after", "ratio")
    for space in found:
        before, after = ("" if n is None else f"{n / 1e6:,.0f}" for n in (space.before, space.after))
        ratio = f"{space.ratio:.1f}" if space.ratio else ""
        table.add_row(
            space.table,
            f"{space.rows:,}",
            f"{space.bytes / 1e6:,.1f}",
            f"{space.bytes / space.rows:.0f}",
            before,
            after,
            ratio,
        )
    console = Console(width=WIDTH)
    console.print(table)
    console.print(f"MB for a million events, with aggregates and indexes: {per_million(found) / 1e6:,.0f}")


def show_rates(versions: str, compared: list[Compared], target: float) -> None:
    """A line a table: rows a second of the sink and of the peer."""
    heads = [f"{which} {what}" for which in ("new", "replay") for what in ("rows/s", "peer", "ratio", "CPU µs", "peer")]
    table = Table("table", "rows", *heads, title=f"{versions}; target of the ratio ≥ {target:g}")
    for each in compared:
        cells = []
        for pair, ratio in ((each.new, each.ratios[0]), (each.replay, each.ratios[1])):
            mark = "" if ratio >= target else " !"
            cells += [f"{pair[0].per_second:,.0f}", f"{pair[1].per_second:,.0f}", f"{ratio:.2f}{mark}"]
            cells += [f"{pair[0].cpu_us:.1f}", f"{pair[1].cpu_us:.1f}"]
        table.add_row(each.table.name, f"{each.rows:,}", *cells)
    Console(width=WIDTH).print(table)


def show_figures(title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    """A line a table, a column a figure."""
    if not found:
        return
    heads = list(next(iter(found.values())))
    table = Table("table", *heads, title=title)
    for name, figures in found.items():
        table.add_row(name, *(f"{figures[head]:,.0f}" for head in heads))
    Console(width=WIDTH).print(table)
