-- What does all that is measured of one thing look like now?
-- With: entity = 'shop'; from = now() - interval '24 h'; to = now()
SELECT
    measure, sum(n)::bigint AS n, mean_of(sum(sum), sum(n)::bigint) AS mean, min(min) AS min, max(max) AS max,
    (array_agg(last ORDER BY time DESC))[1] AS last
FROM series_1h
WHERE entity = %(entity)s AND time >= %(from)s AND time < %(to)s
GROUP BY measure
ORDER BY measure
