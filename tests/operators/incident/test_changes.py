from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from flows.settings import SettingsError, load
from operators.incident.changes import Calendar, Change, deploys, holidays, inhibited, quiet_windows, shortly_before
from operators.incident.seen import MINUTE_US
from tests.operators.incident.make import T0, seen

HOUR = 60 * MINUTE_US


def us(text: str, zone: str = "Europe/Berlin") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


def test_windows_follow_the_clock_on_the_wall_through_both_changes_of_it() -> None:
    nights = Calendar(quiet_windows([{"days": "mon-sun", "from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}]))
    for day in ("2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25"):
        for hour in range(24):
            if (day, hour) == ("2026-03-29", 2):
                continue  # an hour that is not there
            at = nights.at(us(f"{day}T{hour:02}:30"))
            assert (at is not None) == (hour >= 22 or hour < 6), (day, hour)


def test_a_window_past_midnight_belongs_to_the_day_it_starts_on() -> None:
    friday = Calendar(quiet_windows([{"days": "fri", "from": "20:00", "to": "08:00", "name": "release night"}]))
    found = [hour for hour in range(7 * 24) if friday.at(T0 + hour * HOUR)]  # from Monday, 00:00 UTC
    assert found == list(range(4 * 24 + 20, 5 * 24 + 8))
    weekend = Calendar(quiet_windows([{"days": "sun-mon", "from": "00:00", "to": "24:00"}]))
    assert [day for day in range(7) if weekend.at(T0 + day * 24 * HOUR)] == [0, 6]


def test_holidays_of_one_year_and_of_each() -> None:
    days = Calendar((), holidays(["2026-04-06", "02-29", {"date": "10-03", "zone": "Europe/Berlin", "name": "Unity"}]))
    assert days.at(us("2026-10-03T00:30")) == ("holidays", "holiday Unity")
    assert days.at(us("2026-10-02T23:30")) is None
    assert [year for year in range(2024, 2029) if days.at(us(f"{year}-02-28T12:00", "UTC") + 24 * HOUR)] == [2024, 2028]
    assert [year for year in (2025, 2026, 2027) if days.at(us(f"{year}-04-06T12:00", "UTC"))] == [2026]
    assert days.at(10**18) is None, "beyond the calendar"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("quiet_hours", "[", "must be a JSON list"),
        ("quiet_hours", "{}", "must be a JSON list of weekly windows"),
        ("quiet_hours", '["mon"]', "must hold objects with days, from, to, name?, zone?, not 'mon'"),
        ("quiet_hours", '[{"days": "mon", "from": "25:00", "to": "06:00"}]', "must hold times like 22:00, not '25:00'"),
        ("quiet_hours", '[{"days": "mon", "from": "06:00", "to": "06:00"}]', "must hold windows of some length"),
        (
            "quiet_hours",
            '[{"days": "mon", "from": "05:00", "to": "06:00", "zone": "Mars/Olympus"}]',
            "must hold zones like Europe/Berlin, not 'Mars/Olympus'",
        ),
        ("holidays", '["2026-02-30"]', "must hold dates like 2026-12-25 or 12-25, not '2026-02-30'"),
        ("holidays", "[7]", "must hold objects with date, name?, zone?, not 7"),
        ("incident_inhibited_by", "weather", "must be of quiet_hours, holidays, changes, separated by commas"),
    ],
)
def test_a_wrong_setting_is_one_line(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(env_file=None, **{name: value})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_changes_shortly_before_and_in_the_same_tree() -> None:
    patterns = [seen("shop/main/test", 100, kind="step"), seen("shop/main", 101, kind="pipeline")]
    start = patterns[0].opened_us

    def deployment(entity: str, begun: float, ended: float) -> Change:
        return Change("deployment", entity, start - round(begun * MINUTE_US), start - round(ended * MINUTE_US))

    near, during = deployment("shop/deploy", 30, 20), deployment("shop/release", 5, -5)
    other, old, after = (
        deployment("bank/deploy", 30, 20),
        deployment("shop/deploy", 90, 61),
        deployment("shop/x", -1, -2),
    )
    setup = Change("configuration", "shop/main", start - HOUR, start - HOUR, "v7")
    everything = [near, during, other, old, after, setup]
    assert shortly_before(patterns, False, everything) == [during, near, setup]
    assert shortly_before(patterns, True, everything) == [during, other, near, setup]
    assert shortly_before(patterns, False, everything, 10 * MINUTE_US) == [during]


def test_what_deploys_is_said_by_name_or_trigger_and_not_by_a_branch() -> None:
    assert deploys("Deploy prod")
    assert deploys("ci", {"event": "release"})
    assert not deploys("ci", {"branch": "release/1.2"})
    assert not deploys("ci")


def test_only_what_the_settings_name_inhibits_and_never_what_is_critical() -> None:
    quiet = ("quiet_hours", "quiet hours n")
    assert inhibited("high", quiet, [], ["quiet_hours"]) == "quiet hours n"  # type: ignore[arg-type]
    assert inhibited("high", quiet, [], ["holidays", "changes"]) is None  # type: ignore[arg-type]
    assert inhibited("high", None, ["deployment x"], ["changes"]) == "known change: deployment x"
    assert inhibited("critical", quiet, ["deployment x"], ["quiet_hours", "changes"]) is None  # type: ignore[arg-type]
