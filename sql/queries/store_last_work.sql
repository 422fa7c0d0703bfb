-- When a run, an attempt at a task and an exchange between systems last began: where their history ends.
SELECT
    (SELECT max(execution_start) FROM pipeline_executions) AS run,
    (SELECT max(execution_start) FROM task_executions) AS attempt,
    (SELECT max(event_timestamp) FROM integration_events) AS exchange
