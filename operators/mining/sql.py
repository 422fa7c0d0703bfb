"""Pieces of SQL that check a finding's numbers. Text only: nothing is run here."""

import re
from datetime import datetime
from typing import Any

from operators.mining.history import BAD, JUDGED


def literal(value: str) -> str:
    """A text as an SQL literal (standard_conforming_strings is on).

    >>> print(literal("it's"))
    'it''s'
    """
    return "'" + value.replace("'", "''") + "'"


def among(column: str, values: Any) -> str:
    """A test that a column is one of several texts.

    >>> among("status", ["failure", "error"])
    "status IN ('failure', 'error')"
    """
    return f"{column} IN ({', '.join(literal(value) for value in values)})"


def until(column: str, time: datetime) -> str:
    """A test that a time is not after the end of the history.

    >>> from datetime import UTC
    >>> until("execution_end", datetime(2026, 1, 5, tzinfo=UTC))
    "execution_end <= '2026-01-05T00:00:00+00:00'"
    """
    return f"{column} <= '{time.isoformat()}'"


def counting(table: str, rows: str, hits: str) -> str:
    """A query of one row: how many of the rows are hits (`support`), and how many rows there are (`total`).

    >>> counting("runs", "a = 1", "b = 2")
    'SELECT count(*) FILTER (WHERE b = 2) AS support, count(*) AS total FROM runs WHERE a = 1'
    """
    return f"SELECT count(*) FILTER (WHERE {hits}) AS support, count(*) AS total FROM {table} WHERE {rows}"


_BEGINS = {
    "pipeline_executions": "execution_start",
    "step_executions": "execution_start",
    "task_executions": "execution_start",
    "integration_events": "event_timestamp",
    "detected_patterns": "opened_at",
}


def since(query: str, time: datetime) -> str:
    """The same query over what began at a time or later: the tables that it names are cut before it sees them.

    >>> from datetime import UTC
    >>> print(since("WITH e AS (SELECT id FROM tasks) SELECT 1", datetime(2026, 1, 5, tzinfo=UTC)))
    WITH e AS (SELECT id FROM tasks) SELECT 1
    >>> since("SELECT count(*) FROM integration_events", datetime(2026, 1, 5, tzinfo=UTC)).split(" WHERE ")[0]
    'WITH integration_events AS (SELECT * FROM integration_events'
    """
    cuts = [
        f"{table} AS (SELECT * FROM {table} WHERE {column} >= {literal(time.isoformat())})"
        for table, column in _BEGINS.items()
        if re.search(rf"\b{table}\b", query)
    ]
    if not cuts:
        return query
    rest = f", {query.removeprefix('WITH ')}" if query.startswith("WITH ") else f" {query}"
    return f"WITH {', '.join(cuts)}{rest}"


def failed(column: str = "status") -> str:
    """A test that a status counts as failed."""
    return among(column, BAD)


def judged(column: str = "status") -> str:
    """A test that a status counts at all."""
    return among(column, JUDGED)


_UNIFYING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"https?://[^ ,;)]+", "<url>"),
    (r"0x[0-9a-f]+", "<hex>"),
    (r"[0-9a-f]*[0-9][0-9a-f]{7,}", "<hex>"),
    (r"(/[a-z0-9_.<>-]+){2,}", "<path>"),
    (r"[0-9]+([.:,][0-9]+)*", "<n>"),
    (r"[ \t\r\n]+", " "),
)
"""What differs from one error to the next of the same kind, in a dialect that Python and PostgreSQL read the same."""

SIGNATURE_LENGTH = 160
"""Characters of a signature: what comes after is rarely the kind of error."""

_COMPILED = tuple((re.compile(pattern), word) for pattern, word in _UNIFYING)


def signature(text: str) -> str:
    """An error text without what differs each time: ids, addresses, numbers, paths, capitals.

    >>> signature("Timeout after 30.5 s at /srv/app/x.py:12, request 0xDEADBEEF")
    'timeout after <n> s at <path>:<n>, request <hex>'
    """
    text = text[: 4 * SIGNATURE_LENGTH].lower()
    for pattern, word in _COMPILED:
        text = pattern.sub(word, text)
    return text.strip()[:SIGNATURE_LENGTH]


def signature_of(expression: str) -> str:
    """`signature` as SQL over a text expression."""
    out = f"lower(left({expression}, {4 * SIGNATURE_LENGTH}))"
    for pattern, word in _UNIFYING:
        out = f"regexp_replace({out}, {literal(pattern)}, {literal(word)}, 'g')"
    return f"left(btrim({out}), {SIGNATURE_LENGTH})"
