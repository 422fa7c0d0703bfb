"""What an incident looks like as an alert of Alertmanager's v2 API: labels that stay, and annotations that tell.

Labels are an alert's identity: Alertmanager takes two alerts for one when all labels are equal. So they hold only what
stays the same while an incident lasts, and its stage (`Stage`). All that changes is in annotations.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from operators.episodes import SEVERITIES, Severity
from operators.notices import Evidence, Notice
from operators.words import number

ALERT_NAME = "HindsightIncident"
"""The `alertname` of every incident; Hindsight's alerts about itself have other names."""
SILENCE_DETECTORS = frozenset({"missing", "missing_data", "gap", "silence", "silent", "stale"})
"""Detectors that say that data stays out: what they find outranks anomalies of the same entity."""
MOST_EVIDENCE = 5
"""Patterns shown in a notification."""
MOST_TEXT = 2000
"""Characters of an annotation; Slack cuts a text at 3000."""
MOST_LABEL = 250
"""Characters of a label's value."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stage(NamedTuple):
    """How bad an incident is: what may only rise while it lasts. Each stage is an alert of its own.

    >>> Stage("critical", False).above(Stage("high", True)), Stage("high", True).above(Stage("high", False))
    (True, True)
    """

    severity: Severity
    escalated: bool

    def above(self, other: "Stage") -> bool:
        """Whether this stage is worse than another."""
        return (SEVERITIES.index(self.severity), self.escalated) > (SEVERITIES.index(other.severity), other.escalated)


class Links(msgspec.Struct, frozen=True):
    """Where the pages are that a notification points to: URLs (or paths) without a slash at the end.

    `runbooks` holds `patterns/<class>.md`; `incidents` is continued by `/<incident id>`, None: there is no such page.
    """

    runbooks: str = "docs/runbooks"
    incidents: str | None = None


class Alert(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One alert as `POST /api/v2/alerts` takes it; times are RFC 3339."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str
    ends_at: str
    generator_url: str | None = msgspec.field(default=None, name="generatorURL")


def identity_labels(notice: Notice) -> dict[str, str]:
    """The labels of an incident but for its stage. Take them once: entity and class of a later notice may differ.

    >>> import uuid
    >>> notice = Notice(uuid.UUID(int=1), "t", "s", "web", "error", "error_propagation", "high", 1, 0, 0, None, 1, 1)
    >>> identity_labels(notice)["class"], identity_labels(notice)["signal"]
    ('error_propagation', 'anomaly')
    """
    return {
        "alertname": ALERT_NAME,
        "incident_id": str(notice.incident_id),
        "entity": _fit(notice.entity, MOST_LABEL),
        "category": notice.category,
        "class": notice.pattern_class,
        "signal": signal(notice),
    }


def signal(notice: Notice) -> Literal["anomaly", "silence"]:
    """Whether the incident is about data that stays out ("silence"), by its strongest pattern, or about values."""
    first = notice.evidence[0].detector if notice.evidence else ""
    return "silence" if first in SILENCE_DETECTORS else "anomaly"


def stage_labels(identity: Mapping[str, str], stage: Stage) -> dict[str, str]:
    """All labels of the alert of one stage."""
    labels = {**identity, "severity": stage.severity}
    return labels | {"escalated": "true"} if stage.escalated else labels


def annotations(notice: Notice, links: Links) -> dict[str, str]:
    """What a person reads: summary, description, evidence and the rest, each only if there is something to say.

    >>> import uuid
    >>> notice = Notice(
    ...     uuid.UUID(int=1), "web is slow", "p99 rose", "web", "performance", "response_time_degradation", "high",
    ...     0.93, 0, 0, None, 2, 1, contributors=(("web/db", 0.7), ("web/cache", 0.3)), changes=("deployed 1.2",),
    ... )
    >>> for name, text in annotations(notice, Links()).items():
    ...     print(f"{name}: {text}")
    summary: web is slow
    description: p99 rose
    scope: 2 patterns in 1 series, 93 % sure, since 1970-01-01 00:00 UTC
    contributors: web/db 70 %, web/cache 30 %
    changes: • deployed 1.2
    runbook_url: docs/runbooks/patterns/response_time_degradation.md
    """
    told = {
        "summary": _fit(notice.title, MOST_TEXT),
        "description": _fit(notice.summary, MOST_TEXT),
        "scope": _scope(notice),
        "evidence": _lines(evidence_line(one, notice.started_us) for one in notice.evidence[:MOST_EVIDENCE]),
        "contributors": _fit(
            ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in notice.contributors[:MOST_EVIDENCE]),
            MOST_TEXT,
        ),
        "changes": _lines(notice.changes[:MOST_EVIDENCE]),
        "earlier": _lines(notice.earlier[:MOST_EVIDENCE]),
        "pattern_id": str(notice.evidence[0].pattern_id) if notice.evidence else "",
        "runbook_url": runbook_url(notice.pattern_class, links),
    }
    return {name: text for name, text in told.items() if text}


def runbook_url(pattern_class: str, links: Links) -> str:
    """The page about a class of pattern."""
    return f"{links.runbooks}/patterns/{pattern_class}.md"


def evidence_line(one: Evidence, started_us: int) -> str:
    """One pattern of an incident in one line: the value, what is usual, and since when.

    The date is left out on the day on which the incident started: it stands elsewhere, and short lines are read.

    >>> import uuid
    >>> evidence_line(Evidence(
    ...     uuid.UUID(int=2), "shop/main", "duration_s", "spike", "bottleneck_identification", "high",
    ...     0.97, 812.0, 300.0, 420.0, 1767608130000000, "",
    ... ), 1767600000000000)
    'duration_s of shop/main: 812, usual 300 to 420 (since 10:15, spike, 97 % sure)'
    """
    since = minute(one.opened_us)
    if since[:10] == minute(started_us)[:10]:
        since = since[11:16]
    usual = f"usual {number(one.low)} to {number(one.high)}" if one.low != one.high else f"usual {number(one.low)}"
    return (
        f"{one.measure} of {one.entity}: {number(one.value)}, {usual}"
        f" (since {since}, {one.detector.replace('_', ' ')}, {one.confidence * 100:.0f} % sure)"
    )


def minute(time_us: int) -> str:
    """A time in µs since 1970, to the minute, for people.

    >>> minute(1767608130000000)
    '2026-01-05 10:15 UTC'
    """
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%d %H:%M UTC")


def instant(time_us: int) -> str:
    """A time in µs since 1970 as RFC 3339 in UTC, to the microsecond.

    >>> instant(1767608130250000)
    '2026-01-05T10:15:30.250000Z'
    """
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def alert(
    identity: Mapping[str, str], stage: Stage, notice: Notice, starts_us: int, ends_us: int, links: Links
) -> Alert:
    """The alert of one stage of an incident. `ends_us` in the future: it lasts, and lapses then unless sent again.

    Alertmanager refuses an alert that ends before it starts; such a start is moved to the end.
    """
    return Alert(
        stage_labels(identity, stage),
        annotations(notice, links),
        instant(min(starts_us, ends_us)),
        instant(ends_us),
        f"{links.incidents}/{notice.incident_id}" if links.incidents else None,
    )


def _scope(notice: Notice) -> str:
    patterns = "1 pattern" if notice.patterns == 1 else f"{notice.patterns} patterns"
    ended = f" to {minute(notice.ended_us)}" if notice.ended_us is not None else ""
    return (
        f"{patterns} in {notice.series} series, {notice.confidence * 100:.0f} % sure,"
        f" since {minute(notice.started_us)}{ended}"
    )


def _lines(texts: Iterable[str]) -> str:
    shown = [f"• {_fit(text, MOST_TEXT // MOST_EVIDENCE - 3)}" for text in texts]
    return "\n".join(shown)


def _fit(text: str, most: int) -> str:
    """One line of at most so many characters: names come from outside, and must not draw over the rest."""
    flat = _CONTROL.sub(" ", text).strip()
    return flat if len(flat) <= most else flat[: most - 1] + "…"
