"""What a first look shows: what is open, how much is watched, how fast, and on which days patterns were found."""

from datetime import datetime

import msgspec

from sql.store.repository import Module
from sql.store.table import Record

DAYS = 90
"""Most days of patterns that are counted."""


class _Number(Record, frozen=True, kw_only=True):
    name: str
    key: str
    value: float | None


class PatternDay(Record, frozen=True, kw_only=True):
    """Patterns of a severity found on a day (UTC)."""

    day: datetime
    severity: str
    n: int


class LastWork(Record, frozen=True, kw_only=True):
    """When the last of each began; None where there is none."""

    run: datetime | None
    attempt: datetime | None
    exchange: datetime | None


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from an event to the row of its pattern, of live patterns of the last seven days; None without any."""

    n: int
    p50: float | None
    p99: float | None


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Counts by severity, series by kind."""

    open_patterns: dict[str, int]
    open_incidents: dict[str, int]
    series: dict[str, int]
    latency: Delay


class Overview(Module):
    """Questions over several modules' tables."""

    def numbers(self) -> Numbers:
        """Everything that is counted."""
        found: dict[str, dict[str, float | None]] = {}
        for row in self.ask("store_overview", _Number):
            found.setdefault(row.name, {})[row.key] = row.value
        counts = {
            name: {key: int(value or 0) for key, value in found.get(name, {}).items()}
            for name in ("open_patterns", "open_incidents", "series")
        }
        latency = found.get("latency", {})
        return Numbers(
            **counts, latency=Delay(n=int(latency.get("n") or 0), p50=latency.get("p50"), p99=latency.get("p99"))
        )

    def pattern_days(self, days: int = 30) -> list[PatternDay]:
        """Patterns by day and severity, over so many days up to the last one with any; no rows for days without."""
        return self.ask("store_pattern_days", PatternDay, days=min(max(days, 1), DAYS))

    def last_work(self) -> LastWork:
        """Where the history of work ends."""
        return self.ask("store_last_work", LastWork)[0]
