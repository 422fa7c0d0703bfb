-- How did a series go in the last hours, minute by minute?
-- With: entity = 'shop'; measure = 'response_time'; from = now() - interval '6 h'; to = now()
SELECT time, n, avg, min, max, stddev
FROM series_1m
WHERE entity = %(entity)s AND measure = %(measure)s AND time >= %(from)s AND time < %(to)s
ORDER BY time
