from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from sinks.publish import (
    Addressed,
    Checked,
    Invalid,
    Limits,
    Line,
    PublishError,
    address,
    read_lines,
    unpacked,
)

NOW = 1_767_608_130.0
"""2026-01-05T10:15:30Z."""

SAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "s",
    "type": "dev.hindsight.metric.sampled.v1",
    "time": "2026-01-05T10:15:30Z",
    "data": {"metric_name": "m", "metric_value": 1.5, "source_system": "web"},
}


def line(**changes: Any) -> Line:
    return Line(3, json.dumps(SAMPLE | changes).encode())


def test_lines_keep_their_numbers_and_bytes() -> None:
    text = b'{"a": 1}\r\n\n   \n' + b"x" * 30 + b"\n" + b"last"
    assert list(read_lines(io.BytesIO(text), 10)) == [
        Line(1, b'{"a": 1}'),
        Line(4, b"x" * 12),
        Line(5, b"last"),
    ]


def test_an_event_gets_its_topic_and_key() -> None:
    assert address(line(), "acme", Limits(), NOW) == Addressed("acme.events.metric.v1", b"web:m", line().raw)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"type": "dev.hindsight.nothing.v1"}, "unknown_type"),
        ({"time": "2026-01-05T10:15:30"}, "bad_time"),
        ({"time": "2026-01-05T10:20:31Z"}, "time_in_future"),
        ({"id": ""}, "bad_envelope"),
        ({"data": {}}, "bad_data"),
        ({"data": SAMPLE["data"] | {"metric_tags": {"a": 1}}}, "bad_data"),
        ({"data": SAMPLE["data"] | {"metric_name": "a\0b"}}, "nul_character"),
    ],
)
def test_what_the_flow_would_refuse_is_refused(changed: dict[str, Any], reason: str) -> None:
    found = address(line(**changed), "hindsight", Limits(), NOW)
    assert isinstance(found, Invalid)
    assert (found.number, found.reason) == (3, reason)


def test_a_long_line_is_too_large() -> None:
    found = address(Line(1, b"x" * 101), "hindsight", Limits(most_bytes=100), NOW)
    assert isinstance(found, Invalid) and found.reason == "too_large"


def test_all_invalid_lines_are_counted_and_the_first_are_kept() -> None:
    checked = Checked(kept=2)
    lines = [line(), Line(4, b"["), Line(5, b"{}"), Line(6, b"["), line(id="2")]
    moved: list[int] = []
    found = list(checked.addressed(lines, "hindsight", Limits(), lambda: moved.append(1)))
    assert [event.raw for event in found] == [line().raw, line(id="2").raw]
    assert (checked.valid, checked.invalid, len(moved)) == (2, 3, 5)
    assert checked.reasons == {"not_json": 2, "bad_envelope": 1}
    assert [each.number for each in checked.listed] == [4, 5]


def test_a_packed_file_that_is_cut_off_is_one_clear_error(tmp_path: Path) -> None:
    whole = gzip.compress(b"a\nb\n")
    with unpacked(io.BytesIO(whole), "f.gz") as stream:
        assert stream.read() == b"a\nb\n"
    for broken in (whole[:-6], b"no gzip", whole[:12] + b"\0" * 8):
        with (
            pytest.raises(PublishError, match=r"^f\.gz is not a whole gzip file"),
            unpacked(io.BytesIO(broken), "f.gz") as stream,
        ):
            stream.read()
