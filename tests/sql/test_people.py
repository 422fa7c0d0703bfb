"""Views for people against independent computations from the rows."""

from __future__ import annotations

import statistics
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.sql.rows import PATTERN, ROLLUP, T0, Connection, insert, query
from tests.sql.work import DONE, DROPPED, FAILURES, Row, Work, write, write_all

START = datetime(2026, 1, 5, tzinfo=UTC)
MONTH = timedelta(days=28)
HOUR = timedelta(hours=1)


def configure(connection: Connection, pipeline: str, version: str, deployment: Any, at: datetime = T0) -> None:
    row = {
        "id": uuid.uuid4(), "pipeline_name": pipeline, "configuration_version": version,
        "configuration_data": Jsonb({} if deployment is None else {"deployment": deployment}), "created_at": at,
        "event_time": at, "event_id": "e",
    }  # fmt: skip
    insert(connection, "pipeline_configurations", row)


def week_of(moment: datetime) -> datetime:
    return (moment - timedelta(days=moment.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)


def dora(rows: list[Row], pipelines: set[str]) -> dict[tuple[datetime, str], list[Any]]:
    """What each deployment of a week gives: (failed, seconds of lead, is an outage, seconds to restore)."""
    found: dict[tuple[datetime, str], list[Any]] = defaultdict(list)
    for pipeline in pipelines:
        own = [row for row in rows if row["pipeline_name"] == pipeline and row["status"] in ("success", *FAILURES)]
        own.sort(key=lambda row: (row["execution_start"], row["id"]))
        for at, row in enumerate(own):
            start, end, failed = row["execution_start"], row["execution_end"], row["status"] != "success"
            lead = restore = None
            outage = False
            if failed:
                before = own[at - 1] if at else None
                outage = not (
                    before and before["status"] != "success" and before["execution_start"] >= start - MONTH
                )  # fmt: skip
                later = [one["execution_end"] for one in own[at + 1 :] if one["status"] == "success"]
                if outage and later and min(later) <= start + MONTH:
                    restore = max((min(later) - end).total_seconds(), 0)
            elif row["commit_sha"]:
                same = [one for one in rows if one["commit_sha"] == row["commit_sha"]]
                seen = [one["execution_start"] for one in same if start - MONTH <= one["execution_start"] <= start]
                again = any(
                    one in same and one["status"] == "success" and one["execution_start"] >= start - MONTH
                    for one in own[:at]
                )
                lead = None if again else (end - min(seen)).total_seconds()
            found[week_of(start), pipeline].append((failed, lead, outage, restore))
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_dora_is_what_the_runs_say(database: Connection, seed: int) -> None:
    work = Work(seed, START, 90)
    work.runs(500)
    rows = work.rows["pipeline_executions"]
    write(database, "pipeline_executions", rows)
    configure(database, "nightly", "1", False)
    configure(database, "nightly", "2", True, T0 + HOUR)
    configure(database, "nightly", "3", None, T0 + 2 * HOUR)
    configure(database, "web/Release", "1", "false")
    wanted = dora(rows, {"nightly", "shop/deploy"})
    assert sum(one[3] is not None for group in wanted.values() for one in group) > 10
    assert sum(one[1] is not None for group in wanted.values() for one in group) > 30
    found = query(
        database,
        "SELECT week, pipeline_name, deployments, failed, change_failure_rate, changes, lead_p50_seconds, outages,"
        " restored, restore_p50_seconds, restore_mean_seconds, lead_p95_seconds FROM dora",
    )
    assert {(week, name) for week, name, *_ in found} == set(wanted)
    for week, name, good, bad, rate, changes, lead, outages, restored, restore, mean, worst in found:
        group = wanted[week, name]
        leads = [one[1] for one in group if one[1] is not None]
        restores = [one[3] for one in group if one[3] is not None]
        failed = sum(one[0] for one in group)
        assert (good, bad, changes) == (len(group) - failed, failed, len(leads)), (week, name)
        assert (outages, restored) == (sum(one[2] for one in group), len(restores))
        assert rate == pytest.approx(failed / len(group))
        assert lead == (pytest.approx(statistics.median(leads)) if leads else None)
        assert worst is None if not leads else max(leads) >= worst - 1e-6 >= lead - 1e-5
        assert restore == (pytest.approx(statistics.median(restores)) if restores else None)
        assert mean == (pytest.approx(statistics.fmean(restores)) if restores else None)


def test_a_week_of_dora_comes_out_the_same_whatever_the_range(database: Connection) -> None:
    work = Work(3, START, 90)
    work.runs(500)
    write(database, "pipeline_executions", work.rows["pipeline_executions"])
    for first, weeks in ((1, 1), (4, 2), (0, 20)):
        low = START + timedelta(days=7 * first)
        high = low + timedelta(days=7 * weeks)
        part = database.execute(
            "SELECT * FROM dora_between(%s, %s) ORDER BY week, pipeline_name", [low + HOUR, high]
        ).fetchall()
        whole = database.execute(
            "SELECT * FROM dora WHERE week >= %s AND week < %s ORDER BY week, pipeline_name", [low, high]
        ).fetchall()
        assert part == whole
        assert part


def test_open_tasks_say_how_old_they_are_and_what_blocks_them(database: Connection) -> None:
    work = Work(4, START, 30)
    work.tasks(80)
    write_all(database, work)
    tasks = {task["id"]: task for task in work.rows["tasks"]}
    ended = {identifier for identifier, task in tasks.items() if task["status"] in (*DONE, *DROPPED)}
    edges = [edge for edge in work.rows["task_dependencies"] if edge["dependency_type"] == "blocks"]
    blocked = Counter(edge["dependent_task_id"] for edge in edges if edge["parent_task_id"] not in ended)
    blocks = Counter(edge["parent_task_id"] for edge in edges if edge["dependent_task_id"] not in ended)
    found = query(database, "SELECT id, days_open, days_unchanged, blocked_by, blocks, now() FROM tasks_open")
    assert {row[0] for row in found} == set(tasks) - ended
    for identifier, age, unchanged, by, does, now in found:
        task = tasks[identifier]
        created = task["created_at"]
        assert age == (pytest.approx((now - created) / timedelta(days=1)) if created else None)
        assert unchanged == pytest.approx((now - task["updated_at"]) / timedelta(days=1))
        assert (by, does) == (blocked[identifier], blocks[identifier])
    assert max(row[3] for row in found) > 0 < max(row[4] for row in found)


def test_rows_read_plainly(database: Connection) -> None:
    work = Work(5, START, 3)
    work.runs(60)
    work.tasks(30)
    work.integrations(40)
    write_all(database, work)

    def failed(word: str) -> bool | None:
        return True if word in FAILURES else False if word == "success" else None

    runs = query(database, "SELECT id, failed, duration_seconds FROM pipeline_runs")
    wanted = [(row["id"], failed(row["status"]), row["total_duration"]) for row in work.rows["pipeline_executions"]]
    assert sorted(runs) == sorted(wanted)
    steps = query(database, "SELECT run_id, step_order, failed, duration_seconds FROM steps")
    assert sorted(steps, key=str) == sorted(
        (
            (
                row["pipeline_execution_id"], row["step_order"], failed(row["status"]),
                row["execution_end"] and (row["execution_end"] - row["execution_start"]).total_seconds(),
            )
            for row in work.rows["step_executions"]
        ),
        key=str,
    )  # fmt: skip
    titles = {task["id"]: task["title"] for task in work.rows["tasks"]}
    attempts = query(database, "SELECT id, title, failed FROM task_runs")
    assert sorted(attempts) == sorted(
        (row["id"], titles[row["task_id"]], failed(row["status"])) for row in work.rows["task_executions"]
    )
    events = query(database, "SELECT id, failed, processing_ms FROM integration_log")
    assert sorted(events) == sorted(
        (row["id"], failed(row["status"]), row["processing_duration"]) for row in work.rows["integration_events"]
    )


TIMES = {
    "pipeline_runs": ("pipeline_executions", "execution_start"),
    "steps": ("step_executions", "execution_start"),
    "task_runs": ("task_executions", "execution_start"),
    "integration_log": ("integration_events", "event_timestamp"),
    "metric_samples": ("system_metrics", "collected_at"),
    "resource_samples": ("resource_usage", "measured_at"),
}


RECENT = week_of(datetime.now(UTC)) - MONTH
"""A Monday of which the pieces of tables are still as short as their policies say."""


@pytest.fixture
def spread(database: Connection) -> Connection:
    """Four weeks of rows: some in each piece of the tables."""
    work = Work(6, RECENT, 28)
    work.runs(200)
    work.tasks(60)
    work.integrations(200)
    write_all(database, work)
    for day in range(28):
        at = RECENT + timedelta(days=day)
        metric = {"event_key": day, "metric_name": "m", "metric_value": 1.0, "collected_at": at, "source_system": "s"}
        usage = {"event_key": day, "host": "h", "resource_type": "cpu", "usage_percentage": 1.0, "measured_at": at}
        insert(database, "system_metrics", metric)
        insert(database, "resource_usage", usage)
    return database


@pytest.mark.parametrize("view", list(TIMES))
def test_a_filter_on_the_time_reads_its_own_pieces_only(spread: Connection, view: str) -> None:
    table, time = TIMES[view]
    statement = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {} WHERE {} >= %s AND {} < %s").format(
        sql.Identifier(view), sql.Identifier(time), sql.Identifier(time)
    )
    low = RECENT + timedelta(days=8)
    row = spread.execute(statement, [low, low + timedelta(days=1)]).fetchone()
    assert row
    read = {name for name in scanned(row[0][0]["Plan"]) if name.startswith((table, "_hyper"))}
    assert len(read) == 1
    pieces = query(spread, f"SELECT pieces FROM storage WHERE table_name = '{table}'")[0][0]
    assert pieces >= 4


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that were read."""
    if plan["Actual Loops"] and "Relation Name" in plan:
        yield plan["Relation Name"]
    for child in plan.get("Plans", []):
        yield from scanned(child)


def test_patterns_show_their_evidence_and_the_last_verdict(database: Connection) -> None:
    data = {
        "class": "spike", "value": 3.5, "expected": 1, "low": 0.5, "high": 1.5, "score": 9.0, "peak_value": 4,
        "peak_score": 11.25, "evidence": {"threshold_score": 6, "kind": "metric", "reopened": 2, "input": "t"},
    }  # fmt: skip
    whole = {
        **PATTERN, "id": uuid.UUID(int=1), "pattern_data": Jsonb(data), "is_active": False,
        "resolved_at": T0 + timedelta(seconds=90), "event_time": T0, "written_at": T0 + timedelta(seconds=7),
    }  # fmt: skip
    odd = {**PATTERN, "id": uuid.UUID(int=2), "pattern_data": Jsonb({"value": "x", "evidence": [1]}), "direction": "up"}
    insert(database, "detected_patterns", whole)
    insert(database, "detected_patterns", odd)
    for number, (verdict, human) in enumerate([("expected", True), ("false_positive", True), ("noise", False)]):
        at = T0 + timedelta(hours=number)
        insert(database, "pattern_classifications", {
            "id": uuid.uuid4(), "pattern_id": uuid.UUID(int=1), "classification_type": "verdict",
            "classification_value": verdict, "classification_confidence": 1.0, "classifier_model": "human",
            "classified_at": at, "human_verified": human, "verification_timestamp": at if human else None,
            "actor": "ada",
        })  # fmt: skip
    found = query(
        database,
        "SELECT pattern_class, value, peak_value, expected, low, high, score, peak_score, threshold, kind, reopened,"
        " input, duration_seconds, latency_seconds, verdict, verdict_by, direction FROM patterns ORDER BY id",
    )
    assert found[0][:-1] == (
        "spike", 3.5, 4.0, 1.0, 0.5, 1.5, 9.0, 11.25, 6.0, "metric", 2, "t", 90.0, 7.0, "false_positive", "ada",
    )  # fmt: skip
    assert found[1] == (*[None] * 12, 0.0, None, None, None, "up")


def test_late_and_dead_records_have_their_share(database: Connection) -> None:
    for part, outcome, reason, n in (
        (0, "read", "", 30), (1, "read", "", 20), (0, "late", "", 4), (1, "late", "", 1),
        (0, "dead_letter", "bad_time", 2), (0, "applied", "", 43),
    ):  # fmt: skip
        database.execute("INSERT INTO stream_counters VALUES ('t', %s, %s, %s, %s, now())", [part, outcome, reason, n])
    assert query(database, "SELECT outcome, reason, n, read, share FROM late_and_dead ORDER BY n") == [
        ("dead_letter", "bad_time", 2, 50, 0.04),
        ("late", "", 5, 50, 0.1),
    ]


def rollup(database: Connection, series: int, at: datetime, value: float = 1.0, partition: int = 0) -> None:
    row = {
        **ROLLUP,
        "level": 300,
        "series_id": series,
        "time": at,
        "partition": partition,
        "first": value,
        "last": value,
    }
    insert(database, "metric_rollups", row | {"first_at": at, "last_at": at + timedelta(seconds=partition)})


def test_silence_is_measured_against_the_series_own_habit(database: Connection) -> None:
    now, today = query(database, "SELECT now(), date_trunc('day', now(), 'UTC')")[0]
    for number in (1, 2, 3):
        insert(database, "series", {"series_id": number, "entity": f"e{number}", "measure": "m", "kind": "metric"})
    for day in (3, 2, 1):
        for hour in range(0, 24, 6):
            rollup(database, 1, today - timedelta(days=day) + hour * HOUR)
    rollup(database, 2, today)
    rollup(database, 2, today, partition=1)
    found = query(
        database,
        "SELECT entity, last_at, silent_seconds, usual_seconds, times_usual, stale FROM source_freshness"
        " ORDER BY entity",
    )
    last = today - 6 * HOUR
    silent = (now - last).total_seconds()
    assert found[0] == ("e1", last, pytest.approx(silent), 21600.0, pytest.approx(silent / 21600), silent > 64800)
    assert found[1][:2] == ("e2", today + timedelta(seconds=1))
    assert found[1][3:] == (None, None, None)
    assert found[2] == ("e3", None, None, None, None, None)


def test_gaps_are_hours_that_a_series_usually_has(database: Connection) -> None:
    for number, hours in enumerate([[0, 1, 2, 3, 6, 7, 8], [0, 5, 10, 15, 25, 45], [3]], start=1):
        insert(database, "series", {"series_id": number, "entity": f"e{number}", "measure": "m", "kind": "metric"})
        for hour in hours:
            rollup(database, number, START + hour * HOUR)
    found = database.execute(
        "SELECT entity, gap_start, gap_end, missing_hours, usual_hours FROM gaps_between(%s, %s) ORDER BY entity",
        [START, START + timedelta(days=9)],
    ).fetchall()
    assert found == [
        ("e1", START + 4 * HOUR, START + 6 * HOUR, 2, 1.0),
        ("e2", START + 26 * HOUR, START + 45 * HOUR, 19, 5.0),
    ]
    assert query(database, "SELECT * FROM gaps") == []


def test_code_metrics_are_the_series_of_code_by_day(database: Connection) -> None:
    for number, kind in ((1, "code"), (2, "metric")):
        insert(database, "series", {"series_id": number, "entity": "shop:a.py", "measure": f"m{number}", "kind": kind})
        for hour, value in ((1, 10.0), (5, 14.0), (30, 12.0)):
            rollup(database, number, START + hour * HOUR, value)
    found = query(database, "SELECT day, entity, measure, n, first, last, change FROM code_metrics ORDER BY day")
    assert found == [
        (START, "shop:a.py", "m1", 2, 10.0, 14.0, 4.0),
        (START + timedelta(days=1), "shop:a.py", "m1", 1, 12.0, 12.0, 0.0),
    ]


def test_storage_knows_every_table_its_size_and_its_times(spread: Connection, twin: str) -> None:
    spread.execute("ANALYZE system_metrics; ANALYZE tasks")
    rows = query(
        spread,
        "SELECT table_name, rows_estimate, bytes, oldest, newest, kept_for, compressed_after, bytes_uncompressed"
        " FROM storage",
    )
    found = {name: rest for name, *rest in rows}
    tables = query(
        spread,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition",
    )
    assert set(found) == {name for (name,) in tables} | {"rollup_1h", "rollup_1d"}
    estimate, size, oldest, newest, kept, compressed, uncompressed = found["system_metrics"]
    assert estimate == 28
    assert size == uncompressed > 28 * 8192
    assert (oldest, newest) == (RECENT, RECENT + MONTH)
    assert kept == timedelta(days=90)
    assert compressed == (timedelta(days=7) if twin == "timescale" else None)
    assert found["tasks"][:1] + found["tasks"][2:6] == [60, None, None, None, None]


def test_the_reader_reads_the_views_and_not_their_tables(spread: Connection) -> None:
    views = [name for (name,) in query(spread, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")]
    tables = [name for (name,) in query(spread, "SELECT table_name FROM storage") if not name.startswith("rollup_1")]
    spread.execute("SET LOCAL ROLE hindsight_reader")
    for name in views:
        spread.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(name)))
    for name in tables:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), spread.transaction():
            spread.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(name)))
