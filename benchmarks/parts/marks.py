"""Marking: which openings found a fault, which are false, and the figures that follow."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

from benchmarks.parts.driving import Opening
from benchmarks.parts.report import quantile
from benchmarks.parts.streams import SECOND_US, Fault, Stream

Mark = Literal["true", "false", "ignored"]
WEEK_DAYS = 7.0
SERIES = 50
"""Series that the target of one false page a week speaks of."""


@dataclass
class Marked:
    """A stream and its openings, each with its mark and the fault that it is of."""

    stream: Stream
    openings: list[tuple[Opening, Mark, Fault | None]] = field(default_factory=list)

    @property
    def false(self) -> list[Opening]:
        """The false alarms."""
        return [opening for opening, mark, _ in self.openings if mark == "false"]

    def first(self, fault: Fault) -> Opening | None:
        """The opening that found a fault, if one did."""
        found = [opening for opening, _, of in self.openings if of is fault]
        return min(found, key=lambda opening: opening.time_us, default=None)


def mark(stream: Stream, openings: Iterable[Opening]) -> Marked:
    """Mark the openings of one stream.

    true: within [start, end + grace] of a fault. ignored: on the way back from one (`Fault.recovery_us`), or after the
    stream's end, when it is its own silence that is told of. false: all others.
    """
    last = int(stream.times_us[-1]) + round(stream.cadence_s * SECOND_US) + 11 * SECOND_US
    marked = Marked(stream)
    for opening in openings:
        verdict: Mark = "ignored" if opening.time_us > last else "false"
        of = None
        for fault in stream.faults:
            if fault.start_us <= opening.time_us <= fault.end_us + fault.grace_us:
                verdict, of = "true", fault
                break
            if fault.end_us < opening.time_us <= fault.end_us + fault.recovery_us:
                verdict = "ignored"
        marked.openings.append((opening, verdict, of))
    return marked


@dataclass
class Recall:
    """How well one shape at one strength was found."""

    faults: int = 0
    delays_s: list[float] = field(default_factory=list)
    delays_values: list[float] = field(default_factory=list)
    by: Counter[str] = field(default_factory=Counter)
    """Which detector spoke first."""

    def add(self, marked: Marked, fault: Fault) -> None:
        """One more fault, found or not."""
        self.faults += 1
        first = marked.first(fault)
        if first is not None:
            delay = (first.time_us - fault.start_us) / SECOND_US
            self.delays_s.append(delay)
            self.delays_values.append(delay / marked.stream.cadence_s)
            self.by[first.detector] += 1

    @property
    def share(self) -> float:
        """Found of all."""
        return len(self.delays_s) / self.faults if self.faults else 0.0

    def delay(self, share: float, values: bool = False) -> float:
        """A quantile of the delay of those that were found, in seconds or in values; 0 when none was."""
        delays = sorted(self.delays_values if values else self.delays_s)
        return quantile(delays, share) if delays else 0.0


def recalls(marked: Sequence[Marked], by_kind: bool = False) -> dict[tuple[str, object], Recall]:
    """Recall by shape and strength, or by shape and the kind of background."""
    found: dict[tuple[str, object], Recall] = {}
    for one in marked:
        for fault in one.stream.faults:
            key = (fault.shape, one.stream.kind if by_kind else fault.strength)
            found.setdefault(key, Recall()).add(one, fault)
    return found


@dataclass
class Alarms:
    """False alarms in clean streams of one sort."""

    series: int = 0
    days: float = 0.0
    values: int = 0
    severities: Counter[str] = field(default_factory=Counter)
    detectors: Counter[str] = field(default_factory=Counter)
    paging: list[str] = field(default_factory=list)
    """The series of each false page, with its detector."""
    again: int = 0
    """Openings that were the same pattern again: not counted among the others."""

    def add(self, marked: Marked) -> None:
        """One more stream."""
        self.series += 1
        self.days += marked.stream.days
        self.values += len(marked.stream.values)
        for opening in marked.false:
            if opening.again:
                self.again += 1
                continue
            self.severities[opening.severity] += 1
            self.detectors[opening.detector] += 1
            if opening.pages:
                self.paging.append(f"{marked.stream.name} {opening.detector}")

    @property
    def openings(self) -> int:
        """All false alarms, each pattern once."""
        return self.severities.total()

    @property
    def pages(self) -> int:
        """Those somebody would be called for."""
        return self.severities["high"] + self.severities["critical"]

    def a_week(self, count: float) -> float:
        """`count` of this, as a rate for a week over 50 series."""
        return count / self.days * WEEK_DAYS * SERIES if self.days else 0.0


def alarms(marked: Iterable[Marked], by: Literal["kind", "cadence", "all"]) -> dict[str, Alarms]:
    """False alarms by kind of background, by cadence, or altogether."""
    found: dict[str, Alarms] = {}
    for one in marked:
        stream = one.stream
        key = {"kind": stream.kind, "cadence": cadence(stream), "all": "all"}[by]
        found.setdefault(key, Alarms()).add(one)
    return found


def cadence(stream: Stream) -> str:
    """The cadence of a stream, in words."""
    if stream.feed in {"duration", "failed"}:
        return "runs"
    for limit, name in ((30.0, "10 s"), (150.0, "1 min"), (1200.0, "5 min")):
        if stream.cadence_s <= limit:
            return name
    return "1 h"


def poisson_interval(count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a Poisson mean, of which `count` were seen.

    Garwood's (Biometrika 28, 1936) in Wilson's and Hilferty's approximation, which is within 0.03 of it.

    >>> [round(bound, 1) for bound in poisson_interval(3)], [round(bound, 1) for bound in poisson_interval(0)]
    ([0.6, 8.8], [0.0, 3.7])
    """
    z = 1.959964
    more = count + 1
    high = more * (1.0 - 1.0 / (9.0 * more) + z / (3.0 * sqrt(more))) ** 3
    return (count * (1.0 - 1.0 / (9.0 * count) - z / (3.0 * sqrt(count))) ** 3 if count else 0.0), high
