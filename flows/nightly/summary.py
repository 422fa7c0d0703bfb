"""The end of a nightly run on a terminal: what was read, what was found, and what is wrong with the data."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from flows.live import clean
from flows.nightly.night import Night
from flows.nightly.outcome import Result
from flows.nightly.troubles import troubles
from operators.mining.history import FRAMES
from operators.mining.telling import listed
from sources.nights import Changed

COLOURS = {"confirmed": "green", "pending": "yellow"}

EVENTS = ("runs", "steps", "task_executions", "integration_events", "daily")
"""Tables without a row of which there is nothing to find."""

MOST_TROUBLES = 5
"""Sources with something to look at that are listed."""


def show(
    night: Night,
    result: Result,
    report: Path | None,
    limit: int,
    *,
    stream_reads: Path,
    newest: datetime | None = None,
) -> None:
    """Print the summary; `limit` findings at most. `stream_reads`: the file of rules that the stream reads.

    Nothing is wrapped but the findings, and these on a terminal only; names come from others' events and are cleaned.
    """
    rows = rows_read(result)
    read = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in rows.items() if count)
    _say(f"Night after {night.label}", bold=True, more=f"  {read or 'nothing to read'}")
    if not has_events(result):
        _say(nothing_read(night, newest), fg="yellow")
    for one in result.loaded:
        if one.skipped:
            _say(f"left out: {one.piece.name}: {one.skipped}", fg="red", bold=True)
    for name, why in sorted(result.failed.items()):
        _say(f"left out: miner {name}: {why}", fg="red", bold=True)
    found = troubles(result.quality)
    for trouble in found[:MOST_TROUBLES]:
        _say(f"{trouble.status}: {trouble.text}", fg="red" if trouble.status == "bad" else "yellow")
    if len(found) > MOST_TROUBLES:
        _say(f"… and {len(found) - MOST_TROUBLES} more things to look at in the data", dim=True)
    if result.found and limit > 0:
        _findings(result, limit)
    if result.withheld:
        _say(f"{result.withheld}: nothing is said to be gone, and the stream's rules stay", fg="yellow")
    click.echo(counted(result))
    click.echo(rules_line(result, stream_reads))
    if report is not None:
        click.echo(f"report: {report}")


def has_events(result: Result) -> bool:
    """Whether there was anything to find something in."""
    rows = rows_read(result)
    return any(rows[table] for table in EVENTS)


def nothing_read(night: Night, newest: datetime | None) -> str:
    """What to do when there was nothing to read."""
    if newest is None:
        return "the database holds no runs, tasks, integration events or series yet"
    since = f"{night.since:%Y-%m-%d}"
    if night.since <= newest < night.until:
        return f"too little to read from {since} to {night.label}"
    day = f"{newest:%Y-%m-%d}"
    return f"nothing from {since} to {night.label}; the newest row is of {day}: try --date {day}"


def counted(result: Result) -> str:
    """How many findings there are and what became of them; the parts add up."""
    stored = result.stored
    said = [f"{stored.new} new", f"{stored.again} again"]
    later = len(result.found) - stored.new - stored.again
    if later > 0:
        said.append(f"{later} that a later night has judged since and are left as it said")
    line = f"{len(result.found)} findings: {', '.join(said)}"
    if stored.missed:
        line += f"; {stored.missed} of earlier nights not found again, {stored.retired} of them retired"
    return line


def rules_line(result: Result, stream_reads: Path) -> str:
    """Where the rules for the stream are, and whether it reads them."""
    path = Path(result.rules_path)
    if result.withheld:
        return f"rules for the stream: those in {path} stay as they are"
    count = len(result.rules)
    what = "no rules for the stream" if not count else f"{count} rule{'s' * (count > 1)} for the stream"
    if path.absolute() == stream_reads.absolute():
        reads = "stream, up and replay read it; a running stream takes it by itself"
    else:
        reads = f"no stream reads it with these settings: set ANALYTICS_SEQUENCE_RULES={path}"
    return f"{what} in {path} ({reads})"


def _findings(result: Result, limit: int) -> None:
    shown = listed(result.found)[:limit]
    if not sys.stdout.isatty():
        for told in shown:
            click.echo(f"{told.one.score:.2f}  {told.one.status:<9}  {clean(told.sentence)}")
        return
    from rich.console import Console  # noqa: PLC0415 -- only where somebody looks
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=True, header_style="bold")
    for name, wrap in (("score", False), ("", False), ("finding", True)):
        table.add_column(name, no_wrap=not wrap)
    for told in shown:
        status = Text(told.one.status, style=COLOURS[told.one.status])
        table.add_row(f"{told.one.score:.2f}", status, Text(clean(told.sentence)))
    Console().print(table)


def _say(text: str, *, more: str = "", **style: Any) -> None:
    """A line in one piece, whatever the terminal's width; without colours where there is no terminal."""
    click.echo(click.style(clean(text), **style) + click.style(more, dim=True))


def facts(night: Night, result: Result, changed: Changed, report: Path | None, seconds: float) -> dict[str, Any]:
    """The same, for programs."""
    stored = result.stored
    return {
        "night": night.label,
        "from": night.since.isoformat(),
        "to": night.until.isoformat(),
        "engine": night.engine,
        "rows": rows_read(result),
        "pieces": len(result.loaded),
        "pieces_again": sum(one.again for one in result.loaded),
        "left_out": {one.piece.name: one.skipped for one in result.loaded if one.skipped} | result.failed,
        "sources": dict(sorted(Counter(one.status for one in result.quality).items())),
        "findings": dict(sorted(Counter(one.status for one in result.found).items())),
        "rejected": sum(one.status == "rejected" for verdicts in result.verdicts.values() for one in verdicts),
        "withheld": result.withheld,
        "new": stored.new,
        "again": stored.again,
        "judged_later": len(result.found) - stored.new - stored.again,
        "missed": stored.missed,
        "retired": stored.retired,
        "relations": stored.relations,
        "baselines": stored.baselines,
        "features": stored.features,
        "rules": len(result.rules),
        "rules_file": result.rules_path,
        "rules_written": not result.withheld,
        "report": None if report is None else str(report),
        "seconds": round(seconds, 3),
        "seconds_of_night": round(max(changed.seconds, seconds), 3),
    }


def rows_read(result: Result) -> dict[str, int]:
    """Rows by table, all tables, without what was left out."""
    rows = dict.fromkeys(FRAMES, 0)
    for one in result.loaded:
        if one.skipped is None:
            rows[one.piece.table] += one.rows
    return rows
