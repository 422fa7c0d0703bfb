"""The overview: is anything wrong now, what happens, and where to look next."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, finish
from tools.dashboards.queries import (
    FAILED_SHARE,
    LIVE,
    SEVERITY_COUNTS,
    deployments,
    patterns_of,
    prom,
    prom_now,
    sql,
    sql_series,
)

INCIDENTS = """
SELECT
    severity, title, entity, started_at, age_seconds, patterns, series, confidence, summary, inhibited
FROM incidents_open
ORDER BY array_position('{critical,high,medium,low,info}', severity), started_at DESC
LIMIT 50
"""

SEVERITIES = f"""
SELECT
    {SEVERITY_COUNTS}
FROM incidents_open
"""


def now() -> list[p.Panel]:
    """The first row: is anything wrong now?"""
    return [
        p.severities(
            "Open incidents",
            "Incidents that go on now, by severity (info counts as low). Critical and high ones page somebody.",
            sql(SEVERITIES),
            link=p.to("hindsight-patterns", "severity", "$severity"),
        ),
        p.number(
            "Runs that failed",
            "Of the pipelines' runs that began in the range, the share that failed.",
            "percentunit",
            sql(f"""
            SELECT {FAILED_SHARE}
            FROM pipeline_runs
            WHERE $__timeFilter(execution_start)
            """),
            steps=p.SHARE_FAILED,
            link=p.to("hindsight-pipelines"),
            decimals=1,
        ),
        p.number(
            "Silent series",
            "Series silent for more than three times their usual step: nothing is found in what does not come.",
            "none",
            sql("SELECT count(*) FROM source_freshness WHERE stale"),
            steps=p.FEW_IS_GOOD,
            link=p.to("hindsight-quality"),
        ),
        p.number(
            "Processes that answer",
            "Realtime processes that Prometheus reaches; all of them should be.",
            "none",
            prom_now('sum(up{job="hindsight"}) or vector(0)'),
            steps=((None, "red"), (1, "green")),
            link=p.to("hindsight-itself"),
            empty="0",
        ),
        p.number(
            "Delay of detection, p99",
            "From the event that shows it to the stored pattern, live events of 15 minutes. The target is 20 s.",
            "s",
            prom_now("max(job:hindsight_event_to_pattern_seconds:p99_15m)"),
            steps=((None, "green"), (20, "yellow"), (60, "red")),
            link=p.to("hindsight-itself"),
        ),
        p.rows(
            "Open incidents, the worst first",
            "What goes on now. People are told unless something inhibits it. The entity leads to its patterns.",
            sql(INCIDENTS),
            p.SEVERITY_COLUMN,
            p.ENTITY_COLUMN,
            p.Column("started_at", p.WHEN, width=180),
            p.Column("age_seconds", "dtdurations", width=130),
            p.Column("confidence", "percentunit", width=100),
            p.Column("patterns", width=80),
            p.Column("series", width=80),
            height=9,
            empty="No open incidents",
        ),
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board(
        "hindsight-overview",
        "Hindsight: overview",
        "Is anything wrong now, what happens, and where to look next. The first row is enough for a glance.",
    )
    happens: list[p.Panel] = [
        p.bars(
            "Incidents that began",
            "Incidents by the time they began and by severity; merged and retracted ones are left out.",
            "none",
            sql_series("""
            SELECT $__timeGroupAlias(started_at, $__interval), severity AS metric, count(*) AS incidents
            FROM incident_list
            WHERE $__timeFilter(started_at) AND status NOT IN ('merged', 'retracted')
            GROUP BY 1, 2
            ORDER BY 1
            """),
            interval="15m",
            colours=p.SEVERITY,
        ),
        p.bars(
            "Runs of pipelines",
            "Runs by the time they began and how they ended.",
            "none",
            sql_series("""
            SELECT $__timeGroupAlias(execution_start, $__interval), status AS metric, count(*) AS runs
            FROM pipeline_runs
            WHERE $__timeFilter(execution_start)
            GROUP BY 1, 2
            ORDER BY 1
            """),
            interval="15m",
            colours=p.STATUS,
        ),
        p.lines(
            "Records read",
            "Events that come in, by topic. A topic that falls to nothing has lost its producer.",
            "cps",
            prom("sum by (topic) (topic:hindsight_records_read:rate5m)", "{{topic}}"),
        ),
        p.lines(
            "Failures between systems",
            "Of the integration events that succeeded or failed, the share that failed, by source.",
            "percentunit",
            sql_series(f"""
            SELECT
                $__timeGroupAlias(event_timestamp, $__interval), source_system AS metric,
                {FAILED_SHARE}
            FROM integration_log
            WHERE $__timeFilter(event_timestamp)
            GROUP BY 1, 2
            ORDER BY 1
            """),
            interval="5m",
            high=1,
            steps=p.SHARE_FAILED,
        ),
    ]
    next_to_look: list[p.Panel] = [
        p.ranks(
            "Fullest machines",
            "Greatest hourly mean of CPU, memory and disk in the range.",
            "percent",
            sql("""
            SELECT s.entity || ' ' || replace(s.measure, '_usage', '') AS resource, max(mean_of(h.sum, h.n)) AS percent
            FROM series_names AS s JOIN series_1h AS h ON h.entity = s.entity AND h.measure = s.measure
            WHERE s.kind = 'resource' AND s.measure <> 'network_usage'
                AND h.time >= date_trunc('hour', $__timeFrom()::timestamptz) AND h.time <= $__timeTo()
            GROUP BY 1
            ORDER BY 2 DESC, 1
            LIMIT 12
            """),
            steps=p.PERCENT_FULL,
            high=100,
        ),
        p.rows(
            "Pipelines that fail most",
            "By failures of the runs that began in the range.",
            sql(f"""
            SELECT
                pipeline_name, count(*) FILTER (WHERE failed) AS failed,
                {FAILED_SHARE}
            FROM pipeline_runs
            WHERE $__timeFilter(execution_start)
            GROUP BY pipeline_name
            HAVING count(*) FILTER (WHERE failed) > 0
            ORDER BY failed DESC, pipeline_name
            LIMIT 10
            """),
            p.Column("pipeline_name", link=p.to("hindsight-pipelines", "pipeline")),
            p.Column("share", "percentunit", steps=p.SHARE_FAILED, decimals=1),
            width=8,
            empty="None failed",
        ),
        p.rows(
            "Noisiest series",
            "Series with the most patterns of the range, and how many of them people called false alarms.",
            sql(f"""
            SELECT
                entity, measure, count(*) AS patterns,
                count(*) FILTER (WHERE verdict = 'false_positive') AS false_alarms
            FROM patterns
            WHERE $__timeFilter(detected_at) AND {LIVE}
            GROUP BY entity, measure
            ORDER BY patterns DESC, entity, measure
            LIMIT 10
            """),
            p.ENTITY_COLUMN,
            width=8,
            empty="No patterns",
        ),
    ]
    return finish(
        made,
        [],
        [patterns_of("true"), deployments()],
        [("Is anything wrong now?", now()), ("What happens", happens), ("Where to look next", next_to_look)],
    )
