-- How many patterns were found on each day (UTC) by severity, over so many days up to the last one with any.
SELECT date_bin('24 h', detected_at, '2000-01-01Z') AS day, severity, count(*) AS n
FROM detected_patterns
WHERE NOT starts_with(detection_algorithm, 'nightly: ')
    AND detected_at >= (
        SELECT date_bin('24 h', max(detected_at), '2000-01-01Z') FROM detected_patterns
        WHERE NOT starts_with(detection_algorithm, 'nightly: ')
    ) - (%(days)s - 1) * interval '24 h'
GROUP BY 1, 2
ORDER BY 1, 2
