"""What `backtest` and `replay` print: counts, a list, the difference between two outcomes."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from flows.backtesting import Difference, Outcome
from flows.plotting import COLOURS, plot_series
from operators.patterns import Pattern
from operators.words import moment, number

PIPED = 160
"""Columns of a table that no terminal limits."""


def micros(at: datetime | None) -> int | None:
    """A time without a zone, taken as UTC, in µs since 1970."""
    return None if at is None else round(at.replace(tzinfo=UTC).timestamp() * 1e6)


def progress(batches: Iterable[Sequence[bytes]], what: str) -> Iterator[Sequence[bytes]]:
    """Hand the batches on, and say on a terminal's standard error how far it is."""
    if not sys.stderr.isatty():
        yield from batches
        return
    columns = (SpinnerColumn(), TextColumn(f"{what}: {{task.completed:,.0f}} events"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        for batch in batches:
            yield batch
            bar.advance(task, len(batch))


class Report:
    """The report of an outcome; with `limit` patterns at most in each list."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.console = Console() if sys.stdout.isatty() else Console(width=PIPED)

    def show(self, outcome: Outcome) -> None:
        """Counts by severity and detector, and the list."""
        patterns = list(outcome.patterns.values())
        counts = ", ".join(f"{n} {severity}" for severity, n in outcome.by_severity().items())
        refused = f", {outcome.refused} of them unreadable" if outcome.refused else ""
        self.console.print(f"{outcome.events:,} values{refused}: {_count(len(patterns), 'pattern')}"
                           f"{f' ({counts})' if counts else ''}")  # fmt: skip
        for detector, n in Counter(pattern.pattern_type for pattern in patterns).most_common():
            self.console.print(f"  {detector}: {n}")
        self.list("", patterns)

    def difference(self, difference: Difference) -> None:
        """What another configuration says more and less."""
        same, gone, new = difference.same, difference.gone, difference.new
        self.console.print(
            f"Against the current configuration: {len(same)} the same, {len(new)} more, {len(gone)} fewer"
        )
        self.list("more", new)
        self.list("fewer", gone)

    def list(self, title: str, patterns: Sequence[Pattern]) -> None:
        """A table of patterns in order of opening; nothing when there are none."""
        if not patterns or self.limit <= 0:
            return
        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
        for column in ("opened", "severity", "sure", "detector", "pattern"):
            table.add_column(column, no_wrap=column != "pattern")
        for one in patterns[: self.limit]:
            severity = f"[{COLOURS[one.severity]}]{one.severity}[/]"
            table.add_row(moment(one.opened_us), severity, number(one.confidence), one.pattern_type, one.pattern_name)
        self.console.print(table)
        if len(patterns) > self.limit:
            self.console.print(f"… and {len(patterns) - self.limit} more (--limit)")

    def plot(self, path: Path, outcome: Outcome) -> None:
        """Draw the series that has the most patterns."""
        found = Counter((pattern.entity, pattern.measure) for pattern in outcome.patterns.values())
        drawn = [series for series, _ in found.most_common() if series in outcome.series] or list(outcome.series)
        if not drawn:
            raise click.ClickException("--plot: there is no series to draw")
        entity, measure = drawn[0]
        patterns = [one for one in outcome.patterns.values() if (one.entity, one.measure) == drawn[0]]
        plot_series(path, f"{measure} of {entity}", outcome.series[drawn[0]], patterns)
        self.console.print(f"{path}: {measure} of {entity}, {_count(len(patterns), 'pattern')}")


def summary(outcome: Outcome, difference: Difference | None = None) -> dict[str, Any]:
    """The same, for programs."""
    found: dict[str, Any] = {
        "values": outcome.events,
        "unreadable": outcome.refused,
        "patterns": len(outcome.patterns),
        "by_severity": outcome.by_severity(),
        "by_detector": dict(sorted(Counter(one.pattern_type for one in outcome.patterns.values()).items())),
    }
    if difference is not None:
        found |= {"same": len(difference.same), "more": len(difference.new), "fewer": len(difference.gone)}
    return found


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
