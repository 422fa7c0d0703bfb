"""The tables that the stream writes: their columns in COPY order, and how a row meets one that is already there."""

from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import Any

import msgspec

from operators.pgcopy import Encoder, fields


@cache
def _encoder(columns: tuple[tuple[str, str], ...]) -> Encoder:
    return Encoder([kind for _, kind in columns])


class Merge(Enum):
    """What happens when a row's key is already taken. Each of them makes a replay change nothing."""

    KEEP = "keep"
    """The row that is there stays: an event's row never changes."""
    REPLACE = "replace"
    """The newer write wins: the row is a function of the partition's state."""
    NEWEST = "newest"
    """The greater `rank` wins, whatever came first: the row is a function of the set of events."""


WIDTHS = {"bool": 1, "int": 4, "bigint": 8, "float8": 8, "timestamptz": 8, "uuid": 16}
"""Bytes of a value that is not null, of the types that have always the same."""


class Table(msgspec.Struct, frozen=True):
    """A table as the sink needs to know it.

    `group`: for NEWEST, the columns of the thing that the events speak of. All rows of one group come from one event,
    the one with the greatest rank; for the same group a row with another `key` is removed when it has lost.
    `keep_first`: columns that an update leaves as they are (when a pattern was first written).
    `first`: where all events of a key are one row, a column that the sink fills itself, and the one whose least value
    among these events it holds.
    `time`: the column by which the table is cut into chunks or partitions.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    merge: Merge = Merge.KEEP
    group: tuple[str, ...] = ()
    rank: tuple[str, ...] = ("event_time", "event_id")
    keep_first: tuple[str, ...] = ()
    first: tuple[str, str] | None = None
    time: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in COPY order."""
        return tuple(name for name, _ in self.columns)

    def update(self, earlier: bytes, later: bytes) -> bytes:
        """Two writes of one row as one: the later, with what an update keeps from the earlier."""
        if not self.keep_first:
            return later
        pairs = zip(self.names, fields(earlier), fields(later), strict=True)
        return later[:2] + b"".join([old if name in self.keep_first else new for name, old, new in pairs])

    def time_at(self) -> slice | None:
        """Where the time stands in an encoded row; None where that varies from row to row.

        >>> SYSTEM_METRICS.time_at(), PIPELINE_EXECUTIONS.time_at()
        (slice(18, 26, None), None)
        """
        at = 2
        for name, kind in self.columns:
            if kind not in WIDTHS:
                return None
            if name == self.time:
                return slice(at + 4, at + 12)
            at += 4 + WIDTHS[kind]
        return None

    def encode(self, values: Sequence[Any]) -> bytes:
        """A row in COPY order as a binary tuple."""
        return _encoder(self.columns)(values)


def _columns(text: str) -> tuple[tuple[str, str], ...]:
    """Columns from a table of words: `name type`, comma-separated."""
    pairs = [part.split() for part in text.split(",")]
    return tuple((name, kind) for name, kind in pairs)


