-- What went wrong between systems last?
-- With: from = now() - interval '24 h'; to = now(); most = 50
SELECT event_timestamp, source_system, target_system, event_type, status, processing_ms, correlation_key, error_details
FROM integration_log
WHERE event_timestamp >= %(from)s AND event_timestamp < %(to)s AND status <> 'success'
ORDER BY event_timestamp DESC, id
LIMIT %(most)s
