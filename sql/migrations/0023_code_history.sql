-- When an edge of the code was first seen: its row is rewritten each time it is seen again, and what was known at a time
-- is what had been seen by then.
ALTER TABLE code_dependencies ADD COLUMN first_observed_at timestamptz;
UPDATE code_dependencies SET first_observed_at = observed_at;
COMMENT ON COLUMN code_dependencies.observed_at IS 'When it was last seen.';
COMMENT ON COLUMN code_dependencies.first_observed_at IS
    'When it was first seen, as far as events told; of rows older than this column, when it was last seen before it.';

-- A pipeline, a step, a project and an integration may have one name: which of them a baseline is of belongs to its key.
ALTER TABLE performance_baselines ADD COLUMN component_kind text NOT NULL DEFAULT '';
ALTER TABLE performance_baselines DROP CONSTRAINT performance_baselines_component_name_baseline_type_establis_key;
ALTER TABLE performance_baselines ADD UNIQUE (component_name, component_kind, baseline_type, established_at);
DROP INDEX idx_performance_baselines_active;
CREATE UNIQUE INDEX idx_performance_baselines_active ON performance_baselines (
    component_name, component_kind, baseline_type
) WHERE is_active;
COMMENT ON COLUMN performance_baselines.component_kind IS
    'What the component is: pipeline, step, task (the tasks of a project) or integration; empty = not said.';
COMMENT ON COLUMN performance_baselines.id IS 'Derived from component, kind, type and established_at.';

COMMENT ON COLUMN feature_engineering.feature_type IS
    'Kind of feature: history, own, graph, tsfresh or reduced of the nightly flow; a model''s own may be others.';
COMMENT ON COLUMN feature_engineering.feature_importance IS
    'Importance on the model''s own scale; of the nightly flow, |2 AUC - 1| against its target.';
COMMENT ON COLUMN feature_engineering.performance_impact IS
    'Change of each measure without it, by name; of the nightly flow, its lineage: sources, target, rows, what stands for it or what it is made of.';
