"""Kinds of parameters that many routes take, strict where pydantic would guess."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BeforeValidator, WithJsonSchema

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""Times beyond are taken as these: there is no data there."""

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL holds no U+0000."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)


def moment(given: Any) -> Any:
    """RFC 3339 with an offset, or a date (its beginning in UTC).

    >>> moment("2026-01-05").isoformat(), moment("2026-01-05T10:00:00+02:00").isoformat()
    ('2026-01-05T00:00:00+00:00', '2026-01-05T08:00:00+00:00')
    """
    if not isinstance(given, str) or not _TIME.fullmatch(given):
        raise ValueError("must be an RFC 3339 time with an offset (2026-01-05T10:00:00Z), or a date")
    found = datetime.fromisoformat(given.upper())
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return min(max(found.astimezone(UTC), EARLIEST), LATEST)
    except OverflowError:
        return EARLIEST if found.year < 2000 else LATEST


def flag(given: Any) -> Any:
    """`true` or `false`, and no other word for them."""
    if given not in ("true", "false"):
        raise ValueError("must be true or false")
    return given == "true"


_TIME_SCHEMA = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}

When = Annotated[datetime, BeforeValidator(moment), WithJsonSchema(_TIME_SCHEMA)]
Flag = Annotated[bool, BeforeValidator(flag), WithJsonSchema({"type": "boolean"})]
Text = Annotated[str, Query(max_length=4096, pattern=NO_NUL)]
Word = Annotated[str, Query(max_length=200, pattern=NO_NUL)]
Share = Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most items in the answer.")]
After = Annotated[
    str | None,
    Query(
        max_length=16_384, pattern="^[A-Za-z0-9_=-]*$", description="Cursor of the next page, from the header `Link`."
    ),
]
Id = Annotated[str, Path(max_length=64)]
Severity = Literal["info", "low", "medium", "high", "critical"]
Category = Literal["performance", "quality", "workflow", "error"]
