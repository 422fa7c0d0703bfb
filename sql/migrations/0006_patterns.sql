-- Module 6, pattern storage. An entity may be longer than a btree can hold (a path and a symbol), hence the hash index.

CREATE TABLE detected_patterns (
    id uuid PRIMARY KEY,
    pattern_name text NOT NULL,
    pattern_type text NOT NULL,
    pattern_category text NOT NULL CHECK (pattern_category IN ('performance', 'error', 'workflow', 'quality')),
    pattern_data jsonb NOT NULL,
    detection_algorithm text NOT NULL,
    confidence_score float8 NOT NULL CHECK (confidence_score BETWEEN 0 AND 1),
    significance_score float8 NOT NULL CHECK (significance_score BETWEEN 0 AND 1),
    detected_at timestamptz NOT NULL,
    last_observed_at timestamptz NOT NULL,
    observation_count integer NOT NULL DEFAULT 1 CHECK (observation_count >= 1),
    is_active boolean NOT NULL DEFAULT true,
    entity text NOT NULL,
    measure text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    direction text,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    event_time timestamptz,
    ingested_at timestamptz,
    decided_at timestamptz,
    written_at timestamptz DEFAULT clock_timestamp(),
    explanation text NOT NULL,
    CONSTRAINT detected_patterns_interval CHECK (resolved_at >= opened_at AND last_observed_at >= opened_at)
) WITH (fillfactor = 80);
CREATE INDEX idx_detected_patterns_type_category ON detected_patterns (pattern_type, pattern_category);
CREATE INDEX idx_detected_patterns_active_detected ON detected_patterns (is_active, detected_at);
CREATE INDEX idx_detected_patterns_entity ON detected_patterns USING hash (entity);
COMMENT ON TABLE detected_patterns IS
    'Every pattern found, by whichever detector. Times of the four stages give its latency.';
COMMENT ON COLUMN detected_patterns.id IS 'Derived from the series, the class and the time it opened: a replay finds the same one.';
COMMENT ON COLUMN detected_patterns.pattern_name IS 'Name.';
COMMENT ON COLUMN detected_patterns.pattern_type IS 'Class of the pattern.';
COMMENT ON COLUMN detected_patterns.pattern_category IS 'Branch of the taxonomy.';
COMMENT ON COLUMN detected_patterns.pattern_data IS 'Evidence.';
COMMENT ON COLUMN detected_patterns.detection_algorithm IS 'The detector that found it.';
COMMENT ON COLUMN detected_patterns.confidence_score IS 'Probability that it is real, 0 to 1.';
COMMENT ON COLUMN detected_patterns.significance_score IS 'How far from normal, 0 to 1.';
COMMENT ON COLUMN detected_patterns.detected_at IS 'Event time at which it opened.';
COMMENT ON COLUMN detected_patterns.last_observed_at IS 'Event time at which it was last seen.';
COMMENT ON COLUMN detected_patterns.observation_count IS 'How often it was seen.';
COMMENT ON COLUMN detected_patterns.is_active IS 'Whether it is open.';
COMMENT ON COLUMN detected_patterns.entity IS 'The series'' entity.';
COMMENT ON COLUMN detected_patterns.measure IS 'The series'' measure.';
COMMENT ON COLUMN detected_patterns.severity IS 'How much it matters; says nothing of how sure it is.';
COMMENT ON COLUMN detected_patterns.direction IS 'Where the value went, such as up or down; null = it has none.';
COMMENT ON COLUMN detected_patterns.opened_at IS 'Event time at which it opened.';
COMMENT ON COLUMN detected_patterns.resolved_at IS 'Event time at which it ended; null = it is open.';
COMMENT ON COLUMN detected_patterns.event_time IS 'Stage 1 of its latency: time of the event that opened it.';
COMMENT ON COLUMN detected_patterns.ingested_at IS 'Stage 2: when that event was read (wall clock).';
COMMENT ON COLUMN detected_patterns.decided_at IS 'Stage 3: when the detector decided (wall clock).';
COMMENT ON COLUMN detected_patterns.written_at IS 'Stage 4: when the row was first handed to the database (wall clock).';
COMMENT ON COLUMN detected_patterns.explanation IS 'The pattern in one sentence.';

CREATE TABLE pattern_classifications (
    id uuid PRIMARY KEY,
    pattern_id uuid NOT NULL,
    classification_type text NOT NULL,
    classification_value text NOT NULL,
    classification_confidence float8 NOT NULL CHECK (classification_confidence BETWEEN 0 AND 1),
    classifier_model text NOT NULL,
    classified_at timestamptz NOT NULL,
    human_verified boolean NOT NULL DEFAULT false,
    verification_timestamp timestamptz,
    actor text,
    note text
);
CREATE INDEX idx_pattern_classifications_pattern ON pattern_classifications (pattern_id);
COMMENT ON TABLE pattern_classifications IS
    'Verdicts about patterns, by people and by models. A verdict may arrive before its pattern.';
