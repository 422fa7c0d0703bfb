"""Machines: what is full, what will be, and what a machine did while something else went wrong."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, choice, finish, level
from tools.dashboards.queries import Ask, deployments, patterns_of, sql, sql_series

NEWEST = """
SELECT entity, (array_agg(last ORDER BY time DESC))[1] AS percent
FROM series_5m
WHERE entity IN (${entity:sqlstring}) AND measure = '%s' AND time > now() - interval '1 h'
GROUP BY entity
"""
"""The newest value of each machine, of the last hour."""


def fullest(measure: str) -> Ask:
    """The machine that is fullest now."""
    return sql(f"SELECT max(percent) AS percent FROM ({NEWEST % measure}) AS newest")


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.number(
            "Fullest CPU",
            "Newest value of the last hour, of the machine with the greatest.",
            "percent",
            fullest("cpu_usage"),
            steps=p.PERCENT_FULL,
            decimals=0,
        ),
        p.number(
            "Fullest memory",
            "Newest value of the last hour, of the machine with the greatest.",
            "percent",
            fullest("memory_usage"),
            steps=p.PERCENT_FULL,
            decimals=0,
        ),
        p.number(
            "Fullest disk",
            "Newest value of the last hour, of the machine with the greatest.",
            "percent",
            fullest("disk_usage"),
            steps=p.PERCENT_FULL,
            decimals=0,
        ),
        p.number(
            "Silent machines",
            "Machines with a resource that has been silent for more than three times its usual step.",
            "none",
            sql("SELECT count(DISTINCT entity) FROM source_freshness WHERE kind = 'resource' AND stale"),
            steps=p.NONE_IS_GOOD,
            link=p.to("hindsight-quality"),
        ),
        p.number(
            "Machines",
            "Machines with a value in the last hour.",
            "none",
            sql("""
            SELECT count(DISTINCT s.entity)
            FROM series_names AS s JOIN series_5m AS m ON m.entity = s.entity AND m.measure = s.measure
            WHERE s.kind = 'resource' AND m.time > now() - interval '1 h'
            """),
        ),
        p.number(
            "Open patterns",
            "Patterns of machines that go on now.",
            "none",
            sql("SELECT count(*) FROM patterns WHERE is_active AND kind = 'resource'"),
            steps=p.FEW_IS_GOOD,
            link=p.to("hindsight-patterns"),
        ),
    ]


def usage(title: str, measure: str, text: str, *, high: float | None = 100) -> p.Panel:
    """One resource of the machines over time."""
    return p.lines(
        title,
        text,
        "percent",
        sql_series(f"""
        SELECT time, entity AS metric, avg
        FROM series_${{level}}
        WHERE entity IN (${{entity:sqlstring}}) AND measure = '{measure}' AND $__timeFilter(time)
        ORDER BY 1, 2
        """),
        high=high,
        steps=p.PERCENT_FULL,
    )


def build() -> model.Dashboard:
    """The dashboard."""
    made = board("hindsight-machines", "Hindsight: machines", "What is full, and what a machine did meanwhile.")
    host = choice(
        "entity",
        "Machine",
        "Machines that were ever measured.",
        "SELECT entity FROM series_names WHERE kind = 'resource' GROUP BY entity ORDER BY entity LIMIT 1000",
    )
    went: list[p.Panel] = [
        usage("CPU", "cpu_usage", "Mean of each bucket. The rule high_cpu_usage opens a pattern above 80 %."),
        usage("Memory", "memory_usage", "Mean of each bucket. The rule high_memory_usage opens a pattern above 85 %."),
        usage("Disk", "disk_usage", "Mean of each bucket."),
        usage(
            "Network", "network_usage", "Mean of each bucket, of the nominal capacity; it may be above 100.", high=None
        ),
    ]
    detail: list[p.Panel] = [
        p.rows(
            "Closest to their limits",
            "Mean and greatest value of the range, by the greatest.",
            sql("""
            SELECT
                s.entity, s.measure, mean_of(sum(h.sum), sum(h.n)::bigint) AS mean_percent, max(h.max) AS max_percent,
                (array_agg(h.last ORDER BY h.time DESC))[1] AS last_percent, max(h.time) AS last_hour
            FROM (SELECT * FROM series_names WHERE kind = 'resource' AND entity IN (${entity:sqlstring})) AS s
            JOIN series_1h AS h ON h.entity = s.entity AND h.measure = s.measure
            WHERE h.time >= date_trunc('hour', $__timeFrom()::timestamptz) AND h.time <= $__timeTo()
            GROUP BY s.entity, s.measure
            ORDER BY max_percent DESC, s.entity, s.measure
            LIMIT 50
            """),
            p.ENTITY_COLUMN,
            p.Column("mean_percent", "percent", steps=p.PERCENT_FULL, decimals=1),
            p.Column("max_percent", "percent", steps=p.PERCENT_FULL, decimals=1),
            p.Column("last_percent", "percent", steps=p.PERCENT_FULL, decimals=1),
            p.Column("last_hour", p.WHEN),
            width=12,
            empty="No machines",
        ),
        p.rows(
            "Patterns of machines",
            "The last 50 of the range, open ones first.",
            sql("""
            SELECT severity, entity, measure, explanation, opened_at, duration_seconds, is_active
            FROM patterns
            WHERE $__timeFilter(detected_at) AND kind = 'resource' AND entity IN (${entity:sqlstring})
            ORDER BY is_active DESC, opened_at DESC
            LIMIT 50
            """),
            p.SEVERITY_COLUMN,
            p.ENTITY_COLUMN,
            p.Column("opened_at", p.WHEN, width=180),
            p.Column("duration_seconds", "dtdurations"),
            width=12,
            empty="No patterns",
        ),
    ]
    return finish(
        made,
        [host, level()],
        [patterns_of("kind = 'resource' AND entity IN (${entity:sqlstring})"), deployments()],
        [("Is anything wrong now?", now()), ("Usage", went), ("In detail", detail)],
    )
