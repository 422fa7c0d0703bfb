"""Integrations: what fails or is slow between systems."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, choice, finish
from tools.dashboards.queries import FAILED_SHARE, patterns_of, sql, sql_series

CHOSEN = "source_system IN (${source:sqlstring})"
IN_RANGE = f"$__timeFilter(event_timestamp) AND {CHOSEN}"

BY_WAY = f"""
SELECT
    source_system, target_system, event_type, count(*) AS events, count(*) FILTER (WHERE failed) AS failed,
    count(*) FILTER (WHERE status = 'partial') AS partial,
    {FAILED_SHARE},
    percentile_cont(0.5) WITHIN GROUP (ORDER BY processing_ms) AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY processing_ms) AS p95_ms, max(event_timestamp) AS last_at
FROM integration_log
WHERE {IN_RANGE}
GROUP BY source_system, target_system, event_type
"""


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.number(
            "Ways that fail",
            "Source, target and type of event of which more than 5 % failed in the range.",
            "none",
            sql(f"SELECT count(*) FROM ({BY_WAY}) AS way WHERE share > 0.05"),
            steps=p.NONE_IS_GOOD,
        ),
        p.number(
            "Events that failed",
            "Of the events of the range that succeeded or failed, the share that failed.",
            "percentunit",
            sql(f"""
            SELECT {FAILED_SHARE}
            FROM integration_log
            WHERE {IN_RANGE}
            """),
            steps=p.SHARE_FAILED,
            decimals=1,
        ),
        p.number(
            "Events",
            "Integration events of the range.",
            "none",
            sql(f"SELECT count(*) FROM integration_log WHERE {IN_RANGE}"),
        ),
        p.number(
            "Processing, p95",
            "95th percentile of the processing times of the range. The rule slow_response_time is 2 s.",
            "ms",
            sql(f"""
            SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY processing_ms) AS p95
            FROM integration_log
            WHERE {IN_RANGE}
            """),
            steps=((None, "green"), (1000, "yellow"), (2000, "red")),
        ),
        p.number(
            "Silent",
            "Integration series that have been silent for more than three times their usual step.",
            "none",
            sql("SELECT count(*) FROM source_freshness WHERE kind = 'integration' AND stale"),
            steps=p.FEW_IS_GOOD,
            link=p.to("hindsight-quality"),
        ),
        p.number(
            "Open patterns",
            "Patterns between systems that go on now.",
            "none",
            sql("SELECT count(*) FROM patterns WHERE is_active AND kind = 'integration'"),
            steps=p.FEW_IS_GOOD,
            link=p.to("hindsight-patterns"),
        ),
        p.rows(
            "By source, target and type",
            "The ways that fail most first, then the slowest.",
            sql(f"""
            SELECT * FROM ({BY_WAY}) AS way
            ORDER BY failed DESC, p95_ms DESC NULLS LAST, source_system, target_system, event_type
            LIMIT 50
            """),
            p.Column("source_system", link=p.to("hindsight-integrations", "source")),
            p.Column("share", "percentunit", steps=p.SHARE_FAILED, decimals=1),
            p.Column("p50_ms", "ms"),
            p.Column("p95_ms", "ms", steps=((None, "green"), (1000, "yellow"), (2000, "red"))),
            p.Column("last_at", p.WHEN),
            empty="No events",
        ),
    ]


def over_time() -> list[p.Panel]:
    """How it went."""
    return [
        p.bars(
            "Events by status",
            "Events by their time and how they ended.",
            "none",
            sql_series(f"""
            SELECT $__timeGroupAlias(event_timestamp, $__interval), status AS metric, count(*) AS events
            FROM integration_log
            WHERE {IN_RANGE}
            GROUP BY 1, 2
            ORDER BY 1
            """),
            interval="5m",
            colours=p.STATUS,
        ),
        p.lines(
            "Events that failed, by source",
            "Share of failures among events that succeeded or failed.",
            "percentunit",
            sql_series(f"""
            SELECT
                $__timeGroupAlias(event_timestamp, $__interval), source_system AS metric,
                {FAILED_SHARE}
            FROM integration_log
            WHERE {IN_RANGE}
            GROUP BY 1, 2
            ORDER BY 1
            """),
            high=1,
            interval="5m",
            steps=p.SHARE_FAILED,
        ),
        p.lines(
            "Processing time",
            "Median and 95th percentile of the processing times.",
            "ms",
            sql_series(f"""
            SELECT
                $__timeGroupAlias(event_timestamp, $__interval),
                percentile_cont(0.5) WITHIN GROUP (ORDER BY processing_ms) AS "median",
                percentile_cont(0.95) WITHIN GROUP (ORDER BY processing_ms) AS "p95"
            FROM integration_log
            WHERE {IN_RANGE}
            GROUP BY 1
            ORDER BY 1
            """),
            interval="5m",
        ),
        p.lines(
            "Processing time, p95 by source",
            "95th percentile of the processing times of each source.",
            "ms",
            sql_series(f"""
            SELECT
                $__timeGroupAlias(event_timestamp, $__interval), source_system AS metric,
                percentile_cont(0.95) WITHIN GROUP (ORDER BY processing_ms) AS p95
            FROM integration_log
            WHERE {IN_RANGE}
            GROUP BY 1, 2
            ORDER BY 1
            """),
            interval="5m",
        ),
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board("hindsight-integrations", "Hindsight: integrations", "What fails or is slow between systems.")
    source = choice(
        "source",
        "Source",
        "Systems with events in the range.",
        """
        SELECT DISTINCT source_system FROM integration_health
        WHERE day >= date_trunc('day', $__timeFrom()::timestamptz, 'UTC') AND day <= $__timeTo()
        ORDER BY 1 LIMIT 1000
        """,
        all_is="source_system",
    )
    last = p.rows(
        "What went wrong last",
        "The last 50 events that did not succeed; events of one cause share a correlation.",
        sql(f"""
        SELECT
            event_timestamp, source_system, target_system, event_type, status, processing_ms, correlation_key,
            error_details::text AS error
        FROM integration_log
        WHERE {IN_RANGE} AND status <> 'success'
        ORDER BY event_timestamp DESC, id
        LIMIT 50
        """),
        p.Column("event_timestamp", p.WHEN, width=180),
        p.Column("status", words=p.STATUS, width=90),
        p.Column("processing_ms", "ms"),
    )
    return finish(
        made,
        [source],
        [patterns_of("kind = 'integration'")],
        [("Is anything wrong now?", now()), ("How it went", over_time()), ("Why", [last])],
    )
