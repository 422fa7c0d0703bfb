"""What the tables say of nights: which ran last, and what each found first, again and no more."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from operators.identity import identity
from sources import nights
from tests.sinks.test_nightly import mined, night, write

NOW = datetime(2026, 1, 20, tzinfo=UTC)


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as held:
        yield held


def ran(connection, number, status="finished", at=NOW, ended=True):
    key = identity("nightly", str(number))
    connection.execute(
        "INSERT INTO nightly_runs (id, range_start, range_end, engine, status, problem, started_at, finished_at)"
        " VALUES (%s, %s, %s, 'embedded', %s, %s, %s, %s)",
        [key, night(-30), night(number), status, "no room" if status == "failed" else None, at, at if ended else None],
    )
    return key


def test_the_latest_run_and_when_one_last_finished(connection):
    assert nights.latest(connection) is None
    ran(connection, 0, at=NOW - timedelta(days=3))
    ran(connection, 1, status="failed")
    said = nights.latest(connection)
    assert (said.label, said.status, said.problem) == ("2026-01-05", "failed", "no room")
    assert said.finished_at == NOW - timedelta(days=3)
    assert said.is_stale(NOW) and not said.is_stale(NOW - timedelta(days=1.5))


def test_where_none_ever_finished_it_counts_from_the_last_start(connection):
    ran(connection, 0, status="running", ended=False)
    said = nights.latest(connection)
    assert said.finished_at is None
    assert said.is_stale(NOW + timedelta(days=2.1)) and not said.is_stale(NOW + timedelta(days=1.9))


def test_what_a_night_changed_is_the_same_however_often_it_is_asked(connection):
    one, two, three, gone = (mined(key) for key in "abcd")
    runs = {number: ran(connection, number) for number in range(4)}
    write(connection, [one, gone], 0)
    write(connection, [one, two], 1)
    write(connection, [one], 2)
    write(connection, [one, three], 3)

    first = nights.changed(connection, runs[0], night(0))
    assert first.first == {one.id, gone.id}
    assert first.later == {one.id}
    second = nights.changed(connection, runs[1], night(1))
    assert second.first == {two.id}
    assert (second.since, second.weakened[0].nights_missed) == ({one.id: night(0)}, 3)
    last = nights.changed(connection, runs[3], night(3))
    assert (last.first, last.since, last.later) == ({three.id}, {one.id: night(0)}, set())
    assert ([faded.nights_missed for faded in last.retired], [faded.nights_missed for faded in last.weakened]) == (
        [3],
        [2],
    )


def test_its_seconds_are_those_of_all_its_stages(connection):
    key = ran(connection, 0)
    for part, seconds in (("a", 2.5), ("b", 4.0)):
        connection.execute(
            "INSERT INTO nightly_stages (run_id, stage, part, input, output, items, seconds)"
            " VALUES (%s, 'mine', %s, repeat('a', 64), repeat('b', 64), 1, %s)",
            [key, part, seconds],
        )
    assert nights.changed(connection, key, night(0)).seconds == 6.5


def test_the_newest_row_is_of_the_past(connection):
    assert nights.newest_row(connection) is None
    times = [datetime(2019, 8, 8, 3, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)]
    connection.execute("SELECT ensure_partitions('integration_events'::regclass, %s::timestamptz[])", [times])
    for at in times:
        connection.execute(
            "INSERT INTO integration_events (id, event_type, source_system, event_data, event_timestamp, status)"
            " VALUES (gen_random_uuid(), 'x', 'y', '{}', %s, 'success')",
            [at],
        )
    assert nights.newest_row(connection) == times[0]
