-- Which nights were worked through, what did they find, and what went wrong?
-- With: from = now() - interval '30 d'; most = 60
SELECT
    range_end, status, started_at, finished_at, seconds, skipped_parts, (summary -> 'new')::bigint AS new,
    (summary -> 'again')::bigint AS again, (summary -> 'retired')::bigint AS retired, (summary -> 'rules')::bigint AS rules,
    problem
FROM nightly_history
WHERE range_end >= %(from)s
ORDER BY range_end DESC, started_at DESC
LIMIT %(most)s
