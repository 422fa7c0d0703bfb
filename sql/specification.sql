-- The schema of the specification as it was given. No database is made from it: docs/tables.md and its test compare it
-- with what the migrations make, so that no departure goes without its reason.

-- Module 1: Task Management

-- Core task tracking
CREATE TABLE tasks (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    title VARCHAR(255) NOT NULL,
    description TEXT,
    status VARCHAR(50) NOT NULL,
    priority INTEGER DEFAULT 0,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    assigned_to UUID,
    project_id UUID,
    estimated_effort INTEGER, -- in minutes
    actual_effort INTEGER,    -- in minutes
    complexity_score DECIMAL(5,2),
    tags JSONB DEFAULT '[]'::jsonb
);

-- Task execution history
CREATE TABLE task_executions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id UUID REFERENCES tasks(id) ON DELETE CASCADE,
    execution_start TIMESTAMP WITH TIME ZONE NOT NULL,
    execution_end TIMESTAMP WITH TIME ZONE,
    status VARCHAR(50) NOT NULL,
    error_message TEXT,
    performance_metrics JSONB DEFAULT '{}'::jsonb,
    resource_usage JSONB DEFAULT '{}'::jsonb,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

-- Task dependencies and relationships
CREATE TABLE task_dependencies (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    parent_task_id UUID REFERENCES tasks(id) ON DELETE CASCADE,
    dependent_task_id UUID REFERENCES tasks(id) ON DELETE CASCADE,
    dependency_type VARCHAR(50) NOT NULL, -- 'blocks', 'relates_to', 'duplicates'
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(parent_task_id, dependent_task_id)
);

-- Detected task patterns
CREATE TABLE task_patterns (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pattern_type VARCHAR(100) NOT NULL,
    pattern_data JSONB NOT NULL,
    confidence_score DECIMAL(5,4) NOT NULL,
    detected_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    task_ids UUID[] NOT NULL,
    impact_assessment JSONB DEFAULT '{}'::jsonb
);

-- Module 2: Pipeline Execution

-- Pipeline execution tracking
CREATE TABLE pipeline_executions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pipeline_name VARCHAR(255) NOT NULL,
    execution_start TIMESTAMP WITH TIME ZONE NOT NULL,
    execution_end TIMESTAMP WITH TIME ZONE,
    status VARCHAR(50) NOT NULL,
    trigger_type VARCHAR(50) NOT NULL, -- 'manual', 'scheduled', 'webhook'
    trigger_data JSONB DEFAULT '{}'::jsonb,
    total_duration INTEGER, -- in seconds
    success_rate DECIMAL(5,4),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

-- Individual step executions within pipelines
CREATE TABLE step_executions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pipeline_execution_id UUID REFERENCES pipeline_executions(id) ON DELETE CASCADE,
    step_name VARCHAR(255) NOT NULL,
    step_order INTEGER NOT NULL,
    execution_start TIMESTAMP WITH TIME ZONE NOT NULL,
    execution_end TIMESTAMP WITH TIME ZONE,
    status VARCHAR(50) NOT NULL,
    error_details JSONB DEFAULT '{}'::jsonb,
    performance_data JSONB DEFAULT '{}'::jsonb,
    resource_consumption JSONB DEFAULT '{}'::jsonb
);

-- Pipeline configurations and versions
CREATE TABLE pipeline_configurations (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pipeline_name VARCHAR(255) NOT NULL,
    configuration_version VARCHAR(50) NOT NULL,
    configuration_data JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    is_active BOOLEAN DEFAULT true,
    performance_baseline JSONB DEFAULT '{}'::jsonb
);

