-- How many records came late, twice or could not be read, by input and reason?
-- With: most = 50
SELECT input, outcome, reason, n, read, share, updated_at
FROM late_and_dead
WHERE n > 0
ORDER BY n DESC, input, outcome, reason
LIMIT %(most)s
