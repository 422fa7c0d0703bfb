"""The contract's events: what decodes, what is refused and why, and that nothing else ever happens."""

import json
import math
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from operators import events as e
from operators import types
from operators.partition import Partition, PartitionConfig
from operators.records import Batch
from tests.samples import KINDS, NOW_US, SAMPLES, TIME, data_of, raw

QUICK = settings(max_examples=150, deadline=None)


def binary(kind: str, data: Any, **changed: str | bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    attributes: dict[str, str | bytes] = {
        "ce_id": "e1", "ce_source": "test://sample", "ce_type": f"dev.hindsight.{kind}.v1", "ce_time": TIME,
        "ce_specversion": "1.0",
    }  # fmt: skip
    attributes |= changed
    headers = [(name, text.encode() if isinstance(text, str) else text) for name, text in attributes.items()]
    return json.dumps(data).encode(), headers


def fields_of(thing: Any) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = json.loads(msgspec.json.encode(thing))
    return found


def reason_of(value: bytes) -> str:
    with pytest.raises(e.Rejected) as refused:
        e.decode(value)
    assert refused.value.detail
    assert str(refused.value) == f"{refused.value.reason}: {refused.value.detail}"
    return refused.value.reason


def test_the_samples_are_all_the_types() -> None:
    tags = {f"dev.hindsight.{kind}.v1" for kind in KINDS}
    assert tags == {kind.__struct_config__.tag for kind in get_args(types.Event)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [False, True], ids=["required", "all"])
def test_a_type_decodes_in_both_modes(kind: str, full: bool) -> None:
    data = data_of(kind, full=full)
    made = e.decode(raw(kind, data))
    assert made == e.decode_binary(*binary(kind, data))
    assert (made.id, made.source) == ("e1", "test://sample")
    assert made.time.isoformat() == "2026-01-05T10:15:30.250000+00:00"
    for name, value in data.items():
        found = getattr(made.data, name)
        if isinstance(found, Raw):
            assert json.loads(bytes(found)) == value
        elif name in {"execution_start", "execution_end"} or name.endswith("_at"):
            assert found.isoformat().replace("+00:00", "Z")[:19] == value[:19]
        elif name == "edges":
            assert [fields_of(edge) for edge in found] == value
        elif name not in {"steps", "depends_on"}:
            assert found == value, name
    assert e.route(made) == e.Route(SAMPLES[kind].topic, SAMPLES[kind].key)


def test_steps_and_dependencies_decode_as_lists() -> None:
    run: Any = e.decode(raw("pipeline.finished", data_of("pipeline.finished", full=True)))
    assert [(step.step_name, step.step_order, step.status) for step in run.data.steps] == [("compile", 1, "success")]
    task: Any = e.decode(raw("task.changed", data_of("task.changed", full=True)))
    assert [(edge.task_id, edge.type) for edge in task.data.depends_on] == [("T-0", "blocks")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_contract_does_not_name_is_ignored(kind: str) -> None:
    known = e.decode(raw(kind))
    more = data_of(kind, new_field={"deep": [1, "x"]}, another=None)
    assert e.decode(raw(kind, more, traceparent="00-1", datacontenttype="application/json", subject=5)) == known
    value, headers = binary(kind, more)
    assert e.decode_binary(value, [*headers, ("ce_subject", b"\xff"), ("content-type", b"\xfe")]) == known


@pytest.mark.parametrize("kind", KINDS)
def test_each_required_field_is_required(kind: str) -> None:
    for name in SAMPLES[kind].required:
        assert reason_of(raw(kind, data_of(kind, **{name: ...}))) == "bad_data", name


@pytest.mark.parametrize("kind", KINDS)
def test_an_optional_field_may_be_null(kind: str) -> None:
    nulls = dict.fromkeys(SAMPLES[kind].optional)
    from operators.encode import encode

    assert encode(e.decode(raw(kind, data_of(kind, **nulls)))) == encode(e.decode(raw(kind)))


WRONG = [
    (b"", "not_json"),
    (b"null", "not_json"),
    (b"[]", "not_json"),
    (b"\xef\xbb\xbf" + raw("metric.sampled"), "not_json"),
    (raw("metric.sampled") + b"{}", "not_json"),
    (raw("metric.sampled").replace(b"shop", b"sh\xffop"), "not_json"),
    (raw("metric.sampled").replace(b"shop", b"sh\nop"), "not_json"),
    (raw("metric.sampled").replace(b"12.5", b"NaN"), "not_json"),
    (raw("metric.sampled").replace(b"12.5", b"Infinity"), "not_json"),
    (raw("metric.sampled").replace(b"shop", b"\\ud800"), "not_json"),
    (raw("metric.sampled").replace(b"shop", b"\\udc00x"), "not_json"),
    (raw("metric.sampled", type=...), "bad_envelope"),
    (raw("metric.sampled", type="metric.sampled.v1"), "unknown_type"),
    (raw("metric.sampled", type="dev.hindsight.metric.sampled.v2"), "unknown_type"),
    (raw("metric.sampled", type=None), "unknown_type"),
    (raw("metric.sampled", specversion="1.1"), "bad_envelope"),
    (raw("metric.sampled", specversion=1.0), "bad_envelope"),
    (raw("metric.sampled", id=""), "bad_envelope"),
    (raw("metric.sampled", id="ü" * 256), "bad_envelope"),
    (raw("metric.sampled", id=5), "bad_envelope"),
    (raw("metric.sampled", source=""), "bad_envelope"),
    (raw("metric.sampled", source="ü" * 2049), "bad_envelope"),
    (raw("metric.sampled", time=...), "bad_time"),
    (raw("metric.sampled", time=None), "bad_time"),
    (raw("metric.sampled", time=1767608130), "bad_time"),
    (raw("metric.sampled", time="2026-01-05T10:15:30"), "bad_time"),
    (raw("metric.sampled", time="2026-02-30T10:15:30Z"), "bad_time"),
    (raw("metric.sampled", data=None, time="x"), "bad_time"),
    (raw("metric.sampled", "text"), "bad_data"),
    (raw("metric.sampled", data_of("metric.sampled", metric_value="12")), "bad_data"),
    (raw("metric.sampled", data_of("metric.sampled", metric_value=True)), "bad_data"),
    (raw("metric.sampled", data_of("metric.sampled", metric_name="")), "bad_data"),
    (raw("metric.sampled", data_of("metric.sampled", metric_name="x" * 256)), "bad_data"),
    (raw("metric.sampled").replace(b"12.5", b"1e999"), "not_finite"),
    (raw("metric.sampled").replace(b"12.5", b"-1e999"), "not_finite"),
    (raw("metric.sampled").replace(b"12.5", b"9" * 400), "not_finite"),
    (raw("resource.sampled", data_of("resource.sampled", usage_percentage=-0.5)), "bad_data"),
    (raw("resource.sampled", data_of("resource.sampled", resource_type="gpu")), "bad_data"),
    (raw("pipeline.started", data_of("pipeline.started", trigger_type="push")), "bad_data"),
    (raw("pipeline.started", data_of("pipeline.started", execution_start="2026-01-05")), "bad_data"),
    (raw("pipeline.finished", data_of("pipeline.finished", status="running")), "bad_data"),
    (raw("pipeline.finished", data_of("pipeline.finished", success_rate=1.5)), "bad_data"),
    (raw("pipeline.finished", data_of("pipeline.finished", total_duration_s=-1)), "bad_data"),
    (raw("task.changed", data_of("task.changed", status="x" * 51)), "bad_data"),
    (raw("task.changed", data_of("task.changed", priority=2**31)), "bad_data"),
    (raw("task.changed", data_of("task.changed", tags=["a", 1])), "bad_data"),
    (raw("integration.occurred", data_of("integration.occurred", status="error")), "bad_data"),
    (raw("code.measured", data_of("code.measured", scope="module")), "bad_data"),
    (raw("code.measured", data_of("code.measured", path="x" * 4097)), "bad_data"),
    (raw("pattern.labelled", data_of("pattern.labelled", verdict="maybe")), "bad_data"),
    (raw("recommendation.updated", data_of("recommendation.updated", status="done")), "bad_data"),
    (raw("metric.sampled", id="a\\u0000b").replace(b"\\\\u", b"\\u"), "nul_character"),
    (raw("metric.sampled", extra=1).replace(b'"extra": 1', b'"extra": "\\u0000"'), "nul_character"),
]


@pytest.mark.parametrize(("value", "reason"), WRONG, ids=[f"{n}-{reason}" for n, (_, reason) in enumerate(WRONG)])
def test_what_is_wrong_has_its_reason(value: bytes, reason: str) -> None:
    assert reason_of(value) == reason


def test_every_reason_is_given_to_some_record() -> None:
    """But for the two that are nobody's record: `tests/operators/test_partition.py` and `tests/sinks` make those."""
    partition = Partition("t", 0, PartitionConfig())
    big = raw("task.changed", data_of("task.changed", title="x" * (1 << 20)))
    values = [*(value for value, _ in WRONG), None, big, raw("metric.sampled", time="2200-01-01T00:00:00Z")]
    out = partition.process(Batch("t", 0, values, range(len(values)), NOW_US))
    assert {letter.reason for letter in out.dead_letters} == set(e.REASONS) - {"internal_error", "rejected_by_database"}
    assert [letter.offset for letter in out.dead_letters] == list(range(len(values)))


def test_limits_are_inclusive() -> None:
    longest = e.decode(raw("metric.sampled", id="ü" * 255, source="ö" * 2048))
    assert (len(longest.id), len(longest.source)) == (255, 2048)
    east, west = (e.decode(raw("metric.sampled", time=at)).time for at in ("2026-01-05T12:15:30.25+02:00", TIME))
    assert east == west


@pytest.mark.parametrize("number", [1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0])
def test_a_number_may_be_any_double(number: float) -> None:
    made: Any = e.decode(raw("metric.sampled", data_of("metric.sampled", metric_value=number, metric_name="x" * 255)))
    assert math.copysign(1, made.data.metric_value) == math.copysign(1, number)
    assert made.data.metric_value == number


@pytest.mark.parametrize(
    ("text", "nul"),
    [(b"\\u0000", True), (b"\\\\u0000", False), (b"\\\\\\u0000", True), (b"u0000", False), (b"\\\\\\\\u0000", False),
     (b"\\\\u0000\\u0000", True), (b"\\n\\u00000", True), (b"\\u0001", False)],
)  # fmt: skip
def test_only_an_escaped_nul_is_one(text: bytes, nul: bool) -> None:
    value = raw("metric.sampled", id="@").replace(b"@", text)
    assert ("\0" in json.loads(value)["id"]) is nul, "the test itself is right"
    if nul:
        assert reason_of(value) == "nul_character"
    else:
        assert e.decode(value).id == json.loads(value)["id"]


@QUICK
@given(st.text(alphabet='\\u0a"\0', max_size=24))
def test_a_nul_is_found_wherever_it_is(text: str) -> None:
    value = json.dumps({"x": text}).encode()
    try:
        e.refuse_nul(value)
        found = False
    except e.Rejected:
        found = True
    assert found is ("\0" in text)


DOCUMENTS = [
    (b"", b"{}"), (b"null", b"{}"), (b"[1, 2]", b"[1, 2]"), (b'"x"', b'"x"'), (b"9" * 400, b"9" * 400),
    (b"1e999", "not_finite"), (b"-1e999", "not_finite"), (b"9" * 5000, "not_finite"), (b"NaN", "bad_data"),
    (b'"\\ud800"', "bad_data"), (b'"\x01"', "bad_data"), (b"{", "bad_data"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_free_form_fields(text: bytes, wanted: bytes | str) -> None:
    if isinstance(wanted, bytes):
        assert e.document(Raw(text)) == wanted
        return
    with pytest.raises(e.Rejected) as refused:
        e.document(Raw(text))
    assert refused.value.reason == wanted


def test_tags_are_sorted_pairs() -> None:
    assert e.tag_pairs(Raw(b'{"b": "2", "a": "1", "b": "3"}')) == (("a", "1"), ("b", "3"))
    assert e.tag_pairs(types.NONE) == e.tag_pairs(Raw(b"null")) == ()
    for wrong in (b"[]", b'{"a": 1}', b'{"a": null}', b"5"):
        with pytest.raises(e.Rejected, match="bad_data"):
            e.tag_pairs(Raw(wrong))


def test_binary_mode_is_told_by_its_headers() -> None:
    assert e.is_binary([("x", b""), ("ce_type", b"y")])
    assert e.is_binary([("ce_specversion", b"1.0")])
    assert not e.is_binary([("ce_id", b"1"), ("content-type", b"application/cloudevents+json")])


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"ce_id": b"\xff"}, "bad_envelope"), ({"ce_time": "now"}, "bad_time"), ({"ce_type": "x"}, "unknown_type"),
     ({"ce_specversion": "2"}, "bad_envelope"), ({"ce_id": "a\0b"}, "nul_character"),
     ({"ce_source": ""}, "bad_envelope")],
)  # fmt: skip
def test_binary_attributes_are_checked(changed: dict[str, str | bytes], reason: str) -> None:
    with pytest.raises(e.Rejected) as refused:
        e.decode_binary(*binary("metric.sampled", data_of("metric.sampled"), **changed))
    assert refused.value.reason == reason


