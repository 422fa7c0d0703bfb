-- The numbers of the overview: what is open, how many series there are, and how long live patterns took to be known.
WITH live AS (
    -- History that was read in late says nothing about how fast things are now.
    SELECT extract(epoch FROM written_at - event_time)::float8 AS seconds
    FROM detected_patterns
    WHERE detected_at >= now() - interval '168 h' AND ingested_at - event_time < interval '1 h' AND written_at > event_time
)
SELECT 'open_patterns' AS name, severity AS key, count(*)::float8 AS value
FROM detected_patterns
WHERE is_active AND NOT starts_with(detection_algorithm, 'nightly: ')
GROUP BY severity
UNION ALL SELECT 'open_incidents', severity, count(*)::float8 FROM incidents WHERE status = 'open' GROUP BY severity
UNION ALL SELECT 'series', kind, count(*)::float8 FROM series GROUP BY kind
UNION ALL SELECT 'latency', 'n', count(*)::float8 FROM live
UNION ALL SELECT 'latency', 'p50', percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FROM live
UNION ALL SELECT 'latency', 'p99', percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) FROM live
