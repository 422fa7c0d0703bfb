"""What the correlator writes, each step in one transaction: incidents and what hangs on them, and its own memory.

`pattern_changes` is emptied of what the step has dealt with in the same transaction, so a kill at any moment repeats
nothing and loses nothing.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.types.json import Jsonb

from operators.identity import identity
from operators.incident.classified import MODEL, classified
from operators.incident.evolution import Evolution
from operators.incident.relations import Relationship
from operators.incident.seen import Seen
from operators.incident.state import Incident
from operators.notices import Notice
from operators.tables import BY_NAME, Table
from sinks import sql as statements
from sinks.pieces import copy_rows

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_INCIDENT = """
INSERT INTO incidents (
    id, title, summary, entity, category, pattern_class, severity, confidence, status, merged_into, is_wide, started_at,
    updated_at, ended_at, patterns, series, reopened, contributors, known_changes, earlier, inhibited, notice, revision
) VALUES (
    %(id)s, %(title)s, %(summary)s, %(entity)s, %(category)s, %(pattern_class)s, %(severity)s, %(confidence)s,
    %(status)s, %(merged_into)s, %(is_wide)s, %(started_at)s, %(updated_at)s, %(ended_at)s, %(patterns)s, %(series)s,
    %(reopened)s,
    %(contributors)s, %(known_changes)s, %(earlier)s, %(inhibited)s, %(notice)s, %(revision)s
)
ON CONFLICT (id) DO UPDATE SET
    title = excluded.title, summary = excluded.summary, entity = excluded.entity, category = excluded.category,
    pattern_class = excluded.pattern_class, severity = excluded.severity, confidence = excluded.confidence,
    status = excluded.status, merged_into = excluded.merged_into, is_wide = excluded.is_wide,
    started_at = excluded.started_at, updated_at = excluded.updated_at, ended_at = excluded.ended_at,
    patterns = excluded.patterns, series = excluded.series, reopened = excluded.reopened,
    contributors = excluded.contributors, known_changes = excluded.known_changes, earlier = excluded.earlier,
    inhibited = excluded.inhibited, notice = excluded.notice, revision = greatest(excluded.revision, incidents.revision)
