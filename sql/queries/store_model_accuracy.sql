-- How right a model's predictions were on each day, by who judged them.
SELECT
    date_bin('1 d', measured_at, '2000-01-01Z') AS day,
    feedback_source,
    count(*) AS judged,
    avg(accuracy_score) AS accuracy,
    avg(abs(error_magnitude)) AS error_magnitude
FROM prediction_accuracy_tracking
WHERE model_id = %(model_id)s AND measured_at >= %(since)s AND measured_at < %(until)s
GROUP BY 1, 2
ORDER BY 1, 2
