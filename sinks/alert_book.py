"""Which alerts are due for which Alertmanager: plain bookkeeping without clock, thread or network.

An incident is in one stage at a time (`operators.alerts.Stage`). It only rises, and each stage is an alert of its own:
when it rises, the alert of the new stage starts, and the one before ends. What is due for an Alertmanager is the stage
it is in, if it was not sent since it began or for `resend_us`, and the end of each earlier stage that was sent there.
"""

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from operators.alerts import Alert, Links, Stage, alert, identity_labels
from operators.notices import Notice

LASTS = 5
"""An alert lapses after this many resends that did not come: 5 minutes at the default, Alertmanager's own time."""
ENDS_SENT = 3
"""How often an end is sent: an Alertmanager that is restarted just then has forgotten the first."""


class Accepted(NamedTuple):
    """Every Alertmanager has an incident as it stood at `updated_us`; `ended`: it knows that it is over."""

    incident_id: uuid.UUID
    updated_us: int
    ended: bool


@dataclass
class _Delivery:
    """What one Alertmanager has of one stage."""

    version: int = 0
    updated_us: int = 0
    at_us: int = 0
    ends: int = 0  # how often its end was accepted


@dataclass
class _Track:
    """An incident that is open, or whose end is not yet known everywhere."""

    identity: dict[str, str]
    notice: Notice
    stage: Stage
    offered_us: int
    version: int = 1
    urgent: int = 1  # the last version that must not wait for the next resend
    told: int = 0  # the last version that all have
    past: dict[Stage, int] = field(default_factory=dict)  # earlier stages, and when each ended
    ended_us: int | None = None
    sent: list[dict[Stage, _Delivery]] = field(default_factory=list)  # by Alertmanager


class Due(NamedTuple):
    """An alert to send; give it back to `Book.delivered`."""

    incident_id: uuid.UUID
    stage: Stage
    version: int
    updated_us: int
    end: bool
    alert: Alert