COMMENT ON COLUMN pattern_classifications.id IS 'Derived from the event or from the model''s run.';
COMMENT ON COLUMN pattern_classifications.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN pattern_classifications.classification_type IS 'What is judged, such as verdict or cause.';
COMMENT ON COLUMN pattern_classifications.classification_value IS 'The judgement.';
COMMENT ON COLUMN pattern_classifications.classification_confidence IS 'How sure the judge is, 0 to 1.';
COMMENT ON COLUMN pattern_classifications.classifier_model IS 'The model that judged; human for a person.';
COMMENT ON COLUMN pattern_classifications.classified_at IS 'When it was judged.';
COMMENT ON COLUMN pattern_classifications.human_verified IS 'Whether a person said so.';
COMMENT ON COLUMN pattern_classifications.verification_timestamp IS 'When a person said so.';
COMMENT ON COLUMN pattern_classifications.actor IS 'Who said so.';
COMMENT ON COLUMN pattern_classifications.note IS 'What they said about it.';

CREATE TABLE pattern_relationships (
    id uuid PRIMARY KEY,
    parent_pattern_id uuid NOT NULL REFERENCES detected_patterns (id) ON DELETE CASCADE,
    child_pattern_id uuid NOT NULL REFERENCES detected_patterns (id) ON DELETE CASCADE,
    relationship_type text NOT NULL CHECK (relationship_type IN ('causes', 'correlates_with', 'precedes', 'follows')),
    relationship_strength float8 NOT NULL CHECK (relationship_strength BETWEEN 0 AND 1),
    temporal_offset integer,
    discovered_at timestamptz NOT NULL,
    validation_status text NOT NULL DEFAULT 'pending'
        CHECK (validation_status IN ('pending', 'confirmed', 'rejected')),
    UNIQUE (parent_pattern_id, child_pattern_id, relationship_type)
);
CREATE INDEX idx_pattern_relationships_parent ON pattern_relationships (parent_pattern_id);
CREATE INDEX idx_pattern_relationships_child ON pattern_relationships (child_pattern_id);
COMMENT ON TABLE pattern_relationships IS
    'How patterns hang together.';
COMMENT ON COLUMN pattern_relationships.id IS 'Derived from both patterns and the type.';
COMMENT ON COLUMN pattern_relationships.parent_pattern_id IS 'The one that comes first.';
COMMENT ON COLUMN pattern_relationships.child_pattern_id IS 'The one that comes after.';
COMMENT ON COLUMN pattern_relationships.relationship_type IS 'How.';
COMMENT ON COLUMN pattern_relationships.relationship_strength IS 'Strength, 0 to 1.';
COMMENT ON COLUMN pattern_relationships.temporal_offset IS 'Time from the one to the other, in seconds.';
COMMENT ON COLUMN pattern_relationships.discovered_at IS 'End of the history it was found in.';
COMMENT ON COLUMN pattern_relationships.validation_status IS 'Whether it held up.';

CREATE TABLE pattern_evolution (
    id uuid NOT NULL,
    pattern_id uuid NOT NULL,
    evolution_type text NOT NULL
        CHECK (evolution_type IN ('opened', 'strengthening', 'weakening', 'shifting', 'splitting', 'resolved')),
    previous_state jsonb NOT NULL DEFAULT '{}',
    current_state jsonb NOT NULL,
    change_magnitude float8 NOT NULL CHECK (change_magnitude > '-Infinity' AND change_magnitude < 'Infinity'),
    evolution_timestamp timestamptz NOT NULL,
    contributing_factors jsonb DEFAULT '{}',
    prediction_accuracy float8 CHECK (prediction_accuracy BETWEEN 0 AND 1),
    PRIMARY KEY (pattern_id, evolution_type, evolution_timestamp)
);
COMMENT ON TABLE pattern_evolution IS
    'The history of a pattern.';
COMMENT ON COLUMN pattern_evolution.id IS 'Derived from pattern, type and time.';
COMMENT ON COLUMN pattern_evolution.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN pattern_evolution.evolution_type IS 'What changed.';
COMMENT ON COLUMN pattern_evolution.previous_state IS 'The pattern before; empty when it opened.';
COMMENT ON COLUMN pattern_evolution.current_state IS 'The pattern after.';
COMMENT ON COLUMN pattern_evolution.change_magnitude IS 'Change of the score.';
COMMENT ON COLUMN pattern_evolution.evolution_timestamp IS 'Event time of the change.';
COMMENT ON COLUMN pattern_evolution.contributing_factors IS 'What is thought to have changed it.';
COMMENT ON COLUMN pattern_evolution.prediction_accuracy IS 'How well the change was foreseen, 0 to 1.';
