-- How many attempts at tasks started in a stretch of time, how many failed, and how long they took, by project.
SELECT
    project_name,
    count(*) AS attempts,
    count(*) FILTER (WHERE status IN ('failure', 'error', 'timeout')) AS failures,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds
FROM (
    SELECT project_name, status, extract(epoch FROM execution_end - execution_start)::float8 AS seconds
    FROM task_executions
    WHERE execution_start >= %(since)s AND execution_start < %(until)s
) AS attempt
GROUP BY project_name
ORDER BY attempts DESC, project_name
