"""Which patterns are one incident.

Two patterns belong together if their entities are of one tree or linked (`entities`), and the later one opens while the
earlier is active or soon after (`near`). Incidents are the connected components of that, and bursts besides. So what
belongs together does not depend on the order of arrival; an incident's id comes from its first pattern, and once people
were told of it, it stays.
Where it does not work well: things that hang together without sharing a name, a link or a burst stay apart; a source
that reports for many unrelated things under one name is one tree.
"""

import logging
import math
import uuid
from collections.abc import Collection, Iterable
from typing import NamedTuple

from operators.identity import identity
from operators.incident.entities import Links, related, root
from operators.incident.evolution import Evolution, moved, split
from operators.incident.index import Index
from operators.incident.seen import GroupingConfig, Seen
from operators.incident.state import GrouperState, Incident, Member, Rate

log = logging.getLogger(__name__)

MOST_INPUTS = 1000
"""Inputs whose rate of patterns is remembered."""
NEVER = 1 << 62


class Joined(NamedTuple):
    """A pattern that is new, the incident it is part of, and that incident's patterns before it, the latest first."""

    seen: Seen
    incident: uuid.UUID
    before: tuple[Seen, ...]


class Outcome:
    """What a step changed."""

    def __init__(self) -> None:
        self.touched: dict[uuid.UUID, None] = {}
        """Incidents to write, in order."""
        self.joined: list[Joined] = []
        self.moved: dict[uuid.UUID, uuid.UUID] = {}
        """Pattern → the incident it is now part of."""
        self.evolution: list[Evolution] = []
        self.forgotten: list[tuple[Incident, list[Seen]]] = []
        """Incidents that are no longer remembered but must be written once more, and their patterns."""


def near(one: Seen, other: Seen, config: GroupingConfig) -> bool:
    """Whether the later of two patterns opens while the earlier is active, or soon enough after that."""
    first, later = (one, other) if one.order <= other.order else (other, one)
    reach = first.opened_us + config.reach_us
    end = reach if first.is_active else min(first.end_us, reach)
    return later.opened_us <= end + max(config.window_us, min(later.cadence_us, config.sparse_us))


def incident_id(first: uuid.UUID) -> uuid.UUID:
    """The id of the incident that begins with a pattern."""
    return identity("incident", f"first {first}")


