"""Samples of many series over some days as encoded rows: raw, and summed up by ten seconds, minute and five minutes.

Made by numpy, a day at a time, the same for the same numbers: real cadences (a tenth of the series sends two thirds of
all samples), a daily wave, noise, rare spikes. Rows come in the order of time, as the flow would write them, and the
aggregates are those of the raw rows.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators import tables as t
from operators.encode import tagged
from operators.identity import input_id, series_id
from operators.pgcopy import ENCODERS, EPOCH_US, NULL
from operators.sketch import EXACT, Sketch, encode
from operators.tables import Table

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
PARTITIONS = 4
MEASURES = (
    ("latency_ms", "ms"), ("requests", None), ("errors", None), ("queue_length", None), ("heap_mb", "MB"),
    ("threads", None), ("io_wait", "%"), ("cache_hits", None), ("sessions", None), ("retries", None),
)  # fmt: skip
CODE_MEASURES = (
    "lines", "complexity", "coverage", "duplication", "functions", "depth", "imports", "churn", "todo", "age",
)  # fmt: skip
SERVICES = (
    "checkout", "billing", "search", "catalogue", "identity", "shipping", "gateway", "mailer", "reports", "stock",
)  # fmt: skip
REGIONS = ("eu-west-1", "us-east-1", "ap-south-1")
CADENCES = ((0.1, 0.648), (0.2, 0.216), (0.7, 0.136))
"""Shares of the series, and of the rows that they send: at 20M rows, 500 series and 30 days one sample a series each
10 s, 60 s and 333 s."""
CODE = 20
"""Of the last class, every so-manieth entity is a file of code."""
KEPT_10S = 14
"""Days of ten-second aggregates there are: as many as a database in use has kept."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One series, and what its raw rows hold."""

    entity: str
    measure: str
    kind: str
    tail: bytes
    """The encoded columns of a raw row that follow the value."""
    partition: int

    @property
    def id(self) -> int:
        """Its number in the database."""
        return series_id(self.entity, self.measure)

    def row(self) -> bytes:
        """Its row of `series`."""
        return t.SERIES.encode((self.id, self.entity, self.measure, self.kind))


@dataclass(frozen=True)
class Size:
    """What is filled in: `until_us` is the end of the days, a full hour."""

    rows: int
    days: int
    series: int
    other: int
    until_us: int

    @property
    def since_us(self) -> int:
        """Start of the first day."""
        return self.until_us - self.days * DAY_US


def _padded(tails: Sequence[tuple[bytes, dict[str, Any], bytes]]) -> list[bytes]:
    """Columns before, of and after a JSON document, which takes spaces until all tails have one length."""
    texts = [json.dumps(document, separators=(",", ":")).encode() for _, document, _ in tails]
    longest = max(len(before) + len(text) + len(after) for (before, _, after), text in zip(tails, texts, strict=True))
    jsonb = ENCODERS["jsonb"]
    return [
        before + jsonb(text + b" " * (longest - len(before) - len(text) - len(after))) + after
        for (before, _, after), text in zip(tails, texts, strict=True)
    ]


