"""One step of the correlator: what changed in, incidents and what is told of them out, in one transaction."""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection

from flows.related import Related, RelatedConfig
from flows.settings import Settings
from operators.incident import changes, history, relations, state, telling
from operators.incident.entities import Links, Tie
from operators.incident.grouping import Grouper, Outcome
from operators.incident.relations import Earlier, Pair, Relationship
from operators.incident.seen import HOUR_US, GroupingConfig, Seen
from operators.incident.state import Incident
from operators.notices import Notice
from operators.patterns import KNOWLEDGE, Life
from sinks import incidents as sink
from sources import history as source

NAME = "grouper"
"""Name of the grouper's state."""
MOST_CHANGES = 2000
"""Patterns that a step takes."""
TIES_EVERY_S = 300.0
"""Seconds between two readings of the dependencies."""
OLD_US = HOUR_US
"""What was last seen longer ago than this, by the wall clock, is not told any more."""


class CorrelatorConfig(msgspec.Struct, frozen=True):
    """What the settings say about incidents."""

    enabled: bool = True
    interval_s: float = 1.0
    gather_s: float = 0.1
    grouping: GroupingConfig = GroupingConfig()
    look_back_us: int = changes.LOOK_BACK_US
    calendar: changes.Calendar = changes.Calendar()
    inhibited_by: tuple[str, ...] = ()
    related: RelatedConfig = RelatedConfig()


def config_of(settings: Settings, enabled: bool = True) -> CorrelatorConfig:
    """What the settings say."""
    return CorrelatorConfig(
        enabled=enabled and settings.incident_grouping_enabled,
        grouping=GroupingConfig(
            window_us=int(settings.incident_window_seconds * 1e6),
            grace_us=int(settings.incident_grace_seconds * 1e6),
            burst_patterns=settings.incident_burst_patterns,
        ),
        look_back_us=int(settings.incident_change_minutes * 60e6),
        calendar=changes.Calendar(changes.quiet_windows(settings.quiet_hours), changes.holidays(settings.holidays)),
        inhibited_by=settings.incident_inhibited_by,
        related=RelatedConfig(
            enabled=settings.incident_related_series and settings.real_time_detection_enabled,
            life=Life(open_confidence=settings.pattern_confidence_threshold),
        ),
    )


class Step(NamedTuple):
    """What a step did; `notices` are to be handed over, each with its revision."""

    patterns: int
    touched: set[uuid.UUID]
    notices: list[tuple[Notice, int]]
    more: bool
    lag_s: float
    """How long the oldest change that it dealt with had waited, in seconds; 0 for none."""
    open: dict[str, int]
    """Open incidents by severity."""


def wall_us() -> int:
    """The clock on the wall."""
    return time.time_ns() // 1000


