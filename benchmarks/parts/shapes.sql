-- What dashboards and the API ask besides sql/queries: each statement with the stretch of time it is asked for.

-- 1h: raw of one series, 1h
SELECT collected_at, metric_value FROM system_metrics
WHERE metric_name = %(measure)s AND source_system = %(source)s AND metric_tags @> %(tags)s::jsonb
    AND collected_at >= %(from)s AND collected_at < %(to)s
ORDER BY collected_at;

-- 24h: raw of one series, 24h
SELECT collected_at, metric_value FROM system_metrics
WHERE metric_name = %(measure)s AND source_system = %(source)s AND metric_tags @> %(tags)s::jsonb
    AND collected_at >= %(from)s AND collected_at < %(to)s
ORDER BY collected_at;

-- 1h: raw of one series, 1h, ten days ago
SELECT collected_at, metric_value FROM system_metrics
WHERE metric_name = %(measure)s AND source_system = %(source)s AND metric_tags @> %(tags)s::jsonb
    AND collected_at >= %(from)s::timestamptz - interval '10 d' AND collected_at < %(to)s::timestamptz - interval '10 d'
ORDER BY collected_at;

-- 24h: raw samples by hour, 24h
SELECT date_bin('1 hour', collected_at, '2000-01-01Z') AS hour, count(*) FROM system_metrics
WHERE collected_at >= %(from)s AND collected_at < %(to)s
GROUP BY 1 ORDER BY 1;

-- 1h: top 10 series, 1m, 1h
SELECT entity, measure, max(max) AS peak FROM series_1m WHERE "time" >= %(from)s AND "time" < %(to)s
GROUP BY entity, measure ORDER BY peak DESC LIMIT 10;

-- 24h: top 10 series, 1h, 24h
SELECT entity, measure, max(max) AS peak FROM series_1h WHERE "time" >= %(from)s AND "time" < %(to)s
GROUP BY entity, measure ORDER BY peak DESC LIMIT 10;

-- 7d: top 10 series, 1h, 7d
SELECT entity, measure, max(max) AS peak FROM series_1h WHERE "time" >= %(from)s AND "time" < %(to)s
GROUP BY entity, measure ORDER BY peak DESC LIMIT 10;

-- 30d: top 10 series, 1d, 30d
SELECT entity, measure, max(max) AS peak FROM series_1d WHERE "time" >= %(from)s AND "time" < %(to)s
GROUP BY entity, measure ORDER BY peak DESC LIMIT 10;

-- 24h: all series of an entity, 5m, 24h
SELECT measure, "time", avg, max FROM series_5m
WHERE entity = %(entity)s AND "time" >= %(from)s AND "time" < %(to)s
ORDER BY measure, "time";

-- 30d: all series of an entity, 1h, 30d
SELECT measure, "time", avg, max FROM series_1h
WHERE entity = %(entity)s AND "time" >= %(from)s AND "time" < %(to)s
ORDER BY measure, "time";

-- 24h: one measure over all entities, 1h, 24h
SELECT "time", sum(sum) / sum(n) AS avg, max(max) FROM series_1h
WHERE measure = %(measure)s AND "time" >= %(from)s AND "time" < %(to)s
GROUP BY 1 ORDER BY 1;

-- 30d: samples by hour, from the hours, 30d
SELECT "time", sum(n) FROM series_1h WHERE "time" >= %(from)s AND "time" < %(to)s
GROUP BY 1 ORDER BY 1;

-- 24h: resources of one host, 24h
SELECT resource_type, measured_at, usage_percentage FROM resource_usage
WHERE host = %(host)s AND measured_at >= %(from)s AND measured_at < %(to)s
ORDER BY 1, 2;

-- 30d: newest 50 runs
SELECT id, pipeline_name, status, execution_start, total_duration FROM pipeline_executions
ORDER BY execution_start DESC, id DESC LIMIT 50;

-- 30d: runs of one pipeline, 30d
SELECT execution_start, status, total_duration FROM pipeline_executions
WHERE pipeline_name = %(pipeline)s AND execution_start >= %(from)s AND execution_start < %(to)s
ORDER BY execution_start;

-- 30d: one run by its id
SELECT * FROM pipeline_executions WHERE id = %(run)s;

-- 30d: steps of one run
SELECT * FROM step_executions WHERE pipeline_execution_id = %(run)s ORDER BY step_order;

-- 30d: attempts at one task
SELECT * FROM task_executions WHERE task_id = %(task)s ORDER BY execution_start DESC;

-- 30d: newest 50 events of a system
SELECT * FROM integration_events WHERE source_system = %(source)s ORDER BY event_timestamp DESC LIMIT 50;

-- 30d: events of one correlation
SELECT * FROM integration_events WHERE correlation_id = %(correlation)s ORDER BY event_timestamp;

-- 30d: open patterns
SELECT * FROM open_patterns ORDER BY severity, opened_at DESC LIMIT 100;

-- 30d: patterns by day and severity, 30d
SELECT date_bin('1 day', detected_at, '2000-01-01Z') AS day, severity, count(*) FROM detected_patterns
WHERE detected_at >= %(from)s AND detected_at < %(to)s
GROUP BY 1, 2 ORDER BY 1, 2;

-- 30d: history of one pattern
SELECT * FROM pattern_evolution WHERE pattern_id = %(pattern)s ORDER BY evolution_timestamp;

-- 24h: dead letters by reason, 24h
SELECT topic, reason, count(*) FROM dead_letters WHERE received_at >= %(from)s AND received_at < %(to)s
GROUP BY 1, 2 ORDER BY 3 DESC;
