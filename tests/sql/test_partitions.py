"""Partitions of the plain twin: each time has one, they never overlap, and there are not too many of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sql.rows import Connection, query

NOW = datetime.now(UTC)
TIMES = st.one_of(
    st.timedeltas(timedelta(days=-700_000), timedelta(days=2_900_000)).map(lambda ago: NOW + ago),
    st.timedeltas(timedelta(days=-2500), timedelta(days=40)).map(lambda ago: NOW + ago),
    st.timedeltas(timedelta(days=-130), timedelta(days=10)).map(lambda ago: NOW + ago),
)
TABLES = st.sampled_from(["system_metrics", "task_executions", "pattern_evolution", "rollup_1d"])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]),
    table=TABLES,
    batches=st.lists(st.lists(TIMES, max_size=8), min_size=1, max_size=4),
)
def test_each_time_has_one_partition(
    database: Connection, twin: str, zone: str, table: str, batches: list[list[datetime]]
) -> None:
    with database.transaction(force_rollback=True):
        database.execute("SELECT set_config('timezone', %s, true)", [zone])
        for times in batches:
            made = database.execute(
                "SELECT ensure_partitions(%s::regclass, %s::timestamptz[])", [table, times]
            ).fetchone()
            assert made is not None
            if twin == "timescale":
                assert made == (0,), "a hypertable makes its chunks itself"
                return
            assert 0 <= made[0] <= len(times)
        for time in (time for times in batches for time in times):
            found = database.execute(
                "SELECT count(*) FROM partitions WHERE table_name = %s AND range_start <= %s AND range_end > %s",
                [table, time, time],
            ).fetchone()
            assert found == (1,), time
        overlaps = query(
            database,
            "SELECT * FROM partitions AS a JOIN partitions AS b USING (table_name) WHERE a.partition_name <"
            " b.partition_name AND a.range_start < b.range_end AND b.range_start < a.range_end",
        )
        assert overlaps == []
        registered = query(database, "SELECT partition_name FROM partitions ORDER BY 1")
        attached = query(
            database,
            "SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
            " WHERE c.relkind = 'r' ORDER BY c.relname::text COLLATE \"default\"",
        )
        assert sorted(attached) == sorted(registered)


def test_a_history_of_many_years_does_not_make_thousands(database: Connection, twin: str) -> None:
    days = "ARRAY(SELECT generate_series(now() - interval '10 y', now(), '1 d'))"
    ((made,),) = query(database, f"SELECT ensure_partitions('system_metrics', {days})")
    assert made == 0 if twin == "timescale" else 100 < made < 200
