-- What is going wrong now, the worst first, and why do we think so?
-- With: most = 50
SELECT
    severity, confidence_score, opened_at, entity, measure, pattern_name, explanation, peak_value, expected, low, high,
    peak_score, threshold, observation_count, verdict
FROM patterns
WHERE is_active AND verdict IS DISTINCT FROM 'false_positive'
    AND NOT starts_with(detection_algorithm, 'nightly: ')
ORDER BY array_position('{critical,high,medium,low,info}', severity), significance_score DESC, opened_at, id
LIMIT %(most)s
