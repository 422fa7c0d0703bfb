-- Module 1, task management. A row is a function of the set of events about it: (event_time, event_id) says which won.
-- Events arrive in any order, so the tables of this module have no foreign keys between each other.

CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    external_id text NOT NULL,
    title text NOT NULL,
    description text,
    status text NOT NULL CHECK (length(status) BETWEEN 1 AND 50),
    priority integer NOT NULL DEFAULT 0,
    created_at timestamptz,
    updated_at timestamptz NOT NULL,
    assigned_to uuid,
    assigned_to_name text,
    project_id uuid,
    project_name text,
    estimated_effort integer CHECK (estimated_effort >= 0),
    actual_effort integer CHECK (actual_effort >= 0),
    complexity_score float8 CHECK (complexity_score > '-Infinity' AND complexity_score < 'Infinity'),
    tags jsonb NOT NULL DEFAULT '[]',
    event_time timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL
);
CREATE INDEX idx_tasks_project_status ON tasks (project_name, status);
CREATE INDEX idx_tasks_updated_at ON tasks (updated_at);
COMMENT ON TABLE tasks IS
    'Tasks, each in the state its newest event gave it.';
COMMENT ON COLUMN tasks.id IS 'The task_id of the events if that is a UUID, else derived from it.';
COMMENT ON COLUMN tasks.external_id IS 'The task_id as the events wrote it.';
COMMENT ON COLUMN tasks.title IS 'Title.';
COMMENT ON COLUMN tasks.description IS 'Description; null = none given.';
COMMENT ON COLUMN tasks.status IS 'The tracker''s own word, 1 to 50 characters.';
COMMENT ON COLUMN tasks.priority IS 'Greater is more urgent; 0 = none given.';
COMMENT ON COLUMN tasks.created_at IS 'When the task was created; null = not given.';
COMMENT ON COLUMN tasks.updated_at IS 'Time of the event that this row shows.';
COMMENT ON COLUMN tasks.assigned_to IS 'Who works on it, as an id; null = nobody.';
COMMENT ON COLUMN tasks.assigned_to_name IS 'Who works on it, as the event wrote it.';
COMMENT ON COLUMN tasks.project_id IS 'Project, as an id.';
COMMENT ON COLUMN tasks.project_name IS 'Project, as the event wrote it.';
COMMENT ON COLUMN tasks.estimated_effort IS 'Estimated effort in minutes.';
COMMENT ON COLUMN tasks.actual_effort IS 'Effort spent, in minutes.';
COMMENT ON COLUMN tasks.complexity_score IS 'Complexity on the tracker''s own scale.';
COMMENT ON COLUMN tasks.tags IS 'Array of strings.';
COMMENT ON COLUMN tasks.event_time IS 'Time of the event that this row shows.';
COMMENT ON COLUMN tasks.event_id IS 'Id of the event that this row shows; decides between events of one time.';

CREATE TABLE task_executions (
    id uuid NOT NULL,
    task_id uuid NOT NULL,
    external_id text NOT NULL,
    attempt integer,
    execution_start timestamptz NOT NULL,
    execution_end timestamptz,
    status text NOT NULL CHECK (status IN ('success', 'failure', 'error', 'cancelled', 'timeout', 'skipped')),
    error_type text,
    error_message text,
    performance_metrics jsonb DEFAULT '{}',
    resource_usage jsonb DEFAULT '{}',
    project_name text,
    event_time timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, attempt, execution_start),
    CONSTRAINT task_executions_interval CHECK (execution_end >= execution_start)
);
CREATE INDEX idx_task_executions_start_time ON task_executions (execution_start);
CREATE INDEX idx_task_executions_task ON task_executions (task_id, execution_start);
COMMENT ON TABLE task_executions IS
    'Finished attempts at tasks.';