@pytest.mark.parametrize("value", [b"", b"{", b"{}}", b"hello", b"\xff{}"])
def test_binary_data_that_is_no_json(value: bytes) -> None:
    with pytest.raises(e.Rejected):
        e.decode_binary(value, binary("metric.sampled", {})[1])


def test_binary_data_cannot_smuggle_attributes_in() -> None:
    value, headers = binary("metric.sampled", data_of("metric.sampled"))
    with pytest.raises(e.Rejected, match="not_json"):
        e.decode_binary(value + b', "id": "another"', headers)


@QUICK
@given(st.binary(max_size=80))
@example(b"{")
def test_arbitrary_bytes_are_rejected(value: bytes) -> None:
    reason_of(value)


def mutations(kind: str) -> st.SearchStrategy[bytes]:
    good = raw(kind, data_of(kind, full=True))
    piece = st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"\\u0000", b"\xff", b"null", b"1e999", b"[", b"}", b'"', b"\\ud800", b"-", b"9" * 30, b",", b""]
        ),
    )  # fmt: skip
    cut = st.tuples(st.integers(0, len(good)), st.integers(0, 12), piece)

    def apply(cuts: list[tuple[int, int, bytes]]) -> bytes:
        made = good
        for at, length, new in cuts:
            made = made[:at] + new + made[at + length :]
        return made

    return st.lists(cut, min_size=1, max_size=3).map(apply)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(KINDS).flatmap(mutations))
def test_a_damaged_event_is_an_event_or_rejected(value: bytes) -> None:
    try:
        made = e.decode(value)
    except e.Rejected as refused:
        assert refused.reason in e.REASONS
        assert refused.reason != "internal_error"
    else:
        assert isinstance(made, types.Envelope)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60),
    st.lists(st.tuples(st.sampled_from(["ce_id", "ce_type", "ce_time", "x"]), st.binary(max_size=9))),
)
def test_arbitrary_binary_records_are_rejected(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(e.Rejected) as refused:
        e.decode_binary(value, headers)
    assert refused.value.reason in e.REASONS


def test_deep_nesting_is_no_crash() -> None:
    for depth in (5_000, 200_000):
        deep = b"[" * depth + b"]" * depth
        assert reason_of(raw("metric.sampled").replace(b"12.5", deep)) in {"bad_data", "not_json"}
        assert reason_of(raw("metric.sampled", x=1).replace(b'"x": 1', b'"x":' + deep)) == "bad_data"
