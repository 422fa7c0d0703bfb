"""The correlator on a database: what it writes, what it says, and what a kill or a second process changes (nothing)."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from scipy import stats

from flows import correlator, desk
from flows.correlator import Correlator, correlate
from flows.desk import CorrelatorConfig, Desk
from operators.incident import changes
from operators.incident.entities import Tie
from operators.incident.grouping import incident_id
from operators.incident.seen import HOUR_US, MINUTE_US, Seen
from operators.notices import Notice
from sinks import incidents as sink
from tests.flows.incident_rows import connect, label, put, run, tables, when
from tests.operators.incident.make import T0, seen
from tests.sql.rows import Connection, insert, query

FAST = CorrelatorConfig(interval_s=0.05, gather_s=0.0)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as connection:
        yield connection


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def ended(one: Seen, minutes: float) -> Seen:
    end = one.opened_us + round(minutes * MINUTE_US)
    return msgspec.structs.replace(one, is_active=False, resolved_us=end, last_observed_us=end)


def test_one_incident_from_first_pattern_to_its_end(connection: Connection) -> None:
    clock = Clock(T0)
    at = Desk(CorrelatorConfig(), clock)
    test = seen("shop/main/test", 0, kind="step", measure="duration_s", severity="high", input="ci")
    run(connection, "shop/deploy", T0 - 20 * MINUTE_US, T0 - 15 * MINUTE_US, commit_sha="4f2a9c1e")
    run(connection, "other/deploy", T0 - 20 * MINUTE_US, T0 - 15 * MINUTE_US)
    put(connection, test)
    step = at.step(connection)
    ((told, revision),) = step.notices
    assert (told.severity, told.receiver, told.patterns, revision) == ("high", "page", 1, 1)
    assert told.changes == ("deployment shop/deploy 4f2a9c1e (success) at 2026-01-04T23:40:00.000Z",)
    assert told.incident_id == incident_id(test.pattern_id)
    assert query(connection, "SELECT entity, severity, age_seconds > 0 FROM incidents_open") == [
        ("shop/main", "high", True)
    ]
    assert query(connection, "SELECT count(*) FROM pattern_changes") == [(0,)]

    assert at.step(connection).notices == [], "nothing new"
    whole = seen("shop/main", 2, kind="pipeline", measure="duration_s", severity="medium", input="ci")
    put(connection, whole)
    clock.now_us = whole.opened_us
    ((told, revision),) = at.step(connection).notices
    assert (told.patterns, told.series, told.entity, revision) == (2, 2, "shop/main", 2)
    assert sum(share for _, share in told.contributors) == pytest.approx(1.0)
    assert query(
        connection,
        "SELECT relationship_type, parent_pattern_id, child_pattern_id, temporal_offset FROM pattern_relationships",
    ) == [("precedes", test.pattern_id, whole.pattern_id, 120)]
    assert query(
        connection,
        "SELECT classification_type, classification_value, human_verified FROM pattern_classifications"
        f" WHERE pattern_id = '{test.pattern_id}' ORDER BY 1",
    ) == [("category", "performance", False), ("class", "response_time_degradation", False)]

    put(connection, ended(test, 10), ended(whole, 12))
    clock.now_us = T0 + 14 * MINUTE_US
    assert at.step(connection).notices == [], "it might come back within the grace"
    clock.now_us += 5 * MINUTE_US
    ((told, _),) = at.step(connection).notices
    assert told.ended_us == T0 + 14 * MINUTE_US
    assert query(connection, "SELECT status, ended_at FROM incidents") == [("resolved", when(T0 + 14 * MINUTE_US))]
    assert query(connection, "SELECT count(*) FROM incidents_open") == [(0,)]


def test_a_cascade_over_twenty_series_gives_at_most_two_notices(connection: Connection) -> None:
    clock = Clock(T0)
    at = Desk(CorrelatorConfig(), clock)
    told: list[Notice] = []
    for number in range(20):
        put(connection, seen(f"host-{number}", number / 2, kind="resource", severity="high"))
        clock.now_us = T0 + number * MINUTE_US // 2
        for _ in range(3):  # ten seconds a step
            told += [notice for notice, _ in at.step(connection).notices]
            clock.now_us += 10_000_000
    firing = {notice.incident_id for notice in told if notice.ended_us is None}
    assert 1 <= len(firing) <= 2
    rows = query(connection, "SELECT patterns, is_wide, severity FROM incidents WHERE status = 'open'")
    assert rows == [(20, True, "critical")]


def history(noise: random.Random, days: int = 2, number: int = 120) -> list[Seen]:
    found = []
    for n in range(number):
        entity, kind = noise.choice(
            [("shop/main", "pipeline"), ("shop/main/test", "step"), ("web", "resource"), ("api{host=web}", "metric")]
        )
        at = noise.uniform(0, days * 24 * 60)
        found.append(
            seen(entity, round(at, 3), round(noise.uniform(0, 30), 3), n, kind=kind, score=noise.uniform(5, 20))
        )
    return found


def test_a_history_is_swept_alike_however_it_was_written(
    database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = random.Random(11)
    found = history(noise)
    results = []
    for most in (2000, 7):
        connection.execute(
            "TRUNCATE detected_patterns, incidents, incident_patterns, pattern_changes, correlator_state,"
            " pattern_relationships, pattern_classifications; DELETE FROM pattern_evolution"
        )
        noise.shuffle(found)
        put(connection, *found)
        monkeypatch.setattr(desk, "MOST_CHANGES", most)
        told: list[Notice] = []
        swept = correlate(database, on_notices=told.extend)
        assert (swept.leader, swept.patterns, swept.notices, told) == (True, 120, 0, []), "of old times nothing is said"
        results.append(tables(connection))
        assert query(connection, "SELECT count(*) FROM pattern_changes") == [(0,)]
    assert results[0] == results[1]
    assert query(connection, "SELECT DISTINCT status FROM incidents") == [("resolved",)]
    assert 10 < query(connection, "SELECT count(*) FROM incidents")[0][0] < 120
    again = correlate(database)
    assert (again.patterns, tables(connection)) == (0, results[0])


class Killed(Exception):
    pass


def test_killed_at_any_statement_nothing_is_lost_or_done_twice(
    database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of a step in turn is the last that happens; then another process goes on."""
    now = T0 + HOUR_US
    found = history(random.Random(5), days=1, number=25)
    wanted: list[dict[str, list[Any]]] = []
    writes = [
        "write_incidents", "write_members", "drop_members", "write_classified", "write_evolution", "write_relations",
        "done", "write_state",
    ]  # fmt: skip
    for victim in ["", *writes]:
        connection.execute(
            "TRUNCATE detected_patterns, incidents, incident_patterns, pattern_changes, correlator_state,"
            " pattern_relationships, pattern_classifications; DELETE FROM pattern_evolution"
        )
        told: dict[uuid.UUID, set[int]] = {}
        held = Desk(CorrelatorConfig(), Clock(now))
        for start in range(0, len(found), 5):
            put(connection, *found[start : start + 5])
            if victim:
                with monkeypatch.context() as patch, connect(database) as session:
                    original = getattr(sink, victim)

                    def kill(*given: Any, original: Callable[..., Any] = original) -> None:
                        original(*given)
                        raise Killed

                    patch.setattr(sink, victim, kill)
                    with pytest.raises(Killed):
                        held.step(session)
                if start % 10 == 0:
                    held = Desk(CorrelatorConfig(), Clock(now))
            for notice, revision in held.step(connection).notices:
                assert revision not in told.setdefault(notice.incident_id, set()), "told twice"
                told[notice.incident_id].add(revision)
        wanted.append(tables(connection))
        assert wanted[-1] == wanted[0], victim


