"""Patterns and incidents: what is open, what it is made of, the series around it, and how right the detectors are."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as model

from tools.dashboards import panels as p
from tools.dashboards.board import board, choice, finish, level, one_of, words
from tools.dashboards.queries import LIVE, SEVERITY_COUNTS, patterns_of, sql, sql_series

SEVERITY = "severity IN (${severity:sqlstring})"
CHOSEN_INCIDENTS = f"{SEVERITY} AND entity IN (${{entity:sqlstring}})"
CHOSEN = f"{CHOSEN_INCIDENTS} AND {LIVE}"
WORST_FIRST = "array_position('{critical,high,medium,low,info}', severity)"


def now() -> list[p.Panel]:
    """The first row."""
    return [
        p.severities(
            "Open patterns",
            "Patterns that go on now, by severity; those that people called false alarms are left out.",
            sql(f"""
            SELECT
                {SEVERITY_COUNTS}
            FROM patterns
            WHERE is_active AND verdict IS DISTINCT FROM 'false_positive' AND {LIVE}
            """),
        ),
        p.number(
            "Open incidents",
            "Incidents that go on now.",
            "none",
            sql("SELECT count(*) FROM incidents_open"),
            steps=p.NONE_IS_GOOD,
        ),
        p.number(
            "Of these, nobody is told",
            "Open incidents that something inhibits: a known change, quiet hours, a verdict.",
            "none",
            sql("SELECT count(*) FROM incidents_open WHERE inhibited IS NOT NULL"),
            steps=p.FEW_IS_GOOD,
        ),
        p.number(
            "False alarms",
            "Of the patterns of the range that people judged true or false, the share that was false.",
            "percentunit",
            sql(f"""
            SELECT count(*) FILTER (WHERE verdict = 'false_positive') / nullif(count(*), 0)::float8 AS share
            FROM patterns
            WHERE $__timeFilter(detected_at) AND verdict IN ('true_positive', 'false_positive') AND {LIVE}
            """),
            steps=((None, "green"), (0.1, "yellow"), (0.3, "red")),
            empty="none judged",
            decimals=0,
        ),
        p.number(
            "Delay, p95",
            "From the event that opened it to its row, of the patterns of the range; "
            "those later than an hour are history that was imported, and left out.",
            "s",
            sql(f"""
            SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_seconds) AS p95
            FROM patterns
            WHERE $__timeFilter(detected_at) AND latency_seconds < 3600 AND {LIVE}
            """),
            steps=((None, "green"), (20, "yellow"), (60, "red")),
        ),
        p.rows(
            "Open patterns, the worst first",
            "Each with its evidence. Say whether it was right: `hindsight label`.",
            sql(f"""
            SELECT
                severity, entity, measure, explanation, opened_at, peak_value, expected, low, high, confidence_score,
                observation_count, verdict, id
            FROM patterns
            WHERE is_active AND verdict IS DISTINCT FROM 'false_positive' AND {CHOSEN}
            ORDER BY {WORST_FIRST}, significance_score DESC, opened_at, id
            LIMIT 100
            """),
            p.SEVERITY_COLUMN,
            p.ENTITY_COLUMN,
            p.Column("opened_at", p.WHEN, width=180),
            p.Column("confidence_score", "percentunit", decimals=0),
            p.Column("verdict", words=p.VERDICT),
            height=9,
            empty="No open patterns",
        ),
    ]


def incidents() -> list[p.Panel]:
    """Incidents of the range, and what the chosen one is made of."""
    return [
        p.rows(
            "Incidents",
            "Incidents that began in the range, the newest first. A click on the title shows what it is made of.",
            sql(f"""
            SELECT
                severity, title, status, entity, started_at, duration_seconds, patterns, series, confidence,
                inhibited, summary, id
            FROM incident_list
            WHERE $__timeFilter(started_at) AND status <> 'merged' AND {CHOSEN_INCIDENTS}
            ORDER BY started_at DESC, id
            LIMIT 200
            """),
            p.SEVERITY_COLUMN,
            p.ENTITY_COLUMN,
            p.Column("title", link=p.to("hindsight-patterns", "incident", "${__data.fields.id:percentencode}")),
            p.Column("started_at", p.WHEN, width=180),
            p.Column("duration_seconds", "dtdurations", width=120),
            p.Column("confidence", "percentunit", decimals=0),
            empty="No incidents",
        ),
        p.rows(
            "What the incident is made of",
            "The patterns of the chosen incident, in the order in which they opened.",
            sql("""
            SELECT
                m.opened_at, m.severity, m.entity, m.measure, m.explanation, m.share, m.confidence_score, m.is_active,
                m.resolved_at, m.pattern_id
            FROM incident_members AS m
            WHERE m.incident_id::text = ${incident:sqlstring}
            ORDER BY m.opened_at, m.pattern_id
            LIMIT 200
            """),
            p.SEVERITY_COLUMN,
            p.ENTITY_COLUMN,
            p.Column("opened_at", p.WHEN, width=180),
            p.Column("resolved_at", p.WHEN, width=180),
            p.Column("share", "percentunit", decimals=0),
            p.Column("confidence_score", "percentunit", decimals=0),
            width=14,
            empty="Choose an incident above",
        ),
        p.bars(
            "Patterns that opened",
            "Patterns by the time they opened and by severity.",
            "none",
            sql_series(f"""
            SELECT $__timeGroupAlias(opened_at, $__interval), severity AS metric, count(*) AS patterns
            FROM patterns
            WHERE $__timeFilter(detected_at) AND {CHOSEN}
            GROUP BY 1, 2
            ORDER BY 1
            """),
            width=10,
            interval="15m",
            colours=p.SEVERITY,
        ),
    ]


def around() -> list[p.Panel]:
    """The series around them."""
    return [
        p.lines(
            "The series around it",
            "Mean of each bucket of the 12 chosen series with the most patterns of the range; "
            "the marks are the patterns. Each in its own unit: choose one entity to compare like with like.",
            "short",
            sql_series(f"""
            WITH watched AS (
                SELECT entity, measure FROM patterns
                WHERE $__timeFilter(detected_at) AND {CHOSEN}
                GROUP BY entity, measure ORDER BY count(*) DESC, entity, measure LIMIT 12
            )
            SELECT s.time, s.entity || ' ' || s.measure AS metric, s.avg
            FROM watched AS w JOIN series_${{level}} AS s ON s.entity = w.entity AND s.measure = w.measure
            WHERE $__timeFilter(s.time)
            ORDER BY 1, 2
            """),
            width=24,
            height=10,
            low=None,
        ),
    ]


def nightly() -> list[p.Panel]:
    """What keeps happening, by the nightly flow."""
    return [
        p.rows(
            "Findings of the nights",
            "What the nightly flow found in the history, the surest and largest first, whatever the range.",
            sql("""
            SELECT
                kind, pattern_class, entity, sentence, support, total, effect, effect_name, q_value, confidence_score,
                status, last_seen, nights_missed, id
            FROM nightly_findings
            WHERE is_active AND entity IN (${entity:sqlstring})
            ORDER BY score DESC, id
            LIMIT 100
            """),
            p.ENTITY_COLUMN,
            p.Column("effect", "short", decimals=1),
            p.Column("q_value", "short"),
            p.Column("confidence_score", "percentunit", decimals=0),
            p.Column("last_seen", p.WHEN, width=180),
            width=16,
            empty="Nothing yet: hindsight nightly",
        ),
        p.rows(
            "Nights",
            "Runs of the nightly flow, the newest first: the last day that was read, how it ended, how long it took.",
            sql("""
            SELECT range_end, status, seconds, skipped_parts, problem
            FROM nightly_history
            ORDER BY range_end DESC, started_at DESC
            LIMIT 14
            """),
            p.Column("range_end", p.WHEN, width=180),
            p.Column("status", words={"finished": "green", "running": "blue", "failed": "red"}, width=90),
            p.Column("seconds", "dtdurations"),
            width=8,
            empty="None yet",
        ),
    ]


def judged() -> list[p.Panel]:
    """How right the detectors are, and who raises the most."""
    return [
        p.rows(
            "How right the detectors are",
            "By people's verdicts so far, whatever the range: precision with its 95 % interval (Wilson).",
            sql("""
            SELECT detector, patterns, true_positives, false_positives, expected, precision, low, high
            FROM detector_precision
            WHERE entity IS NULL
            ORDER BY patterns DESC, detector
            """),
            p.Column("precision", "percentunit", steps=((None, "red"), (0.7, "yellow"), (0.9, "green")), decimals=0),
            p.Column("low", "percentunit", decimals=0),
            p.Column("high", "percentunit", decimals=0),
            width=12,
        ),
        p.rows(
            "Noisiest series",
            "Series with the most patterns of the range, and what people said of them.",
            sql(f"""
            SELECT
                entity, measure, pattern_type, count(*) AS patterns, sum(duration_seconds) AS seconds,
                count(verdict) AS judged,
                count(*) FILTER (WHERE verdict = 'false_positive') AS false_alarms, max(opened_at) AS last_opened
            FROM patterns
            WHERE $__timeFilter(detected_at) AND {CHOSEN}
            GROUP BY entity, measure, pattern_type
            ORDER BY patterns DESC, entity, measure, pattern_type
            LIMIT 25
            """),
            p.ENTITY_COLUMN,
            p.Column("seconds", "dtdurations"),
            p.Column("last_opened", p.WHEN),
            width=12,
            empty="No patterns",
        ),
        p.ranks(
            "Classes",
            "Patterns of the range by class of the taxonomy.",
            "none",
            sql(f"""
            SELECT pattern_class, count(*) AS patterns
            FROM patterns
            WHERE $__timeFilter(detected_at) AND {CHOSEN}
            GROUP BY pattern_class
            ORDER BY patterns DESC, pattern_class
            LIMIT 15
            """),
            steps=((None, "blue"),),
            width=12,
        ),
        p.ranks(
            "Detectors",
            "Patterns of the range by the detector that found them.",
            "none",
            sql(f"""
            SELECT pattern_type, count(*) AS patterns
            FROM patterns
            WHERE $__timeFilter(detected_at) AND {CHOSEN}
            GROUP BY pattern_type
            ORDER BY patterns DESC, pattern_type
            LIMIT 15
            """),
            steps=((None, "blue"),),
            width=12,
        ),
    ]


def build() -> model.Dashboard:
    """The dashboard."""
    made = board(
        "hindsight-patterns",
        "Hindsight: patterns and incidents",
        "What is open, what it is made of, the series around it, and how right the detectors are.",
    )
    variables = [
        words("severity", "Severity", "How much it matters.", list(p.SEVERITY), "severity"),
        choice(
            "entity",
            "Entity",
            "What is watched, of the patterns and incidents of the range.",
            """
            SELECT entity FROM patterns WHERE ($__timeFilter(detected_at) OR is_active) AND entity IS NOT NULL
            UNION SELECT entity FROM incident_list WHERE $__timeFilter(started_at)
            ORDER BY 1 LIMIT 2000
            """,
        ),
        one_of(
            "incident",
            "Incident",
            "The incident whose patterns are shown, by its id; at first the newest of the range.",
            """
            SELECT id::text AS "__value", title AS "__text" FROM incident_list
            WHERE $__timeFilter(started_at) AND status <> 'merged'
            ORDER BY started_at DESC, id LIMIT 500
            """,
        ),
        level(),
    ]
    return finish(
        made,
        variables,
        [patterns_of("entity IN (${entity:sqlstring})")],
        [
            ("Is anything wrong now?", now()),
            ("Incidents", incidents()),
            ("Around it", around()),
            ("What keeps happening", nightly()),
            ("How right, how noisy", judged()),
        ],
    )
