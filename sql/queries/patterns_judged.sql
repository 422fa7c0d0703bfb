-- How right are the detectors, by what people said, against the confidence they gave?
-- With: from = now() - interval '90 d'; to = now()
SELECT
    pattern_type, pattern_class, count(*) AS judged, count(*) FILTER (WHERE verdict <> 'false_positive') AS right_ones,
    count(*) FILTER (WHERE verdict <> 'false_positive') / count(*)::float8 AS precision,
    avg(confidence_score) AS mean_confidence
FROM patterns
WHERE verdict IS NOT NULL AND detected_at >= %(from)s AND detected_at < %(to)s
GROUP BY pattern_type, pattern_class
ORDER BY judged DESC, pattern_type, pattern_class
