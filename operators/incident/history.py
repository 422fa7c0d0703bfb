"""What happened before: earlier occurrences of the same, and how they ended."""

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from operators.words import moment

MOST = 5
"""Occurrences that an incident shows."""


class Occurrence(msgspec.Struct, frozen=True):
    """An earlier pattern of the same series and detector, or class. Times in µs."""

    pattern_id: uuid.UUID
    entity: str
    measure: str
    opened_us: int
    end_us: int
    is_active: bool
    severity: str
    verdict: str | None

    @property
    def ending(self) -> str:
        """How it ended, in words.

        >>> import uuid
        >>> Occurrence(uuid.UUID(int=1), "web", "m", 0, 90_000_000, False, "low", "expected").ending
        'over after 90 s, labelled expected'
        """
        lasted = round((self.end_us - self.opened_us) / 1e6)
        how = "goes on" if self.is_active else f"over after {lasted} s"
        return f"{how}, labelled {self.verdict}" if self.verdict else f"{how}, by itself" if not self.is_active else how


def earlier(occurrences: Iterable[Occurrence], before_us: int) -> list[dict[str, Any]]:
    """Up to five that opened before a time, the newest first, as plain data."""
    past = sorted(
        (one for one in occurrences if one.opened_us < before_us),
        key=lambda one: (one.opened_us, str(one.pattern_id)),
        reverse=True,
    )
    return [
        {
            "pattern_id": str(one.pattern_id),
            "opened": moment(one.opened_us),
            "seconds": (one.end_us - one.opened_us) / 1e6,
            "severity": one.severity,
            "verdict": one.verdict,
            "ending": one.ending,
        }
        for one in past[:MOST]
    ]
