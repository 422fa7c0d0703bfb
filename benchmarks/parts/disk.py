"""What tables take on disk, and what compression has made of them."""

from dataclasses import dataclass
from typing import Any

import psycopg

EVENTS = (
    "system_metrics", "resource_usage", "pipeline_executions", "task_executions", "tasks", "integration_events",
    "dead_letters",
)  # fmt: skip
"""Tables with a row for each event, about."""
PLAIN = """
SELECT c.relname, coalesce(
    (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(c.oid)), pg_total_relation_size(c.oid)
), NULL, NULL
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
TIMESCALE = """
SELECT c.relname, coalesce(hypertable_size(c.oid), pg_total_relation_size(c.oid)), s.before, s.after
FROM pg_class AS c LEFT JOIN timescaledb_information.hypertables AS h
    ON h.hypertable_schema = current_schema() AND h.hypertable_name = c.relname AND h.compression_enabled
LEFT JOIN LATERAL (
    SELECT sum(before_compression_total_bytes) AS before, sum(after_compression_total_bytes) AS after
    FROM hypertable_columnstore_stats(c.oid)
) AS s ON h.hypertable_name IS NOT NULL
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT view_name, hypertable_size(format('%I.%I', view_schema, view_name)::regclass), NULL, NULL
FROM timescaledb_information.continuous_aggregates
"""


@dataclass(frozen=True)
class Space:
    """A table's rows and bytes with its indexes; of its compressed chunks the bytes before and after, else None."""

    table: str
    rows: int
    bytes: int
    before: int | None
    after: int | None

    @property
    def ratio(self) -> float | None:
        """How many times smaller its compressed chunks have become."""
        return self.before / self.after if self.before and self.after else None


def spaces(connection: psycopg.Connection[Any], *, timescale: bool) -> list[Space]:
    """Each table with rows, the greatest first."""
    found = []
    for table, size, before, after in connection.execute((TIMESCALE if timescale else PLAIN).encode()).fetchall():
        rows = connection.execute(f'SELECT count(*) FROM "{table}"'.encode()).fetchone()
        if rows and rows[0]:
            found.append(Space(table, rows[0], int(size), *(None if n is None else int(n) for n in (before, after))))
    return sorted(found, key=lambda space: -space.bytes)


def per_million(found: list[Space]) -> float:
    """Bytes of all tables for a million events."""
    events = sum(space.rows for space in found if space.table in EVENTS)
    return sum(space.bytes for space in found) / events * 1e6 if events else 0.0
