-- What became of the records of each input.
SELECT input, outcome, reason, n, updated_at FROM data_quality ORDER BY input, outcome, reason
