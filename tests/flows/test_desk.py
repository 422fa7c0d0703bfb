"""What the settings say to the correlator, and which changes of incidents its steps note."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flows import desk
from flows.desk import CorrelatorConfig, Desk
from flows.settings import load
from operators.incident.seen import HOUR_US, MINUTE_US, GroupingConfig
from tests.flows.incident_rows import connect, put
from tests.flows.test_correlator import Clock
from tests.operators.incident.make import T0, seen
from tests.sql.rows import Connection, query


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as connection:
        yield connection


def test_the_group_config_comes_from_the_settings() -> None:
    given = load(
        env_file=None, incident_window_seconds=60, incident_burst_patterns=7, incident_inhibited_by="holidays,changes",
        holidays='["12-25"]', quiet_hours='[{"days": "sun", "from": "00:00", "to": "24:00"}]',
    )  # fmt: skip
    config = desk.config_of(given)
    assert config.grouping == GroupingConfig(window_us=MINUTE_US, burst_patterns=7)
    assert config.inhibited_by == ("holidays", "changes")
    assert config.calendar.at(T0 - HOUR_US) == ("quiet_hours", "quiet hours sun 00:00-24:00 UTC")


@pytest.mark.parametrize(("behind_us", "rows"), [(0, [("shifting", 0.5)]), (2 * HOUR_US, [])])
def test_moving_on_is_noted_live_and_not_of_an_old_history(
    connection: Connection, behind_us: int, rows: list[tuple[str, float]]
) -> None:
    at = Desk(CorrelatorConfig(), Clock(T0 + behind_us))
    for one in (seen("shop/main", 0, 1, kind="pipeline"), seen("shop/main/build", 2, kind="step")):
        put(connection, one)
        at.step(connection)
    found = query(connection, "SELECT evolution_type, change_magnitude FROM pattern_evolution")
    assert found == rows
