"""Tasks: how much is open and how old, what gets done and how long it takes, and what attempts fail of."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, choice, finish
from tools.dashboards.queries import FAILED_SHARE, patterns_of, sql, sql_series

OPEN = "coalesce(project_name, 'tasks') IN (${project:sqlstring})"
FLOW = "day >= date_trunc('day', $__timeFrom()::timestamptz, 'UTC') AND day <= $__timeTo() AND " + OPEN


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.number(
            "Open",
            "Tasks that are neither done nor dropped.",
            "none",
            sql(f"SELECT count(*) FROM tasks_open WHERE {OPEN}"),
        ),
        p.number(
            "Blocked",
            "Open tasks that another open task blocks.",
            "none",
            sql(f"SELECT count(*) FROM tasks_open WHERE blocked_by > 0 AND {OPEN}"),
            steps=p.FEW_IS_GOOD,
        ),
        p.number(
            "Unchanged for a month",
            "Open tasks without any event for 30 days.",
            "none",
            sql(f"SELECT count(*) FROM tasks_open WHERE days_unchanged > 30 AND {OPEN}"),
            steps=p.FEW_IS_GOOD,
        ),
        p.number(
            "Attempts that failed",
            "Of the attempts that began in the range and succeeded or failed, the share that failed.",
            "percentunit",
            sql(f"""
            SELECT {FAILED_SHARE}
            FROM task_runs
            WHERE $__timeFilter(execution_start) AND {OPEN}
            """),
            steps=p.SHARE_FAILED,
            decimals=1,
        ),
        p.number(
            "Done",
            "Tasks done on the days (UTC) of the range.",
            "none",
            sql(f"SELECT coalesce(sum(done), 0)::bigint AS done FROM task_flow WHERE {FLOW}"),
        ),
        p.number(
            "Open patterns",
            "Patterns of tasks that go on now.",
            "none",
            sql("SELECT count(*) FROM patterns WHERE is_active AND kind = 'task'"),
            steps=p.FEW_IS_GOOD,
            link=p.to("hindsight-patterns"),
        ),
    ]


def over_time() -> list[p.Panel]:
    """How it went, by day."""
    return [
        p.bars(
            "Done by project",
            "Tasks done by day (UTC) and project.",
            "none",
            sql_series(f"SELECT day AS time, project_name AS metric, done FROM task_flow WHERE {FLOW} ORDER BY 1, 2"),
            interval="1d",
        ),
        p.lines(
            "From created to done",
            "Lead time by day (UTC): the mean of the tasks done, weighed over projects, and the longest p95.",
            "s",
            sql_series(f"""
            SELECT
                day AS time, sum(lead_mean_seconds * lead_timed) / nullif(sum(lead_timed), 0) AS "mean",
                max(lead_p95_seconds) AS "p95 of the slowest project"
            FROM task_flow WHERE {FLOW} GROUP BY day ORDER BY 1
            """),
            interval="1d",
        ),
        p.lines(
            "From begun to done",
            "Cycle time by day (UTC), from the first attempt on.",
            "s",
            sql_series(f"""
            SELECT
                day AS time, sum(cycle_mean_seconds * cycle_timed) / nullif(sum(cycle_timed), 0) AS "mean",
                max(cycle_p95_seconds) AS "p95 of the slowest project"
            FROM task_flow WHERE {FLOW} GROUP BY day ORDER BY 1
            """),
            interval="1d",
        ),
        p.lines(
            "Failed attempts by project",
            "Share of failures among attempts that succeeded or failed, by day (UTC) and project.",
            "percentunit",
            sql_series(
                f"SELECT day AS time, project_name AS metric, failure_rate FROM task_flow WHERE {FLOW} ORDER BY 1, 2"
            ),
            high=1,
            interval="1d",
            steps=p.SHARE_FAILED,
        ),
    ]


def work() -> list[p.Panel]:
    """Who has what, what is old, what fails."""
    return [
        p.rows(
            "Open work by person",
            "Who has how much open work, and how old it is; empty = nobody.",
            sql(f"""
            SELECT
                assignee, count(*) AS open, count(*) FILTER (WHERE blocked_by > 0) AS blocked,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY days_open) AS median_days, max(days_open) AS max_days,
                sum(estimated_effort)::bigint AS estimated_minutes
            FROM tasks_open WHERE {OPEN}
            GROUP BY assignee
            ORDER BY open DESC, assignee
            LIMIT 50
            """),
            p.Column("median_days", "d", decimals=1),
            p.Column("max_days", "d", decimals=1),
            p.Column("estimated_minutes", "m"),
            width=12,
        ),
        p.rows(
            "What attempts fail of",
            "Failures of the range by class of error, with the newest message.",
            sql(f"""
            SELECT
                project_name, error_type, count(*) AS failed, count(DISTINCT task_id) AS tasks,
                max(execution_start) AS last_start,
                (array_agg(error_message ORDER BY execution_start DESC))[1] AS last_message
            FROM task_runs
            WHERE $__timeFilter(execution_start) AND failed AND {OPEN}
            GROUP BY project_name, error_type
            ORDER BY failed DESC, project_name, error_type
            LIMIT 25
            """),
            p.Column("last_start", p.WHEN),
            width=12,
            empty="None failed",
        ),
        p.rows(
            "Oldest open tasks",
            "By age; blocked_by is how many open tasks hold it up, blocks is how many it holds up.",
            sql(f"""
            SELECT task, title, status, priority, project_name, assignee, days_open, days_unchanged, blocked_by, blocks
            FROM tasks_open WHERE {OPEN}
            ORDER BY days_open DESC NULLS LAST, task
            LIMIT 50
            """),
            p.Column("days_open", "d", steps=((None, "text"), (30, "yellow"), (90, "red")), decimals=1),
            p.Column("days_unchanged", "d", decimals=1),
            p.Column("blocked_by", steps=((None, "text"), (1, "orange"))),
        ),
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board(
        "hindsight-tasks",
        "Hindsight: tasks",
        "How much is open and how old, what gets done, and what attempts fail of.",
        range_from="now-30d",
    )
    project = choice(
        "project",
        "Project",
        "Projects with work in the range; tasks = of no project.",
        """
        SELECT DISTINCT project_name FROM task_flow
        WHERE day >= date_trunc('day', $__timeFrom()::timestamptz, 'UTC') AND day <= $__timeTo()
        UNION SELECT coalesce(project_name, 'tasks') FROM tasks_open
        ORDER BY 1 LIMIT 1000
        """,
        all_is="coalesce(project_name, 'tasks')",
    )
    return finish(
        made,
        [project],
        [patterns_of("kind = 'task'")],
        [("Is anything wrong now?", now()), ("How it went", over_time()), ("The work", work())],
    )
