"""Medians, ratios, and the table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Report:
    """What is shown: rows of the table, and the object of the last line."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    result: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, figure: str, target: str = "", note: str = "") -> None:
        """One line of the table."""
        self.rows.append((what, figure, target, note))

    def ratio(self, key: str, what: str, value: float, target: float, *, at_most: bool, note: str = "") -> None:
        """A ratio with a target, which is a key of the result."""
        met = value <= target if at_most else value >= target
        sign = "≤" if at_most else "≥"
        self.result[key] = round(value, 3)
        self.add(what, f"{value:.2f}", f"{sign} {target:g} {'met' if met else 'MISSED'}", note)

    def skip(self, keys: Iterable[str], reason: str) -> None:
        """Keys that have no figure, and why."""
        for key in keys:
            self.result[key] = None
            self.skipped[key] = reason

    def show(self) -> None:
        """The table on standard output."""
        table = Table("measure", "figure", "target", "note")
        for row in self.rows:
            table.add_row(*row)
        Console(width=140).print(table)


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(median(values))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Least to greatest, for a note.

    >>> spread([1.0, 3.0, 2.0])
    '1.00 to 3.00'
    """
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def quantile(ordered: Sequence[float], q: float) -> float:
    """The value at rank q (0 to 1) of sorted values, the nearest one above.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0], 0.99)
    (3.0, 2.0)
    """
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
