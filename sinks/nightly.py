"""What the nightly flow writes, all in one transaction: patterns, baselines, features, what the data were like.

Every row is a function of the history and of the night: a second run of the same night changes nothing, and a run of an
earlier night does not touch what a later one has said of a pattern.
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.types.json import Jsonb

from operators.identity import identity
from operators.mining.baselines import Analytics, Baseline
from operators.mining.compile import Compiled
from operators.mining.features import Feature
from operators.mining.quality import Quality
from operators.mining.results import Before, Mined, Moved, Relation, faded, moved
from operators.pattern_rows import systems_of
from sinks.incidents import moment, optional, plain

_KNOWN = """
SELECT id, is_active, confidence_score, significance_score, (pattern_data -> 'support')::integer,
    ARRAY(SELECT jsonb_array_elements_text(pattern_data -> 'missed')), (pattern_data -> 'sure')::float8,
    (pattern_data ->> 'judged_at')::timestamptz, pattern_data ->> 'miner'
FROM detected_patterns WHERE starts_with(detection_algorithm, 'nightly: ')
FOR UPDATE
"""

_PATTERN = """
INSERT INTO detected_patterns (
    id, pattern_name, pattern_type, pattern_category, pattern_data, detection_algorithm, confidence_score,
    significance_score, detected_at, last_observed_at, observation_count, is_active, entity, measure, severity,
    direction, opened_at, resolved_at, event_time, explanation
) VALUES (
    %(id)s, %(name)s, %(kind)s, %(category)s, %(data)s, %(algorithm)s, %(confidence)s, %(score)s, %(night)s, %(last)s,
    %(support)s, %(active)s, %(entity)s, %(measure)s, 'info', %(direction)s, %(first)s, %(resolved)s, %(night)s,
    %(sentence)s
)
ON CONFLICT (id) DO UPDATE SET
    pattern_name = excluded.pattern_name, pattern_category = excluded.pattern_category,
    pattern_data = excluded.pattern_data, confidence_score = excluded.confidence_score,
    significance_score = excluded.significance_score, last_observed_at = excluded.last_observed_at,
    observation_count = excluded.observation_count, is_active = excluded.is_active, entity = excluded.entity,
    measure = excluded.measure, direction = excluded.direction, opened_at = excluded.opened_at,
    resolved_at = excluded.resolved_at,
    detected_at = least(detected_patterns.detected_at, excluded.detected_at),
    event_time = least(detected_patterns.event_time, excluded.event_time), explanation = excluded.explanation
"""

_FADED = """
UPDATE detected_patterns SET
    confidence_score = %(confidence)s, is_active = %(active)s,
    resolved_at = CASE WHEN %(active)s THEN NULL ELSE greatest(%(night)s, last_observed_at) END,
    pattern_data = pattern_data || jsonb_build_object('missed', %(missed)s::jsonb, 'judged_at', %(judged)s::text)
WHERE id = %(id)s
"""

_SPECIAL = {
    "task": """
INSERT INTO task_patterns (
    id, pattern_id, pattern_type, pattern_data, confidence_score, detected_at, task_ids, impact_assessment
) VALUES (%(id)s, %(id)s, %(class)s, %(data)s, %(confidence)s, %(night)s, %(tasks)s, %(impacts)s)
ON CONFLICT (id) DO UPDATE SET pattern_type = excluded.pattern_type, pattern_data = excluded.pattern_data,
    confidence_score = excluded.confidence_score, task_ids = excluded.task_ids,
    detected_at = least(task_patterns.detected_at, excluded.detected_at),
    impact_assessment = excluded.impact_assessment""",
    "execution": """
INSERT INTO execution_patterns (
    id, pattern_id, pipeline_name, pattern_type, pattern_description, pattern_data, frequency_score, impact_score,
    detected_at
) VALUES (%(id)s, %(id)s, %(entity)s, %(class)s, %(sentence)s, %(data)s, %(share)s, %(score)s, %(night)s)
ON CONFLICT (id) DO UPDATE SET pipeline_name = excluded.pipeline_name, pattern_type = excluded.pattern_type,
    pattern_description = excluded.pattern_description, pattern_data = excluded.pattern_data,
    frequency_score = excluded.frequency_score, impact_score = excluded.impact_score,
    detected_at = least(execution_patterns.detected_at, excluded.detected_at)""",
    "integration": """
