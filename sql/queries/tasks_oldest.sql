-- Which open tasks are the oldest, and what holds them up?
-- With: project = NULL; most = 50
SELECT task, title, status, priority, project_name, assignee, days_open, days_unchanged, blocked_by, blocks
FROM tasks_open
WHERE %(project)s::text IS NULL OR project_name = %(project)s::text
ORDER BY days_open DESC NULLS LAST, task
LIMIT %(most)s
