-- How do we do by DORA's four measures, by week?
-- With: from = now() - interval '84 d'; to = now()
SELECT
    week, pipeline_name, deployments, failed, change_failure_rate, changes, lead_p50_seconds / 3600 AS lead_p50_hours,
    lead_p95_seconds / 3600 AS lead_p95_hours, outages, restored, restore_p50_seconds / 3600 AS restore_p50_hours
FROM dora_between(%(from)s, %(to)s)
ORDER BY week, pipeline_name
