-- The key figures of a stretch of time: how work, patterns, recommendations and models did; sample = how many were judged.
WITH runs AS (
    SELECT
        count(*) AS n,
        count(*) FILTER (WHERE status <> 'success') AS failed,
        avg(total_duration) AS seconds
    FROM pipeline_executions
    WHERE execution_start >= %(since)s AND execution_start < %(until)s
        AND status IN ('success', 'failure', 'error', 'timeout')
),
exchanges AS (
    SELECT count(*) AS n, count(*) FILTER (WHERE status <> 'success') AS failed, avg(processing_duration) AS ms
    FROM integration_events
    WHERE event_timestamp >= %(since)s AND event_timestamp < %(until)s
),
found AS (
    SELECT
        count(*) AS n,
        count(written_at - event_time) AS timed,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM written_at - event_time)::float8) AS seconds
    FROM detected_patterns
    WHERE detected_at >= %(since)s AND detected_at < %(until)s
),
verdicts AS (
    -- The last word of people on each pattern.
    SELECT count(*) AS n, count(*) FILTER (WHERE verdict = 'false_positive') AS wrong
    FROM (
        SELECT DISTINCT ON (pattern_id) classification_value AS verdict
        FROM pattern_classifications
        WHERE classification_type = 'verdict' AND human_verified
            AND classified_at >= %(since)s AND classified_at < %(until)s
        ORDER BY pattern_id, classified_at DESC
    ) AS last_word
),
advice AS (
    SELECT count(*) AS n FROM optimization_opportunities
    WHERE identified_at >= %(since)s AND identified_at < %(until)s
),
effects AS (
    SELECT
        count(DISTINCT recommendation_id) FILTER (WHERE implementation_status = 'implemented') AS implemented,
        avg(measured_improvement) AS improvement,
        count(measured_improvement) AS measured
    FROM recommendation_effectiveness
    WHERE implementation_date >= %(since)s AND implementation_date < %(until)s
),
judged AS (
    SELECT count(*) AS n, avg(accuracy_score) AS accuracy
    FROM prediction_accuracy_tracking
    WHERE measured_at >= %(since)s AND measured_at < %(until)s
),
kpis (name, value, unit, sample) AS (
    SELECT 'pipeline_failure_rate', failed / nullif(n, 0)::float8, 'share', n FROM runs
    UNION ALL SELECT 'pipeline_duration', seconds, 's', n FROM runs
    UNION ALL SELECT 'integration_failure_rate', failed / nullif(n, 0)::float8, 'share', n FROM exchanges
    UNION ALL SELECT 'integration_duration', ms, 'ms', n FROM exchanges
    UNION ALL SELECT 'patterns_detected_per_day',
        n / (extract(epoch FROM %(until)s::timestamptz - %(since)s::timestamptz)::float8 / 86400), '1/d', n
    FROM found
    UNION ALL SELECT 'time_to_detection', seconds, 's', timed FROM found
    UNION ALL SELECT 'pattern_accuracy', 1 - wrong / nullif(n, 0)::float8, 'share', n FROM verdicts
    UNION ALL SELECT 'false_positive_rate', wrong / nullif(n, 0)::float8, 'share', n FROM verdicts
    UNION ALL SELECT 'recommendations_generated', n::float8, '', n FROM advice
    UNION ALL SELECT 'recommendations_implemented', implemented::float8, '', implemented FROM effects
    UNION ALL SELECT 'average_improvement', improvement, '%%', measured FROM effects
    UNION ALL SELECT 'model_accuracy', accuracy, 'share', n FROM judged
)
SELECT name, value, unit, sample FROM kpis
