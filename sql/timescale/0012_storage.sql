-- TimescaleDB: each table with a time is a hypertable with a columnstore, hours and days of series are continuous
-- aggregates, and the database itself runs the upkeep, as jobs of the owner of the schema.

-- The functions below run as their owner and keep this path: nobody's temporary table may pass for one of ours. They
-- count in UTC, since days have 23 or 25 hours elsewhere; a procedure that commits can't set that, and counts hours.
SELECT set_config('search_path', concat_ws(', ', quote_ident(current_schema()),
    (SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
        WHERE extname = 'timescaledb' AND nspname <> current_schema()), 'pg_temp'), true);

CREATE PROCEDURE make_hypertable(target text) LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    policy storage_policies;
BEGIN
    SELECT * INTO STRICT policy FROM storage_policies WHERE table_name = target;
    PERFORM create_hypertable(target::regclass, by_range(policy.time_column, policy.chunk),
        create_default_indexes => false, migrate_data => true);
    EXECUTE format('ALTER TABLE %I SET (timescaledb.enable_columnstore, timescaledb.segmentby = %L, timescaledb.orderby = %L)',
        target, array_to_string(policy.segment_by, ', '), policy.order_by);
    CALL add_columnstore_policy(target::regclass, after => policy.compress_after);
END
$$;
COMMENT ON PROCEDURE make_hypertable IS 'Make a table that stands in storage_policies a hypertable, with its rows.';

DO $$
DECLARE
    target text;
BEGIN
    FOR target IN SELECT table_name FROM storage_policies LOOP
        CALL make_hypertable(target);
    END LOOP;
END
$$;

CREATE FUNCTION ensure_partitions(target regclass, times timestamptz[]) RETURNS integer LANGUAGE sql RETURN 0;
COMMENT ON FUNCTION ensure_partitions IS 'Nothing to do here: a hypertable makes its chunks itself.';
CREATE FUNCTION make_partitions_ahead() RETURNS integer LANGUAGE sql RETURN 0;
COMMENT ON FUNCTION make_partitions_ahead IS 'Nothing to do here: a hypertable makes its chunks itself.';

-- Not add_retention_policy: by the age of the rows it would drop an imported history in the night after the import, and
-- it does not wait for a summary.
CREATE FUNCTION drop_expired() RETURNS TABLE (dropped_table text, dropped_from timestamptz, dropped_to timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    old record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('hindsight drop_expired')) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    FOR old IN
        SELECT s.table_name, c.range_start, c.range_end
        FROM storage_policies AS s
        LEFT JOIN timescaledb_information.continuous_aggregates AS a
            ON a.view_name = s.table_name AND a.view_schema = current_schema()
        JOIN timescaledb_information.chunks AS c
            ON c.hypertable_name = coalesce(a.materialization_hypertable_name, s.table_name)
            AND c.hypertable_schema = coalesce(a.materialization_hypertable_schema, current_schema())
        WHERE c.range_end < now() - s.keep AND c.chunk_creation_time < now() - s.keep
            AND NOT EXISTS (
                SELECT FROM summary_changes AS m
                WHERE m.summary = s.summary AND m.bucket >= c.range_start - interval '1 d' AND m.bucket < c.range_end
            )
        ORDER BY c.range_start
    LOOP
        BEGIN
            PERFORM drop_chunks(old.table_name::regclass, newer_than => old.range_start, older_than => old.range_end);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        INSERT INTO retention_log (table_name, range_start, range_end)
        VALUES (old.table_name, old.range_start, old.range_end);
        RETURN QUERY SELECT old.table_name, old.range_start, old.range_end;
    END LOOP;
END
$$;
COMMENT ON FUNCTION drop_expired IS 'Drop chunks kept for long enough, but for those that a summary still needs.';

CREATE MATERIALIZED VIEW rollup_1h WITH (timescaledb.continuous, timescaledb.materialized_only) AS
SELECT
    series_id, time_bucket('1 hour', "time") AS "time", sum(n)::bigint AS n,
    sum(held(sum) ORDER BY "time", input, partition) AS sum,
    min(min) AS min, max(max) AS max,
    sum(held(sum_squares) ORDER BY "time", input, partition) AS sum_squares,
    (array_agg(first ORDER BY first_at, partition))[1] AS first,
    (array_agg(last ORDER BY last_at DESC, partition DESC))[1] AS last,
    min(input) <> max(input) AS contested
