-- Which pipelines failed most often?
-- With: from = now() - interval '30 d'; to = now(); most = 20
SELECT
    pipeline_name, sum(runs)::bigint AS runs, sum(failed)::bigint AS failed,
    sum(failed) / nullif(sum(succeeded + failed), 0)::float8 AS failure_rate,
    max(last_start) AS last_start
FROM pipeline_health
WHERE day >= %(from)s AND day < %(to)s
GROUP BY pipeline_name
HAVING sum(failed) > 0
ORDER BY failed DESC, pipeline_name
LIMIT %(most)s
