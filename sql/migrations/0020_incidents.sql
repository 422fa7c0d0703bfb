-- What belongs together of the patterns: incidents, written by the one process that holds the correlator's lock. It learns
-- of a change from pattern_changes, which triggers fill in the writer's transaction: a change is there exactly when its
-- pattern is, whichever process wrote it, and the correlator takes it away in the transaction that holds what it led to.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE incidents (
    id uuid PRIMARY KEY,
    title text NOT NULL,
    summary text NOT NULL,
    entity text NOT NULL,
    category text NOT NULL CHECK (category IN ('performance', 'error', 'workflow', 'quality')),
    pattern_class text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    confidence float8 NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    status text NOT NULL CHECK (status IN ('open', 'resolved', 'merged', 'retracted', 'silent')),
    merged_into uuid CHECK (merged_into <> id),
    is_wide boolean NOT NULL DEFAULT false,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz,
    patterns integer NOT NULL CHECK (patterns >= 0),
    series integer NOT NULL CHECK (series >= 0),
    reopened integer NOT NULL DEFAULT 0 CHECK (reopened >= 0),
    contributors jsonb NOT NULL DEFAULT '[]',
    known_changes jsonb NOT NULL DEFAULT '[]',
    earlier jsonb NOT NULL DEFAULT '[]',
    inhibited text,
    notice jsonb,
    revision integer NOT NULL DEFAULT 0 CHECK (revision >= 0),
    sent_revision integer NOT NULL DEFAULT 0 CHECK (sent_revision >= 0),
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT incidents_interval CHECK (ended_at >= started_at),
    CONSTRAINT incidents_ended CHECK (status <> 'open' OR ended_at IS NULL)
) WITH (fillfactor = 80);
CREATE INDEX idx_incidents_newest ON incidents (started_at, id);
CREATE INDEX idx_incidents_open ON incidents (severity) WHERE status = 'open';
CREATE INDEX idx_incidents_unsent ON incidents (id) WHERE revision > sent_revision;
COMMENT ON TABLE incidents IS
    'What belongs together of the detected patterns, by the tree of its entity, links and time: what people are told of.';
COMMENT ON COLUMN incidents.id IS 'Derived from its first pattern.';
COMMENT ON COLUMN incidents.title IS 'What it is, in one line.';
COMMENT ON COLUMN incidents.summary IS 'What it is, in a sentence or two with the strongest evidence.';
COMMENT ON COLUMN incidents.entity IS 'Root of what is affected, such as the pipeline of a step.';
COMMENT ON COLUMN incidents.category IS 'Branch of the taxonomy, of its strongest patterns.';
COMMENT ON COLUMN incidents.pattern_class IS 'Class of the taxonomy, of its strongest patterns.';
COMMENT ON COLUMN incidents.severity IS 'The greatest of its patterns; one step more when it is wide and bad in many places.';
COMMENT ON COLUMN incidents.confidence IS 'Probability that it is real, 0 to 1.';
COMMENT ON COLUMN incidents.status IS
    'open; resolved = all its patterns ended; merged = part of another one; retracted = its patterns were taken back; silent = nothing was heard of its patterns.';
COMMENT ON COLUMN incidents.merged_into IS 'The incident that it became part of; null = none.';
COMMENT ON COLUMN incidents.is_wide IS 'Whether it began as a burst over unrelated entities of one input.';
COMMENT ON COLUMN incidents.started_at IS 'Event time at which its first pattern opened.';
COMMENT ON COLUMN incidents.updated_at IS 'Event time of the last that is known of it.';
COMMENT ON COLUMN incidents.ended_at IS 'Event time at which its last pattern ended; null = it goes on.';
COMMENT ON COLUMN incidents.patterns IS 'Number of its patterns.';
COMMENT ON COLUMN incidents.series IS 'Number of series that they are in.';
COMMENT ON COLUMN incidents.reopened IS 'How often it came back soon after its end.';
COMMENT ON COLUMN incidents.contributors IS 'Series and their share of the whole, 0 to 1: [[series, share], …], largest first.';
COMMENT ON COLUMN incidents.known_changes IS 'Known changes shortly before it, and quiet hours or holidays it fell into, in words.';
COMMENT ON COLUMN incidents.earlier IS 'Up to five earlier occurrences of its first pattern, newest first, and how they ended.';
COMMENT ON COLUMN incidents.inhibited IS 'Why nobody is told; null = people are told.';
COMMENT ON COLUMN incidents.notice IS 'The notice as it was last made; null = none yet.';
COMMENT ON COLUMN incidents.revision IS 'Number of its notices.';
COMMENT ON COLUMN incidents.sent_revision IS 'The last notice that was handed over; behind revision: to be sent again.';
COMMENT ON COLUMN incidents.written_at IS 'When the row was first written (wall clock).';

