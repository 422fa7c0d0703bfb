-- Which pipelines got slower or fail more than in the week before?
-- With: to = date_trunc('day', now(), 'UTC'); most = 20
WITH week AS (
    SELECT
        pipeline_name, day >= %(to)s::timestamptz - interval '7 d' AS is_new,
        sum(runs)::bigint AS runs, sum(total_seconds) / nullif(sum(timed), 0) AS mean_seconds,
        sum(p95_seconds * timed) / nullif(sum(timed), 0) AS usual_p95_seconds,
        sum(failed) / nullif(sum(succeeded + failed), 0)::float8 AS failure_rate
    FROM pipeline_health
    WHERE day >= %(to)s::timestamptz - interval '14 d' AND day < %(to)s
    GROUP BY 1, 2
)
SELECT
    a.pipeline_name, b.runs AS runs_before, a.runs AS runs_after,
    b.mean_seconds AS mean_seconds_before, a.mean_seconds AS mean_seconds_after,
    a.mean_seconds / nullif(b.mean_seconds, 0) - 1 AS slower_by,
    b.usual_p95_seconds AS p95_seconds_before, a.usual_p95_seconds AS p95_seconds_after,
    b.failure_rate AS failure_rate_before, a.failure_rate AS failure_rate_after,
    a.failure_rate - b.failure_rate AS failure_rate_change
FROM week AS a JOIN week AS b ON b.pipeline_name = a.pipeline_name AND a.is_new AND NOT b.is_new
ORDER BY slower_by DESC NULLS LAST, a.pipeline_name
LIMIT %(most)s
