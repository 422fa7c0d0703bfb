"""SQL that counts a mined sequence again, from the events that the miner makes its groups of."""

from collections.abc import Sequence
from datetime import datetime

from operators.mining import sql
from operators.mining.streams import source

PATTERN_TOKEN = "coalesce(pattern_data #>> '{evidence,rule}', pattern_type)"
"""What a pattern is called in its token: its rule where it has one, else its detector (`operators.tokens`)."""

OF_STREAM = "NOT starts_with(detection_algorithm, 'nightly: ') AND pattern_type <> 'sequence'"
"""Patterns that the stream found itself, and that are tokens there: not what was mined, nor what follows from it."""


def counting(kind: str, pattern: Sequence[str], window_us: int | None, until: datetime) -> str:
    """A query of one row: groups of `kind` that hold the whole pattern (`support`), and all but its last (`total`)."""
    chains = []
    for size in (len(pattern), len(pattern) - 1):
        tests = [f"e{at}.token = {sql.literal(what)}" for at, what in enumerate(pattern[:size])]
        for at in range(1, size):
            tests.append(f"e{at}.g = e{at - 1}.g AND (e{at}.at, e{at}.token) > (e{at - 1}.at, e{at - 1}.token)")
            if window_us is not None:
                tests.append(f"e{at}.at - e{at - 1}.at <= {window_us}")
        ended = sql.literal(pattern[-1].rsplit(":", 1)[0] + ":")
        tests.append(f"EXISTS (SELECT FROM e AS x WHERE x.g = e0.g AND starts_with(x.token, {ended}))")
        chains.append(
            f"(SELECT count(DISTINCT e0.g) FROM {', '.join(f'e AS e{at}' for at in range(size))}"
            f" WHERE {' AND '.join(tests)})"
        )
    return f"WITH e AS ({_TOKENS[kind](until)}) SELECT {chains[0]} AS support, {chains[1]} AS total"


def _step_tokens(until: datetime) -> str:
    return (
        "SELECT pipeline_execution_id::text AS g, step_order::bigint AS at, ('step:' || pipeline_name || '/' ||"
        " step_name"
        " || ':' || status) COLLATE \"C\" AS token FROM (SELECT *, count(*) OVER"
        " (PARTITION BY pipeline_execution_id, execution_start) AS beside FROM step_executions WHERE status <>"
        " 'running'"
        f" AND {sql.until('coalesce(execution_end, execution_start)', until)}) AS s WHERE beside = 1"
    )


def _tokens_of(kind: str, group: str, until: datetime) -> str:
    origin = source(kind, "")
    name = origin.rows.rpartition(" = ")[0]
    at = f"(extract(epoch FROM {origin.end}) * 1000000)::bigint"
    return (
        f"SELECT {group.format(at=at)} AS g, {at} AS at, ('{kind}:' || {name} || ':' || status) COLLATE \"C\" AS token"
        f" FROM {origin.table} WHERE {sql.judged()} AND {sql.until(origin.end, until)}"
    )


def _day_tokens(until: datetime) -> str:
    at = "(extract(epoch FROM opened_at) * 1000000)::bigint"
    parts = [_tokens_of(kind, "({at} / 86400000000)::text", until) for kind in ("pipeline", "task", "integration")]
    parts.append(
        f"SELECT ({at} / 86400000000)::text, {at}, ('pattern:' || {PATTERN_TOKEN} || ':' || entity) COLLATE \"C\""
        f" FROM detected_patterns WHERE {OF_STREAM} AND {sql.until('opened_at', until)}"
    )
    return " UNION ALL ".join(parts)


_TOKENS = {
    "run": _step_tokens,
    "task": lambda until: _tokens_of("task", "task_id::text", until),
    "correlation": lambda until: _tokens_of("integration", "correlation_key", until),
    "day": _day_tokens,
}
