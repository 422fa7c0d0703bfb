-- Which steps make runs fail?
-- With: from = now() - interval '30 d'; to = now(); most = 20
SELECT
    pipeline_name, step_name, sum(runs)::bigint AS runs, sum(failed)::bigint AS failed,
    sum(failed) / nullif(sum(succeeded + failed), 0)::float8 AS failure_rate,
    count(*) FILTER (WHERE failed > 0) AS days_with_failures, count(*) AS days
FROM step_health
WHERE day >= %(from)s AND day < %(to)s
GROUP BY pipeline_name, step_name
HAVING sum(failed) > 0
ORDER BY failed DESC, pipeline_name, step_name
LIMIT %(most)s
