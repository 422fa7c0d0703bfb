"""What is told of an incident: title, summary, how bad, how sure, and who has which share in it."""

from collections import Counter
from collections.abc import Iterable, Sequence

from operators.episodes import SEVERITIES, Severity
from operators.incident.entities import root
from operators.incident.seen import GroupingConfig, Seen
from operators.incident.state import Incident, Signature
from operators.notices import Evidence, Notice
from operators.words import moment

MOST_EVIDENCE = 10
"""Patterns that a notice shows."""
MOST_CONTRIBUTORS = 10
"""Series that it names."""
SURE = 0.99
"""Most that a confidence can be: detectors err together."""
FURTHER = 0.5
"""Weight of the confidence of each series but the surest, since series of one incident are not independent."""
LEAST_EXCESS = 0.01
"""Weight of a pattern at its threshold."""
NAMED = 3
"""Entities that a summary names."""
BAD = SEVERITIES.index("medium")


def severity(patterns: Sequence[Seen], wide: bool, least: int) -> Severity:
    """The greatest of the patterns; one step more if the incident is wide and medium or worse in `least` roots.

    >>> from tests.operators.incident.make import seen
    >>> four = [seen(f"host-{number}", severity="medium") for number in range(4)]
    >>> severity(four, True, 4), severity(four, False, 4), severity(four[:3], True, 4)
    ('high', 'medium', 'medium')
    """
    worst = max((SEVERITIES.index(one.severity) for one in patterns), default=0)
    bad = {root(one.entity, one.kind) for one in patterns if SEVERITIES.index(one.severity) >= BAD}
    return SEVERITIES[min(worst + (wide and len(bad) >= least), len(SEVERITIES) - 1)]


def confidence(patterns: Iterable[Seen]) -> float:
    """Noisy-or over the series: the surest in full, each other one by half; at most 0.99.

    >>> from tests.operators.incident.make import seen
    >>> confidence([seen("a", confidence=0.8)]), round(confidence([seen("a"), seen("b"), seen("b", number=1)]), 3)
    (0.8, 0.88)
    """
    by_series: dict[tuple[str, str], float] = {}
    for one in patterns:
        place = (one.entity, one.measure)
        by_series[place] = max(one.confidence, by_series.get(place, 0.0))
    doubt = 1.0
    for number, value in enumerate(sorted(by_series.values(), reverse=True)):
        doubt *= 1.0 - value * (1.0 if number == 0 else FURTHER)
    return round(min(SURE, 1.0 - doubt), 6)


def weight(seen: Seen) -> float:
    """How much of an incident a pattern is: its excess over the significance at the threshold, by confidence."""
    return max(seen.significance - 0.5, LEAST_EXCESS) * seen.confidence


def contributors(patterns: Iterable[Seen]) -> list[tuple[str, float]]:
    """Series and their shares of the excess significance, largest first; the shares of all add up to 1.

    >>> from tests.operators.incident.make import seen
    >>> contributors([seen("a", significance=0.8), seen("b", significance=0.6)])
    [('a m', 0.75), ('b m', 0.25)]
    """
    by_series: dict[str, float] = {}
    for one in patterns:
        name = f"{one.entity} {one.measure}"
        by_series[name] = max(weight(one), by_series.get(name, 0.0))
    total = sum(by_series.values())
    shares = [(name, round(value / total, 6)) for name, value in by_series.items()]
    return sorted(shares, key=lambda pair: (-pair[1], pair[0]))


def shares(patterns: Iterable[Seen]) -> dict[str, float]:
    """The share of each pattern, by its id as text."""
    weights = {str(one.pattern_id): weight(one) for one in patterns}
    total = sum(weights.values())
    return {name: value / total for name, value in weights.items()}


def inhibited_by_people(patterns: Sequence[Seen]) -> str | None:
    """Why nobody is told, if people have judged every pattern that goes on (or all, when none does) as no news.

    >>> from tests.operators.incident.make import seen
    >>> inhibited_by_people([seen("a", verdict="expected", verdict_by="ada")])
    'expected: labelled by ada'
    >>> inhibited_by_people([seen("a", verdict="expected"), seen("b")])
    """
    going = [one for one in patterns if one.is_active] or list(patterns)
    if not going or any(one.verdict not in ("expected", "false_positive") for one in going):
        return None
    first = going[0]
    what = "expected" if first.verdict == "expected" else "false alarm"
    return f"{what}: labelled by {first.verdict_by or 'a person'}"


