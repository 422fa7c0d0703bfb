"""Samples of this machine: cpu, memory, disk and network as `resource.sampled.v1` events.

`usage_percentage` is percent (0 to 100); the other numbers mean:

| resource | `usage_percentage` | `absolute_value` | `peak_usage`, `average_usage` of the sub-samples |
|---|---|---|---|
| cpu | busy share of all cores | busy cores | busiest single core, mean |
| memory | (total - available) / total | bytes in use | greatest, mean |
| disk | used share of one file system | bytes in use | none |
| network | share of the link's speed, in its busier direction | bytes a second | greatest, mean |

The network sample is of the link that was busiest. Where it does not work well: inside a container the
numbers are those of the whole machine, not of the container's limit; the speed of a virtual link is a guess
(`nominal_mbit`), which `context_data.link_speed_source` then says.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Protocol
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]

EVENT_TYPE = "dev.hindsight.resource.sampled.v1"
NOMINAL_MBIT = 1000.0
"""Assumed speed of a link that reports none, in Mbit/s."""


@dataclass(frozen=True)
class CoreTimes:
    """Cumulative seconds of one core since boot."""

    total: float
    idle: float


@dataclass(frozen=True)
class Link:
    """A network interface: cumulative bytes, and its speed in Mbit/s (0 = not known)."""

    sent: int
    received: int
    speed_mbit: float


@dataclass(frozen=True)
class Reading:
    """Everything read from the operating system at one moment; `at` is monotonic seconds."""

    at: float
    cores: tuple[CoreTimes, ...]
    memory_total: int
    memory_available: int
    swap_used: int
    disk_total: int
    disk_used: int
    disk_percent: float
    disk_read_bytes: int
    disk_write_bytes: int
    links: Mapping[str, Link]


class Probe(Protocol):
    """Reads the machine; tests bring their own."""

    def __call__(self) -> Reading:
        """What the machine says now."""


@dataclass(frozen=True)
class PsutilProbe:
    """The probe of the real machine. `path` chooses the file system whose fill is measured."""

    path: str = "/"

    def __call__(self) -> Reading:
        """What psutil says now; raises `OSError` when `path` is gone."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(self.path)
        traffic = psutil.disk_io_counters()
        return Reading(
            at=time.monotonic(),
            cores=tuple(_core(times) for times in psutil.cpu_times(percpu=True)),
            memory_total=memory.total,
            memory_available=memory.available,
            swap_used=psutil.swap_memory().used,
            disk_total=disk.total,
            disk_used=disk.used,
            disk_percent=disk.percent,
            # Containers and some virtual machines show no block devices.
            disk_read_bytes=traffic.read_bytes if traffic else 0,
            disk_write_bytes=traffic.write_bytes if traffic else 0,
            links=_links(),
        )