CREATE TABLE incident_patterns (
    pattern_id uuid PRIMARY KEY,
    incident_id uuid NOT NULL,
    share float8 NOT NULL DEFAULT 0 CHECK (share BETWEEN 0 AND 1),
    joined_at timestamptz NOT NULL
);
CREATE INDEX idx_incident_patterns_incident ON incident_patterns (incident_id);
COMMENT ON TABLE incident_patterns IS 'Which incident a pattern is part of.';
COMMENT ON COLUMN incident_patterns.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN incident_patterns.incident_id IS 'The incident, as in incidents.id.';
COMMENT ON COLUMN incident_patterns.share IS 'Its part of the whole, 0 to 1, as far as it is among the strongest.';
COMMENT ON COLUMN incident_patterns.joined_at IS 'Event time at which it opened.';

CREATE TABLE pattern_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pattern_id uuid NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX idx_pattern_changes_pattern ON pattern_changes (pattern_id);
COMMENT ON TABLE pattern_changes IS 'Patterns that changed, or were judged by a person, since the correlator last looked.';
COMMENT ON COLUMN pattern_changes.id IS 'A number of its own for each change.';
COMMENT ON COLUMN pattern_changes.pattern_id IS 'The pattern, as in detected_patterns.id; it may be gone.';
COMMENT ON COLUMN pattern_changes.noted_at IS 'When it was noted (wall clock).';

