-- Module 7, machine learning models.

CREATE TABLE ml_models (
    id uuid PRIMARY KEY,
    model_name text NOT NULL,
    model_type text NOT NULL
        CHECK (model_type IN ('classification', 'regression', 'clustering', 'anomaly_detection', 'forecasting')),
    model_purpose text NOT NULL,
    algorithm_name text NOT NULL,
    model_version text NOT NULL,
    model_parameters jsonb NOT NULL,
    training_data_hash text NOT NULL CHECK (length(training_data_hash) = 64),
    model_artifact_path text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    is_active boolean NOT NULL DEFAULT true,
    performance_metrics jsonb DEFAULT '{}',
    UNIQUE (model_name, model_version)
);
CREATE INDEX idx_ml_models_active_version ON ml_models (is_active, model_version);
COMMENT ON TABLE ml_models IS
    'Registry of models: one row a version.';
COMMENT ON COLUMN ml_models.id IS 'Derived from model_name and model_version.';
COMMENT ON COLUMN ml_models.model_name IS 'Model.';
COMMENT ON COLUMN ml_models.model_type IS 'Kind of task it solves.';
COMMENT ON COLUMN ml_models.model_purpose IS 'What it is for, in one sentence.';
COMMENT ON COLUMN ml_models.algorithm_name IS 'Algorithm.';
COMMENT ON COLUMN ml_models.model_version IS 'Version.';
COMMENT ON COLUMN ml_models.model_parameters IS 'Hyperparameters, by name.';
COMMENT ON COLUMN ml_models.training_data_hash IS 'SHA-256 of the training data, in hexadecimal digits.';
COMMENT ON COLUMN ml_models.model_artifact_path IS 'File of the model.';
COMMENT ON COLUMN ml_models.created_at IS 'When it was trained.';
COMMENT ON COLUMN ml_models.is_active IS 'Whether it is in use.';
COMMENT ON COLUMN ml_models.performance_metrics IS 'Measures on held-out data, by name.';

CREATE TABLE model_versions (
    id uuid PRIMARY KEY,
    model_id uuid NOT NULL REFERENCES ml_models (id) ON DELETE CASCADE,
    model_name text NOT NULL,
    model_version text NOT NULL,
    previous_version_id uuid REFERENCES model_versions (id) ON DELETE SET NULL,
    stage text NOT NULL DEFAULT 'candidate' CHECK (stage IN ('candidate', 'active', 'retired', 'rejected')),
    artifact_sha256 text NOT NULL CHECK (length(artifact_sha256) = 64),
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    retired_at timestamptz,
    decision jsonb DEFAULT '{}',
    UNIQUE (model_name, model_version),
    CONSTRAINT model_versions_interval CHECK (retired_at >= activated_at)
);
CREATE INDEX idx_model_versions_model ON model_versions (model_id);
CREATE INDEX idx_model_versions_previous ON model_versions (previous_version_id);
CREATE UNIQUE INDEX idx_model_versions_active ON model_versions (model_name) WHERE stage = 'active';
COMMENT ON TABLE model_versions IS
    'The life of each version of a model: from candidate to retirement.';
COMMENT ON COLUMN model_versions.id IS 'Derived from model_name and model_version.';
COMMENT ON COLUMN model_versions.model_id IS 'The version''s row in the registry.';
COMMENT ON COLUMN model_versions.model_name IS 'Model.';
COMMENT ON COLUMN model_versions.model_version IS 'Version.';
COMMENT ON COLUMN model_versions.previous_version_id IS 'The version it was made to replace; null = the first.';
COMMENT ON COLUMN model_versions.stage IS 'Where it stands.';
COMMENT ON COLUMN model_versions.artifact_sha256 IS 'SHA-256 of the model''s file, checked before it is loaded.';
COMMENT ON COLUMN model_versions.created_at IS 'When it was registered.';
COMMENT ON COLUMN model_versions.activated_at IS 'When it came into use.';
COMMENT ON COLUMN model_versions.retired_at IS 'When it went out of use.';
COMMENT ON COLUMN model_versions.decision IS 'The comparison that put it where it stands.';

