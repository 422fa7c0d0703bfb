"""What the data are like: planted gaps, duplicates and impossible values are counted, and parts add up to the whole."""

from datetime import timedelta

import msgspec
import pandas as pd
import pytest

from operators.mining.history import FRAMES, History
from operators.mining.pieces import Texts, add, empty, frame, pack, unpack
from operators.mining.quality import impossible, judged, measure, too_bad
from tests.operators.mining import planted


def runs(days, **changes):
    return [
        {"id": f"r{day}-{n}", "execution_id": f"{day}-{n}", "pipeline_name": "shop", "status": "success",
         "execution_start": planted.at(1440 * day + 60 * n), "execution_end": planted.at(1440 * day + 60 * n + 30),
         "total_duration": 1800.0, "commit_sha": f"c{day}" if n else None, "trigger_type": "manual"} | changes
        for day in days
        for n in range(3)
    ]  # fmt: skip


def of(rows):
    until = planted.at(1440 * 60)
    return {one.source: one for one in judged("runs", [measure("runs", History.of(runs=rows).runs)], until)}


def test_gaps_staleness_and_coverage():
    days = [*range(20), *range(35, 50)]
    one = of(runs(days))["shop"]
    assert (one.longest_gap_days, one.partial.n, len(one.partial.days)) == (15, 105, 35)
    assert one.stale_days == pytest.approx(60 - 49 - 2 / 24)
    assert one.coverage == pytest.approx(35 / 60)
    assert one.status == "notice" and "nothing for 15 days in a row" in one.problems[0]
    assert "nothing for the last 11 days" in one.problems[1]


def test_a_source_that_comes_once_a_week_is_neither_gappy_nor_stale():
    assert of(runs(range(0, 60, 7)) + runs(range(3, 60, 14)))["shop"].problems == []


def test_duplicates_and_missing_values():
    rows = runs(range(20))
    twice = [row | {"id": "x" + row["id"]} for row in rows[:10]]
    one = of(rows + twice)["shop"]
    assert one.partial.duplicates == 10 and one.status == "bad"
    assert one.partial.missing["commit_sha"] == 20 + sum(row["commit_sha"] is None for row in twice)
    assert one.partial.missing["configuration_version"] == 70


@pytest.mark.parametrize(
    ("table", "check", "row"),
    [
        ("integration_events", "a time before 2000", {"event_timestamp": planted.START - timedelta(days=20_000)}),
        ("runs", "an end before its start", {"execution_end": planted.at(-5)}),
        ("runs", "lasts over 30 days", {"execution_end": planted.at(1440 * 40)}),
        ("runs", "a negative duration", {"total_duration": -1.0}),
        ("runs", "a result without an end", {"execution_end": None}),
        ("runs", "running, with an end", {"status": "running"}),
        ("runs", "shorter than its duration by a day", {"total_duration": 200_000.0}),
        ("integration_events", "a negative duration", {"processing_duration": -1.0}),
        ("integration_events", "takes over a week", {"processing_duration": 1e9}),
        ("tasks", "changed before it was made", {"created_at": planted.at(10)}),
        ("tasks", "an effort of over ten years", {"estimated_effort": 1e9}),
        ("daily", "a mean outside its extremes", {"avg": 7.0}),
        ("daily", "a bucket without values", {"n": 0.0}),
        ("patterns", "ended before it opened", {"resolved_at": planted.at(-9)}),
    ],
)
def test_what_cannot_be_is_seen_and_nothing_else(table, check, row):
    good = {
        "runs": runs([0])[0], "tasks": {"id": "t", "created_at": planted.at(0), "updated_at": planted.at(5)},
        "integration_events": {"id": "e", "event_timestamp": planted.at(0), "source_system": "a", "event_type": "b"},
        "daily": planted._bucket("e", "m", planted.at(0), 5.0), "patterns": {"id": "p", "opened_at": planted.at(0)},
    }[table]  # fmt: skip
    assert impossible(table, getattr(History.of(**{table: [good]}), table)) == {}
    assert list(impossible(table, getattr(History.of(**{table: [good | row]}), table))) == [check]


def test_parts_add_up_to_the_whole():
    rows = History.of(runs=runs(range(40)) + runs(range(40), pipeline_name="blog")).runs
    until = planted.UNTIL
    whole = judged("runs", [measure("runs", rows)], until)
    parts = judged("runs", [measure("runs", rows[at : at + 50]) for at in range(0, len(rows), 50)], until)
    assert whole == parts and [one.source for one in whole] == ["blog", "shop"]


def test_a_piece_is_left_out_when_a_fifth_of_it_cannot_be():
    rows = runs(range(10))
    few = [row | {"total_duration": -1.0} if at < 5 else row for at, row in enumerate(rows)]
    many = [row | {"total_duration": -1.0} if at < 6 else row for at, row in enumerate(rows)]
    assert too_bad(measure("runs", History.of(runs=few).runs)) is None
    assert too_bad(measure("runs", History.of(runs=many).runs)) == "6 of 30 rows cannot be: a negative duration (6)"


def test_pieces_are_the_rows_that_went_in():
    history = planted.history(runs=60)
    for table in FRAMES:
        rows = getattr(history, table)
        packed = []
        for at in range(0, len(rows), 37):
            columns = empty(table)
            add(columns, table, list(_plain(rows[at : at + 37], table)))
            packed.append(pack(columns))
        texts = Texts()
        found = frame(table, map(unpack, packed), texts)
        pd.testing.assert_frame_equal(found, rows.reset_index(drop=True), check_dtype=True)


def _plain(rows, table):
    for row in rows.to_dict("records"):
        out = []
        for name, kind in FRAMES[table].columns.items():
            value = row[name]
            if kind == "json":
                value = None if value is None else msgspec.json.encode(value).decode()
            elif value is None or pd.isna(value):
                value = None
            elif kind == "time":
                value = value.to_pydatetime()
            out.append(value)
        yield out
