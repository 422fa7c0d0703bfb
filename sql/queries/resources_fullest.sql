-- Which machines are closest to their limits?
-- With: from = now() - interval '24 h'; to = now(); most = 20
SELECT s.entity AS host, s.measure, mean_of(sum(h.sum), sum(h.n)::bigint) AS mean_percent, max(h.max) AS max_percent
FROM series_names AS s JOIN series_1h AS h ON h.entity = s.entity AND h.measure = s.measure
WHERE s.kind = 'resource' AND h.time >= %(from)s AND h.time < %(to)s
GROUP BY s.entity, s.measure
ORDER BY max_percent DESC, host, s.measure
LIMIT %(most)s