def test_notices_that_were_not_taken_are_handed_over_after_a_restart(connection: Connection) -> None:
    pattern = seen("web", 0, severity="high")
    put(connection, pattern)
    ((told, revision),) = Desk(CorrelatorConfig(), Clock(T0)).step(connection).notices
    # The process is gone before anybody has taken it.
    assert Desk(CorrelatorConfig(), Clock(T0)).left_over(connection) == [(told, revision)]
    sink.note_sent(connection, {told.incident_id: revision})
    assert Desk(CorrelatorConfig(), Clock(T0)).left_over(connection) == [(told, revision)], "it goes on"
    put(connection, ended(pattern, 1))
    late = Desk(CorrelatorConfig(), Clock(T0 + 10 * MINUTE_US))
    late.step(connection)
    ((over, second),) = Desk(CorrelatorConfig(), Clock(T0 + 20 * MINUTE_US)).step(connection).notices
    assert (over.ended_us, second) == (T0 + MINUTE_US, 2)
    assert late.left_over(connection) == [(over, 2)]
    sink.note_sent(connection, {over.incident_id: 2})
    assert late.left_over(connection) == []


def test_a_retracted_pattern_takes_its_incident_back(connection: Connection) -> None:
    at = Desk(CorrelatorConfig(), Clock(T0))
    pattern = seen("web", 0)
    put(connection, pattern)
    at.step(connection)
    connection.execute("DELETE FROM detected_patterns")
    ((told, _),) = at.step(connection).notices
    assert told.ended_us == T0
    assert query(connection, "SELECT status, patterns FROM incidents") == [("retracted", 0)]
    assert query(connection, "SELECT count(*) FROM incident_patterns") == [(0,)]