class Desk:
    """Steps over one session, which must hold the correlator's lock."""

    def __init__(self, config: CorrelatorConfig, clock: Callable[[], int] = wall_us) -> None:
        self.config = config
        self._clock = clock
        self.related = Related(config.related, clock)
        self._grouper: Grouper | None = None
        self._version = 0
        self._ties: list[tuple[str, str, Tie]] = []
        self._ties_at = float("-inf")

    def step(self, connection: Connection[Any], history: bool = False) -> Step:
        """Deal with what changed. `history`: the clock is the patterns' own time, else the wall's.

        Raises psycopg's errors, `StateError`, and `sinks.incidents.Replaced`; nothing of the step is then done.
        """
        minutes_left = not history and self.related.step(connection)
        try:
            with connection.transaction():
                step = self._step(connection, history)
                return step._replace(more=step.more or minutes_left)
        except BaseException:
            self._grouper = None  # it may be ahead of what is committed
            raise

    def left_over(self, connection: Connection[Any]) -> list[tuple[Notice, int]]:
        """What an earlier process did not hand over, or what is still open: to be told after a start."""
        now = self._clock()
        found, stale = [], {}
        for told, revision, sent in sink.unsent(connection):
            if sent == 0 and told.updated_us < now - OLD_US:
                stale[told.incident_id] = revision
            else:
                found.append((told, revision))
        sink.note_sent(connection, stale)
        return found

    def _step(self, connection: Connection[Any], in_history: bool) -> Step:
        now = self._clock()
        grouper = self._loaded(connection)
        grouper.links = self._links(connection)
        noted = source.changed(connection, MOST_CHANGES)
        patterns = [
            one
            for one in noted.seen
            if (one.is_active or one.pattern_id in grouper.state.members or one.pattern_id not in noted.grouped)
            and one.detector not in KNOWLEDGE
        ]
        outcome = grouper.advance(patterns, noted.gone, None if in_history else now)
        if not in_history:
            # Of an old history read live, what is seen when depends on batches: the same input must give the same rows.
            outcome.evolution = [one for one in outcome.evolution if one.time_us >= now - OLD_US]
        clock = max((one.opened_us for one in patterns), default=now) if in_history else now
        told = self._tell(connection, grouper, outcome, clock, now)
        changed = bool(noted.notes or outcome.touched or outcome.forgotten or told)
        if changed:
            self._write(connection, grouper, outcome, noted.gone)
            sink.done(connection, noted.notes)
            self._version = sink.write_state(connection, NAME, state.encode(grouper.state), self._version)
        touched = {*outcome.touched, *(one.incident_id for one, _ in outcome.forgotten)}
        return Step(len(patterns), touched, told, noted.more, noted.age_s, self._open_by_severity(grouper))

    def _loaded(self, connection: Connection[Any]) -> Grouper:
        version = sink.state_version(connection, NAME)
        if self._grouper is None or version != self._version:
            row = sink.read_state(connection, NAME)
            held = state.decode(row[1]) if row else None
            self._grouper = Grouper(self.config.grouping, held)
            self._version = row[0] if row else 0
        return self._grouper

    def _links(self, connection: Connection[Any]) -> Links:
        if time.monotonic() - self._ties_at >= TIES_EVERY_S:
            self._ties = source.dependencies(connection)
            self._ties_at = time.monotonic()
        return Links([*self._ties, *self.related.ties()])

    def _tell(
        self, connection: Connection[Any], grouper: Grouper, outcome: Outcome, clock: int, now: int
    ) -> list[tuple[Notice, int]]:
        """Annotate what changed, write it, and find what is news."""
        waiting = [
            one.incident_id
            for one in grouper.state.incidents.values()
            if one.told is None and one.incident_id not in outcome.touched
        ]
        incidents = [
            *((one, seen) for one, seen in outcome.forgotten),
            *(
                (one, grouper.seen_of(one))
                for identifier in [*outcome.touched, *waiting]
                if (one := grouper.state.incidents.get(identifier)) is not None
            ),
        ]
        rows: list[tuple[Incident, Notice]] = []
        news: list[tuple[Notice, int]] = []
        self._annotate(connection, incidents)
        for incident, seen in incidents:
            notice = telling.notice(incident, seen, self.config.grouping, self._inhibited(incident, seen))
            signature = telling.signature(incident, notice)
            incident.written = True
            if signature != incident.told and not (incident.status == "open" and grouper.held(incident, clock)):
                never = incident.revision == 0
                vanished = never and incident.status in ("merged", "retracted")
                incident.told = signature
                if not vanished and not (never and notice.updated_us < now - OLD_US):
                    incident.revision += 1
                    news.append((notice, incident.revision))
            elif incident.incident_id in waiting:
                continue
            rows.append((incident, notice))
        sink.write_incidents(connection, rows)
        return news

    def _annotate(self, connection: Connection[Any], incidents: Sequence[tuple[Incident, Sequence[Seen]]]) -> None:
        """Look for known changes and earlier occurrences, once for each beginning."""
        fresh = [(one, seen) for one, seen in incidents if one.looked_us != one.started_us and seen]
        if not fresh:
            return
        back = self.config.look_back_us
        starts = [one.started_us for one, _ in fresh]
        known = source.known_changes(connection, min(starts) - back, max(starts))
        before = source.occurrences(connection, [seen[0] for _, seen in fresh])
        for (incident, seen), earlier in zip(fresh, before, strict=True):
            found = changes.shortly_before(seen, bool(incident.wide), known, back)
            incident.changes = [one.words for one in found]
            incident.earlier = history.earlier(earlier, incident.started_us)
            incident.looked_us = incident.started_us

    def _inhibited(self, incident: Incident, seen: Sequence[Seen]) -> str | None:
        worst = telling.severity(seen, bool(incident.wide), self.config.grouping.burst_patterns)
        fallen_into = self.config.calendar.at(incident.started_us)
        if fallen_into is not None and fallen_into[1] not in incident.changes:
            incident.changes = [*incident.changes, fallen_into[1]]
        known = [words for words in incident.changes if fallen_into is None or words != fallen_into[1]]
        return changes.inhibited(worst, fallen_into, known, self.config.inhibited_by)

    def _write(
        self, connection: Connection[Any], grouper: Grouper, outcome: Outcome, gone: Sequence[uuid.UUID]
    ) -> None:
        """What hangs on the incidents."""
        members = []
        for identifier in outcome.touched:
            incident = grouper.state.incidents.get(identifier)
            if incident is None:
                continue
            seen = grouper.seen_of(incident)
            shares = telling.shares(seen)
            members += [(one.pattern_id, identifier, shares[str(one.pattern_id)], one.opened_us) for one in seen]
        for incident, seen in outcome.forgotten:
            shares = telling.shares(seen)
            members += [
                (one.pattern_id, incident.incident_id, shares[str(one.pattern_id)], one.opened_us) for one in seen
            ]
        sink.write_members(connection, members)
        sink.drop_members(connection, gone)
        sink.write_classified(connection, [one.seen for one in outcome.joined])
        sink.write_evolution(connection, outcome.evolution)
        sink.write_relations(connection, self._relations(connection, grouper, outcome))

    def _relations(self, connection: Connection[Any], grouper: Grouper, outcome: Outcome) -> list[Relationship]:
        wanted = {
            relations.pair(parent, one.seen)
            for one in outcome.joined
            for parent in relations.parents(one.seen, one.before)
        }
        known = source.earlier(connection, wanted)
        rows: list[Relationship] = []
        for one in outcome.joined:
            found = relations.relations(one.seen, one.before, grouper.links, known)
            rows += found
            by_id = {parent.pattern_id: parent for parent in one.before}
            for row in found:
                if row.kind == "precedes":
                    _note(known, relations.pair(by_id[row.parent], one.seen), row.offset_us)
        return rows

    @staticmethod
    def _open_by_severity(grouper: Grouper) -> dict[str, int]:
        found: dict[str, int] = {}
        for incident in grouper.state.incidents.values():
            if incident.status == "open":
                worst = telling.severity(grouper.seen_of(incident), bool(incident.wide), grouper.config.burst_patterns)
                found[worst] = found.get(worst, 0) + 1
        return found


def _note(known: dict[Pair, Earlier], pair: Pair, lag_us: int) -> None:
    """A pair of this step counts for the pairs after it, as it would had it been written before."""
    held = known.get(pair, relations.NOTHING)
    seconds = round(lag_us / 1e6) * 1_000_000
    known[pair] = msgspec.structs.replace(held, lags_us=(*held.lags_us, seconds))
    back = (pair[2], pair[3], pair[0], pair[1])
    if back in known:
        known[back] = msgspec.structs.replace(known[back], reverse=known[back].reverse + 1)
