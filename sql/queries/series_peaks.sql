-- Which series stood out most from their own mean?
-- With: from = now() - interval '24 h'; to = now(); most = 20
SELECT
    entity, measure, sum(n)::bigint AS n, mean_of(sum(sum), sum(n)::bigint) AS mean, max(max) AS max,
    max(max) / nullif(mean_of(sum(sum), sum(n)::bigint), 0) AS times_mean, (array_agg(time ORDER BY max DESC))[1] AS hour_of_max
FROM series_1h
WHERE time >= %(from)s AND time < %(to)s
GROUP BY entity, measure
HAVING sum(sum) > 1e-9 AND max(max) < 1e250
ORDER BY times_mean DESC, entity, measure
LIMIT %(most)s
