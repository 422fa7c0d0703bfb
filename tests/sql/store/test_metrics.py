from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from operators.identity import series_id
from sql.store.errors import BadRequest
from sql.store.metrics import LEVELS, Point, Series, floor, gaps
from sql.store.pool import Database
from sql.store.store import Store
from tests.sql.store.samples import DAY, T0


def rollups(url: str, series: Series, level: str, starts: list[datetime]) -> None:
    table = {"10s": "rollups_10s", "1m": "rollups_1m", "5m": "rollups_5m"}[level]
    with psycopg.connect(url) as connection:
        connection.execute("SELECT ensure_partitions(%s::regclass, %s::timestamptz[])", [table, starts])
        connection.cursor().executemany(
            f"INSERT INTO {table} VALUES (%s, %s, 1, 0, 2, 3, 1, 2, 5, 1, 2, %s, %s, NULL)".encode(),
            [(series.series_id, time, time, time) for time in starts],
        )


@pytest.fixture
def series(store: Store) -> Series:
    entity = f"shop{{a=b}}/{uuid.uuid4()}"
    return store.metrics.series.create(
        Series(series_id=series_id(entity, "ms"), entity=entity, measure="ms", kind="metric")
    )


def test_points_fit_the_width_and_say_where_there_is_silence(
    store: Store, module_database: str, series: Series
) -> None:
    steps = [n for n in range(360) if not 100 <= n < 150]
    rollups(module_database, series, "10s", [T0 + timedelta(seconds=10 * n) for n in steps])
    fine = store.metrics.points(series, T0, T0 + timedelta(hours=1), width=360)
    assert (fine.step, len(fine.points)) == (10, 310)
    assert fine.gaps == [(T0 + timedelta(seconds=1000), T0 + timedelta(seconds=1500))]
    assert fine.points[0] == Point(time=T0, n=2, sum=3.0, min=1.0, max=2.0, avg=1.5, first=1.0, last=2.0)
    coarse = store.metrics.points(series, T0, T0 + timedelta(hours=1), width=100)
    assert coarse.step == 40
    assert len(coarse.points) <= 100
    assert sum(point.n for point in coarse.points) == 2 * 310
    assert store.metrics.points(series, T0 - DAY, T0, width=10).points == []
    assert store.metrics.series_listing(entity_part=series.entity[5:].upper()).items == [series]
    assert store.metrics.series_listing(entity=series.entity, measure="ms", kinds=["metric"]).items == [series]
    for wrong in (0, 10_001):
        with pytest.raises(BadRequest):
            store.metrics.points(series, T0, T0 + DAY, wrong)
    with pytest.raises(BadRequest):
        store.metrics.points(series, T0, T0)


def test_where_a_fine_level_is_gone_a_coarse_one_stands_in(store: Store, module_database: str, series: Series) -> None:
    rollups(module_database, series, "5m", [T0 + timedelta(minutes=5 * n) for n in range(60)])
    with psycopg.connect(module_database) as connection:
        connection.execute(
            "INSERT INTO summary_changes (summary, bucket) SELECT 'series', date_bin('1 h', g, '2000-01-01Z')"
            " FROM generate_series(%s::timestamptz, %s, '1 h') AS g",
            [T0, T0 + DAY],
        )
    rollups(module_database, series, "10s", [T0 + timedelta(hours=4, seconds=10 * n) for n in range(360)])
    recent = store.metrics.points(series, T0 + timedelta(hours=4), T0 + timedelta(hours=5), width=360)
    assert (recent.step, len(recent.points)) == (10, 360)
    whole = store.metrics.points(series, T0, T0 + timedelta(hours=5), width=1800)
    assert (whole.step, len(whole.points)) == (300, 60)


def test_gaps_measure_by_the_series_own_step() -> None:
    def at(minute: int) -> Point:
        return Point(time=T0 + timedelta(minutes=minute), n=1, sum=1, min=1, max=1, avg=1, first=1, last=1)

    assert gaps([at(m) for m in range(10)], 10) == []
    assert gaps([at(0), at(1)], 10) == []
    assert gaps([at(m) for m in (0, 1, 2, 3, 5, 10)], 10) == [
        (T0 + timedelta(minutes=5, seconds=10), T0 + timedelta(minutes=10))
    ]


def test_buckets_start_as_in_the_views(database: Database) -> None:
    moment = datetime(2026, 2, 3, 17, 43, 27, 5, tzinfo=UTC)
    with database.read() as connection:
        for level in LEVELS:
            row = connection.execute(
                "SELECT date_bin(%s * interval '1 s', %s, '2000-01-01Z')", [level, moment]
            ).fetchone()
            assert row == (floor(moment, level),)
