-- How did a series go in the last weeks, hour by hour?
-- With: entity = 'shop'; measure = 'response_time'; from = now() - interval '14 d'; to = now()
SELECT time, n, avg, min, max, stddev
FROM series_1h
WHERE entity = %(entity)s AND measure = %(measure)s AND time >= %(from)s AND time < %(to)s
ORDER BY time
