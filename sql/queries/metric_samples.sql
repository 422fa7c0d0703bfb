-- Which single samples make up a stretch of a metric?
-- With: source = 'shop'; metric = 'response_time'; from = now() - interval '1 h'; to = now(); most = 1000
SELECT collected_at, metric_value, metric_unit, metric_tags
FROM metric_samples
WHERE source_system = %(source)s AND metric_name = %(metric)s AND collected_at >= %(from)s AND collected_at < %(to)s
ORDER BY collected_at
LIMIT %(most)s
