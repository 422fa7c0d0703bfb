-- Module 5, integration events. What refers to an event has no foreign key to it: old events are dropped.

CREATE TABLE integration_events (
    id uuid NOT NULL,
    event_type text NOT NULL,
    source_system text NOT NULL,
    target_system text,
    event_data jsonb NOT NULL,
    event_timestamp timestamptz NOT NULL,
    processing_duration float8 CHECK (processing_duration >= 0 AND processing_duration < 'Infinity'),
    status text NOT NULL CHECK (status IN ('success', 'failure', 'partial')),
    error_details jsonb DEFAULT '{}',
    correlation_id uuid,
    correlation_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, event_timestamp)
);
CREATE INDEX idx_integration_events_timestamp ON integration_events (event_timestamp);
CREATE INDEX idx_integration_events_source ON integration_events (source_system, event_type, event_timestamp);
CREATE INDEX idx_integration_events_correlation ON integration_events (correlation_id) WHERE correlation_id IS NOT
    NULL;
COMMENT ON TABLE integration_events IS
    'What happened between systems, one row an event.';
COMMENT ON COLUMN integration_events.id IS 'Derived from the event''s source and id.';
COMMENT ON COLUMN integration_events.event_type IS 'What happened.';
COMMENT ON COLUMN integration_events.source_system IS 'System that did it.';
COMMENT ON COLUMN integration_events.target_system IS 'System it was done to; null = none.';
COMMENT ON COLUMN integration_events.event_data IS 'Details.';
COMMENT ON COLUMN integration_events.event_timestamp IS 'When it happened.';
COMMENT ON COLUMN integration_events.processing_duration IS 'How long it took, in milliseconds.';
COMMENT ON COLUMN integration_events.status IS 'How it ended.';
COMMENT ON COLUMN integration_events.error_details IS 'What went wrong.';
COMMENT ON COLUMN integration_events.correlation_id IS 'Events of one cause share it; derived from correlation_key if that is no UUID.';
COMMENT ON COLUMN integration_events.correlation_key IS 'The correlation_id as the event wrote it.';
COMMENT ON COLUMN integration_events.created_at IS 'When the row was first written (wall clock).';

CREATE TABLE event_correlations (
    id uuid NOT NULL,
    primary_event_id uuid NOT NULL,
    related_event_id uuid NOT NULL,
    correlation_type text NOT NULL CHECK (correlation_type IN ('causal', 'temporal', 'functional')),
    correlation_strength float8 NOT NULL CHECK (correlation_strength BETWEEN -1 AND 1),
    time_offset bigint,
    discovered_at timestamptz NOT NULL,
    confidence_score float8 NOT NULL CHECK (confidence_score BETWEEN 0 AND 1),
    PRIMARY KEY (primary_event_id, related_event_id, correlation_type, discovered_at)
);
CREATE INDEX idx_event_correlations_related ON event_correlations (related_event_id);
COMMENT ON TABLE event_correlations IS
    'Pairs of integration events that belong together.';
COMMENT ON COLUMN event_correlations.id IS 'Derived from the pair and the type.';
COMMENT ON COLUMN event_correlations.primary_event_id IS 'The earlier event, as in integration_events.id.';
COMMENT ON COLUMN event_correlations.related_event_id IS 'The later event, as in integration_events.id.';
COMMENT ON COLUMN event_correlations.correlation_type IS 'How they belong together.';
COMMENT ON COLUMN event_correlations.correlation_strength IS 'Strength and sign, -1 to 1.';
COMMENT ON COLUMN event_correlations.time_offset IS 'Time from the primary to the related event, in milliseconds.';
COMMENT ON COLUMN event_correlations.discovered_at IS 'End of the history it was found in.';
COMMENT ON COLUMN event_correlations.confidence_score IS 'Probability that it is real, 0 to 1.';

CREATE TABLE integration_patterns (
    id uuid PRIMARY KEY,
    pattern_id uuid NOT NULL,
    pattern_name text NOT NULL,
    pattern_type text NOT NULL,
    systems_involved text[] NOT NULL,
    pattern_definition jsonb NOT NULL,
    frequency_analysis jsonb NOT NULL,
    performance_impact jsonb NOT NULL,
    detected_at timestamptz NOT NULL,
    pattern_stability_score float8 NOT NULL CHECK (pattern_stability_score BETWEEN 0 AND 1)
);
CREATE INDEX idx_integration_patterns_pattern ON integration_patterns (pattern_id);
COMMENT ON TABLE integration_patterns IS
    'Patterns found between systems; each has its row in detected_patterns.';
COMMENT ON COLUMN integration_patterns.id IS 'Derived from what the pattern is about.';
COMMENT ON COLUMN integration_patterns.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN integration_patterns.pattern_name IS 'Name.';
COMMENT ON COLUMN integration_patterns.pattern_type IS 'Class of the pattern.';
COMMENT ON COLUMN integration_patterns.systems_involved IS 'Systems it is about.';
COMMENT ON COLUMN integration_patterns.pattern_definition IS 'The sequence or rule.';
COMMENT ON COLUMN integration_patterns.frequency_analysis IS 'How often, and when.';
COMMENT ON COLUMN integration_patterns.performance_impact IS 'What it costs, by name.';
COMMENT ON COLUMN integration_patterns.detected_at IS 'Event time at which it was found.';
COMMENT ON COLUMN integration_patterns.pattern_stability_score IS 'Share of the past in which it held, 0 to 1.';

CREATE TABLE event_impact_analysis (
    id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    impact_type text NOT NULL,
    affected_systems text[] NOT NULL,
    impact_magnitude float8 NOT NULL CHECK (impact_magnitude > '-Infinity' AND impact_magnitude < 'Infinity'),
    impact_duration integer CHECK (impact_duration >= 0),
    recovery_time integer CHECK (recovery_time >= 0),
    business_impact_score float8 NOT NULL CHECK (business_impact_score >= 0 AND business_impact_score < 'Infinity'),
    analyzed_at timestamptz NOT NULL,
    mitigation_suggestions jsonb DEFAULT '{}',
    UNIQUE (event_id, impact_type)
);
COMMENT ON TABLE event_impact_analysis IS
    'What an integration event did to other systems.';
COMMENT ON COLUMN event_impact_analysis.id IS 'Derived from the event and impact_type.';
COMMENT ON COLUMN event_impact_analysis.event_id IS 'The event, as in integration_events.id.';
COMMENT ON COLUMN event_impact_analysis.impact_type IS 'Kind of effect.';
COMMENT ON COLUMN event_impact_analysis.affected_systems IS 'Systems that felt it.';
COMMENT ON COLUMN event_impact_analysis.impact_magnitude IS 'Change of the affected measure, in percent.';
COMMENT ON COLUMN event_impact_analysis.impact_duration IS 'How long it lasted, in seconds.';
COMMENT ON COLUMN event_impact_analysis.recovery_time IS 'Time until normal again, in seconds.';
COMMENT ON COLUMN event_impact_analysis.business_impact_score IS 'Rank of what it cost; greater is worse.';
COMMENT ON COLUMN event_impact_analysis.analyzed_at IS 'End of the history it was judged from.';
COMMENT ON COLUMN event_impact_analysis.mitigation_suggestions IS 'What to do, by system.';