def metric_series(number: int) -> list[Series]:
    """Series of `system_metrics`, ten an entity; some of the slow ones are measures of code."""
    text = ENCODERS["text"]
    slow = int(number * (CADENCES[0][0] + CADENCES[1][0]))
    named: list[tuple[str, str, str]] = []
    tails: list[tuple[bytes, dict[str, Any], bytes]] = []
    for index in range(number):
        place, which = divmod(index, len(MEASURES))
        if index >= slow and place % CODE == 0:
            repository, path = f"repo-{place // CODE:02d}", f"src/{SERVICES[place % 10]}/core_{place}.py"
            measure = CODE_MEASURES[which]
            named.append((f"{repository}:{path}", measure, "code"))
            tags = {"path": path, "commit_sha": f"{place:040x}"}
            tails.append((text(measure) + NULL, tags, text(f"code:{repository}") + NULL))
            continue
        measure, unit = MEASURES[which]
        source = SERVICES[place % len(SERVICES)]
        tags = {"host": f"node-{place:04d}", "region": REGIONS[place % len(REGIONS)]}
        named.append((tagged(source, tuple(sorted(tags.items()))), measure, "metric"))
        tails.append((text(measure) + (text(unit) if unit else NULL), tags, text(source) + NULL))
    return [
        Series(*names, tail, (index // len(MEASURES)) % PARTITIONS)
        for index, (names, tail) in enumerate(zip(named, _padded(tails), strict=True))
    ]


def resource_series(hosts: int) -> list[Series]:
    """Series of `resource_usage`, four a host."""
    text = ENCODERS["text"]
    kinds = ("cpu", "memory", "disk", "network")
    places = [(f"machine-{host:03d}", kind) for host in range(hosts) for kind in kinds]
    tails = _padded([(text(host) + text(kind) + NULL * 3, {}, b"") for host, kind in places])
    return [
        Series(host, f"{kind}_usage", "resource", tail, 0) for (host, kind), tail in zip(places, tails, strict=True)
    ]


@dataclass(frozen=True)
class Points:
    """Values of series in the order of time: index of the series, microseconds since 1970, value."""

    series: Ints
    time: Ints
    value: Floats

    @classmethod
    def sorted(cls, series: Ints, time: Ints, value: Floats) -> "Points":
        """Points in any order."""
        order = np.argsort(time, kind="stable")
        return cls(series[order], time[order], value[order])


class Samples:
    """The samples of some series, day by day."""

    def __init__(self, table: Table, series: Sequence[Series], rows: int, size: Size, shares: Any = CADENCES) -> None:
        self.table = table
        self.series = series
        self._size = size
        width = len(series[0].tail)
        self._tails = np.frombuffer(b"".join(one.tail for one in series), dtype=f"V{width}")
        self._row = np.dtype(
            [("columns", ">i2"), ("l1", ">i4"), ("key", ">i8"), ("l2", ">i4"), ("time", ">i8"), ("l3", ">i4"),
             ("value", ">f8"), ("tail", f"V{width}")]
        )  # fmt: skip
        bounds = [round(len(series) * share) for share in np.cumsum([0, *(share for share, _ in shares)])]
        self._classes = [
            (np.arange(first, last), rows * part / size.days / (last - first))
            for first, last, (_, part) in zip(bounds, bounds[1:], shares, strict=False)
            if last > first
        ]
        levels = np.random.default_rng(7)
        self._level = levels.uniform(20, 500, len(series))
        if table is t.RESOURCE_USAGE:
            self._level = levels.uniform(10, 55, len(series))
        self._phase = levels.uniform(0, 1, len(series))

    def day(self, day: int) -> Points:
        """All samples of a day, counted from the first."""
        random = np.random.default_rng([day, len(self.series)])
        start = self._size.since_us + day * DAY_US
        index, time = [], []
        for members, a_day in self._classes:
            count = int(a_day * (day + 1)) - int(a_day * day)
            period = DAY_US / max(count, 1)
            places = np.arange(count) * period + self._phase[members][:, None] * period * 0.9
            places += random.uniform(-0.02, 0.02, places.shape) * period
            places = np.clip(places, 0, DAY_US - 1000).astype(np.int64) // 1000 * 1000
            index.append(np.repeat(members, count))
            time.append(start + places.ravel())
        which, at = np.concatenate(index), np.concatenate(time)
        wave = np.sin(2 * np.pi * ((at % DAY_US) / DAY_US + self._phase[which]))
        value = self._level[which] * (1 + 0.25 * wave + 0.05 * random.standard_normal(len(at)))
        value[random.random(len(at)) < 1 / 2000] *= 4
        return Points.sorted(which, at, np.round(value, 3))

    def rows(self, points: Points, day: int) -> bytes:
        """Raw rows of points, encoded."""
        keys = np.random.default_rng([day, 1, len(self.series)]).integers(-(2**63), 2**63 - 1, len(points.time))
        rows = np.empty(len(points.time), self._row)
        rows["columns"] = len(self.table.columns)
        rows["l1"] = rows["l2"] = rows["l3"] = 8
        rows["key"] = keys & ~0xF000 | 0x5000
        rows["time"] = points.time - EPOCH_US
        rows["value"] = points.value
        rows["tail"] = self._tails[points.series]
        return rows.tobytes()


_HEAD = [
    ("columns", ">i2"), ("l1", ">i4"), ("series", ">i8"), ("l2", ">i4"), ("time", ">i8"), ("l3", ">i4"),
    ("input", ">i4"), ("l4", ">i4"), ("partition", ">i4"), ("l5", ">i4"), ("n", ">i8"), ("l6", ">i4"), ("sum", ">f8"),
    ("l7", ">i4"), ("min", ">f8"), ("l8", ">i4"), ("max", ">f8"), ("l9", ">i4"), ("squares", ">f8"), ("l10", ">i4"),
    ("first", ">f8"), ("l11", ">i4"), ("last", ">f8"), ("l12", ">i4"), ("first_at", ">i8"), ("l13", ">i4"),
    ("last_at", ">i8"), ("l14", ">i4"),
]  # fmt: skip


def aggregates(points: Points, series: Sequence[Series], level: int, topic: str) -> Iterator[tuple[int, bytes]]:
    """Rows of the table of `level` seconds hour by hour: how many, and encoded."""
    ids = np.array([one.id for one in series], dtype=np.int64)
    partitions = np.array([one.partition for one in series], dtype=np.int64)
    buckets = points.time // (level * 1_000_000)
    keys = buckets * len(ids) + points.series
    order = np.argsort(keys, kind="stable")
    keys, time, value = keys[order], points.time[order], points.value[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    ends = np.append(starts[1:], len(keys))
    n = ends - starts
    which = keys[starts] % len(ids)
    bucket = keys[starts] // len(ids) * level * 1_000_000
    rows = np.empty(len(starts), _HEAD)
    rows["columns"] = len(t.ROLLUPS[level].columns)
    for number in range(1, 14):
        rows[f"l{number}"] = 8
    rows["l3"] = rows["l4"] = 4
    rows["series"], rows["time"] = ids[which], bucket - EPOCH_US
    rows["input"], rows["partition"] = input_id(topic), partitions[which]
    rows["n"], rows["sum"] = n, np.add.reduceat(value, starts)
    rows["min"], rows["max"] = np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)
    rows["squares"] = np.add.reduceat(value * value, starts)
    rows["first"], rows["last"] = value[starts], value[ends - 1]
    rows["first_at"], rows["last_at"] = time[starts] - EPOCH_US, time[ends - 1] - EPOCH_US
    hours = bucket // HOUR_US
    for hour in np.unique(hours):
        here = slice(*np.searchsorted(hours, [hour, hour + 1]))
        for count in np.unique(n[here]):
            chosen = np.flatnonzero(n[here] == count) + here.start
            yield len(chosen), _with_sketches(rows[chosen], value, starts[chosen], int(count))


def _with_sketches(heads: NDArray[np.void], value: Floats, starts: Ints, count: int) -> bytes:
    """Rows of buckets that all have `count` values."""
    if count == 1:
        heads["l14"] = -1
        return heads.tobytes()
    if count > EXACT:
        parts = []
        for head, start in zip(heads, starts, strict=True):
            raw = encode(Sketch.of(value[start : start + count].tolist()))
            head["l14"] = len(raw)
            parts.append(head.tobytes() + raw)
        return b"".join(parts)
    rows = np.empty(len(heads), [("head", heads.dtype), ("kind", "u1"), ("values", "<f8", (count,))])
    heads["l14"] = 1 + 8 * count
    rows["head"] = heads
    rows["kind"] = 0
    rows["values"] = np.sort(value[starts[:, None] + np.arange(count)], axis=1)
    return rows.tobytes()
