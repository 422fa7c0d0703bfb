-- What the checks made with each table leave open: values that contradict each other, words and numbers outside their
-- range, arrays with holes. No row that the flow writes is refused.

ALTER TABLE tasks
    ADD CONSTRAINT tasks_tags CHECK (jsonb_typeof(tags) = 'array');

ALTER TABLE task_executions
    ADD CONSTRAINT task_executions_attempt CHECK (attempt >= 0);
COMMENT ON COLUMN task_executions.attempt IS 'Number of the attempt; 1 when the event gave none.';

ALTER TABLE task_patterns
    ADD CONSTRAINT task_patterns_task_ids CHECK (array_position(task_ids, NULL) IS NULL);
CREATE INDEX idx_task_patterns_tasks ON task_patterns USING gin (task_ids);

ALTER TABLE step_executions
    ADD CONSTRAINT step_executions_step_order CHECK (step_order >= 0);
COMMENT ON COLUMN step_executions.step_order IS 'Place of the step in its run, 0 or more; one step a place.';

ALTER TABLE capacity_planning
    ADD CONSTRAINT capacity_planning_interval CHECK (
        jsonb_typeof(confidence_interval -> 'lower') = 'number' AND jsonb_typeof(confidence_interval -> 'upper') = 'number'
        AND confidence_interval -> 'lower' <= confidence_interval -> 'upper'
    );

ALTER TABLE metric_patterns
    ADD CONSTRAINT metric_patterns_metric_names CHECK (array_position(metric_names, NULL) IS NULL);

ALTER TABLE performance_patterns
    ADD CONSTRAINT performance_patterns_components CHECK (array_position(affected_components, NULL) IS NULL);

ALTER TABLE event_correlations
    ADD CONSTRAINT event_correlations_pair CHECK (primary_event_id <> related_event_id);

ALTER TABLE integration_patterns
    ADD CONSTRAINT integration_patterns_systems CHECK (array_position(systems_involved, NULL) IS NULL);

ALTER TABLE event_impact_analysis
    ADD CONSTRAINT event_impact_analysis_systems CHECK (array_position(affected_systems, NULL) IS NULL);

-- resolved_at is not in the specification: whoever only knows is_active may leave it out.
ALTER TABLE detected_patterns
    ADD CONSTRAINT detected_patterns_resolved CHECK (NOT is_active OR resolved_at IS NULL);
COMMENT ON COLUMN detected_patterns.is_active IS 'Whether it goes on: true until resolved_at is set.';

ALTER TABLE pattern_classifications
    ADD CONSTRAINT pattern_classifications_verified CHECK (human_verified OR verification_timestamp IS NULL),
    ADD CONSTRAINT pattern_classifications_interval CHECK (verification_timestamp >= classified_at);

ALTER TABLE pattern_relationships
    ADD CONSTRAINT pattern_relationships_pair CHECK (parent_pattern_id <> child_pattern_id);

ALTER TABLE model_versions
    ADD CONSTRAINT model_versions_previous CHECK (previous_version_id <> id),
    ADD CONSTRAINT model_versions_activated CHECK (stage <> 'active' OR (activated_at IS NOT NULL AND retired_at IS NULL));

ALTER TABLE model_predictions
    ADD CONSTRAINT model_predictions_interval CHECK (outcome_timestamp >= prediction_timestamp);

ALTER TABLE dead_letters
    ADD CONSTRAINT dead_letters_partition CHECK (partition >= 0),
    ADD CONSTRAINT dead_letters_headers CHECK (jsonb_typeof(headers) = 'array');
COMMENT ON COLUMN dead_letters.record_offset IS
    'Offset; the line number, from 1, for a file; negative for a row that was derived from several records.';

ALTER TABLE stream_counters
    ADD CONSTRAINT stream_counters_partition CHECK (partition >= 0),
    ADD CONSTRAINT stream_counters_reason CHECK (reason = '' OR outcome = 'dead_letter');

ALTER TABLE series
    ADD CONSTRAINT series_kind CHECK (
        kind IN ('metric', 'resource', 'pipeline', 'step', 'task', 'integration', 'code')
    );
