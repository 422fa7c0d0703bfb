-- What was found last night, and how good were the data that it is about?
-- With: score = 0.0; most = 50
WITH last_night AS (SELECT max(range_end) AS range_end FROM nightly_history WHERE status = 'finished')
SELECT
    f.sentence, f.status, f.score, f.support, f.total, f.confidence_score, f.detected_at = f.found_at AS is_new,
    coalesce(q.status, 'unknown') AS data, q.problems
FROM last_night AS n
JOIN nightly_findings AS f ON f.found_at = n.range_end AND f.is_active
LEFT JOIN LATERAL (
    SELECT
        (array_agg(l.status ORDER BY array_position(ARRAY['bad', 'notice', 'good'], l.status)))[1] AS status,
        array_remove(array_agg(l.table_name || ': ' || array_to_string(l.problems, '; ')
            ORDER BY l.table_name) FILTER (WHERE cardinality(l.problems) > 0), NULL) AS problems
    FROM nightly_quality_latest AS l
    WHERE l.source = f.entity OR starts_with(f.entity, l.source || '/')
) AS q ON true
WHERE f.score >= %(score)s
ORDER BY f.score DESC, f.sentence
LIMIT %(most)s
