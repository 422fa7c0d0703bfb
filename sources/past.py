"""Events again, from the tables that hold them: what `replay` and `backtest` judge anew.

Each row of a run, a sample or an integration becomes the event of the contract that would make it, in order of event
time (equal times by id). Not exactly the input: the order of arrival is not kept, nor which records came late; a
started event is made only for a run that has not finished, or whose pipeline has an overdue pattern.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from operators.types import TYPE_PREFIX

CHUNK = 5_000
"""Rows fetched at a time from the server-side cursor."""

EVENTS = """
SELECT collected_at AS at, event_key::text AS id, 'metric.sampled' AS type, jsonb_build_object(
    'metric_name', metric_name, 'metric_value', metric_value, 'source_system', source_system,
    'metric_tags', metric_tags) AS data
FROM system_metrics
WHERE NOT starts_with(source_system, 'code:') AND collected_at >= %(since)s AND collected_at < %(until)s
    AND (%(entity)s::text IS NULL OR source_system = split_part(%(entity)s, '{', 1))

UNION ALL
SELECT collected_at, event_key::text, 'code.measured', jsonb_build_object(
    'codebase_id', substr(source_system, 6), 'metric_type', metric_name, 'metric_value', metric_value,
    'path', metric_tags -> 'path', 'symbol', metric_tags -> 'symbol',
    'scope', CASE WHEN metric_tags ? 'symbol' THEN 'symbol' WHEN metric_tags ? 'path' THEN 'file' ELSE 'repo' END)
FROM system_metrics
WHERE starts_with(source_system, 'code:') AND collected_at >= %(since)s AND collected_at < %(until)s
    AND (%(entity)s::text IS NULL OR starts_with(%(entity)s || ':', substr(source_system, 6) || ':'))

UNION ALL
SELECT measured_at, event_key::text, 'resource.sampled', jsonb_build_object(
    'host', host, 'resource_type', resource_type, 'usage_percentage', usage_percentage)
FROM resource_usage
WHERE measured_at >= %(since)s AND measured_at < %(until)s AND (%(entity)s::text IS NULL OR host = %(entity)s)

UNION ALL
SELECT event_time, event_id, 'pipeline.finished', jsonb_build_object(
    'pipeline_name', pipeline_name, 'execution_id', execution_id, 'execution_start', execution_start,
    'execution_end', execution_end, 'trigger_type', trigger_type, 'status', status, 'total_duration_s', total_duration,
    'steps', (
        SELECT jsonb_agg(jsonb_build_object(
            'step_name', s.step_name, 'step_order', s.step_order, 'execution_start', s.execution_start,
            'execution_end', s.execution_end, 'status', s.status) ORDER BY s.step_order)
        FROM step_executions AS s WHERE s.pipeline_execution_id = p.id))
FROM pipeline_executions AS p
WHERE event_finished AND event_time >= %(since)s AND event_time < %(until)s
    AND (%(entity)s::text IS NULL OR starts_with(%(entity)s || '/', pipeline_name || '/'))

UNION ALL
SELECT execution_start, event_id || '/started', 'pipeline.started', jsonb_build_object(
    'pipeline_name', pipeline_name, 'execution_id', execution_id, 'execution_start', execution_start,
    'trigger_type', trigger_type)
FROM pipeline_executions AS p
WHERE execution_start >= %(since)s AND execution_start < %(until)s
    AND (NOT event_finished OR EXISTS (
        SELECT FROM detected_patterns AS d WHERE d.entity = p.pipeline_name AND d.pattern_type = 'overdue'))
    AND (%(entity)s::text IS NULL OR starts_with(%(entity)s || '/', pipeline_name || '/'))

UNION ALL
SELECT event_time, event_id, 'task.finished', jsonb_build_object(
    'task_id', task_id, 'execution_id', external_id, 'attempt', attempt, 'execution_start', execution_start,
    'execution_end', execution_end, 'status', status, 'project_id', project_name)
FROM task_executions
WHERE execution_end IS NOT NULL AND event_time >= %(since)s AND event_time < %(until)s
    AND (%(entity)s::text IS NULL OR coalesce(project_name, 'tasks') = %(entity)s)

UNION ALL
SELECT event_timestamp, id::text, 'integration.occurred', jsonb_build_object(
    'event_type', event_type, 'source_system', source_system, 'target_system', target_system,
    'event_data', '{}'::jsonb, 'processing_duration_ms', processing_duration, 'status', status)
FROM integration_events
WHERE event_timestamp >= %(since)s AND event_timestamp < %(until)s
    AND (%(entity)s::text IS NULL
        OR source_system || coalesce('→' || target_system, '') || ':' || event_type = %(entity)s)
ORDER BY at, id
"""
"""Parameters: `since`, `until`, and `entity` (null: all)."""

FIRST = """
SELECT least(
    (SELECT min(collected_at) FROM system_metrics), (SELECT min(measured_at) FROM resource_usage),
    (SELECT min(execution_start) FROM pipeline_executions), (SELECT min(execution_start) FROM task_executions),
    (SELECT min(event_timestamp) FROM integration_events))
"""


def past_events(
    connection: psycopg.Connection[Any], since: datetime, until: datetime, entity: str | None = None
) -> Iterator[list[bytes]]:
    """Events of the time range [`since`, `until`), up to `CHUNK` at a time, as records of the contract.

    `entity`: only those that a series of this entity is made of (for a step, the runs of its pipeline). Needs read
    access to the raw tables. Raises `psycopg.Error` as the server does.
    """
    with connection.transaction(), connection.cursor("hindsight_past") as cursor:
        cursor.execute(EVENTS, {"since": since, "until": until, "entity": entity})
        while rows := cursor.fetchmany(CHUNK):
            yield [_record(*row) for row in rows]


def first_event(connection: psycopg.Connection[Any]) -> datetime | None:
    """The earliest event time that any of the tables holds, None when they hold nothing."""
    row = connection.execute(FIRST).fetchone()
    return None if row is None else row[0]


def _record(at: datetime, identifier: str, kind: str, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": identifier,
            "source": "hindsight:past",
            "type": f"{TYPE_PREFIX}{kind}.v1",
            "time": at.astimezone(UTC).isoformat(),
            "data": {name: value for name, value in data.items() if value is not None},
        }
    )
