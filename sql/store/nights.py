"""Nights of the nightly flow: which were worked through, and what the data of the last one were like."""

import uuid
from datetime import datetime

from sql.store.repository import Module
from sql.store.table import Json, Record


class Night(Record, frozen=True, kw_only=True):
    """A range of history that was worked through; `summary` is what it read, found and stored, by name."""

    id: uuid.UUID
    range_start: datetime
    range_end: datetime
    engine: str
    status: str
    problem: str | None
    summary: Json
    started_at: datetime
    finished_at: datetime | None
    skipped_parts: int
    seconds: float | None


class NightQuality(Record, frozen=True, kw_only=True):
    """What a source of a table was like; `coverage` and `missing` are shares, `checks` counts of impossible values."""

    table_name: str
    source: str
    n: int
    first_at: datetime | None
    last_at: datetime | None
    active_days: int
    coverage: float
    longest_gap_days: int
    stale_days: float
    duplicates: int
    impossible: int
    checks: Json
    missing: Json
    status: str
    problems: list[str]
    range_start: datetime
    range_end: datetime


class Nights(Module):
    """Questions about nights."""

    def history(self, limit: int = 30) -> list[Night]:
        """Nights, the one with the latest history first."""
        return self.ask("store_nights", Night, most=limit)

    def quality(self, limit: int = 100) -> list[NightQuality]:
        """The data of the latest night that finished, the worst first; none where no night has."""
        return self.ask("store_night_quality", NightQuality, most=limit)
