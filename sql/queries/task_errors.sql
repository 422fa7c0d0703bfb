-- What do attempts at tasks fail of?
-- With: from = now() - interval '7 d'; to = now(); most = 20
SELECT
    project_name, error_type, count(*) AS failed, count(DISTINCT task_id) AS tasks, max(execution_start) AS last_start,
    (array_agg(error_message ORDER BY execution_start DESC))[1] AS last_message
FROM task_runs
WHERE execution_start >= %(from)s AND execution_start < %(to)s AND failed
GROUP BY project_name, error_type
ORDER BY failed DESC, project_name, error_type
LIMIT %(most)s
