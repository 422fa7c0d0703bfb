-- What was deployed last, and did it work?
-- With: from = now() - interval '7 d'; to = now(); most = 50
SELECT execution_start, pipeline_name, execution_id, status, duration_seconds, commit_sha, configuration_version
FROM deployments
WHERE execution_start >= %(from)s AND execution_start < %(to)s
ORDER BY execution_start DESC, pipeline_name
LIMIT %(most)s
