-- What people and dashboards read. Entity, measure and time stand in each GROUP BY and DISTINCT ON, so that a filter on
-- them goes down to the indexes of series and metric_rollups.
--
-- Partials of the partitions of one input add up. Inputs do not: a history read from a file and again from Kafka is the
-- same history twice, so of the inputs that hold a bucket the one with the most values stands for it. The hour and the
-- day are made of such five-minute buckets, so that one input may take over from another in the middle.

-- PostgreSQL raises an error where a float overflows or underflows, and one absurd value (1e308, 5e-324) must not break
-- a query over all series. So sums are held to +-1e300, and what a quotient or a square would lose is taken for 0.
CREATE FUNCTION held(value float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN greatest(least(value, 1e300), -1e300);
COMMENT ON FUNCTION held IS 'The value, held to +-1e300, so that many of them can be added up.';

CREATE FUNCTION mean_of(total float8, n bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(total) > 1e-280 THEN total / n ELSE 0 END;
COMMENT ON FUNCTION mean_of IS 'total / n, or 0 where that is below 1e-280 / n.';

CREATE FUNCTION deviation_of(total float8, squares float8, n bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(total) < 1e150 THEN sqrt(coalesce(nullif(greatest(
    squares - CASE WHEN abs(total) > 1e-140 THEN total * total / n ELSE 0 END,
    1e-280), 1e-280), 0) / nullif(n - 1, 0)) END;
COMMENT ON FUNCTION deviation_of IS
    'Standard deviation of a sample from its sum, sum of squares and size; null for one value or a sum from 1e150 on.';

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
        FROM metric_rollups AS r JOIN series AS s USING (series_id)
        WHERE r.level = 10
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
        FROM metric_rollups AS r JOIN series AS s USING (series_id)
        WHERE r.level = 60
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
        FROM metric_rollups AS r JOIN series AS s USING (series_id)
        WHERE r.level = 300
        GROUP BY s.entity, s.measure, r."time", r.input
    ) AS by_input
    ORDER BY entity, measure, "time", n DESC, input
) AS bucket;

CREATE VIEW series_1h AS
SELECT
    "time", entity, measure, n, sum, min, max, mean_of(sum, n) AS avg, first, last,
    deviation_of(sum, sum_squares, n) AS stddev, sum_squares
FROM (
    SELECT
        date_bin('1 hour', b."time", '2000-01-01 00:00+00') AS "time", b.entity, b.measure,
        sum(b.n)::bigint AS n,
        sum(b.sum ORDER BY b."time") AS sum,
        min(b.min) AS min,
        max(b.max) AS max,
        sum(b.sum_squares ORDER BY b."time") AS sum_squares,
        (array_agg(b.first ORDER BY b."time"))[1] AS first,
        (array_agg(b.last ORDER BY b."time" DESC))[1] AS last
    FROM series_5m AS b
    GROUP BY 1, b.entity, b.measure
) AS bucket;

CREATE VIEW series_1d AS
SELECT
    "time", entity, measure, n, sum, min, max, mean_of(sum, n) AS avg, first, last,
    deviation_of(sum, sum_squares, n) AS stddev, sum_squares
FROM (
    SELECT
        date_bin('1 day', b."time", '2000-01-01 00:00+00') AS "time", b.entity, b.measure,
        sum(b.n)::bigint AS n,
        sum(b.sum ORDER BY b."time") AS sum,
        min(b.min) AS min,
        max(b.max) AS max,
        sum(b.sum_squares ORDER BY b."time") AS sum_squares,
        (array_agg(b.first ORDER BY b."time"))[1] AS first,
        (array_agg(b.last ORDER BY b."time" DESC))[1] AS last
    FROM series_5m AS b
    GROUP BY 1, b.entity, b.measure
) AS bucket;

CREATE VIEW data_quality AS
SELECT input, outcome, reason, sum(n)::bigint AS n, max(updated_at) AS updated_at
FROM stream_counters
GROUP BY input, outcome, reason;

CREATE VIEW open_patterns AS
SELECT
    id, pattern_name, pattern_type, pattern_category, severity, confidence_score, significance_score, entity, measure,
    direction, explanation, detection_algorithm, opened_at, last_observed_at, observation_count, pattern_data
FROM detected_patterns
WHERE is_active;

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
COMMENT ON VIEW data_quality IS 'What became of the records, by input and reason: read is the sum of the others but patterns.';
COMMENT ON COLUMN data_quality.input IS 'Topic, or file: and the path.';
COMMENT ON COLUMN data_quality.outcome IS 'What is counted.';
COMMENT ON COLUMN data_quality.reason IS 'Reason of dead letters; empty for the rest.';
COMMENT ON COLUMN data_quality.n IS 'How many since the beginning of the input.';
COMMENT ON COLUMN data_quality.updated_at IS 'When it was last written (wall clock).';
COMMENT ON VIEW open_patterns IS 'Patterns that go on now.';
COMMENT ON COLUMN open_patterns.id IS 'Derived from the series, the class and the time it opened: a replay finds the same one.';
COMMENT ON COLUMN open_patterns.pattern_name IS 'Name.';
COMMENT ON COLUMN open_patterns.pattern_type IS 'Class of the pattern.';
COMMENT ON COLUMN open_patterns.pattern_category IS 'Branch of the taxonomy.';
COMMENT ON COLUMN open_patterns.severity IS 'How much it matters; says nothing of how sure it is.';
COMMENT ON COLUMN open_patterns.confidence_score IS 'Probability that it is real, 0 to 1.';
COMMENT ON COLUMN open_patterns.significance_score IS 'How far from normal, 0 to 1.';
COMMENT ON COLUMN open_patterns.entity IS 'The series'' entity.';
COMMENT ON COLUMN open_patterns.measure IS 'The series'' measure.';
COMMENT ON COLUMN open_patterns.direction IS 'Where the value went, such as up or down; null = it has none.';
COMMENT ON COLUMN open_patterns.explanation IS 'The pattern in one sentence.';
COMMENT ON COLUMN open_patterns.detection_algorithm IS 'The detector that found it.';
COMMENT ON COLUMN open_patterns.opened_at IS 'Event time at which it opened.';
COMMENT ON COLUMN open_patterns.last_observed_at IS 'Event time at which it was last seen.';
COMMENT ON COLUMN open_patterns.observation_count IS 'How often it was seen.';
COMMENT ON COLUMN open_patterns.pattern_data IS 'Evidence.';