class HostSampler:
    """Turns readings into events; one call of :meth:`sample` closes one interval.

    Call :meth:`observe` several times an interval: peaks and averages are over these sub-samples. Shares of
    cpu and network are taken from the difference of counters, so no load between two readings is missed.

    >>> sampler = HostSampler(host="web-1")
    >>> "memory" in [event["data"]["resource_type"] for event in sampler.sample()]
    True
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        probe: Probe | None = None,
        nominal_mbit: float = NOMINAL_MBIT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        session: str | None = None,
    ) -> None:
        """`session` is the first part of every id, and random unless given: ids never repeat across
        restarts."""
        self.host = host or socket.gethostname() or "localhost"
        self.source = f"host://{quote(self.host, safe='')}"
        self._probe = probe or PsutilProbe()
        self._nominal_mbit = nominal_mbit
        self._now = now
        self._session = session or secrets.token_hex(8)
        self._number = 0
        self._readings: list[Reading] = [self._probe()]

    def observe(self) -> None:
        """Take one sub-sample of the running interval."""
        self._readings.append(self._probe())

    def sample(self) -> list[dict[str, Any]]:
        """Close the interval that began with the last call and return its four events, all of the same
        `time`.

        A resource that cannot be measured (no network link, no clock tick in the interval) gives no event.
        """
        self.observe()
        readings, self._readings = self._readings, self._readings[-1:]
        stamp = self._now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        self._number += 1
        measured = {
            "cpu": _cpu(readings),
            "memory": _memory(readings),
            "disk": _disk(readings),
            "network": _network(readings, self._nominal_mbit),
        }
        return [
            {
                "specversion": "1.0",
                "id": f"{self._session}-{self._number}-{resource}",
                "source": self.source,
                "type": EVENT_TYPE,
                "time": stamp,
                "data": {"host": self.host, "resource_type": resource, **data},
            }
            for resource, data in measured.items()
            if data is not None
        ]


def sample_every(
    sampler: HostSampler,
    interval: float,
    emit: Callable[[list[dict[str, Any]]], object],
    *,
    wait: Callable[[float], bool],
    count: int | None = None,
    sub_samples: int = 10,
) -> int:
    """Sample until `wait(seconds)` returns true (it sleeps and says whether to stop) or `count` samples are
    out.

    Returns the number of samples. Samples stay on a fixed grid; after a pause of the machine the missed ones
    are left out rather than caught up on.
    """
    done = 0
    next_at = time.monotonic() + interval
    while count is None or done < count:
        pause = interval / sub_samples
        while (left := next_at - time.monotonic()) > 0:
            if wait(min(pause, left)):
                return done
            if next_at - time.monotonic() > pause / 2:
                sampler.observe()
        emit(sampler.sample())
        done += 1
        next_at = max(next_at + interval, time.monotonic())
    return done


def _core(times: Any) -> CoreTimes:
    # Linux counts a guest's time in `user` and `nice` already.
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return CoreTimes(total=sum(times) - guest, idle=times.idle + getattr(times, "iowait", 0.0))


def _links() -> dict[str, Link]:
    states = psutil.net_if_stats()
    found = {}
    for name, traffic in psutil.net_io_counters(pernic=True).items():
        state = states.get(name)
        loopback = name.startswith("lo") and (name == "lo" or name[2:].isdigit())
        if state is not None and state.isup and not loopback:
            found[name] = Link(traffic.bytes_sent, traffic.bytes_recv, float(max(state.speed, 0)))
    return found


def _busy(before: Sequence[CoreTimes], after: Sequence[CoreTimes]) -> list[float]:
    """Busy percent of each core between two readings; a core without a tick in between is left out."""
    shares = []
    for old, new in zip(before, after, strict=False):  # cores can come and go
        total = new.total - old.total
        if total > 0:
            shares.append(_percent(1 - (new.idle - old.idle) / total))
    return shares


def _cpu(readings: Sequence[Reading]) -> dict[str, Any] | None:
    overall = _busy(readings[0].cores, readings[-1].cores)
    if not overall:  # no clock tick in so short an interval
        return None
    usage = _mean(overall)
    subs = [shares for old, new in pairwise(readings) if (shares := _busy(old.cores, new.cores))]
    return {
        "usage_percentage": usage,
        "absolute_value": round(usage / 100 * len(overall), 4),
        "peak_usage": max((max(shares) for shares in subs), default=usage),
        "average_usage": _mean([_mean(shares) for shares in subs]) if subs else usage,
        "context_data": {
            "unit": "cores",
            "cores": len(overall),
            "per_core_percentage": overall,
            "sub_samples": len(subs),
            "interval_s": round(readings[-1].at - readings[0].at, 3),
        },
    }


def _memory(readings: Sequence[Reading]) -> dict[str, Any] | None:
    last = readings[-1]
    if last.memory_total <= 0:
        return None
    shares = [_percent(1 - reading.memory_available / reading.memory_total) for reading in readings[1:]]
    return {
        "usage_percentage": shares[-1],
        "absolute_value": last.memory_total - last.memory_available,
        "peak_usage": max(shares),
        "average_usage": _mean(shares),
        "context_data": {"unit": "bytes", "total": last.memory_total, "swap_used": last.swap_used},
    }


def _disk(readings: Sequence[Reading]) -> dict[str, Any] | None:
    first, last = readings[0], readings[-1]
    if last.disk_total <= 0:
        return None
    seconds = max(last.at - first.at, 1e-9)
    return {
        "usage_percentage": _percent(last.disk_percent / 100),
        "absolute_value": last.disk_used,
        "context_data": {
            "unit": "bytes",
            "total": last.disk_total,
            "read_bytes_per_s": round(max(last.disk_read_bytes - first.disk_read_bytes, 0) / seconds, 1),
            "write_bytes_per_s": round(max(last.disk_write_bytes - first.disk_write_bytes, 0) / seconds, 1),
        },
    }


def _network(readings: Sequence[Reading], nominal_mbit: float) -> dict[str, Any] | None:
    usages = {
        name: _link_usage(readings[0], readings[-1], name, nominal_mbit)
        for name in readings[-1].links
        if name in readings[0].links
    }
    if not usages:
        return None
    # One link, not the sum: a bridge or a tunnel carries the bytes of another link a second time.
    busiest = max(usages, key=lambda name: (usages[name][0], name))
    usage, rate = usages[busiest]
    subs = [
        _link_usage(old, new, busiest, nominal_mbit)[0]
        for old, new in pairwise(readings)
        if busiest in old.links and busiest in new.links
    ]
    speed = readings[-1].links[busiest].speed_mbit
    return {
        "usage_percentage": usage,
        "absolute_value": rate,
        "peak_usage": max(subs, default=usage),
        "average_usage": _mean(subs) if subs else usage,
        "context_data": {
            "unit": "bytes/s",
            "link": busiest,
            "links": len(usages),
            "link_speed_mbit": speed or nominal_mbit,
            "link_speed_source": "reported" if speed else "nominal",
        },
    }


def _link_usage(before: Reading, after: Reading, name: str, nominal_mbit: float) -> tuple[float, float]:
    """(percent of the link's speed in the busier direction, bytes a second in both directions)."""
    old, new = before.links[name], after.links[name]
    seconds = max(after.at - before.at, 1e-9)
    # An interface that was reset starts again at 0.
    sent, received = max(new.sent - old.sent, 0) / seconds, max(new.received - old.received, 0) / seconds
    speed = (new.speed_mbit or nominal_mbit) * 1e6 / 8
    return _percent(max(sent, received) / speed), round(sent + received, 1)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _percent(share: float) -> float:
    return round(min(max(share, 0.0), 1.0) * 100, 4)
