-- What people read besides health and series: the rows themselves in plain columns, deployments and DORA's four measures,
-- open work, code, patterns with their evidence, and how good and how fresh the data is. A filter on the time column of a
-- view goes down to the pieces of its table. Durations are seconds unless a name ends in _ms; 24 h stand for a day, since
-- '1 day' would follow the clocks of the session's time zone.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION is_failure(status text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN status IN ('failure', 'error', 'timeout') THEN true WHEN status = 'success' THEN false END;
COMMENT ON FUNCTION is_failure IS
    'Whether a status word is a failure (failure, error, timeout) or a success; null = neither, such as cancelled.';

CREATE FUNCTION seconds_between(earlier timestamptz, later timestamptz) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN extract(epoch FROM later - earlier)::float8;
COMMENT ON FUNCTION seconds_between IS 'Seconds from the one time to the other.';

CREATE FUNCTION number_in(value jsonb) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(value) = 'number' THEN value::float8 END;
COMMENT ON FUNCTION number_in IS 'A JSON number as a number; null = it is something else.';

CREATE VIEW pipeline_runs AS
SELECT
    id, pipeline_name, execution_id, execution_start, execution_end, status, is_failure(status) AS failed,
    total_duration AS duration_seconds, trigger_type, trigger_data, success_rate, commit_sha, configuration_version
FROM pipeline_executions;

CREATE VIEW steps AS
SELECT
    pipeline_execution_id AS run_id, pipeline_name, step_name, step_order, execution_start, execution_end, status,
    is_failure(status) AS failed, seconds_between(execution_start, execution_end) AS duration_seconds, error_details,
    performance_data, resource_consumption
FROM step_executions;

CREATE VIEW task_runs AS
SELECT
    e.id, e.task_id, t.external_id AS task, t.title, e.project_name, e.external_id AS execution_id, e.attempt,
    e.execution_start, e.execution_end, e.status, is_failure(e.status) AS failed,
    seconds_between(e.execution_start, e.execution_end) AS duration_seconds, e.error_type, e.error_message,
    e.performance_metrics, e.resource_usage
FROM task_executions AS e LEFT JOIN tasks AS t ON t.id = e.task_id;

CREATE VIEW integration_log AS
SELECT
    id, event_timestamp, source_system, target_system, event_type, status, is_failure(status) AS failed,
    processing_duration AS processing_ms, correlation_key, correlation_id, error_details, event_data
FROM integration_events;

CREATE VIEW metric_samples AS
SELECT collected_at, source_system, metric_name, metric_value, metric_unit, metric_tags, aggregation_period
FROM system_metrics;

CREATE VIEW resource_samples AS
SELECT measured_at, host, resource_type, usage_percentage, absolute_value, peak_usage, average_usage, context_data
FROM resource_usage;

CREATE VIEW series_names AS SELECT kind, entity, measure FROM series;

CREATE VIEW tasks_open AS
SELECT
    t.id, t.external_id AS task, t.title, t.status, t.priority, t.project_name, t.assigned_to_name AS assignee,
    t.created_at, t.updated_at,
    seconds_between(t.created_at, now()) / 86400 AS days_open,
    seconds_between(t.updated_at, now()) / 86400 AS days_unchanged,
    t.estimated_effort, t.actual_effort, t.tags,
    coalesce(b.n, 0) AS blocked_by, coalesce(w.n, 0) AS blocks
FROM tasks AS t
LEFT JOIN (
    SELECT d.dependent_task_id AS id, count(*) AS n
    FROM task_dependencies AS d LEFT JOIN tasks AS p ON p.id = d.parent_task_id
    WHERE d.dependency_type = 'blocks' AND (p.id IS NULL OR task_state(p.status) = 'open')
    GROUP BY 1
) AS b ON b.id = t.id
LEFT JOIN (
    SELECT d.parent_task_id AS id, count(*) AS n
    FROM task_dependencies AS d JOIN tasks AS o ON o.id = d.dependent_task_id
    WHERE d.dependency_type = 'blocks' AND task_state(o.status) = 'open'
    GROUP BY 1
) AS w ON w.id = t.id
WHERE task_state(t.status) = 'open';