class Grouper:
    """The open incidents, and those that ended lately. `now_us` is a clock: the wall's, or event time for a history."""

    def __init__(self, config: GroupingConfig, state: GrouperState | None = None, links: Links | None = None) -> None:
        self.config = config
        self.state = state or GrouperState()
        self.links = links or Links()
        self._index = Index()
        for member in self.state.members.values():
            self._index.add(member.seen)
        self._next = 0
        """No incident is due before this."""
        self._out = Outcome()

    def advance(self, changes: Iterable[Seen], gone: Collection[uuid.UUID] = (), now_us: int | None = None) -> Outcome:
        """Take in patterns as they now stand, in any order, and those that were taken back.

        Without `now_us`, the clock is each pattern's opening in turn: a history.
        """
        out = self._out = Outcome()
        for identifier in gone:
            self._retract(identifier)
        for seen in sorted(changes, key=lambda one: one.order):
            clock = seen.opened_us if now_us is None else now_us
            if now_us is None:
                self.settle(clock)
            held = self.state.members.get(seen.pattern_id)
            if held is None:
                self._open(seen, clock)
            else:
                self._update(held, seen, clock)
        if now_us is not None:
            self.settle(now_us)
        self._out = Outcome()
        return out

    def tick(self, now_us: int) -> Outcome:
        """Nothing changed but the clock."""
        return self.advance((), now_us=now_us)

    def seen_of(self, incident: Incident) -> list[Seen]:
        """The patterns of an incident that are remembered, in the order of their opening."""
        members = self.state.members
        return sorted((members[one].seen for one in incident.members), key=lambda seen: seen.order)

    def held(self, incident: Incident, now_us: int) -> bool:
        """Whether it should not be told yet, since it may turn out to be part of a burst."""
        if incident.told is not None or incident.wide or now_us >= incident.arrived_us + self.config.hold_us:
            return False
        mine = self.seen_of(incident)
        return not any(one.severity == "critical" for one in mine) and any(
            other is not incident and other.started_us <= incident.started_us
            for one in mine
            for other in self._incidents(
                self._noticed(one.input, one.opened_us - self.config.burst_us, one.opened_us + self.config.burst_us)
            )
        )

    def hang_together(self, one: Seen, other: Seen) -> bool:
        """Whether two patterns' entities are of one tree, or linked."""
        if one.entity == other.entity or other.entity in self.links.of(one.entity):
            return True
        return related(self._index.keys(one), self._index.keys(other))

    def settle(self, clock_us: int) -> None:
        """End what has ended by this time, and forget what ended long ago."""
        if clock_us < self._next:
            return
        for incident in list(self.state.incidents.values()):
            if clock_us < self._due(incident):
                continue
            if incident.status != "open":
                self._forget(incident)
                continue
            mine = self.seen_of(incident)
            incident.ended_us = max(incident.started_us, *(one.end_us for one in mine))
            incident.status = "silent" if any(one.is_active for one in mine) else "resolved"
            self._touch(incident)
        self._next = min(map(self._due, self.state.incidents.values()), default=NEVER)

    def _due(self, incident: Incident) -> int:
        members = [self.state.members[one] for one in incident.members]
        if incident.status != "open":
            last = max((max(one.seen.end_us, one.arrived_us) for one in members), default=incident.arrived_us)
            return max(last, incident.ended_us or 0) + self.config.sparse_us + self.config.window_us
        if incident.quiet_us is not None:
            return incident.quiet_us + self.config.grace_us
        going = [max(one.seen.last_observed_us, one.arrived_us) for one in members if one.seen.is_active]
        return max(going) + self.config.silent_us

    def _open(self, seen: Seen, clock: int) -> None:
        self._count(seen)
        own = Incident(incident_id(seen.pattern_id), seen.pattern_id, seen.opened_us, clock, [seen.pattern_id])
        self.state.incidents[own.incident_id] = own
        self.state.members[seen.pattern_id] = Member(seen, own.incident_id, clock)
        self._out.moved[seen.pattern_id] = own.incident_id
        self._index.add(seen)
        incident = self._merge([own, *self._neighbours(seen)])
        if seen.severity != "info":
            incident = self._burst(seen, incident)
        self._quieten(incident)
        before = [one for one in self.seen_of(incident) if one.order < seen.order]
        self._out.joined.append(Joined(seen, incident.incident_id, tuple(reversed(before))))
        self._out.evolution += [
            one for one in (moved(before, seen), split(before, seen, self.hang_together)) if one is not None
        ]
        self._limit(incident)

    def _update(self, member: Member, seen: Seen, clock: int) -> None:
        before, member.seen, member.arrived_us = member.seen, seen, clock
        if before == seen:
            return
        if (before.opened_us, before.input) != (seen.opened_us, seen.input):
            self._index.remove(before)
            self._index.add(seen)
        incident = self.state.incidents[member.incident]
        incident.started_us = min(incident.started_us, seen.opened_us)
        if not before.is_active and (seen.is_active or seen.end_us > before.end_us):
            incident = self._merge([incident, *self._neighbours(seen)])
        self._quieten(incident)

    def _quieten(self, incident: Incident) -> None:
        """Note whether an incident goes on; one that had ended is open again if a pattern of it is new or came back."""
        mine = [self.state.members[one] for one in incident.members]
        going = any(one.seen.is_active for one in mine)
        end = max(one.seen.end_us for one in mine)
        if incident.status in ("resolved", "silent") and (going or end > (incident.ended_us or 0)):
            incident.status, incident.ended_us = "open", None
            incident.reopened += 1
        if incident.status == "open":
            since = max(end, *(one.arrived_us for one in mine))
            incident.quiet_us = None if going else since
        self._touch(incident)

    def _retract(self, identifier: uuid.UUID) -> None:
        member = self.state.members.get(identifier)
        if member is None:
            return
        incident = self.state.incidents[member.incident]
        self._drop(member)
        incident.members.remove(identifier)
        if incident.members:
            self._quieten(incident)
            return
        incident.status, incident.quiet_us = "retracted", None
        incident.ended_us = max(incident.started_us, member.seen.end_us)
        self._touch(incident)

    def _neighbours(self, seen: Seen) -> list[Incident]:
        """Incidents that hold a pattern which belongs together with this one."""
        found: dict[uuid.UUID, Incident] = {}
        members, incidents = self.state.members, self.state.incidents
        for identifier in self._index.candidates(seen, self.links):
            member = members[identifier]
            if member.incident not in found and identifier != seen.pattern_id and near(member.seen, seen, self.config):
                found[member.incident] = incidents[member.incident]
        return list(found.values())

    def _merge(self, incidents: Iterable[Incident]) -> Incident:
        """Make one of several: the one that was told, else the oldest, keeps its id."""
        distinct = list({one.incident_id: one for one in incidents}.values())
        keep = min(distinct, key=lambda one: (one.told is None, one.started_us, str(one.first)))
        for other in distinct:
            if other is keep:
                continue
            for identifier in other.members:
                self.state.members[identifier].incident = keep.incident_id
                self._out.moved[identifier] = keep.incident_id
            keep.members += other.members
            keep.gone += other.gone
            keep.reopened += other.reopened
            keep.arrived_us = min(keep.arrived_us, other.arrived_us)
            keep.wide = sorted({*keep.wide, *other.wide})
            if other.started_us < keep.started_us:
                keep.started_us, keep.looked_us = other.started_us, None
            ends = [self.state.members[one].seen.end_us for one in other.members]
            other.ended_us = max(other.started_us, *ends) if ends else other.ended_us
            other.status, other.merged_into, other.members, other.quiet_us = "merged", keep.incident_id, [], None
            if other.written:
                self._touch(other)
            else:
                del self.state.incidents[other.incident_id]
                self._out.touched.pop(other.incident_id, None)
        return keep

    def _burst(self, seen: Seen, incident: Incident) -> Incident:
        """Make one wide incident of what opened all at once in an input, and go on with it while it goes on."""
        length = self.config.burst_us
        around = self._noticed(seen.input, seen.opened_us - length, seen.opened_us + length)
        if any(seen.input in other.wide for other in self._incidents(around)):
            start = end = seen.opened_us
        else:
            burst = self._crowd(seen, around)
            if not burst:
                return incident
            start, end = burst[0].opened_us, burst[-1].opened_us
        while True:
            around = self._noticed(seen.input, start - length, end + length)
            wide = [one for one in self._incidents(around) if seen.input in one.wide]
            inside = [one for one in around if start <= one.opened_us <= end]
            incident = self._merge([incident, *wide, *self._incidents(inside)])
            if seen.input not in incident.wide:
                incident.wide, incident.looked_us = sorted({*incident.wide, seen.input}), None
            reached = [one.opened_us for one in around]
            if min(reached) >= start and max(reached) <= end:
                return incident
            start, end = min(start, *reached), max(end, *reached)

    def _crowd(self, seen: Seen, around: list[Seen]) -> list[Seen]:
        """Patterns around this one that a stretch as long as a burst holds enough of, of enough roots; in order."""
        least = self._least(seen.input)
        found: dict[uuid.UUID, Seen] = {}
        for place, first in enumerate(around):
            last = first.opened_us + self.config.burst_us
            if first.opened_us > seen.opened_us:
                break
            if last < seen.opened_us:
                continue
            stretch = [one for one in around[place:] if one.opened_us <= last]
            if len({root(one.entity, one.kind) for one in stretch}) >= least:
                found |= {one.pattern_id: one for one in stretch}
        return sorted(found.values(), key=lambda one: one.order)

    def _least(self, source: str) -> float:
        """How many unrelated patterns are a burst: more than this input's own chance clusters (Poisson, 4 sigma)."""
        rate = self.state.rates.get(source)
        usual = rate.expected if rate else 0.0
        return max(self.config.burst_patterns, usual + 4.0 * math.sqrt(usual) + 1.0)

    def _count(self, seen: Seen) -> None:
        rates, tau = self.state.rates, float(self.config.reach_us)
        rate = rates.get(seen.input)
        if rate is None:
            if len(rates) >= MOST_INPUTS:
                del rates[min(rates, key=lambda name: rates[name].last_us)]
            rate = rates[seen.input] = Rate(0.0, seen.opened_us)
        passed = max(0, seen.opened_us - rate.last_us)
        rate.expected = rate.expected * math.exp(-passed / tau) + self.config.burst_us / tau
        rate.last_us = max(rate.last_us, seen.opened_us)

    def _noticed(self, source: str, start_us: int, end_us: int) -> list[Seen]:
        """Patterns of an input that opened in that time and are no good news."""
        found = [self.state.members[one].seen for _, one in self._index.opened(source, start_us, end_us)]
        return [one for one in found if one.severity != "info"]

    def _incidents(self, patterns: Iterable[Seen]) -> list[Incident]:
        found = {self.state.members[one.pattern_id].incident: None for one in patterns}
        return [self.state.incidents[one] for one in found]

    def _limit(self, incident: Incident) -> None:
        """Forget members of an incident, or whole incidents, beyond the bounds: those that were quiet for longest."""
        members = self.state.members
        while len(incident.members) > self.config.most_members:
            worst = min(
                incident.members, key=lambda one: (members[one].seen.is_active, members[one].seen.end_us, str(one))
            )
            incident.members.remove(worst)
            incident.gone += 1
            self._drop(members[worst])
        while len(members) > self.config.most_patterns:
            self._forget(min(self.state.incidents.values(), key=self._staleness))

    def _staleness(self, incident: Incident) -> tuple[bool, int, str]:
        ends = [self.state.members[one].seen.end_us for one in incident.members]
        return incident.status == "open", max(ends, default=0), str(incident.incident_id)

    def _forget(self, incident: Incident) -> None:
        if incident.status == "open":
            log.warning("more patterns at once than are remembered: incident %s is let go", incident.incident_id)
            mine = self.seen_of(incident)
            incident.status, incident.quiet_us = "silent", None
            incident.ended_us = max(incident.started_us, *(one.end_us for one in mine))
            self._out.forgotten.append((incident, mine))
        elif incident.incident_id in self._out.touched:
            self._out.forgotten.append((incident, self.seen_of(incident)))
        for identifier in incident.members:
            self._drop(self.state.members[identifier])
        self._out.touched.pop(incident.incident_id, None)
        del self.state.incidents[incident.incident_id]

    def _drop(self, member: Member) -> None:
        del self.state.members[member.seen.pattern_id]
        self._index.remove(member.seen)

    def _touch(self, incident: Incident) -> None:
        self._out.touched[incident.incident_id] = None
        self._next = min(self._next, self._due(incident))
