"""Logging: one line a record on stderr, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

_QUIET = ("asyncio", "fasteners", "psycopg", "psycopg.pool", "urllib3")
"""Third parties whose chatter below a warning helps nobody."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record carries; anything else came by ``extra=``."""


def configure(level: str = "info", fmt: Literal["text", "json"] = "text") -> None:
    """Send records of ``level`` and above to stderr, in one line each.

    Called again, it replaces what it set up.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if fmt == "json" else TextFormatter())
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known.formatter, (JsonFormatter, TextFormatter))]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


class TextFormatter(logging.Formatter):
    r"""``2026-01-05T10:15:30.250Z info    sinks.timescale: message key=value``, in one line.

    A traceback is shown only at level debug; otherwise the exception is named at the end of the line.

    >>> fields = {"name": "a", "levelname": "INFO", "msg": "two\nlines", "created": 0, "rows": 3}
    >>> record = logging.makeLogRecord(fields)
    >>> TextFormatter().format(record)
    '1970-01-01T00:00:00.000Z info    a: two | lines rows=3'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        parts = [record.getMessage(), *(f"{key}={value}" for key, value in _extra(record).items())]
        line = f"{_time(record)} {record.levelname.lower():<7} {record.name}: {_flat(' '.join(parts))}"
        if record.exc_info and record.exc_info[1]:
            if logging.getLogger().isEnabledFor(logging.DEBUG):
                return f"{line}\n{self.formatException(record.exc_info)}"
            error = record.exc_info[1]
            line += f" ({type(error).__name__}: {_flat(str(error))})"
        return line


class JsonFormatter(logging.Formatter):
    r"""One JSON object a line: ``time level logger message``, what ``extra=`` gave, ``error``, ``traceback``.

    >>> fields = {"name": "a", "levelname": "INFO", "msg": "two\nlines", "created": 0}
    >>> record = logging.makeLogRecord(fields)
    >>> JsonFormatter().format(record)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "logger": "a", "message": "two\\nlines"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
            if logging.getLogger().isEnabledFor(logging.DEBUG):
                line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _flat(text: str) -> str:
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
