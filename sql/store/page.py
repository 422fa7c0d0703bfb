"""Pages of a listing by key: the next page starts behind the last row seen, and not at a number of rows.

A row that stays where it is comes exactly once, whatever is inserted or removed meanwhile, and a page deep down costs
what the first costs. The place travels as an opaque cursor. It holds no secret and is not signed: each of its values is
checked for its type and is a parameter of the query, so a forged one can only name another place in the same listing.
"""

import base64
import binascii
import hashlib
import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Generic, TypeVar

import msgspec

from sql.store.errors import BadCursor, BadRequest

Item = TypeVar("Item")

VERSION = 1
"""Of the cursor's form: one of another version is a :class:`BadCursor`."""
MOST = 1000
"""Greatest number of rows in a page."""
LONGEST = 16_384
"""Characters that a cursor may have at most: an entity may be long, and is in it where it is sorted by."""


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Rows, and the cursor of the next page: None where this is the last."""

    items: list[Item]
    next: str | None = None


def checked_limit(limit: int) -> int:
    """The limit, if it is from 1 to 1000; else :class:`BadRequest`."""
    if not 1 <= limit <= MOST:
        raise BadRequest(f"limit is from 1 to {MOST}, not {limit}")
    return limit


def listing_id(*parts: object) -> str:
    """A short name for a listing with its order and filters: a cursor is good for one such name.

    >>> listing_id("tasks", "status = open") != listing_id("tasks", "status = done")
    True
    """
    return hashlib.blake2b(repr(parts).encode(), digest_size=9).hexdigest()


def encode(listing: str, place: Sequence[Any]) -> str:
    """A cursor, safe in a URL, for the place behind the row with these values of the ordering columns."""
    text = msgspec.json.encode([VERSION, listing, [_plain(value) for value in place]])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(cursor: str, listing: str, kinds: Sequence[Any]) -> list[Any]:
    """The place that a cursor names; ``kinds`` are the Python types that its values must have.

    >>> decode(encode("a", [3, None]), "a", [int, str | None])
    [3, None]
    """
    if len(cursor) > LONGEST:
        raise BadCursor("the cursor is too long to be one of ours")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        version, name, place = msgspec.json.decode(text, type=tuple[int, str, list[Any]])
        if version != VERSION or name != listing:
            raise BadCursor("the cursor is of another listing, order or set of filters: start without one")
        if len(place) != len(kinds):
            raise BadCursor("the cursor is damaged")
        return [_typed(value, kind) for value, kind in zip(place, kinds, strict=True)]
    except (binascii.Error, msgspec.DecodeError, ValueError, UnicodeError) as error:
        raise BadCursor("the cursor is damaged") from error


def _typed(value: Any, kind: Any) -> Any:
    found = msgspec.convert(value, kind)
    if "\0" in str(found) or (isinstance(found, datetime) and found.tzinfo is None):
        raise BadCursor("the cursor is damaged")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return msgspec.to_builtins(value)
    return value
