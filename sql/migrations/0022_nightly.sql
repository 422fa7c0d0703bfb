-- The nightly flow: which nights were worked through, how far each stage came and from which input, and what the data were
-- like. What it finds stands in detected_patterns and the tables of its kinds; the views at the end are for people.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE nightly_runs (
    id uuid PRIMARY KEY,
    range_start timestamptz NOT NULL,
    range_end timestamptz NOT NULL,
    engine text NOT NULL CHECK (engine IN ('embedded', 'spark')),
    status text NOT NULL CHECK (status IN ('running', 'finished', 'failed')),
    summary jsonb NOT NULL DEFAULT '{}',
    problem text,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT nightly_runs_interval CHECK (range_end > range_start)
);
CREATE INDEX idx_nightly_runs_end ON nightly_runs (range_end);
COMMENT ON TABLE nightly_runs IS 'Ranges of history that the nightly flow has worked through.';
COMMENT ON COLUMN nightly_runs.id IS 'Derived from the range and the engine: the same night is the same run.';
COMMENT ON COLUMN nightly_runs.range_start IS 'Start of the history that was read.';
COMMENT ON COLUMN nightly_runs.range_end IS 'End of it: what ended later was not known yet.';
COMMENT ON COLUMN nightly_runs.engine IS 'What counted itemsets and sequences.';
COMMENT ON COLUMN nightly_runs.status IS 'running until it ended; a run that was killed stays so until it is run again.';
COMMENT ON COLUMN nightly_runs.summary IS 'What it read, found and stored, by name.';
COMMENT ON COLUMN nightly_runs.problem IS 'Why it failed, in one line; null = it did not.';
COMMENT ON COLUMN nightly_runs.started_at IS 'When it was last started (wall clock).';
COMMENT ON COLUMN nightly_runs.finished_at IS 'When it ended (wall clock); null = it did not.';

CREATE TABLE nightly_stages (
    run_id uuid NOT NULL REFERENCES nightly_runs (id) ON DELETE CASCADE,
    stage text NOT NULL CHECK (stage IN ('load', 'features', 'mine', 'validate', 'store', 'compile', 'report')),
    part text NOT NULL,
    input text NOT NULL CHECK (length(input) = 64),
    output text NOT NULL CHECK (length(output) = 64),
    items bigint NOT NULL CHECK (items >= 0),
    skipped text,
    seconds float8 NOT NULL CHECK (seconds >= 0 AND seconds < 'Infinity'),
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, stage, part)
);
COMMENT ON TABLE nightly_stages IS 'Stages of a nightly run that are done: a run that is started again passes them over.';
COMMENT ON COLUMN nightly_stages.run_id IS 'The run.';
COMMENT ON COLUMN nightly_stages.stage IS 'The stage.';
COMMENT ON COLUMN nightly_stages.part IS 'Part of the stage: a piece of a table, a miner; empty = all of it.';
COMMENT ON COLUMN nightly_stages.input IS 'SHA-256 of what it was made from; another input makes it again.';
COMMENT ON COLUMN nightly_stages.output IS 'SHA-256 of what it made.';
COMMENT ON COLUMN nightly_stages.items IS 'Rows read, findings made, rows written.';
COMMENT ON COLUMN nightly_stages.skipped IS 'Why the part was left out, in one line; null = it was not.';
COMMENT ON COLUMN nightly_stages.seconds IS 'How long it took, in seconds.';
COMMENT ON COLUMN nightly_stages.finished_at IS 'When it was done (wall clock).';

