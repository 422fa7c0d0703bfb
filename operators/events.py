"""Decoding records, and the reasons for which one is refused.

`decode` takes a structured-mode CloudEvent, `decode_binary` one whose attributes are Kafka headers. What breaks the
contract raises `Rejected` with one of the reasons below; nothing else is ever raised for a record's content.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from operators.types import (
    CodeData,
    CodeDependenciesData,
    Event,
    IntegrationData,
    LabelData,
    MetricData,
    PipelineConfiguredData,
    PipelineStartedData,
    RecommendationData,
    ResourceData,
    TaskChangedData,
    TaskFinishedData,
)


class Rejected(Exception):
    """A record that breaks the contract: `reason` is one of the fixed words, `detail` says what and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


REASONS = {
    "not_json": "the bytes are not a JSON object in UTF-8",
    "too_large": "the record is longer than the limit (1 MiB)",
    "unknown_type": "the event's type is not one of the contract",
    "bad_envelope": "id, source, specversion or another attribute is missing or out of its limits",
    "bad_time": "time is missing, not RFC 3339, or has no offset",
    "time_in_future": "time is further ahead of the wall clock than the limit (5 minutes)",
    "bad_data": "a field of data is missing, of the wrong type or out of its range",
    "not_finite": "a number is beyond what a double can hold",
    "nul_character": "a string holds U+0000, which a database can't store",
    "empty": "the record has no value (a tombstone)",
    "internal_error": "a fault of Hindsight itself: please report it with the record",
    "rejected_by_database": "the database refused the row",
}
"""Every reason of a dead letter, and what it means."""


TOPICS = ("metric", "pipeline", "task", "integration", "code", "feedback")
"""The middle of a topic's name: `<prefix>.events.<this>.v1`."""

_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_ANY = msgspec.json.Decoder(object)
_BINARY_FIELDS = {"ce_id", "ce_source", "ce_type", "ce_time", "ce_specversion"}

decode_fast = _DECODER.decode
"""The bare decoder, for the hot path: raises whatever msgspec raises; give the exception to `explain`."""


class Route(NamedTuple):
    """Where a producer puts an event: one of `TOPICS`, and the record key (UTF-8 when sent)."""

    topic: str
    key: str


def decode(raw: bytes) -> Event:
    """A structured-mode record as a typed event.

    :raises Rejected: for whatever is wrong with it.

    >>> decode(b'{"id": 1}')
    Traceback (most recent call last):
    ...
    operators.events.Rejected: bad_envelope: Object missing required field `type`
    """
    try:
        if b"\\" in raw:
            refuse_nul(raw)
        return decode_fast(raw)
    except Rejected:
        raise
    except Exception as problem:
        raise explain(raw, problem) from None


def decode_binary(value: bytes, headers: Sequence[tuple[str, bytes | None]]) -> Event:
    """A binary-mode record: attributes in `ce_` headers, the value is `data`. Raises `Rejected` as `decode` does."""
    attributes: dict[str, object] = {}
    for name, content in headers:
        if name in _BINARY_FIELDS:
            try:
                attributes[name[3:]] = (content or b"").decode()
            except UnicodeDecodeError:
                raise Rejected("bad_envelope", f"header {name} is not UTF-8") from None
    try:
        _ANY.decode(value)  # one document and no more: what follows it could pass for attributes
    except Exception as problem:
        raise explain(value, problem) from None
    return decode(msgspec.json.encode(attributes | {"data": Raw(value)}))


def is_binary(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """Whether Kafka headers make a record a binary-mode CloudEvent."""
    return any(name in ("ce_type", "ce_specversion") for name, _ in headers)


def refuse_nul(raw: bytes) -> None:
    """Raise `Rejected` if a JSON text holds an escaped U+0000.

    A backslash that is itself escaped (`\\\\\\\\u0000`) is text, not an escape: only an odd run of them counts.
    """
    at = raw.find(b"\\u0000")
    while at >= 0:
        run = at
        while run > 0 and raw[run - 1 : run] == b"\\":
            run -= 1
        if (at - run) % 2 == 0:
            raise Rejected("nul_character", f"an escaped U+0000 at byte {at}")
        at = raw.find(b"\\u0000", at + 1)


def explain(raw: bytes, problem: Exception) -> Rejected:
    """The reason and detail for an exception that decoding `raw` raised."""
    if isinstance(problem, Rejected):
        return problem
    text = str(problem)
    if isinstance(problem, UnicodeDecodeError):
        return Rejected("not_json", f"not UTF-8: {text}")
    if isinstance(problem, RecursionError):
        return Rejected("bad_data", "nested too deep")
    if not isinstance(problem, msgspec.ValidationError):
        if isinstance(problem, msgspec.DecodeError):
            return Rejected("not_finite" if "out of range" in text else "not_json", text)
        return Rejected("internal_error", f"{type(problem).__name__}: {text}")
    try:
        shape = _ANY.decode(raw)
    except msgspec.ValidationError as worse:
        return Rejected("not_finite", str(worse))
    except Exception as worse:
        return Rejected("not_json", str(worse))
    if not isinstance(shape, dict):
        return Rejected("not_json", text)
    if "out of range" in text:
        return Rejected("not_finite", text)
    if "- at `$.data" in text or "field `data`" in text:
        return Rejected("bad_data", text)
    if "- at `$.type`" in text:
        return Rejected("unknown_type", f"{shape.get('type')!r:.300}")
    if "- at `$.time`" in text or "field `time`" in text:
        return Rejected("bad_time", f"{text}: {shape.get('time')!r:.100}")
    return Rejected("bad_envelope", text)


def document(raw: Raw) -> bytes:
    """A free-form JSON field as bytes that the database accepts: `{}` when absent or null, else checked and as sent.

    :raises Rejected: `not_finite` for a number beyond a double, `bad_data` for anything else jsonb would refuse.
    """
    text = bytes(raw)
    if not text or text == b"null":
        return b"{}"
    try:
        _ANY.decode(text)
    except msgspec.DecodeError as problem:
        raise Rejected("not_finite" if "out of range" in str(problem) else "bad_data", str(problem)) from None
    return text


def tag_pairs(raw: Raw) -> tuple[tuple[str, str], ...]:
    """`metric_tags` as pairs in the order of their keys. Raises `Rejected` when they are not an object of strings."""
    text = bytes(raw)
    if not text or text == b"null":
        return ()
    try:
        tags = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as problem:
        raise Rejected("bad_data", f"{problem} - at `$.data.metric_tags`") from None
    return tuple(sorted(tags.items()))


def route(event: Event) -> Route:
    """The topic and record key of an event (contract.md section 2): all of one entity in one partition, in order."""
    data = event.data
    match data:
        case MetricData():
            return Route("metric", f"{data.source_system}:{data.metric_name}")
        case ResourceData():
            return Route("metric", f"{data.host}:{data.resource_type}")
        case PipelineStartedData() | PipelineConfiguredData():
            return Route("pipeline", data.pipeline_name)
        case TaskChangedData() | TaskFinishedData():
            return Route("task", data.task_id)
        case IntegrationData():
            return Route("integration", data.source_system)
        case CodeData() | CodeDependenciesData():
            return Route("code", data.codebase_id)
        case LabelData():
            return Route("feedback", data.pattern_id)
        case RecommendationData():
            return Route("feedback", data.recommendation_id)