def test_a_verdict_inhibits_and_counts_in_the_detectors_precision(connection: Connection) -> None:
    at = Desk(CorrelatorConfig(), Clock(T0))
    patterns = [seen("web", 0, number=n, kind="resource") for n in range(4)]
    put(connection, *patterns)
    at.step(connection)
    for one in patterns[:3]:
        label(connection, one.pattern_id, "expected")
    assert at.step(connection).notices == [], "one of them is not judged"
    label(connection, patterns[3].pattern_id, "true_positive")
    label(connection, patterns[3].pattern_id, "expected")
    ((told, _),) = at.step(connection).notices
    assert (told.inhibited, told.receiver) == ("expected: labelled by ada", "log")

    for number, one in enumerate(patterns):
        label(connection, one.pattern_id, "true_positive" if number else "false_positive")
    rows = query(
        connection,
        "SELECT detector, entity, measure, patterns, true_positives, false_positives, expected, precision,"
        " low, high FROM detector_precision ORDER BY entity NULLS FIRST",
    )
    interval = stats.binomtest(3, 4).proportion_ci(method="wilson")
    counts = (4, 3, 1, 0, 0.75, pytest.approx(interval.low), pytest.approx(interval.high))
    assert rows == [("spike", None, None, *counts), ("spike", "web", "m", *counts)]


def test_quiet_hours_annotate_and_inhibit_if_the_settings_say_so(connection: Connection) -> None:
    calendar = changes.Calendar(changes.quiet_windows([{"days": "mon", "from": "00:00", "to": "06:00", "name": "n"}]))
    at = Desk(CorrelatorConfig(calendar=calendar), Clock(T0))
    put(connection, seen("web", 0, severity="high"))
    ((told, _),) = at.step(connection).notices
    assert (told.changes, told.inhibited) == (("quiet hours n",), None)
    quiet = CorrelatorConfig(calendar=calendar, inhibited_by=("quiet_hours",))
    put(connection, seen("db", 9, severity="high"), seen("x", 18, severity="critical"))
    found = {
        notice.entity: notice.receiver for notice, _ in Desk(quiet, Clock(T0 + 18 * MINUTE_US)).step(connection).notices
    }
    assert found["db"] == "log"
    assert found["x"] == "page"


