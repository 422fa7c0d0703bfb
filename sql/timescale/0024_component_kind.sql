-- Of which of several things of one name a comparison is: as in performance_baselines. The key of a hypertable with a
-- columnstore can't be changed: the table, a few rows a component and night, is made anew.
SELECT set_config('search_path', concat_ws(', ', quote_ident(current_schema()),
    (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
        WHERE extname = 'timescaledb' AND nspname <> current_schema()), 'pg_temp'), true);

CREATE TEMP TABLE analytics_until_now ON COMMIT DROP AS SELECT * FROM performance_analytics;
DROP TABLE performance_analytics;
CREATE TABLE performance_analytics (
    id uuid NOT NULL,
    component_name text NOT NULL,
    metric_type text NOT NULL,
    baseline_value float8 NOT NULL CHECK (baseline_value > '-Infinity' AND baseline_value < 'Infinity'),
    current_value float8 NOT NULL CHECK (current_value > '-Infinity' AND current_value < 'Infinity'),
    performance_delta float8 CHECK (performance_delta > '-Infinity' AND performance_delta < 'Infinity'),
    measurement_window interval NOT NULL CHECK (measurement_window > '0'),
    analyzed_at timestamptz NOT NULL,
    context_metadata jsonb DEFAULT '{}',
    component_kind text NOT NULL DEFAULT '',
    PRIMARY KEY (component_name, component_kind, metric_type, measurement_window, analyzed_at)
);
CREATE INDEX idx_performance_analytics_component_analyzed ON performance_analytics (component_name, analyzed_at);
COMMENT ON TABLE performance_analytics IS
    'Comparisons of a component''s measure with its baseline.';
COMMENT ON COLUMN performance_analytics.id IS 'Derived from component, kind, measure, window and time.';
COMMENT ON COLUMN performance_analytics.component_name IS 'What is measured: a pipeline, a step, a host, a path.';
COMMENT ON COLUMN performance_analytics.metric_type IS 'Measure, such as response_time, throughput or error_rate.';
COMMENT ON COLUMN performance_analytics.baseline_value IS 'Normal value, in the measure''s own unit.';
COMMENT ON COLUMN performance_analytics.current_value IS 'Value in the window, in the same unit.';
COMMENT ON COLUMN performance_analytics.performance_delta IS 'Change from the baseline in percent; null when the baseline is 0.';
COMMENT ON COLUMN performance_analytics.measurement_window IS 'Length of the window, which ends at analyzed_at.';
COMMENT ON COLUMN performance_analytics.analyzed_at IS 'End of the window.';
COMMENT ON COLUMN performance_analytics.context_metadata IS 'Sample sizes and the like, by name.';
COMMENT ON COLUMN performance_analytics.component_kind IS
    'What the component is: pipeline, step, task (the tasks of a project) or integration; empty = not said.';
CALL make_hypertable('performance_analytics');
INSERT INTO performance_analytics (
    id, component_name, metric_type, baseline_value, current_value, performance_delta, measurement_window, analyzed_at,
    context_metadata
) SELECT
    id, component_name, metric_type, baseline_value, current_value, performance_delta, measurement_window, analyzed_at,
    context_metadata
FROM analytics_until_now;
