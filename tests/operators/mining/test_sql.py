"""The SQL of each finding gives the finding's numbers, on a database that the stream's own rows are in."""

import msgspec
import pandas as pd
import psycopg
import pytest
from psycopg.types.json import Jsonb

from operators.identity import identity
from operators.mining.history import FRAMES, History
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG
from tests.operators.mining.real import CI_BUILDS, load
from tests.operators.mining.test_contract import MINERS

TABLES = {
    "runs": ("pipeline_executions", {"event_finished": True}),
    "steps": ("step_executions", {}),
    "tasks": ("tasks", {}),
    "task_executions": ("task_executions", {}),
    "task_dependencies": ("task_dependencies", {}),
    "integration_events": ("integration_events", {}),
    "code_dependencies": ("code_dependencies", {}),
}
KEYS = {"id", "task_id", "pipeline_execution_id", "parent_task_id", "dependent_task_id"}
REQUIRED = {
    "runs": {"trigger_type": "manual"},
    "tasks": {"title": "t"},
    "task_executions": {"external_id": "x", "attempt": 1},
}
SERIES = "series_1"
"""Views that `fill` fills no rows for."""


def fill(connection, history):
    """Every row of a history in its table; ids that are no UUID become one, as the stream makes them."""
    for name, (table, more) in TABLES.items():
        rows = []
        for row in getattr(history, name).to_dict("records"):
            out = dict(more)
            for column, kind in FRAMES[name].columns.items():
                value = row[column]
                if kind != "json" and (value is None or pd.isna(value)):
                    value = REQUIRED.get(name, {}).get(column)
                elif column in KEYS:
                    value = identity("x", value)
                elif kind == "json":
                    value = Jsonb(value if value is not None else [] if column == "tags" else {})
                elif kind == "number" and float(value).is_integer():
                    value = int(value)
                if value is not None:
                    out[column] = value
            if name != "integration_events":
                out |= {"event_time": planted.START, "event_id": "e"}
            if name in ("task_dependencies", "steps"):
                out["id"] = identity("x", str(sorted(map(str, out.items()))))
            rows.append(out)
        if not rows:
            continue
        time = {"integration_events": "event_timestamp"}.get(name, "execution_start")
        if time in rows[0]:
            days = sorted({row[time].floor("D").to_pydatetime() for row in rows})
            connection.execute("SELECT ensure_partitions(%s::regclass, %s::timestamptz[])", [table, days])
        columns = sorted({column for row in rows for column in row})
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([row.get(column) for column in columns])
    connection.commit()


def with_uuids(history):
    """The same history with the ids that `fill` writes: findings name some of them."""
    frames = {}
    for name in FRAMES:
        frame = getattr(history, name).copy()
        for column in KEYS & set(frame.columns):
            if name in TABLES:
                frame[column] = [value and str(identity("x", value)) for value in frame[column]]
        frames[name] = frame
    return History.of(**frames)


def check(connection, history, until):
    wrong, checked = [], {}
    for name, miner in MINERS.items():
        for finding in miner.mine(history, CONFIG, until)[:12]:
            if finding.sql is None or SERIES in finding.sql:
                continue
            counted = connection.execute(finding.sql).fetchone()
            if finding.kind == "change_point":
                levels = finding.evidence["before"], finding.evidence["after"]
                assert [float(level) for level in counted[2:4]] == pytest.approx(levels), finding.sentence
            checked[name] = checked.get(name, 0) + 1
            if name == "recovery" and finding.kind == "recovery":
                assert counted[2] == pytest.approx(finding.evidence["median_s"]), finding.sentence
            if counted[:2] != (finding.support, finding.total):
                wrong.append((finding.sentence, counted, finding.support, finding.total, finding.sql))
    assert not wrong, msgspec.json.format(msgspec.json.encode(wrong[:3])).decode()
    return checked


def test_numbers_of_planted_findings_are_those_of_the_database(database):
    history = with_uuids(planted.history(runs=700))
    with psycopg.connect(database) as connection:
        fill(connection, history)
        checked = check(connection, history, planted.UNTIL)
    assert set(checked) >= {"rules", "itemsets", "sequences", "propagation", "recovery", "flaky", "graph", "chains",
                            "error_clusters", "failure_modes", "prevention"}, checked  # fmt: skip


def test_numbers_of_real_findings_are_those_of_the_database(database):
    if not CI_BUILDS.exists():
        pytest.skip(f"no {CI_BUILDS.name} here")
    history = load(CI_BUILDS)
    until = history.runs["execution_end"].max().to_pydatetime()
    with psycopg.connect(database) as connection:
        fill(connection, history)
        assert sum(check(connection, history, until).values()) >= 15
