from __future__ import annotations

import json
import math
import random
import re
import statistics
import uuid
from collections import defaultdict
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import pytest

from tests.sql.rows import PATTERN, ROLLUP, T0, Connection, insert, query


def rollup_rows(seed: int) -> dict[tuple[int, int, int], list[dict[str, Any]]]:
    """Random values of two series as rollup rows of level 10 and 300: (input, partition, level) → rows."""
    noise = random.Random(seed)
    rows: dict[tuple[int, int, int], list[dict[str, Any]]] = defaultdict(list)
    for series, given, partition in [(s, i, p) for s in (1, 2) for i in (7, 9) for p in (0, 1, 2)]:
        for level in (10, 300):
            for bucket in range(0, 7200, level):
                if noise.random() < 0.5:
                    continue
                values = [noise.gauss(5, 2) for _ in range(noise.randint(1, 4))]
                rows[given, partition, level].append(
                    {
                        "series_id": series, "level": level, "time": T0 + timedelta(seconds=bucket), "input": given,
                        "partition": partition, "n": len(values), "sum": math.fsum(values), "min": min(values),
                        "max": max(values), "sum_squares": math.fsum(v * v for v in values), "first": values[0],
                        "last": values[-1], "first_at": T0 + timedelta(seconds=bucket + noise.uniform(0, 4)),
                        "last_at": T0 + timedelta(seconds=bucket + noise.uniform(5, 9)),
                    }
                )  # fmt: skip
    return rows


def merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows as one."""
    n, total = sum(p["n"] for p in parts), math.fsum(p["sum"] for p in parts)
    squares = math.fsum(p["sum_squares"] for p in parts)
    return {
        "n": n, "sum": total, "min": min(p["min"] for p in parts), "max": max(p["max"] for p in parts),
        "avg": total / n, "first": min(parts, key=itemgetter("first_at"))["first"],
        "last": max(parts, key=itemgetter("last_at"))["last"], "sum_squares": squares,
        "stddev": math.sqrt(max(squares - total * total / n, 0) / (n - 1)) if n > 1 else None,
        "first_at": min(p["first_at"] for p in parts), "last_at": max(p["last_at"] for p in parts),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("view", "level", "length"), [("series_10s", 10, 10), ("series_5m", 300, 300), ("series_1h", 300, 3600)]
)
def test_views_add_partitions_up_and_choose_among_inputs(
    database: Connection, view: str, level: int, length: int
) -> None:
    rows = rollup_rows(seed=length)
    for number in (1, 2):
        insert(
            database,
            "series",
            {"series_id": number, "entity": f"e{number}", "measure": "m", "kind": "metric"},
        )
    for row in (row for group in rows.values() for row in group):
        insert(database, "metric_rollups", row)

    by_input: dict[tuple[int, datetime, int], list[dict[str, Any]]] = defaultdict(list)
    for (given, _, found), group in sorted(rows.items()):
        for row in group if found == level else []:
            by_input[row["series_id"], row["time"], given].append(row)
    best: dict[tuple[int, datetime], dict[str, Any]] = {}
    for (series, time, _), parts in sorted(by_input.items(), key=lambda item: item[0]):
        bucket = merged(parts)
        if bucket["n"] > best.get((series, time), {"n": 0})["n"]:
            best[series, time] = bucket
    grouped: dict[tuple[int, datetime], list[dict[str, Any]]] = defaultdict(list)
    for (series, time), bucket in sorted(best.items()):
        start = T0 + timedelta(seconds=(time - T0).total_seconds() // length * length)
        grouped[series, start].append(bucket)
    expected = {key: merged(parts) for key, parts in grouped.items()}

    names = [name for name in next(iter(expected.values())) if name not in {"first_at", "last_at"}]
    found_rows = query(database, f"SELECT entity, time, {', '.join(names)} FROM {view}")
    assert len(found_rows) == len(expected) > 2
    for entity, time, *values in found_rows:
        want = expected[int(entity[1:]), time]
        for name, value in zip(names, values, strict=True):
            assert value == (want[name] if want[name] is None else pytest.approx(want[name], rel=1e-9, abs=1e-7)), name


def test_one_input_may_take_over_from_another_within_an_hour(database: Connection) -> None:
    insert(database, "series", {"series_id": 1, "entity": "e", "measure": "m", "kind": "metric"})
    for minute, given, n in ((0, 7, 10), (30, 7, 2), (30, 9, 5), (55, 9, 1)):
        time = T0 + timedelta(minutes=minute)
        insert(database, "metric_rollups", {**ROLLUP, "level": 300, "time": time, "input": given, "n": n})
    assert query(database, "SELECT n, sum, avg FROM series_1h") == [(16, 3.0, 3 / 16)]
    assert query(database, "SELECT n FROM series_1d WHERE time >= '2026-01-05Z' AND time < '2026-01-06Z'") == [(16,)]


def test_stddev_is_the_samples(database: Connection) -> None:
    values = [3.0, 4.5, 9.0, 9.5]
    row = {**ROLLUP, "n": 4, "sum": sum(values), "sum_squares": sum(v * v for v in values)}
    insert(database, "series", {"series_id": 1, "entity": "e", "measure": "m", "kind": "metric"})
    insert(database, "metric_rollups", row)
    insert(database, "metric_rollups", {**ROLLUP, "time": T0 + timedelta(seconds=10)})
    found = query(database, "SELECT stddev FROM series_10s ORDER BY time")
    assert found == [(pytest.approx(statistics.stdev(values)),), (None,)]


@pytest.mark.parametrize("value", [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 1e-200, 1e160, 0.0])
@pytest.mark.parametrize("n", [1, 2, 10**15])
def test_absurd_values_do_not_break_a_view(database: Connection, value: float, n: int) -> None:
    squares = min(value * value, 1.7976931348623157e308)
    row = {**ROLLUP, "n": n, "sum": value, "min": value, "max": value, "sum_squares": squares}
    insert(database, "series", {"series_id": 1, "entity": "e", "measure": "m", "kind": "metric"})
    for level in (10, 60, 300):
        for partition in range(8):
            insert(database, "metric_rollups", {**row, "level": level, "partition": partition})
    for view in ("series_10s", "series_1m", "series_5m", "series_1h", "series_1d"):
        found = database.execute(f"SELECT n, sum, avg, stddev FROM {view}".encode()).fetchall()
        assert len(found) == 1
        assert found[0][0] == 8 * n
        assert all(math.isfinite(number) for number in found[0] if number is not None)


@pytest.fixture
def many_rollups(database: Connection) -> Connection:
    database.execute(
        "INSERT INTO series SELECT i, 'host' || i / 4, (ARRAY['cpu', 'memory', 'disk', 'net'])[i % 4 + 1], 'metric'"
        " FROM generate_series(0, 799) AS i"
    )
    for table, level in (("rollups_10s", 10), ("rollups_5m", 300)):
        database.execute(
            "SELECT ensure_partitions(%s::regclass, ARRAY['2026-01-05Z', '2026-01-06Z']::timestamptz[])", [table]
        )
        fill = f"""
            INSERT INTO {table} SELECT s, '2026-01-05Z'::timestamptz + g * {level} * interval '1 s', 1, 0, 1,
            1, 1, 1, 1, 1, 1, now(), now(), NULL FROM generate_series(0, 149) AS g, generate_series(0, 799) AS s
        """
        database.execute(fill.encode())
        database.execute(f"ANALYZE {table}".encode())
    database.execute("ANALYZE series")
    return database


@pytest.mark.parametrize(
    ("view", "condition", "most"),
    [
        (
            "series_10s",
            "entity = 'host7' AND measure = 'cpu' AND time >= '2026-01-05 00:10Z' AND time < '2026-01-05 00:11Z'",
            6,
        ),
        ("series_5m", "entity = 'host7' AND measure = 'cpu' AND time >= '2026-01-05 05:00Z'", 90),
        ("series_1h", "entity = 'host7' AND measure = 'cpu' AND time >= '2026-01-05 05:00Z'", 200),
        ("series_10s", "entity = 'host7' AND time >= '2026-01-05 00:24Z'", 24),
    ],
)
def test_filters_reach_the_index(many_rollups: Connection, view: str, condition: str, most: int) -> None:
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {view} WHERE {condition}"
    plan = query(many_rollups, explain)[0][0]
    scans = list(scans_of(plan[0]["Plan"] if not isinstance(plan, str) else json.loads(plan)[0]["Plan"]))
    assert scans
    found = sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans)
    seen = found + sum(scan.get("Rows Removed by Filter", 0) * scan["Actual Loops"] for scan in scans)
    assert 0 < found <= most
    assert seen <= 100 * most < 60_000, "no table is read from end to end"


def scans_of(node: dict[str, Any]) -> Any:
    """The scans of rollups in a plan that were run."""
    if re.match(r"rollups_|_hyper", node.get("Relation Name", "")) and node["Actual Loops"]:
        yield node
    for child in node.get("Plans", []):
        yield from scans_of(child)


def test_data_quality_and_open_patterns(database: Connection) -> None:
    for partition, outcome, reason, n in (
        (0, "read", "", 5),
        (1, "read", "", 7),
        (0, "dead_letter", "bad_time", 1),
    ):
        database.execute(
            "INSERT INTO stream_counters VALUES ('t', %s, %s, %s, %s, now())",
            [partition, outcome, reason, n],
        )
    insert(database, "detected_patterns", PATTERN)
    insert(
        database,
        "detected_patterns",
        {**PATTERN, "id": uuid.uuid4(), "is_active": False, "resolved_at": T0},
    )
    assert query(database, "SELECT outcome, reason, n FROM data_quality ORDER BY n") == [
        ("dead_letter", "bad_time", 1),
        ("read", "", 12),
    ]
    assert query(database, "SELECT id FROM open_patterns") == [(PATTERN["id"],)]
