-- How did one pipeline do, day by day?
-- With: pipeline = 'shop/build'; from = now() - interval '30 d'; to = now()
SELECT day, runs, succeeded, failed, failure_rate, mean_seconds, p50_seconds, p95_seconds, max_seconds
FROM pipeline_health
WHERE pipeline_name = %(pipeline)s AND day >= %(from)s AND day < %(to)s
ORDER BY day
