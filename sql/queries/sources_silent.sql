-- Which sources have fallen silent?
-- With: most = 50
SELECT kind, entity, measure, last_at, silent_seconds / 3600 AS silent_hours, usual_seconds, times_usual
FROM source_freshness
WHERE stale
ORDER BY times_usual DESC, kind, entity, measure
LIMIT %(most)s