-- Pipeline execution patterns
CREATE TABLE execution_patterns (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pipeline_name VARCHAR(255) NOT NULL,
    pattern_type VARCHAR(100) NOT NULL,
    pattern_description TEXT,
    pattern_data JSONB NOT NULL,
    frequency_score DECIMAL(5,4) NOT NULL,
    impact_score DECIMAL(5,4) NOT NULL,
    detected_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

-- Module 3: System Metrics

-- System-wide metrics collection
CREATE TABLE system_metrics (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    metric_name VARCHAR(255) NOT NULL,
    metric_value DECIMAL(15,6) NOT NULL,
    metric_unit VARCHAR(50),
    metric_tags JSONB DEFAULT '{}'::jsonb,
    collected_at TIMESTAMP WITH TIME ZONE NOT NULL,
    source_system VARCHAR(100) NOT NULL,
    aggregation_period VARCHAR(50) -- '1m', '5m', '1h', '1d'
);

-- Resource usage tracking
CREATE TABLE resource_usage (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    resource_type VARCHAR(100) NOT NULL, -- 'cpu', 'memory', 'disk', 'network'
    usage_percentage DECIMAL(5,2) NOT NULL,
    absolute_value DECIMAL(15,6),
    peak_usage DECIMAL(15,6),
    average_usage DECIMAL(15,6),
    measured_at TIMESTAMP WITH TIME ZONE NOT NULL,
    context_data JSONB DEFAULT '{}'::jsonb
);

-- Capacity planning data
CREATE TABLE capacity_planning (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    resource_type VARCHAR(100) NOT NULL,
    current_capacity DECIMAL(15,6) NOT NULL,
    projected_usage DECIMAL(15,6) NOT NULL,
    projection_date DATE NOT NULL,
    confidence_interval JSONB NOT NULL, -- {'lower': x, 'upper': y}
    recommendation TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

-- System metric patterns
CREATE TABLE metric_patterns (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    metric_names VARCHAR(255)[] NOT NULL,
    pattern_type VARCHAR(100) NOT NULL,
    pattern_signature JSONB NOT NULL,
    anomaly_score DECIMAL(5,4),
    trend_direction VARCHAR(20), -- 'increasing', 'decreasing', 'stable', 'volatile'
    detected_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    prediction_horizon INTEGER -- in hours
);

-- Module 4: Performance Analytics

-- Performance analytics and baselines
CREATE TABLE performance_analytics (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    component_name VARCHAR(255) NOT NULL,
    metric_type VARCHAR(100) NOT NULL, -- 'response_time', 'throughput', 'error_rate'
    baseline_value DECIMAL(15,6) NOT NULL,
    current_value DECIMAL(15,6) NOT NULL,
    performance_delta DECIMAL(10,4), -- percentage change from baseline
    measurement_window INTERVAL NOT NULL,
    analyzed_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    context_metadata JSONB DEFAULT '{}'::jsonb
);

-- Performance baselines for comparison
CREATE TABLE performance_baselines (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    component_name VARCHAR(255) NOT NULL,
    baseline_type VARCHAR(50) NOT NULL, -- 'daily', 'weekly', 'monthly', 'seasonal'
    baseline_metrics JSONB NOT NULL,
    confidence_level DECIMAL(5,4) NOT NULL,
    sample_size INTEGER NOT NULL,
    established_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    valid_until TIMESTAMP WITH TIME ZONE,
    is_active BOOLEAN DEFAULT true
);

-- Optimization opportunities identification
CREATE TABLE optimization_opportunities (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    opportunity_type VARCHAR(100) NOT NULL,
    component_affected VARCHAR(255) NOT NULL,
    potential_improvement DECIMAL(10,4) NOT NULL, -- percentage improvement
    effort_estimate VARCHAR(50) NOT NULL, -- 'low', 'medium', 'high'
    priority_score DECIMAL(5,2) NOT NULL,
    recommendation_text TEXT NOT NULL,
    supporting_data JSONB DEFAULT '{}'::jsonb,
    identified_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    status VARCHAR(50) DEFAULT 'identified' -- 'identified', 'in_progress', 'completed', 'dismissed'
);

-- Performance patterns and trends
CREATE TABLE performance_patterns (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pattern_name VARCHAR(255) NOT NULL,
    pattern_type VARCHAR(100) NOT NULL,
    affected_components VARCHAR(255)[] NOT NULL,
    pattern_signature JSONB NOT NULL,
    trend_analysis JSONB NOT NULL,
    impact_severity VARCHAR(50) NOT NULL, -- 'low', 'medium', 'high', 'critical'
    detected_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    prediction_accuracy DECIMAL(5,4)
);

-- Module 5: Integration Events

-- Integration events tracking
CREATE TABLE integration_events (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type VARCHAR(100) NOT NULL,
    source_system VARCHAR(100) NOT NULL,
    target_system VARCHAR(100),
    event_data JSONB NOT NULL,
    event_timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
    processing_duration INTEGER, -- in milliseconds
    status VARCHAR(50) NOT NULL, -- 'success', 'failure', 'partial'
    error_details JSONB DEFAULT '{}'::jsonb,
    correlation_id UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

-- Event correlations and relationships
CREATE TABLE event_correlations (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    primary_event_id UUID REFERENCES integration_events(id) ON DELETE CASCADE,
    related_event_id UUID REFERENCES integration_events(id) ON DELETE CASCADE,
    correlation_type VARCHAR(50) NOT NULL, -- 'causal', 'temporal', 'functional'
    correlation_strength DECIMAL(5,4) NOT NULL,
    time_offset INTEGER, -- milliseconds between events
    discovered_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    confidence_score DECIMAL(5,4) NOT NULL
);

-- Integration patterns
CREATE TABLE integration_patterns (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pattern_name VARCHAR(255) NOT NULL,
    pattern_type VARCHAR(100) NOT NULL,
    systems_involved VARCHAR(100)[] NOT NULL,
    pattern_definition JSONB NOT NULL,
    frequency_analysis JSONB NOT NULL,
    performance_impact JSONB NOT NULL,
    detected_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    pattern_stability_score DECIMAL(5,4) NOT NULL
);

-- Event impact analysis
CREATE TABLE event_impact_analysis (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id UUID REFERENCES integration_events(id) ON DELETE CASCADE,
    impact_type VARCHAR(100) NOT NULL,
    affected_systems VARCHAR(100)[] NOT NULL,
    impact_magnitude DECIMAL(10,4) NOT NULL,
    impact_duration INTEGER, -- in seconds
    recovery_time INTEGER, -- in seconds
    business_impact_score DECIMAL(5,2) NOT NULL,
    analyzed_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    mitigation_suggestions JSONB DEFAULT '{}'::jsonb
);

-- Module 6: Pattern Storage

-- Detected patterns storage
CREATE TABLE detected_patterns (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pattern_name VARCHAR(255) NOT NULL,
    pattern_type VARCHAR(100) NOT NULL,
    pattern_category VARCHAR(100) NOT NULL, -- 'performance', 'error', 'workflow', 'quality'
    pattern_data JSONB NOT NULL,
    detection_algorithm VARCHAR(100) NOT NULL,
    confidence_score DECIMAL(5,4) NOT NULL,
    significance_score DECIMAL(5,4) NOT NULL,
    detected_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    last_observed_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    observation_count INTEGER DEFAULT 1,
    is_active BOOLEAN DEFAULT true
);

-- Pattern classifications
CREATE TABLE pattern_classifications (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pattern_id UUID REFERENCES detected_patterns(id) ON DELETE CASCADE,
    classification_type VARCHAR(100) NOT NULL,
    classification_value VARCHAR(255) NOT NULL,
    classification_confidence DECIMAL(5,4) NOT NULL,
    classifier_model VARCHAR(100) NOT NULL,
    classified_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    human_verified BOOLEAN DEFAULT false,
    verification_timestamp TIMESTAMP WITH TIME ZONE
);

-- Pattern relationships
CREATE TABLE pattern_relationships (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    parent_pattern_id UUID REFERENCES detected_patterns(id) ON DELETE CASCADE,
    child_pattern_id UUID REFERENCES detected_patterns(id) ON DELETE CASCADE,
    relationship_type VARCHAR(50) NOT NULL, -- 'causes', 'correlates_with', 'precedes', 'follows'
    relationship_strength DECIMAL(5,4) NOT NULL,
    temporal_offset INTEGER, -- in seconds
    discovered_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    validation_status VARCHAR(50) DEFAULT 'pending' -- 'pending', 'confirmed', 'rejected'
);

-- Pattern evolution tracking
CREATE TABLE pattern_evolution (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    pattern_id UUID REFERENCES detected_patterns(id) ON DELETE CASCADE,
    evolution_type VARCHAR(100) NOT NULL, -- 'strengthening', 'weakening', 'shifting', 'splitting'
    previous_state JSONB NOT NULL,
    current_state JSONB NOT NULL,
    change_magnitude DECIMAL(5,4) NOT NULL,
    evolution_timestamp TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    contributing_factors JSONB DEFAULT '{}'::jsonb,
    prediction_accuracy DECIMAL(5,4)
);

-- Module 7: Machine Learning Models

-- ML models registry
CREATE TABLE ml_models (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    model_name VARCHAR(255) NOT NULL,
    model_type VARCHAR(100) NOT NULL, -- 'classification', 'regression', 'clustering', 'anomaly_detection'
    model_purpose VARCHAR(255) NOT NULL,
    algorithm_name VARCHAR(100) NOT NULL,
    model_version VARCHAR(50) NOT NULL,
    model_parameters JSONB NOT NULL,
    training_data_hash VARCHAR(64) NOT NULL,
    model_artifact_path VARCHAR(500) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    is_active BOOLEAN DEFAULT true,
    performance_metrics JSONB DEFAULT '{}'::jsonb
);

-- Model training data tracking
CREATE TABLE model_training_data (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    model_id UUID REFERENCES ml_models(id) ON DELETE CASCADE,
    data_source VARCHAR(255) NOT NULL,
    data_hash VARCHAR(64) NOT NULL,
    feature_count INTEGER NOT NULL,
    sample_count INTEGER NOT NULL,
    data_quality_score DECIMAL(5,4) NOT NULL,
    feature_importance JSONB DEFAULT '{}'::jsonb,
    training_start TIMESTAMP WITH TIME ZONE NOT NULL,
    training_end TIMESTAMP WITH TIME ZONE,
    validation_split DECIMAL(3,2) NOT NULL,
    test_split DECIMAL(3,2) NOT NULL
);

-- Model predictions tracking
CREATE TABLE model_predictions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    model_id UUID REFERENCES ml_models(id) ON DELETE CASCADE,
    prediction_input JSONB NOT NULL,
    prediction_output JSONB NOT NULL,
    confidence_score DECIMAL(5,4) NOT NULL,
    prediction_timestamp TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    actual_outcome JSONB, -- filled in later for accuracy tracking
    outcome_timestamp TIMESTAMP WITH TIME ZONE,
    prediction_accuracy DECIMAL(5,4), -- calculated when actual outcome is known
    context_metadata JSONB DEFAULT '{}'::jsonb
);

-- Model performance metrics
CREATE TABLE model_performance_metrics (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    model_id UUID REFERENCES ml_models(id) ON DELETE CASCADE,
    metric_name VARCHAR(100) NOT NULL,
    metric_value DECIMAL(10,6) NOT NULL,
    metric_type VARCHAR(50) NOT NULL, -- 'accuracy', 'precision', 'recall', 'f1_score', 'auc_roc'
    evaluation_dataset VARCHAR(255) NOT NULL,
    evaluation_timestamp TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    evaluation_context JSONB DEFAULT '{}'::jsonb,
    benchmark_comparison DECIMAL(10,6) -- comparison to baseline or previous version
);

-- Feature engineering tracking
CREATE TABLE feature_engineering (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    model_id UUID REFERENCES ml_models(id) ON DELETE CASCADE,
    feature_name VARCHAR(255) NOT NULL,
    feature_type VARCHAR(100) NOT NULL,
    transformation_logic TEXT NOT NULL,
    feature_importance DECIMAL(5,4),
    correlation_with_target DECIMAL(5,4),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    is_active BOOLEAN DEFAULT true,
    performance_impact JSONB DEFAULT '{}'::jsonb
);

-- Prediction accuracy tracking
CREATE TABLE prediction_accuracy_tracking (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    model_id UUID REFERENCES ml_models(id) ON DELETE CASCADE,
    prediction_id UUID REFERENCES model_predictions(id) ON DELETE CASCADE,
    accuracy_score DECIMAL(5,4) NOT NULL,
    error_magnitude DECIMAL(10,6),
    error_type VARCHAR(100),
    measured_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    feedback_source VARCHAR(100) NOT NULL, -- 'automated', 'human', 'system'
    correction_applied BOOLEAN DEFAULT false
);

-- Recommendation effectiveness
CREATE TABLE recommendation_effectiveness (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    recommendation_id UUID NOT NULL, -- references to optimization_opportunities or other recommendation tables
    recommendation_type VARCHAR(100) NOT NULL,
    implementation_status VARCHAR(50) NOT NULL, -- 'pending', 'implemented', 'rejected', 'partially_implemented'
    implementation_date TIMESTAMP WITH TIME ZONE,
    measured_improvement DECIMAL(10,4), -- actual improvement achieved
    expected_improvement DECIMAL(10,4), -- predicted improvement
    effectiveness_score DECIMAL(5,4), -- measured/expected
    measurement_period INTERVAL,
    measured_at TIMESTAMP WITH TIME ZONE,
    feedback_notes TEXT,
    business_impact JSONB DEFAULT '{}'::jsonb
);

-- Indexes

-- Performance-critical indexes for time-series queries
CREATE INDEX idx_system_metrics_collected_at ON system_metrics(collected_at);
CREATE INDEX idx_system_metrics_name_time ON system_metrics(metric_name, collected_at);
CREATE INDEX idx_task_executions_start_time ON task_executions(execution_start);
CREATE INDEX idx_pipeline_executions_start_time ON pipeline_executions(execution_start);
CREATE INDEX idx_integration_events_timestamp ON integration_events(event_timestamp);

-- Pattern detection indexes
CREATE INDEX idx_detected_patterns_type_category ON detected_patterns(pattern_type, pattern_category);
CREATE INDEX idx_detected_patterns_active_detected ON detected_patterns(is_active, detected_at);
CREATE INDEX idx_pattern_relationships_parent ON pattern_relationships(parent_pattern_id);
CREATE INDEX idx_pattern_relationships_child ON pattern_relationships(child_pattern_id);

-- ML model indexes
CREATE INDEX idx_model_predictions_model_timestamp ON model_predictions(model_id, prediction_timestamp);
CREATE INDEX idx_model_performance_model_timestamp ON model_performance_metrics(model_id, evaluation_timestamp);
CREATE INDEX idx_ml_models_active_version ON ml_models(is_active, model_version);

-- Composite indexes for complex queries
CREATE INDEX idx_task_patterns_type_confidence ON task_patterns(pattern_type, confidence_score);
CREATE INDEX idx_performance_analytics_component_analyzed ON performance_analytics(component_name, analyzed_at);
CREATE INDEX idx_optimization_opportunities_priority_status ON optimization_opportunities(priority_score, status);