SYSTEM_METRICS = Table(
    "system_metrics",
    _columns(
        "event_key bigint, collected_at timestamptz, metric_value float8, metric_name text, metric_unit text,"
        "metric_tags jsonb, source_system text, aggregation_period text"
    ),
    ("event_key", "collected_at"),
    time="collected_at",
)
RESOURCE_USAGE = Table(
    "resource_usage",
    _columns(
        "event_key bigint, measured_at timestamptz, usage_percentage float8, host text, resource_type text,"
        "absolute_value float8, peak_usage float8, average_usage float8, context_data jsonb"
    ),
    ("event_key", "measured_at"),
    time="measured_at",
)
PIPELINE_EXECUTIONS = Table(
    "pipeline_executions",
    _columns(
        "id uuid, execution_id text, pipeline_name text, execution_start timestamptz, execution_end timestamptz,"
        "status text, trigger_type text, trigger_data jsonb, total_duration float8, success_rate float8,"
        "commit_sha text, configuration_version text, event_finished bool, event_time timestamptz, event_id text"
    ),
    ("id", "execution_start"),
    Merge.NEWEST,
    group=("id",),
    rank=("event_finished", "event_time", "event_id"),
    time="execution_start",
)
STEP_EXECUTIONS = Table(
    "step_executions",
    _columns(
        "id uuid, pipeline_execution_id uuid, step_order int, execution_start timestamptz, execution_end timestamptz,"
        "pipeline_name text, step_name text, status text, error_details jsonb, performance_data jsonb,"
        "resource_consumption jsonb, event_time timestamptz, event_id text"
    ),
    ("pipeline_execution_id", "step_order", "execution_start"),
    Merge.NEWEST,
    group=("pipeline_execution_id",),
    time="execution_start",
)
PIPELINE_CONFIGURATIONS = Table(
    "pipeline_configurations",
    _columns(
        "id uuid, pipeline_name text, configuration_version text, configuration_data jsonb, created_at timestamptz,"
        "is_active bool, performance_baseline jsonb, event_time timestamptz, event_id text"
    ),
    ("id",),
    Merge.NEWEST,
    group=("id",),
)
TASKS = Table(
    "tasks",
    _columns(
        "id uuid, external_id text, title text, description text, status text, priority int, created_at timestamptz,"
        "updated_at timestamptz, assigned_to uuid, assigned_to_name text, project_id uuid, project_name text,"
        "estimated_effort int, actual_effort int, complexity_score float8, tags jsonb, event_time timestamptz,"
        "event_id text"
    ),
    ("id",),
    Merge.NEWEST,
    group=("id",),
)
TASK_DEPENDENCIES = Table(
    "task_dependencies",
    _columns(
        "id uuid, parent_task_id uuid, dependent_task_id uuid, dependency_type text, created_at timestamptz,"
        "event_time timestamptz, event_id text"
    ),
    ("id",),
    Merge.NEWEST,
    group=("dependent_task_id",),
)
TASK_EXECUTIONS = Table(
    "task_executions",
    _columns(
        "id uuid, task_id uuid, external_id text, attempt int, execution_start timestamptz, execution_end timestamptz,"
        "status text, error_type text, error_message text, performance_metrics jsonb, resource_usage jsonb,"
        "project_name text, event_time timestamptz, event_id text"
    ),
    ("id", "attempt", "execution_start"),
    Merge.NEWEST,
    group=("id", "attempt"),
    time="execution_start",
)
INTEGRATION_EVENTS = Table(
    "integration_events",
    _columns(
        "id uuid, event_timestamp timestamptz, event_type text, source_system text, target_system text,"
        "event_data jsonb, processing_duration float8, status text, error_details jsonb, correlation_id uuid,"
        "correlation_key text"
    ),
    ("id", "event_timestamp"),
    time="event_timestamp",
)
CODE_DEPENDENCIES = Table(
    "code_dependencies",
    _columns(
        "codebase_id text, from_node text, to_node text, kind text, commit_sha text, observed_at timestamptz,"
        "event_time timestamptz, event_id text"
    ),
    ("codebase_id", "from_node", "to_node", "kind"),
    Merge.NEWEST,
    group=("codebase_id", "from_node", "to_node", "kind"),
    first=("first_observed_at", "observed_at"),
)
PATTERN_CLASSIFICATIONS = Table(
    "pattern_classifications",
    _columns(
        "id uuid, pattern_id uuid, classification_type text, classification_value text,"
        "classification_confidence float8, classifier_model text, classified_at timestamptz, human_verified bool,"
        "verification_timestamp timestamptz, actor text, note text"
    ),
    ("id",),
)
RECOMMENDATION_EFFECTIVENESS = Table(
    "recommendation_effectiveness",
    _columns(
        "id uuid, recommendation_id uuid, recommendation_type text, implementation_status text,"
        "implementation_date timestamptz, feedback_notes text, event_time timestamptz, event_id text"
    ),
    ("id",),
    Merge.NEWEST,
    group=("id",),
)
DEAD_LETTERS = Table(
    "dead_letters",
    _columns(
        "id uuid, topic text, partition int, record_offset bigint, reason text, detail text, record_key bytea,"
        "record_value bytea, headers jsonb, received_at timestamptz"
    ),
    ("id",),
)
SERIES = Table("series", _columns("series_id bigint, entity text, measure text, kind text"), ("series_id",))
_ROLLUP = _columns(
    "series_id bigint, time timestamptz, input int, partition int, n bigint, sum float8, min float8, max float8,"
    "sum_squares float8, first float8, last float8, first_at timestamptz, last_at timestamptz, sketch bytea"
)
_ROLLUP_KEY = ("series_id", "time", "input", "partition")
ROLLUPS_10S = Table("rollups_10s", _ROLLUP, _ROLLUP_KEY, Merge.REPLACE, time="time")
ROLLUPS_1M = Table("rollups_1m", _ROLLUP, _ROLLUP_KEY, Merge.REPLACE, time="time")
ROLLUPS_5M = Table("rollups_5m", _ROLLUP, _ROLLUP_KEY, Merge.REPLACE, time="time")
ROLLUPS = {10: ROLLUPS_10S, 60: ROLLUPS_1M, 300: ROLLUPS_5M}
"""Aggregates by the length of their bucket, in seconds."""
STREAM_COUNTERS = Table(
    "stream_counters",
    _columns("input text, partition int, outcome text, reason text, n bigint, updated_at timestamptz"),
    ("input", "partition", "outcome", "reason"),
    Merge.REPLACE,
)
IMPORTS = Table(
    "imports",
    _columns(
        "input text, together text, bytes bigint, lines bigint, within_line bool, digest bytea, state bytea,"
        "started_at timestamptz, updated_at timestamptz, finished_at timestamptz"
    ),
    ("input",),
    Merge.REPLACE,
    keep_first=("together", "started_at"),
)
DETECTED_PATTERNS = Table(
    "detected_patterns",
    _columns(
        "id uuid, pattern_name text, pattern_type text, pattern_category text, pattern_data jsonb,"
        "detection_algorithm text, confidence_score float8, significance_score float8, detected_at timestamptz,"
        "last_observed_at timestamptz, observation_count int, is_active bool, entity text, measure text, severity text,"
        "direction text, opened_at timestamptz, resolved_at timestamptz, event_time timestamptz,"
        "ingested_at timestamptz, decided_at timestamptz, explanation text"
    ),
    ("id",),
    Merge.REPLACE,
    keep_first=("event_time", "ingested_at", "decided_at"),
)

