-- Plain PostgreSQL: each table with a time is cut into range partitions, which `hindsight maintain` makes ahead and drops
-- when they are old, and which the sink has made for whatever other time it meets. No default partition: a row in it
-- would stand in the way of the partition it belongs to.

-- The functions below run as their owner and keep this path: nobody's temporary table may pass for one of ours. They
-- count in UTC, since days have 23 or 25 hours elsewhere.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE partitions (
    partition_name text PRIMARY KEY,
    table_name text NOT NULL REFERENCES storage_policies (table_name) ON UPDATE CASCADE,
    range_start timestamptz NOT NULL,
    range_end timestamptz NOT NULL CHECK (range_end > range_start),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_partitions_table ON partitions (table_name, range_start);
COMMENT ON TABLE partitions IS 'The partitions of the tables in storage_policies.';
COMMENT ON COLUMN partitions.partition_name IS 'Name of the partition, a table.';
COMMENT ON COLUMN partitions.table_name IS 'The table that it is a part of.';
COMMENT ON COLUMN partitions.range_start IS 'First time in it.';
COMMENT ON COLUMN partitions.range_end IS 'End of its times (not in it).';
COMMENT ON COLUMN partitions.created_at IS 'When it was made (wall clock); its age counts from then, so old history lasts.';

CREATE FUNCTION ensure_partitions(target regclass, times timestamptz[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    policy storage_policies;
    moment timestamptz;
    lower_bound timestamptz;
    upper_bound timestamptz;
    name text;
    made integer := 0;
BEGIN
    SELECT * INTO STRICT policy FROM storage_policies WHERE table_name::regclass = target;
    FOR moment IN SELECT DISTINCT t FROM unnest(times) AS t WHERE isfinite(t) ORDER BY t LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM partitions
            WHERE table_name = policy.table_name AND range_start <= moment AND range_end > moment
        );
        -- Held to the end of the transaction, so only by who makes one. Another may have made it meanwhile.
        PERFORM pg_advisory_xact_lock(hashtext('hindsight partitions'), hashtext(policy.table_name));
        CONTINUE WHEN EXISTS (
            SELECT FROM partitions
            WHERE table_name = policy.table_name AND range_start <= moment AND range_end > moment
        );
        -- Old history by month and absurd times by year, so that partitions can't become too many: a statement locks
        -- all those that it may touch.
        IF moment >= now() - greatest(interval '120 d', 4 * policy.chunk) OR policy.chunk > interval '27 d'
            AND moment >= now() - interval '3 y' THEN
            lower_bound := date_bin(policy.chunk, moment, '2000-01-03Z');
            upper_bound := lower_bound + policy.chunk;
        ELSIF moment >= now() - interval '3 y' THEN
            lower_bound := date_trunc('month', moment, 'UTC');
            upper_bound := date_trunc('month', lower_bound + interval '40 d', 'UTC');
        ELSE
            lower_bound := date_trunc('year', moment, 'UTC');
            upper_bound := date_trunc('year', lower_bound + interval '400 d', 'UTC');
        END IF;
        -- Both kinds of bounds meet somewhere, and policies change: what is left between the neighbours is the range.
        SELECT greatest(lower_bound, max(range_end) FILTER (WHERE range_end <= moment)),
            least(upper_bound, min(range_start) FILTER (WHERE range_start > moment))
        INTO lower_bound, upper_bound
        FROM partitions WHERE table_name = policy.table_name;
        name := policy.table_name || to_char(lower_bound AT TIME ZONE 'UTC', '"_p"YYYYMMDD');
        WHILE to_regclass(quote_ident(name)) IS NOT NULL LOOP
            name := name || 'x';
        END LOOP;
        -- Made on its own and then attached: CREATE … PARTITION OF would lock all readers and writers of the table out.
        EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)%s', name, target,
            CASE WHEN policy.options <> '' THEN format(' WITH (%s)', policy.options) ELSE '' END);
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            target, name, lower_bound, upper_bound);
        INSERT INTO partitions (partition_name, table_name, range_start, range_end)
        VALUES (name, policy.table_name, lower_bound, upper_bound);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION ensure_partitions IS 'Make the partitions of a table that rows of these times need; gives how many.';

CREATE FUNCTION make_partitions_ahead() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
    SELECT coalesce(sum(ensure_partitions(table_name::regclass, ARRAY(SELECT now() + step * interval '1 d' FROM generate_series(0, 3) AS step))), 0)
    FROM storage_policies
