-- What people and dashboards read of the series. Entity, measure and time stand in each GROUP BY and DISTINCT ON, so that
-- a filter on them goes down to the indexes and the pieces of the tables.
--
-- Partials of the partitions of one input add up. Inputs do not: a history read from a file and again from Kafka is the
-- same history twice, so of the inputs that hold a bucket the one with the most values stands for it. The hour and the
-- day are made of such five-minute buckets, so that one input may take over from another in the middle; they come from
-- the summed-up hours and days, but for those that changed since or that several inputs contest.

CREATE FUNCTION changed_weeks() RETURNS TABLE (week_start timestamptz) LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT date_bin('7 d', bucket, '2000-01-03Z') FROM summary_changes
    WHERE summary = 'series' AND bucket < now() - interval '70 min' GROUP BY 1 ORDER BY 1;
END;
COMMENT ON FUNCTION changed_weeks IS 'Weeks with hours of series to be summed up: they changed, and have ended.';

CREATE FUNCTION changed_days() RETURNS TABLE (summary text, day timestamptz) LANGUAGE sql STABLE
BEGIN ATOMIC
    -- Not DISTINCT: TimescaleDB 2.29 plans a skip scan over two columns for it, and then fails.
    SELECT c.summary, c.bucket FROM summary_changes AS c
    WHERE c.summary <> 'series' AND c.bucket < now() - interval '24 h 10 min' GROUP BY 1, 2 ORDER BY 2, 1;
