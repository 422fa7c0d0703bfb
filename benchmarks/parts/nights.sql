-- A year of an organisation's work, made by the server: runs with three steps each, integration events, tasks. Of every
-- tenth pipeline, builds that touch payments after 16:00 fail four times as often; every tenth deployment that follows a
-- failed build fails too. Parameters: runs, pipelines.
INSERT INTO pipeline_executions (
    id, execution_id, pipeline_name, execution_start, execution_end, status, trigger_type, trigger_data, total_duration,
    commit_sha, event_finished, event_time, event_id
)
SELECT
    md5('run' || n)::uuid, n::text, 'team-' || (n % %(pipelines)s) / 10 || '/service-' || n % %(pipelines)s, at,
    at + took * interval '1 s', status, CASE WHEN n % 7 = 0 THEN 'scheduled' ELSE 'webhook' END,
    jsonb_build_object(
        'touches', touches, 'author', 'dev-' || floor(r3 * 40)::int, 'branch', CASE WHEN r4 < 0.6 THEN 'main' ELSE 'topic' END,
        'churn', floor(r5 * 2000)),
    took, 'c' || CASE WHEN n % 10 < 3 THEN n / (3 * %(pipelines)s) ELSE n END, true, at + took * interval '1 s', n::text
FROM (
    SELECT *, CASE
        WHEN r1 >= CASE WHEN touches ? 'payments' AND extract(hour FROM at AT TIME ZONE 'UTC') >= 16
            AND n % %(pipelines)s % 10 = 0 THEN 0.32 ELSE 0.08 END THEN 'success'
        WHEN r2 < 0.75 THEN 'failure' WHEN r2 < 0.95 THEN 'error' ELSE 'timeout' END AS status
    FROM (
        SELECT
            n, timestamptz '2025-01-01Z' + n * (interval '365 d' / %(runs)s) AS at, 120 - 60 * ln(1 - random()) AS took,
            random() AS r1, random() AS r2, random() AS r3, random() AS r4, random() AS r5,
            CASE floor(random() * 4)::int WHEN 0 THEN '["payments"]' WHEN 1 THEN '["search", "users"]'
                WHEN 2 THEN '["payments", "mail"]' ELSE '["docs"]' END::jsonb AS touches
        FROM generate_series(0, %(runs)s - 1) AS n
    ) AS drawn
) AS judged;

INSERT INTO step_executions (
    id, pipeline_execution_id, pipeline_name, step_name, step_order, execution_start, execution_end, status, error_details,
    event_time, event_id
)
SELECT
    md5(id::text || place)::uuid, id, pipeline_name, step, place, execution_start + (place - 1) * (execution_end - execution_start) / 3,
    execution_start + place * (execution_end - execution_start) / 3, CASE WHEN bad THEN status ELSE 'success' END,
    CASE WHEN bad THEN jsonb_build_object('message', (ARRAY[
        'connection refused by upstream gateway', 'assertion failed: expected ', 'disk quota exceeded on volume ',
        'timeout waiting for lock held by ', 'out of memory in worker '])[1 + (h % 5)] || ' ' || h) ELSE '{}' END,
    event_time, event_id
FROM (
    SELECT *, status <> 'success' AND place = 1 + h % 3 AS bad
    FROM (SELECT *, abs(hashtext(id::text)) % 1000 AS h FROM pipeline_executions) AS p
    CROSS JOIN (VALUES (1, 'lint'), (2, 'unit'), (3, 'e2e')) AS s (place, step)
) AS steps;

INSERT INTO integration_events (
    id, event_type, source_system, target_system, event_data, event_timestamp, processing_duration, status, error_details,
    correlation_key
)
SELECT
    md5('event' || n)::uuid, (ARRAY['order', 'charge', 'ticket'])[1 + n % 3], 'shop', (ARRAY['bank', 'bank', 'desk'])[1 + n % 3],
    '{}', timestamptz '2025-01-01Z' + n * (interval '365 d' / (%(runs)s / 4)), 20 - 30 * ln(1 - random()),
    CASE WHEN random() < 0.06 THEN 'failure' ELSE 'success' END, '{}', 'k' || n / 3
FROM generate_series(0, %(runs)s / 4 - 1) AS n;

INSERT INTO task_executions (
    id, task_id, external_id, attempt, execution_start, execution_end, status, error_type, project_name, event_time, event_id
)
SELECT
    md5('done' || n)::uuid, md5('task' || n / 2)::uuid, n::text, 1 + n % 2,
    timestamptz '2025-01-01Z' + n * (interval '364 d' / (%(runs)s / 10)),
    timestamptz '2025-01-01Z' + n * (interval '364 d' / (%(runs)s / 10)) + random() * interval '20 h',
    CASE WHEN random() < 0.1 THEN 'error' ELSE 'success' END, NULL, 'project-' || n / 2 % 20, now(), n::text
FROM generate_series(0, %(runs)s / 10 - 1) AS n;
