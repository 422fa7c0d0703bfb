-- Of which of several things of one name a comparison is: as in performance_baselines.
ALTER TABLE performance_analytics ADD COLUMN component_kind text NOT NULL DEFAULT '';
ALTER TABLE performance_analytics DROP CONSTRAINT performance_analytics_pkey;
ALTER TABLE performance_analytics
    ADD PRIMARY KEY (component_name, component_kind, metric_type, measurement_window, analyzed_at);
COMMENT ON COLUMN performance_analytics.component_kind IS
    'What the component is: pipeline, step, task (the tasks of a project) or integration; empty = not said.';
COMMENT ON COLUMN performance_analytics.id IS 'Derived from component, kind, measure, window and time.';
