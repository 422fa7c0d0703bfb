"""The host sampler on made-up readings, where every figure is known, and once on this machine."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from operators.events import decode, route
from operators.types import ResourceSampled
from sources import host
from sources.host import CoreTimes, HostSampler, Link, PsutilProbe, Reading, sample_every

START = Reading(
    at=100.0,
    cores=(CoreTimes(1000, 900), CoreTimes(1000, 800)),
    memory_total=1000,
    memory_available=600,
    swap_used=7,
    disk_total=5000,
    disk_used=2000,
    disk_percent=41.5,
    disk_read_bytes=10_000,
    disk_write_bytes=20_000,
    links={"eth0": Link(0, 0, 100.0)},
)
NOW = datetime(2026, 1, 5, 11, 15, 30, 250_000, tzinfo=timezone(timedelta(hours=1)))


def sampler(*readings: Reading, **options: Any) -> HostSampler:
    return HostSampler(
        "web-1", probe=iter(readings).__next__, now=lambda: NOW, session="s", nominal_mbit=1000.0, **options
    )


def sample(*readings: Reading) -> dict[str, dict[str, Any]]:
    """The data of each event of one interval over the readings."""
    under_test = sampler(*readings)
    for _ in readings[2:]:
        under_test.observe()
    return {event["data"]["resource_type"]: event["data"] for event in under_test.sample()}


def test_events_are_the_contract() -> None:
    later = replace(START, at=110.0, cores=(CoreTimes(1010, 905), CoreTimes(1010, 810)))
    under_test = sampler(START, later, replace(later, at=120.0))
    events = under_test.sample()
    assert [event["id"] for event in events] == ["s-1-cpu", "s-1-memory", "s-1-disk", "s-1-network"]
    assert {event["source"] for event in events} == {"host://web-1"}
    assert {event["time"] for event in events} == {"2026-01-05T10:15:30.250000Z"}
    for event in events:
        decoded = decode(json.dumps(event).encode())
        assert isinstance(decoded, ResourceSampled)
        assert route(decoded).key == f"web-1:{event['data']['resource_type']}"
    assert {event["id"] for event in under_test.sample()}.isdisjoint(event["id"] for event in events)


def test_cpu_is_the_whole_interval_and_the_peak_is_of_a_core() -> None:
    # Core 0: idle, then all busy. Core 1: idle throughout.
    middle = replace(START, at=105.0, cores=(CoreTimes(1005, 905), CoreTimes(1005, 805)))
    end = replace(START, at=110.0, cores=(CoreTimes(1010, 905), CoreTimes(1010, 810)))
    cpu = sample(START, middle, end)["cpu"]
    assert cpu["usage_percentage"] == 25.0
    assert cpu["absolute_value"] == 0.5
    assert cpu["peak_usage"] == 100.0
    assert cpu["average_usage"] == 25.0
    assert cpu["context_data"]["per_core_percentage"] == [50.0, 0.0]
    assert cpu["context_data"]["sub_samples"] == 2
    assert cpu["context_data"]["interval_s"] == 10.0


def test_an_interval_begins_where_the_last_ended() -> None:
    first = replace(START, at=101.0, cores=(CoreTimes(1001, 900), CoreTimes(1001, 800)))
    second = replace(START, at=102.0, cores=(CoreTimes(1002, 901), CoreTimes(1002, 801)))
    under_test = sampler(START, first, second)
    shares = [under_test.sample()[0]["data"]["usage_percentage"] for _ in range(2)]
    assert shares == [100.0, 0.0]


def test_cores_that_come_go_or_do_not_tick() -> None:
    assert "cpu" not in sample(START, START)
    gone = replace(START, at=110.0, cores=(CoreTimes(1010, 905),))
    assert sample(START, gone)["cpu"]["usage_percentage"] == 50.0
    backwards = replace(START, at=110.0, cores=(CoreTimes(1010, 890), CoreTimes(1010, 900)))
    assert sample(START, backwards)["cpu"]["context_data"]["per_core_percentage"] == [100.0, 0.0]


def test_memory_and_disk() -> None:
    middle = replace(START, at=105.0, memory_available=100)
    end = replace(START, at=110.0, memory_available=500, disk_read_bytes=10_500, disk_write_bytes=0)
    found = sample(START, middle, end)
    assert found["memory"]["usage_percentage"] == 50.0
    assert found["memory"]["absolute_value"] == 500
    assert found["memory"]["peak_usage"] == 90.0
    assert found["memory"]["average_usage"] == 70.0
    assert found["disk"]["usage_percentage"] == 41.5
    assert found["disk"]["absolute_value"] == 2000
    assert found["disk"]["context_data"]["read_bytes_per_s"] == 50.0
    assert found["disk"]["context_data"]["write_bytes_per_s"] == 0.0  # the counter was reset


def test_network_is_the_busiest_link_in_its_busier_direction() -> None:
    links = {"eth0": Link(1_000_000, 25_000_000, 100.0), "eth1": Link(50_000_000, 0, 10_000.0)}
    before = replace(START, links={name: Link(0, 0, link.speed_mbit) for name, link in links.items()})
    network = sample(before, replace(before, at=110.0, links=links))["network"]
    # 25 MB in 10 s are 20 Mbit/s, of 100.
    assert network["usage_percentage"] == 20.0
    assert network["absolute_value"] == 2_600_000.0
    assert network["context_data"]["link"] == "eth0"
    assert network["context_data"]["link_speed_source"] == "reported"
    assert network["context_data"]["links"] == 2


def test_network_of_unknown_speed_and_above_its_speed() -> None:
    before = replace(START, links={"veth": Link(0, 0, 0.0)})
    half = replace(before, at=101.0, links={"veth": Link(62_500_000, 0, 0.0)})
    network = sample(before, half)["network"]
    assert network["usage_percentage"] == 50.0
    assert network["context_data"]["link_speed_mbit"] == 1000.0
    assert network["context_data"]["link_speed_source"] == "nominal"
    flood = replace(before, at=101.0, links={"veth": Link(10**12, 0, 0.0)})
    assert sample(before, flood)["network"]["usage_percentage"] == 100.0


def test_network_links_that_come_go_or_are_reset() -> None:
    assert "network" not in sample(replace(START, links={}), replace(START, at=110.0, links={}))
    assert "network" not in sample(replace(START, links={}), replace(START, at=110.0))
    busy = replace(START, links={"eth0": Link(10**9, 10**9, 100.0)})
    assert sample(busy, replace(START, at=110.0))["network"]["usage_percentage"] == 0.0


def test_host_names_are_quoted_in_the_source() -> None:
    under_test = HostSampler("a/b c", probe=itertools.repeat(START).__next__)
    assert under_test.source == "host://a%2Fb%20c"
    assert under_test.sample()[0]["data"]["host"] == "a/b c"


def test_ids_differ_between_sessions() -> None:
    ids = {HostSampler("h", probe=itertools.repeat(START).__next__).sample()[0]["id"] for _ in range(5)}
    assert len(ids) == 5


def test_linux_counts_guests_twice_and_the_loopback_is_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    class Times(tuple[float, ...]):
        idle, iowait, guest, guest_nice = 50.0, 5.0, 20.0, 1.0

    assert host._core(Times((100.0, 5.0, 50.0, 20.0, 1.0))) == CoreTimes(total=155.0, idle=55.0)
    up = type("Stats", (), {"isup": True, "speed": 0})
    down = type("Stats", (), {"isup": False, "speed": 0})
    traffic = type("Traffic", (), {"bytes_sent": 1, "bytes_recv": 2})
    stats = {"lo": up, "lo0": up, "eth0": up, "eth1": down, "lower": up}
    monkeypatch.setattr(psutil, "net_if_stats", lambda: stats)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: dict.fromkeys([*stats, "odd"], traffic))
    assert set(host._links()) == {"eth0", "lower"}


def test_no_block_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    assert PsutilProbe()().disk_read_bytes == 0


def test_this_machine() -> None:
    under_test = HostSampler()
    events: list[dict[str, Any]] = []
    assert sample_every(under_test, 0.3, events.extend, wait=threading.Event().wait, count=1) == 1
    found = {event["data"]["resource_type"]: event["data"] for event in events}
    assert {"cpu", "memory", "disk"} <= set(found)
    assert found["cpu"]["context_data"]["cores"] <= (psutil.cpu_count() or 1)
    assert found["memory"]["context_data"]["total"] == psutil.virtual_memory().total
    for event in events:
        assert 0 <= event["data"]["usage_percentage"] <= 100
        decode(json.dumps(event).encode())
        assert abs(datetime.now(UTC) - datetime.fromisoformat(event["time"])) < timedelta(seconds=30)


class Clock:
    """Time that passes only in `wait`; `stall` seconds pass once during a sample."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_at: float) -> None:
        self.now = 0.0
        self.stop_at = stop_at
        monkeypatch.setattr("sources.host.time.monotonic", lambda: self.now)

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now >= self.stop_at


def test_samples_stay_on_the_grid_and_skip_what_was_slept_through(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, stop_at=100.0)
    under_test = HostSampler("h", probe=lambda: replace(START, at=clock.now))
    at: list[float] = []

    def emit(events: list[dict[str, Any]]) -> None:
        at.append(round(clock.now, 6))
        clock.now += 0.3 if len(at) != 3 else 27.0

    count = sample_every(under_test, 5.0, emit, wait=clock.wait)
    assert count == len(at)
    assert at[:6] == [5.0, 10.0, 15.0, 42.0, 47.0, 52.0]


def test_a_wish_to_stop_ends_it_between_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, stop_at=12.0)
    under_test = HostSampler("h", probe=lambda: replace(START, at=clock.now))
    assert sample_every(under_test, 5.0, lambda events: None, wait=clock.wait) == 2
