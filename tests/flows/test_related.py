"""Groups of series on a database: links that grouping uses, joint patterns, and what a kill changes (nothing)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from flows.correlator import correlate
from flows.desk import CorrelatorConfig, Desk
from flows.related import Related, RelatedConfig
from operators.identity import series_id
from operators.incident.related import groups
from operators.incident.seen import MINUTE_US
from sinks import incidents as sink
from tests.flows.incident_rows import connect
from tests.flows.test_correlator import Clock
from tests.operators.incident.make import T0
from tests.operators.incident.test_related import SERIES
from tests.sql.rows import Connection, insert, query

CPU, QUEUE, DISK = ("web", "cpu_usage"), ("api{host=web}", "queue"), ("web", "disk_usage")
MINUTES = 1500
START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as connection:
        for (entity, measure), kind in ((CPU, "resource"), (QUEUE, "metric"), (DISK, "resource")):
            insert(
                connection, "series",
                {"series_id": series_id(entity, measure), "entity": entity, "measure": measure, "kind": kind},
            )  # fmt: skip
        yield connection


def write(connection: Connection, minutes: Mapping[int, Mapping[tuple[str, str], float]]) -> None:
    days = sorted({START + timedelta(days=minute // 1440) for minute in minutes})
    connection.execute("SELECT ensure_partitions('rollups_1m'::regclass, %s::timestamptz[])", [days])
    columns = "series_id, time, input, partition, n, sum, min, max, sum_squares, first, last, first_at, last_at"
    with connection.cursor() as cursor, cursor.copy(f"COPY rollups_1m ({columns}) FROM STDIN".encode()) as copy:
        for minute, values in minutes.items():
            at = START + timedelta(minutes=minute)
            for name, value in values.items():
                copy.write_row((series_id(*name), at, 1, 0, 1, *[value] * 3, value * value, value, value, at, at))


def coupled(noise: random.Random, minutes: int = MINUTES) -> dict[int, dict[tuple[str, str], float]]:
    """A queue that follows the CPU by five minutes, and a disk of its own."""
    past = [0.0] * 5
    found = {}
    for minute in range(minutes):
        past.append(noise.gauss(0, 1))
        found[minute] = {CPU: past[-1], QUEUE: past[-6] + noise.gauss(0, 0.5), DISK: noise.gauss(0, 1)}
    return found


def all_of(related: Related, connection: Connection, in_history: bool = True) -> None:
    while related.step(connection, in_history):
        pass


def test_a_lag_between_two_series_becomes_a_link_of_their_entities(connection: Connection) -> None:
    write(connection, coupled(random.Random(1)))
    related = Related(RelatedConfig(), Clock(T0))
    all_of(related, connection)
    ((first, second, tie),) = related.ties()
    assert (first, second, tie.kind, tie.lag_us) == ("web", "api{host=web}", "correlation", 5 * MINUTE_US)
    assert 0.5 < tie.strength <= 1.0
    (row,) = connection.execute(
        "SELECT entity, measure, severity, is_active, pattern_name, pattern_data -> 'contributors' -> 0 ->> 'name'"
        " FROM detected_patterns WHERE pattern_type = 'correlation'"
    ).fetchall()
    assert row[0] == second
    assert row[2:4] == ("info", True)
    assert f" of {second} follows " in row[4]
    assert first in row[5]
    assert Related(RelatedConfig(), Clock(T0)).ties() == []
    assert related.step(connection, True) is False, "nothing is left"


def test_a_kill_after_each_write_changes_nothing(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    write(connection, coupled(random.Random(2), 600))
    whole = Related(RelatedConfig(), Clock(T0))
    all_of(whole, connection)
    wanted = sink.read_state(connection, "related")
    connection.execute("DELETE FROM correlator_state")
    original = sink.write_state
    kills = 0
    more = True
    while more:
        # Each piece is killed once after its last write, and done by a new process.
        with monkeypatch.context() as patch:

            def kill(*given: object) -> int:
                original(*given)  # type: ignore[arg-type]
                raise InterruptedError

            patch.setattr(sink, "write_state", kill)
            related = Related(RelatedConfig(), Clock(T0))
            with pytest.raises(InterruptedError):
                related.step(connection, True)
        kills += 1
        more = related.step(connection, True)
    assert kills == 10
    assert sink.read_state(connection, "related") == wanted


def test_live_a_minute_is_fed_once_it_is_settled(connection: Connection) -> None:
    write(connection, {minute: {CPU: 1.0, QUEUE: 2.0} for minute in range(10)})
    clock = Clock(T0 + 10 * MINUTE_US)
    related = Related(RelatedConfig(), clock)
    all_of(related, connection, in_history=False)
    assert related._state is not None
    assert related._state.minute == T0 // MINUTE_US + 9
    clock.now_us += 45_000_000
    all_of(related, connection, in_history=False)
    assert related._state.minute == T0 // MINUTE_US + 10
    # An input that lags: what is not there yet is waited for.
    clock.now_us += 60 * MINUTE_US
    write(connection, {minute: {CPU: 1.0, QUEUE: 2.0} for minute in range(10, 20)})
    all_of(related, connection, in_history=False)
    assert related._state.minute == T0 // MINUTE_US + 19, "the newest may not be complete"


def test_what_is_unusual_about_a_group_is_a_pattern_in_an_incident(database: str, connection: Connection) -> None:
    noise = random.Random(1)
    load, minutes = 0.0, {}
    for minute in range(5000):
        load = 0.97 * load + noise.gauss(0, 1)
        if minute == 4500:
            load = 5.0
        cpu = 0.0 if 4500 <= minute < 4520 else load
        minutes[minute] = {
            CPU: 50 + cpu + noise.gauss(0, 0.3), QUEUE: 9 * load + noise.gauss(0, 3), DISK: noise.gauss(0, 1)
        }  # fmt: skip
    write(connection, minutes)
    swept = correlate(database)
    found = query(
        connection,
        "SELECT p.entity, p.measure, p.pattern_type, i.entity, p.opened_at, i.id, p.severity"
        " FROM detected_patterns AS p JOIN incident_patterns AS m ON m.pattern_id = p.id"
        " JOIN incidents AS i ON i.id = m.incident_id"
        " ORDER BY p.opened_at",
    )
    assert swept.patterns == len(found) >= 1
    for detector in ("multivariate", "forest"):
        first = next(row for row in found if row[2] == detector)
        assert first[:2] == ("web", "joint")
        assert first[3] == "web"
        assert START + timedelta(minutes=4500) < first[4] < START + timedelta(minutes=4515)
        assert first[6] in ("low", "medium")
    assert len({row[5] for row in found}) == 1, "of one cause, one incident"
    opened = (
        "SELECT count(*) FROM pattern_evolution AS e JOIN detected_patterns AS p ON p.id = e.pattern_id"
        " WHERE evolution_type = 'opened' AND pattern_type IN ('multivariate', 'forest')"
    )
    assert query(connection, opened) == [(len(found),)]


def test_switched_off_nothing_is_read(connection: Connection) -> None:
    write(connection, coupled(random.Random(1), 10))
    at = Desk(CorrelatorConfig(related=RelatedConfig(enabled=False)), Clock(T0 + 20 * MINUTE_US))
    at.step(connection)
    assert sink.read_state(connection, "related") is None
    assert groups(SERIES)
