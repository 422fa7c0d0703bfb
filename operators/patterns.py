"""The life of a pattern: from a verdict that opens it to the judgements that resolve it.

An `Episode` is what a partition's state keeps of one series and detector; a `Pattern` is what is told of it. Both
depend on nothing but the judgements: the same input gives the same ids, counts and words, whatever the batches and
restarts.

What keeps it calm: it opens only on a confident verdict; between the limit to open and the limit to clear it stays as
it is (hysteresis); it resolves after some normal judgements in a row; an abnormal one soon afterwards re-opens the same
pattern, which from then on takes longer to resolve (flap damping).
"""

import uuid
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from operators.detect.verdict import Verdict
from operators.episodes import (
    DEFAULT_LIFE,
    RECENT,
    SEVERITIES,
    Contributor,
    Direction,
    Episode,
    Life,
    Past,
    Severity,
    Subject,
)
from operators.identity import identity
from operators.taxonomy import Category, PatternClass, classify
from operators.wording import explanation, name
from operators.words import moment

__all__ = [
    "EVOLUTION", "Category", "Change", "Episode", "Life", "Past", "Pattern", "PatternClass", "Severity", "Subject",
    "advance", "classify", "expire", "past_of", "pattern_id", "resolve", "severity", "significance", "snapshot_pattern",
]  # fmt: skip

ChangeKind = Literal["opened", "observed", "strengthening", "weakening", "shifting", "resolved"]
EVOLUTION = frozenset({"opened", "strengthening", "weakening", "shifting", "resolved"})
"""Changes that are lines of a pattern's history."""

LASTING_US = 300_000_000
LASTING_COUNT = 6
"""An episode that has been observed this often over at least 5 minutes is one step more severe."""

STRONGER = 1.5
"""A peak that exceeds the one last told by this factor is told at once, as strengthening; a score that has fallen to
the peak divided by its square, but still opens, as weakening. A change of direction is told as shifting."""

KNOWLEDGE = frozenset({"correlation"})
"""Detectors that find how things hang together, which is no trouble: severity info."""

SLOW = frozenset({"novelty", "drift", "trend", "flatline", "missing", "prior", "multivariate", "forest"})
"""Detectors of what is odd rather than wrong, or goes slowly: medium at most, a ticket and not a page. A silent series
may be a machine taken away; where many fall silent together, the incident is wide, and that is a step more."""

SUDDEN = "spike"
PERSISTENT = 3
"""Observations after which a spike may be of severity high: a single odd value wakes nobody."""

FAMILIAR = 3
FAMILIAR_US = 28 * 86_400_000_000
"""What was as bad as this so often in so long a time, and went by itself, is medium at most: nobody gets up for it a
fourth time. What is worse than it was then may be more, and so may what people have labelled as true."""

_LESS_IS_BETTER = ("_usage", "duration_s", "processing_ms", "failed")
_ALGORITHMS = {"spike": "spike: median of EWMA, damped Holt and robust z"}


