-- How many events passed between systems in a stretch of time, how many failed, and how long they took.
SELECT
    source_system,
    target_system,
    event_type,
    count(*) AS events,
    count(*) FILTER (WHERE status <> 'success') AS failed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY processing_duration) AS median_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY processing_duration) AS p95_ms,
    max(event_timestamp) AS last_at
FROM integration_events
WHERE event_timestamp >= %(since)s AND event_timestamp < %(until)s
GROUP BY source_system, target_system, event_type
ORDER BY failed DESC, source_system, target_system, event_type