INSERT INTO integration_patterns (
    id, pattern_id, pattern_name, pattern_type, systems_involved, pattern_definition, frequency_analysis,
    performance_impact, detected_at, pattern_stability_score
) VALUES (%(id)s, %(id)s, %(name)s, %(class)s, %(systems)s, %(data)s, %(counts)s, %(impacts)s, %(night)s, %(stability)s)
ON CONFLICT (id) DO UPDATE SET pattern_name = excluded.pattern_name, pattern_type = excluded.pattern_type,
    systems_involved = excluded.systems_involved, pattern_definition = excluded.pattern_definition,
    frequency_analysis = excluded.frequency_analysis, performance_impact = excluded.performance_impact,
    detected_at = least(integration_patterns.detected_at, excluded.detected_at),
    pattern_stability_score = excluded.pattern_stability_score""",
    "performance": """
INSERT INTO performance_patterns (
    id, pattern_id, pattern_name, pattern_type, affected_components, pattern_signature, trend_analysis, impact_severity,
    detected_at
) VALUES (%(id)s, %(id)s, %(name)s, %(class)s, %(entities)s, %(data)s, %(details)s, %(severity)s, %(night)s)
ON CONFLICT (id) DO UPDATE SET pattern_name = excluded.pattern_name, pattern_type = excluded.pattern_type,
    affected_components = excluded.affected_components, pattern_signature = excluded.pattern_signature,
    trend_analysis = excluded.trend_analysis, impact_severity = excluded.impact_severity,
    detected_at = least(performance_patterns.detected_at, excluded.detected_at)""",
}

_MOVED = """
INSERT INTO pattern_evolution (
    id, pattern_id, evolution_type, previous_state, current_state, change_magnitude, evolution_timestamp,
    contributing_factors
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (pattern_id, evolution_type, evolution_timestamp) DO NOTHING
"""

_RELATION = """
INSERT INTO pattern_relationships (
    id, parent_pattern_id, child_pattern_id, relationship_type, relationship_strength, temporal_offset, discovered_at,
    validation_status
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (parent_pattern_id, child_pattern_id, relationship_type) DO UPDATE SET
    relationship_strength = excluded.relationship_strength, temporal_offset = excluded.temporal_offset,
    discovered_at = least(pattern_relationships.discovered_at, excluded.discovered_at),
    validation_status = excluded.validation_status
"""

_BASELINE = """
INSERT INTO performance_baselines (
    id, component_name, component_kind, baseline_type, baseline_metrics, confidence_level, sample_size, established_at,
    valid_until, is_active
) VALUES (
    %(id)s, %(name)s, %(of)s, %(kind)s, %(metrics)s, %(level)s, %(size)s, %(at)s, %(until)s, NOT EXISTS (
        SELECT FROM performance_baselines
        WHERE component_name = %(name)s AND component_kind = %(of)s AND baseline_type = %(kind)s
            AND established_at > %(at)s)
)
ON CONFLICT (component_name, component_kind, baseline_type, established_at) DO UPDATE SET
    baseline_metrics = excluded.baseline_metrics, confidence_level = excluded.confidence_level,
    sample_size = excluded.sample_size, valid_until = excluded.valid_until, is_active = excluded.is_active
"""

_ANALYTICS = """
INSERT INTO performance_analytics (
    id, component_name, component_kind, metric_type, baseline_value, current_value, performance_delta,
    measurement_window, analyzed_at, context_metadata
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (component_name, component_kind, metric_type, measurement_window, analyzed_at) DO UPDATE SET
    baseline_value = excluded.baseline_value, current_value = excluded.current_value,
    performance_delta = excluded.performance_delta, context_metadata = excluded.context_metadata
"""

_FEATURE = """
INSERT INTO feature_engineering (
    id, feature_name, feature_type, transformation_logic, feature_importance, correlation_with_target, created_at,
    is_active, performance_impact
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    feature_type = excluded.feature_type, transformation_logic = excluded.transformation_logic,
    feature_importance = excluded.feature_importance, correlation_with_target = excluded.correlation_with_target,
    is_active = excluded.is_active, performance_impact = excluded.performance_impact
WHERE (feature_engineering.performance_impact ->> 'night')::timestamptz
    <= (excluded.performance_impact ->> 'night')::timestamptz
"""

_QUALITY = """
INSERT INTO nightly_quality (
    run_id, table_name, source, n, first_at, last_at, active_days, coverage, longest_gap_days, stale_days, duplicates,
    impossible, checks, missing, status, problems
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class Stored(msgspec.Struct):
    """How many patterns were new, found again, not found and retired; and what else was written."""

    new: int = 0
    again: int = 0
    missed: int = 0
    retired: int = 0
    relations: int = 0
    baselines: int = 0
    analytics: int = 0
    features: int = 0


def write_patterns(
    connection: Connection[Any], found: Sequence[Mined], miners: Collection[str], night: datetime, old: bool = False
) -> Stored:
    """Bring the patterns up to date with a night: found, found again; missed and retired those of `miners`, which can
    say that a pattern is gone. What only an `old` night finds, after which others were, is stored as past.
    """
    known: dict[uuid.UUID, Before] = {}
    later: set[uuid.UUID] = set()
    of_miners: set[uuid.UUID] = set()
    for row in connection.execute(_KNOWN.encode()).fetchall():
        known[row[0]] = Before(row[1], row[2], row[3], row[4], tuple(row[5]), row[6])
        if row[7] > night:
            later.add(row[0])
        if row[8] in miners:
            of_miners.add(row[0])
    told = [one for one in found if one.id not in later]
    label = night.isoformat()
    lost = {
        key: known[key]
        for key in sorted(of_miners - later - {one.id for one in found})
        if known[key].active and label not in known[key].missed
    }
    cursor = connection.cursor()
    rows = [_row(one, night, old) for one in told]
    cursor.executemany(_PATTERN.encode(), rows)
    for name, statement in _SPECIAL.items():
        chosen = [row for row in rows if name in row["tables"]]
        if chosen:
            cursor.executemany(statement.encode(), chosen)
    lines = moved(told, known)
    lines += [line._replace(kind="resolved") for line in lines if old and line.kind == "opened"]
    out = Stored(new=sum(one.id not in known for one in told), missed=len(lost))
    out.again = len(told) - out.new
    for key, now, changes in faded(lost, label):
        cursor.execute(
            _FADED.encode(),
            {"id": key, "confidence": now.confidence, "active": now.active, "night": night,
             "missed": Jsonb(list(now.missed)), "judged": label},
        )  # fmt: skip
        out.retired += not now.active
        lines += changes
    _write_moved(connection, lines, night)
    return out


def _row(one: Mined, night: datetime, old: bool) -> dict[str, Any]:
    finding = one.finding
    details = msgspec.to_builtins(finding.evidence)
    data = {
        "class": finding.pattern_class.value, "miner": finding.miner, "key": finding.key, "entities": finding.entities,
        "support": finding.support, "total": finding.total, "share": finding.support / finding.total,
        "confidence": finding.confidence, "effect": finding.effect, "effect_name": finding.effect_name,
        "p_value": finding.p_value, "q_value": finding.q_value, "early": finding.early, "late": finding.late,
        "status": one.status, "reason": one.reason, "impact": one.impact, "sql": finding.sql, "details": details,
        "sure": one.confidence, "missed": [], "found_at": night.isoformat(), "judged_at": night.isoformat(),
        "evidence": {"kind": one.subject},
    }  # fmt: skip
    tables = {"task": "task", "pipeline": "execution", "step": "execution", "integration": "integration"}
    chosen = {tables.get(one.subject, "")} | ({"performance"} if one.is_performance else set())
    systems = sorted({name for entity in finding.entities for name in systems_of(entity) if name})
    return {
        "id": one.id, "name": one.name, "kind": finding.kind, "category": finding.category.value, "data": plain(data),
        "algorithm": f"nightly: {finding.miner}", "confidence": one.confidence, "score": one.score, "night": night,
        "last": moment(finding.last_seen_us), "first": moment(finding.first_seen_us), "support": finding.support,
        "entity": finding.entities[0], "measure": finding.measure, "direction": "up" if finding.effect >= 1 else "down",
        "sentence": finding.sentence, "class": finding.pattern_class.value, "share": finding.support / finding.total,
        "severity": one.impact, "entities": list(finding.entities), "details": plain(details), "tables": chosen,
        "tasks": _uuids(details.get("examples", ()) if one.subject == "task" else ()), "systems": systems,
        "impacts": plain({"impact": one.impact, "effect": finding.effect, "effect_name": finding.effect_name}),
        "counts": plain({"support": finding.support, "total": finding.total}),
        "stability": {True: 1.0, None: 0.5, False: 0.0}[finding.stable], "active": not old,
        "resolved": max(night, moment(finding.last_seen_us)) if old else None,
    }  # fmt: skip


def _uuids(texts: Iterable[str]) -> list[uuid.UUID]:
    out = []
    for text in texts:
        try:
            out.append(uuid.UUID(str(text)))
        except ValueError:
            continue
    return out


def _write_moved(connection: Connection[Any], lines: Sequence[Moved], night: datetime) -> None:
    if not lines:
        return
    connection.execute("SELECT ensure_partitions('pattern_evolution'::regclass, ARRAY[%s]::timestamptz[])", [night])
    values = [
        (identity("pattern_evolution", f"{line.pattern_id}/{line.kind}/{night.isoformat()}"), line.pattern_id,
         line.kind, plain(line.previous), plain(line.current), line.magnitude, night, Jsonb({"by": "nightly"}))
        for line in lines
    ]  # fmt: skip
    connection.cursor().executemany(_MOVED.encode(), values)


def write_relations(connection: Connection[Any], rows: Sequence[Relation], night: datetime) -> int:
    """How tonight's patterns relate."""
    values = [
        (identity("pattern_relationship", f"{row.parent}\0{row.child}\0{row.kind}"), row.parent, row.child, row.kind,
         row.strength, None if row.offset_s is None else round(row.offset_s), night,
         "confirmed" if row.confirmed else "pending")
        for row in rows
    ]  # fmt: skip
    if values:
        connection.cursor().executemany(_RELATION.encode(), values)
    return len(values)


def write_baselines(connection: Connection[Any], rows: Sequence[Baseline], now: Sequence[Analytics]) -> None:
    """What is usual, and how the last windows compare. What an earlier night called usual rests (it may have been
    written before kinds were: then under no kind)."""
    cursor = connection.cursor()
    if rows:
        cursor.executemany(
            b"UPDATE performance_baselines SET is_active = false WHERE component_name = %s"
            b" AND component_kind IN (%s, '') AND baseline_type = %s AND established_at < %s AND is_active",
            [(row.component_name, row.component_kind, row.baseline_type, row.established_at) for row in rows],
        )
        cursor.executemany(_BASELINE.encode(), [
            {"id": row.id, "name": row.component_name, "of": row.component_kind, "kind": row.baseline_type,
             "metrics": plain(row.baseline_metrics), "level": row.confidence_level, "size": row.sample_size,
             "at": row.established_at, "until": row.valid_until}
            for row in rows
        ])  # fmt: skip
    if now:
        times = sorted({one.analyzed_at for one in now})
        connection.execute("SELECT ensure_partitions('performance_analytics'::regclass, %s::timestamptz[])", [times])
        cursor.executemany(_ANALYTICS.encode(), [
            (one.id, one.component_name, one.component_kind, one.metric_type, one.baseline_value, one.current_value,
             one.performance_delta, one.measurement_window, one.analyzed_at, plain(one.context_metadata))
            for one in now
        ])  # fmt: skip


def write_features(connection: Connection[Any], rows: Sequence[Feature], night: datetime) -> None:
    """What features there are, where each comes from and what it is worth; `created_at` is the first night.

    What an earlier night had and this one has not (an axis of another group) is no longer active.
    """
    values = [
        (identity("feature", f"{row.of}\0{row.name}"), f"{row.of}.{row.name}"[:255], row.kind, row.logic,
         row.importance, row.correlation, night, row.selected, plain(row.lineage | {"night": night.isoformat()}))
        for row in rows
    ]  # fmt: skip
    if values:
        connection.cursor().executemany(_FEATURE.encode(), values)
    connection.execute(
        "UPDATE feature_engineering SET is_active = false WHERE model_id IS NULL AND is_active AND NOT id = ANY(%s)"
        " AND (performance_impact ->> 'night')::timestamptz < %s",
        [[value[0] for value in values], night],
    )


def write_quality(connection: Connection[Any], run: uuid.UUID, rows: Sequence[Quality]) -> None:
    """What the data were like, in place of what an earlier try of the same run said."""
    connection.execute("DELETE FROM nightly_quality WHERE run_id = %s", [run])
    values = [
        (run, row.table, row.source, row.partial.n, optional(row.partial.first_us), optional(row.partial.last_us),
         len(row.partial.days), row.coverage, row.longest_gap_days, row.stale_days, row.partial.duplicates,
         row.partial.impossible, Jsonb(row.partial.checks),
         Jsonb({name: round(count / row.partial.n, 4) for name, count in row.partial.missing.items()}), row.status,
         row.problems)
        for row in rows
    ]  # fmt: skip
    if values:
        connection.cursor().executemany(_QUALITY.encode(), values)


def write_rules(connection: Connection[Any], rules: Sequence[Compiled]) -> None:
    """Note with each pattern what the stream was given of it, and how that did in time it was not mined from."""
    connection.execute(
        "UPDATE detected_patterns SET pattern_data = pattern_data - 'rule'"
        " WHERE starts_with(detection_algorithm, 'nightly: ') AND pattern_data ? 'rule' AND NOT id::text = ANY(%s)",
        [[rule.id for rule in rules]],
    )
    values = [
        (Jsonb(msgspec.to_builtins(rule) | {"lift": rule.lift}), uuid.UUID(rule.id))
        for rule in rules
    ]  # fmt: skip
    if values:
        connection.cursor().executemany(
            b"UPDATE detected_patterns SET pattern_data = pattern_data || jsonb_build_object('rule', %s::jsonb)"
            b" WHERE id = %s",
            values,
        )
