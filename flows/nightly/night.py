"""A night: the range of history that is worked through, and how."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from operators.identity import identity
from operators.mining.finding import MiningConfig

VERSION = 3
"""Of what the stages make: another one makes everything again."""

STAGES = ("load", "features", "mine", "validate", "store", "compile", "report")
"""In the order in which they are done."""

Stage = Literal["load", "features", "mine", "validate", "store", "compile", "report"]


class Night(msgspec.Struct, frozen=True):
    """History from `since` to before `until` (with offsets), counted by `engine`."""

    since: datetime
    until: datetime
    engine: Literal["embedded", "spark"] = "embedded"
    config: MiningConfig = MiningConfig()
    series_features: bool = True

    @property
    def id(self) -> uuid.UUID:
        """The same for the same range and engine."""
        return identity("nightly", f"{self.since.isoformat()}/{self.until.isoformat()}/{self.engine}")

    @property
    def label(self) -> str:
        """Its last day.

        >>> night_of(datetime(2026, 1, 5, tzinfo=UTC), 30).label
        '2026-01-05'
        """
        return (self.until - timedelta(microseconds=1)).astimezone(UTC).strftime("%Y-%m-%d")

    def digest(self, *inputs: str) -> str:
        """SHA-256 of inputs and of everything here that changes what is made of them."""
        about = msgspec.json.encode([VERSION, self.since, self.until, self.engine, self.config, self.series_features])
        return hashlib.sha256(about + "\0".join(inputs).encode()).hexdigest()


def night_of(day: datetime, days: int, engine: Literal["embedded", "spark"] = "embedded") -> Night:
    """The night after a day (UTC), over `days` days of history.

    >>> night = night_of(datetime(2026, 1, 5, 13, tzinfo=UTC), 2)
    >>> night.since.isoformat(), night.until.isoformat()
    ('2026-01-04T00:00:00+00:00', '2026-01-06T00:00:00+00:00')
    """
    until = day.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return Night(until - timedelta(days=days), until, engine)