def test_causes_only_with_evidence(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    tie = [("db", "web", Tie(0.8, MINUTE_US, "correlation"))]
    monkeypatch.setattr("flows.desk.source.dependencies", lambda _: tie)
    clock = Clock(T0)
    at = Desk(CorrelatorConfig(), clock)
    for day in range(5):
        start = day * 24 * 60
        put(connection, seen("db", start, 5, kind="resource"), seen("web", start + 1, 5, kind="resource"))
        clock.now_us = T0 + start * MINUTE_US + 20 * MINUTE_US
        at.step(connection)
    found = query(
        connection,
        "SELECT relationship_type, count(*), max(relationship_strength) FROM pattern_relationships"
        " GROUP BY 1 ORDER BY 1",
    )
    assert [(kind, number) for kind, number, _ in found] == [("causes", 2), ("correlates_with", 5), ("precedes", 5)]
    assert found[1][2] == 0.8
    earlier = query(connection, "SELECT jsonb_array_length(earlier) FROM incidents ORDER BY started_at")
    assert [number for (number,) in earlier] == [0, 1, 2, 3, 4]


def until(met: Callable[[], bool], seconds: float = 10.0) -> None:
    limit = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < limit, "in vain"
        time.sleep(0.02)


def now_us() -> int:
    return time.time_ns() // 1000


def fresh(entity: str) -> Seen:
    """A pattern of now; inputs of their own, since a second one in the same is held back for a while."""
    return seen(entity, (now_us() - T0) / MINUTE_US, kind="resource", input=entity)


def test_one_of_two_processes_groups_and_the_other_takes_over(database: str, connection: Connection) -> None:
    told: dict[str, list[Notice]] = {"a": [], "b": []}
    first = Correlator(database, FAST, told["a"].extend)
    with Correlator(database, FAST, told["b"].extend):
        time.sleep(0.5)
        with first:
            put(connection, fresh("web"))
            until(lambda: bool(told["b"]))
            # The leader's session is gone, as after a kill.
            connection.execute(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
                " WHERE locktype = 'advisory' AND granted AND d.datname = current_database()"
            )
            put(connection, fresh("db"))
            until(lambda: len({n.entity for n in (*told["a"], *told["b"])}) == 2)
    assert query(connection, "SELECT count(*) FROM incidents WHERE revision = sent_revision") == [(2,)]
    with connect(database) as other:
        assert correlator.leads(other), "both have let go"
        assert correlate(database).leader is False


def test_a_change_is_told_within_a_second_and_a_failed_hand_over_is_repeated(
    database: str, connection: Connection
) -> None:
    taken: list[float] = []
    calls: list[int] = []

    def take(notices: Sequence[Notice]) -> None:
        calls.append(len(notices))
        if len(calls) == 1:
            raise OSError("away")
        taken.append(time.monotonic())

    with Correlator(database, CorrelatorConfig(interval_s=1.0), take):
        time.sleep(1.0)
        put(connection, fresh("web"))
        begun = time.monotonic()
        until(lambda: bool(taken))
    assert taken[0] - begun < 3.0
    assert calls[:2] == [1, 1]


def test_a_state_of_a_newer_version_is_left_alone(database: str, connection: Connection) -> None:
    insert(connection, "correlator_state", {"name": "grouper", "state": msgspec.msgpack.encode({"v": 99})})
    put(connection, seen("web", 0))
    with pytest.raises(correlator.CorrelatorError, match="version 99"):
        correlate(database)
    assert query(connection, "SELECT count(*) FROM pattern_changes") == [(1,)]


def test_a_state_written_by_another_process_is_never_overwritten(database: str, connection: Connection) -> None:
    one, other = Desk(FAST, Clock(T0)), Desk(FAST, Clock(T0))
    put(connection, seen("web", 0))
    one.step(connection)
    assert other._grouper is None
    put(connection, seen("web", 1))
    other.step(connection)
    put(connection, seen("web", 2))
    one.step(connection)
    assert query(connection, "SELECT patterns FROM incidents") == [(3,)]
    with pytest.raises(sink.Replaced):
        sink.write_state(connection, "grouper", b"", 1)


def test_the_writers_rights_are_enough(database: str, connection: Connection) -> None:
    info = connection.info
    login = f"correlator_{info.dbname}"
    connection.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'plain' IN ROLE hindsight_writer".encode())
    try:
        url = f"postgresql://{login}:plain@{info.host}:{info.port}/{info.dbname}"
        with connect(url) as writer:
            put(writer, seen("web", 0), seen("web", 1))
        assert correlate(url).patterns == 2
    finally:
        connection.execute(f"DROP OWNED BY {login}; DROP ROLE {login}".encode())
