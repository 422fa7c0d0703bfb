"""Data quality: what was late, twice, unreadable, silent or missing, and what is stored."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, finish
from tools.dashboards.queries import Ask, prom, prom_now, sql, sql_series


def share_of(outcome: str) -> Ask:
    """Share of an outcome among all records read, since the beginning."""
    return sql(f"""
    SELECT sum(n) FILTER (WHERE outcome = '{outcome}')
        / nullif(sum(n) FILTER (WHERE outcome = 'read'), 0)::float8 AS share
    FROM data_quality
    """)


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.number(
            "Not accounted for",
            "Records read that are neither applied nor late, duplicates or dead letters. Not 0 is a bug.",
            "none",
            sql("""
            SELECT (coalesce(sum(n) FILTER (WHERE outcome = 'read'), 0) - coalesce(sum(n) FILTER (
                WHERE outcome IN ('applied', 'late', 'duplicate', 'dead_letter')), 0))::bigint AS records
            FROM data_quality
            """),
            steps=((None, "red"), (0, "green"), (1, "red")),
        ),
        p.number(
            "Dead letters",
            "Share of the records, since the beginning, that could not be used.",
            "percentunit",
            share_of("dead_letter"),
            steps=((None, "green"), (0.001, "yellow"), (0.01, "red")),
            decimals=2,
        ),
        p.number(
            "Late",
            "Share of the records, since the beginning, that came after their window had closed.",
            "percentunit",
            share_of("late"),
            steps=((None, "green"), (0.01, "yellow"), (0.05, "red")),
            decimals=2,
        ),
        p.number(
            "Late now",
            "Share of late records in the last 15 minutes, of the worst topic.",
            "percentunit",
            prom_now("max(topic:hindsight_records_late:ratio15m)"),
            steps=((None, "green"), (0.01, "yellow"), (0.05, "red")),
            decimals=2,
        ),
        p.number(
            "Silent series",
            "Series that have been silent for more than three times their usual step.",
            "none",
            sql("SELECT count(*) FROM source_freshness WHERE stale"),
            steps=p.FEW_IS_GOOD,
        ),
        p.number(
            "Missing hours",
            "Hours of the last week without a value in series that usually have one.",
            "none",
            sql("SELECT coalesce(sum(missing_hours), 0)::bigint AS hours FROM gaps"),
            steps=p.FEW_IS_GOOD,
        ),
        p.rows(
            "Dead letters of the range, by reason",
            "What producers send that breaks the contract.",
            sql("""
            SELECT topic, reason, count(*) AS records, max(received_at) AS last_at,
                (array_agg(detail ORDER BY received_at DESC))[1] AS last_detail
            FROM dead_letter_log
            WHERE $__timeFilter(received_at)
            GROUP BY topic, reason
            ORDER BY records DESC, topic, reason
            LIMIT 50
            """),
            p.Column("last_at", p.WHEN, width=180),
            width=12,
        ),
        p.rows(
            "Which series are silent",
            "By how many times their usual step they have been silent.",
            sql("""
            SELECT kind, entity, measure, last_at, silent_seconds, usual_seconds, times_usual
            FROM source_freshness
            WHERE stale
            ORDER BY times_usual DESC, kind, entity, measure
            LIMIT 100
            """),
            p.ENTITY_COLUMN,
            p.Column("last_at", p.WHEN, width=180),
            p.Column("silent_seconds", "dtdurations"),
            p.Column("usual_seconds", "dtdurations"),
            p.Column("times_usual", decimals=1),
            width=12,
        ),
    ]


def over_time() -> list[p.Panel]:
    """How it went."""
    return [
        p.bars(
            "Dead letters by reason",
            "Records that could not be used, by when they were read.",
            "none",
            sql_series("""
            SELECT $__timeGroupAlias(received_at, $__interval), reason AS metric, count(*) AS records
            FROM dead_letter_log
            WHERE $__timeFilter(received_at)
            GROUP BY 1, 2
            ORDER BY 1
            """),
        ),
        p.lines(
            "Late records",
            "Share of the records of 15 minutes that came late, by topic. HindsightLateRatio fires at 5 %.",
            "percentunit",
            prom("max by (topic) (topic:hindsight_records_late:ratio15m)", "{{topic}}"),
            steps=((None, "transparent"), (0.05, "red")),
        ),
    ]


def detail() -> list[p.Panel]:
    """By input, kind, gap and table."""
    return [
        p.rows(
            "What became of the records",
            "Since the beginning of each input; late, twice or unreadable ones.",
            sql("""
            SELECT input, outcome, reason, n, read, share, updated_at
            FROM late_and_dead
            WHERE n > 0
            ORDER BY n DESC, input, outcome, reason
            LIMIT 100
            """),
            p.Column("share", "percentunit", decimals=2),
            p.Column("updated_at", p.WHEN, width=180),
            width=12,
        ),
        p.rows(
            "Freshness by kind",
            "How long the series of each kind have been silent.",
            sql("""
            SELECT
                kind, count(*) AS series, count(*) FILTER (WHERE stale) AS stale, max(last_at) AS last_at,
                min(silent_seconds) AS freshest_seconds,
                percentile_disc(0.5) WITHIN GROUP (ORDER BY silent_seconds) AS median_seconds
            FROM source_freshness
            GROUP BY kind
            ORDER BY kind
            """),
            p.Column("stale", steps=((None, "green"), (1, "orange"))),
            p.Column("last_at", p.WHEN, width=180),
            p.Column("freshest_seconds", "dtdurations"),
            p.Column("median_seconds", "dtdurations"),
            width=12,
        ),
        p.rows(
            "Where hours are missing",
            "Hours of the last week without a value between two hours with values.",
            sql("""
            SELECT entity, measure, gap_start, gap_end, missing_hours, usual_hours
            FROM gaps
            ORDER BY missing_hours DESC, entity, measure, gap_start
            LIMIT 100
            """),
            p.ENTITY_COLUMN,
            p.Column("gap_start", p.WHEN, width=180),
            p.Column("gap_end", p.WHEN, width=180),
            p.Column("usual_hours", "h", decimals=1),
            width=12,
        ),
        p.rows(
            "Storage",
            "How much room each table takes, and how long it is kept (storage_policies).",
            sql("""
            SELECT
                table_name, rows_estimate, bytes, bytes_uncompressed / nullif(bytes, 0)::float8 AS compression, pieces,
                oldest, newest, kept_for::text AS kept_for
            FROM storage
            ORDER BY bytes DESC, table_name
            LIMIT 50
            """),
            p.Column("rows_estimate", "short"),
            p.Column("bytes", "bytes"),
            p.Column("compression", decimals=1),
            p.Column("oldest", p.WHEN),
            p.Column("newest", p.WHEN),
            width=12,
        ),
    ]


def nightly() -> list[p.Panel]:
    """What the last night saw in the history."""
    return [
        p.rows(
            "The history, as the last night read it",
            "Gaps, duplicates, impossible values and silence by table and source, the worst first. Findings about a bad"
            " source are not to be trusted.",
            sql("""
            SELECT
                status, table_name, source, array_to_string(problems, '; ') AS problems, n AS rows, coverage,
                longest_gap_days, stale_days, duplicates, impossible, last_at
            FROM nightly_quality_latest
            ORDER BY array_position(ARRAY['bad', 'notice', 'good'], status), n DESC, table_name, source
            LIMIT 200
            """),
            p.Column("status", words={"bad": "red", "notice": "orange", "good": "green"}, width=80),
            p.Column("coverage", "percentunit", decimals=0),
            p.Column("longest_gap_days", "d"),
            p.Column("stale_days", "d", decimals=1),
            p.Column("last_at", p.WHEN, width=180),
            empty="Nothing yet: hindsight nightly",
        ),
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board(
        "hindsight-quality",
        "Hindsight: data quality",
        "What was late, twice, unreadable, silent or missing. Nothing is found in what does not come.",
        refresh="5m",
    )
    return finish(
        made,
        [],
        [],
        [
            ("Is anything wrong now?", now()),
            ("How it went", over_time()),
            ("In detail", detail()),
            ("The history", nightly()),
        ],
    )
