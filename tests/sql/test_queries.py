"""Every question of sql/queries: asked by a reader, with its defaults, of no rows and of some weeks of work."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from flows.docs_queries import queries_page
from sinks.maintain import maintain
from sql.questions import Question, QuestionError, question, questions
from sql.store import queries as store
from tests.conftest import temporary_database
from tests.sql.rows import PATTERN, ROLLUP, Connection, insert, query
from tests.sql.work import FAILURES, Row, Work, write, write_all

DAYS = 21
NAMES = [one.name for one in questions()]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def empty(database_url: str, migrated_template: str) -> Iterator[Connection]:
    """A reader of a database without rows."""
    with temporary_database(database_url, migrated_template) as url, psycopg.connect(url, autocommit=True) as reader:
        reader.execute("SET ROLE hindsight_reader")
        yield reader


@pytest.fixture(scope="module")
def filled(module_database: str) -> Iterator[tuple[Connection, dict[str, list[Row]], datetime]]:
    """A reader of some weeks up to now, most of them summed up; the rows that are there; and the start of today."""
    with psycopg.connect(module_database, autocommit=True, options="-c timezone=UTC") as connection:
        today = query(connection, "SELECT date_trunc('day', now(), 'UTC')")[0][0]
        work = Work(1, today - timedelta(days=DAYS - 1), DAYS - 1)
        work.runs(400)
        work.tasks(100)
        work.integrations(300)
        write_all(connection, work)
        maintain(module_database)
        recent(connection, work, today)
        series(connection, today)
        patterns(connection, today)
        nights(connection, today)
        connection.execute(
            "INSERT INTO stream_counters VALUES ('t', 0, 'read', '', 9, now()), ('t', 0, 'late', '', 2, now())"
        )
        insert(connection, "dead_letters", {
            "id": uuid.uuid4(), "topic": "t", "partition": 0, "record_offset": 7, "reason": "bad_json",
            "record_value": b"{", "received_at": datetime.now(tz=today.tzinfo) - HOUR / 2,
        })  # fmt: skip
        with psycopg.connect(module_database, autocommit=True) as reader:
            reader.execute("SET ROLE hindsight_reader")
            yield reader, work.rows, today


def recent(connection: Connection, work: Work, today: datetime) -> None:
    """Work of the last hour, which nothing has summed up yet; one run has been going on since three days ago."""
    now = query(connection, "SELECT now() - interval '30 min'")[0][0]
    last = Work(2, now, 1)
    last.moment = lambda: now  # type: ignore[method-assign]
    last.runs(30)
    last.integrations(20)
    last.rows["pipeline_executions"].append(
        {
            **last.rows["pipeline_executions"][0], "id": last.id(), "execution_id": "stuck", "status": "running",
            "execution_start": now - timedelta(days=3), "execution_end": None, "total_duration": None,
        }
    )  # fmt: skip
    write_all(connection, last)
    for table, rows in last.rows.items():
        work.rows[table] += rows


def series(connection: Connection, today: datetime) -> None:
    """A metric of the shop with a gap and its samples, a resource, and code; all silent today but for the shop."""
    now = query(connection, "SELECT date_bin('5 min', now(), '2000-01-01Z') - interval '5 min'")[0][0]
    times = {
        1: [*(today - timedelta(days=16) + HOUR * n for n in range(14 * 24) if n % 100 != 40), now],
        2: [today - timedelta(days=2) + HOUR * n for n in range(24)] + [now],
        3: [today - timedelta(days=n) for n in (40, 20, 3)],
        4: [today - timedelta(days=9) + HOUR * n for n in range(48)],
    }
    names = {1: ("shop", "response_time", "metric"), 2: ("web-1", "cpu_usage", "resource"),
             3: ("shop:a.py", "complexity", "code"), 4: ("gone", "response_time", "metric")}  # fmt: skip
    # The gap that the default range of a week shows.
    times[1] += [today - timedelta(days=2) + HOUR * n for n in range(40) if n % 20 != 7]
    for number, (entity, measure, kind) in names.items():
        insert(connection, "series", {"series_id": number, "entity": entity, "measure": measure, "kind": kind})
        for level in (300, 60):
            rows = [
                {**ROLLUP, "series_id": number, "time": at, "sum": float(n), "min": float(n), "max": float(n),
                 "first": float(n), "last": float(n), "first_at": at, "last_at": at}
                for n, at in enumerate(sorted(set(times[number])), start=1)
            ]  # fmt: skip
            for row in rows:
                del row["level"]
            write(connection, {300: "rollups_5m", 60: "rollups_1m"}[level], rows)
    insert(connection, "system_metrics", {
        "event_key": 1, "metric_name": "response_time", "metric_value": 2.5, "collected_at": now,
        "source_system": "shop",
    })  # fmt: skip


def patterns(connection: Connection, today: datetime) -> None:
    for number in range(6):
        at = today - timedelta(days=number, hours=1)
        row = {
            **PATTERN, "id": uuid.UUID(int=number), "opened_at": at, "detected_at": at, "last_observed_at": at,
            "severity": "critical" if number % 2 else "low", "is_active": number < 3,
            "resolved_at": None if number < 3 else at + HOUR, "pattern_data": Jsonb({"class": "spike"}),
        }  # fmt: skip
        insert(connection, "detected_patterns", row)
        if number in (0, 3, 4):
            insert(connection, "pattern_classifications", {
                "id": uuid.uuid4(), "pattern_id": row["id"], "classification_type": "verdict",
                "classification_value": "true_positive" if number == 3 else "false_positive",
                "classification_confidence": 1.0, "classifier_model": "human", "classified_at": at,
                "human_verified": True, "verification_timestamp": at,
            })  # fmt: skip


def nights(connection: Connection, today: datetime) -> None:
    """Two nights; the last one found one thing of a bad source for the first time, and two of others again."""
    for days, summary in ((1, {"new": 2, "again": 0}), (0, {"new": 1, "again": 2})):
        at = today - timedelta(days=days)
        insert(connection, "nightly_runs", {
            "id": uuid.UUID(int=900 + days), "range_start": at - timedelta(days=30), "range_end": at,
            "engine": "embedded", "status": "finished", "summary": Jsonb(summary), "started_at": at, "finished_at": at,
        })  # fmt: skip
    for table, source, status, problems in (
        ("runs", "shop", "bad", ["9 twice"]), ("steps", "shop", "notice", ["a gap"]), ("runs", "calm", "good", []),
    ):  # fmt: skip
        insert(connection, "nightly_quality", {
            "run_id": uuid.UUID(int=900), "table_name": table, "source": source, "n": 9, "active_days": 9,
            "coverage": 0.5, "longest_gap_days": 3, "stale_days": 1.0, "duplicates": 0, "impossible": 0,
            "checks": Jsonb({}), "missing": Jsonb({}), "status": status, "problems": problems,
        })  # fmt: skip
    for number, (entity, first, found) in enumerate(
        [("shop/build", 0, 0), ("calm", 1, 0), ("unheard", 1, 0), ("shop", 1, 1)]
    ):
        data = {"class": "failure_mode", "support": 4, "total": 9, "status": "confirmed", "missed": [],
                "found_at": (today - timedelta(days=found)).isoformat()}  # fmt: skip
        insert(connection, "detected_patterns", {
            **PATTERN, "id": uuid.UUID(int=800 + number), "entity": entity, "severity": "info", "is_active": True,
            "detection_algorithm": "nightly: flaky", "pattern_type": "flaky", "pattern_data": Jsonb(data),
            "significance_score": 0.9 - number / 10, "explanation": f"{entity} is flaky.",
            "opened_at": today - timedelta(days=9), "last_observed_at": today - timedelta(days=1),
            "detected_at": today - timedelta(days=first), "resolved_at": None,
        })  # fmt: skip


def ask(reader: Connection, name: str, **given: Any) -> list[dict[str, Any]]:
    cursor = reader.execute(question(name).text(given).encode(), given)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("name", NAMES)
def test_each_runs_on_no_rows(empty: Connection, name: str) -> None:
    assert ask(empty, name) == [] or name == "storage"


@pytest.mark.parametrize("name", NAMES)
def test_each_finds_what_is_there(filled: Any, name: str) -> None:
    reader, _, _ = filled
    given = {"pipeline_by_day": {"pipeline": "shop/build"}}.get(name, {})
    found = ask(reader, name, **given)
    assert found
    # As it stands in the page, for any client.
    assert len(reader.execute(question(name).filled().encode()).fetchall()) == len(found)


def runs(rows: dict[str, list[Row]], since: datetime) -> list[Row]:
    return [row for row in rows["pipeline_executions"] if row["execution_start"] >= since]


def test_failing_pipelines_are_those_with_the_most_failures(filled: Any) -> None:
    reader, rows, today = filled
    since = today - timedelta(days=10)
    failed = Counter(row["pipeline_name"] for row in runs(rows, since) if row["status"] in FAILURES)
    found = ask(reader, "pipelines_failing", **{"from": since, "most": 2})
    assert [(row["pipeline_name"], row["failed"]) for row in found] == sorted(
        failed.items(), key=lambda pair: (-pair[1], pair[0])
    )[:2]


def test_pipelines_are_compared_with_the_week_before(filled: Any) -> None:
    reader, rows, today = filled
    weeks: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for row in runs(rows, today - timedelta(days=14)):
        if row["execution_start"] < today and row["status"] in ("success", *FAILURES):
            week = weeks[row["pipeline_name"]]
            week[row["execution_start"] >= today - timedelta(days=7)].append(row["total_duration"])
    wanted = {name: sum(new) / len(new) / (sum(old) / len(old)) - 1 for name, (old, new) in weeks.items()}
    found = ask(reader, "pipelines_slower")
    assert [row["pipeline_name"] for row in found] == sorted(wanted, key=lambda name: -wanted[name])
    assert [row["slower_by"] for row in found] == pytest.approx(sorted(wanted.values(), reverse=True))


def test_time_goes_into_the_steps_that_take_most_of_it(filled: Any) -> None:
    reader, rows, today = filled
    since = today - timedelta(days=6)
    seconds: Counter[tuple[str, str]] = Counter()
    for row in rows["step_executions"]:
        if row["execution_start"] >= since and row["execution_end"] and row["status"] in ("success", *FAILURES):
            took = (row["execution_end"] - row["execution_start"]).total_seconds()
            seconds[row["pipeline_name"], row["step_name"]] += took
    found = ask(reader, "steps_slowest", **{"from": since})
    assert [(row["pipeline_name"], row["step_name"]) for row in found] == [name for name, _ in seconds.most_common()]
    assert [row["hours"] * 3600 for row in found] == pytest.approx([took for _, took in seconds.most_common()])
    assert sum(row["share_of_all"] for row in found) == pytest.approx(1)


def test_a_failed_run_names_its_first_failed_step(filled: Any) -> None:
    reader, rows, today = filled
    since = today - timedelta(days=2)
    steps: dict[uuid.UUID, dict[int, str]] = defaultdict(dict)
    for step in rows["step_executions"]:
        if step["status"] in FAILURES:
            steps[step["pipeline_execution_id"]][step["step_order"]] = step["step_name"]
    wanted = {
        (row["pipeline_name"], row["execution_start"], row["execution_id"]): min(steps[row["id"]].items())[1]
        if steps[row["id"]]
        else None
        for row in runs(rows, since)
        if row["status"] in FAILURES
    }
    found = ask(reader, "runs_failed", **{"from": since, "most": 1000})
    assert {
        (row["pipeline_name"], row["execution_start"], row["execution_id"]): row["failed_step"] for row in found
    } == wanted


def test_a_run_is_stuck_when_it_takes_longer_than_usual(filled: Any) -> None:
    reader, rows, today = filled
    found = {row["execution_id"]: row for row in ask(reader, "runs_stuck")}
    assert found["stuck"]["seconds_so_far"] == pytest.approx(3 * 86400 + 1800, abs=300)
    running = {row["execution_id"] for row in runs(rows, today - timedelta(days=8)) if row["status"] == "running"}
    assert set(found) <= running


def test_the_oldest_tasks_come_first_and_can_be_asked_by_project(filled: Any) -> None:
    reader, _, _ = filled
    everything = ask(reader, "tasks_oldest", most=1000)
    ages = [row["days_open"] for row in everything if row["days_open"] is not None]
    assert ages == sorted(ages, reverse=True)
    assert [row["days_open"] for row in everything[len(ages) :]] == [None] * (len(everything) - len(ages))
    assert {row["project_name"] for row in everything} == {"P1", "P2", None}
    assert {row["project_name"] for row in ask(reader, "tasks_oldest", project="P2")} == {"P2"}


def test_integrations_are_added_up_over_days(filled: Any) -> None:
    reader, rows, today = filled
    since = today - timedelta(days=5)
    wanted = Counter(
        (row["source_system"], row["target_system"], row["event_type"])
        for row in rows["integration_events"]
        if row["event_timestamp"] >= since
    )
    found = ask(reader, "integrations_failing", **{"from": since})
    assert {(row["source_system"], row["target_system"], row["event_type"]): row["events"] for row in found} == wanted


def test_patterns_are_counted_and_judged(filled: Any) -> None:
    reader, _, _ = filled
    assert [row["severity"] for row in ask(reader, "patterns_open")] == ["critical", "low"]
    assert sum(row["opened"] for row in ask(reader, "patterns_by_day")) == 6
    assert [(row["judged"], row["right_ones"]) for row in ask(reader, "patterns_judged")] == [(3, 1)]
    assert [(row["opened"], row["false_alarms"]) for row in ask(reader, "patterns_noisiest")] == [(6, 2)]


def test_what_has_fallen_silent_and_what_has_gaps(filled: Any) -> None:
    reader, _, today = filled
    silent = [row["entity"] for row in ask(reader, "sources_silent")]
    assert "gone" in silent
    assert "shop" not in silent
    gaps = [row for row in ask(reader, "sources_gaps") if row["entity"] == "shop"]
    start = today - timedelta(days=2) + 7 * HOUR
    assert (start, start + HOUR, 1) in [(row["gap_start"], row["gap_end"], row["missing_hours"]) for row in gaps]


def test_code_changes_from_the_first_to_the_last_day(filled: Any) -> None:
    found = ask(filled[0], "code_changes")
    assert [(row["entity"], row["first"], row["last"], row["change"]) for row in found] == [
        ("shop:a.py", 1.0, 3.0, 2.0)
    ]


def test_the_page_shows_every_question() -> None:
    page = queries_page("note")
    for one in questions():
        assert page.count(f"### {one.asks}\n\n`{one.name}`: ") == 1
        assert one.filled() in page


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1", "does not begin"),
        ("-- What?\nSELECT 1", "does not begin"),
        ("-- What?\n-- With: most = 5\nSELECT 1", "its parameters"),
        ("-- What?\n-- With: most = 5\nSELECT %(most)s, %(more)s", "its parameters"),
    ],
)
def test_a_file_that_is_no_question_is_named(monkeypatch: pytest.MonkeyPatch, text: str, problem: str) -> None:
    monkeypatch.setattr("sql.questions.query", lambda name: text.encode())
    with pytest.raises(QuestionError, match=problem):
        question.__wrapped__("some_name")


def test_parameters_that_are_not_given_become_their_defaults() -> None:
    one = Question("n", "What?", "SELECT %(a)s::int + %(b)s, '%%'", {"a": "1 - 2", "b": "3"})
    assert one.text() == "SELECT (1 - 2)::int + 3, '%%'"
    assert one.text(["b"]) == "SELECT (1 - 2)::int + %(b)s, '%%'"
    assert one.filled() == "SELECT (1 - 2)::int + 3, '%'"
    with pytest.raises(QuestionError, match="n has no parameter c"):
        one.text(["c"])
    assert store.query("tasks_oldest").startswith(b"-- ")


def test_findings_of_the_last_night_come_with_the_quality_of_their_data(filled: Any) -> None:
    reader, _, _ = filled
    found = {row["sentence"]: (row["is_new"], row["data"], row["problems"]) for row in ask(reader, "nights_findings")}
    assert found == {
        "shop/build is flaky.": (True, "bad", ["runs: 9 twice", "steps: a gap"]),
        "calm is flaky.": (False, "good", None),
        "unheard is flaky.": (False, "unknown", None),
    }
    assert [row["sentence"] for row in ask(reader, "nights_findings", score=0.85)] == ["shop/build is flaky."]


def test_nights_are_the_latest_first_with_what_they_found(filled: Any) -> None:
    reader, _, today = filled
    assert [(row["range_end"], row["new"], row["again"], row["retired"]) for row in ask(reader, "nights_lately")] == [
        (today, 1, 2, None), (today - timedelta(days=1), 2, 0, None),
    ]  # fmt: skip
