from __future__ import annotations

import math
import random
import re
import uuid
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from flows import docs_catalogue
from operators import tables
from tests.sql.rows import PATTERN, ROLLUP, T0, Connection, insert, query

ROOT = Path(__file__).parent.parent.parent

MODULES = {
    "0001_tasks": "tasks task_executions task_dependencies task_patterns",
    "0002_pipelines": "pipeline_executions step_executions pipeline_configurations execution_patterns",
    "0003_metrics": "system_metrics resource_usage capacity_planning metric_patterns",
    "0004_performance": "performance_analytics performance_baselines optimization_opportunities performance_patterns",
    "0005_integration": "integration_events event_correlations integration_patterns event_impact_analysis",
    "0006_patterns": "detected_patterns pattern_classifications pattern_relationships pattern_evolution",
    "0007_models": "ml_models model_training_data model_predictions model_performance_metrics feature_engineering "
    "model_versions prediction_accuracy_tracking recommendation_effectiveness",
    "0008_stream": "code_dependencies dead_letters stream_counters series metric_rollups",
}
VIEWS = {"series_10s", "series_1m", "series_5m", "series_1h", "series_1d", "data_quality", "open_patterns"}

HYPERTABLES = {
    "task_executions": "execution_start",
    "pipeline_executions": "execution_start",
    "step_executions": "execution_start",
    "system_metrics": "collected_at",
    "resource_usage": "measured_at",
    "metric_patterns": "detected_at",
    "performance_analytics": "analyzed_at",
    "integration_events": "event_timestamp",
    "event_correlations": "discovered_at",
    "pattern_evolution": "evolution_timestamp",
    "model_predictions": "prediction_timestamp",
    "model_performance_metrics": "evaluation_timestamp",
    "prediction_accuracy_tracking": "measured_at",
}


def test_all_tables_are_there_each_in_its_module(database: Connection) -> None:
    for module, names in MODULES.items():
        text = (ROOT / f"sql/migrations/{module}.sql").read_text(encoding="utf-8")
        assert set(re.findall(r"^CREATE TABLE (\w+)", text, re.MULTILINE)) == set(names.split())
    expected = {name for names in MODULES.values() for name in names.split()} - {"metric_rollups"}
    found = docs_catalogue.relations(database, "public")
    assert expected <= {name for name, relation in found.items() if relation.is_table}
    assert {*VIEWS, "metric_rollups"} <= {name for name, relation in found.items() if not relation.is_table}


def test_every_table_column_and_function_says_what_it_means(database: Connection) -> None:
    relations = docs_catalogue.relations(database, "public").values()
    functions = docs_catalogue.functions(database, "public")
    silent = [relation.name for relation in relations if not relation.comment]
    silent += [
        f"{relation.name}.{column.name}" for relation in relations for column in relation.columns if not column.comment
    ]
    silent += [f"{function.name}()" for function in functions if not function.comment]
    assert silent == []
    assert functions


def test_the_stream_writes_columns_that_are_there(database: Connection) -> None:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for table, column, kind in query(
        database,
        """SELECT table_name::text, column_name::text, udt_name::text FROM information_schema.columns
           WHERE table_schema = 'public'""",
    ):
        found[table][column] = kind
    short = {"bigint": "int8", "int": "int4", "uuid[]": "_uuid", "text[]": "_text"}
    for table in tables.ALL:
        assert {name: short.get(kind, kind) for name, kind in table.columns}.items() <= found[table.name].items()


def test_the_stream_leaves_no_required_column_out(database: Connection) -> None:
    required = query(
        database,
        """SELECT table_name::text, column_name::text FROM information_schema.columns
           WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL""",
    )
    written = {table.name: set(table.names) for table in tables.ALL}
    assert [row for row in required if row[0] in written and row[1] not in written[row[0]]] == []


def test_the_streams_keys_are_unique(database: Connection) -> None:
    keys = query(
        database,
        """SELECT i.indrelid::regclass::text, array_agg(a.attname::text)
           FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indisunique GROUP BY i.indexrelid, i.indrelid""",
    )
    unique = {(table, frozenset(columns)) for table, columns in keys}
    for table in tables.ALL:
        assert (table.name, frozenset(table.key)) in unique


def test_keys_of_what_becomes_a_hypertable_contain_its_time(database: Connection) -> None:
    keys = query(
        database,
        """SELECT i.indrelid::regclass::text, array_agg(a.attname::text)
           FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indisunique GROUP BY i.indexrelid, i.indrelid""",
    )
    checked = [(table, columns) for table, columns in keys if table in HYPERTABLES]
    assert {table for table, _ in checked} == set(HYPERTABLES)
    assert [pair for pair in checked if HYPERTABLES[pair[0]] not in pair[1]] == []


