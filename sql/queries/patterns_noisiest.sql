-- Which series raise the most patterns, and how many of them were false alarms?
-- With: from = now() - interval '30 d'; to = now(); most = 20
SELECT
    entity, measure, pattern_type, count(*) AS opened, sum(duration_seconds) / 3600 AS hours,
    count(verdict) AS judged, count(*) FILTER (WHERE verdict = 'false_positive') AS false_alarms,
    max(opened_at) AS last_opened
FROM patterns
WHERE detected_at >= %(from)s AND detected_at < %(to)s
    AND NOT starts_with(detection_algorithm, 'nightly: ')
GROUP BY entity, measure, pattern_type
ORDER BY opened DESC, entity, measure, pattern_type
LIMIT %(most)s