METRIC_PATTERNS = Table(
    "metric_patterns",
    _columns(
        "id uuid, pattern_id uuid, metric_names text[], pattern_type text, pattern_signature jsonb,"
        "anomaly_score float8, trend_direction text, detected_at timestamptz"
    ),
    ("id", "detected_at"),
    Merge.REPLACE,
    time="detected_at",
)
EXECUTION_PATTERNS = Table(
    "execution_patterns",
    _columns(
        "id uuid, pattern_id uuid, pipeline_name text, pattern_type text, pattern_description text, pattern_data jsonb,"
        "frequency_score float8, impact_score float8, detected_at timestamptz"
    ),
    ("id",),
    Merge.REPLACE,
)
TASK_PATTERNS = Table(
    "task_patterns",
    _columns(
        "id uuid, pattern_id uuid, pattern_type text, pattern_data jsonb, confidence_score float8,"
        "detected_at timestamptz, task_ids uuid[]"
    ),
    ("id",),
    Merge.REPLACE,
)
INTEGRATION_PATTERNS = Table(
    "integration_patterns",
    _columns(
        "id uuid, pattern_id uuid, pattern_name text, pattern_type text, systems_involved text[],"
        "pattern_definition jsonb, frequency_analysis jsonb, performance_impact jsonb, detected_at timestamptz,"
        "pattern_stability_score float8"
    ),
    ("id",),
    Merge.REPLACE,
)
PATTERN_EVOLUTION = Table(
    "pattern_evolution",
    _columns(
        "id uuid, pattern_id uuid, evolution_type text, previous_state jsonb, current_state jsonb,"
        "change_magnitude float8, evolution_timestamp timestamptz, contributing_factors jsonb"
    ),
    ("pattern_id", "evolution_type", "evolution_timestamp"),
    Merge.REPLACE,
    time="evolution_timestamp",
)

PATTERN_TABLES = (
    "detected_patterns",
    "metric_patterns",
    "execution_patterns",
    "task_patterns",
    "integration_patterns",
)
"""Tables whose id is the pattern's."""

ALL = tuple(value for value in globals().values() if isinstance(value, Table))
"""Every table above."""
BY_NAME = {table.name: table for table in ALL}