def test_foreign_keys_are_indexed_and_none_leads_to_a_hypertable(database: Connection) -> None:
    found = query(
        database,
        """SELECT conrelid::regclass::text, confrelid::regclass::text, EXISTS (
               SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1] AND i.indpred IS NULL)
           FROM pg_constraint c WHERE contype = 'f' AND connamespace = 'public'::regnamespace""",
    )
    assert len(found) >= 8
    assert [row for row in found if not row[2] or row[1] in HYPERTABLES] == []


def test_ids_have_no_random_default_and_nothing_is_decimal(database: Connection) -> None:
    assert (
        query(
            database,
            """SELECT table_name, column_name FROM information_schema.columns
               WHERE table_schema = 'public' AND (column_default LIKE '%random%' OR data_type = 'numeric')""".replace(
                "%%", "%"
            ),
        )
        == []
    )


RUN = {
    "id": uuid.uuid4(), "execution_id": "1", "pipeline_name": "p", "execution_start": T0, "status": "running",
    "trigger_type": "manual", "event_finished": False, "event_time": T0, "event_id": "e",
}  # fmt: skip

METRIC = {"event_key": 1, "metric_name": "m", "metric_value": 1.0, "collected_at": T0, "source_system": "s"}
USAGE = {"event_key": 1, "host": "h", "resource_type": "cpu", "usage_percentage": 1.0, "measured_at": T0}
TASK = {
    "id": uuid.uuid4(), "external_id": "1", "title": "t", "status": "open", "updated_at": T0, "event_time": T0,
    "event_id": "e",
}  # fmt: skip
INTEGRATION = {
    "id": uuid.uuid4(), "event_type": "t", "source_system": "s", "event_data": "{}", "event_timestamp": T0,
    "status": "partial",
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "good", "bad"),
    [
        ("pipeline_executions", RUN, {"status": "ok"}),
        ("pipeline_executions", RUN, {"trigger_type": "cron"}),
        ("pipeline_executions", RUN, {"execution_end": T0 - timedelta(seconds=1)}),
        ("pipeline_executions", RUN, {"success_rate": 1.01}),
        ("pipeline_executions", RUN, {"success_rate": math.nan}),
        ("pipeline_executions", RUN, {"total_duration": -1.0}),
        ("pipeline_executions", RUN, {"total_duration": math.nan}),
        ("detected_patterns", PATTERN, {"confidence_score": math.nan}),
        ("detected_patterns", PATTERN, {"significance_score": -0.1}),
        ("detected_patterns", PATTERN, {"severity": "urgent"}),
        ("detected_patterns", PATTERN, {"pattern_category": "other"}),
        ("detected_patterns", PATTERN, {"observation_count": 0}),
        ("detected_patterns", PATTERN, {"resolved_at": T0 - timedelta(seconds=1)}),
        ("system_metrics", METRIC, {"metric_value": math.nan}),
        ("system_metrics", METRIC, {"metric_value": math.inf}),
        ("system_metrics", METRIC, {"metric_tags": None}),
        ("resource_usage", USAGE, {"usage_percentage": -0.5}),
        ("resource_usage", USAGE, {"usage_percentage": math.nan}),
        ("resource_usage", USAGE, {"resource_type": "gpu"}),
        ("resource_usage", USAGE, {"peak_usage": -math.inf}),
        ("tasks", TASK, {"status": ""}),
        ("tasks", TASK, {"status": "x" * 51}),
        ("tasks", TASK, {"actual_effort": -1}),
        ("integration_events", INTEGRATION, {"status": "error"}),
        ("integration_events", INTEGRATION, {"processing_duration": -1.0}),
        ("metric_rollups", ROLLUP, {"n": 0}),
    ],
)
def test_checks_refuse_bad_rows(database: Connection, table: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    with pytest.raises(psycopg.errors.IntegrityError), database.transaction():
        insert(database, table, {**good, **bad})
    insert(database, table, good)
    with pytest.raises(psycopg.errors.UniqueViolation), database.transaction():
        insert(database, table, good)


def test_large_values_fit(database: Connection) -> None:
    for number, value in enumerate((10.0, 1000.0, 4e9, -1.7976931348623157e308, 5e-324)):
        insert(database, "system_metrics", {**METRIC, "event_key": number, "metric_value": value})
    rows = database.execute("SELECT metric_value FROM system_metrics ORDER BY event_key").fetchall()
    assert rows == [(10.0,), (1000.0,), (4e9,), (-1.7976931348623157e308,), (5e-324,)]


def test_an_entity_may_be_longer_than_a_btree_holds(database: Connection) -> None:
    noise = random.Random(1)
    entity = "repo:" + "".join(chr(noise.randrange(0x4E00, 0x9FFF)) for _ in range(8000))
    insert(database, "series", {"series_id": 1, "entity": entity, "measure": "m", "kind": "code"})
    insert(database, "detected_patterns", {**PATTERN, "entity": entity})
    insert(database, "metric_rollups", ROLLUP)
    found = database.execute("SELECT n FROM series_10s WHERE entity = %s", [entity]).fetchall()
    assert found == [(1,)]
