-- How often each step of a pipeline ran and failed in a stretch of time, and how long it took.
SELECT
    step_name AS name,
    count(*) AS runs,
    count(*) FILTER (WHERE status IN ('success', 'failure', 'error', 'timeout')) AS judged,
    count(*) FILTER (WHERE status IN ('failure', 'error', 'timeout')) AS failed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds,
    max(execution_start) AS last_start
FROM (
    SELECT step_name, status, execution_start, extract(epoch FROM execution_end - execution_start)::float8 AS seconds
    FROM step_executions
    WHERE pipeline_name = %(pipeline)s AND execution_start >= %(since)s AND execution_start < %(until)s
) AS step
GROUP BY step_name
ORDER BY failed DESC, name
