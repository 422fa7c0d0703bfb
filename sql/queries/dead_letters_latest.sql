-- Which records could not be applied last, and why?
-- With: from = now() - interval '24 h'; to = now(); most = 50
SELECT received_at, topic, partition, record_offset, reason, detail, event_time, bytes
FROM dead_letter_log
WHERE received_at >= %(from)s AND received_at < %(to)s
ORDER BY received_at DESC, topic, partition, record_offset
LIMIT %(most)s