class Book:
    """The incidents that Alertmanagers are told of. Not for several threads at once.

    `places`: how many Alertmanagers. `resend_us`, `escalate_us`: µs; an incident for which somebody is paged and that
    is older than `escalate_us` rises to an escalated stage (0 = never). `most`: incidents kept at once.
    """

    def __init__(
        self, places: int, *, resend_us: int = 60_000_000, escalate_us: int = 0, most: int = 10_000,
        links: Links | None = None,
    ) -> None:  # fmt: skip
        self._places = places
        self._resend_us = resend_us
        self._escalate_us = escalate_us
        self._most = most
        self._links = links or Links()
        self._tracks: dict[uuid.UUID, _Track] = {}
        self._risen: OrderedDict[uuid.UUID, Stage] = OrderedDict()
        """Incidents that are over, with the stage that they rose to.

        One that comes back starts there: the end of the lower stages was inhibited, so Alertmanager would take them for
        told, and be silent.
        """

    def __len__(self) -> int:
        return len(self._tracks)

    @property
    def waiting(self) -> int:
        """Incidents with a start, a rise or an end that not every Alertmanager has."""
        return sum(track.told < track.urgent for track in self._tracks.values())

    def offer(self, notice: Notice, now_us: int) -> bool:
        """Take in how an incident stands. False: there is no room for another incident.

        One that nobody is to be told of (`receiver` "log") is not taken in; if it was told before, it ends.
        """
        track = self._tracks.get(notice.incident_id)
        quiet = notice.receiver == "log"
        if track is None:
            if quiet:
                return True
            if len(self._tracks) >= self._most:
                return False
            stage = self._risen.pop(notice.incident_id, Stage(notice.severity, False))
            track = _Track(identity_labels(notice), notice, stage, now_us)
            track.sent = [{} for _ in range(self._places)]
            self._tracks[notice.incident_id] = track
        else:
            if notice.updated_us < track.notice.updated_us and notice.ended_us is None:
                return True  # an older state, handed over late
            track.version += 1
            track.notice = notice
        ended = min(now_us, notice.ended_us) if notice.ended_us is not None else now_us if quiet else None
        if (ended is None) != (track.ended_us is None) or (ended is not None and track.version == 1):
            self._urgent(track, now_us)
            if ended is None:  # it is back: where this stage was told to end it begins again
                for sent in track.sent:
                    if track.stage in sent and sent[track.stage].ends:
                        del sent[track.stage]
        if ended is None or track.ended_us is None:
            track.ended_us = ended
        if track.ended_us is None:
            self._rise(track, Stage(notice.severity, track.stage.escalated), now_us)
        return True

    def _urgent(self, track: _Track, now_us: int) -> None:
        track.urgent = track.version
        track.offered_us = now_us

    def _rise(self, track: _Track, stage: Stage, now_us: int) -> None:
        if track.ended_us is None and self._old(track, stage, now_us):
            stage = Stage(stage.severity, True)
        if stage.above(track.stage):
            track.past[track.stage] = now_us
            track.stage = stage
            track.version += 1
            self._urgent(track, now_us)

    def _old(self, track: _Track, stage: Stage, now_us: int) -> bool:
        paged = stage.severity in ("high", "critical")
        return bool(self._escalate_us) and paged and now_us - track.notice.started_us >= self._escalate_us

    def due(self, place: int, now_us: int, most: int = 100) -> list[Due]:
        """What Alertmanager `place` is to be sent now, at most so many: alerts that fire, or else ends.

        Starts go before ends: an alert that inhibits another must be there before the other one ends.
        """
        firing: list[Due] = []
        ends: list[Due] = []
        for track in self._tracks.values():
            self._rise(track, track.stage, now_us)
            for found in self._due(track, place, now_us):
                (ends if found.end else firing).append(found)
        return (firing or ends)[:most]

    def _due(self, track: _Track, place: int, now_us: int) -> Iterator[Due]:
        sent = track.sent[place]
        for stage, ended_us in track.past.items():
            has = sent.get(stage)
            # Not again after the incident's own end: the stage above would no longer inhibit the message of this one.
            if has is not None and (has.ends == 0 if track.ended_us is not None else self._end_due(has, now_us)):
                yield self._made(track, stage, ended_us, True)
        has = sent.get(track.stage)
        if track.ended_us is not None:
            if has is None or self._end_due(has, now_us):
                yield self._made(track, track.stage, track.ended_us, True)
        elif has is None or has.version < track.urgent or now_us - has.at_us >= self._resend_us:
            yield self._made(track, track.stage, now_us + LASTS * self._resend_us, False)

    def _end_due(self, has: _Delivery, now_us: int) -> bool:
        return has.ends == 0 or (has.ends < ENDS_SENT and now_us - has.at_us >= self._resend_us)

    def _made(self, track: _Track, stage: Stage, ends_us: int, end: bool) -> Due:
        notice = track.notice
        made = alert(track.identity, stage, notice, notice.started_us, ends_us, self._links)
        return Due(notice.incident_id, stage, track.version, notice.updated_us, end, made)

    def delivered(
        self, place: int, dues: Iterable[Due], now_us: int, on_told: Callable[[Accepted, int | None], object]
    ) -> None:
        """Alertmanager `place` has these.

        `on_told` is called for each incident that all of them now have in a newer state: with that state, and for a
        start, a rise or an end with the time in µs at which it was offered, else None.
        """
        for due in dues:
            track = self._tracks.get(due.incident_id)
            if track is None:
                continue
            has = track.sent[place].setdefault(due.stage, _Delivery())
            has.at_us = now_us
            has.ends = has.ends + 1 if due.end else 0
            has.version, has.updated_us = due.version, due.updated_us
            self._told(track, on_told)
            if track.ended_us is not None and self._over(track):
                del self._tracks[due.incident_id]
                if track.past:
                    self._risen[due.incident_id] = track.stage
                    while len(self._risen) > self._most:
                        self._risen.popitem(last=False)

    def _told(self, track: _Track, on_told: Callable[[Accepted, int | None], object]) -> None:
        have = [sent.get(track.stage) for sent in track.sent]
        known = [one for one in have if one is not None]
        if len(known) < len(have):
            return
        slowest = min(known, key=lambda one: one.version)
        ended = all(one.ends for one in known)
        if slowest.version <= track.told or (track.ended_us is not None and not ended):
            return
        news = track.told < track.urgent <= slowest.version
        track.told = slowest.version
        on_told(Accepted(track.notice.incident_id, slowest.updated_us, ended), track.offered_us if news else None)

    def _over(self, track: _Track) -> bool:
        """Whether each Alertmanager was told of the end often enough."""
        for sent in track.sent:
            if (
                track.stage not in sent
                or sent[track.stage].ends < ENDS_SENT
                or any(not one.ends for one in sent.values())
            ):
                return False
        return True
