-- Which series changed most from the week before to the last seven days?
-- With: to = date_trunc('day', now(), 'UTC'); most = 20
WITH week AS (
    SELECT
        entity, measure,
        mean_of(
            sum(sum) FILTER (WHERE time < %(to)s::timestamptz - interval '7 d'),
            sum(n) FILTER (WHERE time < %(to)s::timestamptz - interval '7 d')::bigint
        ) AS before,
        mean_of(
            sum(sum) FILTER (WHERE time >= %(to)s::timestamptz - interval '7 d'),
            sum(n) FILTER (WHERE time >= %(to)s::timestamptz - interval '7 d')::bigint
        ) AS after
    FROM series_1d
    WHERE time >= %(to)s::timestamptz - interval '14 d' AND time < %(to)s
    GROUP BY entity, measure
)
SELECT entity, measure, before, after, after / before - 1 AS change
FROM week
WHERE before > 1e-9 AND after > 1e-9 AND after < 1e250
ORDER BY abs(ln(after / before)) DESC, entity, measure
LIMIT %(most)s
