"""The life of a pattern: from a verdict that opens it to the judgements that resolve it.

An `Incident` is what a partition's state keeps of one series and detector; a `Pattern` is what is told of it. Both
depend on nothing but the judgements: the same input gives the same ids, counts and words, whatever the batches and
restarts.

What keeps it calm: it opens only on a confident verdict; between the limit to open and the limit to clear it stays as
it is (hysteresis); it resolves after some normal judgements in a row; an abnormal one soon afterwards re-opens the same
pattern, which from then on takes longer to resolve (flap damping).
"""

import uuid
from typing import Any, Literal

import msgspec

from operators.detect.verdict import Verdict
from operators.identity import identity
from operators.incidents import DEFAULT_LIFE, RECENT, SEVERITIES, Direction, Incident, Life, Severity, Subject
from operators.taxonomy import Category, PatternClass, classify
from operators.wording import explanation, moment, name

__all__ = [
    "Category", "Change", "Incident", "Life", "Pattern", "PatternClass", "Severity", "Subject",
    "advance", "classify", "expire", "pattern_id", "severity", "significance", "snapshot_pattern",
]  # fmt: skip

ChangeKind = Literal["opened", "observed", "strengthening", "resolved"]

LASTING_US = 300_000_000
LASTING_COUNT = 6
"""An incident that has been observed this often over at least 5 minutes is one step more severe."""

STRONGER = 1.5
"""A peak that exceeds the one last told by this factor is told at once, as strengthening."""

_LESS_IS_BETTER = ("_usage", "duration_s", "processing_ms", "failed")
_ALGORITHMS = {"spike": "spike: median of EWMA, damped Holt and robust z"}


class Pattern(msgspec.Struct, frozen=True):
    """A pattern as it stands: a row of `detected_patterns` and a message of the patterns topic. Times in µs, UTC.

    `confidence` says how sure it is, `severity` how bad, `significance` how far from usual (0 to 1). `expected`, `low`
    and `high` are what was usual at the peak. `evidence` is JSON.
    """

    pattern_id: uuid.UUID
    pattern_name: str
    pattern_type: str
    pattern_class: PatternClass
    category: Category
    entity: str
    measure: str
    detection_algorithm: str
    confidence: float
    significance: float
    severity: Severity
    direction: Direction
    opened_us: int
    last_observed_us: int
    observation_count: int
    value: float
    expected: float
    low: float
    high: float
    score: float
    peak_value: float
    peak_score: float
    peak_us: int
    is_active: bool
    resolved_us: int | None
    explanation: str
    evidence: dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """What happened to a pattern. A re-opened one is "opened" again, under its old id (`incident.reopened` > 0)."""

    kind: ChangeKind
    incident: Incident
    subject: Subject

    @property
    def pattern(self) -> Pattern:
        """The pattern as it stands now: built when asked for, since most "observed" changes are never written."""
        return snapshot_pattern(self.incident, self.subject)


def advance(
    incident: Incident | None,
    subject: Subject,
    detector: str,
    verdict: Verdict | None,
    value: float,
    time_us: int,
    life: Life = DEFAULT_LIFE,
) -> tuple[Incident | None, Change | None]:
    """Move the incident of one series and detector on by one judgement of `value` at event time `time_us`.

    `incident` is what the last call returned (None at first) and is changed in place. It is kept for a while after
    resolving, to re-open; None comes back when nothing needs to be remembered.

    >>> from operators.detect.threshold import ThresholdState, judge, rule_for
    >>> web, rule = Subject("web-1", "cpu_usage", "resource", "topic", 0), rule_for("cpu_usage")
    >>> state, incident = ThresholdState(), None
    >>> for second, value in enumerate([50.0, 96.0, 97.0, 50.0, 50.0, 50.0]):
    ...     incident, change = advance(incident, web, "threshold", judge(state, rule, value), value, second * 1_000_000)
    ...     print(change and change.kind)
    None
    opened
    observed
    None
    None
    resolved
    >>> snapshot_pattern(incident, web).pattern_name
    'cpu_usage of web-1 above 80 % (peak 97 %)'
    """
    if verdict is None or not verdict.abnormal:
        if incident is None:
            return None, None
        return _calm(incident, subject, verdict is None, value, time_us, life)
    if incident is not None and incident.active:
        return incident, _observe(incident, subject, verdict, value, time_us)
    back = incident is not None and _may_reopen(incident, time_us, life)
    if verdict.confidence < life.open_confidence:
        return (incident if back else None), None
    if incident is None or not back:
        incident = Incident(detector, time_us, time_us, time_us, count=0)
    else:
        incident.active, incident.resolved_us, incident.quiet = True, None, 0
        incident.reopened += 1
    _observe(incident, subject, verdict, value, time_us)
    incident.told, incident.told_severity = incident.peak_score, _severity(incident, subject)
    return incident, Change("opened", incident, subject)


def expire(
    incident: Incident, subject: Subject, time_us: int, life: Life = DEFAULT_LIFE
) -> tuple[Incident | None, Change | None]:
    """Resolve, or forget, the incident of a series that has fallen silent.

    `time_us` is the stream's time (a watermark), not the clock's. An incident that nothing judged for `life.silent_us`
    resolves as of its last judgement.
    """
    if time_us - incident.judged_us < life.silent_us:
        return incident, None
    if not incident.active:
        return None, None
    _resolve(incident, incident.judged_us)
    return incident, Change("resolved", incident, subject)


def _may_reopen(incident: Incident, time_us: int, life: Life) -> bool:
    resolved_us = incident.seen_us if incident.resolved_us is None else incident.resolved_us
    return time_us - resolved_us <= life.flap_us or incident.quiet < life.flap_count


