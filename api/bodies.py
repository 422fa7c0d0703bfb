"""Bodies of requests: read within limits, decoded into a class, errors with their place."""

import asyncio
from typing import Any, TypeVar

import msgspec
from fastapi import Request

from api.problems import FieldError, Problem

Shape = TypeVar("Shape")
JSON = "application/json"


async def read(request: Request, seconds: float) -> bytes:
    """The body; raises `Problem` 408 when it does not arrive in time, 413 when it is too large."""
    try:
        async with asyncio.timeout(seconds):
            return await request.body()
    except TimeoutError:
        headers = {"Connection": "close"}
        raise Problem(
            408, "too-slow-to-send", f"The body did not arrive within {seconds:g} s.", headers=headers
        ) from None


def media_type(request: Request) -> str:
    """The content type without parameters, in small letters.

    Raises `Problem` 415 for any charset but UTF-8.
    """
    given, _, rest = request.headers.get("content-type", "").partition(";")
    charset = rest.lower().partition("charset=")[2].partition(";")[0].strip(' "')
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise Problem(415, "charset", "JSON is in UTF-8.")
    return given.strip().lower()


async def decoded(request: Request, shape: type[Shape], seconds: float) -> Shape:
    """A JSON body as a class; raises `Problem` 415 for another content type, 422 for what does not fit."""
    if media_type(request) != JSON:
        raise Problem(415, "content-type", f"The content type is {JSON}.")
    raw = await read(request, seconds)
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at `$")
        place = "body" + where.rstrip("`")
        raise Problem(422, "bad-request", f"{place}: {said}", fields=[FieldError(place, said)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(422, "no-json", f"The body is no JSON: {_line(error)}") from None


def _line(error: Any) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else str(error)[:200]
