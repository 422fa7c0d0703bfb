-- Where are hours missing in series that usually have them?
-- With: from = now() - interval '7 d'; to = now(); most = 50
SELECT entity, measure, gap_start, gap_end, missing_hours, usual_hours
FROM gaps_between(%(from)s, %(to)s)
ORDER BY missing_hours DESC, entity, measure, gap_start
LIMIT %(most)s
