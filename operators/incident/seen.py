"""A pattern as this tier sees it, and what the settings say about grouping."""

import uuid

import msgspec

from operators.episodes import Direction, Severity

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US


class Seen(
    msgspec.Struct,
    frozen=True,
    rename={
        "pattern_id": "i", "name": "n", "entity": "e", "measure": "m", "kind": "k", "detector": "d",
        "pattern_class": "pc", "category": "g", "severity": "s", "confidence": "c", "significance": "sg", "score": "x",
        "direction": "w", "value": "v", "low": "l", "high": "h", "opened_us": "o", "last_observed_us": "lo",
        "resolved_us": "r", "is_active": "a", "sentence": "t", "input": "u", "cadence_us": "q", "reopened": "f",
        "verdict": "y", "verdict_by": "yb",
    },
):  # fmt: skip
    """A pattern as its row stands. Times in µs since 1970.

    `significance` is 0.5 at the detector's threshold and nears 1 (`operators.patterns.significance`); `score` is the
    latest, `value`, `low` and `high` belong to its peak. `cadence_us`: the usual step between the series' values, 0 =
    not known. `verdict` is the last one of a person (`true_positive`, `false_positive`, `expected`).
    """

    pattern_id: uuid.UUID
    name: str
    entity: str
    measure: str
    kind: str
    detector: str
    pattern_class: str
    category: str
    severity: Severity
    confidence: float
    significance: float
    score: float
    direction: Direction | None
    value: float
    low: float
    high: float
    opened_us: int
    last_observed_us: int
    resolved_us: int | None
    is_active: bool
    sentence: str = ""
    input: str = ""
    cadence_us: int = 0
    reopened: int = 0
    verdict: str | None = None
    verdict_by: str | None = None

    @property
    def end_us(self) -> int:
        """When it ended, or was last observed."""
        return max(self.last_observed_us, self.resolved_us or 0)

    @property
    def order(self) -> tuple[int, str]:
        """Patterns are ordered by when they opened."""
        return self.opened_us, str(self.pattern_id)


class GroupingConfig(msgspec.Struct, frozen=True):
    """When patterns are one incident, and when that is told. Times in µs.

    `window_us`: a pattern that opens at most this long after the activity of a related one belongs to it; of a sparse
    series its cadence, if that is longer, up to `sparse_us`. A pattern is active from its opening to its end, but for
    at most `reach_us`: a disk that stays full for a month does not swallow a month of incidents.
    `burst_patterns` patterns of unrelated entities of one input within `burst_us` are one wide incident.
    `grace_us`: for how long all patterns must have ended before the incident has. An incident that begins within
    `burst_us` of another of the same input is told `hold_us` later: it may turn out to be a part of a burst.
    `silent_us`: an open pattern that was not observed for this long holds no incident open.
    `most_patterns` are remembered at once, and `most_members` of an incident.
    """

    window_us: int = 5 * MINUTE_US
    sparse_us: int = 6 * HOUR_US
    reach_us: int = 6 * HOUR_US
    burst_patterns: int = 4
    burst_us: int = 2 * MINUTE_US
    grace_us: int = 5 * MINUTE_US
    hold_us: int = MINUTE_US
    silent_us: int = 48 * HOUR_US
    most_patterns: int = 5000
    most_members: int = 200
