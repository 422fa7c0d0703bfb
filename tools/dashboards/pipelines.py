"""Pipelines: which fail, at which step, which got slower, and how deployments do."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, choice, finish
from tools.dashboards.queries import FAILED_SHARE, deployments, patterns_of, sql, sql_series

CHOSEN = "pipeline_name IN (${pipeline:sqlstring})"
PIPELINE = p.Column("pipeline_name", link=p.to("hindsight-pipelines", "pipeline"))
SHARE = p.Column("share", "percentunit", steps=p.SHARE_FAILED, decimals=1)

LAST_RUN = f"""
SELECT DISTINCT ON (pipeline_name) pipeline_name, failed, status, execution_start, duration_seconds, execution_id,
    commit_sha
FROM pipeline_runs
WHERE $__timeFilter(execution_start) AND failed IS NOT NULL AND {CHOSEN}
ORDER BY pipeline_name, execution_start DESC
"""

STUCK = f"""
WITH usual AS (
    SELECT pipeline_name, max(p95_seconds) AS p95_seconds
    FROM pipeline_health
    WHERE day >= now() - interval '8 d' AND {CHOSEN}
    GROUP BY pipeline_name
)
SELECT
    r.pipeline_name, r.execution_id, r.execution_start,
    extract(epoch FROM now() - r.execution_start)::float8 AS seconds_so_far,
    u.p95_seconds AS usual_p95_seconds, r.commit_sha
FROM pipeline_runs AS r JOIN usual AS u ON u.pipeline_name = r.pipeline_name
WHERE r.status = 'running' AND r.execution_start >= now() - interval '7 d'
    AND r.execution_start < now() - u.p95_seconds * interval '1 s'
ORDER BY r.execution_start, r.pipeline_name
LIMIT 50
"""

FAILED_RUNS = f"""
SELECT
    r.execution_start, r.pipeline_name, r.execution_id, r.status, s.step_name AS failed_step, r.duration_seconds,
    r.trigger_type, r.commit_sha, s.error_details::text AS error
FROM (
    SELECT * FROM pipeline_runs
    WHERE $__timeFilter(execution_start) AND failed AND {CHOSEN}
    ORDER BY execution_start DESC, id
    LIMIT 50
) AS r
LEFT JOIN LATERAL (
    SELECT step_name, error_details FROM steps
    WHERE run_id = r.id AND failed
        AND execution_start >= r.execution_start - interval '1 d'
        AND execution_start <= r.execution_end + interval '1 d'
    ORDER BY step_order LIMIT 1
) AS s ON true
ORDER BY r.execution_start DESC, r.id
"""

SLOWER = f"""
WITH week AS (
    SELECT
        pipeline_name, day >= date_trunc('day', now(), 'UTC') - interval '7 d' AS is_new, sum(runs)::bigint AS runs,
        sum(total_seconds) / nullif(sum(timed), 0) AS mean_seconds,
        sum(failed) / nullif(sum(succeeded + failed), 0)::float8 AS share
    FROM pipeline_health
    WHERE day >= date_trunc('day', now(), 'UTC') - interval '14 d' AND day < date_trunc('day', now(), 'UTC')
        AND {CHOSEN}
    GROUP BY 1, 2
)
SELECT
    a.pipeline_name, a.mean_seconds / nullif(b.mean_seconds, 0) - 1 AS slower_by, b.mean_seconds AS seconds_before,
    a.mean_seconds AS seconds_after, a.share - b.share AS failure_rate_change,
    b.runs AS runs_before, a.runs AS runs_after
