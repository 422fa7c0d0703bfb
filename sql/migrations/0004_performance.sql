-- Module 4, performance analytics: what the nightly flow concludes.

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
    PRIMARY KEY (component_name, metric_type, measurement_window, analyzed_at)
);
CREATE INDEX idx_performance_analytics_component_analyzed ON performance_analytics (component_name, analyzed_at);
COMMENT ON TABLE performance_analytics IS
    'Comparisons of a component''s measure with its baseline.';
COMMENT ON COLUMN performance_analytics.id IS 'Derived from component, measure, window and time.';
COMMENT ON COLUMN performance_analytics.component_name IS 'What is measured: a pipeline, a step, a host, a path.';
COMMENT ON COLUMN performance_analytics.metric_type IS 'Measure, such as response_time, throughput or error_rate.';
COMMENT ON COLUMN performance_analytics.baseline_value IS 'Normal value, in the measure''s own unit.';
COMMENT ON COLUMN performance_analytics.current_value IS 'Value in the window, in the same unit.';
COMMENT ON COLUMN performance_analytics.performance_delta IS 'Change from the baseline in percent; null when the baseline is 0.';
COMMENT ON COLUMN performance_analytics.measurement_window IS 'Length of the window, which ends at analyzed_at.';
COMMENT ON COLUMN performance_analytics.analyzed_at IS 'End of the window.';
COMMENT ON COLUMN performance_analytics.context_metadata IS 'Sample sizes and the like, by name.';

CREATE TABLE performance_baselines (
    id uuid PRIMARY KEY,
    component_name text NOT NULL,
    baseline_type text NOT NULL CHECK (baseline_type IN ('daily', 'weekly', 'monthly', 'seasonal')),
    baseline_metrics jsonb NOT NULL,
    confidence_level float8 NOT NULL CHECK (confidence_level BETWEEN 0 AND 1),
    sample_size integer NOT NULL CHECK (sample_size > 0),
    established_at timestamptz NOT NULL,
    valid_until timestamptz,
    is_active boolean NOT NULL DEFAULT true,
    UNIQUE (component_name, baseline_type, established_at),
    CONSTRAINT performance_baselines_interval CHECK (valid_until >= established_at)
);
CREATE UNIQUE INDEX idx_performance_baselines_active ON performance_baselines (component_name, baseline_type) WHERE
    is_active;
COMMENT ON TABLE performance_baselines IS
    'What is normal for a component.';
COMMENT ON COLUMN performance_baselines.id IS 'Derived from component, type and established_at.';
COMMENT ON COLUMN performance_baselines.component_name IS 'What is measured.';
COMMENT ON COLUMN performance_baselines.baseline_type IS 'The cycle it is normal for.';
COMMENT ON COLUMN performance_baselines.baseline_metrics IS 'Normal values, by measure.';
COMMENT ON COLUMN performance_baselines.confidence_level IS 'Level of the intervals in baseline_metrics, 0 to 1.';
COMMENT ON COLUMN performance_baselines.sample_size IS 'Number of observations behind it.';
COMMENT ON COLUMN performance_baselines.established_at IS 'End of the history it was learnt from.';
COMMENT ON COLUMN performance_baselines.valid_until IS 'When it stops being used; null = until the next one.';
COMMENT ON COLUMN performance_baselines.is_active IS 'Whether it is in use.';

CREATE TABLE optimization_opportunities (
    id uuid PRIMARY KEY,
    opportunity_type text NOT NULL,
    component_affected text NOT NULL,
    potential_improvement float8 NOT NULL
        CHECK (potential_improvement > '-Infinity' AND potential_improvement < 'Infinity'),
    effort_estimate text NOT NULL CHECK (effort_estimate IN ('low', 'medium', 'high')),
    priority_score float8 NOT NULL CHECK (priority_score >= 0 AND priority_score < 'Infinity'),
    recommendation_text text NOT NULL,
    supporting_data jsonb DEFAULT '{}',
    identified_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'identified'
        CHECK (status IN ('identified', 'in_progress', 'completed', 'dismissed'))
);
CREATE INDEX idx_optimization_opportunities_priority_status ON optimization_opportunities (priority_score, status);
CREATE INDEX idx_optimization_opportunities_component ON optimization_opportunities USING hash (component_affected);
COMMENT ON TABLE optimization_opportunities IS
    'What to change, the most worthwhile first.';
COMMENT ON COLUMN optimization_opportunities.id IS 'Derived from type, component and evidence.';
COMMENT ON COLUMN optimization_opportunities.opportunity_type IS 'Kind of change.';
COMMENT ON COLUMN optimization_opportunities.component_affected IS 'What to change.';
COMMENT ON COLUMN optimization_opportunities.potential_improvement IS 'Expected improvement in percent.';
COMMENT ON COLUMN optimization_opportunities.effort_estimate IS 'What it takes.';
COMMENT ON COLUMN optimization_opportunities.priority_score IS 'Rank; greater comes first.';
COMMENT ON COLUMN optimization_opportunities.recommendation_text IS 'What to do, in words.';
COMMENT ON COLUMN optimization_opportunities.supporting_data IS 'Evidence.';
COMMENT ON COLUMN optimization_opportunities.identified_at IS 'End of the history it was found in.';
COMMENT ON COLUMN optimization_opportunities.status IS 'What became of it.';

CREATE TABLE performance_patterns (
    id uuid PRIMARY KEY,
    pattern_id uuid NOT NULL,
    pattern_name text NOT NULL,
    pattern_type text NOT NULL,
    affected_components text[] NOT NULL,
    pattern_signature jsonb NOT NULL,
    trend_analysis jsonb NOT NULL,
    impact_severity text NOT NULL CHECK (impact_severity IN ('info', 'low', 'medium', 'high', 'critical')),
    detected_at timestamptz NOT NULL,
    prediction_accuracy float8 CHECK (prediction_accuracy BETWEEN 0 AND 1)
);
CREATE INDEX idx_performance_patterns_pattern ON performance_patterns (pattern_id);
CREATE INDEX idx_performance_patterns_type_time ON performance_patterns (pattern_type, detected_at);
COMMENT ON TABLE performance_patterns IS
    'Patterns found in performance; each has its row in detected_patterns.';
COMMENT ON COLUMN performance_patterns.id IS 'Derived from what the pattern is about.';
COMMENT ON COLUMN performance_patterns.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN performance_patterns.pattern_name IS 'Name.';
COMMENT ON COLUMN performance_patterns.pattern_type IS 'Class of the pattern.';
COMMENT ON COLUMN performance_patterns.affected_components IS 'Components it is about.';
COMMENT ON COLUMN performance_patterns.pattern_signature IS 'What it looks like.';
COMMENT ON COLUMN performance_patterns.trend_analysis IS 'Slope, its interval, and what they were taken from.';
COMMENT ON COLUMN performance_patterns.impact_severity IS 'How much it matters.';
COMMENT ON COLUMN performance_patterns.detected_at IS 'Event time at which it was found.';
COMMENT ON COLUMN performance_patterns.prediction_accuracy IS 'Share of its past predictions that came true, 0 to 1.';