FROM rollups_5m
GROUP BY 1, 2
WITH NO DATA;

CREATE MATERIALIZED VIEW rollup_1d WITH (timescaledb.continuous, timescaledb.materialized_only) AS
SELECT
    series_id, time_bucket('1 day', "time") AS "time", sum(n)::bigint AS n,
    sum(held(sum) ORDER BY "time") AS sum,
    min(min) AS min, max(max) AS max,
    sum(held(sum_squares) ORDER BY "time") AS sum_squares,
    (array_agg(first ORDER BY "time"))[1] AS first,
    (array_agg(last ORDER BY "time" DESC))[1] AS last,
    bool_or(contested) AS contested
FROM rollup_1h
GROUP BY 1, 2
WITH NO DATA;

INSERT INTO storage_policies VALUES
    ('rollup_1h', 'time', '90 d', '1095 d', '180 d', '{series_id}', '"time"', '', NULL),
    ('rollup_1d', 'time', '365 d', NULL, '730 d', '{series_id}', '"time"', '', NULL);
ALTER MATERIALIZED VIEW rollup_1h SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id');
CALL add_columnstore_policy('rollup_1h', after => interval '180 d');
SELECT set_chunk_time_interval('rollup_1h', interval '90 d'), set_chunk_time_interval('rollup_1d', interval '365 d');

COMMENT ON VIEW rollup_1h IS 'Series summed up by hour: the view series_1h adds what changed since.';
COMMENT ON COLUMN rollup_1h.series_id IS 'As in series.series_id.';
COMMENT ON COLUMN rollup_1h."time" IS 'Start of the bucket.';
COMMENT ON COLUMN rollup_1h.n IS 'Number of values.';
COMMENT ON COLUMN rollup_1h.sum IS 'Their sum.';
COMMENT ON COLUMN rollup_1h.min IS 'The least.';
COMMENT ON COLUMN rollup_1h.max IS 'The greatest.';
COMMENT ON COLUMN rollup_1h.sum_squares IS 'Sum of their squares.';
COMMENT ON COLUMN rollup_1h.first IS 'The first by time.';
COMMENT ON COLUMN rollup_1h.last IS 'The last by time.';
COMMENT ON COLUMN rollup_1h.contested IS 'Whether several inputs hold values of one hour: then these sums count some of them twice.';
COMMENT ON VIEW rollup_1d IS 'Series summed up by day (UTC): the view series_1d adds what changed since.';
COMMENT ON COLUMN rollup_1d.series_id IS 'As in series.series_id.';
COMMENT ON COLUMN rollup_1d."time" IS 'Start of the bucket.';
COMMENT ON COLUMN rollup_1d.n IS 'Number of values.';
COMMENT ON COLUMN rollup_1d.sum IS 'Their sum.';
COMMENT ON COLUMN rollup_1d.min IS 'The least.';
COMMENT ON COLUMN rollup_1d.max IS 'The greatest.';
COMMENT ON COLUMN rollup_1d.sum_squares IS 'Sum of their squares.';
COMMENT ON COLUMN rollup_1d.first IS 'The first by time.';
COMMENT ON COLUMN rollup_1d.last IS 'The last by time.';
COMMENT ON COLUMN rollup_1d.contested IS 'Whether several inputs hold values of one hour: then these sums count some of them twice.';

