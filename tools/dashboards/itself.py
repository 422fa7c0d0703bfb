"""Hindsight itself: does it keep up, does it lose anything, how long does it take, by its own metrics."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, finish, labels
from tools.dashboards.queries import Ask, prom, prom_now

JOB = 'job="hindsight"'
TOPIC = 'topic=~"$topic"'
TARGET: p.Steps = ((None, "transparent"), (20, "red"))
"""The line of the target for the latency of patterns."""


def quantiles(metric: str) -> list[Ask]:
    """Median, 95th and 99th percentile of a histogram."""
    return [
        prom(
            f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket[$__rate_interval])))", f"p{round(q * 100)}", ref
        )
        for q, ref in ((0.5, "A"), (0.95, "B"), (0.99, "C"))
    ]


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.number(
            "Processes that answer",
            "Realtime processes that Prometheus reaches.",
            "none",
            prom_now(f"sum(up{{{JOB}}}) or vector(0)"),
            steps=((None, "red"), (1, "green")),
            empty="0",
        ),
        p.number(
            "Alerts that fire",
            "Alerts of docker/prometheus/rules that fire now; each has a runbook in docs/runbooks.",
            "none",
            prom_now('count(ALERTS{alertstate="firing", alertname=~"Hindsight.+"}) or vector(0)'),
            steps=p.NONE_IS_GOOD,
        ),
        p.number(
            "Not accounted for",
            "Read less applied, late, duplicate and dead records. Not 0 for minutes is a bug.",
            "none",
            prom_now("sum(instance:hindsight_records_unaccounted:sum)"),
            steps=((None, "red"), (0, "green"), (1, "red")),
        ),
        p.number(
            "Lag",
            "Records of Kafka that were not read yet.",
            "short",
            prom_now("sum(topic:hindsight_lag_records:sum)"),
            steps=((None, "green"), (10000, "yellow"), (100000, "red")),
        ),
        p.number(
            "Event to pattern, p99",
            "Live events of the last 15 minutes. The target is 20 s, the promise a minute.",
            "s",
            prom_now("max(job:hindsight_event_to_pattern_seconds:p99_15m)"),
            steps=((None, "green"), (20, "yellow"), (60, "red")),
        ),
        p.number(
            "Oldest snapshot",
            "Time since the last snapshot of the process with the oldest: what a crash would repeat.",
            "s",
            prom_now("max(hindsight_snapshot_age_seconds)"),
            steps=((None, "green"), (60, "yellow"), (300, "red")),
        ),
        p.rows(
            "Which alerts fire",
            "What Prometheus says about Hindsight itself now.",
            prom_now(
                'sum by (alertname, severity, instance, topic) (ALERTS{alertstate="firing", alertname=~"Hindsight.+"})',
                table=True,
            ),
            p.SEVERITY_COLUMN,
            height=6,
            empty="None",
        ),
    ]


def keeping_up() -> list[p.Panel]:
    """Does it keep up?"""
    return [
        p.lines(
            "Records by outcome",
            "What becomes of the records: read = applied + late + duplicate + dead letter.",
            "cps",
            prom(f"sum by (outcome) (rate(hindsight_records_total{{{TOPIC}}}[$__rate_interval]))", "{{outcome}}"),
        ),
        p.lines(
            "Lag by topic",
            "Records of Kafka not read yet. HindsightConsumerLagGrowing fires when 10,000 grow to more.",
            "short",
            prom(f"sum by (topic) (hindsight_lag_records{{{TOPIC}}})", "{{topic}}"),
        ),
        p.lines(
            "Age of the event time",
            "How far the watermark of the slowest partition is behind the clock.",
            "s",
            prom(f"time() - min by (topic) (hindsight_watermark_seconds{{{TOPIC}}})", "{{topic}}"),
            low=None,
        ),
        p.lines(
            "Waiting for the database",
            "Share of the time that reading pauses for the database, and batches that wait for it.",
            "percentunit",
            prom("rate(hindsight_sink_blocked_seconds[$__rate_interval])", "{{instance}}"),
        ),
    ]


def latency() -> list[p.Panel]:
    """How long does it take?"""
    return [
        p.lines(
            "Event to row",
            "From an event's time to the commit of its row, live events.",
            "s",
            *quantiles("hindsight_event_to_row_seconds"),
            width=8,
        ),
        p.lines(
            "Event to pattern",
            "From the event that showed it to the commit of a pattern. The target is 20 s.",
            "s",
            *quantiles("hindsight_event_to_pattern_seconds"),
            width=8,
            steps=TARGET,
        ),
        p.lines(
            "Decision to alert",
            "From the decision to tell somebody until every Alertmanager has it.",
            "s",
            *quantiles("hindsight_alert_seconds"),
            width=8,
        ),
    ]


def finding() -> list[p.Panel]:
    """What does it find, and who is told?"""
    return [
        p.bars(
            "Patterns by detector",
            "Patterns opened or re-opened.",
            "none",
            prom("sum by (detector) (increase(hindsight_patterns_total[$__rate_interval]))", "{{detector}}"),
            width=8,
        ),
        p.lines(
            "Open incidents",
            "By severity, as the process that groups patterns says.",
            "none",
            prom("max by (severity) (hindsight_incidents_open)", "{{severity}}"),
            width=8,
            colours=p.SEVERITY,
        ),
        p.lines(
            "Waiting to be grouped",
            "How long the oldest change of a pattern had waited to become part of an incident.",
            "s",
            prom("max(hindsight_correlator_lag_seconds >= 0)", "oldest change"),
            width=8,
        ),
        p.lines(
            "Alerts",
            "Alerts that Alertmanagers took and did not take, and incidents that wait or were refused.",
            "none",
            prom(
                "sum by (target) (rate(hindsight_alerts_sent_total[$__rate_interval])) * 60",
                "sent a minute to {{target}}",
                "A",
            ),
            prom(
                "sum by (target) (rate(hindsight_alerts_failed_total[$__rate_interval])) * 60",
                "failed a minute at {{target}}",
                "B",
            ),
            prom("sum(hindsight_alerts_waiting)", "incidents that wait", "C"),
            prom("sum(increase(hindsight_alerts_refused_total[$__rate_interval]))", "incidents refused", "D"),
            width=8,
        ),
        p.bars(
            "Automated responses",
            "What was asked of the response webhook.",
            "none",
            prom("sum by (outcome) (increase(hindsight_responses_total[$__rate_interval]))", "{{outcome}}"),
            width=8,
        ),
        p.lines(
            "Verdicts of people",
            "Patterns judged so far, by verdict.",
            "none",
            prom("max by (verdict) (sum by (verdict, instance) (hindsight_pattern_verdicts))", "{{verdict}}"),
            width=8,
        ),
        p.lines(
            "Since the last night",
            "Time since `hindsight nightly` last finished. HindsightNightlyMissing fires at two days.",
            "s",
            prom("time() - max(hindsight_nightly_finished_seconds)", "since a night finished"),
            width=12,
            steps=((None, "transparent"), (172_800, "red")),
        ),
        p.lines(
            "Rules for sequences",
            "Rules that each process looks for, and new files of rules that it refused.",
            "none",
            prom("sum by (instance) (hindsight_sequence_rules)", "rules at {{instance}}"),
            prom(
                "sum by (instance) (increase(hindsight_sequence_rules_refused_total[$__rate_interval]))",
                "files refused at {{instance}}",
                "B",
            ),
            width=12,
        ),
    ]


def inside() -> list[p.Panel]:
    """State and sink."""
    return [
        p.lines(
            "Series watched",
            "By topic; memory grows with them.",
            "short",
            prom(f"sum by (topic) (hindsight_series{{{TOPIC}}})", "{{topic}}"),
            width=8,
        ),
        p.lines(
            "Points of refused series",
            "Points of series beyond the limit: stored, but not watched.",
            "short",
            prom(f"sum by (topic) (hindsight_series_refused_points{{{TOPIC}}})", "{{topic}}"),
            width=8,
        ),
        p.lines(
            "Open panes",
            "Windows that have not closed yet.",
            "short",
            prom(f"sum by (topic) (hindsight_open_panes{{{TOPIC}}})", "{{topic}}"),
            width=8,
        ),
        p.lines(
            "Rows committed",
            "Rows a second.",
            "cps",
            prom("sum by (instance) (rate(hindsight_sink_rows_total[$__rate_interval]))", "{{instance}}"),
            width=8,
        ),
        p.lines(
            "Batches that wait for the database",
            "At ANALYTICS_WRITE_QUEUE_BATCHES reading pauses.",
            "none",
            prom("hindsight_sink_queue_batches", "{{instance}}"),
            width=8,
        ),
        p.lines(
            "Database away or refusing",
            "Attempts that failed because the database was away, and rows it refused.",
            "cps",
            prom(
                "sum by (instance) (rate(hindsight_sink_retries_total[$__rate_interval]))", "retries {{instance}}", "A"
            ),
            prom(
                "sum by (instance) (rate(hindsight_sink_refused_rows_total[$__rate_interval]))",
                "refused {{instance}}",
                "B",
            ),
            width=8,
        ),
        p.lines(
            "Age of the snapshot",
            "Time since the last snapshot of each process.",
            "s",
            prom("hindsight_snapshot_age_seconds", "{{instance}}"),
            width=12,
        ),
        p.lines(
            "Dead letters by reason",
            "Records that could not be used.",
            "cps",
            prom(
                f'sum by (reason) (rate(hindsight_records_total{{{TOPIC}, outcome="dead_letter"}}[$__rate_interval]))',
                "{{reason}}",
            ),
            width=12,
        ),
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board(
        "hindsight-itself",
        "Hindsight: itself",
        "Does it keep up, does it lose anything, how long does it take.",
        range_from="now-6h",
        refresh="30s",
    )
    topic = labels("topic", "Topic", "Input topics.", "hindsight_records_total")
    return finish(
        made,
        [topic],
        [],
        [
            ("Is anything wrong now?", now()),
            ("Does it keep up?", keeping_up()),
            ("How long does it take?", latency()),
            ("What it finds, and who is told", finding()),
            ("Inside", inside()),
        ],
    )
