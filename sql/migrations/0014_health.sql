-- How pipelines, steps, tasks and integrations do, by day. Days that have ended are summed up by refresh_day; a day that
-- changed since is computed from its rows by the function of its name, in the views at the end as well: they are exact
-- whether or not anything was summed up. A day is 24 hours of UTC whatever the session's time zone, so no '1 day' here.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE FUNCTION task_state(status text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN lower(btrim(status)) IN (
        'done', 'closed', 'complete', 'completed', 'finished', 'fixed', 'merged', 'released', 'resolved', 'shipped',
        'success', 'verified'
    ) THEN 'done'
    WHEN lower(btrim(status)) IN (
        'abandoned', 'canceled', 'cancelled', 'declined', 'duplicate', 'invalid', 'obsolete', 'rejected', 'wont do',
        'won''t do', 'wontfix', 'won''t fix'
    ) THEN 'dropped'
    ELSE 'open'
END;
COMMENT ON FUNCTION task_state IS
    'open, done or dropped: what a tracker''s status word means. A word that is not known means open.';

CREATE TABLE pipeline_days (
    day timestamptz NOT NULL,
    pipeline_name text NOT NULL,
    runs bigint NOT NULL CHECK (runs >= 0),
    running bigint NOT NULL CHECK (running >= 0),
    finished bigint NOT NULL CHECK (finished >= 0),
    succeeded bigint NOT NULL CHECK (succeeded >= 0),
    failed bigint NOT NULL CHECK (failed >= 0),
    cancelled bigint NOT NULL CHECK (cancelled >= 0),
    skipped bigint NOT NULL CHECK (skipped >= 0),
    failure_rate float8 CHECK (failure_rate BETWEEN 0 AND 1),
    manual bigint NOT NULL CHECK (manual >= 0),
    scheduled bigint NOT NULL CHECK (scheduled >= 0),
    webhook bigint NOT NULL CHECK (webhook >= 0),
    timed bigint NOT NULL CHECK (timed >= 0),
    total_seconds float8 CHECK (total_seconds >= 0 AND total_seconds < 'Infinity'),
    mean_seconds float8 CHECK (mean_seconds >= 0 AND mean_seconds < 'Infinity'),
    p50_seconds float8 CHECK (p50_seconds >= 0 AND p50_seconds < 'Infinity'),
    p95_seconds float8 CHECK (p95_seconds >= 0 AND p95_seconds < 'Infinity'),
    max_seconds float8 CHECK (max_seconds >= 0 AND max_seconds < 'Infinity'),
    last_start timestamptz NOT NULL,
    PRIMARY KEY (day, pipeline_name)
);
CREATE INDEX idx_pipeline_days_name ON pipeline_days (pipeline_name, day);

CREATE TABLE step_days (
    day timestamptz NOT NULL,
    pipeline_name text NOT NULL,
    step_name text NOT NULL,
    runs bigint NOT NULL CHECK (runs >= 0),
    running bigint NOT NULL CHECK (running >= 0),
    finished bigint NOT NULL CHECK (finished >= 0),
    succeeded bigint NOT NULL CHECK (succeeded >= 0),
    failed bigint NOT NULL CHECK (failed >= 0),
    cancelled bigint NOT NULL CHECK (cancelled >= 0),
    skipped bigint NOT NULL CHECK (skipped >= 0),
    failure_rate float8 CHECK (failure_rate BETWEEN 0 AND 1),
    timed bigint NOT NULL CHECK (timed >= 0),
    total_seconds float8 CHECK (total_seconds >= 0 AND total_seconds < 'Infinity'),
    mean_seconds float8 CHECK (mean_seconds >= 0 AND mean_seconds < 'Infinity'),
    p50_seconds float8 CHECK (p50_seconds >= 0 AND p50_seconds < 'Infinity'),
    p95_seconds float8 CHECK (p95_seconds >= 0 AND p95_seconds < 'Infinity'),
    max_seconds float8 CHECK (max_seconds >= 0 AND max_seconds < 'Infinity'),
    last_start timestamptz NOT NULL,
    PRIMARY KEY (day, pipeline_name, step_name)
);
CREATE INDEX idx_step_days_name ON step_days (pipeline_name, step_name, day);

