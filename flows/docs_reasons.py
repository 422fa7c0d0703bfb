"""Why the schema departs from the specification's: see :mod:`flows.docs_departures`."""

_LATE = "Events arrive in any order, and a row may come before the one that it refers to, or without it ever coming."
_DROPPED = "Rows of the table that it would lead to are dropped by their age, and a key must not hold that up."
_EVENT = "The event or the id as it was sent, so that any order of arrival and any redelivery end in the same row."
_KEY = (
    "The key of a table that is cut by time must contain the time; where there is a natural key, it is that, so that a"
    " replay changes nothing."
)
_FIND = "Finds the rows of one thing, by which people and the flows ask."
_PATTERN = "Leads to the pattern in detected_patterns, which has the evidence common to all kinds."

REASONS: tuple[tuple[str, str], ...] = (
    (
        "column *.id: dropped",
        (
            "The two tables with the most rows have event_key instead, the first 8 bytes of the same id: a UUID would"
            " take two thirds of their compressed size."
        ),
    ),
    ("column *.event_key: added", "Stands for id in the two tables with the most rows."),
    ("key *", _KEY),
    (
        "default *.id: gen_random_uuid() → none",
        "Ids are derived from the natural key or from the event: with random ones a replay would add its rows again.",
    ),
    (
        "default *: now() → none",
        "The time is the event's, not the one at which it was written; whoever writes must give it.",
    ),
    ("default pattern_evolution.previous_state: none → '{}'", "When a pattern opens there is no state before."),
    ("null *: refused", "The specification's default or foreign key makes it always there; now it is certain."),
    (
        "type *: varchar(*) → text",
        (
            "A limit in the database would turn a long name into a failed write; the events' own limits are checked as"
            " they are decoded. The storage is the same."
        ),
    ),
    ("type *: varchar(*)[[]] → text[[]]", "As for single names."),
    (
        "type *: numeric(*) → float8",
        (
            "Values such as 10.0 as a score, 1000 percent or 4e9 bytes do not fit numeric(5,4), (5,2) or (15,6). Ranges"
            " are checked, and NaN and infinities refused."
        ),
    ),
    (
        "type *duration: integer → float8",
        "Sent with fractions: many steps and calls take less than a second or a millisecond.",
    ),
    ("type event_correlations.time_offset: integer → bigint", "An integer holds 24 days of milliseconds only."),
    ("foreign key task_*: * dropped", _LATE),
    ("foreign key step_executions: * dropped", _DROPPED),
    ("foreign key event_*: * dropped", _DROPPED),
    ("foreign key prediction_accuracy_tracking: prediction_id * dropped", _DROPPED),
    ("foreign key pattern_*: * dropped", _LATE),
    (
        "unique task_dependencies: *",
        "Two tasks may hang together in more than one way: one may block the other and be related to it.",
    ),
    ("unique *: * added", "The natural key: a second row about the same thing would be a mistake."),
    (
        "checks *: added",
        (
            "Words, ranges and intervals are checked, NaN and infinities refused. The words are those in the"
            " specification, with `info` as a severity, `forecasting` as a model_type, `opened` and `resolved` as an"
            " evolution_type besides."
        ),
    ),
    ("column *.event_time: added", _EVENT),
    ("column *.event_id: added", _EVENT),
    ("column *.event_finished: added", _EVENT),
    ("column *.external_id: added", _EVENT),
    ("column *.execution_id: added", _EVENT),
    ("column *.correlation_key: added", _EVENT),
    ("column tasks.*_name: added", _EVENT),
    ("column *.project_name: added", "The project as it was sent: summaries of tasks are made by it."),
    ("column *.pattern_id: added", _PATTERN),
    (
        "column detected_patterns.*_at: added",
        "The life of a pattern and the time of each step to it, from which its latency follows.",
    ),
    (
        "column detected_patterns.*: added",
        "What people ask first of a pattern: which series, how bad, where the value went, and why, in one sentence.",
    ),
    ("column pattern_classifications.*: added", "Who said it, and with which words."),
    ("column pipeline_executions.*: added", "Which commit and which configuration ran: failures follow from these."),
    ("column step_executions.pipeline_name: added", "A step's history over many runs is found without a join."),
    ("column task_executions.*: added", "Tasks are tried again, and errors are told apart by their class."),
    (
        "column performance_*.component_kind: added",
        "A pipeline, a step, a project and an integration may have one name: each has its own baseline.",
    ),
    ("column *.host: added", "The specification does not say whose resource it is."),
    (
        "index idx_system_metrics_collected_at: * → brin *",
        (
            "Rows come in the order of time. On a million of them a btree took 22 MB and 5 to 22 percent of the time to"
            " write, BRIN 0.02 MB; five minutes of rows are read in 3 ms instead of 1 ms, an hour of them in 10 to 16"
            " ms instead of 11 to 19 ms."
        ),
    ),
    ("index idx_resource_usage_measured_at: added", "As for system_metrics: rows of a time, at almost no cost."),
    (
        "index idx_performance_baselines_active: added",
        "A component has one active baseline of each type.",
    ),
    ("index *_patterns_pattern: added", _PATTERN),
    ("index *: added", _FIND),
    ("table model_versions: added", "In the specification's overview, without columns there."),
    (
        "table code_dependencies: added",
        "Edges of a code base: events bring them, the specification has no table for them.",
    ),
    ("table dead_letters: added", "Records that cannot be applied are kept with their reason, never dropped."),
    ("table imports: added", "How far each imported file has come: where the next import goes on."),
    ("table stream_counters: added", "Counts what became of each record, so that none is lost unseen."),
    ("table incident*: added", "People are told of what belongs together, once, and not of each pattern."),
    ("table pattern_changes: added", "Tells the correlator which patterns changed, in the writer's own transaction."),
    ("table correlator_state: added", "The correlator's memory, written with what it led to: a kill loses nothing."),
    ("table api_tokens: added", "Who may write through the HTTP API; hashes only."),
    ("table analyses: added", "Analyses on demand are jobs that survive a restart."),
    ("table pattern_updates: added", "When a pattern last changed by the clock: what live views follow."),
    (
        "table nightly_*: added",
        "Which nights were worked through, how far, and what the data were like: a killed run goes on.",
    ),
    ("table series: added", "The names of what detectors watch; rows of aggregates hold a number instead."),
    ("table rollup*: added", "Aggregates by time, which dashboards read instead of the samples."),
    ("table *_days: added", "Runs summed up by day, from which the views of health come: they outlive the runs."),
    ("table storage_policies: added", "How long each table is kept is data, which can be changed without a migration."),
    ("table partitions: added", "On plain PostgreSQL, the pieces that the tables are cut into (not on TimescaleDB)."),
    ("table retention_log: added", "Says what was dropped for its age, and when."),
    ("table summary_changes: added", "Which hours and days must be summed up again."),
    ("table schema_migrations: added", "Which migrations this database has had."),
)
"""Pattern of differences → reason; the first that fits counts."""
