"""A pattern as rows: `detected_patterns`, the table of its kind, and a line of its history."""

from typing import Any

from operators import tables as t
from operators.identity import identity
from operators.output import Found
from operators.patterns import EVOLUTION, Past, Pattern, Subject
from operators.tables import Table
from operators.words import moment

Row = tuple[Table, bytes, bytes]
"""A table, the bytes of the row's key, and the row."""

_TREND = {"up": "increasing", "down": "decreasing"}


def pattern_rows(found: Found, subject: Subject) -> list[Row]:
    """The rows that a change of a pattern writes. All but the history replace what an earlier change wrote."""
    pattern = found.pattern
    identifier = pattern.pattern_id
    data = {
        "class": pattern.pattern_class.value,
        "value": pattern.value,
        "expected": pattern.expected,
        "low": pattern.low,
        "high": pattern.high,
        "score": pattern.score,
        "peak_value": pattern.peak_value,
        "peak_score": pattern.peak_score,
        "window": {"from": moment(pattern.opened_us), "to": moment(pattern.resolved_us or pattern.last_observed_us)},
        "contributors": [{"name": name, "share": round(share, 4)} for name, share in pattern.contributors],
        "earlier": [_earlier(past) for past in pattern.earlier],
        "evidence": pattern.evidence,
    }
    values = (
        identifier,
        pattern.pattern_name,
        pattern.pattern_type,
        pattern.category.value,
        data,
        pattern.detection_algorithm,
        pattern.confidence,
        pattern.significance,
        pattern.opened_us,
        pattern.last_observed_us,
        pattern.observation_count,
        pattern.is_active,
        pattern.entity,
        pattern.measure,
        pattern.severity,
        pattern.direction,
        pattern.opened_us,
        pattern.resolved_us,
        pattern.opened_us,
        found.ingested_us,
        found.decided_us,
        pattern.explanation,
    )
    rows: list[Row] = [(t.DETECTED_PATTERNS, identifier.bytes, t.DETECTED_PATTERNS.encode(values))]
    special = _of_kind(pattern, subject, data)
    if special is not None:
        table, columns = special
        rows.append((table, identifier.bytes, table.encode(columns)))
    change = "opened" if found.change == "confirmed" else found.change
    if change in EVOLUTION:
        rows.append(_history(pattern, change))
    return rows


def _of_kind(pattern: Pattern, subject: Subject, data: dict[str, Any]) -> tuple[Table, tuple[Any, ...]] | None:
    identifier = pattern.pattern_id
    match subject.kind:
        case "metric" | "resource" | "code":
            trend = _TREND.get(pattern.direction, "volatile")
            columns: tuple[Any, ...] = (
                identifier,
                identifier,
                [pattern.measure],
                pattern.pattern_type,
                {"entity": pattern.entity, **data},
                pattern.significance,
                trend,
                pattern.opened_us,
            )
            return t.METRIC_PATTERNS, columns
        case "pipeline" | "step":
            columns = (
                identifier,
                identifier,
                pattern.entity,
                pattern.pattern_type,
                pattern.explanation,
                data,
                pattern.confidence,
                pattern.significance,
                pattern.opened_us,
            )
            return t.EXECUTION_PATTERNS, columns
        case "task":
            columns = (
                identifier,
                identifier,
                pattern.pattern_type,
                {"entity": pattern.entity, "measure": pattern.measure, **data},
                pattern.confidence,
                pattern.opened_us,
                [],
            )
            return t.TASK_PATTERNS, columns
        case "integration":
            columns = (
                identifier,
                identifier,
                pattern.pattern_name,
                pattern.pattern_type,
                systems_of(pattern.entity),
                {"entity": pattern.entity, "measure": pattern.measure, **data},
                {"observation_count": pattern.observation_count},
                {"value": pattern.value, "expected": pattern.expected},
                pattern.opened_us,
                pattern.confidence,
            )
            return t.INTEGRATION_PATTERNS, columns
    return None


def _earlier(past: Past) -> dict[str, Any]:
    return {
        "opened_at": moment(past.opened_us),
        "ended_at": moment(past.ended_us),
        "duration_s": round((past.ended_us - past.opened_us) / 1e6, 3),
        "peak_value": past.peak_value,
        "severity": past.severity,
        "observations": past.count,
        "ended": past.ended,
    }


def systems_of(entity: str) -> list[str]:
    """The systems in an integration's entity.

    >>> systems_of("github→jira:webhook"), systems_of("github:push")
    (['github', 'jira'], ['github'])
    """
    return entity.rpartition(":")[0].split("→", 1)


def _history(pattern: Pattern, change: str) -> Row:
    when = {"strengthening": pattern.peak_us, "resolved": pattern.resolved_us}.get(change, pattern.last_observed_us)
    at_us = pattern.last_observed_us if when is None else when
    score = pattern.score if change in ("weakening", "shifting") else pattern.peak_score
    state = {
        "severity": pattern.severity,
        "direction": pattern.direction,
        "score": score,
        "value": pattern.value,
        "peak_value": pattern.peak_value,
        "observation_count": pattern.observation_count,
        "is_active": pattern.is_active,
    }
    before = pattern.before
    previous = {} if before is None else {"score": before[0], "severity": before[1], "direction": before[2]}
    key = f"{pattern.pattern_id}/{change}/{at_us}"
    values = (
        identity("pattern_evolution", key),
        pattern.pattern_id,
        change,
        previous,
        state,
        score - (0.0 if before is None else before[0]),
        at_us,
        dict(pattern.contributors),
    )
    return t.PATTERN_EVOLUTION, key.encode(), t.PATTERN_EVOLUTION.encode(values)
