-- Module 3, system metrics. The two raw tables take most of all rows: few indexes, BRIN where rows come in time order.

CREATE TABLE system_metrics (
    event_key bigint NOT NULL,
    metric_name text NOT NULL,
    metric_value float8 NOT NULL CHECK (metric_value > '-Infinity' AND metric_value < 'Infinity'),
    metric_unit text,
    metric_tags jsonb NOT NULL DEFAULT '{}',
    collected_at timestamptz NOT NULL,
    source_system text NOT NULL,
    aggregation_period text,
    PRIMARY KEY (event_key, collected_at)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX idx_system_metrics_collected_at ON system_metrics USING brin (collected_at) WITH (autosummarize = on);
CREATE INDEX idx_system_metrics_name_time ON system_metrics (metric_name, collected_at);
COMMENT ON TABLE system_metrics IS
    'Samples of metrics, one row an event. Aggregates: the views series_10s to series_1d.';
COMMENT ON COLUMN system_metrics.event_key IS 'First 8 bytes of the event''s UUID, which is derived from its source and id.';
COMMENT ON COLUMN system_metrics.metric_name IS 'Metric; its name says the unit if metric_unit does not.';
COMMENT ON COLUMN system_metrics.metric_value IS 'Value, finite.';
COMMENT ON COLUMN system_metrics.metric_unit IS 'Unit; null = not given.';
COMMENT ON COLUMN system_metrics.metric_tags IS 'Tags, strings by name.';
COMMENT ON COLUMN system_metrics.collected_at IS 'When it was measured.';
COMMENT ON COLUMN system_metrics.source_system IS 'Where it was measured; code: and a codebase for measures of code.';
COMMENT ON COLUMN system_metrics.aggregation_period IS 'Length of time the value stands for, such as 1m; null = an instant.';

CREATE TABLE resource_usage (
    event_key bigint NOT NULL,
    host text NOT NULL,
    resource_type text NOT NULL CHECK (resource_type IN ('cpu', 'memory', 'disk', 'network')),
    usage_percentage float8 NOT NULL CHECK (usage_percentage >= 0 AND usage_percentage < 'Infinity'),
    absolute_value float8 CHECK (absolute_value > '-Infinity' AND absolute_value < 'Infinity'),
    peak_usage float8 CHECK (peak_usage > '-Infinity' AND peak_usage < 'Infinity'),
    average_usage float8 CHECK (average_usage > '-Infinity' AND average_usage < 'Infinity'),
    measured_at timestamptz NOT NULL,
    context_data jsonb DEFAULT '{}',
    PRIMARY KEY (event_key, measured_at)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX idx_resource_usage_measured_at ON resource_usage USING brin (measured_at) WITH (autosummarize = on);
CREATE INDEX idx_resource_usage_host_time ON resource_usage (host, resource_type, measured_at);
COMMENT ON TABLE resource_usage IS
    'Samples of a machine''s resources, one row an event.';
COMMENT ON COLUMN resource_usage.event_key IS 'First 8 bytes of the event''s UUID, which is derived from its source and id.';
COMMENT ON COLUMN resource_usage.host IS 'Machine.';
COMMENT ON COLUMN resource_usage.resource_type IS 'Resource.';
COMMENT ON COLUMN resource_usage.usage_percentage IS 'Usage in percent of the capacity; above 100 where the capacity is nominal.';
COMMENT ON COLUMN resource_usage.absolute_value IS 'The same in the resource''s own unit (see context_data).';
COMMENT ON COLUMN resource_usage.peak_usage IS 'Greatest usage since the last sample.';
COMMENT ON COLUMN resource_usage.average_usage IS 'Average usage since the last sample.';
COMMENT ON COLUMN resource_usage.measured_at IS 'When it was measured.';
COMMENT ON COLUMN resource_usage.context_data IS 'What belongs to the sample, by name.';

CREATE TABLE capacity_planning (
    id uuid PRIMARY KEY,
    resource_type text NOT NULL CHECK (resource_type IN ('cpu', 'memory', 'disk', 'network')),
    host text NOT NULL DEFAULT '',
    current_capacity float8 NOT NULL CHECK (current_capacity >= 0 AND current_capacity < 'Infinity'),
    projected_usage float8 NOT NULL CHECK (projected_usage >= 0 AND projected_usage < 'Infinity'),
    projection_date date NOT NULL,
    confidence_interval jsonb NOT NULL,
    recommendation text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (resource_type, host, projection_date),
    CONSTRAINT capacity_planning_bounds CHECK (confidence_interval ?& '{lower,upper}')
);
COMMENT ON TABLE capacity_planning IS
    'Forecasts of when a resource runs out.';
COMMENT ON COLUMN capacity_planning.id IS 'Derived from the resource, the host and the date.';
COMMENT ON COLUMN capacity_planning.resource_type IS 'Resource.';
COMMENT ON COLUMN capacity_planning.host IS 'Machine; empty = all of them.';
COMMENT ON COLUMN capacity_planning.current_capacity IS 'Capacity now, in the resource''s own unit.';
COMMENT ON COLUMN capacity_planning.projected_usage IS 'Usage expected on projection_date, in the same unit.';
COMMENT ON COLUMN capacity_planning.projection_date IS 'The day that is forecast.';
COMMENT ON COLUMN capacity_planning.confidence_interval IS 'Object with lower and upper, in the same unit.';
COMMENT ON COLUMN capacity_planning.recommendation IS 'What to do, in one sentence.';
COMMENT ON COLUMN capacity_planning.created_at IS 'When the forecast was made.';

CREATE TABLE metric_patterns (
    id uuid NOT NULL,
    pattern_id uuid NOT NULL,
    metric_names text[] NOT NULL,
    pattern_type text NOT NULL,
    pattern_signature jsonb NOT NULL,
    anomaly_score float8 CHECK (anomaly_score BETWEEN 0 AND 1),
    trend_direction text CHECK (trend_direction IN ('increasing', 'decreasing', 'stable', 'volatile')),
    detected_at timestamptz NOT NULL,
    prediction_horizon integer CHECK (prediction_horizon >= 0),
    PRIMARY KEY (id, detected_at)
);
CREATE INDEX idx_metric_patterns_pattern ON metric_patterns (pattern_id);
CREATE INDEX idx_metric_patterns_type_time ON metric_patterns (pattern_type, detected_at);
COMMENT ON TABLE metric_patterns IS
    'Patterns found in metrics; each has its row in detected_patterns.';
COMMENT ON COLUMN metric_patterns.id IS 'Derived from the series and what opened the pattern.';
COMMENT ON COLUMN metric_patterns.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN metric_patterns.metric_names IS 'The metrics it is about, in order of weight.';
COMMENT ON COLUMN metric_patterns.pattern_type IS 'Class of the pattern.';
COMMENT ON COLUMN metric_patterns.pattern_signature IS 'What it looks like: the evidence that makes it recognisable.';
COMMENT ON COLUMN metric_patterns.anomaly_score IS 'How far from normal, 0 to 1.';
COMMENT ON COLUMN metric_patterns.trend_direction IS 'Where the metric goes; null = not judged.';
COMMENT ON COLUMN metric_patterns.detected_at IS 'Event time at which it was found.';
COMMENT ON COLUMN metric_patterns.prediction_horizon IS 'How far ahead it speaks, in hours; null = of now.';
