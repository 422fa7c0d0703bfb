"""The end of a nightly run on a terminal: what was read, what was found, and what is wrong with the data."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.nightly.night import Night
from flows.nightly.stages import Result
from operators.mining.telling import listed

COLOURS = {"confirmed": "green", "pending": "yellow"}


def show(console: Console, night: Night, result: Result, report: Path | None, limit: int) -> None:
    """Print the summary; `limit` findings at most."""
    rows = _rows(result)
    read = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in rows.items() if count)
    console.print(Text(f"Night after {night.label}", style="bold"), Text(f"  {read or 'nothing to read'}", style="dim"))
    for one in result.loaded:
        if one.skipped:
            console.print(Text(f"left out: {one.piece.name}: {one.skipped}", style="bold red"))
    for name, why in sorted(result.failed.items()):
        console.print(Text(f"left out: miner {name}: {why}", style="bold red"))
    troubled = [one for one in result.quality if one.status != "good"]
    for source in sorted(troubled, key=lambda source: (source.status != "bad", -source.partial.n))[:5]:
        colour = "red" if source.status == "bad" else "yellow"
        said = f"{source.status}: {source.table} {source.source}: {'; '.join(source.problems)}"
        console.print(Text(said, style=colour))
    if len(troubled) > 5:
        console.print(Text(f"… and {len(troubled) - 5} more sources with something to look at", style="dim"))
    if result.found and limit > 0:
        table = Table(box=None, pad_edge=False, show_header=True, header_style="bold")
        for name, wrap in (("score", False), ("", False), ("finding", True)):
            table.add_column(name, no_wrap=not wrap)
        for told in listed(result.found)[:limit]:
            status = Text(told.one.status, style=COLOURS[told.one.status])
            table.add_row(f"{told.one.score:.2f}", status, Text(told.sentence))
        console.print(table)
    stored = result.stored
    if result.withheld:
        console.print(
            Text(f"{result.withheld}: nothing is said to be gone, and the stream's rules stay", style="yellow")
        )
    console.print(
        f"{len(result.found)} findings: {stored.new} new, {stored.again} again; {stored.missed} not found this time,"
        f" {stored.retired} of them retired; {len(result.rules)} rules for the stream in {result.rules_path}"
    )
    if report is not None:
        console.print(f"report: {report}")


def facts(night: Night, result: Result, report: Path | None, seconds: float) -> dict[str, Any]:
    """The same, for programs."""
    return {
        "night": night.label,
        "from": night.since.isoformat(),
        "to": night.until.isoformat(),
        "engine": night.engine,
        "rows": dict(_rows(result)),
        "pieces": len(result.loaded),
        "pieces_again": sum(one.again for one in result.loaded),
        "left_out": {one.piece.name: one.skipped for one in result.loaded if one.skipped} | result.failed,
        "sources": dict(sorted(Counter(one.status for one in result.quality).items())),
        "findings": dict(sorted(Counter(one.status for one in result.found).items())),
        "rejected": sum(one.status == "rejected" for verdicts in result.verdicts.values() for one in verdicts),
        "withheld": result.withheld,
        "new": result.stored.new,
        "again": result.stored.again,
        "missed": result.stored.missed,
        "retired": result.stored.retired,
        "relations": result.stored.relations,
        "baselines": result.stored.baselines,
        "features": result.stored.features,
        "rules": len(result.rules),
        "rules_file": result.rules_path,
        "report": None if report is None else str(report),
        "seconds": round(seconds, 3),
    }


def _rows(result: Result) -> Counter[str]:
    rows: Counter[str] = Counter()
    for one in result.loaded:
        if one.skipped is None:
            rows[one.piece.table] += one.rows
    return rows