CREATE TABLE task_days (
    day timestamptz NOT NULL,
    project_name text NOT NULL,
    attempts bigint NOT NULL CHECK (attempts >= 0),
    succeeded bigint NOT NULL CHECK (succeeded >= 0),
    failed bigint NOT NULL CHECK (failed >= 0),
    cancelled bigint NOT NULL CHECK (cancelled >= 0),
    skipped bigint NOT NULL CHECK (skipped >= 0),
    failure_rate float8 CHECK (failure_rate BETWEEN 0 AND 1),
    total_seconds float8 CHECK (total_seconds >= 0 AND total_seconds < 'Infinity'),
    p50_seconds float8 CHECK (p50_seconds >= 0 AND p50_seconds < 'Infinity'),
    p95_seconds float8 CHECK (p95_seconds >= 0 AND p95_seconds < 'Infinity'),
    done bigint NOT NULL CHECK (done >= 0),
    lead_timed bigint NOT NULL CHECK (lead_timed >= 0),
    lead_mean_seconds float8 CHECK (lead_mean_seconds >= 0 AND lead_mean_seconds < 'Infinity'),
    lead_p50_seconds float8 CHECK (lead_p50_seconds >= 0 AND lead_p50_seconds < 'Infinity'),
    lead_p95_seconds float8 CHECK (lead_p95_seconds >= 0 AND lead_p95_seconds < 'Infinity'),
    cycle_timed bigint NOT NULL CHECK (cycle_timed >= 0),
    cycle_mean_seconds float8 CHECK (cycle_mean_seconds >= 0 AND cycle_mean_seconds < 'Infinity'),
    cycle_p50_seconds float8 CHECK (cycle_p50_seconds >= 0 AND cycle_p50_seconds < 'Infinity'),
    cycle_p95_seconds float8 CHECK (cycle_p95_seconds >= 0 AND cycle_p95_seconds < 'Infinity'),
    PRIMARY KEY (day, project_name)
);

CREATE TABLE integration_days (
    day timestamptz NOT NULL,
    source_system text NOT NULL,
    target_system text NOT NULL,
    event_type text NOT NULL,
    events bigint NOT NULL CHECK (events >= 0),
    succeeded bigint NOT NULL CHECK (succeeded >= 0),
    failed bigint NOT NULL CHECK (failed >= 0),
    partial bigint NOT NULL CHECK (partial >= 0),
    failure_rate float8 CHECK (failure_rate BETWEEN 0 AND 1),
    timed bigint NOT NULL CHECK (timed >= 0),
    mean_ms float8 CHECK (mean_ms >= 0 AND mean_ms < 'Infinity'),
    p50_ms float8 CHECK (p50_ms >= 0 AND p50_ms < 'Infinity'),
    p95_ms float8 CHECK (p95_ms >= 0 AND p95_ms < 'Infinity'),
    max_ms float8 CHECK (max_ms >= 0 AND max_ms < 'Infinity'),
    last_at timestamptz NOT NULL
);
-- Three names may together be longer than a btree can hold.
CREATE UNIQUE INDEX idx_integration_days_key ON integration_days (
    day, md5(source_system), md5(target_system), md5(event_type)
);

CREATE FUNCTION pipeline_day(at timestamptz) RETURNS SETOF pipeline_days
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT
        at, pipeline_name, runs, running, runs - running, succeeded, failed, cancelled, skipped,
        failed / nullif(succeeded + failed, 0)::float8, manual, scheduled, webhook,
        timed, total, CASE WHEN timed > 0 THEN mean_of(total, timed) END, points[1], points[2], longest,
        last_start
    FROM (
        SELECT
            pipeline_name,
            count(*) AS runs,
            count(*) FILTER (WHERE status = 'running') AS running,
            count(*) FILTER (WHERE status = 'success') AS succeeded,
            count(*) FILTER (WHERE status IN ('failure', 'error', 'timeout')) AS failed,
            count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE status = 'skipped') AS skipped,
            count(*) FILTER (WHERE trigger_type = 'manual') AS manual,
            count(*) FILTER (WHERE trigger_type = 'scheduled') AS scheduled,
            count(*) FILTER (WHERE trigger_type = 'webhook') AS webhook,
            count(seconds) AS timed,
            sum(held(seconds) ORDER BY seconds) FILTER (WHERE seconds IS NOT NULL) AS total,
            percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) AS points,
            max(seconds) AS longest,
            max(execution_start) AS last_start
        FROM (
            SELECT
                pipeline_name, status, trigger_type, execution_start,
                CASE WHEN status IN ('success', 'failure', 'error', 'timeout') THEN total_duration END AS seconds
            FROM pipeline_executions
            WHERE execution_start >= at AND execution_start < at + interval '24 h'
        ) AS run
        GROUP BY pipeline_name
    ) AS sums
