-- Which runs failed last, and at which step?
-- With: from = now() - interval '24 h'; to = now(); most = 50
SELECT
    r.execution_start, r.pipeline_name, r.execution_id, r.status, r.duration_seconds, r.commit_sha, r.trigger_type,
    s.step_name AS failed_step, s.error_details
FROM (
    SELECT * FROM pipeline_runs
    WHERE execution_start >= %(from)s AND execution_start < %(to)s AND failed
    ORDER BY execution_start DESC, id
    LIMIT %(most)s
) AS r
LEFT JOIN LATERAL (
    SELECT step_name, error_details FROM steps
    WHERE run_id = r.id AND failed
        AND execution_start >= r.execution_start - interval '1 d'
        AND execution_start <= r.execution_end + interval '1 d'
    ORDER BY step_order LIMIT 1
) AS s ON true
ORDER BY r.execution_start DESC, r.id