CREATE TABLE nightly_quality (
    run_id uuid NOT NULL REFERENCES nightly_runs (id) ON DELETE CASCADE,
    table_name text NOT NULL,
    source text NOT NULL,
    n bigint NOT NULL CHECK (n >= 0),
    first_at timestamptz,
    last_at timestamptz,
    active_days integer NOT NULL CHECK (active_days >= 0),
    coverage float8 NOT NULL CHECK (coverage BETWEEN 0 AND 1),
    longest_gap_days integer NOT NULL CHECK (longest_gap_days >= 0),
    stale_days float8 NOT NULL CHECK (stale_days >= 0 AND stale_days < 'Infinity'),
    duplicates bigint NOT NULL CHECK (duplicates >= 0),
    impossible bigint NOT NULL CHECK (impossible >= 0),
    checks jsonb NOT NULL DEFAULT '{}',
    missing jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL CHECK (status IN ('good', 'notice', 'bad')),
    problems text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (run_id, table_name, source)
);
COMMENT ON TABLE nightly_quality IS 'What the history was like that a nightly run read, by table and source.';
COMMENT ON COLUMN nightly_quality.run_id IS 'The run.';
COMMENT ON COLUMN nightly_quality.table_name IS 'The table that was read.';
COMMENT ON COLUMN nightly_quality.source IS 'Whose rows they are: a pipeline, a project, a system, a code base, a series'' entity.';
COMMENT ON COLUMN nightly_quality.n IS 'Rows.';
COMMENT ON COLUMN nightly_quality.first_at IS 'Time of the first row.';
COMMENT ON COLUMN nightly_quality.last_at IS 'Time of the last row.';
COMMENT ON COLUMN nightly_quality.active_days IS 'Days (UTC) with rows.';
COMMENT ON COLUMN nightly_quality.coverage IS 'Share of the days from its first row to the end of the range that have rows, 0 to 1.';
COMMENT ON COLUMN nightly_quality.longest_gap_days IS 'Most days in a row without any, between its first and its last row.';
COMMENT ON COLUMN nightly_quality.stale_days IS 'Days from its last row to the end of the range.';
COMMENT ON COLUMN nightly_quality.duplicates IS 'Rows that say the same as another one under another id.';
COMMENT ON COLUMN nightly_quality.impossible IS 'Rows with a value that cannot be.';
COMMENT ON COLUMN nightly_quality.checks IS 'The impossible values by check: how many rows failed it.';
COMMENT ON COLUMN nightly_quality.missing IS 'Share of the rows without a value, 0 to 1, by column.';
COMMENT ON COLUMN nightly_quality.status IS 'bad = findings about it are not to be trusted; notice = worth a look.';
COMMENT ON COLUMN nightly_quality.problems IS 'What is wrong, in words.';

-- Features are computed each night before any model uses them: they belong to a model once one does.
ALTER TABLE feature_engineering ALTER COLUMN model_id DROP NOT NULL;
COMMENT ON COLUMN feature_engineering.model_id IS 'The model; null = computed by the nightly flow for whichever model wants it.';

CREATE INDEX idx_detected_patterns_nightly ON detected_patterns (pattern_type, last_observed_at)
    WHERE starts_with(detection_algorithm, 'nightly: ');

CREATE VIEW nightly_findings AS
SELECT
    id, pattern_type AS kind, pattern_data ->> 'class' AS pattern_class, pattern_category AS category, entity, measure,
    explanation AS sentence, pattern_data ->> 'sql' AS sql, (pattern_data -> 'support')::bigint AS support,
    (pattern_data -> 'total')::bigint AS total, (pattern_data -> 'effect')::float8 AS effect,
    pattern_data ->> 'effect_name' AS effect_name, (pattern_data -> 'q_value')::float8 AS q_value,
    pattern_data ->> 'status' AS status, confidence_score, significance_score AS score, is_active,
    opened_at AS first_seen, last_observed_at AS last_seen, detected_at, (pattern_data ->> 'found_at')::timestamptz AS found_at,
    jsonb_array_length(pattern_data -> 'missed') AS nights_missed, pattern_data -> 'rule' AS rule
FROM detected_patterns
WHERE starts_with(detection_algorithm, 'nightly: ');
COMMENT ON VIEW nightly_findings IS 'What the nightly flow found, one sentence a row, with the SQL that counts its numbers again.';
COMMENT ON COLUMN nightly_findings.id IS 'The pattern, as in detected_patterns.id: the same each night.';
COMMENT ON COLUMN nightly_findings.kind IS 'Kind of finding, such as rule, flaky or change_point.';
COMMENT ON COLUMN nightly_findings.pattern_class IS 'Class of the taxonomy.';
COMMENT ON COLUMN nightly_findings.category IS 'Branch of the taxonomy.';
COMMENT ON COLUMN nightly_findings.entity IS 'What it is about; of several, the first.';
COMMENT ON COLUMN nightly_findings.measure IS 'What was measured.';
COMMENT ON COLUMN nightly_findings.sentence IS 'The finding in one sentence.';
COMMENT ON COLUMN nightly_findings.sql IS 'A query that counts support and total again; null = there is none.';
COMMENT ON COLUMN nightly_findings.support IS 'How many of total show it.';
COMMENT ON COLUMN nightly_findings.total IS 'How many were looked at.';
COMMENT ON COLUMN nightly_findings.effect IS 'Its size, as effect_name says; 1 = none.';
COMMENT ON COLUMN nightly_findings.effect_name IS 'What effect is: a ratio of rates, a lift, a count.';
COMMENT ON COLUMN nightly_findings.q_value IS 'Rate of false discoveries among findings at least as sure; null = it claims nothing against chance.';
COMMENT ON COLUMN nightly_findings.status IS 'confirmed = it also holds in time it was not found in; pending = too little was seen since.';
COMMENT ON COLUMN nightly_findings.confidence_score IS 'How sure it is, 0 to 1; falls with each night that does not find it again.';
COMMENT ON COLUMN nightly_findings.score IS 'Its rank among the findings of its night, 0 to 1.';
COMMENT ON COLUMN nightly_findings.is_active IS 'Whether the last nights have found it.';
COMMENT ON COLUMN nightly_findings.first_seen IS 'First time that shows it.';
COMMENT ON COLUMN nightly_findings.last_seen IS 'Last time that shows it.';
COMMENT ON COLUMN nightly_findings.detected_at IS 'End of the range in which it was first found.';
COMMENT ON COLUMN nightly_findings.found_at IS 'End of the range in which it was last found.';
COMMENT ON COLUMN nightly_findings.nights_missed IS 'Nights since then that did not find it.';
COMMENT ON COLUMN nightly_findings.rule IS 'What the sequence detector was given of it, with measured precision; null = nothing.';

