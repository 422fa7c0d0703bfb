-- In which steps does the time go?
-- With: from = now() - interval '7 d'; to = now(); most = 20
SELECT
    pipeline_name, step_name, sum(runs)::bigint AS runs, sum(total_seconds) / 3600 AS hours,
    sum(total_seconds) / sum(sum(total_seconds)) OVER () AS share_of_all,
    sum(total_seconds) / nullif(sum(timed), 0) AS mean_seconds,
    sum(p95_seconds * timed) / nullif(sum(timed), 0) AS usual_p95_seconds, max(max_seconds) AS max_seconds
FROM step_health
WHERE day >= %(from)s AND day < %(to)s
GROUP BY pipeline_name, step_name
ORDER BY hours DESC NULLS LAST, pipeline_name, step_name
LIMIT %(most)s