$$;

CREATE FUNCTION step_day(at timestamptz) RETURNS SETOF step_days
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT
        at, pipeline_name, step_name, runs, running, runs - running, succeeded, failed, cancelled, skipped,
        failed / nullif(succeeded + failed, 0)::float8,
        timed, total, CASE WHEN timed > 0 THEN mean_of(total, timed) END, points[1], points[2], longest,
        last_start
    FROM (
        SELECT
            pipeline_name, step_name,
            count(*) AS runs,
            count(*) FILTER (WHERE status = 'running') AS running,
            count(*) FILTER (WHERE status = 'success') AS succeeded,
            count(*) FILTER (WHERE status IN ('failure', 'error', 'timeout')) AS failed,
            count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE status = 'skipped') AS skipped,
            count(seconds) AS timed,
            sum(seconds ORDER BY seconds) AS total,
            percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) AS points,
            max(seconds) AS longest,
            max(execution_start) AS last_start
        FROM (
            SELECT
                pipeline_name, step_name, status, execution_start,
                CASE WHEN status IN ('success', 'failure', 'error', 'timeout')
                    THEN extract(epoch FROM execution_end - execution_start)::float8 END AS seconds
            FROM step_executions
            WHERE execution_start >= at AND execution_start < at + interval '24 h'
        ) AS step
        GROUP BY pipeline_name, step_name
    ) AS sums
$$;

CREATE FUNCTION task_day(at timestamptz) RETURNS SETOF task_days
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH attempt AS (
        SELECT
            coalesce(project_name, 'tasks') AS project,
            count(*) AS attempts,
            count(*) FILTER (WHERE status = 'success') AS succeeded,
            count(*) FILTER (WHERE status IN ('failure', 'error', 'timeout')) AS failed,
            count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE status = 'skipped') AS skipped,
            sum(seconds ORDER BY seconds) AS total,
            percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) AS points
        FROM (
            SELECT
                project_name, status,
                CASE WHEN status IN ('success', 'failure', 'error', 'timeout')
                    THEN extract(epoch FROM execution_end - execution_start)::float8 END AS seconds
            FROM task_executions
            WHERE execution_start >= at AND execution_start < at + interval '24 h'
        ) AS one
        GROUP BY 1
    ),
    ended AS (
        SELECT id, coalesce(project_name, 'tasks') AS project, created_at, updated_at
        FROM tasks
        WHERE updated_at >= at AND updated_at < at + interval '24 h' AND task_state(status) = 'done'
    ),
    started AS (
        SELECT task_id, min(execution_start) AS first_start
        FROM task_executions
        WHERE task_id IN (SELECT id FROM ended)
            AND execution_start >= at - interval '2160 h' AND execution_start < at + interval '24 h'
        GROUP BY task_id
    ),
    done AS (
        SELECT
            project,
            count(*) AS done,
            count(lead_seconds) AS lead_timed,
            sum(lead_seconds ORDER BY lead_seconds) AS lead_total,
            percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY lead_seconds) AS lead,
            count(cycle_seconds) AS cycle_timed,
            sum(cycle_seconds ORDER BY cycle_seconds) AS cycle_total,
            percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY cycle_seconds) AS cycle
        FROM (
            SELECT
                e.project,
                CASE WHEN e.created_at <= e.updated_at
                    THEN extract(epoch FROM e.updated_at - e.created_at)::float8 END AS lead_seconds,
                CASE WHEN s.first_start <= e.updated_at
                    THEN extract(epoch FROM e.updated_at - s.first_start)::float8 END AS cycle_seconds
            FROM ended AS e LEFT JOIN started AS s ON s.task_id = e.id
        ) AS one
        GROUP BY project
    )
    SELECT
        at, project, coalesce(attempts, 0), coalesce(succeeded, 0), coalesce(failed, 0), coalesce(cancelled, 0),
        coalesce(skipped, 0), failed / nullif(succeeded + failed, 0)::float8, total, points[1], points[2],
        coalesce(done, 0),
        coalesce(lead_timed, 0), lead_total / nullif(lead_timed, 0), lead[1], lead[2],
        coalesce(cycle_timed, 0), cycle_total / nullif(cycle_timed, 0), cycle[1], cycle[2]
    FROM attempt FULL JOIN done USING (project)