-- Hours are refreshed where rows have changed, however old these are; a policy would look at a window before now only.
CREATE PROCEDURE refresh_series(range_start timestamptz, range_end timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    -- What is marked after this was read stays marked.
    seen bigint[] := ARRAY(
        SELECT id FROM summary_changes WHERE summary = 'series' AND bucket >= range_start
            AND bucket < least(range_end, now() - interval '70 min'));
    hours timestamptz[];
    days timestamptz[];
    first_hour timestamptz;
    end_hour timestamptz;
    first_day timestamptz;
    end_day timestamptz;
BEGIN
    -- A refresh of hours whose rows were dropped would empty them.
    hours := ARRAY(SELECT DISTINCT bucket FROM summary_changes WHERE id = ANY(seen) AND NOT EXISTS (
        SELECT FROM retention_log AS l
        WHERE l.table_name IN ('rollups_5m', 'rollup_1h') AND l.range_start <= bucket AND l.range_end > bucket));
    DELETE FROM summary_changes WHERE id = ANY(seen) AND bucket <> ALL(hours);
    IF cardinality(hours) > 0 THEN
        days := ARRAY(SELECT DISTINCT time_bucket('1 day', hour) FROM unnest(hours) AS hour);
        SELECT min(hour), max(hour) + interval '1 hour' INTO first_hour, end_hour FROM unnest(hours) AS hour;
        first_day := time_bucket('1 day', first_hour);
        end_day := time_bucket('1 day', end_hour - interval '1 us') + interval '24 hours';
        CALL refresh_continuous_aggregate('rollup_1h', first_hour, end_hour);
        CALL refresh_continuous_aggregate('rollup_1d', first_day, end_day);
        PERFORM settle_contested(hours, days);
    END IF;
    DELETE FROM summary_changes WHERE id = ANY(seen);
END
$$;
COMMENT ON PROCEDURE refresh_series IS 'Sum up the changed hours of a range, and their days.';

CREATE PROCEDURE upkeep(job_id integer DEFAULT NULL, config jsonb DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    weeks timestamptz[];
    week timestamptz;
BEGIN
    PERFORM compact_changes();
    COMMIT;
    weeks := ARRAY(SELECT week_start FROM changed_weeks());
    FOREACH week IN ARRAY weeks LOOP
        CALL refresh_series(week, week + interval '168 hours');
        COMMIT;
    END LOOP;
    PERFORM refresh_day(summary, day) FROM changed_days();
    COMMIT;
    PERFORM drop_expired();
END
$$;
COMMENT ON PROCEDURE upkeep IS 'What the database does by itself every five minutes: summaries, and dropping what is old.';
SELECT add_job('upkeep', '5 min', job_name => 'hindsight upkeep');

-- Whoever writes, the buckets that change are marked in the same transaction.
CREATE FUNCTION mark_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
BEGIN
    -- Arguments: the summary, the length of its buckets, the column with the time.
    EXECUTE format('INSERT INTO summary_changes (summary, bucket)'
        ' SELECT DISTINCT %L, date_bin(%L, %I, ''2000-01-01Z'') FROM changed', TG_ARGV[0], TG_ARGV[1], TG_ARGV[2]);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mark_changed IS 'Trigger: marks the buckets of a summary that the rows of a statement are in.';

-- TimescaleDB has no tables of the rows of a DELETE: those are marked one by one.
CREATE FUNCTION mark_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
BEGIN
    INSERT INTO summary_changes (summary, bucket)
    SELECT TG_ARGV[0], date_bin(TG_ARGV[1]::interval, (to_jsonb(OLD) ->> TG_ARGV[2])::timestamptz, '2000-01-01Z');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mark_deleted IS 'Trigger: marks the bucket of a summary that a deleted row was in.';

DO $$
DECLARE
    policy record;
    event text;
BEGIN
    FOR policy IN SELECT *, CASE summary WHEN 'series' THEN '1 hour' ELSE '1 day' END AS bucket FROM storage_policies
        WHERE summary IS NOT NULL
    LOOP
        FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE'] LOOP
            EXECUTE format('CREATE TRIGGER %I AFTER %s ON %I REFERENCING NEW TABLE AS changed'
                ' FOR EACH STATEMENT EXECUTE FUNCTION mark_changed(%L, %L, %L)',
                'mark_' || lower(event), event, policy.table_name, policy.summary, policy.bucket, policy.time_column);
        END LOOP;
        EXECUTE format('CREATE TRIGGER mark_delete AFTER DELETE ON %I FOR EACH ROW EXECUTE FUNCTION mark_deleted(%L, %L, %L)',
            policy.table_name, policy.summary, policy.bucket, policy.time_column);
    END LOOP;
END
$$;
