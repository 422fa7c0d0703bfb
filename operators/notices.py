"""What people are told: one notice an incident, brought up to date while it lasts, and ended when it resolves.

`operators.incident` makes them, `sinks.alerts` sends them. A notice is the same thing to Alertmanager for as long as
its `incident_id` is the same: everything else may change between two of them.
"""

import uuid
from typing import Literal

import msgspec

from operators.episodes import Severity

Receiver = Literal["page", "ticket", "log"]
"""page: a person at once (severity high and critical). ticket: in working hours (medium, low). log: kept, not sent."""


class Evidence(msgspec.Struct, frozen=True):
    """One pattern of the incident, as it is shown: the strongest first."""

    pattern_id: uuid.UUID
    entity: str
    measure: str
    detector: str
    pattern_class: str
    severity: Severity
    confidence: float
    value: float
    low: float
    high: float
    opened_us: int
    sentence: str


class Notice(msgspec.Struct, frozen=True):
    """An incident as it stands. Times in µs since 1970; `ended_us` None means that it goes on.

    `entity` is the root of what is affected (`shop/main`, not each of its steps). `share` in each contributor is its
    part of the whole, 0 to 1, largest first. `changes` are known changes shortly before (a deployment, a
    configuration), in words; `earlier` are earlier occurrences and how they ended, in words, the latest first.
    `inhibited` says why nobody is to be told ("quiet hours: …", "expected: labelled by …"), or is None.
    """

    incident_id: uuid.UUID
    title: str
    summary: str
    entity: str
    category: str
    pattern_class: str
    severity: Severity
    confidence: float
    started_us: int
    updated_us: int
    ended_us: int | None
    patterns: int
    series: int
    evidence: tuple[Evidence, ...] = ()
    contributors: tuple[tuple[str, float], ...] = ()
    changes: tuple[str, ...] = ()
    inhibited: str | None = None
    earlier: tuple[str, ...] = ()

    @property
    def receiver(self) -> Receiver:
        """Who is to be told.

        >>> import uuid
        >>> Notice(uuid.UUID(int=1), "t", "s", "web", "error", "c", "high", 0.9, 0, 0, None, 1, 1).receiver
        'page'
        """
        if self.inhibited is not None or self.severity == "info":
            return "log"
        return "page" if self.severity in ("high", "critical") else "ticket"
