-- Who has how much open work, and how old is it?
-- With: most = 50
SELECT
    project_name, assignee, count(*) AS open, count(*) FILTER (WHERE blocked_by > 0) AS blocked,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY days_open) AS median_days_open, max(days_open) AS max_days_open,
    sum(estimated_effort) / 60.0 AS estimated_hours
FROM tasks_open
GROUP BY project_name, assignee
ORDER BY open DESC, project_name, assignee
LIMIT %(most)s