$$;

CREATE FUNCTION integration_day(at timestamptz) RETURNS SETOF integration_days
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT
        at, source_system, target, event_type, events, succeeded, failed, partial,
        failed / nullif(succeeded + failed, 0)::float8,
        timed, CASE WHEN timed > 0 THEN mean_of(total, timed) END, points[1], points[2], longest, last_at
    FROM (
        SELECT
            source_system, coalesce(target_system, '') AS target, event_type,
            count(*) AS events,
            count(*) FILTER (WHERE status = 'success') AS succeeded,
            count(*) FILTER (WHERE status = 'failure') AS failed,
            count(*) FILTER (WHERE status = 'partial') AS partial,
            count(processing_duration) AS timed,
            sum(held(processing_duration) ORDER BY processing_duration)
                FILTER (WHERE processing_duration IS NOT NULL) AS total,
            percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY processing_duration) AS points,
            max(processing_duration) AS longest,
            max(event_timestamp) AS last_at
        FROM integration_events
        WHERE event_timestamp >= at AND event_timestamp < at + interval '24 h'
        GROUP BY 1, 2, 3
    ) AS sums
$$;

COMMENT ON FUNCTION pipeline_day IS 'The rows of pipeline_days of a day, from its runs.';
COMMENT ON FUNCTION step_day IS 'The rows of step_days of a day, from its steps.';
COMMENT ON FUNCTION task_day IS 'The rows of task_days of a day, from the attempts that began and the tasks that were done.';
COMMENT ON FUNCTION integration_day IS 'The rows of integration_days of a day, from its events.';

-- A task that is done counts on the day of its newest event: whichever day it leaves or comes to has changed. No rows of
-- it need to be in task_executions, whose own triggers mark the days of attempts.
CREATE TRIGGER mark_insert AFTER INSERT ON tasks REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_changed('task', '1 day', 'updated_at');
CREATE TRIGGER mark_update AFTER UPDATE ON tasks REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_changed('task', '1 day', 'updated_at');
CREATE TRIGGER mark_left AFTER UPDATE ON tasks REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_changed('task', '1 day', 'updated_at');
CREATE TRIGGER mark_delete AFTER DELETE ON tasks REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_changed('task', '1 day', 'updated_at');

-- An attempt that comes in after its task was done may be the first one, from which the cycle time counts.
CREATE FUNCTION mark_done_tasks() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO summary_changes (summary, bucket)
    SELECT DISTINCT 'task', date_bin('1 day', t.updated_at, '2000-01-01Z')
    FROM changed AS c JOIN tasks AS t ON t.id = c.task_id
    WHERE task_state(t.status) = 'done';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mark_done_tasks IS 'Trigger: marks the days on which the tasks of these attempts were done.';

CREATE FUNCTION mark_done_task() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO summary_changes (summary, bucket)
    SELECT 'task', date_bin('1 day', updated_at, '2000-01-01Z')
    FROM tasks WHERE id = OLD.task_id AND task_state(status) = 'done';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mark_done_task IS 'Trigger: marks the day on which the task of a deleted attempt was done.';

CREATE TRIGGER mark_done_insert AFTER INSERT ON task_executions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_done_tasks();
CREATE TRIGGER mark_done_update AFTER UPDATE ON task_executions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION mark_done_tasks();
CREATE TRIGGER mark_done_delete AFTER DELETE ON task_executions FOR EACH ROW EXECUTE FUNCTION mark_done_task();

INSERT INTO summary_changes (summary, bucket)
SELECT DISTINCT 'task', date_bin('1 day', updated_at, '2000-01-01Z') FROM tasks WHERE task_state(status) = 'done';

CREATE VIEW pipeline_health AS
SELECT
    day, pipeline_name, runs, running, finished, succeeded, failed, cancelled, skipped, failure_rate, manual, scheduled,
    webhook, timed, total_seconds, mean_seconds, p50_seconds, p95_seconds, max_seconds, last_start
