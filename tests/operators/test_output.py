"""What a batch hands to the sinks: dead letters, roll-ups and counters as rows."""

import json
import uuid
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from operators import tables as t
from operators.output import Counts, DeadLetter, Output, counter_rows, rollup_row
from operators.records import Batch
from operators.sketch import EXACT, decode
from operators.windows import Stats
from tests.oracle import NAMESPACE
from tests.pgread import read

QUICK = settings(max_examples=60, deadline=None)
BYTES = st.none() | st.binary(max_size=8)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
HEADERS = st.lists(st.tuples(TEXT, st.binary(max_size=8)))


def letter(**fields: Any) -> DeadLetter:
    made: dict[str, Any] = {
        "topic": "t", "partition": 3, "offset": 7, "reason": "not_json", "detail": "x", "key": None, "value": b"v",
        "headers": [],
    }  # fmt: skip
    return DeadLetter(**(made | fields))


def row(one: DeadLetter) -> dict[str, Any]:
    return read(t.DEAD_LETTERS.columns, one.row(5_000_000))


def test_a_dead_letter_is_its_place() -> None:
    assert letter().id == letter(detail="y").id == uuid.uuid5(NAMESPACE, "dead_letter:t:3:7")
    assert len({letter().id, letter(offset=8).id, letter(partition=4).id, letter(topic="u").id}) == 4


@QUICK
@given(BYTES, BYTES, HEADERS)
def test_a_dead_letter_is_kept_as_it_came(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    found = row(letter(key=key, value=value, headers=headers))
    assert (found["record_key"], found["record_value"]) == (key, value or b"")
    assert (found["topic"], found["partition"], found["record_offset"]) == ("t", 3, 7)
    assert (found["reason"], found["detail"], found["received_at"]) == ("not_json", "x", 5_000_000)
    assert [pair[1] for pair in found["headers"]] == [
        text.decode("utf-8", "backslashreplace").replace("\0", "\\x00") for _, text in headers
    ]


def test_what_a_database_cannot_hold_is_escaped() -> None:
    found = row(letter(detail="a\0b" + "x" * 2000, headers=[("h", b"\0\xff"), ("n", None)]))
    assert found["detail"].startswith("a\\x00b")
    assert len(found["detail"]) <= 1010
    assert "\0" not in json.dumps(found["headers"])
    assert found["headers"][0] == ["h", "\\x00\\xff"]


POINT = st.tuples(st.integers(0, 10**16), st.integers(-(2**63), 2**63 - 1), st.floats(-1e150, 1e150))
POINTS = st.lists(POINT, min_size=1, max_size=50)


@QUICK
@given(POINTS, st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_a_rollup_reads_back(points: list[tuple[int, int, float]], series: int, place: int) -> None:
    stats = Stats.of(list(points))
    key, line = rollup_row(series, 1_767_608_130_000_000, (place, 5), stats)
    found = read(t.ROLLUPS_10S.columns, line)
    sketch = found.pop("sketch")
    assert found == {
        "series_id": series, "time": 1_767_608_130_000_000, "input": place, "partition": 5,
        "n": stats.n, "sum": stats.sum, "min": stats.min, "max": stats.max, "sum_squares": stats.sum_squares,
        "first": stats.first, "last": stats.last, "first_at": stats.earliest[0], "last_at": stats.latest[0],
    }  # fmt: skip
    assert (sketch is None) is (len(points) == 1)
    if sketch is not None:
        held = stats.sketch if stats.n <= EXACT else stats.sketch.counted()
        assert decode(sketch).quantile(0.5) == held.quantile(0.5)
    again, _ = rollup_row(series, 1_767_608_130_000_000, (place, 5), Stats.of([(1, 1, 1.0)]))
    assert key == again, "the key is the place, not the content"


def test_each_place_has_a_key_of_its_own() -> None:
    stats = Stats.of([(1, 1, 1.0)])
    here = (0, 0)
    places = [(1, 0, here), (2, 0, here), (1, 5, here), (1, 0, (1, 0)), (1, 0, (0, 1))]
    assert len({rollup_row(*place, stats)[0] for place in places}) == len(places)


def test_counters_are_rows_by_outcome_and_reason() -> None:
    counts = Counts(10, 5, 1, 1, {"not_json": 2, "bad_data": 1}, 4)
    rows = [read(t.STREAM_COUNTERS.columns, line) for _, line in counter_rows("t", 3, counts, 99)]
    assert {(one["outcome"], one["reason"]): one["n"] for one in rows} == {
        ("read", ""): 10, ("applied", ""): 5, ("late", ""): 1, ("duplicate", ""): 1, ("patterns", ""): 4,
        ("dead_letter", "not_json"): 2, ("dead_letter", "bad_data"): 1,
    }  # fmt: skip
    assert {(one["input"], one["partition"], one["updated_at"]) for one in rows} == {("t", 3, 99)}
    assert len({key for key, _ in counter_rows("t", 3, counts, 99)}) == 7
    assert counts.dead == 3


def test_a_later_row_of_a_key_replaces_the_earlier() -> None:
    out = Output(Batch("t", 0, [], [], 0))
    out.replace(t.ROLLUPS_5M, b"k", b"1")
    out.replace(t.ROLLUPS_5M, b"j", b"2")
    out.replace(t.ROLLUPS_5M, b"k", b"3")
    out.add(t.TASKS, b"4")
    out.add(t.TASKS, b"4")
    assert out.sets == {"rollups_5m": {b"k": b"3", b"j": b"2"}}
    assert out.rows == {"tasks": [b"4", b"4"]}


def test_two_counts_share_nothing() -> None:
    one, other = Counts(), Counts()
    one.dead_letters["x"] = 1
    assert other.dead_letters == {}
