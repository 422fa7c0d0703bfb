"""Events sent in, as CloudEvents over HTTP."""

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import shapes
from api.bodies import JSON, media_type, read
from api.documents import answers, body
from api.examples import EVENT, RESULTS
from api.intake import IntakeError
from api.problems import Problem
from api.services import Services, allowed, reply
from operators.events import Rejected, explain
from sinks.publish import Addressed, Invalid, Limits, Line, address

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
STORE_SECONDS = 30.0
"""A caller waits so long at most; its events may be stored all the same, and count once when they come again."""
_ATTRIBUTES = ("id", "source", "type", "time", "specversion")
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_SCHEMA = {"type": "object", "description": "A CloudEvent 1.0, its data as in docs/events.md."}

_EITHER = {"anyOf": [{"type": "object"}, {"type": "array", "items": _SCHEMA}]}


class _Id(msgspec.Struct):
    id: str | None = None


def router(services: Services) -> APIRouter:
    """The route over an event log."""
    routes = APIRouter(tags=["events"])
    config = services.config
    limits = Limits(config.most_record, config.future_s)

    def checked(raws: list[bytes]) -> list[Addressed | Invalid]:
        now = time.time()
        return [address(Line(index, raw), config.topic_prefix, limits, now) for index, raw in enumerate(raws)]

    @routes.post(
        "/events",
        **answers(shapes.EventResults, 403, 408, 413, 415, 422, example=RESULTS, status=202),
        **body(
            (STRUCTURED, _SCHEMA, {"single": EVENT}),
            (BATCH, {"type": "array", "items": _SCHEMA}, {"batch": [EVENT]}),
            (JSON, _EITHER, {"data, attributes in ce- headers": EVENT["data"], "single": EVENT, "batch": [EVENT]}),
        ),
    )
    async def post_events(request: Request) -> Response:
        """Take in events: one (structured mode), a list of them (batched mode), or one whose attributes are headers
        `ce-id`, `ce-source`, … and whose data is the body (binary mode). Each is checked as the flow will; the answer
        says of each whether it is accepted, which means that it is safe. Look at `rejected`: the status is 202 all the
        same. Sent again, an event counts once. Takes a token with the scope write."""
        allowed(request, "write")
        if services.intake is None:
            raise Problem(503, "no-intake", "This API takes no events.", headers={"Retry-After": "60"})
        raws = split(media_type(request), request.headers, await read(request, config.body_seconds))
        if len(raws) > config.most_events:
            raise Problem(413, "too-many-events", f"A request may have {config.most_events} events.")
        # A few events are checked in less time than a thread takes to begin.
        found = checked(raws) if len(raws) < 50 else await run_in_threadpool(checked, raws)
        valid = [one for one in found if isinstance(one, Addressed)]
        if valid:
            try:
                async with asyncio.timeout(STORE_SECONDS):
                    await asyncio.wrap_future(services.intake.put(valid))
            except (IntakeError, TimeoutError) as problem:
                detail = f"The events are not stored: {str(problem) or 'it takes too long'}. Send them again."
                raise Problem(503, "events-not-stored", detail, headers={"Retry-After": "5"}) from None
        results = [_result(index, one, raw) for index, (one, raw) in enumerate(zip(found, raws, strict=True))]
        for one in found:
            if isinstance(one, Invalid):
                services.metrics.events.labels("rejected", one.reason).inc()
        services.metrics.events.labels("accepted", "").inc(len(valid))
        return reply(shapes.EventResults(accepted=len(valid), rejected=len(found) - len(valid), results=results), 202)

    return routes


def split(media: str, headers: Mapping[str, str], raw: bytes) -> list[bytes]:
    """The events of a request, each in structured mode.

    :raises Problem: 415 for a content type that is none of the three modes', 422 for what is no JSON.

    >>> split(BATCH, {}, b'[{"id": 1}, {"id": 2}]')
    [b'{"id": 1}', b'{"id": 2}']
    >>> split(JSON, {"ce-id": "a%20b", "ce-type": "t"}, b'{"x": 1}')
    [b'{"id":"a b","type":"t","data":{"x": 1}}']
    """
    if media == BATCH:
        return _listed(raw)
    if media == STRUCTURED:
        return [_one(raw)]
    if media != JSON:
        raise Problem(415, "content-type", f"The content type is {STRUCTURED}, {BATCH}, or {JSON} in binary mode.")
    if any(f"ce-{name}" in headers for name in _ATTRIBUTES):
        given = {name: unquote(headers[f"ce-{name}"]) for name in _ATTRIBUTES if f"ce-{name}" in headers}
        return [msgspec.json.encode(given | {"data": msgspec.Raw(_whole(raw))})]
    return _listed(raw) if raw.lstrip()[:1] == b"[" else [_one(raw)]


def _one(raw: bytes) -> bytes:
    if _whole(raw).lstrip()[:1] != b"{":
        raise Problem(422, "no-event", "An event is a JSON object.")
    return raw


def _whole(raw: bytes) -> bytes:
    """One JSON document and no more; raises `Problem`."""
    try:
        msgspec.json.decode(raw)
    except Exception as problem:
        reason = explain(raw, problem)
        if reason.reason == "not_json":
            raise Problem(422, "no-json", f"The body is no JSON: {reason.detail[:200]}") from None
    return raw


def _listed(raw: bytes) -> list[bytes]:
    try:
        found = [bytes(one) for one in _LIST.decode(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Problem(422, "no-json", f"The body is no JSON list of events: {str(problem)[:200]}") from None
    if not all(one[:1] == b"{" for one in found):
        raise Problem(422, "no-event", "Each of the list is an event, a JSON object.")
    return found


def _result(index: int, found: Addressed | Invalid, raw: bytes) -> shapes.EventResult:
    name = _id(raw)
    if isinstance(found, Addressed):
        return shapes.EventResult(index=index, id=name, status="accepted")
    return shapes.EventResult(index=index, id=name, status="rejected", reason=found.reason, detail=found.detail)


def _id(raw: bytes) -> str | None:
    try:
        return msgspec.json.decode(raw, type=_Id).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Rejected):
        return None