FROM pipeline_days AS d
WHERE NOT EXISTS (SELECT FROM summary_changes AS c WHERE c.summary = 'pipeline' AND c.bucket = d.day)
UNION ALL
SELECT
    c.bucket, l.pipeline_name, l.runs, l.running, l.finished, l.succeeded, l.failed, l.cancelled, l.skipped,
    l.failure_rate, l.manual, l.scheduled, l.webhook, l.timed, l.total_seconds, l.mean_seconds, l.p50_seconds,
    l.p95_seconds, l.max_seconds, l.last_start
FROM (SELECT DISTINCT bucket FROM summary_changes WHERE summary = 'pipeline') AS c
CROSS JOIN LATERAL pipeline_day(c.bucket) AS l;

CREATE VIEW step_health AS
SELECT
    day, pipeline_name, step_name, runs, running, finished, succeeded, failed, cancelled, skipped, failure_rate, timed,
    total_seconds, mean_seconds, p50_seconds, p95_seconds, max_seconds, last_start
FROM step_days AS d
WHERE NOT EXISTS (SELECT FROM summary_changes AS c WHERE c.summary = 'step' AND c.bucket = d.day)
UNION ALL
SELECT
    c.bucket, l.pipeline_name, l.step_name, l.runs, l.running, l.finished, l.succeeded, l.failed, l.cancelled,
    l.skipped, l.failure_rate, l.timed, l.total_seconds, l.mean_seconds, l.p50_seconds, l.p95_seconds, l.max_seconds,
    l.last_start
FROM (SELECT DISTINCT bucket FROM summary_changes WHERE summary = 'step') AS c
CROSS JOIN LATERAL step_day(c.bucket) AS l;

CREATE VIEW task_flow AS
SELECT
    day, project_name, attempts, succeeded, failed, cancelled, skipped, failure_rate, total_seconds, p50_seconds,
    p95_seconds, done, lead_timed, lead_mean_seconds, lead_p50_seconds, lead_p95_seconds, cycle_timed,
    cycle_mean_seconds, cycle_p50_seconds, cycle_p95_seconds
FROM task_days AS d
WHERE NOT EXISTS (SELECT FROM summary_changes AS c WHERE c.summary = 'task' AND c.bucket = d.day)
UNION ALL
SELECT
    c.bucket, l.project_name, l.attempts, l.succeeded, l.failed, l.cancelled, l.skipped, l.failure_rate,
    l.total_seconds, l.p50_seconds, l.p95_seconds, l.done, l.lead_timed, l.lead_mean_seconds, l.lead_p50_seconds,
    l.lead_p95_seconds, l.cycle_timed, l.cycle_mean_seconds, l.cycle_p50_seconds, l.cycle_p95_seconds
FROM (SELECT DISTINCT bucket FROM summary_changes WHERE summary = 'task') AS c
CROSS JOIN LATERAL task_day(c.bucket) AS l;

CREATE VIEW integration_health AS
SELECT
    day, source_system, nullif(target_system, '') AS target_system, event_type, events, succeeded, failed, partial,
    failure_rate, timed, mean_ms, p50_ms, p95_ms, max_ms, last_at
FROM integration_days AS d
WHERE NOT EXISTS (SELECT FROM summary_changes AS c WHERE c.summary = 'integration' AND c.bucket = d.day)
UNION ALL
SELECT
    c.bucket, l.source_system, nullif(l.target_system, ''), l.event_type, l.events, l.succeeded, l.failed, l.partial,
    l.failure_rate, l.timed, l.mean_ms, l.p50_ms, l.p95_ms, l.max_ms, l.last_at
FROM (SELECT DISTINCT bucket FROM summary_changes WHERE summary = 'integration') AS c
CROSS JOIN LATERAL integration_day(c.bucket) AS l;

COMMENT ON TABLE pipeline_days IS 'Runs of each pipeline summed up by day: the view pipeline_health adds what changed since.';
COMMENT ON TABLE step_days IS 'Steps of each pipeline summed up by day: the view step_health adds what changed since.';
COMMENT ON TABLE task_days IS 'Work on tasks summed up by day: the view task_flow adds what changed since.';
COMMENT ON TABLE integration_days IS
    'Events between systems summed up by day: the view integration_health adds what changed since.';
