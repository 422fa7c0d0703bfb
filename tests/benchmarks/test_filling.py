"""What the storage benchmark fills in is what the flow would write, and its questions have answers."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from benchmarks.parts import fill
from benchmarks.parts.asking import Cold, ask
from benchmarks.parts.disk import per_million, spaces
from benchmarks.parts.questions import questions
from benchmarks.parts.samples import HOUR_US, Size
from operators import tables as t
from operators.sketch import decode
from sinks.maintain import maintain

SIZE = Size(rows=20_000, days=3, series=40, other=4_000, until_us=time.time_ns() // 1000 // HOUR_US * HOUR_US)


@pytest.fixture(scope="module")
def filled(module_database: str) -> Iterator[tuple[str, dict[str, int]]]:
    with fill.quiet(module_database):
        yield module_database, fill.fill(module_database, SIZE, lambda _: None)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_what_is_said_to_be_there_is(filled: tuple[str, dict[str, int]]) -> None:
    url, counts = filled
    assert counts == {name: rows(url, f"SELECT count(*) FROM {name}")[0][0] for name in counts}
    assert abs(counts["system_metrics"] - SIZE.rows) < SIZE.rows / 100
    others = sum(counts[table] for table in counts if table not in ("system_metrics", "series", "rollups_10s"))
    others -= counts["rollups_1m"] + counts["rollups_5m"]
    assert abs(others - SIZE.other) < SIZE.other / 10


@pytest.mark.parametrize("level", t.ROLLUPS)
def test_aggregates_are_those_of_the_samples(filled: tuple[str, dict[str, int]], level: int) -> None:
    url, _ = filled
    name = t.ROLLUPS[level].name
    wanted = rows(
        url,
        "SELECT source_system, metric_name, metric_tags ->> 'host', metric_tags ->> 'path',"
        f" date_bin('{level} s', collected_at, '2000-01-01Z'), count(*), min(metric_value), max(metric_value)"
        " FROM system_metrics GROUP BY 1, 2, 3, 4, 5",
    )
    found = rows(
        url,
        f"SELECT split_part(entity, '{{', 1), measure, substring(entity, 'host=([^,]*)'), substring(entity, ':(.*)'),"
        f" r.\"time\", n, min, max FROM {name} AS r JOIN series USING (series_id) WHERE kind IN ('metric', 'code')",
    )

    def plain(row: tuple[object, ...]) -> tuple[object, ...]:
        # The source of a file's measures is named otherwise than its entity.
        return (row[0] if row[2] else str(row[3]), *row[1:])

    assert sorted(map(repr, map(plain, wanted))) == sorted(map(repr, map(plain, found)))
    for n, low, high, first, last, sketch in rows(url, f"SELECT n, min, max, first, last, sketch FROM {name}"):
        assert sketch is None if n == 1 else decode(bytes(sketch)).quantiles(0.0, 1.0) == [low, high]
        assert low <= first <= high and low <= last <= high


def test_every_question_is_answered(filled: tuple[str, dict[str, int]]) -> None:
    url, _ = filled
    maintain(url)
    with psycopg.connect(url, autocommit=True) as connection:
        asked = questions(connection, datetime.fromtimestamp(SIZE.until_us / 1e6, UTC))
        timescale = fill.has_timescale(connection)
    cold = Cold(url, "true", local=False)
    answers = ask(url, asked, 1, 1, cold, lambda _: None)
    assert {answer.name: answer.problem for answer in answers if answer.problem} == {}
    answered = {answer.name: answer.rows for answer in answers}
    assert all(answered[name] for name in answered if name.startswith("one series") and not name.endswith("1d, 1h"))
    assert answered["raw of one series, 24h"] and answered["store_pipeline_health"] and answered["pipelines_failing"]
    with psycopg.connect(url) as connection:
        found = spaces(connection, timescale=timescale)
    assert {space.table for space in found} > {"system_metrics", "rollups_1m", "rollup_1h", "step_executions"}
    assert 1e7 < per_million(found) < 1e11
