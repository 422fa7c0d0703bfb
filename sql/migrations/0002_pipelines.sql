-- Module 2, pipeline execution. No foreign keys between these tables: events arrive in any order.

CREATE TABLE pipeline_executions (
    id uuid NOT NULL,
    execution_id text NOT NULL,
    pipeline_name text NOT NULL,
    execution_start timestamptz NOT NULL,
    execution_end timestamptz,
    status text NOT NULL
        CHECK (status IN ('running', 'success', 'failure', 'error', 'cancelled', 'timeout', 'skipped')),
    trigger_type text NOT NULL CHECK (trigger_type IN ('manual', 'scheduled', 'webhook')),
    trigger_data jsonb DEFAULT '{}',
    total_duration float8 CHECK (total_duration >= 0 AND total_duration < 'Infinity'),
    success_rate float8 CHECK (success_rate BETWEEN 0 AND 1),
    commit_sha text,
    configuration_version text,
    event_finished boolean NOT NULL,
    event_time timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, execution_start),
    CONSTRAINT pipeline_executions_interval CHECK (execution_end >= execution_start)
);
CREATE INDEX idx_pipeline_executions_start_time ON pipeline_executions (execution_start);
CREATE INDEX idx_pipeline_executions_name_time ON pipeline_executions (pipeline_name, execution_start);
COMMENT ON TABLE pipeline_executions IS
    'Runs of pipelines. A finished event wins over a started one, else the greater (event_time, event_id).';
COMMENT ON COLUMN pipeline_executions.id IS 'Derived from pipeline_name and execution_id.';
COMMENT ON COLUMN pipeline_executions.execution_id IS 'Id of the run, as the event wrote it.';
COMMENT ON COLUMN pipeline_executions.pipeline_name IS 'Pipeline.';
COMMENT ON COLUMN pipeline_executions.execution_start IS 'Start of the run.';
COMMENT ON COLUMN pipeline_executions.execution_end IS 'End of the run; null while it runs.';
COMMENT ON COLUMN pipeline_executions.status IS 'running until a finished event; failure = the work ran and said no; error = the machinery broke.';
COMMENT ON COLUMN pipeline_executions.trigger_type IS 'What started the run.';
COMMENT ON COLUMN pipeline_executions.trigger_data IS 'Details of the trigger.';
COMMENT ON COLUMN pipeline_executions.total_duration IS 'Duration in seconds; null while it runs.';
COMMENT ON COLUMN pipeline_executions.success_rate IS 'Share of the work that succeeded, 0 to 1.';
COMMENT ON COLUMN pipeline_executions.commit_sha IS 'Commit that was built.';
COMMENT ON COLUMN pipeline_executions.configuration_version IS 'Version of the configuration it ran with.';
COMMENT ON COLUMN pipeline_executions.event_finished IS 'Whether the event that this row shows is a finished one.';
COMMENT ON COLUMN pipeline_executions.event_time IS 'Time of the event that this row shows.';
COMMENT ON COLUMN pipeline_executions.event_id IS 'Id of the event that this row shows; decides between events of one time.';
COMMENT ON COLUMN pipeline_executions.created_at IS 'When the row was first written (wall clock).';

CREATE TABLE step_executions (
    id uuid NOT NULL,
    pipeline_execution_id uuid NOT NULL,
    pipeline_name text NOT NULL,
    step_name text NOT NULL,
    step_order integer NOT NULL,
    execution_start timestamptz NOT NULL,
    execution_end timestamptz,
    status text NOT NULL
        CHECK (status IN ('running', 'success', 'failure', 'error', 'cancelled', 'timeout', 'skipped')),
    error_details jsonb DEFAULT '{}',
    performance_data jsonb DEFAULT '{}',
    resource_consumption jsonb DEFAULT '{}',
    event_time timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (pipeline_execution_id, step_order, execution_start),
    CONSTRAINT step_executions_interval CHECK (execution_end >= execution_start)
);
CREATE INDEX idx_step_executions_name_time ON step_executions (pipeline_name, step_name, execution_start);
COMMENT ON TABLE step_executions IS
    'Steps of finished runs.';
