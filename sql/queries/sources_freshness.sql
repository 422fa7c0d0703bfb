-- How fresh is the data of each kind?
-- With: most = 50
SELECT
    kind, count(*) AS series, max(last_at) AS last_at, min(silent_seconds) AS freshest_seconds,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY silent_seconds) AS median_silent_seconds,
    count(*) FILTER (WHERE stale) AS stale
FROM source_freshness
GROUP BY kind
ORDER BY kind
LIMIT %(most)s
