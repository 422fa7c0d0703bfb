"""Rows that the API shows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from operators.identity import series_id
from sql.store.patterns import DetectedPattern
from sql.store.performance import Opportunity
from sql.store.store import Store

T0 = datetime(2026, 1, 5, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def pattern(number: int, **given: Any) -> DetectedPattern:
    """Pattern `number`, a minute after the one before."""
    at = given.pop("at", T0 + number * MINUTE)
    values: dict[str, Any] = {
        "id": uuid.UUID(int=number), "pattern_name": f"High cpu_usage on web-{number}", "pattern_type": "spike",
        "pattern_category": "performance",
        "pattern_data": {"class": "cpu_memory_usage_trend", "value": 93.0, "expected": 41.0, "evidence": {"z": 7.5}},
        "detection_algorithm": "spike", "confidence_score": 0.9, "significance_score": 0.8, "detected_at": at,
        "last_observed_at": at + 5 * MINUTE, "entity": "web-1", "measure": "cpu_usage", "severity": "high",
        "direction": "up", "opened_at": at, "explanation": f"cpu_usage of web-1 is 93 % ({number}).",
    }  # fmt: skip
    return DetectedPattern(**values | given)


def patterns(store: Store, count: int, first: int = 1) -> list[DetectedPattern]:
    rows = [pattern(number) for number in range(first, first + count)]
    store.patterns.patterns.save_all(rows)
    return rows


def opportunity(**given: Any) -> Opportunity:
    values: dict[str, Any] = {
        "opportunity_type": "cache", "component_affected": "web-1", "potential_improvement": 22.5,
        "effort_estimate": "low", "priority_score": 0.9, "recommendation_text": "Keep what was fetched.",
        "supporting_data": {"implementation_steps": ["Add a cache.", "Measure."], "runs": 7}, "identified_at": T0,
    }  # fmt: skip
    return Opportunity(**values | given)


def series(url: str, entity: str, measure: str, minutes: list[tuple[int, float]]) -> int:
    """A series with one value a minute, at minutes from T0; gives its id."""
    number = series_id(entity, measure)
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO series VALUES (%s, %s, %s, 'resource') ON CONFLICT DO NOTHING", [number, entity, measure]
        )
        for size, table in {1 / 6: "rollups_10s", 1: "rollups_1m", 5: "rollups_5m"}.items():
            buckets: dict[float, list[tuple[int, float]]] = {}
            for minute, value in minutes:
                buckets.setdefault(minute // size * size if size > 1 else minute, []).append((minute, value))
            times = [T0 + minute * MINUTE for minute in buckets]
            cursor.execute("SELECT ensure_partitions(%s::regclass, %s::timestamptz[])", [table, times])
            cursor.executemany(
                f'INSERT INTO {table} (series_id, "time", input, partition, n, sum, min, max, sum_squares, first, last,'
                " first_at, last_at) VALUES (%s, %s, 1, 0, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        number, T0 + bucket * MINUTE, len(held), sum(values), min(values), max(values),
                        sum(value * value for value in values), values[0], values[-1], T0 + held[0][0] * MINUTE,
                        T0 + held[-1][0] * MINUTE,
                    )
                    for bucket, held in buckets.items()
                    for values in [[value for _, value in held]]
                ],
            )  # fmt: skip
    return number
