-- Aggregates get a table a level, so that each level can be kept for a time of its own, and what storage needs to know:
-- how long each table is kept, and which buckets of the summaries changed.
DROP VIEW series_1d;
DROP VIEW series_1h;
DROP VIEW series_5m;
DROP VIEW series_1m;
DROP VIEW series_10s;

CREATE TABLE rollups_10s (
    series_id bigint NOT NULL,
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
    PRIMARY KEY (series_id, "time", input, partition),
    CONSTRAINT rollups_range CHECK (min > '-Infinity' AND max < 'Infinity' AND min <= max)
);
COMMENT ON TABLE rollups_10s IS
    'Aggregates of series by ten seconds, one row a partition of an input: read the view series_10s.';
COMMENT ON COLUMN rollups_10s.series_id IS 'As in series.series_id.';
COMMENT ON COLUMN rollups_10s."time" IS 'Start of the bucket.';
COMMENT ON COLUMN rollups_10s.input IS 'The input (topic or file), as a number derived from its name.';
COMMENT ON COLUMN rollups_10s.partition IS 'Partition of the input.';
COMMENT ON COLUMN rollups_10s.n IS 'Number of values.';
COMMENT ON COLUMN rollups_10s.sum IS 'Their sum.';
COMMENT ON COLUMN rollups_10s.min IS 'The least.';
COMMENT ON COLUMN rollups_10s.max IS 'The greatest.';
COMMENT ON COLUMN rollups_10s.sum_squares IS 'Sum of their squares.';
COMMENT ON COLUMN rollups_10s.first IS 'The first by time.';
COMMENT ON COLUMN rollups_10s.last IS 'The last by time.';
COMMENT ON COLUMN rollups_10s.first_at IS 'Event time of the first value: orders the partitions'' partial rows.';
COMMENT ON COLUMN rollups_10s.last_at IS 'Event time of the last value.';
COMMENT ON COLUMN rollups_10s.sketch IS 'Mergeable quantile sketch of the values; null = a single value.';

CREATE TABLE rollups_1m (LIKE rollups_10s INCLUDING ALL);
COMMENT ON TABLE rollups_1m IS
    'Aggregates of series by minute, one row a partition of an input: read the view series_1m.';
CREATE TABLE rollups_5m (LIKE rollups_10s INCLUDING ALL);
COMMENT ON TABLE rollups_5m IS
    'Aggregates of series by five minutes, one row a partition of an input: read the view series_5m.';

INSERT INTO rollups_10s
SELECT series_id, "time", input, partition, n, sum, min, max, sum_squares, first, last, first_at, last_at, sketch
FROM metric_rollups WHERE level = 10;
INSERT INTO rollups_1m
SELECT series_id, "time", input, partition, n, sum, min, max, sum_squares, first, last, first_at, last_at, sketch
FROM metric_rollups WHERE level = 60;
INSERT INTO rollups_5m
SELECT series_id, "time", input, partition, n, sum, min, max, sum_squares, first, last, first_at, last_at, sketch
FROM metric_rollups WHERE level = 300;
DROP TABLE metric_rollups;

CREATE TABLE storage_policies (
    table_name text PRIMARY KEY,
    time_column text NOT NULL,
    chunk interval NOT NULL CHECK (chunk >= '1 day'),
    keep interval CHECK (keep >= chunk),
    compress_after interval NOT NULL CHECK (compress_after >= chunk),
    segment_by text[] NOT NULL,
    order_by text NOT NULL,
    options text NOT NULL DEFAULT '',
    summary text
);
COMMENT ON TABLE storage_policies IS
    'How each table with a time is stored and how long. Change keep with UPDATE; it holds from the next maintenance on.';
COMMENT ON COLUMN storage_policies.table_name IS 'The table.';
COMMENT ON COLUMN storage_policies.time_column IS 'Its time, by which it is cut into pieces.';
COMMENT ON COLUMN storage_policies.chunk IS 'Length of a piece (a hypertable''s chunk, a partition).';
COMMENT ON COLUMN storage_policies.keep IS
    'A piece is dropped when it was made longer ago than this and all its times are older; null = never.';
COMMENT ON COLUMN storage_policies.compress_after IS 'Age at which a piece is compressed (TimescaleDB only).';
COMMENT ON COLUMN storage_policies.segment_by IS 'Columns whose values share a compressed segment (TimescaleDB only).';
COMMENT ON COLUMN storage_policies.order_by IS 'Order within a compressed segment (TimescaleDB only).';
COMMENT ON COLUMN storage_policies.options IS 'Storage options of a partition (plain PostgreSQL only).';
COMMENT ON COLUMN storage_policies.summary IS
    'The summary made from this table: no piece is dropped while a bucket of it in there is out of date.';