-- Names come from the days, which are few, and not from the runs, which are many.
CREATE VIEW deployment_pipelines AS
SELECT p.pipeline_name, CASE WHEN c.pipeline_name IS NULL THEN 'name' ELSE 'configuration' END AS known_by
FROM (
    SELECT pipeline_name FROM pipeline_days
    UNION
    SELECT r.pipeline_name
    FROM (SELECT DISTINCT bucket FROM summary_changes WHERE summary = 'pipeline') AS m
    JOIN pipeline_executions AS r ON r.execution_start >= m.bucket AND r.execution_start < m.bucket + interval '24 h'
) AS p
LEFT JOIN (
    SELECT DISTINCT ON (pipeline_name) pipeline_name, configuration_data ->> 'deployment' = 'true' AS deploys
    FROM pipeline_configurations
    WHERE configuration_data ->> 'deployment' IN ('true', 'false')
    ORDER BY pipeline_name, event_time DESC, event_id DESC
) AS c USING (pipeline_name)
WHERE coalesce(c.deploys, p.pipeline_name ~* '(deploy|release|rollout|publish)')
-- Keeps a join from matching the pattern with each run instead of each name.
OFFSET 0;

CREATE VIEW deployments AS
SELECT
    r.id, r.pipeline_name, r.execution_id, r.execution_start, r.execution_end, r.status, is_failure(r.status) AS failed,
    r.total_duration AS duration_seconds, r.commit_sha, r.configuration_version
FROM pipeline_executions AS r JOIN deployment_pipelines AS d USING (pipeline_name);

CREATE FUNCTION dora_between(since timestamptz, until timestamptz) RETURNS TABLE (
    week timestamptz, pipeline_name text, deployments bigint, failed bigint, change_failure_rate float8,
    changes bigint, lead_p50_seconds float8, lead_p95_seconds float8,
    outages bigint, restored bigint, restore_p50_seconds float8, restore_mean_seconds float8
)
-- The planner can't tell how many runs a range of time holds; looking each one up would take minutes when it is wrong.
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET work_mem = '64MB' SET enable_nestloop = off AS $$
    -- All rules look 28 days (672 h) around a run and no further, so a week comes out the same whatever the range is.
    WITH range AS (
        SELECT date_bin('168 h', since, '2000-01-03Z') AS low, until AS high
    ),
    run AS MATERIALIZED (
        SELECT
            r.id, r.pipeline_name, r.execution_start, coalesce(r.execution_end, r.execution_start) AS ended_at,
            r.status <> 'success' AS failed, r.commit_sha
        FROM pipeline_executions AS r
        WHERE r.pipeline_name = ANY (ARRAY(SELECT d.pipeline_name FROM deployment_pipelines AS d))
            AND r.status IN ('success', 'failure', 'error', 'timeout')
            AND r.execution_start >= (SELECT low FROM range) - interval '672 h'
            AND r.execution_start < (SELECT high FROM range) + interval '840 h'
    ),
    judged AS (
        -- Newest first: what lead() gives is the run before, and the frame holds the runs after.
        SELECT
            r.*, date_bin('168 h', r.execution_start, '2000-01-03Z') AS week,
            lead(r.failed) OVER by_time
                AND lead(r.execution_start) OVER by_time >= r.execution_start - interval '672 h' AS goes_on,
            min(r.ended_at) FILTER (WHERE NOT r.failed) OVER (
                by_time ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS next_success
        FROM run AS r
        WINDOW by_time AS (PARTITION BY r.pipeline_name ORDER BY r.execution_start DESC, r.id DESC)
    ),
    shown AS MATERIALIZED (
        SELECT judged.* FROM judged
        WHERE judged.week >= (SELECT low FROM range) AND judged.week < (SELECT high FROM range)
    ),
    seen AS (
        SELECT d.id, min(r.execution_start) AS first_start
        FROM shown AS d JOIN pipeline_executions AS r USING (commit_sha)
        WHERE NOT d.failed AND r.execution_start <= d.execution_start
            AND r.execution_start >= d.execution_start - interval '672 h'
            AND r.execution_start >= (SELECT low FROM range) - interval '672 h'
            AND r.execution_start < (SELECT high FROM range) + interval '168 h'
        GROUP BY d.id
        -- A commit that the same pipeline deployed before is no change.
        HAVING NOT bool_or(
            r.pipeline_name = d.pipeline_name AND r.status = 'success'
            AND (r.execution_start, r.id) < (d.execution_start, d.id)
        )
    ),
    timed AS (
        SELECT
            s.week, s.pipeline_name, s.failed,
            seconds_between(c.first_start, s.ended_at) AS lead_seconds,
            s.failed AND s.goes_on IS NOT TRUE AS outage,
            CASE WHEN s.failed AND s.goes_on IS NOT TRUE AND s.next_success <= s.execution_start + interval '672 h'
                THEN greatest(seconds_between(s.ended_at, s.next_success), 0) END AS restore_seconds
        FROM shown AS s LEFT JOIN seen AS c USING (id)
    )
    SELECT
        t.week, t.pipeline_name, count(*) FILTER (WHERE NOT t.failed), count(*) FILTER (WHERE t.failed),
        count(*) FILTER (WHERE t.failed) / count(*)::float8,
        count(t.lead_seconds),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.lead_seconds),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY t.lead_seconds),
        count(*) FILTER (WHERE t.outage), count(t.restore_seconds),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY t.restore_seconds),
        avg(t.restore_seconds ORDER BY t.restore_seconds)
    FROM timed AS t
    GROUP BY t.week, t.pipeline_name
