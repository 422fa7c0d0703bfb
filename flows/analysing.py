"""The work of an analysis on demand: a range of a database's history judged as the realtime flow would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg

from api.config import Progress
from flows import settings as settings_module
from flows.backtesting import Outcome, judge_events, stored, write_patterns
from flows.feedback import adjustments_of
from flows.realtime import partition_config
from operators.patterns import Pattern
from operators.words import moment
from sources.past import first_event, past_events

MOST_PATTERNS = 500
"""Patterns that a result lists; of more it has the number."""


class AnalysisError(Exception):
    """One line for whoever asked."""

    one_line = True


class _Timed(msgspec.Struct):
    time: datetime


def analyse(url: str, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Judge the history that a request of `api.routes.analyses.AnalysisRequest` names, and say what was found.

    The result: counts, patterns by severity, the patterns themselves (the latest `MOST_PATTERNS`), and how many of them
    are stored already. Whatever `progress` raises ends it. Raises :class:`AnalysisError`.
    """
    since, until = (datetime.fromisoformat(request[name]) for name in ("start_date", "end_date"))
    entity, measure, types = (request.get(name) for name in ("entity", "measure", "pattern_types"))
    try:
        chosen = _settings(url, request)
        with psycopg.connect(url, connect_timeout=10, application_name="hindsight-analysis") as connection:
            begin = _begin(connection, since, request.get("learn_days"))
            records = past_events(connection, begin, until, entity) if begin is not None and begin < until else ()
            outcome = judge_events(
                _told(records, begin or since, until, progress),
                partition_config(chosen),
                topic="replay",
                adjustments=adjustments_of(url),
            )
        outcome = outcome.only(entity, measure).between(_micros(since), _micros(until))
        if types:
            kept = {key: one for key, one in outcome.patterns.items() if one.pattern_type in types}
            outcome = msgspec.structs.replace(outcome, patterns=kept)
        held = stored(url, _micros(since), _micros(until), entity)
        progress(1.0)
        if request.get("store"):
            write_patterns(url, outcome)
    except psycopg.Error as problem:
        raise AnalysisError(f"the database: {str(problem).strip().splitlines()[0]}") from None
    return _result(outcome, len(held & set(outcome.patterns)), bool(request.get("store")))


def _settings(url: str, request: dict[str, Any]) -> settings_module.Settings:
    given: dict[str, Any] = {"pattern_confidence_threshold": request.get("confidence_threshold")}
    given["anomaly_detection_sensitivity"] = request.get("sensitivity")
    return settings_module.load(database_url=url, **given)


def _begin(connection: psycopg.Connection[Any], since: datetime, learn_days: int | None) -> datetime | None:
    first = first_event(connection)
    if first is None or learn_days is None:
        return first
    return max(first, since - timedelta(days=learn_days))


def _told(
    batches: Iterable[list[bytes]], begin: datetime, until: datetime, progress: Progress
) -> Iterator[list[bytes]]:
    """The batches, with their share of the time told after each."""
    whole = max((until - begin).total_seconds(), 1.0)
    progress(0.0)
    for batch in batches:
        yield batch
        at = msgspec.json.decode(batch[-1], type=_Timed).time
        progress(min((at - begin).total_seconds() / whole, 1.0))


def _result(outcome: Outcome, known: int, written: bool) -> dict[str, Any]:
    found = list(outcome.patterns.values())
    return {
        "events": outcome.events,
        "refused": outcome.refused,
        "patterns_found": len(found),
        "patterns_known": known,
        "stored": written,
        "by_severity": outcome.by_severity(),
        "patterns": [_shown(one) for one in reversed(found[-MOST_PATTERNS:])],
    }


def _shown(pattern: Pattern) -> dict[str, Any]:
    return {
        "id": str(pattern.pattern_id),
        "pattern_type": pattern.pattern_type,
        "pattern_class": pattern.pattern_class.value,
        "confidence_score": pattern.confidence,
        "severity": pattern.severity,
        "entity": pattern.entity,
        "measure": pattern.measure,
        "detected_at": moment(pattern.opened_us),
        "resolved_at": None if pattern.resolved_us is None else moment(pattern.resolved_us),
        "description": pattern.explanation,
    }


def _micros(time: datetime) -> int:
    return round(time.astimezone(UTC).timestamp() * 1_000_000)
