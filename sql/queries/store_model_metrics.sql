-- The latest of each measure of a model, by data set.
SELECT DISTINCT ON (metric_name, evaluation_dataset)
    id, model_id, metric_name, metric_value, metric_type, evaluation_dataset, evaluation_timestamp, evaluation_context,
    benchmark_comparison
FROM model_performance_metrics
WHERE model_id = %(model_id)s
ORDER BY metric_name, evaluation_dataset, evaluation_timestamp DESC