COMMENT ON VIEW pipeline_health IS 'How each pipeline did on each day: how often it ran and failed, and how long it took.';
COMMENT ON VIEW step_health IS 'How each step of each pipeline did on each day.';
COMMENT ON VIEW task_flow IS
    'Work on tasks by project and day: attempts that began, tasks that were done, and how long these had taken.';
COMMENT ON VIEW integration_health IS 'How events between systems did on each day, by source, target and type.';

-- A table and its view say the same of a column.
DO $$
DECLARE
    place record;
    word record;
BEGIN
    FOR place IN SELECT * FROM (VALUES
        ('pipeline_days', 'TABLE'), ('pipeline_health', 'VIEW'),
        ('step_days', 'TABLE'), ('step_health', 'VIEW'),
        ('task_days', 'TABLE'), ('task_flow', 'VIEW'),
        ('integration_days', 'TABLE'), ('integration_health', 'VIEW')
    ) AS p (name, kind) LOOP
        FOR word IN SELECT * FROM (VALUES
            ('day', 'Start of the day (UTC).'),
            ('pipeline_name', 'Pipeline.'),
            ('step_name', 'Step.'),
            ('project_name', 'Project; tasks = of no project.'),
            ('source_system', 'System that did it.'),
            ('target_system', 'System it was done to; {none} = none.'),
            ('event_type', 'What happened.'),
            ('runs', 'How many began, however they ended.'),
            ('attempts', 'Attempts that began, however they ended.'),
            ('events', 'How many there were.'),
            ('running', 'Of these, not ended as far as events say.'),
            ('finished', 'Of these, ended: all but running.'),
            ('succeeded', 'Ended in success.'),
            ('failed', 'Ended in failure, error or timeout.'),
            ('cancelled', 'Ended by being cancelled; neither a success nor a failure.'),
            ('skipped', 'Were skipped; neither a success nor a failure.'),
            ('partial', 'Were done in part; neither a success nor a failure.'),
            ('failure_rate', 'failed / (succeeded + failed), 0 to 1; null = neither of them.'),
            ('manual', 'Of the runs, started by hand.'),
            ('scheduled', 'Of the runs, started by a schedule.'),
            ('webhook', 'Of the runs, started by an event.'),
            ('timed', 'How many the durations beside it were taken from.'),
            ('total_seconds', 'Sum of the durations of those that succeeded or failed, in seconds; null = none.'),
            ('mean_seconds', 'Mean of these durations, in seconds.'),
            ('p50_seconds', 'Median of these durations, in seconds.'),
            ('p95_seconds', '95th percentile of these durations, in seconds (interpolated).'),
            ('max_seconds', 'The longest of these durations, in seconds.'),
            ('mean_ms', 'Mean of the processing times, in milliseconds; null = none was given.'),
            ('p50_ms', 'Median of the processing times, in milliseconds.'),
            ('p95_ms', '95th percentile of the processing times, in milliseconds (interpolated).'),
            ('max_ms', 'The longest of the processing times, in milliseconds.'),
            ('last_start', 'Start of the last one.'),
            ('last_at', 'Time of the last one.'),
            ('done', 'Tasks done on this day: their newest event is of this day, and its status means done (task_state).'),
            ('lead_timed', 'Of the tasks done, those whose creation is known.'),
            ('lead_mean_seconds', 'Lead time, from creation to done: mean, in seconds; null = none.'),
            ('lead_p50_seconds', 'Lead time: median, in seconds.'),
            ('lead_p95_seconds', 'Lead time: 95th percentile, in seconds (interpolated).'),
            ('cycle_timed', 'Of the tasks done, those with an attempt in the 90 days before.'),
            ('cycle_mean_seconds',
                'Cycle time, from the start of the first attempt (of the last 90 days) to done: mean, in seconds.'),
            ('cycle_p50_seconds', 'Cycle time: median, in seconds.'),
            ('cycle_p95_seconds', 'Cycle time: 95th percentile, in seconds (interpolated).')
        ) AS w (name, meaning) LOOP
            IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = place.name::regclass AND attname = word.name) THEN
                EXECUTE format('COMMENT ON COLUMN %I.%I IS %L', place.name, word.name, replace(word.meaning,
                    '{none}', CASE place.kind WHEN 'VIEW' THEN 'null' ELSE 'an empty text' END));
            END IF;
        END LOOP;
    END LOOP;
END
$$;