CREATE TABLE model_training_data (
    id uuid PRIMARY KEY,
    model_id uuid NOT NULL REFERENCES ml_models (id) ON DELETE CASCADE,
    data_source text NOT NULL,
    data_hash text NOT NULL CHECK (length(data_hash) = 64),
    feature_count integer NOT NULL CHECK (feature_count >= 0),
    sample_count integer NOT NULL CHECK (sample_count >= 0),
    data_quality_score float8 NOT NULL CHECK (data_quality_score BETWEEN 0 AND 1),
    feature_importance jsonb DEFAULT '{}',
    training_start timestamptz NOT NULL,
    training_end timestamptz,
    validation_split float8 NOT NULL CHECK (validation_split BETWEEN 0 AND 1),
    test_split float8 NOT NULL CHECK (test_split BETWEEN 0 AND 1),
    UNIQUE (model_id, data_source),
    CONSTRAINT model_training_data_interval CHECK (training_end >= training_start),
    CONSTRAINT model_training_data_splits CHECK (validation_split + test_split <= 1)
);
COMMENT ON TABLE model_training_data IS
    'What a model was trained on.';
COMMENT ON COLUMN model_training_data.id IS 'Derived from the model and the source.';
COMMENT ON COLUMN model_training_data.model_id IS 'The model.';
COMMENT ON COLUMN model_training_data.data_source IS 'Where the data came from.';
COMMENT ON COLUMN model_training_data.data_hash IS 'SHA-256 of the data, in hexadecimal digits.';
COMMENT ON COLUMN model_training_data.feature_count IS 'Number of features.';
COMMENT ON COLUMN model_training_data.sample_count IS 'Number of samples.';
COMMENT ON COLUMN model_training_data.data_quality_score IS 'Share of the samples that passed every check, 0 to 1.';
COMMENT ON COLUMN model_training_data.feature_importance IS 'Importance, by feature.';
COMMENT ON COLUMN model_training_data.training_start IS 'When training started (wall clock).';
COMMENT ON COLUMN model_training_data.training_end IS 'When training ended; null = it runs, or it failed.';
COMMENT ON COLUMN model_training_data.validation_split IS 'Share of the samples for validation, 0 to 1.';
COMMENT ON COLUMN model_training_data.test_split IS 'Share of the samples for the test, 0 to 1.';

CREATE TABLE model_predictions (
    id uuid NOT NULL,
    model_id uuid NOT NULL REFERENCES ml_models (id) ON DELETE CASCADE,
    prediction_input jsonb NOT NULL,
    prediction_output jsonb NOT NULL,
    confidence_score float8 NOT NULL CHECK (confidence_score BETWEEN 0 AND 1),
    prediction_timestamp timestamptz NOT NULL,
    actual_outcome jsonb,
    outcome_timestamp timestamptz,
    prediction_accuracy float8 CHECK (prediction_accuracy BETWEEN 0 AND 1),
    context_metadata jsonb DEFAULT '{}',
    PRIMARY KEY (id, prediction_timestamp)
);
CREATE INDEX idx_model_predictions_model_timestamp ON model_predictions (model_id, prediction_timestamp);
COMMENT ON TABLE model_predictions IS
    'What models said, and what came of it.';
COMMENT ON COLUMN model_predictions.id IS 'Derived from the model and what it was asked.';
COMMENT ON COLUMN model_predictions.model_id IS 'The model.';
COMMENT ON COLUMN model_predictions.prediction_input IS 'The features.';
COMMENT ON COLUMN model_predictions.prediction_output IS 'The prediction, with its interval where there is one.';
COMMENT ON COLUMN model_predictions.confidence_score IS 'Calibrated probability of being right, 0 to 1.';
COMMENT ON COLUMN model_predictions.prediction_timestamp IS 'Event time the prediction was made for.';
COMMENT ON COLUMN model_predictions.actual_outcome IS 'What happened; null = not known yet.';
COMMENT ON COLUMN model_predictions.outcome_timestamp IS 'When that was known.';
COMMENT ON COLUMN model_predictions.prediction_accuracy IS 'How right it was, 0 to 1; null = not known yet.';
COMMENT ON COLUMN model_predictions.context_metadata IS 'What it was about, by name.';

