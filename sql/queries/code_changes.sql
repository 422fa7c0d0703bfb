-- How did measures of the code change?
-- With: measure = NULL; from = now() - interval '90 d'; to = now(); most = 50
SELECT
    entity, measure, (array_agg(first ORDER BY day))[1] AS first, (array_agg(last ORDER BY day DESC))[1] AS last,
    held((array_agg(last ORDER BY day DESC))[1]) - held((array_agg(first ORDER BY day))[1]) AS change, max(max) AS max,
    sum(n)::bigint AS measured, count(*) AS days
FROM code_metrics
WHERE day >= %(from)s AND day < %(to)s AND (%(measure)s::text IS NULL OR measure = %(measure)s::text)
GROUP BY entity, measure
ORDER BY abs(held((array_agg(last ORDER BY day DESC))[1]) - held((array_agg(first ORDER BY day))[1])) DESC, entity, measure
LIMIT %(most)s
