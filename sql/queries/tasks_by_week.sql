-- How much gets done by week, and how long does it take?
-- With: from = now() - interval '84 d'; to = now()
SELECT
    date_bin('7 d', day, '2000-01-03Z') AS week, project_name, sum(done)::bigint AS done,
    sum(lead_mean_seconds * lead_timed) / nullif(sum(lead_timed), 0) / 86400 AS mean_lead_days,
    sum(cycle_mean_seconds * cycle_timed) / nullif(sum(cycle_timed), 0) / 86400 AS mean_cycle_days,
    sum(attempts)::bigint AS attempts, sum(failed) / nullif(sum(succeeded + failed), 0)::float8 AS failure_rate
FROM task_flow
WHERE day >= %(from)s AND day < %(to)s
GROUP BY week, project_name
ORDER BY week, project_name
