-- Between which systems do events fail, or take long?
-- With: from = now() - interval '7 d'; to = now(); most = 20
SELECT
    source_system, target_system, event_type, sum(events)::bigint AS events, sum(failed)::bigint AS failed,
    sum(partial)::bigint AS partial, sum(failed) / nullif(sum(succeeded + failed), 0)::float8 AS failure_rate,
    sum(mean_ms * timed) / nullif(sum(timed), 0) AS mean_ms,
    sum(p95_ms * timed) / nullif(sum(timed), 0) AS usual_p95_ms, max(last_at) AS last_at
FROM integration_health
WHERE day >= %(from)s AND day < %(to)s
GROUP BY source_system, target_system, event_type
ORDER BY failed DESC, usual_p95_ms DESC NULLS LAST, source_system, target_system, event_type
LIMIT %(most)s