CREATE VIEW nightly_quality_latest AS
SELECT
    q.table_name, q.source, q.n, q.first_at, q.last_at, q.active_days, q.coverage, q.longest_gap_days, q.stale_days,
    q.duplicates, q.impossible, q.checks, q.missing, q.status, q.problems, r.range_start, r.range_end
FROM nightly_quality AS q JOIN nightly_runs AS r ON r.id = q.run_id
WHERE r.id = (SELECT id FROM nightly_runs WHERE status = 'finished' ORDER BY range_end DESC, started_at DESC LIMIT 1);
COMMENT ON VIEW nightly_quality_latest IS 'What the history was like that the latest finished nightly run read.';
COMMENT ON COLUMN nightly_quality_latest.range_start IS 'Start of the history that was read.';
COMMENT ON COLUMN nightly_quality_latest.range_end IS 'End of it.';

CREATE VIEW nightly_history AS
SELECT
    r.id, r.range_start, r.range_end, r.engine, r.status, r.problem, r.summary, r.started_at, r.finished_at,
    (SELECT count(*) FROM nightly_stages AS s WHERE s.run_id = r.id AND s.skipped IS NOT NULL) AS skipped_parts,
    (SELECT sum(s.seconds) FROM nightly_stages AS s WHERE s.run_id = r.id) AS seconds
FROM nightly_runs AS r;
COMMENT ON VIEW nightly_history IS 'Nights that were worked through: a filter on range_end uses an index.';
COMMENT ON COLUMN nightly_history.skipped_parts IS 'Parts of the history that were left out, with the reason in nightly_stages.';
COMMENT ON COLUMN nightly_history.seconds IS 'Time that its stages took, in seconds.';
DO $$
DECLARE
    view_name text;
    table_name text;
    column_name text;
BEGIN
    FOR view_name, table_name IN VALUES ('nightly_quality_latest', 'nightly_quality'), ('nightly_history', 'nightly_runs') LOOP
        FOR column_name IN
            SELECT a.attname FROM pg_attribute AS a
            WHERE a.attrelid = view_name::regclass AND a.attnum > 0 AND col_description(a.attrelid, a.attnum) IS NULL
        LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', view_name, column_name, (
                SELECT col_description(i.attrelid, i.attnum) FROM pg_attribute AS i
                WHERE i.attrelid = table_name::regclass AND i.attname = column_name));
        END LOOP;
    END LOOP;
END
$$;

-- What keeps happening is not what goes wrong now.
CREATE OR REPLACE VIEW open_patterns AS
SELECT
    id, pattern_name, pattern_type, pattern_category, severity, confidence_score, significance_score, entity, measure,
    direction, explanation, detection_algorithm, opened_at, last_observed_at, observation_count, pattern_data
FROM detected_patterns
WHERE is_active AND NOT starts_with(detection_algorithm, 'nightly: ');

-- Nor is it for the correlator, which makes incidents of what happens: a finding of the night is no change to tell of.
CREATE OR REPLACE FUNCTION note_pattern_changes() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO pattern_changes (pattern_id)
    SELECT id FROM changed WHERE NOT starts_with(detection_algorithm, 'nightly: ');
    IF FOUND THEN
        PERFORM pg_notify('hindsight_patterns', '');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION note_pattern_changes IS
    'Notes which patterns a statement has changed, and wakes the correlator; not of what the nightly flow found.';