class Pattern(msgspec.Struct, frozen=True):
    """A pattern as it stands: a row of `detected_patterns` and a message of the patterns topic. Times in µs, UTC.

    `confidence` says how sure it is, `severity` how bad, `significance` how far from usual (0 to 1). `expected`, `low`
    and `high` are what was usual at the peak. `evidence` is JSON. `contributors` are ranked by share; `earlier` are up
    to five earlier episodes of the same series and detector, the newest first, and how they ended.
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
    contributors: tuple[Contributor, ...]
    earlier: tuple[Past, ...]
    before: tuple[float, Severity, Direction] | None
    """Score, severity and direction that were told before the last change, None while there was none."""


class Change(msgspec.Struct, frozen=True):
    """What happened to a pattern. A re-opened one is "opened" again, under its old id (`episode.reopened` > 0)."""

    kind: ChangeKind
    episode: Episode
    subject: Subject

    @property
    def pattern(self) -> Pattern:
        """The pattern as it stands now: built when asked for, since most "observed" changes are never written."""
        return snapshot_pattern(self.episode, self.subject)


def advance(
    episode: Episode | None,
    subject: Subject,
    detector: str,
    verdict: Verdict | None,
    value: float,
    time_us: int,
    life: Life = DEFAULT_LIFE,
    past: Sequence[Past] = (),
) -> tuple[Episode | None, Change | None]:
    """Move the episode of one series and detector on by one judgement of `value` at event time `time_us`.

    `episode` is what the last call returned (None at first) and is changed in place. It is kept for a while after
    resolving, to re-open; None comes back when nothing needs to be remembered. `past` are earlier episodes, by which a
    new one may be familiar.

    >>> from operators.detect.threshold import ThresholdState, judge, rule_for
    >>> web, rule = Subject("web-1", "cpu_usage", "resource", "topic", 0), rule_for("cpu_usage")
    >>> state, episode = ThresholdState(), None
    >>> for second, value in enumerate([50.0, 96.0, 97.0, 50.0, 50.0, 50.0]):
    ...     episode, change = advance(episode, web, "threshold", judge(state, rule, value), value, second * 1_000_000)
    ...     print(change and change.kind)
    None
    opened
    observed
    None
    None
    resolved
    >>> snapshot_pattern(episode, web).pattern_name
    'cpu_usage of web-1 above 80 % (peak 97 %)'
    """
    if verdict is None or not verdict.abnormal:
        if episode is None:
            return None, None
        return _calm(episode, subject, verdict is None, value, time_us, life)
    if episode is not None and episode.active:
        return episode, _observe(episode, subject, verdict, value, time_us)
    back = episode is not None and _may_reopen(episode, time_us, life)
    if verdict.confidence < life.open_confidence:
        return (episode if back else None), None
    if episode is None or not back:
        episode = Episode(detector, time_us, time_us, time_us, count=0)
        episode.earlier = [one.peak_value for one in past if time_us - one.opened_us <= FAMILIAR_US]
    else:
        episode.active, episode.resolved_us, episode.quiet = True, None, 0
        episode.reopened += 1
    _observe(episode, subject, verdict, value, time_us)
    _tell(episode, subject)
    return episode, Change("opened", episode, subject)


def expire(
    episode: Episode, subject: Subject, time_us: int, life: Life = DEFAULT_LIFE
) -> tuple[Episode | None, Change | None]:
    """Resolve, or forget, the episode of a series that has fallen silent.

    `time_us` is the stream's time (a watermark), not the clock's. An episode that nothing judged for `life.silent_us`
    resolves as of its last judgement.
    """
    if time_us - episode.judged_us < life.silent_us:
        return episode, None
    if not episode.active:
        return None, None
    resolve(episode, episode.judged_us)
    return episode, Change("resolved", episode, subject)


def _may_reopen(episode: Episode, time_us: int, life: Life) -> bool:
    resolved_us = episode.seen_us if episode.resolved_us is None else episode.resolved_us
    return time_us - resolved_us <= life.flap_us or episode.quiet < life.flap_count


def _calm(
    episode: Episode, subject: Subject, normal: bool, value: float, time_us: int, life: Life
) -> tuple[Episode | None, Change | None]:
    episode.judged_us = max(episode.judged_us, time_us)
    if not episode.active:
        episode.quiet += normal
        return (episode if _may_reopen(episode, time_us, life) else None), None
    _remember(episode, value, time_us)
    if not normal:
        episode.quiet = 0
        return episode, None
    episode.quiet += 1
    needed = life.close_after * (1 + min(episode.reopened, 3))
    if episode.quiet < needed and time_us - episode.seen_us < life.quiet_us:
        return episode, None
    resolve(episode, time_us)
    return episode, Change("resolved", episode, subject)


def resolve(episode: Episode, time_us: int) -> None:
    """End an episode, at its last abnormal judgement at the earliest."""
    episode.active = False
    episode.resolved_us = max(time_us, episode.seen_us)
    episode.quiet = 0


def _observe(episode: Episode, subject: Subject, verdict: Verdict, value: float, time_us: int) -> Change:
    episode.count += 1
    episode.quiet = 0
    episode.seen_us = max(episode.seen_us, time_us)
    episode.judged_us = max(episode.judged_us, time_us)
    episode.value, episode.score = value, verdict.score
    episode.confidence = max(episode.confidence, verdict.confidence)
    if verdict.score > episode.peak_score or episode.count == 1:
        episode.peak_score, episode.peak_value, episode.peak_us = verdict.score, value, time_us
        episode.threshold, episode.direction = verdict.threshold, verdict.direction
        episode.expected, episode.low, episode.high = verdict.expected, verdict.low, verdict.high
        episode.evidence = verdict.evidence
    _remember(episode, value, time_us)
    if SEVERITIES.index(_severity(episode, subject)) > SEVERITIES.index(episode.told_severity) or (
        episode.peak_score >= STRONGER * episode.told
    ):
        kind: ChangeKind = "strengthening"
    elif episode.told_direction is not None and verdict.direction != episode.told_direction:
        kind = "shifting"
    elif episode.faded:
        if verdict.score * STRONGER < episode.told:
            return Change("observed", episode, subject)
        kind = "strengthening"
    elif episode.count > 1 and verdict.score * STRONGER * STRONGER <= episode.told:
        kind = "weakening"
    else:
        return Change("observed", episode, subject)
    _tell(episode, subject, verdict.direction, faded=kind == "weakening")
    return Change(kind, episode, subject)


def _tell(episode: Episode, subject: Subject, direction: Direction | None = None, faded: bool = False) -> None:
    if episode.told_direction is not None:
        episode.before = (episode.told, episode.told_severity, episode.told_direction)
    episode.told, episode.told_severity = episode.peak_score, _severity(episode, subject)
    episode.told_direction, episode.faded = direction or episode.direction, faded


def _remember(episode: Episode, value: float, time_us: int) -> None:
    episode.times.append(time_us)
    episode.values.append(value)
    if len(episode.times) > RECENT:
        del episode.times[0], episode.values[0]


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


def _severity(episode: Episode, subject: Subject) -> Severity:
    if episode.detector in KNOWLEDGE:
        return "info"
    welcome = episode.direction == "down" and subject.measure.endswith(_LESS_IS_BETTER)
    ratio = episode.peak_score / episode.threshold
    found = severity(ratio, episode.seen_us - episode.opened_us, episode.count, welcome)
    calm = episode.detector in SLOW or (episode.detector == SUDDEN and episode.count < PERSISTENT)
    if calm or episode.evidence.get("usual") or familiar(episode):
        return SEVERITIES[min(SEVERITIES.index(found), SEVERITIES.index("medium"))]
    return found


def familiar(episode: Episode) -> bool:
    """Whether the series has been as far off lately, in the same direction, as often as `FAMILIAR`."""
    peak = episode.peak_value
    up = episode.direction == "up"
    return sum([(value >= peak) if up else (value <= peak) for value in episode.earlier]) >= FAMILIAR


def pattern_id(detector: str, entity: str, measure: str, opened_us: int) -> uuid.UUID:
    """The id of the pattern that `detector` opened in a series at an event time, the same in each replay."""
    return identity("pattern", "\0".join((detector, entity, measure, str(opened_us))))


def past_of(episode: Episode, subject: Subject, silent: bool) -> Past:
    """What is remembered of an episode that has ended."""
    ended = episode.seen_us if episode.resolved_us is None else episode.resolved_us
    how: Literal["resolved", "silent"] = "silent" if silent else "resolved"
    return Past(episode.opened_us, ended, episode.peak_value, _severity(episode, subject), episode.count, how)


def snapshot_pattern(episode: Episode, subject: Subject, earlier: tuple[Past, ...] = ()) -> Pattern:
    """The pattern as it stands. `earlier`: episodes before this one, the newest first."""
    category, pattern_class = classify(subject.kind, subject.measure, episode.detector, episode.direction)
    rule = episode.evidence.get("rule")
    algorithm = f"{episode.detector}: {rule}" if rule else _ALGORITHMS.get(episode.detector, episode.detector)
    evidence: dict[str, Any] = dict(episode.evidence)
    evidence["threshold_score"] = episode.threshold
    evidence["recent"] = [
        {"time": moment(time), "value": value} for time, value in zip(episode.times, episode.values, strict=True)
    ]
    evidence["reopened"] = episode.reopened
    if familiar(episode):
        evidence["familiar"] = len(episode.earlier)
    evidence["input"], evidence["partition"], evidence["kind"] = (
        subject.input,
        subject.partition,
        subject.kind,
    )
    return Pattern(
        pattern_id=pattern_id(episode.detector, subject.entity, subject.measure, episode.opened_us),
        pattern_name=name(episode, subject),
        pattern_type=episode.detector,
        pattern_class=pattern_class,
        category=category,
        entity=subject.entity,
        measure=subject.measure,
        detection_algorithm=algorithm,
        confidence=episode.confidence,
        significance=significance(episode.peak_score, episode.threshold),
        severity=_severity(episode, subject),
        direction=episode.direction,
        opened_us=episode.opened_us,
        last_observed_us=episode.seen_us,
        observation_count=episode.count,
        value=episode.value,
        expected=episode.expected,
        low=episode.low,
        high=episode.high,
        score=episode.score,
        peak_value=episode.peak_value,
        peak_score=episode.peak_score,
        peak_us=episode.peak_us,
        is_active=episode.active,
        resolved_us=episode.resolved_us,
        explanation=explanation(episode, subject),
        evidence=evidence,
        contributors=tuple(episode.contributors) or ((f"{subject.entity} {subject.measure}", 1.0),),
        earlier=earlier,
        before=episode.before,
    )