def notice(
    incident: Incident, patterns: Sequence[Seen], config: GroupingConfig, inhibited: str | None = None
) -> Notice:
    """The incident as it stands. `patterns`: those remembered, in order; none for one merged or retracted."""
    strongest = sorted(patterns, key=lambda one: (-SEVERITIES.index(one.severity), -weight(one), one.order))
    wide = bool(incident.wide)
    lead = strongest[0] if strongest else None
    last = max((one.end_us for one in patterns), default=incident.ended_us or incident.started_us)
    number = len(patterns) + incident.gone
    if inhibited is None:
        inhibited = inhibited_by_people(patterns)
    category, pattern_class = _kind(patterns)
    return Notice(
        incident_id=incident.incident_id,
        title=_title(strongest, number, wide),
        summary=_summary(incident, strongest, number),
        entity=_root(patterns),
        category=category,
        pattern_class=pattern_class,
        severity=severity(patterns, wide, config.burst_patterns),
        confidence=confidence(patterns) if lead else 0.0,
        started_us=incident.started_us,
        updated_us=last,
        ended_us=None if incident.status == "open" else incident.ended_us,
        patterns=number,
        series=len({(one.entity, one.measure) for one in patterns}),
        evidence=tuple(_evidence(one) for one in strongest[:MOST_EVIDENCE]),
        contributors=tuple(contributors(patterns)[:MOST_CONTRIBUTORS]),
        changes=tuple(incident.changes),
        inhibited=inhibited,
    )


def signature(incident: Incident, told: Notice) -> Signature:
    """What of a notice is news when it changes; that values move on is none."""
    return Signature(told.severity, told.patterns, incident.status, told.inhibited, len(told.changes))


def _evidence(seen: Seen) -> Evidence:
    return Evidence(
        seen.pattern_id, seen.entity, seen.measure, seen.detector, seen.pattern_class, seen.severity, seen.confidence,
        seen.value, seen.low, seen.high, seen.opened_us, seen.sentence,
    )  # fmt: skip


def _root(patterns: Sequence[Seen]) -> str:
    """The root that most patterns have; of equals, that of the first."""
    roots = [root(one.entity, one.kind) for one in patterns]
    counts = Counter(roots)
    return max(counts, key=lambda name: (counts[name], -roots.index(name))) if counts else ""


def _kind(patterns: Sequence[Seen]) -> tuple[str, str]:
    """The category and class with the greatest weight."""
    weights: Counter[tuple[str, str]] = Counter()
    for one in patterns:
        weights[one.category, one.pattern_class] += weight(one)  # type: ignore[assignment]
    return max(weights, key=lambda pair: (weights[pair], pair)) if weights else ("performance", "")


def _title(strongest: Sequence[Seen], number: int, wide: bool) -> str:
    if not strongest:
        return "taken back"
    if number == 1:
        return strongest[0].name
    roots = list(dict.fromkeys(root(one.entity, one.kind) for one in strongest))
    if wide:
        return f"{len(roots)} things at once, {_list(roots)}: {number} patterns"
    measures = list(dict.fromkeys(one.measure for one in strongest))
    more = f" and {len(roots) - 1} more" if len(roots) > 1 else ""
    return f"{_root(strongest)}{more}: {_list(measures)} ({number} patterns)"


def _summary(incident: Incident, strongest: Sequence[Seen], number: int) -> str:
    if not strongest:
        into = f" into {incident.merged_into}" if incident.merged_into else ""
        return f"{incident.status}{into}"
    lead = strongest[0].sentence or f"{strongest[0].name}."
    if number == 1:
        return lead
    entities = list(dict.fromkeys(one.entity for one in strongest))
    series = len({(one.entity, one.measure) for one in strongest})
    also = f" Also: {_list(entities[1:])}." if len(entities) > 1 else ""
    return f"{lead}{also} {number} patterns in {series} series since {moment(incident.started_us)}."


def _list(names: Sequence[str]) -> str:
    """The first few, and how many more.

    >>> _list(["a", "b"]), _list(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
