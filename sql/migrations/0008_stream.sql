-- What the realtime flow keeps besides the specification's tables.
-- An entity may be longer than a btree can hold (a path and a symbol), hence hash indexes on it.

CREATE TABLE code_dependencies (
    codebase_id text NOT NULL,
    from_node text NOT NULL,
    to_node text NOT NULL,
    kind text NOT NULL,
    commit_sha text,
    observed_at timestamptz NOT NULL,
    event_time timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (codebase_id, from_node, to_node, kind)
);
CREATE INDEX idx_code_dependencies_to ON code_dependencies (codebase_id, to_node);
COMMENT ON TABLE code_dependencies IS
    'Edges between parts of code, each in the state its newest event gave it.';
COMMENT ON COLUMN code_dependencies.codebase_id IS 'Codebase.';
COMMENT ON COLUMN code_dependencies.from_node IS 'The part that needs the other.';
COMMENT ON COLUMN code_dependencies.to_node IS 'The part that is needed.';
COMMENT ON COLUMN code_dependencies.kind IS 'How, such as import or call.';
COMMENT ON COLUMN code_dependencies.commit_sha IS 'Commit it was seen in.';
COMMENT ON COLUMN code_dependencies.observed_at IS 'When it was seen.';
COMMENT ON COLUMN code_dependencies.event_time IS 'Time of the event that this row shows.';
COMMENT ON COLUMN code_dependencies.event_id IS 'Id of the event that this row shows; decides between events of one time.';

CREATE TABLE dead_letters (
    id uuid PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    reason text NOT NULL,
    detail text,
    record_key bytea,
    record_value bytea,
    headers jsonb NOT NULL DEFAULT '[]',
    received_at timestamptz NOT NULL,
    event_time timestamptz
);
CREATE INDEX idx_dead_letters_topic_reason ON dead_letters (topic, reason);
CREATE INDEX idx_dead_letters_received_at ON dead_letters (received_at);
COMMENT ON TABLE dead_letters IS
    'Records that could not be applied, with their original bytes.';
COMMENT ON COLUMN dead_letters.id IS 'Derived from topic, partition and offset: a redelivery is the same row.';
COMMENT ON COLUMN dead_letters.topic IS 'Topic, or file: and the path.';
COMMENT ON COLUMN dead_letters.partition IS 'Partition; 0 for a file.';
COMMENT ON COLUMN dead_letters.record_offset IS 'Offset; the line number, from 1, for a file.';
COMMENT ON COLUMN dead_letters.reason IS 'Why, as a word.';
COMMENT ON COLUMN dead_letters.detail IS 'Why, in one sentence.';
COMMENT ON COLUMN dead_letters.record_key IS 'Key of the record; null = it had none.';
COMMENT ON COLUMN dead_letters.record_value IS 'Value of the record; null = it had none.';
COMMENT ON COLUMN dead_letters.headers IS 'Headers of the record.';
COMMENT ON COLUMN dead_letters.received_at IS 'When it was read (wall clock).';
COMMENT ON COLUMN dead_letters.event_time IS 'Time of the event, where that much could be read.';

CREATE TABLE stream_counters (
    input text NOT NULL,
    partition integer NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('read', 'applied', 'late', 'duplicate', 'dead_letter', 'patterns')),
    reason text NOT NULL DEFAULT '',
    n bigint NOT NULL CHECK (n >= 0),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (input, partition, outcome, reason)
) WITH (fillfactor = 50);
COMMENT ON TABLE stream_counters IS
    'What became of the records of each partition, set from the flow''s state: read = applied + late + duplicate + dead_letter.';
COMMENT ON COLUMN stream_counters.input IS 'Topic, or file: and the path.';
COMMENT ON COLUMN stream_counters.partition IS 'Partition; 0 for a file.';
COMMENT ON COLUMN stream_counters.outcome IS 'What is counted; patterns counts those opened.';
COMMENT ON COLUMN stream_counters.reason IS 'Reason of dead letters; empty for the rest.';
COMMENT ON COLUMN stream_counters.n IS 'How many since the beginning of the input.';
COMMENT ON COLUMN stream_counters.updated_at IS 'When it was written (wall clock).';

CREATE TABLE series (
    series_id bigint PRIMARY KEY,
    entity text NOT NULL,
    measure text NOT NULL,
    kind text NOT NULL
);
CREATE INDEX idx_series_entity ON series USING hash (entity);
CREATE INDEX idx_series_measure ON series (measure);
COMMENT ON TABLE series IS
    'The series that detectors watch: names of the numbers in metric_rollups.';
COMMENT ON COLUMN series.series_id IS 'Derived from entity and measure, so each pair stands here once.';
COMMENT ON COLUMN series.entity IS 'What is watched.';
COMMENT ON COLUMN series.measure IS 'Which of its numbers.';
COMMENT ON COLUMN series.kind IS 'Kind of thing: metric, resource, pipeline, step, task, integration or code.';

CREATE TABLE metric_rollups (
    series_id bigint NOT NULL,
    level integer NOT NULL CHECK (level IN (10, 60, 300)),
    "time" timestamptz NOT NULL,
    input integer NOT NULL,
    partition integer NOT NULL,
    n bigint NOT NULL CHECK (n > 0),
    sum double precision NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    sum_squares double precision NOT NULL,
    first double precision NOT NULL,
    last double precision NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    sketch bytea,
    PRIMARY KEY (series_id, level, "time", input, partition)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX idx_metric_rollups_time ON metric_rollups USING brin ("time") WITH (autosummarize = on);
COMMENT ON TABLE metric_rollups IS
    'Aggregates of series by bucket of time, one row a partition: add them up with the views series_10s to series_1d.';
COMMENT ON COLUMN metric_rollups.series_id IS 'As in series.series_id.';
COMMENT ON COLUMN metric_rollups.level IS 'Length of the bucket, in seconds.';
COMMENT ON COLUMN metric_rollups."time" IS 'Start of the bucket.';
COMMENT ON COLUMN metric_rollups.input IS 'The input (topic or file), as a number derived from its name.';
COMMENT ON COLUMN metric_rollups.partition IS 'Partition of the input.';
COMMENT ON COLUMN metric_rollups.n IS 'Number of values.';
COMMENT ON COLUMN metric_rollups.sum IS 'Their sum.';
COMMENT ON COLUMN metric_rollups.min IS 'The least.';
COMMENT ON COLUMN metric_rollups.max IS 'The greatest.';
COMMENT ON COLUMN metric_rollups.sum_squares IS 'Sum of their squares.';
COMMENT ON COLUMN metric_rollups.first IS 'The first by time.';
COMMENT ON COLUMN metric_rollups.last IS 'The last by time.';
COMMENT ON COLUMN metric_rollups.first_at IS 'Event time of the first value: orders the partitions'' partial rows.';
COMMENT ON COLUMN metric_rollups.last_at IS 'Event time of the last value.';
COMMENT ON COLUMN metric_rollups.sketch IS 'Mergeable quantile sketch of the values; null = not kept at this level.';
