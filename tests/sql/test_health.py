"""The views of health against sums that pandas takes from the rows: before and after the upkeep, and late changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import psycopg
import pytest

from sinks.maintain import maintain
from tests.conftest import temporary_database
from tests.sql.rows import Connection, query
from tests.sql.work import DONE, FAILURES, Work, write, write_all

START = datetime(2026, 3, 26, tzinfo=UTC)
"""Three days before the clocks of Europe go forward."""
DAYS = 8
JUDGED = ("success", *FAILURES)
Frame = pd.DataFrame


@pytest.fixture
def url(database_url: str, migrated_template: str) -> Iterator[str]:
    """URL of a migrated database of the test's own."""
    with temporary_database(database_url, migrated_template) as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A session of somebody for whom a day is not always 24 hours long."""
    with psycopg.connect(url, autocommit=True, options="-c timezone=Europe/Berlin") as connection:
        yield connection


def frame(connection: Connection, text: str) -> Frame:
    cursor = connection.execute(text.encode())
    return Frame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])


def rows_of(connection: Connection, table: str, time: str) -> Frame:
    found = frame(connection, f"SELECT * FROM {table}")
    found[time] = pd.to_datetime(found[time], utc=True)
    found["day"] = found[time].dt.floor("D")
    return found


def by_status(rows: Frame, names: list[str], seconds: pd.Series[Any], start: str) -> Frame:
    """What pipelines, steps and attempts have in common."""
    rows = rows.assign(seconds=seconds.where(rows["status"].isin(JUDGED)))
    groups = rows.groupby(names)
    out = Frame({"runs": groups.size()})
    for name, words in (
        ("running", ["running"]), ("succeeded", ["success"]), ("failed", FAILURES), ("cancelled", ["cancelled"]),
        ("skipped", ["skipped"]),
    ):  # fmt: skip
        out[name] = rows["status"].isin(words).groupby([rows[key] for key in names]).sum()
    out["finished"] = out["runs"] - out["running"]
    out["failure_rate"] = out["failed"] / (out["succeeded"] + out["failed"])
    out["timed"] = groups["seconds"].count()
    out["total_seconds"] = groups["seconds"].sum(min_count=1)
    out["mean_seconds"] = groups["seconds"].mean()
    out["p50_seconds"] = groups["seconds"].quantile(0.5)
    out["p95_seconds"] = groups["seconds"].quantile(0.95)
    out["max_seconds"] = groups["seconds"].max()
    out["last_start"] = groups[start].max()
    return out


def pipelines(connection: Connection) -> Frame:
    rows = rows_of(connection, "pipeline_executions", "execution_start")
    names = ["day", "pipeline_name"]
    out = by_status(rows, names, rows["total_duration"].astype(float), "execution_start")
    for word in ("manual", "scheduled", "webhook"):
        out[word] = (rows["trigger_type"] == word).groupby([rows[key] for key in names]).sum()
    return out


def elapsed(rows: Frame) -> pd.Series[Any]:
    return (pd.to_datetime(rows["execution_end"], utc=True) - rows["execution_start"]).dt.total_seconds()


def steps(connection: Connection) -> Frame:
    rows = rows_of(connection, "step_executions", "execution_start")
    return by_status(rows, ["day", "pipeline_name", "step_name"], elapsed(rows), "execution_start")


def tasks(connection: Connection) -> Frame:
    runs = rows_of(connection, "task_executions", "execution_start")
    runs["project_name"] = runs["project_name"].fillna("tasks")
    attempts = by_status(runs, ["day", "project_name"], elapsed(runs), "execution_start")
    attempts = attempts.rename(columns={"runs": "attempts"}).drop(
        columns=["running", "finished", "timed", "mean_seconds", "max_seconds", "last_start"]
    )
    done = rows_of(connection, "tasks", "updated_at")
    done["project_name"] = done["project_name"].fillna("tasks")
    done = done[done["status"].isin(DONE)]
    first = {}
    for task, at, day in zip(done["id"], done["updated_at"], done["day"], strict=True):
        own = runs[(runs["task_id"] == task) & (runs["execution_start"] < day + pd.Timedelta("24h"))]
        own = own[own["execution_start"] >= day - pd.Timedelta("90D")]
        first[task] = own["execution_start"].min() if len(own) and own["execution_start"].min() <= at else pd.NaT
    lead = (done["updated_at"] - pd.to_datetime(done["created_at"], utc=True)).dt.total_seconds()
    cycle = (done["updated_at"] - pd.to_datetime(done["id"].map(first), utc=True)).dt.total_seconds()
    groups = done.assign(lead=lead.where(lead >= 0), cycle=cycle).groupby(["day", "project_name"])
    out = Frame({"done": groups.size()})
    for name in ("lead", "cycle"):
        out[f"{name}_timed"] = groups[name].count()
        out[f"{name}_mean_seconds"] = groups[name].mean()
        out[f"{name}_p50_seconds"] = groups[name].quantile(0.5)
        out[f"{name}_p95_seconds"] = groups[name].quantile(0.95)
    both = attempts.join(out, how="outer")
    counts = ["attempts", "succeeded", "failed", "cancelled", "skipped", "done", "lead_timed", "cycle_timed"]
    return both.fillna(dict.fromkeys(counts, 0))


def integrations(connection: Connection) -> Frame:
    rows = rows_of(connection, "integration_events", "event_timestamp")
    rows["target_system"] = rows["target_system"].fillna("")
    rows["ms"] = rows["processing_duration"].astype(float)
    names = ["day", "source_system", "target_system", "event_type"]
    groups = rows.groupby(names)
    out = Frame({"events": groups.size()})
    for name, word in (("succeeded", "success"), ("failed", "failure"), ("partial", "partial")):
        out[name] = (rows["status"] == word).groupby([rows[key] for key in names]).sum()
    out["failure_rate"] = out["failed"] / (out["succeeded"] + out["failed"])
    out["timed"], out["mean_ms"], out["max_ms"] = groups["ms"].count(), groups["ms"].mean(), groups["ms"].max()
    out["p50_ms"], out["p95_ms"] = groups["ms"].quantile(0.5), groups["ms"].quantile(0.95)
    out["last_at"] = groups["event_timestamp"].max()
    return out


ORACLES: dict[str, Callable[[Connection], Frame]] = {
    "pipeline_health": pipelines, "step_health": steps, "task_flow": tasks, "integration_health": integrations,
}  # fmt: skip


def check(connection: Connection) -> None:
    for view, oracle in ORACLES.items():
        wanted = oracle(connection)
        found = frame(connection, f"SELECT * FROM {view}")
        found["day"] = pd.to_datetime(found["day"], utc=True)
        if "target_system" in found:
            found["target_system"] = found["target_system"].fillna("")
        assert len(wanted) > DAYS
        assert set(found) == {*wanted.index.names, *wanted.columns}, view
        found = found.set_index(wanted.index.names)
        pd.testing.assert_frame_equal(
            found[list(wanted.columns)].sort_index(), wanted.sort_index(), check_dtype=False, check_index_type=False,
            check_column_type=False, check_freq=False, rtol=1e-9, obj=view,
        )  # fmt: skip


def changed(connection: Connection) -> set[str]:
    return {summary for (summary,) in query(connection, "SELECT DISTINCT summary FROM summary_changes")}


@pytest.mark.parametrize("seed", [1, 2])
def test_views_are_exact_before_and_after_the_upkeep_and_after_late_changes(
    url: str, connection: Connection, seed: int
) -> None:
    writer = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
    work = Work(seed, START, DAYS)
    work.runs(400)
    work.tasks(120)
    work.integrations(300)
    write_all(writer, work)
    check(connection)
    maintain(url)
    assert changed(connection) == set()
    assert query(connection, "SELECT count(*) > 20 FROM pipeline_days") == [(True,)]
    check(connection)

    late = Work(seed + 10, START - timedelta(days=1), DAYS)
    late.runs(60)
    late.integrations(20)
    # Attempts at tasks that were done before: the first one may be among them.
    for task in work.rows["tasks"][:40]:
        late.attempt(task, late.moment())
    write_all(writer, late)
    writer.close()
    assert changed(connection) == {"pipeline", "step", "task", "integration"}
    check(connection)
    maintain(url)
    assert changed(connection) == set()
    check(connection)


@pytest.mark.parametrize(
    ("summary", "change"),
    [
        ("pipeline", "UPDATE pipeline_executions SET status = 'error' WHERE execution_id IN ('1', '2', '3')"),
        ("pipeline", "DELETE FROM pipeline_executions WHERE execution_id IN ('1', '2', '3')"),
        ("step", "UPDATE step_executions SET execution_end = NULL WHERE step_name = 'test'"),
        ("step", "DELETE FROM step_executions WHERE step_name = 'compile'"),
        ("task", "UPDATE task_executions SET status = 'timeout' WHERE status = 'success'"),
        ("task", "UPDATE tasks SET status = 'done' WHERE status = 'open'"),
        ("task", "UPDATE tasks SET status = 'open' WHERE status = 'done'"),
        ("task", "UPDATE tasks SET updated_at = updated_at + interval '30 h' WHERE external_id < 'T4'"),
        ("task", "UPDATE tasks SET created_at = created_at - interval '1 h' WHERE external_id < 'T4'"),
        ("task", "DELETE FROM tasks WHERE external_id < 'T4'"),
        ("task", "DELETE FROM task_executions WHERE execution_start < '2026-03-29Z'"),
        ("integration", "UPDATE integration_events SET status = 'failure' WHERE processing_duration > 450"),
        ("integration", "DELETE FROM integration_events WHERE processing_duration > 450"),
    ],
)
def test_any_change_of_a_row_shows_at_once(summed: str, summary: str, change: str) -> None:
    with psycopg.connect(summed) as other:
        assert changed(other) == set()
        assert other.execute(change.encode()).rowcount > 0
        assert summary in changed(other)
        check(other)
        # The upkeep's own functions, so that all of it can be taken back.
        other.execute("SELECT refresh_day(summary, day) FROM changed_days()")
        assert changed(other) == set()
        check(other)
        other.rollback()


@pytest.fixture(scope="module")
def summed(module_database: str) -> Iterator[str]:
    """A database in which all is summed up."""
    with psycopg.connect(module_database, autocommit=True) as connection:
        work = Work(5, START, DAYS)
        work.runs(200)
        work.tasks(120)
        work.integrations(200)
        write_all(connection, work)
        maintain(module_database)
        yield module_database


def test_a_row_that_changes_nothing_of_another_day_marks_its_own_only(summed: str) -> None:
    with psycopg.connect(summed) as connection:
        run = Work(9, START + timedelta(days=2), 1)
        run.runs(3)
        write(connection, "pipeline_executions", run.rows["pipeline_executions"])
        day = (START + timedelta(days=2)).isoformat()
        assert query(connection, f"SELECT DISTINCT summary, bucket = '{day}' FROM summary_changes") == [
            ("pipeline", True)
        ]
        connection.rollback()


def plan_of(connection: Connection, statement: str) -> dict[str, Any]:
    found = query(connection, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")[0][0]
    plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return plan


@pytest.mark.parametrize("view", list(ORACLES))
def test_a_filter_on_the_day_reaches_the_days_and_the_changed_ones(summed: str, view: str) -> None:
    """Of three changed days only the one that is asked for is computed, and of summed-up rows only its own are read."""
    with psycopg.connect(summed) as connection:
        summary = {"pipeline_health": "pipeline", "step_health": "step", "task_flow": "task"}.get(view, "integration")
        for day in (1, 2, 3):
            connection.execute("INSERT INTO summary_changes (summary, bucket) VALUES (%s, %s)",
                               [summary, START + timedelta(days=day)])  # fmt: skip
        for day, calls in ((2, 1), (5, 0)):
            at = (START + timedelta(days=day)).isoformat()
            plan = plan_of(connection, f"SELECT * FROM {view} WHERE day = '{at}'")
            assert sum(node["Actual Loops"] for node in nodes(plan) if node["Node Type"] == "Function Scan") == calls
        connection.rollback()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