INSERT INTO storage_policies VALUES
    ('task_executions', 'execution_start', '7 d', '365 d', '30 d', '{project_name}', 'execution_start, id', '', 'task'),
    ('pipeline_executions', 'execution_start', '7 d', '365 d', '30 d', '{pipeline_name}', 'execution_start, id', '',
        'pipeline'),
    ('step_executions', 'execution_start', '7 d', '365 d', '30 d', '{pipeline_name}',
        'execution_start, pipeline_execution_id, step_order', '', 'step'),
    ('system_metrics', 'collected_at', '1 d', '90 d', '7 d', '{metric_name,source_system}', 'collected_at, event_key',
        'autovacuum_vacuum_insert_scale_factor = 0.05', NULL),
    ('resource_usage', 'measured_at', '1 d', '90 d', '7 d', '{resource_type,host}', 'measured_at, event_key',
        'autovacuum_vacuum_insert_scale_factor = 0.05', NULL),
    ('metric_patterns', 'detected_at', '7 d', '365 d', '90 d', '{pattern_type}', 'detected_at, id', '', NULL),
    ('performance_analytics', 'analyzed_at', '7 d', '365 d', '30 d', '{component_name,metric_type}', 'analyzed_at', '',
        NULL),
    ('integration_events', 'event_timestamp', '1 d', '90 d', '7 d', '{source_system}', 'event_timestamp, id', '',
        'integration'),
    ('event_correlations', 'discovered_at', '7 d', '180 d', '30 d', '{correlation_type}', 'discovered_at', '', NULL),
    ('pattern_evolution', 'evolution_timestamp', '30 d', '730 d', '90 d', '{evolution_type}',
        'evolution_timestamp, pattern_id', '', NULL),
    ('model_predictions', 'prediction_timestamp', '7 d', '180 d', '90 d', '{model_id}', 'prediction_timestamp, id', '',
        NULL),
    ('model_performance_metrics', 'evaluation_timestamp', '30 d', '730 d', '90 d', '{model_id,metric_name}',
        'evaluation_timestamp', '', NULL),
    ('prediction_accuracy_tracking', 'measured_at', '7 d', '365 d', '90 d', '{model_id}', 'measured_at', '', NULL),
    ('rollups_10s', 'time', '1 d', '14 d', '3 d', '{series_id}', '"time", input, partition',
        'fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05', NULL),
    ('rollups_1m', 'time', '7 d', '90 d', '14 d', '{series_id}', '"time", input, partition',
        'fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05', NULL),
    ('rollups_5m', 'time', '30 d', '730 d', '60 d', '{series_id}', '"time", input, partition',
        'fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05', 'series');

CREATE TABLE retention_log (
    table_name text NOT NULL,
    range_start timestamptz NOT NULL,
    range_end timestamptz NOT NULL CHECK (range_end > range_start),
    dropped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, range_start, dropped_at)
);
COMMENT ON TABLE retention_log IS
    'Pieces of tables that were dropped for their age. Summaries of these times stay as they are from then on.';
COMMENT ON COLUMN retention_log.table_name IS 'The table.';
COMMENT ON COLUMN retention_log.range_start IS 'First time of the piece.';
COMMENT ON COLUMN retention_log.range_end IS 'End of the piece (not in it).';
COMMENT ON COLUMN retention_log.dropped_at IS 'When it was dropped (wall clock).';

CREATE TABLE summary_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    summary text NOT NULL CHECK (summary IN ('series', 'pipeline', 'step', 'task', 'integration')),
    bucket timestamptz NOT NULL
);
CREATE INDEX idx_summary_changes_bucket ON summary_changes (summary, bucket);
COMMENT ON TABLE summary_changes IS
    'Buckets of summaries whose rows changed since they were summed up; views compute these buckets themselves.';
COMMENT ON COLUMN summary_changes.id IS 'A number of its own for each change.';
COMMENT ON COLUMN summary_changes.summary IS 'Which summary: series by hour; pipeline, step, task, integration by day.';
COMMENT ON COLUMN summary_changes.bucket IS 'Start of the bucket (UTC).';

INSERT INTO summary_changes (summary, bucket)
SELECT DISTINCT 'series', date_bin('1 hour', "time", '2000-01-01Z') FROM rollups_5m
UNION ALL SELECT DISTINCT 'pipeline', date_bin('1 day', execution_start, '2000-01-01Z') FROM pipeline_executions
UNION ALL SELECT DISTINCT 'step', date_bin('1 day', execution_start, '2000-01-01Z') FROM step_executions
UNION ALL SELECT DISTINCT 'task', date_bin('1 day', execution_start, '2000-01-01Z') FROM task_executions
UNION ALL SELECT DISTINCT 'integration', date_bin('1 day', event_timestamp, '2000-01-01Z') FROM integration_events;