CREATE TABLE model_performance_metrics (
    id uuid NOT NULL,
    model_id uuid NOT NULL REFERENCES ml_models (id) ON DELETE CASCADE,
    metric_name text NOT NULL,
    metric_value float8 NOT NULL CHECK (metric_value > '-Infinity' AND metric_value < 'Infinity'),
    metric_type text NOT NULL,
    evaluation_dataset text NOT NULL,
    evaluation_timestamp timestamptz NOT NULL,
    evaluation_context jsonb DEFAULT '{}',
    benchmark_comparison float8 CHECK (benchmark_comparison > '-Infinity' AND benchmark_comparison < 'Infinity'),
    PRIMARY KEY (model_id, metric_name, evaluation_dataset, evaluation_timestamp)
);
CREATE INDEX idx_model_performance_model_timestamp ON model_performance_metrics (model_id, evaluation_timestamp);
COMMENT ON TABLE model_performance_metrics IS
    'Measures of models.';
COMMENT ON COLUMN model_performance_metrics.id IS 'Derived from model, measure, data set and time.';
COMMENT ON COLUMN model_performance_metrics.model_id IS 'The model.';
COMMENT ON COLUMN model_performance_metrics.metric_name IS 'Measure, as in pr_auc_weekly.';
COMMENT ON COLUMN model_performance_metrics.metric_value IS 'Its value.';
COMMENT ON COLUMN model_performance_metrics.metric_type IS 'Kind of measure, such as accuracy, precision, recall, f1_score, auc_roc, mase or coverage.';
COMMENT ON COLUMN model_performance_metrics.evaluation_dataset IS 'Data it was taken on.';
COMMENT ON COLUMN model_performance_metrics.evaluation_timestamp IS 'When it was taken.';
COMMENT ON COLUMN model_performance_metrics.evaluation_context IS 'Sample sizes and the like, by name.';
COMMENT ON COLUMN model_performance_metrics.benchmark_comparison IS 'Difference to the baseline or the version before, in the measure''s own unit.';

