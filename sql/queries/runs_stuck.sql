-- Which runs go on for longer than their pipeline usually takes?
-- With: from = now() - interval '7 d'; to = now(); most = 50
WITH usual AS (
    SELECT pipeline_name, max(p95_seconds) AS p95_seconds
    FROM pipeline_health
    WHERE day >= %(from)s::timestamptz - interval '1 d' AND day < %(to)s
    GROUP BY pipeline_name
)
SELECT
    r.pipeline_name, r.execution_id, r.execution_start, r.commit_sha,
    extract(epoch FROM %(to)s::timestamptz - r.execution_start)::float8 AS seconds_so_far,
    u.p95_seconds AS greatest_daily_p95_seconds
FROM pipeline_runs AS r JOIN usual AS u USING (pipeline_name)
WHERE r.status = 'running' AND r.execution_start >= %(from)s AND r.execution_start < %(to)s
    AND r.execution_start < %(to)s::timestamptz - u.p95_seconds * interval '1 s'
ORDER BY r.execution_start, r.pipeline_name
LIMIT %(most)s