FROM week AS a JOIN week AS b ON b.pipeline_name = a.pipeline_name AND a.is_new AND NOT b.is_new
ORDER BY slower_by DESC NULLS LAST, a.pipeline_name
LIMIT 25
"""


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.number(
            "Broken now",
            "Pipelines whose last run in the range failed.",
            "none",
            sql(f"SELECT count(*) FROM ({LAST_RUN}) AS last_run WHERE failed"),
            steps=p.NONE_IS_GOOD,
        ),
        p.number(
            "Stuck",
            "Runs that go on for longer than the greatest daily p95 of their pipeline in the last eight days.",
            "none",
            sql(f"SELECT count(*) FROM ({STUCK}) AS stuck"),
            steps=p.FEW_IS_GOOD,
        ),
        p.number(
            "Runs that failed",
            "Of the runs that began in the range and succeeded or failed, the share that failed.",
            "percentunit",
            sql(f"""
            SELECT {FAILED_SHARE}
            FROM pipeline_runs
            WHERE $__timeFilter(execution_start) AND {CHOSEN}
            """),
            steps=p.SHARE_FAILED,
            decimals=1,
        ),
        p.number(
            "Runs",
            "Runs that began in the range.",
            "none",
            sql(f"SELECT count(*) FROM pipeline_runs WHERE $__timeFilter(execution_start) AND {CHOSEN}"),
        ),
        p.number(
            "Duration, p95",
            "95th percentile of the durations of runs that succeeded or failed, of the range.",
            "s",
            sql(f"""
            SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_seconds) AS p95
            FROM pipeline_runs
            WHERE $__timeFilter(execution_start) AND failed IS NOT NULL AND {CHOSEN}
            """),
        ),
        p.number(
            "Open patterns",
            "Patterns of pipelines and steps that go on now.",
            "none",
            sql("SELECT count(*) FROM patterns WHERE is_active AND kind IN ('pipeline', 'step')"),
            steps=p.FEW_IS_GOOD,
            link=p.to("hindsight-patterns"),
        ),
        p.rows(
            "Last run of each pipeline",
            "How the last run that ended went; the broken ones first.",
            sql(f"""
            SELECT pipeline_name, status, execution_start, duration_seconds, execution_id, commit_sha
            FROM ({LAST_RUN}) AS last_run
            ORDER BY failed DESC, execution_start DESC
            LIMIT 100
            """),
            PIPELINE,
            p.Column("status", words=p.STATUS, width=100),
            p.Column("execution_start", p.WHEN, width=180),
            p.Column("duration_seconds", "s", width=120),
            width=12,
            empty="No runs",
        ),
        p.rows(
            "Runs that go on too long",
            "Longer than the greatest daily p95 of their pipeline in the last eight days.",
            sql(STUCK),
            PIPELINE,
            p.Column("execution_start", p.WHEN, width=180),
            p.Column("seconds_so_far", "s"),
            p.Column("usual_p95_seconds", "s"),
            width=12,
        ),
    ]


def over_time() -> list[p.Panel]:
    """How it went."""
    return [
        p.states(
            "Runs, one by one",
            "Each run by its start, in the colour of its status; the 15 pipelines with the most runs of the range.",
            sql_series(f"""
            SELECT r.execution_start AS time, r.pipeline_name AS metric, r.status AS status
            FROM pipeline_runs AS r
            WHERE $__timeFilter(r.execution_start) AND r.pipeline_name IN (
                SELECT pipeline_name FROM pipeline_runs
                WHERE $__timeFilter(execution_start) AND {CHOSEN}
                GROUP BY pipeline_name ORDER BY count(*) DESC, pipeline_name LIMIT 15)
            ORDER BY 1
            LIMIT 5000
            """),
        ),
        p.bars(
            "Runs by status",
            "Runs by the time they began and how they ended.",
            "none",
            sql_series(f"""
            SELECT $__timeGroupAlias(execution_start, $__interval), status AS metric, count(*) AS runs
            FROM pipeline_runs
            WHERE $__timeFilter(execution_start) AND {CHOSEN}
            GROUP BY 1, 2
            ORDER BY 1
            """),
            interval="15m",
            colours=p.STATUS,
        ),
        p.lines(
            "Duration of runs",
            "Median and 95th percentile of the durations of runs that succeeded or failed.",
            "s",
            sql_series(f"""
            SELECT
                $__timeGroupAlias(execution_start, $__interval),
                percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_seconds) AS "median",
                percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_seconds) AS "p95"
            FROM pipeline_runs
            WHERE $__timeFilter(execution_start) AND failed IS NOT NULL AND {CHOSEN}
            GROUP BY 1
            ORDER BY 1
            """),
            interval="15m",
        ),
    ]


def why() -> list[p.Panel]:
    """Failures and slowness, in detail."""
    return [
        p.rows(
            "Failed runs, the last first",
            "The last 50, with the first step that failed.",
            sql(FAILED_RUNS),
            PIPELINE,
            p.Column("execution_start", p.WHEN, width=180),
            p.Column("status", words=p.STATUS, width=90),
            p.Column("duration_seconds", "s", width=110),
            empty="None failed",
        ),
        p.rows(
            "Steps that make runs fail",
            "By failures in the range; days are UTC days.",
            sql(f"""
            SELECT
                pipeline_name, step_name, sum(failed)::bigint AS failed,
                sum(failed) / nullif(sum(succeeded + failed), 0)::float8 AS share, sum(runs)::bigint AS runs,
                count(*) FILTER (WHERE failed > 0) AS days_with_failures
            FROM step_health
            WHERE day >= date_trunc('day', $__timeFrom()::timestamptz, 'UTC') AND day <= $__timeTo() AND {CHOSEN}
            GROUP BY pipeline_name, step_name
            HAVING sum(failed) > 0
            ORDER BY failed DESC, pipeline_name, step_name
            LIMIT 25
            """),
            PIPELINE,
            SHARE,
            width=12,
        ),
        p.rows(
            "Steps that take the time",
            "By the hours spent in the range; days are UTC days.",
            sql(f"""
            SELECT
                pipeline_name, step_name, sum(total_seconds) AS seconds,
                sum(total_seconds) / sum(sum(total_seconds)) OVER () AS share_of_all,
                sum(total_seconds) / nullif(sum(timed), 0) AS mean_seconds, max(max_seconds) AS longest_seconds
            FROM step_health
            WHERE day >= date_trunc('day', $__timeFrom()::timestamptz, 'UTC') AND day <= $__timeTo() AND {CHOSEN}
            GROUP BY pipeline_name, step_name
            ORDER BY seconds DESC NULLS LAST, pipeline_name, step_name
            LIMIT 25
            """),
            PIPELINE,
            p.Column("seconds", "s"),
            p.Column("share_of_all", "percentunit", decimals=1),
            p.Column("mean_seconds", "s"),
            p.Column("longest_seconds", "s"),
            width=12,
        ),
        p.rows(
            "Slower than the week before",
            "Mean of the last seven whole days against the seven before, whatever the range.",
            sql(SLOWER),
            PIPELINE,
            p.Column("slower_by", "percentunit", steps=((None, "green"), (0.2, "yellow"), (0.5, "red")), decimals=0),
            p.Column("seconds_before", "s"),
            p.Column("seconds_after", "s"),
            p.Column(
                "failure_rate_change",
                "percentunit",
                steps=((None, "green"), (0.05, "yellow"), (0.2, "red")),
                decimals=1,
            ),
        ),
    ]


def deploying() -> list[p.Panel]:
    """DORA's measures, and what was deployed."""
    return [
        p.rows(
            "DORA's four measures, by week",
            "Deployment frequency, lead time for changes, change failure rate and time to restore of the last "
            "twelve weeks, whatever the range. What counts as a deployment: view deployment_pipelines.",
            sql(f"""
            SELECT
                week, pipeline_name, deployments, lead_p50_seconds, change_failure_rate, restore_p50_seconds,
                outages, restored
            FROM dora_between(now() - interval '84 d', now())
            WHERE {CHOSEN}
            ORDER BY week DESC, pipeline_name
            LIMIT 200
            """),
            PIPELINE,
            p.Column("week", "dateTimeAsLocalNoDateIfToday"),
            p.Column("lead_p50_seconds", "s"),
            p.Column("change_failure_rate", "percentunit", steps=p.SHARE_FAILED, decimals=0),
            p.Column("restore_p50_seconds", "s"),
            width=14,
            empty="No deployments",
        ),
        p.rows(
            "Deployments",
            "What was deployed in the range.",
            sql(f"""
            SELECT execution_start, pipeline_name, status, duration_seconds, commit_sha, configuration_version
            FROM deployments
            WHERE $__timeFilter(execution_start) AND {CHOSEN}
            ORDER BY execution_start DESC, pipeline_name
            LIMIT 50
            """),
            PIPELINE,
            p.Column("execution_start", p.WHEN, width=180),
            p.Column("status", words=p.STATUS, width=90),
            p.Column("duration_seconds", "s"),
            width=10,
            empty="No deployments",
        ),
    ]