CREATE TABLE feature_engineering (
    id uuid PRIMARY KEY,
    model_id uuid NOT NULL REFERENCES ml_models (id) ON DELETE CASCADE,
    feature_name text NOT NULL,
    feature_type text NOT NULL,
    transformation_logic text NOT NULL,
    feature_importance float8 CHECK (feature_importance > '-Infinity' AND feature_importance < 'Infinity'),
    correlation_with_target float8 CHECK (correlation_with_target BETWEEN -1 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    is_active boolean NOT NULL DEFAULT true,
    performance_impact jsonb DEFAULT '{}',
    UNIQUE (model_id, feature_name)
);
COMMENT ON TABLE feature_engineering IS
    'The features of models.';
COMMENT ON COLUMN feature_engineering.id IS 'Derived from the model and the feature.';
COMMENT ON COLUMN feature_engineering.model_id IS 'The model.';
COMMENT ON COLUMN feature_engineering.feature_name IS 'Feature.';
COMMENT ON COLUMN feature_engineering.feature_type IS 'Kind of feature, such as numeric or categorical.';
COMMENT ON COLUMN feature_engineering.transformation_logic IS 'How it is computed.';
COMMENT ON COLUMN feature_engineering.feature_importance IS 'Importance on the model''s own scale.';
COMMENT ON COLUMN feature_engineering.correlation_with_target IS 'Correlation with what is predicted, -1 to 1.';
COMMENT ON COLUMN feature_engineering.created_at IS 'When it was recorded.';
COMMENT ON COLUMN feature_engineering.is_active IS 'Whether the model uses it.';
COMMENT ON COLUMN feature_engineering.performance_impact IS 'Change of each measure without it, by name.';

CREATE TABLE prediction_accuracy_tracking (
    id uuid NOT NULL,
    model_id uuid NOT NULL REFERENCES ml_models (id) ON DELETE CASCADE,
    prediction_id uuid NOT NULL,
    accuracy_score float8 NOT NULL CHECK (accuracy_score BETWEEN 0 AND 1),
    error_magnitude float8 CHECK (error_magnitude > '-Infinity' AND error_magnitude < 'Infinity'),
    error_type text,
    measured_at timestamptz NOT NULL,
    feedback_source text NOT NULL CHECK (feedback_source IN ('automated', 'human', 'system')),
    correction_applied boolean NOT NULL DEFAULT false,
    PRIMARY KEY (prediction_id, feedback_source, measured_at)
);
CREATE INDEX idx_prediction_accuracy_model ON prediction_accuracy_tracking (model_id, measured_at);
COMMENT ON TABLE prediction_accuracy_tracking IS
    'Judgements of predictions. No foreign key to model_predictions, which drops old rows by time.';
COMMENT ON COLUMN prediction_accuracy_tracking.id IS 'Derived from the prediction, the judge and the time.';
COMMENT ON COLUMN prediction_accuracy_tracking.model_id IS 'The model.';
COMMENT ON COLUMN prediction_accuracy_tracking.prediction_id IS 'The prediction, as in model_predictions.id.';
COMMENT ON COLUMN prediction_accuracy_tracking.accuracy_score IS 'How right it was, 0 to 1.';
COMMENT ON COLUMN prediction_accuracy_tracking.error_magnitude IS 'Prediction minus outcome, in the predicted unit.';
COMMENT ON COLUMN prediction_accuracy_tracking.error_type IS 'Kind of error, such as false_positive.';
COMMENT ON COLUMN prediction_accuracy_tracking.measured_at IS 'When it was judged.';
COMMENT ON COLUMN prediction_accuracy_tracking.feedback_source IS 'Who judged.';
COMMENT ON COLUMN prediction_accuracy_tracking.correction_applied IS 'Whether the model was corrected for it.';

CREATE TABLE recommendation_effectiveness (
    id uuid PRIMARY KEY,
    recommendation_id uuid NOT NULL,
    recommendation_type text NOT NULL,
    implementation_status text NOT NULL
        CHECK (implementation_status IN ('pending', 'implemented', 'rejected', 'partially_implemented')),
    implementation_date timestamptz,
    measured_improvement float8 CHECK (measured_improvement > '-Infinity' AND measured_improvement < 'Infinity'),
    expected_improvement float8 CHECK (expected_improvement > '-Infinity' AND expected_improvement < 'Infinity'),
    effectiveness_score float8 CHECK (effectiveness_score > '-Infinity' AND effectiveness_score < 'Infinity'),
    measurement_period interval CHECK (measurement_period > '0'),
    measured_at timestamptz,
    feedback_notes text,
    business_impact jsonb DEFAULT '{}',
    event_time timestamptz NOT NULL DEFAULT '-infinity',
    event_id text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX idx_recommendation_effectiveness_recommendation ON recommendation_effectiveness (recommendation_id);
COMMENT ON TABLE recommendation_effectiveness IS
    'What became of recommendations, and whether they helped.';
COMMENT ON COLUMN recommendation_effectiveness.id IS 'Derived from the recommendation.';
COMMENT ON COLUMN recommendation_effectiveness.recommendation_id IS 'As in optimization_opportunities.id; it may be unknown here.';
COMMENT ON COLUMN recommendation_effectiveness.recommendation_type IS 'Kind of recommendation.';
COMMENT ON COLUMN recommendation_effectiveness.implementation_status IS 'What became of it.';
COMMENT ON COLUMN recommendation_effectiveness.implementation_date IS 'When it was put in place.';
COMMENT ON COLUMN recommendation_effectiveness.measured_improvement IS 'Improvement measured, in percent.';
COMMENT ON COLUMN recommendation_effectiveness.expected_improvement IS 'Improvement expected, in percent.';
COMMENT ON COLUMN recommendation_effectiveness.effectiveness_score IS 'Measured divided by expected; below 0 when it made things worse.';
COMMENT ON COLUMN recommendation_effectiveness.measurement_period IS 'Length of time it was measured over.';
COMMENT ON COLUMN recommendation_effectiveness.measured_at IS 'End of that time.';
COMMENT ON COLUMN recommendation_effectiveness.feedback_notes IS 'What people said about it.';
COMMENT ON COLUMN recommendation_effectiveness.business_impact IS 'What it was worth, by name.';
COMMENT ON COLUMN recommendation_effectiveness.event_time IS 'Time of the event that this row shows; -infinity before the first.';
COMMENT ON COLUMN recommendation_effectiveness.event_id IS 'Id of the event that this row shows; decides between events of one time.';
