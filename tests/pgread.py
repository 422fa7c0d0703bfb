"""Reads PostgreSQL's binary COPY tuples, from the manual's words and nothing of Hindsight."""

import json
import struct
import uuid
from collections.abc import Sequence
from typing import Any

UNIX_TO_2000_US = 946_684_800_000_000


def fields(row: bytes) -> list[bytes | None]:
    """The raw fields of one tuple; raises AssertionError unless its bytes are used up exactly."""
    (count,) = struct.unpack_from(">h", row)
    at, found = 2, list[bytes | None]()
    for _ in range(count):
        (length,) = struct.unpack_from(">i", row, at)
        at += 4
        if length == -1:
            found.append(None)
            continue
        assert length >= 0
        assert at + length <= len(row)
        found.append(row[at : at + length])
        at += length
    assert at == len(row)
    return found


def value(kind: str, raw: bytes) -> Any:
    """A field of a type. Times are microseconds since 1970."""
    match kind:
        case "bigint":
            return struct.unpack(">q", raw)[0]
        case "int":
            return struct.unpack(">i", raw)[0]
        case "float8":
            return struct.unpack(">d", raw)[0]
        case "bool":
            return {b"\0": False, b"\1": True}[raw]
        case "text":
            return raw.decode()
        case "bytea":
            return raw
        case "jsonb":
            assert raw[:1] == b"\1"
            return json.loads(raw[1:])
        case "uuid":
            return uuid.UUID(bytes=raw)
        case "timestamptz":
            return struct.unpack(">q", raw)[0] + UNIX_TO_2000_US
    return _array(kind.removesuffix("[]"), raw)


def _array(kind: str, raw: bytes) -> list[Any]:
    dimensions, nulls, oid = struct.unpack_from(">iii", raw)
    assert (nulls, oid) == (0, {"text": 25, "uuid": 2950}[kind])
    if dimensions == 0:
        assert len(raw) == 12
        return []
    count, first = struct.unpack_from(">ii", raw, 12)
    assert (dimensions, first) == (1, 1)
    at, items = 20, []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", raw, at)
        items.append(value(kind, raw[at + 4 : at + 4 + length]))
        at += 4 + length
    assert at == len(raw)
    return items


def read(columns: Sequence[tuple[str, str]], row: bytes) -> dict[str, Any]:
    """A row by column name. `columns`: name and type, in COPY order."""
    found = fields(row)
    assert len(found) == len(columns)
    return {name: None if raw is None else value(kind, raw) for (name, kind), raw in zip(columns, found, strict=True)}