def usual() -> list[p.Panel]:
    """What is usual, by the last night."""
    return [
        p.rows(
            title,
            f"The last 7 and 30 days up to the last night against the {what} of the twelve before, with what was usual;"
            " the furthest from it first. From hindsight nightly, whatever the range.",
            sql(f"""
            SELECT
                component, CASE baseline WHEN 'weekly' THEN '7 days' ELSE '30 days' END AS the_last, usual, usual_low,
                usual_high, current, change_percent, n, established_at
            FROM baselines
            WHERE metric = '{metric}' AND baseline IN ('weekly', 'monthly') AND kind IN ('pipeline', 'step') AND n >= 8
                AND EXISTS (
                    SELECT FROM pipeline_health AS h
                    WHERE h.day >= established_at - interval '30 d' AND {CHOSEN}
                        AND (component = h.pipeline_name OR starts_with(component, h.pipeline_name || '/'))
                )
            ORDER BY abs(change_percent) DESC NULLS LAST, component, the_last
            LIMIT 50
            """),
            p.Column("usual", unit, decimals=decimals),
            p.Column("usual_low", unit, decimals=decimals),
            p.Column("usual_high", unit, decimals=decimals),
            p.Column("current", unit, decimals=decimals),
            p.Column("change_percent", "percent", decimals=0),
            p.Column("established_at", "dateTimeAsLocalNoDateIfToday"),
            width=12,
            empty="Nothing yet: hindsight nightly",
        )
        for title, metric, what, unit, decimals in (
            ("Durations against what is usual", "response_time", "median", "s", 0),
            ("Failures against what is usual", "error_rate", "mean", "percentunit", 1),
        )
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board(
        "hindsight-pipelines",
        "Hindsight: pipelines",
        "Which pipelines fail, at which step, which got slower, and deployments.",
        range_from="now-7d",
    )
    pipeline = choice(
        "pipeline",
        "Pipeline",
        "Pipelines with runs in the range.",
        """
        SELECT DISTINCT pipeline_name FROM pipeline_health
        WHERE day >= date_trunc('day', $__timeFrom()::timestamptz, 'UTC') AND day <= $__timeTo()
        ORDER BY 1 LIMIT 1000
        """,
        all_is="pipeline_name",
    )
    return finish(
        made,
        [pipeline],
        [patterns_of("kind IN ('pipeline', 'step')"), deployments()],
        [
            ("Is anything wrong now?", now()),
            ("How it went", over_time()),
            ("Why", why()),
            ("What is usual", usual()),
            ("Deployments", deploying()),
        ],
    )