COMMENT ON COLUMN task_executions.id IS 'Derived from task_id and execution_id.';
COMMENT ON COLUMN task_executions.task_id IS 'The task, as in tasks.id; the task itself may be unknown.';
COMMENT ON COLUMN task_executions.external_id IS 'The execution_id as the event wrote it.';
COMMENT ON COLUMN task_executions.attempt IS 'Number of the attempt, from 1; null = not given.';
COMMENT ON COLUMN task_executions.execution_start IS 'Start of the attempt.';
COMMENT ON COLUMN task_executions.execution_end IS 'End of the attempt.';
COMMENT ON COLUMN task_executions.status IS 'failure = the work ran and said no; error = the machinery broke.';
COMMENT ON COLUMN task_executions.error_type IS 'Class of the error.';
COMMENT ON COLUMN task_executions.error_message IS 'Text of the error.';
COMMENT ON COLUMN task_executions.performance_metrics IS 'Measures of the attempt, by name.';
COMMENT ON COLUMN task_executions.resource_usage IS 'Resources the attempt used, by name.';
COMMENT ON COLUMN task_executions.project_name IS 'Project, as the event wrote it.';
COMMENT ON COLUMN task_executions.event_time IS 'Time of the event that this row shows.';
COMMENT ON COLUMN task_executions.event_id IS 'Id of the event that this row shows; decides between events of one time.';
COMMENT ON COLUMN task_executions.created_at IS 'When the row was first written (wall clock).';

CREATE TABLE task_dependencies (
    id uuid PRIMARY KEY,
    parent_task_id uuid NOT NULL,
    dependent_task_id uuid NOT NULL,
    dependency_type text NOT NULL CHECK (dependency_type IN ('blocks', 'relates_to', 'duplicates')),
    created_at timestamptz NOT NULL,
    event_time timestamptz NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    UNIQUE (parent_task_id, dependent_task_id, dependency_type)
);
CREATE INDEX idx_task_dependencies_dependent ON task_dependencies (dependent_task_id);
COMMENT ON TABLE task_dependencies IS
    'Which task waits for, belongs to or repeats which other.';
COMMENT ON COLUMN task_dependencies.id IS 'Derived from both tasks and the type.';
COMMENT ON COLUMN task_dependencies.parent_task_id IS 'The task that is depended on.';
COMMENT ON COLUMN task_dependencies.dependent_task_id IS 'The task that depends on it.';
COMMENT ON COLUMN task_dependencies.dependency_type IS 'How: blocks, relates_to or duplicates.';
COMMENT ON COLUMN task_dependencies.created_at IS 'Time of the event that this row shows.';
COMMENT ON COLUMN task_dependencies.event_time IS 'Time of the event that this row shows.';
COMMENT ON COLUMN task_dependencies.event_id IS 'Id of the event that this row shows; decides between events of one time.';

CREATE TABLE task_patterns (
    id uuid PRIMARY KEY,
    pattern_id uuid NOT NULL,
    pattern_type text NOT NULL,
    pattern_data jsonb NOT NULL,
    confidence_score float8 NOT NULL CHECK (confidence_score BETWEEN 0 AND 1),
    detected_at timestamptz NOT NULL,
    task_ids uuid[] NOT NULL,
    impact_assessment jsonb DEFAULT '{}'
);
CREATE INDEX idx_task_patterns_type_confidence ON task_patterns (pattern_type, confidence_score);
CREATE INDEX idx_task_patterns_pattern ON task_patterns (pattern_id);
COMMENT ON TABLE task_patterns IS
    'Patterns found in tasks; each has its row in detected_patterns.';
COMMENT ON COLUMN task_patterns.id IS 'Derived from what the pattern is about.';
COMMENT ON COLUMN task_patterns.pattern_id IS 'The pattern, as in detected_patterns.id.';
COMMENT ON COLUMN task_patterns.pattern_type IS 'Class of the pattern.';
COMMENT ON COLUMN task_patterns.pattern_data IS 'Evidence.';
COMMENT ON COLUMN task_patterns.confidence_score IS 'Probability that the pattern is real, 0 to 1.';
COMMENT ON COLUMN task_patterns.detected_at IS 'Event time at which it was found.';
COMMENT ON COLUMN task_patterns.task_ids IS 'The tasks it is about, as in tasks.id.';
COMMENT ON COLUMN task_patterns.impact_assessment IS 'What it costs, by name.';
