"""What is remembered of a pattern while it may still change, and when it changes (`operators.patterns` does it)."""

from typing import Literal

import msgspec

Direction = Literal["up", "down"]
Severity = Literal["info", "low", "medium", "high", "critical"]

SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
"""Rising."""

RECENT = 10
"""Judged values that an episode keeps as evidence."""


class Subject(msgspec.Struct, frozen=True):
    """The series that a pattern is in (contract.md section 4), its kind (`taxonomy.KINDS`) and where it was read."""

    entity: str
    measure: str
    kind: str
    input: str
    partition: int


class Life(msgspec.Struct, frozen=True):
    """When patterns open, resolve and come back.

    `open_confidence`: the least confidence to open with (`pattern_confidence_threshold`). `close_after`: normal
    judgements in a row that resolve; a single one does when the last abnormal judgement is `quiet_us` ago (sparse
    series). Within `flap_us` or `flap_count` normal judgements after resolving, the same pattern re-opens. `silent_us`:
    how long a series without any judgement keeps its episode (`expire`).
    """

    open_confidence: float = 0.7
    close_after: int = 3
    quiet_us: int = 1_800_000_000
    flap_us: int = 600_000_000
    flap_count: int = 3
    silent_us: int = 86_400_000_000


DEFAULT_LIFE = Life()
"""The specification's confidence threshold; three normal judgements; half an hour; ten minutes; a day."""


class Past(msgspec.Struct, frozen=True, gc=False, rename={
    "opened_us": "o", "ended_us": "e", "peak_value": "p", "severity": "s", "count": "n", "ended": "w",
}):  # fmt: skip
    """An earlier episode of the same series and detector, and how it ended.

    `ended`: "resolved" after normal judgements, "silent" when nothing more came to judge.
    """

    opened_us: int
    ended_us: int
    peak_value: float
    severity: Severity
    count: int
    ended: Literal["resolved", "silent"]


EARLIER = 5
"""Earlier episodes that are remembered for each series and detector."""

Contributor = tuple[str, float]
"""What contributed, and its share of the whole (0 to 1)."""


class Episode(
    msgspec.Struct,
    gc=False,
    rename={
        "detector": "d", "opened_us": "o", "seen_us": "s", "judged_us": "j", "active": "a", "resolved_us": "r",
        "count": "n", "quiet": "q", "reopened": "f", "direction": "w", "confidence": "c", "threshold": "t",
        "value": "v", "score": "x", "expected": "e", "low": "l", "high": "h", "peak_value": "pv", "peak_score": "ps",
        "peak_us": "pt", "told": "ts", "told_severity": "tl", "times": "i", "values": "u", "evidence": "z",
        "faded": "fd", "told_direction": "td", "contributors": "k", "before": "b",
        "earlier": "y",
    },
):  # fmt: skip
    """What is remembered of one pattern while it may still change. Mutable: `advance` moves it on in place.

    `seen_us` is the last abnormal judgement, `judged_us` the last of any sort. `direction`, `threshold`, `expected`,
    `low`, `high` and `evidence` are those of the peak (the greatest score), `confidence` is the greatest so far.
    `quiet` counts normal judgements in a row (after resolving: all of them), `told` and `told_severity` are what the
    last change told. `times` and `values` are the last `RECENT` judged values. `faded` says that the last change told
    was a weakening, `told_direction` where the values were going when one was last told. `contributors` are those of
    the peak. `before` is what was told before the last change: score, severity and direction. `earlier` are the peak
    values of earlier episodes that were not long ago when this one opened.
    """

    detector: str
    opened_us: int
    seen_us: int
    judged_us: int
    active: bool = True
    resolved_us: int | None = None
    count: int = 1
    quiet: int = 0
    reopened: int = 0
    direction: Direction = "up"
    confidence: float = 0.0
    threshold: float = 1.0
    value: float = 0.0
    score: float = 0.0
    expected: float = 0.0
    low: float = 0.0
    high: float = 0.0
    peak_value: float = 0.0
    peak_score: float = 0.0
    peak_us: int = 0
    told: float = 0.0
    told_severity: Severity = "info"
    times: list[int] = msgspec.field(default_factory=list)
    values: list[float] = msgspec.field(default_factory=list)
    evidence: dict[str, int | float | str] = msgspec.field(default_factory=dict)
    faded: bool = False
    told_direction: Direction | None = None
    contributors: list[Contributor] = msgspec.field(default_factory=list)
    before: tuple[float, Severity, Direction] | None = None
    earlier: list[float] = msgspec.field(default_factory=list)
