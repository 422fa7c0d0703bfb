"""Code: how measures of the code change, and what people should look at."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, choice, finish
from tools.dashboards.queries import deployments, patterns_of, sql, sql_series

DAYS = "day >= date_trunc('day', $__timeFrom()::timestamptz, 'UTC') AND day <= $__timeTo()"
CHOSEN = f"{DAYS} AND entity IN (${{entity:sqlstring}}) AND measure IN (${{measure:sqlstring}})"

CHANGES = f"""
SELECT
    entity, measure, (array_agg(first ORDER BY day))[1] AS first, (array_agg(last ORDER BY day DESC))[1] AS last,
    held((array_agg(last ORDER BY day DESC))[1]) - held((array_agg(first ORDER BY day))[1]) AS change,
    sum(n)::bigint AS measured, count(*) AS days
FROM code_metrics
WHERE {CHOSEN}
GROUP BY entity, measure
ORDER BY abs(held((array_agg(last ORDER BY day DESC))[1]) - held((array_agg(first ORDER BY day))[1])) DESC,
    entity, measure
LIMIT 50
"""


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.number(
            "Open patterns",
            "Patterns in measures of code that go on now.",
            "none",
            sql("SELECT count(*) FROM patterns WHERE is_active AND kind = 'code'"),
            steps=p.FEW_IS_GOOD,
            width=6,
            link=p.to("hindsight-patterns"),
        ),
        p.number(
            "Patterns of the range",
            "Patterns in measures of code that were found in the range.",
            "none",
            sql("SELECT count(*) FROM patterns WHERE $__timeFilter(detected_at) AND kind = 'code'"),
            width=6,
        ),
        p.number(
            "Measured",
            "Repositories, files and symbols with a measure on the days of the range.",
            "none",
            sql(f"SELECT count(DISTINCT entity) FROM code_metrics WHERE {CHOSEN}"),
            width=6,
        ),
        p.number(
            "Silent series",
            "Measures of code that have been silent for more than three times their usual step.",
            "none",
            sql("SELECT count(*) FROM source_freshness WHERE kind = 'code' AND stale"),
            steps=p.FEW_IS_GOOD,
            width=6,
            link=p.to("hindsight-quality"),
        ),
        p.rows(
            "Patterns in the code",
            "The last 50 patterns in measures of code, open ones first.",
            sql("""
            SELECT severity, entity, measure, explanation, opened_at, duration_seconds, is_active, verdict
            FROM patterns
            WHERE $__timeFilter(detected_at) AND kind = 'code'
            ORDER BY is_active DESC, opened_at DESC
            LIMIT 50
            """),
            p.SEVERITY_COLUMN,
            p.ENTITY_COLUMN,
            p.Column("opened_at", p.WHEN, width=180),
            p.Column("duration_seconds", "dtdurations", width=120),
            p.Column("verdict", words=p.VERDICT),
            height=7,
            empty="No patterns",
        ),
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board("hindsight-code", "Hindsight: code", "How measures of the code change.", range_from="now-90d")
    entity = choice(
        "entity",
        "Code",
        "Repositories, files and symbols: codebase[:path[:symbol]].",
        "SELECT entity FROM series_names WHERE kind = 'code' GROUP BY entity ORDER BY entity LIMIT 2000",
    )
    measure = choice(
        "measure",
        "Measure",
        "What is measured of them.",
        "SELECT DISTINCT measure FROM series_names WHERE kind = 'code' ORDER BY measure LIMIT 500",
    )
    went: list[p.Panel] = [
        p.lines(
            "Where it stood",
            "The last value of each day (UTC): the 20 series with the most days; choose to see others.",
            "none",
            sql_series(f"""
            SELECT day AS time, entity || ' ' || measure AS metric, last
            FROM code_metrics
            WHERE {CHOSEN} AND (entity, measure) IN (
                SELECT c.entity, c.measure FROM (SELECT * FROM code_metrics WHERE {CHOSEN}) AS c
                GROUP BY c.entity, c.measure ORDER BY count(*) DESC, c.entity, c.measure LIMIT 20)
            ORDER BY 1, 2
            """),
            width=24,
            height=10,
            low=None,
            interval="1d",
        ),
        p.bars(
            "How often it was measured",
            "Measurements by day (UTC) and measure: how lively the code is.",
            "none",
            sql_series(f"""
            SELECT day AS time, measure AS metric, sum(n)::bigint AS measured
            FROM code_metrics
            WHERE {CHOSEN}
            GROUP BY 1, 2
            ORDER BY 1, 2
            """),
            interval="1d",
        ),
        p.rows(
            "What changed most",
            "From the first value of the range to the last, by the size of the change.",
            sql(CHANGES),
            p.ENTITY_COLUMN,
            width=12,
        ),
    ]
    return finish(
        made,
        [entity, measure],
        [patterns_of("kind = 'code'"), deployments()],
        [("Is anything wrong now?", now()), ("How it changed", went)],
    )
