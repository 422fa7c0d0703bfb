"""``hindsight status``: what became of every record, and what was found."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import click
import psycopg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows import nightly_status
from flows.cli import prepare
from flows.databases import chosen_url
from flows.live import clean
from flows.view import SEVERITY_STYLES, redact
from sinks import migrate
from sources import nights
from sources.nights import Latest

COUNTS = ("read", "applied", "late", "dead_letters", "duplicates", "patterns")
SEVERITIES = ("critical", "high", "medium", "low", "info")
_OUTCOMES = {"duplicate": "duplicates", "dead_letter": "dead_letters"}
_REFUSED = "rejected_by_database"
PIPE_WIDTH = 140
"""Columns where there is no terminal, so that topics stay on a line."""


@dataclass
class Counts:
    """Counts of one input since its beginning; `read` = applied + late + dead_letters + duplicates."""

    read: int = 0
    applied: int = 0
    late: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    patterns: int = 0
    dead_letter_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def difference(self) -> int:
        """Records that are unaccounted for.

        >>> Counts(read=10, applied=7, late=1, dead_letters=1).difference
        1
        """
        return self.read - (self.applied + self.late + self.dead_letters + self.duplicates)


@dataclass(frozen=True)
class Status:
    """What the database says: counts by input, open patterns by severity, the last write and the last night."""

    topics: dict[str, Counts]
    open_patterns: dict[str, int]
    updated_at: datetime | None
    night: Latest | None = None

    @property
    def total(self) -> Counts:
        """The sum over all inputs."""
        return Counts(**{name: sum(getattr(counts, name) for counts in self.topics.values()) for name in COUNTS})

    def as_json(self) -> dict[str, Any]:
        """The totals, then `topics` with the same counts each."""
        total = {name: getattr(self.total, name) for name in COUNTS}
        return total | {
            "difference": self.total.difference,
            "open_patterns": self.open_patterns,
            "updated_at": self.updated_at.astimezone(UTC).isoformat() if self.updated_at else None,
            "night": nightly_status.facts(self.night),
            "topics": {topic: asdict(counts) for topic, counts in self.topics.items()},
        }


@click.command("status")
@click.option(
    "--database-url",
    metavar="URL",
    help="The database. [ANALYTICS_DATABASE_URL; default: the embedded one, if it runs]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def command(database_url: str | None, as_json: bool) -> None:
    """Show what became of every record: read, applied, late, rejected, redelivered, and the patterns found.

    Counts are by topic (or file) since its beginning, dead letters by reason too. Every record read is applied,
    late, a dead letter or a duplicate: the last line says whether that adds up. A row that the database itself
    refused counts as a dead letter here. Also told: how the last night of `hindsight nightly` ended.

    \b
    Example:
      hindsight status --database-url postgresql://localhost/analytics
      hindsight status --json
    """
    url = chosen_url(prepare(database_url=database_url))
    try:
        status = read_status(url)
    except migrate.DatabaseURLError as error:
        raise click.UsageError(str(error)) from None
    except migrate.MigrationError as error:
        raise click.ClickException(str(error)) from None
    except psycopg.errors.UndefinedTable:
        raise click.ClickException("the database has no tables of Hindsight: run hindsight migrate") from None
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused to answer: {clean(error)}") from None
    if as_json:
        click.echo(json.dumps(status.as_json(), ensure_ascii=False))
    else:
        show(status, url, Console(width=None if sys.stdout.isatty() else PIPE_WIDTH))


def read_status(url: str) -> Status:
    """Read the counters, all as of one moment.

    Raises :class:`sinks.migrate.MigrationError` when there is no way in, and `psycopg.Error`.
    """
    with migrate.connect(url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cells = connection.execute(
            "SELECT input, outcome, reason, sum(n)::bigint, max(updated_at) FROM stream_counters"
            " GROUP BY input, outcome, reason ORDER BY input, outcome, reason"
        ).fetchall()
        refused = connection.execute(
            "SELECT topic, count(*) FROM dead_letters WHERE reason = %s GROUP BY topic", [_REFUSED]
        ).fetchall()
        patterns = connection.execute("SELECT severity, count(*) FROM open_patterns GROUP BY severity").fetchall()
        night = nights.latest(connection)
    topics: dict[str, Counts] = {}
    for topic, outcome, reason, n, _ in cells:
        counts = topics.setdefault(topic, Counts())
        name = _OUTCOMES.get(outcome, outcome)
        setattr(counts, name, getattr(counts, name) + n)
        if outcome == "dead_letter" and n:
            counts.dead_letter_reasons[reason] = n
    for topic, n in refused:
        # The stream had counted them as applied: the database's refusal came afterwards.
        counts = topics.setdefault(topic, Counts())
        counts.applied -= n
        counts.dead_letters += n
        counts.dead_letter_reasons[_REFUSED] = counts.dead_letter_reasons.get(_REFUSED, 0) + n
    found = dict(patterns)
    return Status(
        topics,
        {severity: found[severity] for severity in SEVERITIES if severity in found},
        max((cell[4] for cell in cells), default=None),
        night,
    )


def show(status: Status, url: str, console: Console) -> None:
    """Print the tables; long topic names are folded, nothing is cut off."""
    console.print(Text(f"database {redact(url)}", style="dim"))
    if not status.topics:
        console.print("no records yet: hindsight stream or hindsight up reads some")
        _night(status, console)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", overflow="fold")
    for name in COUNTS:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    for topic, counts in status.topics.items():
        _row(table, clean(topic), counts)
    _row(table, "total", status.total, style="bold")
    console.print(table)

    reasons = [
        (n, reason, topic)
        for topic, counts in status.topics.items()
        for reason, n in counts.dead_letter_reasons.items()
    ]
    for n, reason, topic in sorted(reasons, key=lambda row: (-row[0], row[1:])):
        console.print(Text.assemble((f"  {n:,} dead letters: {reason}", "yellow"), f" in {clean(topic)}"))
    open_now = Text("open patterns: ")
    for severity, n in status.open_patterns.items():
        open_now.append(f"{n:,} {severity}", style=SEVERITY_STYLES.get(severity, "")).append("  ")
    console.print(open_now if status.open_patterns else "open patterns: none")
    if status.updated_at is not None:
        console.print(f"last update: {status.updated_at.astimezone():%Y-%m-%d %H:%M:%S %z}", highlight=False)
    _night(status, console)
    _conservation(status, console)


def _night(status: Status, console: Console) -> None:
    if status.night is not None:
        said = nightly_status.told(status.night, datetime.now(UTC))
        text = f"nightly: {said.what}" + (f" → {said.todo}" if said.todo else "")
        console.print(Text(text, style="yellow" if said.level == "warn" else ""))


def _conservation(status: Status, console: Console) -> None:
    wrong = {topic: counts.difference for topic, counts in status.topics.items() if counts.difference}
    if not wrong:
        console.print("read = applied + late + dead letters + duplicates: yes, difference 0", highlight=False)
    for topic, difference in wrong.items():
        console.print(
            Text(
                f"read - (applied + late + dead letters + duplicates) = {difference:,} in {clean(topic)}:"
                " this is a bug of Hindsight, please report it",
                style="bold red",
            )
        )


def _row(table: Table, label: str, counts: Counts, style: str = "") -> None:
    table.add_row(Text(label), *(f"{getattr(counts, name):,}" for name in COUNTS), style=style)