END;
COMMENT ON FUNCTION changed_days IS 'Days of the other summaries to be summed up: they changed, and have ended.';

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION compact_changes() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
    -- One mark says as much as many. Rows that another transaction adds meanwhile are not seen here, and stay.
    WITH gone AS (
        DELETE FROM summary_changes AS c USING (
            SELECT summary, bucket, max(id) AS kept FROM summary_changes GROUP BY 1, 2 HAVING count(*) > 1
        ) AS k
        WHERE c.summary = k.summary AND c.bucket = k.bucket AND c.id < k.kept
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION compact_changes IS 'Leave one mark of each changed bucket; gives how many went.';

CREATE FUNCTION refresh_day(which text, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    -- What is marked after this was read stays marked.
    seen bigint[] := ARRAY(SELECT id FROM summary_changes WHERE summary = which AND bucket = at);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hindsight refresh ' || which));
    -- A day whose rows were dropped stays as it was.
    IF cardinality(seen) > 0 AND NOT EXISTS (
        SELECT FROM retention_log AS l JOIN storage_policies AS s USING (table_name)
        WHERE s.summary = which AND l.range_start < at + interval '24 hours' AND l.range_end > at
    ) THEN
        EXECUTE format('DELETE FROM %I WHERE day = $1', which || '_days') USING at;
        EXECUTE format('INSERT INTO %I SELECT * FROM %I($1)', which || '_days', which || '_day') USING at;
    END IF;
    DELETE FROM summary_changes WHERE id = ANY(seen);
END
$$;
COMMENT ON FUNCTION refresh_day IS 'Sum up a day of pipelines, steps, tasks or integrations again.';

CREATE VIEW series_10s AS
SELECT
    "time", entity, measure, n, sum, min, max, mean_of(sum, n) AS avg, first, last,
    deviation_of(sum, sum_squares, n) AS stddev, sum_squares
FROM (
    SELECT DISTINCT ON (entity, measure, "time") *
    FROM (
        SELECT
            r."time", s.entity, s.measure, r.input,
            sum(r.n)::bigint AS n,
            sum(held(r.sum) ORDER BY r.partition) AS sum,
            min(r.min) AS min,
            max(r.max) AS max,
            sum(held(r.sum_squares) ORDER BY r.partition) AS sum_squares,
            (array_agg(r.first ORDER BY r.first_at, r.partition))[1] AS first,
            (array_agg(r.last ORDER BY r.last_at DESC, r.partition DESC))[1] AS last
        FROM rollups_10s AS r JOIN series AS s USING (series_id)
        GROUP BY s.entity, s.measure, r."time", r.input
    ) AS by_input
    ORDER BY entity, measure, "time", n DESC, input
) AS bucket;

CREATE VIEW series_1m AS
SELECT
    "time", entity, measure, n, sum, min, max, mean_of(sum, n) AS avg, first, last,
    deviation_of(sum, sum_squares, n) AS stddev, sum_squares
FROM (
    SELECT DISTINCT ON (entity, measure, "time") *
    FROM (
        SELECT
            r."time", s.entity, s.measure, r.input,
            sum(r.n)::bigint AS n,
            sum(held(r.sum) ORDER BY r.partition) AS sum,
            min(r.min) AS min,
            max(r.max) AS max,
            sum(held(r.sum_squares) ORDER BY r.partition) AS sum_squares,
            (array_agg(r.first ORDER BY r.first_at, r.partition))[1] AS first,
            (array_agg(r.last ORDER BY r.last_at DESC, r.partition DESC))[1] AS last
        FROM rollups_1m AS r JOIN series AS s USING (series_id)
        GROUP BY s.entity, s.measure, r."time", r.input
    ) AS by_input
    ORDER BY entity, measure, "time", n DESC, input
) AS bucket;

CREATE VIEW series_5m AS
SELECT
    "time", entity, measure, n, sum, min, max, mean_of(sum, n) AS avg, first, last,
    deviation_of(sum, sum_squares, n) AS stddev, sum_squares
FROM (
    SELECT DISTINCT ON (entity, measure, "time") *
    FROM (
        SELECT
            r."time", s.entity, s.measure, r.input,
            sum(r.n)::bigint AS n,
            sum(held(r.sum) ORDER BY r.partition) AS sum,
            min(r.min) AS min,
            max(r.max) AS max,
            sum(held(r.sum_squares) ORDER BY r.partition) AS sum_squares,
            (array_agg(r.first ORDER BY r.first_at, r.partition))[1] AS first,
            (array_agg(r.last ORDER BY r.last_at DESC, r.partition DESC))[1] AS last
        FROM rollups_5m AS r JOIN series AS s USING (series_id)
        GROUP BY s.entity, s.measure, r."time", r.input
    ) AS by_input
    ORDER BY entity, measure, "time", n DESC, input
) AS bucket;

CREATE TABLE rollup_contested (
    series_id bigint NOT NULL,
    level integer NOT NULL CHECK (level IN (3600, 86400)),
    "time" timestamptz NOT NULL,
    n bigint NOT NULL,
    sum double precision NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    sum_squares double precision NOT NULL,
    first double precision NOT NULL,
    last double precision NOT NULL,
    PRIMARY KEY (series_id, level, "time")
);
CREATE INDEX idx_rollup_contested_time ON rollup_contested (level, "time");
COMMENT ON TABLE rollup_contested IS
    'Hours and days of series of which several inputs hold values: summed up from the input that counts in each 5 minutes.';
COMMENT ON COLUMN rollup_contested.series_id IS 'As in series.series_id.';
COMMENT ON COLUMN rollup_contested.level IS 'Length of the bucket, in seconds.';
COMMENT ON COLUMN rollup_contested."time" IS 'Start of the bucket.';
COMMENT ON COLUMN rollup_contested.n IS 'Number of values.';
COMMENT ON COLUMN rollup_contested.sum IS 'Their sum.';
COMMENT ON COLUMN rollup_contested.min IS 'The least.';
COMMENT ON COLUMN rollup_contested.max IS 'The greatest.';
COMMENT ON COLUMN rollup_contested.sum_squares IS 'Sum of their squares.';
COMMENT ON COLUMN rollup_contested.first IS 'The first by time.';
COMMENT ON COLUMN rollup_contested.last IS 'The last by time.';

CREATE VIEW changed_hours AS
SELECT bucket AS "time" FROM summary_changes WHERE summary = 'series';
COMMENT ON VIEW changed_hours IS 'Hours of series that series_1h computes itself, since they changed after they were summed up.';
COMMENT ON COLUMN changed_hours."time" IS 'Start of the hour; may stand here more than once.';

CREATE VIEW series_1h AS
SELECT
    "time", entity, measure, n, sum, min, max, mean_of(sum, n) AS avg, first, last,
    deviation_of(sum, sum_squares, n) AS stddev, sum_squares
FROM (
    SELECT r."time", s.entity, s.measure, r.n, r.sum, r.min, r.max, r.sum_squares, r.first, r.last
    FROM rollup_1h AS r JOIN series AS s USING (series_id)
    WHERE NOT r.contested AND NOT EXISTS (SELECT FROM changed_hours AS c WHERE c."time" = r."time")
    UNION ALL
    SELECT c."time", l.entity, l.measure, l.n, l.sum, l.min, l.max, l.sum_squares, l.first, l.last
    FROM (SELECT DISTINCT "time" FROM changed_hours) AS c CROSS JOIN LATERAL (
        SELECT
            b.entity, b.measure, sum(b.n)::bigint AS n,
            sum(held(b.sum) ORDER BY b."time") AS sum, min(b.min) AS min, max(b.max) AS max,
            sum(held(b.sum_squares) ORDER BY b."time") AS sum_squares,
            (array_agg(b.first ORDER BY b."time"))[1] AS first,
            (array_agg(b.last ORDER BY b."time" DESC))[1] AS last
        FROM series_5m AS b
        WHERE b."time" >= c."time" AND b."time" < c."time" + interval '1 hour'
        GROUP BY b.entity, b.measure
    ) AS l
    UNION ALL
    SELECT r."time", s.entity, s.measure, r.n, r.sum, r.min, r.max, r.sum_squares, r.first, r.last
    FROM rollup_contested AS r JOIN series AS s USING (series_id)
    WHERE r.level = 3600 AND NOT EXISTS (SELECT FROM changed_hours AS c WHERE c."time" = r."time")
) AS bucket;

CREATE VIEW series_1d AS
SELECT
    "time", entity, measure, n, sum, min, max, mean_of(sum, n) AS avg, first, last,
    deviation_of(sum, sum_squares, n) AS stddev, sum_squares
FROM (
    SELECT r."time", s.entity, s.measure, r.n, r.sum, r.min, r.max, r.sum_squares, r.first, r.last
    FROM rollup_1d AS r JOIN series AS s USING (series_id)
    WHERE NOT r.contested AND NOT EXISTS (SELECT FROM changed_hours AS c WHERE date_bin('1 day', c."time", '2000-01-01Z') = r."time")
    UNION ALL
    SELECT c."time", l.entity, l.measure, l.n, l.sum, l.min, l.max, l.sum_squares, l.first, l.last
    FROM (SELECT DISTINCT date_bin('1 day', "time", '2000-01-01Z') AS "time" FROM changed_hours) AS c CROSS JOIN LATERAL (
        SELECT
            b.entity, b.measure, sum(b.n)::bigint AS n,
            sum(held(b.sum) ORDER BY b."time") AS sum, min(b.min) AS min, max(b.max) AS max,
            sum(held(b.sum_squares) ORDER BY b."time") AS sum_squares,
            (array_agg(b.first ORDER BY b."time"))[1] AS first,
            (array_agg(b.last ORDER BY b."time" DESC))[1] AS last
        FROM series_1h AS b
        WHERE b."time" >= c."time" AND b."time" < c."time" + interval '24 hours'
        GROUP BY b.entity, b.measure
    ) AS l
    UNION ALL
    SELECT r."time", s.entity, s.measure, r.n, r.sum, r.min, r.max, r.sum_squares, r.first, r.last
    FROM rollup_contested AS r JOIN series AS s USING (series_id)
    WHERE r.level = 86400 AND NOT EXISTS (SELECT FROM changed_hours AS c WHERE date_bin('1 day', c."time", '2000-01-01Z') = r."time")
) AS bucket;

CREATE FUNCTION settle_contested(hours timestamptz[], days timestamptz[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
BEGIN
    DELETE FROM rollup_contested WHERE level = 3600 AND "time" = ANY(hours);
    INSERT INTO rollup_contested
    SELECT r.series_id, 3600, r."time", l.*
    FROM rollup_1h AS r JOIN series AS s USING (series_id) CROSS JOIN LATERAL (
        SELECT
            sum(b.n)::bigint, sum(held(b.sum) ORDER BY b."time"), min(b.min), max(b.max),
            sum(held(b.sum_squares) ORDER BY b."time"),
            (array_agg(b.first ORDER BY b."time"))[1],
            (array_agg(b.last ORDER BY b."time" DESC))[1]
        FROM series_5m AS b
        WHERE b."time" >= r."time" AND b."time" < r."time" + interval '1 hour'
            AND b.entity = s.entity AND b.measure = s.measure
        HAVING count(*) > 0
    ) AS l
    WHERE r.contested AND r."time" = ANY(hours);
    DELETE FROM rollup_contested WHERE level = 86400 AND "time" = ANY(days);
    INSERT INTO rollup_contested
    SELECT r.series_id, 86400, r."time", l.*
    FROM rollup_1d AS r JOIN series AS s USING (series_id) CROSS JOIN LATERAL (
        SELECT
            sum(b.n)::bigint, sum(held(b.sum) ORDER BY b."time"), min(b.min), max(b.max),
            sum(held(b.sum_squares) ORDER BY b."time"),
            (array_agg(b.first ORDER BY b."time"))[1],
            (array_agg(b.last ORDER BY b."time" DESC))[1]
        FROM series_1h AS b
        WHERE b."time" >= r."time" AND b."time" < r."time" + interval '24 hours'
            AND b.entity = s.entity AND b.measure = s.measure
        HAVING count(*) > 0
    ) AS l
    WHERE r.contested AND r."time" = ANY(days);
END
$$;
COMMENT ON FUNCTION settle_contested IS 'Sum up the hours and days that several inputs hold values of, once their rollups are.';

CREATE VIEW metric_rollups AS
SELECT series_id, 10 AS level, "time", input, partition, n, sum, min, max, sum_squares, first, last, first_at, last_at,
    sketch
FROM rollups_10s
UNION ALL
SELECT series_id, 60, "time", input, partition, n, sum, min, max, sum_squares, first, last, first_at, last_at, sketch
FROM rollups_1m
UNION ALL
SELECT series_id, 300, "time", input, partition, n, sum, min, max, sum_squares, first, last, first_at, last_at, sketch
FROM rollups_5m;

COMMENT ON VIEW series_10s IS 'Aggregates of each series by ten seconds.';
COMMENT ON COLUMN series_10s."time" IS 'Start of the bucket.';
COMMENT ON COLUMN series_10s.entity IS 'What is watched.';
COMMENT ON COLUMN series_10s.measure IS 'Which of its numbers.';
COMMENT ON COLUMN series_10s.n IS 'Number of values.';
COMMENT ON COLUMN series_10s.sum IS 'Their sum.';
COMMENT ON COLUMN series_10s.min IS 'The least.';
COMMENT ON COLUMN series_10s.max IS 'The greatest.';
COMMENT ON COLUMN series_10s.avg IS 'Their mean.';
COMMENT ON COLUMN series_10s.first IS 'The first by time.';
COMMENT ON COLUMN series_10s.last IS 'The last by time.';
COMMENT ON COLUMN series_10s.stddev IS 'Standard deviation of the sample; null for one value; rough below 1e-7 of the mean.';
COMMENT ON COLUMN series_10s.sum_squares IS 'Sum of their squares.';
COMMENT ON VIEW series_1m IS 'Aggregates of each series by minute.';
COMMENT ON COLUMN series_1m."time" IS 'Start of the bucket.';
COMMENT ON COLUMN series_1m.entity IS 'What is watched.';
COMMENT ON COLUMN series_1m.measure IS 'Which of its numbers.';
COMMENT ON COLUMN series_1m.n IS 'Number of values.';
COMMENT ON COLUMN series_1m.sum IS 'Their sum.';
COMMENT ON COLUMN series_1m.min IS 'The least.';
COMMENT ON COLUMN series_1m.max IS 'The greatest.';
COMMENT ON COLUMN series_1m.avg IS 'Their mean.';
COMMENT ON COLUMN series_1m.first IS 'The first by time.';
COMMENT ON COLUMN series_1m.last IS 'The last by time.';
COMMENT ON COLUMN series_1m.stddev IS 'Standard deviation of the sample; null for one value; rough below 1e-7 of the mean.';
COMMENT ON COLUMN series_1m.sum_squares IS 'Sum of their squares.';
COMMENT ON VIEW series_5m IS 'Aggregates of each series by five minutes.';
COMMENT ON COLUMN series_5m."time" IS 'Start of the bucket.';
COMMENT ON COLUMN series_5m.entity IS 'What is watched.';
COMMENT ON COLUMN series_5m.measure IS 'Which of its numbers.';
COMMENT ON COLUMN series_5m.n IS 'Number of values.';
COMMENT ON COLUMN series_5m.sum IS 'Their sum.';
COMMENT ON COLUMN series_5m.min IS 'The least.';
COMMENT ON COLUMN series_5m.max IS 'The greatest.';
COMMENT ON COLUMN series_5m.avg IS 'Their mean.';
COMMENT ON COLUMN series_5m.first IS 'The first by time.';
COMMENT ON COLUMN series_5m.last IS 'The last by time.';
COMMENT ON COLUMN series_5m.stddev IS 'Standard deviation of the sample; null for one value; rough below 1e-7 of the mean.';
COMMENT ON COLUMN series_5m.sum_squares IS 'Sum of their squares.';
COMMENT ON VIEW series_1h IS 'Aggregates of each series by hour.';
COMMENT ON COLUMN series_1h."time" IS 'Start of the bucket.';
COMMENT ON COLUMN series_1h.entity IS 'What is watched.';
COMMENT ON COLUMN series_1h.measure IS 'Which of its numbers.';
COMMENT ON COLUMN series_1h.n IS 'Number of values.';
COMMENT ON COLUMN series_1h.sum IS 'Their sum.';
COMMENT ON COLUMN series_1h.min IS 'The least.';
COMMENT ON COLUMN series_1h.max IS 'The greatest.';
COMMENT ON COLUMN series_1h.avg IS 'Their mean.';
COMMENT ON COLUMN series_1h.first IS 'The first by time.';
COMMENT ON COLUMN series_1h.last IS 'The last by time.';
COMMENT ON COLUMN series_1h.stddev IS 'Standard deviation of the sample; null for one value; rough below 1e-7 of the mean.';
COMMENT ON COLUMN series_1h.sum_squares IS 'Sum of their squares.';
COMMENT ON VIEW series_1d IS 'Aggregates of each series by day (UTC).';
COMMENT ON COLUMN series_1d."time" IS 'Start of the bucket.';
COMMENT ON COLUMN series_1d.entity IS 'What is watched.';
COMMENT ON COLUMN series_1d.measure IS 'Which of its numbers.';
COMMENT ON COLUMN series_1d.n IS 'Number of values.';
COMMENT ON COLUMN series_1d.sum IS 'Their sum.';
COMMENT ON COLUMN series_1d.min IS 'The least.';
COMMENT ON COLUMN series_1d.max IS 'The greatest.';
COMMENT ON COLUMN series_1d.avg IS 'Their mean.';
COMMENT ON COLUMN series_1d.first IS 'The first by time.';
COMMENT ON COLUMN series_1d.last IS 'The last by time.';
COMMENT ON COLUMN series_1d.stddev IS 'Standard deviation of the sample; null for one value; rough below 1e-7 of the mean.';
COMMENT ON COLUMN series_1d.sum_squares IS 'Sum of their squares.';
COMMENT ON VIEW metric_rollups IS
    'Aggregates of series of all levels, one row a partition of an input: the views series_10s to series_1d add them up.';
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

REVOKE EXECUTE ON FUNCTION ensure_partitions, make_partitions_ahead, drop_expired, compact_changes, refresh_day,
    settle_contested FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE refresh_series FROM PUBLIC;