def _calm(
    incident: Incident, subject: Subject, normal: bool, value: float, time_us: int, life: Life
) -> tuple[Incident | None, Change | None]:
    incident.judged_us = max(incident.judged_us, time_us)
    if not incident.active:
        incident.quiet += normal
        return (incident if _may_reopen(incident, time_us, life) else None), None
    _remember(incident, value, time_us)
    if not normal:
        incident.quiet = 0
        return incident, None
    incident.quiet += 1
    needed = life.close_after * (1 + min(incident.reopened, 3))
    if incident.quiet < needed and time_us - incident.seen_us < life.quiet_us:
        return incident, None
    _resolve(incident, time_us)
    return incident, Change("resolved", incident, subject)


def _resolve(incident: Incident, time_us: int) -> None:
    incident.active = False
    incident.resolved_us = max(time_us, incident.seen_us)
    incident.quiet = 0


def _observe(incident: Incident, subject: Subject, verdict: Verdict, value: float, time_us: int) -> Change:
    incident.count += 1
    incident.quiet = 0
    incident.seen_us = max(incident.seen_us, time_us)
    incident.judged_us = max(incident.judged_us, time_us)
    incident.value, incident.score = value, verdict.score
    incident.confidence = max(incident.confidence, verdict.confidence)
    if verdict.score > incident.peak_score or incident.count == 1:
        incident.peak_score, incident.peak_value, incident.peak_us = verdict.score, value, time_us
        incident.threshold, incident.direction = verdict.threshold, verdict.direction
        incident.expected, incident.low, incident.high = verdict.expected, verdict.low, verdict.high
        incident.evidence = verdict.evidence
    _remember(incident, value, time_us)
    now = _severity(incident, subject)
    if SEVERITIES.index(now) > SEVERITIES.index(incident.told_severity) or (
        incident.peak_score >= STRONGER * incident.told
    ):
        incident.told, incident.told_severity = incident.peak_score, now
        return Change("strengthening", incident, subject)
    return Change("observed", incident, subject)


def _remember(incident: Incident, value: float, time_us: int) -> None:
    incident.times.append(time_us)
    incident.values.append(value)
    if len(incident.times) > RECENT:
        del incident.times[0], incident.values[0]


def significance(score: float, threshold: float) -> float:
    """A score squashed to [0, 1]: 0.5 at its threshold, 0.75 at three times it.

    >>> significance(5.0, 5.0), significance(15.0, 5.0)
    (0.5, 0.75)
    """
    return score / (score + threshold) if score > 0.0 else 0.0


def severity(ratio: float, duration_us: int, count: int, welcome: bool = False) -> Severity:
    """How bad: by how far the peak exceeds its threshold (`ratio`) and how long it has lasted, not by how sure it is.

    low below 1.5, medium below 3, else high; one step up when it lasts (`LASTING_US`, `LASTING_COUNT`), the only way to
    critical. A `welcome` change (a build twice as fast) is info.

    >>> severity(1.2, 0, 1), severity(4.0, 0, 1), severity(4.0, 600_000_000, 60), severity(9.0, 0, 1, welcome=True)
    ('low', 'high', 'critical', 'info')
    """
    if welcome:
        return "info"
    level = 1 if ratio < 1.5 else 2 if ratio < 3.0 else 3
    return SEVERITIES[level + (duration_us >= LASTING_US and count >= LASTING_COUNT)]


def _severity(incident: Incident, subject: Subject) -> Severity:
    welcome = incident.direction == "down" and subject.measure.endswith(_LESS_IS_BETTER)
    ratio = incident.peak_score / incident.threshold
    return severity(ratio, incident.seen_us - incident.opened_us, incident.count, welcome)


def pattern_id(detector: str, entity: str, measure: str, opened_us: int) -> uuid.UUID:
    """The id of the pattern that `detector` opened in a series at an event time, the same in each replay."""
    return identity("pattern", "\0".join((detector, entity, measure, str(opened_us))))


def snapshot_pattern(incident: Incident, subject: Subject) -> Pattern:
    """The pattern as it stands."""
    category, pattern_class = classify(subject.kind, subject.measure, incident.detector)
    rule = incident.evidence.get("rule")
    algorithm = f"{incident.detector}: {rule}" if rule else _ALGORITHMS.get(incident.detector, incident.detector)
    evidence: dict[str, Any] = dict(incident.evidence)
    evidence["threshold_score"] = incident.threshold
    evidence["recent"] = [
        {"time": moment(time), "value": value} for time, value in zip(incident.times, incident.values, strict=True)
    ]
    evidence["reopened"] = incident.reopened
    evidence["input"], evidence["partition"], evidence["kind"] = (
        subject.input,
        subject.partition,
        subject.kind,
    )
    return Pattern(
        pattern_id=pattern_id(incident.detector, subject.entity, subject.measure, incident.opened_us),
        pattern_name=name(incident, subject),
        pattern_type=incident.detector,
        pattern_class=pattern_class,
        category=category,
        entity=subject.entity,
        measure=subject.measure,
        detection_algorithm=algorithm,
        confidence=incident.confidence,
        significance=significance(incident.peak_score, incident.threshold),
        severity=_severity(incident, subject),
        direction=incident.direction,
        opened_us=incident.opened_us,
        last_observed_us=incident.seen_us,
        observation_count=incident.count,
        value=incident.value,
        expected=incident.expected,
        low=incident.low,
        high=incident.high,
        score=incident.score,
        peak_value=incident.peak_value,
        peak_score=incident.peak_score,
        peak_us=incident.peak_us,
        is_active=incident.active,
        resolved_us=incident.resolved_us,
        explanation=explanation(incident, subject),
        evidence=evidence,
    )