CREATE TABLE correlator_state (
    name text PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    state bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
COMMENT ON TABLE correlator_state IS 'What the correlator remembers between two steps.';
COMMENT ON COLUMN correlator_state.name IS 'Which part of it.';
COMMENT ON COLUMN correlator_state.version IS 'Counts the writes: whoever remembers another one has been replaced.';
COMMENT ON COLUMN correlator_state.state IS 'msgpack, a map.';
COMMENT ON COLUMN correlator_state.updated_at IS 'When it was written (wall clock).';

CREATE FUNCTION note_pattern_changes() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO pattern_changes (pattern_id) SELECT id FROM changed;
    IF FOUND THEN
        PERFORM pg_notify('hindsight_patterns', '');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION note_pattern_changes IS 'Notes which patterns a statement has changed, and wakes the correlator.';
CREATE TRIGGER note_inserted AFTER INSERT ON detected_patterns REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_pattern_changes();
CREATE TRIGGER note_updated AFTER UPDATE ON detected_patterns REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_pattern_changes();
CREATE TRIGGER note_deleted AFTER DELETE ON detected_patterns REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_pattern_changes();

CREATE FUNCTION note_verdicts() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO pattern_changes (pattern_id)
    SELECT pattern_id FROM changed WHERE classification_type = 'verdict' AND human_verified;
    IF FOUND THEN
        PERFORM pg_notify('hindsight_patterns', '');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION note_verdicts IS 'Notes which patterns people have judged, and wakes the correlator.';
CREATE TRIGGER note_inserted AFTER INSERT ON pattern_classifications REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_verdicts();
CREATE TRIGGER note_updated AFTER UPDATE ON pattern_classifications REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_verdicts();

-- What was found before there were incidents is grouped too.
INSERT INTO pattern_changes (pattern_id) SELECT id FROM detected_patterns ORDER BY opened_at, id;

CREATE VIEW incidents_open AS
SELECT
    id, title, summary, entity, category, pattern_class, severity, confidence, is_wide, started_at, updated_at,
    seconds_between(started_at, now()) AS age_seconds, patterns, series, reopened, contributors, known_changes, earlier,
    inhibited
FROM incidents
WHERE status = 'open';

CREATE VIEW incident_list AS
SELECT
    id, title, summary, entity, category, pattern_class, severity, confidence, status, merged_into, is_wide, started_at,
    updated_at, ended_at, seconds_between(started_at, coalesce(ended_at, updated_at)) AS duration_seconds, patterns, series,
    reopened, contributors, known_changes, earlier, inhibited
FROM incidents;

CREATE VIEW incident_members AS
SELECT
    m.incident_id, m.pattern_id, m.share, p.entity, p.measure, p.pattern_type, p.pattern_data ->> 'class' AS pattern_class,
    p.severity, p.confidence_score, p.is_active, p.opened_at, p.resolved_at, p.explanation
FROM incident_patterns AS m JOIN detected_patterns AS p ON p.id = m.pattern_id;

CREATE FUNCTION wilson(hits bigint, n bigint, upper boolean) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN n > 0 THEN least(greatest((
    hits::float8 / n + 1.959964 ^ 2 / (2 * n) + CASE WHEN upper THEN 1 ELSE -1 END * 1.959964
    * sqrt(hits::float8 / n * (1 - hits::float8 / n) / n + 1.959964 ^ 2 / (4 * n::float8 ^ 2))
) / (1 + 1.959964 ^ 2 / n), 0), 1) END;
COMMENT ON FUNCTION wilson IS
    'Bound of Wilson''s 95 % interval (1927) of a share: hits of n, the lower or the upper one; null for n = 0.';

CREATE VIEW detector_precision AS
SELECT
    detector, entity, measure, patterns, true_positives, false_positives, expected,
    true_positives / nullif(true_positives + false_positives, 0)::float8 AS precision,
    wilson(true_positives, true_positives + false_positives, false) AS low,
    wilson(true_positives, true_positives + false_positives, true) AS high
FROM (
    SELECT
        p.pattern_type AS detector, p.entity, p.measure, count(*) AS patterns,
        count(*) FILTER (WHERE v.verdict = 'true_positive') AS true_positives,
        count(*) FILTER (WHERE v.verdict = 'false_positive') AS false_positives,
        count(*) FILTER (WHERE v.verdict = 'expected') AS expected
    FROM detected_patterns AS p
    LEFT JOIN (
        SELECT DISTINCT ON (pattern_id) pattern_id, classification_value AS verdict
        FROM pattern_classifications
        WHERE classification_type = 'verdict' AND human_verified
        ORDER BY pattern_id, classified_at DESC, id DESC
    ) AS v ON v.pattern_id = p.id
    GROUP BY GROUPING SETS ((p.pattern_type), (p.pattern_type, p.entity, p.measure))
) AS counted;

COMMENT ON VIEW incidents_open IS 'Incidents that go on now.';
COMMENT ON VIEW incident_list IS 'All incidents: a filter on started_at uses an index.';
COMMENT ON VIEW incident_members IS 'The patterns of incidents.';
COMMENT ON VIEW detector_precision IS
    'How many of a detector''s patterns people judged right: by series, and of all its series (entity and measure null).';
COMMENT ON COLUMN incidents_open.age_seconds IS 'Seconds since it began, up to now (wall clock).';
COMMENT ON COLUMN incident_list.duration_seconds IS 'From its beginning to its end, or to the last that is known, in seconds.';
COMMENT ON COLUMN incident_members.incident_id IS 'The incident.';
COMMENT ON COLUMN incident_members.pattern_id IS 'The pattern.';
COMMENT ON COLUMN incident_members.share IS 'Its part of the whole, 0 to 1.';
COMMENT ON COLUMN incident_members.entity IS 'The series'' entity.';
COMMENT ON COLUMN incident_members.measure IS 'The series'' measure.';
COMMENT ON COLUMN incident_members.pattern_type IS 'The detector''s kind.';
COMMENT ON COLUMN incident_members.pattern_class IS 'Class of the taxonomy.';
COMMENT ON COLUMN incident_members.severity IS 'How much it matters.';
COMMENT ON COLUMN incident_members.confidence_score IS 'Probability that it is real, 0 to 1.';
COMMENT ON COLUMN incident_members.is_active IS 'Whether it goes on.';
COMMENT ON COLUMN incident_members.opened_at IS 'Event time at which it opened.';
COMMENT ON COLUMN incident_members.resolved_at IS 'Event time at which it ended; null = it goes on.';
COMMENT ON COLUMN incident_members.explanation IS 'The pattern in one sentence.';
COMMENT ON COLUMN detector_precision.detector IS 'The detector''s kind, such as spike or threshold.';
COMMENT ON COLUMN detector_precision.entity IS 'The series'' entity; null = all series.';
COMMENT ON COLUMN detector_precision.measure IS 'The series'' measure; null = all series.';
COMMENT ON COLUMN detector_precision.patterns IS 'Patterns it found, judged or not.';
COMMENT ON COLUMN detector_precision.true_positives IS 'Judged true_positive; a pattern''s last verdict counts.';
COMMENT ON COLUMN detector_precision.false_positives IS 'Judged false_positive.';
COMMENT ON COLUMN detector_precision.expected IS 'Judged expected: rightly found, and nothing to be told of.';
COMMENT ON COLUMN detector_precision.precision IS 'true_positives / (true_positives + false_positives); null = not judged.';
COMMENT ON COLUMN detector_precision.low IS 'Lower bound of its 95 % interval (Wilson).';
COMMENT ON COLUMN detector_precision.high IS 'Upper bound of its 95 % interval (Wilson).';
DO $$
DECLARE
    view_name text;
    column_name text;
BEGIN
    FOREACH view_name IN ARRAY ARRAY['incidents_open', 'incident_list'] LOOP
        FOR column_name IN
            SELECT a.attname FROM pg_attribute AS a
            WHERE a.attrelid = view_name::regclass AND a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL
        LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', view_name, column_name, (
                SELECT col_description(i.attrelid, i.attnum) FROM pg_attribute AS i
                WHERE i.attrelid = 'incidents'::regclass AND i.attname = column_name));
        END LOOP;
    END LOOP;
END
$$;
