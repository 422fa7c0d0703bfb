-- What is usual and how the last window compares, for people and dashboards: the reader sees views alone.
CREATE VIEW baselines AS
SELECT
    b.component_name AS component, b.component_kind AS kind, b.baseline_type AS baseline, a.metric_type AS metric,
    a.baseline_value AS usual,
    coalesce(
        b.baseline_metrics -> a.metric_type -> 'low', b.baseline_metrics -> a.metric_type -> 'p10')::float8 AS usual_low,
    coalesce(
        b.baseline_metrics -> a.metric_type -> 'high', b.baseline_metrics -> a.metric_type -> 'p90')::float8 AS usual_high,
    a.current_value AS current, a.performance_delta AS change_percent, (a.context_metadata -> 'n')::bigint AS n,
    b.sample_size, b.established_at, b.valid_until
FROM performance_baselines AS b
JOIN performance_analytics AS a ON a.component_name = b.component_name AND a.analyzed_at = b.established_at
    AND a.context_metadata ->> 'baseline' = b.baseline_type AND a.component_kind = b.component_kind
WHERE b.is_active;
COMMENT ON VIEW baselines IS
    'What is usual of each component by the last night, and the window up to then against it: a row a component, window and metric.';
COMMENT ON COLUMN baselines.component IS 'A pipeline, a step, a project, an integration.';
COMMENT ON COLUMN baselines.kind IS 'Kind of the component.';
COMMENT ON COLUMN baselines.baseline IS 'Length of the window: daily, weekly or monthly (30 days).';
COMMENT ON COLUMN baselines.metric IS 'response_time (s), error_rate (share, 0 to 1) or throughput (outcomes a window).';
COMMENT ON COLUMN baselines.usual IS 'What is usual: a median, of error_rate the mean.';
COMMENT ON COLUMN baselines.usual_low IS 'The tenth percentile, of error_rate the lower bound of its interval.';
COMMENT ON COLUMN baselines.usual_high IS 'The 90th percentile, of error_rate the upper bound.';
COMMENT ON COLUMN baselines.current IS 'The same of the window that ends at established_at.';
COMMENT ON COLUMN baselines.change_percent IS 'Change of current against usual, in percent; null = usual is 0.';
COMMENT ON COLUMN baselines.n IS 'Outcomes in the window.';
COMMENT ON COLUMN baselines.sample_size IS 'Outcomes that the baseline was made of.';
COMMENT ON COLUMN baselines.established_at IS 'End of the history that it was made of.';
COMMENT ON COLUMN baselines.valid_until IS 'When the next one is due.';