COMMENT ON COLUMN step_executions.id IS 'Derived from the run and step_order.';
COMMENT ON COLUMN step_executions.pipeline_execution_id IS 'The run, as in pipeline_executions.id.';
COMMENT ON COLUMN step_executions.pipeline_name IS 'Pipeline of the run.';
COMMENT ON COLUMN step_executions.step_name IS 'Step.';
COMMENT ON COLUMN step_executions.step_order IS 'Place of the step in its run.';
COMMENT ON COLUMN step_executions.execution_start IS 'Start of the step.';
COMMENT ON COLUMN step_executions.execution_end IS 'End of the step; null = not given.';
COMMENT ON COLUMN step_executions.status IS 'As in pipeline_executions.';
COMMENT ON COLUMN step_executions.error_details IS 'What went wrong.';
COMMENT ON COLUMN step_executions.performance_data IS 'Measures of the step, by name.';
COMMENT ON COLUMN step_executions.resource_consumption IS 'Resources the step used, by name.';
COMMENT ON COLUMN step_executions.event_time IS 'Time of the event that this row shows.';
COMMENT ON COLUMN step_executions.event_id IS 'Id of the event that this row shows; decides between events of one time.';

CREATE TABLE pipeline_configurations (
    id uuid PRIMARY KEY,
    pipeline_name text NOT NULL,
    configuration_version text NOT NULL,
    configuration_data jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    performance_baseline jsonb DEFAULT '{}',
    event_time timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    UNIQUE (pipeline_name, configuration_version)
);
COMMENT ON TABLE pipeline_configurations IS
    'Versions of the configuration of pipelines.';
COMMENT ON COLUMN pipeline_configurations.id IS 'Derived from pipeline_name and configuration_version.';
COMMENT ON COLUMN pipeline_configurations.pipeline_name IS 'Pipeline.';
COMMENT ON COLUMN pipeline_configurations.configuration_version IS 'Version.';
COMMENT ON COLUMN pipeline_configurations.configuration_data IS 'The configuration.';
COMMENT ON COLUMN pipeline_configurations.created_at IS 'Time of the event that this row shows.';
COMMENT ON COLUMN pipeline_configurations.is_active IS 'Whether runs use it.';
COMMENT ON COLUMN pipeline_configurations.performance_baseline IS 'Measures that are normal with it, by name.';
COMMENT ON COLUMN pipeline_configurations.event_time IS 'Time of the event that this row shows.';
COMMENT ON COLUMN pipeline_configurations.event_id IS 'Id of the event that this row shows; decides between events of one time.';

CREATE TABLE execution_patterns (
    id uuid PRIMARY KEY,
    pattern_id uuid NOT NULL,
    pipeline_name text NOT NULL,
    pattern_type text NOT NULL,
    pattern_description text,
    pattern_data jsonb NOT NULL,
    frequency_score float8 NOT NULL CHECK (frequency_score BETWEEN 0 AND 1),
    impact_score float8 NOT NULL CHECK (impact_score BETWEEN 0 AND 1),
    detected_at timestamptz NOT NULL
);
CREATE INDEX idx_execution_patterns_pattern ON execution_patterns (pattern_id);
CREATE INDEX idx_execution_patterns_pipeline ON execution_patterns (pipeline_name, detected_at);
COMMENT ON TABLE execution_patterns IS
    'Patterns found in runs of pipelines; each has its row in detected_patterns.';
COMMENT ON COLUMN execution_patterns.id IS 'Derived from what the pattern is about.';
COMMENT ON COLUMN execution_patterns.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN execution_patterns.pipeline_name IS 'Pipeline.';
COMMENT ON COLUMN execution_patterns.pattern_type IS 'Class of the pattern.';
COMMENT ON COLUMN execution_patterns.pattern_description IS 'The pattern in one sentence.';
COMMENT ON COLUMN execution_patterns.pattern_data IS 'Evidence.';
COMMENT ON COLUMN execution_patterns.frequency_score IS 'How often it occurs, 0 to 1.';
COMMENT ON COLUMN execution_patterns.impact_score IS 'How much it matters, 0 to 1.';
COMMENT ON COLUMN execution_patterns.detected_at IS 'Event time at which it was found.';