$$;
COMMENT ON FUNCTION make_partitions_ahead IS
    'Make the partitions of all tables for now and the next three days at least; gives how many.';

CREATE FUNCTION drop_expired() RETURNS TABLE (dropped_table text, dropped_from timestamptz, dropped_to timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    old record;
BEGIN
    -- Dropping waits for whoever reads the table, and everybody else then waits behind it: better to try again later.
    IF NOT pg_try_advisory_xact_lock(hashtext('hindsight drop_expired')) THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    FOR old IN
        SELECT p.* FROM partitions AS p JOIN storage_policies AS s USING (table_name)
        WHERE p.range_end < now() - s.keep AND p.created_at < now() - s.keep
            AND NOT EXISTS (
                SELECT FROM summary_changes AS c
                WHERE c.summary = s.summary AND c.bucket >= p.range_start - interval '1 d' AND c.bucket < p.range_end
            )
        ORDER BY p.range_start
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %I', old.partition_name);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        DELETE FROM partitions WHERE partition_name = old.partition_name;
        INSERT INTO retention_log (table_name, range_start, range_end)
        VALUES (old.table_name, old.range_start, old.range_end);
        RETURN QUERY SELECT old.table_name, old.range_start, old.range_end;
    END LOOP;
END
$$;
COMMENT ON FUNCTION drop_expired IS 'Drop partitions kept for long enough, but for those that a summary still needs.';

CREATE FUNCTION cut_into_partitions(target regclass) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    policy storage_policies;
    name text := (SELECT relname FROM pg_class WHERE oid = target);
    indexes text[] := ARRAY(
        SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = target AND NOT indisprimary ORDER BY indexrelid);
    constraints text[] := ARRAY(
        SELECT format('ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE conrelid = target AND contype IN ('p', 'f') ORDER BY contype DESC, conname);
    comment text := obj_description(target, 'pg_class');
    part text;
    moments timestamptz[];
BEGIN
    SELECT * INTO STRICT policy FROM storage_policies WHERE table_name = name;
    EXECUTE format('ALTER TABLE %I RENAME TO %I', name, name || '_whole');
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (%I)',
        name, name || '_whole', policy.time_column);
    -- The names of the old table's indexes are needed again.
    FOREACH part IN ARRAY ARRAY(SELECT conname FROM pg_constraint WHERE conrelid = target AND contype IN ('p', 'f')) LOOP
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', name || '_whole', part);
    END LOOP;
    FOREACH part IN ARRAY ARRAY(SELECT indexrelid::regclass FROM pg_index WHERE indrelid = target) LOOP
        EXECUTE format('DROP INDEX %s', part);
    END LOOP;
    FOREACH part IN ARRAY constraints LOOP
        EXECUTE format('ALTER TABLE %I %s', name, part);
    END LOOP;
    FOREACH part IN ARRAY indexes LOOP
        EXECUTE part;
    END LOOP;
    EXECUTE format('COMMENT ON TABLE %I IS %L', name, comment);
    EXECUTE format('SELECT array_agg(DISTINCT date_trunc(''day'', %I, ''UTC'')) FROM %I', policy.time_column, name || '_whole')
    INTO moments;
    PERFORM ensure_partitions(name::regclass, coalesce(moments, '{}'));
    EXECUTE format('INSERT INTO %I SELECT * FROM %I', name, name || '_whole');
    EXECUTE format('DROP TABLE %I', name || '_whole');
END
$$;
COMMENT ON FUNCTION cut_into_partitions IS
    'Make a table that stands in storage_policies a partitioned one, with its rows, indexes and comments.';

SELECT cut_into_partitions(table_name::regclass) FROM storage_policies;
SELECT make_partitions_ahead();

-- Hours and days of series: tables, where TimescaleDB has continuous aggregates of the same columns.
CREATE TABLE rollup_1h (
    series_id bigint NOT NULL,
    "time" timestamptz NOT NULL,
    n bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    sum_squares double precision NOT NULL,
    first double precision NOT NULL,
    last double precision NOT NULL,
    contested boolean NOT NULL,
    PRIMARY KEY (series_id, "time")
);
CREATE INDEX idx_rollup_1h_time ON rollup_1h ("time");
CREATE TABLE rollup_1d (LIKE rollup_1h INCLUDING ALL);

INSERT INTO storage_policies VALUES
    ('rollup_1h', 'time', '90 d', '1095 d', '180 d', '{series_id}', '"time"', 'fillfactor = 90', NULL),
    ('rollup_1d', 'time', '365 d', NULL, '730 d', '{series_id}', '"time"', 'fillfactor = 90', NULL);
SELECT cut_into_partitions(table_name::regclass) FROM storage_policies WHERE table_name IN ('rollup_1h', 'rollup_1d');
SELECT make_partitions_ahead();

COMMENT ON TABLE rollup_1h IS 'Series summed up by hour: the view series_1h adds what changed since.';
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
COMMENT ON TABLE rollup_1d IS 'Series summed up by day (UTC): the view series_1d adds what changed since.';
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

CREATE PROCEDURE refresh_series(range_start timestamptz, range_end timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    -- What is marked after this was read stays marked.
    seen bigint[] := ARRAY(
        SELECT id FROM summary_changes WHERE summary = 'series' AND bucket >= range_start
            AND bucket < least(range_end, now() - interval '70 min'));
    hours timestamptz[] := ARRAY(SELECT DISTINCT bucket FROM summary_changes WHERE id = ANY(seen));
    days timestamptz[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hindsight refresh'));
    hours := ARRAY(SELECT hour FROM unnest(hours) AS hour WHERE NOT EXISTS (
        SELECT FROM retention_log AS l
        WHERE l.table_name IN ('rollups_5m', 'rollup_1h') AND l.range_start <= hour AND l.range_end > hour));
    days := ARRAY(SELECT DISTINCT date_bin('1 day', hour, '2000-01-01Z') FROM unnest(hours) AS hour);
    DELETE FROM summary_changes WHERE id = ANY(seen) AND bucket <> ALL(hours);
    PERFORM ensure_partitions('rollup_1h', hours), ensure_partitions('rollup_1d', days);
    DELETE FROM rollup_1h WHERE "time" = ANY(hours);
    INSERT INTO rollup_1h
    SELECT
        r.series_id, hour, sum(r.n)::bigint,
        sum(held(r.sum) ORDER BY r."time", r.input, r.partition),
        min(r.min), max(r.max),
        sum(held(r.sum_squares) ORDER BY r."time", r.input, r.partition),
        (array_agg(r.first ORDER BY r.first_at, r.partition))[1],
        (array_agg(r.last ORDER BY r.last_at DESC, r.partition DESC))[1],
        min(r.input) <> max(r.input)
    FROM unnest(hours) AS hour JOIN rollups_5m AS r ON r."time" >= hour AND r."time" < hour + interval '1 hour'
    GROUP BY r.series_id, hour;
    DELETE FROM rollup_1d WHERE "time" = ANY(days);
    INSERT INTO rollup_1d
    SELECT
        r.series_id, day, sum(r.n)::bigint,
        sum(held(r.sum) ORDER BY r."time"), min(r.min), max(r.max), sum(held(r.sum_squares) ORDER BY r."time"),
        (array_agg(r.first ORDER BY r."time"))[1],
        (array_agg(r.last ORDER BY r."time" DESC))[1],
        bool_or(r.contested)
    FROM unnest(days) AS day JOIN rollup_1h AS r ON r."time" >= day AND r."time" < day + interval '1 day'
    GROUP BY r.series_id, day;
    PERFORM settle_contested(hours, days);
    DELETE FROM summary_changes WHERE id = ANY(seen);
END
$$;
COMMENT ON PROCEDURE refresh_series IS 'Sum up the changed hours of a range, and their days.';

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

DO $$
DECLARE
    policy record;
    change record;
BEGIN
    FOR policy IN SELECT *, CASE summary WHEN 'series' THEN '1 hour' ELSE '1 day' END AS bucket FROM storage_policies
        WHERE summary IS NOT NULL
    LOOP
        FOR change IN SELECT * FROM (VALUES ('INSERT', 'NEW'), ('UPDATE', 'NEW'), ('DELETE', 'OLD')) AS c (event, which) LOOP
            EXECUTE format('CREATE TRIGGER %I AFTER %s ON %I REFERENCING %s TABLE AS changed'
                ' FOR EACH STATEMENT EXECUTE FUNCTION mark_changed(%L, %L, %L)',
                'mark_' || lower(change.event), change.event, policy.table_name, change.which,
                policy.summary, policy.bucket, policy.time_column);
        END LOOP;
    END LOOP;
END
$$;
