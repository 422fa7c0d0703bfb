-- How often each pipeline ran and failed in a stretch of time, and how long it took.
SELECT
    pipeline_name AS name,
    count(*) AS runs,
    count(*) FILTER (WHERE status IN ('success', 'failure', 'error', 'timeout')) AS judged,
    count(*) FILTER (WHERE status IN ('failure', 'error', 'timeout')) AS failed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY total_duration) AS median_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY total_duration) AS p95_seconds,
    max(execution_start) AS last_start
FROM pipeline_executions
WHERE execution_start >= %(since)s AND execution_start < %(until)s
GROUP BY pipeline_name
ORDER BY failed DESC, name
