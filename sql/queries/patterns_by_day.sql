-- How many patterns opened by day and severity?
-- With: from = now() - interval '30 d'; to = now()
SELECT
    date_bin('1 d', opened_at, '2000-01-01Z') AS day, severity, pattern_category, count(*) AS opened,
    count(*) FILTER (WHERE is_active) AS still_open, percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_seconds)
        AS median_seconds
FROM patterns
WHERE detected_at >= %(from)s AND detected_at < %(to)s
    AND NOT starts_with(detection_algorithm, 'nightly: ')
GROUP BY day, severity, pattern_category
ORDER BY day, array_position('{critical,high,medium,low,info}', severity), pattern_category
