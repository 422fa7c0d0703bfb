"""The hot path's shortcuts for metric and resource samples give what `encode` gives."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import events as e
from operators.encode import encode
from operators.identity import series_id
from operators.partition import Partition, PartitionConfig
from operators.pgcopy import micros
from operators.records import Batch
from tests.samples import NOW_US, data_of, raw

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NAME = st.sampled_from(["m", "ü", 'a"b', "a\\b", "x" * 255, "\t"]) | TEXT.filter(bool)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40)
SPACING = st.sampled_from([(", ", ": "), (",", ":"), (" ,\n\t", " : ")])
TIMES = st.sampled_from([
    "2026-01-05T10:15:30Z", "2026-01-05T10:15:30.000001Z", "2026-01-05T12:15:33.999999+02:00",
    "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "2026-06-30T23:59:59.123457Z",
])  # fmt: skip


def given_or_not(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({}) | st.just({name: None}) | values.map(lambda value: {name: value})


def joined(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


METRIC = st.tuples(
    st.fixed_dictionaries({"metric_name": NAME, "metric_value": NUMBER, "source_system": NAME}),
    given_or_not("metric_unit", NAME),
    given_or_not("metric_tags", st.dictionaries(TEXT, TEXT, max_size=3)),
    given_or_not("aggregation_period", NAME),
).map(joined)
RESOURCE = st.tuples(
    st.fixed_dictionaries({
        "host": NAME,
        "resource_type": st.sampled_from(["cpu", "memory", "disk", "network"]),
        "usage_percentage": NUMBER.map(abs),
    }),
    given_or_not("absolute_value", NUMBER),
    given_or_not("peak_usage", NUMBER),
    given_or_not("average_usage", NUMBER),
    given_or_not("context_data", st.dictionaries(TEXT, st.lists(TEXT, max_size=2) | st.none(), max_size=2)),
).map(joined)  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> list[bytes]:
    """Samples that share names, so that the second one takes the cached way."""
    samples = st.tuples(st.just("metric.sampled"), METRIC) | st.tuples(st.just("resource.sampled"), RESOURCE)
    pool = draw(st.lists(samples, min_size=1, max_size=4))
    made = []
    for number in range(draw(st.integers(1, 8))):
        kind, data = draw(st.sampled_from(pool))
        changed = "metric_value" if kind == "metric.sampled" else "usage_percentage"
        value = draw(NUMBER.map(abs))
        kept = dict(draw(st.permutations(sorted(data.items()))))
        event = {
            "specversion": "1.0", "id": f"{number}ü", "source": draw(NAME), "type": f"dev.hindsight.{kind}.v1",
            "time": draw(TIMES), "data": kept | {changed: value},
        }  # fmt: skip
        text = json.dumps(event, ensure_ascii=draw(st.booleans()), separators=draw(SPACING))
        made.append(text.encode())
    return made


@settings(max_examples=150, deadline=None)
@given(records())
def test_rows_and_points_are_those_of_encode(values: list[bytes]) -> None:
    partition = Partition("t", 0, PartitionConfig(lateness_us=1 << 60))
    out = partition.process(Batch("t", 0, list(values), range(len(values)), NOW_US))
    assert out.dead_letters == []
    wanted: dict[str, list[bytes]] = {}
    points: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for value in values:
        event = e.decode(value)
        made = encode(event)
        for table, row in made.rows:
            wanted.setdefault(table.name, []).append(row)
        us = micros(event.time)
        for named, number in made.points:
            place = (us // 10_000_000, series_id(named.entity, named.measure))
            points.setdefault(place, []).append((us, number))
    assert {name: out.rows.get(name) for name in wanted} == wanted
    assert points == {
        (pane, series): [(us, number) for us, _, number in one.points]
        for pane, gathered in partition.state.panes.items()
        for series, one in gathered.items()
    }
    encoded = [encode(e.decode(value)) for value in values]
    series = {(one.entity, one.measure, one.kind) for made in encoded for one, _ in made.points}
    assert {(slot.entity, slot.measure, slot.kind) for slot in partition.state.slots.values()} == series


WRONG = [
    ("metric.sampled", "metric_tags", b'{"a": 1}', "bad_data"),
    ("metric.sampled", "metric_tags", b"[]", "bad_data"),
    ("metric.sampled", "metric_tags", b'{"a": "\\ud800"}', "not_json"),
    ("metric.sampled", "metric_tags", b'{"a": "\xff"}', "not_json"),
    ("resource.sampled", "context_data", b"1e999", "not_finite"),
    ("resource.sampled", "context_data", b"[" * 5000 + b"]" * 5000, "bad_data"),
]


@pytest.mark.parametrize(("kind", "field", "text", "reason"), WRONG, ids=range(len(WRONG)))
def test_a_document_that_is_wrong_is_refused_each_time(kind: str, field: str, text: bytes, reason: str) -> None:
    value = raw(kind, data_of(kind, **{field: "@"})).replace(b'"@"', text)
    partition = Partition("t", 0, PartitionConfig())
    for read in (1, 2):
        out = partition.process(Batch("t", 0, [value], [1], NOW_US))
        assert [letter.reason for letter in out.dead_letters] == [reason], out.dead_letters
        assert out.dead_letters[0].value == value
        assert (out.counts.read, out.counts.applied) == (read, 0)
        assert not {"system_metrics", "resource_usage"} & set(out.rows)