$$;
COMMENT ON FUNCTION dora_between IS 'The rows of the view dora for the weeks of a range of time, at the cost of that range.';

CREATE VIEW dora AS SELECT * FROM dora_between('-infinity', 'infinity');

CREATE VIEW code_metrics AS
SELECT
    d."time" AS day, d.entity, d.measure, d.n, d.first, d.last, d.min, d.max, d.avg,
    held(d.last) - held(d.first) AS change
FROM series_1d AS d JOIN series AS s ON s.entity = d.entity AND s.measure = d.measure
WHERE s.kind = 'code';

CREATE VIEW patterns AS
SELECT
    p.id, p.pattern_name, p.pattern_type, p.pattern_data ->> 'class' AS pattern_class, p.pattern_category, p.severity,
    p.confidence_score, p.significance_score, p.entity, p.measure, p.pattern_data #>> '{evidence,kind}' AS kind,
    p.direction, p.is_active, p.detected_at, p.opened_at, p.last_observed_at, p.resolved_at,
    seconds_between(p.opened_at, coalesce(p.resolved_at, p.last_observed_at)) AS duration_seconds,
    p.observation_count,
    number_in(p.pattern_data #> '{evidence,reopened}')::bigint AS reopened,
    number_in(p.pattern_data -> 'value') AS value,
    number_in(p.pattern_data -> 'peak_value') AS peak_value,
    number_in(p.pattern_data -> 'expected') AS expected,
    number_in(p.pattern_data -> 'low') AS low,
    number_in(p.pattern_data -> 'high') AS high,
    number_in(p.pattern_data -> 'score') AS score,
    number_in(p.pattern_data -> 'peak_score') AS peak_score,
    number_in(p.pattern_data #> '{evidence,threshold_score}') AS threshold,
    p.pattern_data #>> '{evidence,rule}' AS rule,
    p.pattern_data #> '{evidence,contributors}' AS contributors,
    p.pattern_data -> 'evidence' AS evidence,
    p.pattern_data #>> '{evidence,input}' AS input,
    v.verdict, v.verdict_by, v.verdict_at, v.verdict_note,
    p.explanation, p.detection_algorithm,
    seconds_between(p.event_time, p.written_at) AS latency_seconds
FROM detected_patterns AS p
LEFT JOIN (
    SELECT DISTINCT ON (pattern_id)
        pattern_id, classification_value AS verdict, actor AS verdict_by, classified_at AS verdict_at,
        note AS verdict_note
    FROM pattern_classifications
    WHERE classification_type = 'verdict' AND human_verified
    ORDER BY pattern_id, classified_at DESC, id DESC
) AS v ON v.pattern_id = p.id;

CREATE VIEW late_and_dead AS
SELECT
    c.input, c.outcome, c.reason, c.n, r.n AS read, c.n / nullif(r.n, 0)::float8 AS share, c.updated_at
FROM data_quality AS c
LEFT JOIN (SELECT input, n FROM data_quality WHERE outcome = 'read') AS r ON r.input = c.input
WHERE c.outcome IN ('late', 'dead_letter', 'duplicate');

CREATE VIEW dead_letter_log AS
SELECT
    received_at, topic, partition, record_offset, reason, detail, event_time, octet_length(record_value) AS bytes
FROM dead_letters;

CREATE VIEW source_freshness AS
SELECT
    s.kind, s.entity, s.measure, l.last_at,
    seconds_between(l.last_at, now()) AS silent_seconds,
    u.usual_seconds,
    seconds_between(l.last_at, now()) / u.usual_seconds AS times_usual,
    seconds_between(l.last_at, now()) > 3 * u.usual_seconds AS stale
FROM series AS s
LEFT JOIN LATERAL (
    SELECT r."time" FROM rollups_5m AS r WHERE r.series_id = s.series_id ORDER BY r."time" DESC LIMIT 1
) AS b ON true
LEFT JOIN LATERAL (
    SELECT max(r.last_at) AS last_at FROM rollups_5m AS r WHERE r.series_id = s.series_id AND r."time" = b."time"
) AS l ON true
LEFT JOIN (
    SELECT d.entity, d.measure, count(*) * 86400 / sum(d.n)::float8 AS usual_seconds
    FROM series_1d AS d
    WHERE d."time" >= date_bin('24 h', now(), '2000-01-01Z') - interval '720 h'
        AND d."time" < date_bin('24 h', now(), '2000-01-01Z')
    GROUP BY d.entity, d.measure
) AS u ON u.entity = s.entity AND u.measure = s.measure;

CREATE FUNCTION gaps_between(since timestamptz, until timestamptz) RETURNS TABLE (
    entity text, measure text, gap_start timestamptz, gap_end timestamptz, missing_hours bigint, usual_hours float8
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH step AS (
        SELECT
            h.entity, h.measure, h."time",
            lead(h."time") OVER (PARTITION BY h.entity, h.measure ORDER BY h."time") AS next_time
        FROM series_1h AS h
        WHERE h."time" >= since AND h."time" < until
    ),
    usual AS (
        SELECT
            s.entity, s.measure,
            percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds_between(s."time", s.next_time) / 3600) AS hours
        FROM step AS s
        WHERE s.next_time IS NOT NULL
        GROUP BY s.entity, s.measure
    )
    SELECT
        s.entity, s.measure, s."time" + interval '1 hour', s.next_time,
        (seconds_between(s."time", s.next_time) / 3600)::bigint - 1, u.hours
    FROM step AS s JOIN usual AS u ON u.entity = s.entity AND u.measure = s.measure
    WHERE seconds_between(s."time", s.next_time) / 3600 > CASE WHEN u.hours > 1 THEN 3 * u.hours ELSE 1 END
$$;
COMMENT ON FUNCTION gaps_between IS 'The rows of the view gaps for another range of time.';

CREATE VIEW gaps AS SELECT * FROM gaps_between(now() - interval '168 h', now());

COMMENT ON VIEW pipeline_runs IS 'Runs of pipelines. By day: pipeline_health.';
COMMENT ON VIEW steps IS 'Steps of finished runs. By day: step_health.';
COMMENT ON VIEW task_runs IS 'Finished attempts at tasks. By day: task_flow.';
COMMENT ON VIEW integration_log IS 'What happened between systems, one row an event. By day: integration_health.';
COMMENT ON VIEW metric_samples IS 'Samples of metrics, one row an event. By time: series_10s to series_1d.';
COMMENT ON VIEW resource_samples IS 'Samples of a machine''s resources, one row an event. By time: series_10s to series_1d.';
COMMENT ON VIEW series_names IS 'The series there are: what the views series_10s to series_1d have values of.';
COMMENT ON VIEW tasks_open IS 'Tasks that are neither done nor dropped (task_state), and how old they are.';
COMMENT ON VIEW deployment_pipelines IS
    'Pipelines whose runs are deployments. The newest configuration whose data has "deployment": true or false decides; '
    'without one the name does: it holds deploy, release, rollout or publish, in letters of either case.';
COMMENT ON VIEW deployments IS 'Runs of the pipelines in deployment_pipelines.';
COMMENT ON VIEW dora IS
    'DORA''s four measures of each deployment pipeline by week: deployments, lead time for changes, change failure rate, '
    'time to restore. Cancelled, skipped and running deployments do not count. Reads all runs: dora_between(from, to) '
    'reads a range.';
COMMENT ON VIEW code_metrics IS
    'Measures of code (code.measured events) by day. The last of a day is where it stood; days without a measure have no row.';
COMMENT ON VIEW patterns IS 'Every pattern found, with its evidence in columns and the last verdict of a person.';
COMMENT ON VIEW late_and_dead IS 'Records that changed nothing, or no aggregate, by input and reason, with their share.';
COMMENT ON VIEW dead_letter_log IS 'Records that could not be applied; the table dead_letters has their bytes.';
COMMENT ON VIEW source_freshness IS
    'How long each series has been silent (wall clock), against its own habit of the last 30 days.';
COMMENT ON VIEW gaps IS
    'Hours of the last week without a value between two hours with values: any hour of a series that has a value in most, '
    'more than three times the usual step of a sparser one. Silence that goes on: source_freshness.';

DO $$
DECLARE
    said record;
    view_name text;
    ours text[] := '{pipeline_runs,steps,task_runs,integration_log,metric_samples,resource_samples,series_names,'
        'tasks_open,deployment_pipelines,deployments,dora,code_metrics,patterns,late_and_dead,dead_letter_log,'
        'source_freshness,gaps}';
BEGIN
    FOR said IN SELECT * FROM (VALUES
        -- Column, meaning, views (null = all of ours that have it).
        ('id', 'Derived from pipeline_name and execution_id.', '{pipeline_runs,deployments}'),
        ('id', 'Derived from task_id and execution_id.', '{task_runs}'),
        ('id', 'Derived from the event''s source and id.', '{integration_log}'),
        ('id', 'The task, as in task_runs.task_id.', '{tasks_open}'),
        ('id', 'Derived from the series, the class and the time it opened: a replay finds the same one.', '{patterns}'),
        ('pipeline_name', 'Pipeline.', NULL),
        ('execution_id', 'Id of the run, as the event wrote it.', NULL),
        ('execution_start', 'Start; a filter on it reads these pieces of the table only.', NULL),
        ('execution_end', 'End; null = it runs, or none was given.', NULL),
        ('status', 'Status word; failure = the work ran and said no, error = the machinery broke.', NULL),
        ('failed', 'Whether it failed (failure, error, timeout) or succeeded; null = neither, such as cancelled.', NULL),
        ('duration_seconds', 'Duration, in seconds; null = not ended.', NULL),
        ('trigger_type', 'What started the run.', NULL),
        ('trigger_data', 'Details of the trigger.', NULL),
        ('success_rate', 'Share of the work that succeeded, 0 to 1.', NULL),
        ('commit_sha', 'Commit that was built; null = not given.', NULL),
        ('configuration_version', 'Version of the configuration it ran with.', NULL),
        ('run_id', 'The run, as in pipeline_runs.id.', NULL),
        ('step_name', 'Step.', NULL),
        ('step_order', 'Place of the step in its run.', NULL),
        ('error_details', 'What went wrong.', NULL),
        ('performance_data', 'Measures of the step, by name.', NULL),
        ('resource_consumption', 'Resources the step used, by name.', NULL),
        ('task_id', 'The task, as in tasks.id.', NULL),
        ('task', 'The task''s id, as events write it; null = no event told of the task itself.', NULL),
        ('title', 'Title of the task.', NULL),
        ('project_name', 'Project; null = of no project.', NULL),
        ('attempt', 'Number of the attempt, from 1.', NULL),
        ('error_type', 'Class of the error.', NULL),
        ('error_message', 'Text of the error.', NULL),
        ('performance_metrics', 'Measures of the attempt, by name.', NULL),
        ('resource_usage', 'Resources the attempt used, by name.', NULL),
        ('event_timestamp', 'When it happened; a filter on it reads these pieces of the table only.', NULL),
        ('source_system', 'System that did it.', '{integration_log}'),
        ('source_system', 'What was measured, or who measured it.', '{metric_samples}'),
        ('target_system', 'System it was done to; null = none.', NULL),
        ('event_type', 'What happened.', NULL),
        ('processing_ms', 'How long it took, in milliseconds; null = not given.', NULL),
        ('correlation_key', 'Events of one cause share it; as the event wrote it.', NULL),
        ('correlation_id', 'Events of one cause share it.', NULL),
        ('event_data', 'Details.', NULL),
        ('collected_at', 'When it was measured; a filter on it reads these pieces of the table only.', NULL),
        ('metric_name', 'Metric.', NULL),
        ('metric_value', 'Value, in metric_unit.', NULL),
        ('metric_unit', 'Unit; null = not given.', NULL),
        ('metric_tags', 'Tags, by name.', NULL),
        ('aggregation_period', 'What the sample is of, as its sender wrote it; null = a moment.', NULL),
        ('measured_at', 'When it was measured; a filter on it reads these pieces of the table only.', NULL),
        ('host', 'Machine.', NULL),
        ('resource_type', 'cpu, memory, disk or network.', NULL),
        ('usage_percentage', 'Usage, in percent.', NULL),
        ('absolute_value', 'Usage in the resource''s own unit; null = not given.', NULL),
        ('peak_usage', 'Greatest usage since the sample before, in percent.', NULL),
        ('average_usage', 'Mean usage since the sample before, in percent.', NULL),
        ('context_data', 'Details.', NULL),
        ('priority', 'Greater is more urgent; 0 = none given.', NULL),
        ('assignee', 'Who works on it; null = nobody.', NULL),
        ('created_at', 'When the task was created; null = not given.', NULL),
        ('updated_at', 'Time of the newest event about the task.', '{tasks_open}'),
        ('days_open', 'Days since it was created, up to now (wall clock).', NULL),
        ('days_unchanged', 'Days since its newest event, up to now (wall clock).', NULL),
        ('estimated_effort', 'Estimated effort, in minutes.', NULL),
        ('actual_effort', 'Effort spent, in minutes.', NULL),
        ('tags', 'Array of strings.', NULL),
        ('blocked_by', 'How many tasks block it that are open, or that no event told of.', NULL),
        ('blocks', 'How many open tasks it blocks.', NULL),
        ('known_by', 'By what it is known to deploy: configuration or name.', NULL),
        ('week', 'Start of the week (Monday, UTC) in which the deployments began.', NULL),
        ('deployments', 'Deployments that succeeded: the deployment frequency, a week.', NULL),
        ('failed', 'Deployments that failed (failure, error, timeout).', '{dora}'),
        ('change_failure_rate', 'failed / (deployments + failed), 0 to 1. What breaks after a deployment is not seen.', NULL),
        ('changes', 'Commits that the lead time is taken from: deployed, with a commit_sha, for the first time in 28 days.',
            NULL),
        ('lead_p50_seconds', 'Lead time for changes: from the start of the first run of any pipeline on the commit (at most 28 '
            'days before; the deployment itself when there is no other) to the end of the deployment: median, in seconds.',
            NULL),
        ('lead_p95_seconds', 'Lead time for changes: 95th percentile, in seconds (interpolated).', NULL),
        ('outages', 'Failures that are the first in a row: the deployment before, if within 28 days, had not failed.', NULL),
        ('restored', 'Of the outages, those that a later deployment of the pipeline ended with success within 28 days.', NULL),
        ('restore_p50_seconds', 'Time to restore: from the end of the failed deployment to the end of the next one that '
            'succeeded: median, in seconds.', NULL),
        ('restore_mean_seconds', 'Time to restore: mean, in seconds.', NULL),
        ('day', 'Start of the day (UTC).', NULL),
        ('entity', 'codebase[:path[:symbol]].', '{code_metrics}'),
        ('entity', 'The series'' entity: what is watched.', '{series_names,patterns,source_freshness,gaps}'),
        ('measure', 'The series'' measure: which of its numbers.', NULL),
        ('n', 'How often it was measured.', '{code_metrics}'),
        ('n', 'How many since the beginning of the input.', '{late_and_dead}'),
        ('first', 'First value of the day.', NULL),
        ('last', 'Last value of the day.', NULL),
        ('min', 'The least.', NULL),
        ('max', 'The greatest.', NULL),
        ('avg', 'Their mean.', NULL),
        ('change', 'last - first: the change within the day.', NULL),
        ('pattern_name', 'Name.', NULL),
        ('pattern_type', 'The detector''s kind, such as spike or threshold.', NULL),
        ('pattern_class', 'Class of the taxonomy.', NULL),
        ('pattern_category', 'Branch of the taxonomy.', NULL),
        ('severity', 'How much it matters: info, low, medium, high or critical.', NULL),
        ('confidence_score', 'Probability that it is real, 0 to 1.', NULL),
        ('significance_score', 'How far from normal, 0 to 1.', NULL),
        ('kind', 'Kind of thing: metric, resource, pipeline, step, task, integration or code.', NULL),
        ('direction', 'Where the value went: up or down; null = it has none.', NULL),
        ('is_active', 'Whether it goes on.', NULL),
        ('detected_at', 'Event time at which it was found: when it opened. A filter on it uses an index.', NULL),
        ('opened_at', 'Event time at which it opened.', NULL),
        ('last_observed_at', 'Event time at which it was last seen.', NULL),
        ('resolved_at', 'Event time at which it ended; null = it goes on.', NULL),
        ('duration_seconds', 'From its opening to its end, or to when it was last seen, in seconds.', '{patterns}'),
        ('observation_count', 'How often it was seen.', NULL),
        ('reopened', 'How often it came back soon after its end.', NULL),
        ('value', 'Value when last seen, in the series'' own unit.', NULL),
        ('peak_value', 'Value at its peak, in the series'' own unit.', NULL),
        ('expected', 'What was expected at the peak, in the same unit.', NULL),
        ('low', 'Lower bound of what was usual at the peak, in the same unit.', NULL),
        ('high', 'Upper bound of what was usual at the peak, in the same unit.', NULL),
        ('score', 'Score when last seen, in the detector''s own unit.', NULL),
        ('peak_score', 'Score at its peak.', NULL),
        ('threshold', 'Score from which the detector calls a value abnormal.', NULL),
        ('rule', 'The rule that was broken; null = the detector has none.', NULL),
        ('contributors', 'What contributed to it, as far as the detector says.', NULL),
        ('evidence', 'All the evidence, parts of the score and recent values with it.', NULL),
        ('input', 'Topic, or file: and the path.', NULL),
        ('verdict', 'Last verdict of a person: true_positive, false_positive or expected; null = none.', NULL),
        ('verdict_by', 'Who said so.', NULL),
        ('verdict_at', 'When it was said.', NULL),
        ('verdict_note', 'What they said about it.', NULL),
        ('explanation', 'The pattern in one sentence.', NULL),
        ('detection_algorithm', 'The detector that found it.', NULL),
        ('latency_seconds', 'From the event that opened it to its row, in seconds; large for an imported history.', NULL),
        ('outcome', 'late (kept, but in no aggregate), dead_letter or duplicate.', NULL),
        ('reason', 'Reason of a dead letter; empty for the rest.', NULL),
        ('read', 'Records read from this input.', NULL),
        ('share', 'n / read, 0 to 1.', NULL),
        ('updated_at', 'When it was last written (wall clock).', '{late_and_dead}'),
        ('received_at', 'When it was read (wall clock).', NULL),
        ('topic', 'Topic, or file: and the path.', NULL),
        ('partition', 'Partition; 0 for a file.', NULL),
        ('record_offset', 'Offset; the line number for a file.', NULL),
        ('detail', 'Why, in one sentence.', NULL),
        ('event_time', 'Time of the event, where that much could be read.', NULL),
        ('bytes', 'Size of the record.', NULL),
        ('last_at', 'Event time of its last value that was not late; null = none is kept.', NULL),
        ('silent_seconds', 'Seconds since then, up to now (wall clock).', NULL),
        ('usual_seconds', 'Mean time between values on the days with values, of the 30 days before today, in seconds; null = none.',
            NULL),
        ('times_usual', 'silent_seconds / usual_seconds.', NULL),
        ('stale', 'Whether it has been silent for more than three times the usual; null = not known.', NULL),
        ('gap_start', 'Start of the first hour without a value.', NULL),
        ('gap_end', 'Start of the next hour with one.', NULL),
        ('missing_hours', 'Hours between them.', NULL),
        ('usual_hours', 'Median step from one hour with values to the next, in hours.', NULL)
    ) AS w (column_name, meaning, views) LOOP
        FOR view_name IN
            SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'v' AND a.attname = said.column_name
                AND c.relname = ANY (coalesce(said.views::text[], ours))
        LOOP
            EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', view_name, said.column_name, said.meaning);
        END LOOP;
    END LOOP;
END
$$;