"""

_MEMBER = """
INSERT INTO incident_patterns (pattern_id, incident_id, share, joined_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (pattern_id) DO UPDATE SET incident_id = excluded.incident_id, share = excluded.share
"""

_RELATION = """
INSERT INTO pattern_relationships (
    id, parent_pattern_id, child_pattern_id, relationship_type, relationship_strength, temporal_offset, discovered_at
)
SELECT %(id)s, %(parent)s, %(child)s, %(type)s, %(strength)s, %(offset)s, %(at)s
WHERE EXISTS (SELECT FROM detected_patterns WHERE id = %(parent)s FOR KEY SHARE)
    AND EXISTS (SELECT FROM detected_patterns WHERE id = %(child)s FOR KEY SHARE)
ON CONFLICT (parent_pattern_id, child_pattern_id, relationship_type) DO UPDATE SET
    relationship_strength = excluded.relationship_strength, temporal_offset = excluded.temporal_offset
"""

_EVOLUTION = """
INSERT INTO pattern_evolution (
    id, pattern_id, evolution_type, previous_state, current_state, change_magnitude, evolution_timestamp,
    contributing_factors
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (pattern_id, evolution_type, evolution_timestamp) DO NOTHING
"""

_CLASSIFIED = """
INSERT INTO pattern_classifications (
    id, pattern_id, classification_type, classification_value, classification_confidence, classifier_model,
    classified_at
) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING
"""

_STATE = """
INSERT INTO correlator_state (name, version, state) VALUES (%(name)s, 1, %(state)s)
ON CONFLICT (name) DO UPDATE SET
    version = correlator_state.version + 1, state = excluded.state, updated_at = clock_timestamp()
WHERE correlator_state.version = %(version)s
RETURNING version
"""

_UNSENT = """
SELECT notice, revision, sent_revision FROM incidents
WHERE notice IS NOT NULL AND revision > 0 AND (revision > sent_revision OR status = 'open')
ORDER BY started_at, id
"""


class Replaced(Exception):
    """Another process has written the state since it was read: it is the correlator now."""


def moment(time_us: int) -> datetime:
    """A time in µs since 1970."""
    return _EPOCH + timedelta(microseconds=time_us)


def optional(time_us: int | None) -> datetime | None:
    """As `moment`."""
    return None if time_us is None else moment(time_us)


def plain(value: Any) -> Jsonb:
    """As JSON."""
    return Jsonb(msgspec.to_builtins(value))


def write_incidents(connection: Connection[Any], incidents: Iterable[tuple[Incident, Notice]]) -> None:
    """Incidents as they stand, each with its notice."""
    rows = [
        {
            "id": one.incident_id,
            "title": told.title,
            "summary": told.summary,
            "entity": told.entity,
            "category": told.category,
            "pattern_class": told.pattern_class,
            "severity": told.severity,
            "confidence": told.confidence,
            "status": one.status,
            "merged_into": one.merged_into,
            "is_wide": bool(one.wide),
            "started_at": moment(one.started_us),
            "updated_at": moment(told.updated_us),
            "ended_at": None if one.status == "open" else optional(one.ended_us),
            "patterns": told.patterns,
            "series": told.series,
            "reopened": one.reopened,
            "contributors": plain(told.contributors),
            "known_changes": plain(told.changes),
            "earlier": plain(one.earlier),
            "inhibited": told.inhibited,
            "notice": plain(told),
            "revision": one.revision,
        }
        for one, told in incidents
    ]
    if rows:
        connection.cursor().executemany(_INCIDENT.encode(), rows)


def write_members(connection: Connection[Any], rows: Sequence[tuple[uuid.UUID, uuid.UUID, float, int]]) -> None:
    """Which incident a pattern is part of: pattern, incident, share, when it opened (µs)."""
    if rows:
        values = [(pattern, incident, share, moment(at)) for pattern, incident, share, at in rows]
        connection.cursor().executemany(_MEMBER.encode(), values)


def drop_members(connection: Connection[Any], patterns: Sequence[uuid.UUID]) -> None:
    """Patterns that were taken back are part of nothing."""
    if patterns:
        connection.execute("DELETE FROM incident_patterns WHERE pattern_id = ANY(%s)", [list(patterns)])


def write_relations(connection: Connection[Any], rows: Iterable[Relationship]) -> None:
    """How patterns relate; a pattern that was taken back meanwhile has no relations."""
    values = [
        {
            "id": identity("pattern_relationship", f"{row.parent}\0{row.child}\0{row.kind}"),
            "parent": row.parent,
            "child": row.child,
            "type": row.kind,
            "strength": row.strength,
            "offset": round(row.offset_us / 1e6),
            "at": moment(row.discovered_us),
        }
        for row in rows
    ]
    if values:
        connection.cursor().executemany(_RELATION.encode(), values)


def write_evolution(connection: Connection[Any], rows: Sequence[Evolution]) -> None:
    """How patterns changed."""
    if not rows:
        return
    times = sorted({moment(row.time_us) for row in rows})
    connection.execute("SELECT ensure_partitions('pattern_evolution'::regclass, %s::timestamptz[])", [times])
    values = [
        (
            identity("pattern_evolution", f"{row.pattern_id}/{row.kind}/{row.time_us}"),
            row.pattern_id, row.kind, plain(row.previous), plain(row.current), row.magnitude, moment(row.time_us),
            plain(row.factors),
        )
        for row in rows
    ]  # fmt: skip
    connection.cursor().executemany(_EVOLUTION.encode(), values)


def write_classified(connection: Connection[Any], patterns: Iterable[Seen]) -> None:
    """What the taxonomy says of new patterns."""
    values = [
        (
            identity("pattern_classification", f"{seen.pattern_id}\0{one.kind}\0{MODEL}"),
            seen.pattern_id, one.kind, one.value, one.confidence, MODEL, moment(seen.opened_us),
        )
        for seen in patterns
        for one in classified(seen)
        if one.value
    ]  # fmt: skip
    if values:
        connection.cursor().executemany(_CLASSIFIED.encode(), values)


def done(connection: Connection[Any], notes: Sequence[int]) -> None:
    """These changes are dealt with."""
    if notes:
        connection.execute("DELETE FROM pattern_changes WHERE id = ANY(%s)", [list(notes)])


def read_state(connection: Connection[Any], name: str) -> tuple[int, bytes] | None:
    """The version and the state under a name; None before the first write."""
    row = connection.execute("SELECT version, state FROM correlator_state WHERE name = %s", [name]).fetchone()
    return None if row is None else (row[0], bytes(row[1]))


def state_version(connection: Connection[Any], name: str) -> int:
    """The version of the state under a name; 0 before the first write."""
    row = connection.execute("SELECT version FROM correlator_state WHERE name = %s", [name]).fetchone()
    return 0 if row is None else int(row[0])


def write_state(connection: Connection[Any], name: str, state: bytes, version: int) -> int:
    """Replace the state that has this version (0: none yet); gives the new version, or raises `Replaced`."""
    row = connection.execute(_STATE.encode(), {"name": name, "state": state, "version": version}).fetchone()
    if row is None or row[0] != version + 1:
        raise Replaced("the correlator's state was written by another process")
    return int(row[0])


def write_rows(connection: Connection[Any], rows: Iterable[tuple[Table, bytes, bytes]]) -> None:
    """Encoded rows as the stream's sink writes them, the last of each key; missing partitions are made."""
    by_table: dict[str, dict[bytes, bytes]] = {}
    for table, key, row in rows:
        held = by_table.setdefault(table.name, {})
        held[key] = table.update(held.get(key, row), row)
    with connection.cursor() as cursor:
        for name, pairs in by_table.items():
            table = BY_NAME[name]
            cursor.execute(statements.create_stage(table))
            copy_rows(cursor, table, statements.stage_name(table), pairs.values())
            if table.time:
                cursor.execute(statements.ensure_staged_partitions(table))
            for statement in statements.merge(table):
                cursor.execute(statement)
            # The staging table would be emptied by the commit only, and there may be more rows before.
            cursor.execute(f"DELETE FROM {statements.stage_name(table)}".encode())


def unsent(connection: Connection[Any]) -> list[tuple[Notice, int, int]]:
    """Notices that were not handed over, or whose incident is open; with their revision, and the one last sent."""
    rows = connection.execute(_UNSENT.encode()).fetchall()
    return [(msgspec.convert(told, Notice), revision, sent) for told, revision, sent in rows]


def note_sent(connection: Connection[Any], sent: Mapping[uuid.UUID, int]) -> None:
    """These revisions were handed over."""
    if sent:
        connection.cursor().executemany(
            "UPDATE incidents SET sent_revision = %s WHERE id = %s AND sent_revision < %s",
            [(revision, identifier, revision) for identifier, revision in sent.items()],
        )
