"""What becomes of verdicts: episodes move on, and what changed is told as patterns and rows.

One `Teller` a partition. It owns the episodes in the partition's slots; `operators.judge` decides which detector sees
what, this module what is said of it.
"""

import time
from collections.abc import Callable

from operators.detect.verdict import Verdict
from operators.episodes import EARLIER, Contributor, Episode
from operators.feedback import Adjustments, adjusted
from operators.output import Found, Output
from operators.pattern_rows import pattern_rows
from operators.patterns import Life, Subject, advance, expire, past_of, pattern_id, resolve, snapshot_pattern
from operators.state import PartitionState, Slot


class Teller:
    """The episodes of one partition's series."""

    def __init__(self, state: PartitionState, life: Life, adjustments: Adjustments, topic: str, partition: int) -> None:
        self.state = state
        self.life = life
        self.adjustments = adjustments
        self.topic = topic
        self.partition = partition
        self.looking = False
        """Whether an open pane is being foreseen on copies: what opens is told as early, and nothing else."""
        self.early: list[str] = []
        """Detectors that opened something while looking."""
        self.opened: list[Found] = []
        """What has opened, or come back, and was not fetched yet."""
        self.shares: Callable[[Slot], list[Contributor]] = lambda _slot: []
        """What contributes to the value that is being judged, ranked; asked at each peak."""
        self._dirty: dict[int, Slot] = {}
        self._open: dict[int, Slot] = {}
        for slot in (*state.slots.values(), *state.virtual.values()):
            if slot.episodes:
                self._open[id(slot)] = slot
                # What was not told before the snapshot is told now; telling it twice changes nothing.
                self._dirty[id(slot)] = slot

    def judged(
        self, slot: Slot, detector: str, verdict: Verdict | None, value: float, time_us: int, out: Output
    ) -> None:
        """Move the episode of a series and detector on by one judgement."""
        subject = self._subject(slot)
        past = slot.past.get(detector, [])
        if verdict is not None:
            factor = self.adjustments.factor(slot.entity, slot.measure, detector, time_us)
            if factor != 1.0:
                verdict = adjusted(verdict, factor)
            if factor < 1.0:
                past = []
        before = slot.episodes.get(detector)
        episode, change = advance(before, subject, detector, verdict, value, time_us, self.life, past)
        if self.looking:
            if episode is not None and change is not None and change.kind == "opened" and not episode.reopened:
                self.early.append(detector)
                self._tell(slot, "early", episode, time_us, out)
            return
        if episode is None:
            slot.episodes.pop(detector, None)
            if not slot.episodes:
                self._open.pop(id(slot), None)
            return
        slot.episodes[detector] = episode
        self._open[id(slot)] = slot
        if verdict is not None and episode.active and episode.peak_us == time_us:
            episode.contributors = self.shares(slot)
        if change is None or change.kind == "observed":
            if episode.active:
                self._dirty[id(slot)] = slot
            return
        if change.kind == "opened" and not episode.reopened:
            self.state.counts.patterns += 1
        kind = "reopened" if change.kind == "opened" and episode.reopened else change.kind
        self._tell(slot, kind, episode, time_us, out)
        if change.kind == "resolved":
            self._remember(slot, episode, silent=False)

    def end(self, slot: Slot, detector: str, time_us: int, out: Output, **evidence: int) -> None:
        """What was seen is over for a fact: a run has ended. No waiting for normal judgements; `evidence` is added."""
        episode = slot.episodes.get(detector)
        if episode is None or not episode.active:
            return
        episode.evidence.update(evidence)
        resolve(episode, time_us)
        self._tell(slot, "resolved", episode, time_us, out)
        self._remember(slot, episode, silent=False)

    def forget(self, slot: Slot) -> None:
        """A slot that is no series is dropped, with what was not told of it."""
        self._open.pop(id(slot), None)
        self._dirty.pop(id(slot), None)

    def settle(self, slot: Slot, detector: str, end_us: int, out: Output) -> None:
        """The pane has closed: a pattern told of early is one now, or else is taken back."""
        identifier = pattern_id(detector, slot.entity, slot.measure, end_us)
        episode = slot.episodes.get(detector)
        if episode is None or episode.opened_us != end_us:
            out.retracted.append(identifier)
            return
        for place, found in enumerate(out.found):
            if found.change == "opened" and found.pattern.pattern_id == identifier:
                out.found[place] = found._replace(change="confirmed")

    def flush(self, out: Output) -> None:
        """Tell of patterns whose counts have grown."""
        for slot in self._dirty.values():
            for episode in slot.episodes.values():
                if episode.active:
                    self._tell(slot, "observed", episode, episode.seen_us, out)
        self._dirty.clear()

    def expire(self, now_us: int, out: Output) -> None:
        """End the patterns of series that fell silent."""
        for slot in list(self._open.values()):
            for detector, episode in list(slot.episodes.items()):
                left, change = expire(episode, self._subject(slot), now_us, self.life)
                if left is None:
                    del slot.episodes[detector]
                if change is not None:
                    self._tell(slot, change.kind, episode, episode.judged_us, out)
                    self._remember(slot, episode, silent=True)
            if not slot.episodes:
                self._open.pop(id(slot), None)

    def _remember(self, slot: Slot, episode: Episode, silent: bool) -> None:
        """Keep how an episode ended; one that came back and ended again is one."""
        past = slot.past.get(episode.detector, [])
        kept = [one for one in past if one.opened_us != episode.opened_us]
        slot.past[episode.detector] = [past_of(episode, self._subject(slot), silent), *kept][:EARLIER]

    def _tell(self, slot: Slot, change: str, episode: Episode, event_us: int, out: Output) -> None:
        subject = self._subject(slot)
        earlier = [past for past in slot.past.get(episode.detector, ()) if past.opened_us != episode.opened_us]
        pattern = snapshot_pattern(episode, subject, tuple(earlier[:EARLIER]))
        found = Found(pattern, change, event_us, out.batch.ingested_us, time.time_ns() // 1000)
        out.found.append(found)
        if change in ("opened", "reopened"):
            self.opened.append(found)
        for table, key, row in pattern_rows(found, subject):
            out.replace(table, key, row)

    def _subject(self, slot: Slot) -> Subject:
        return Subject(slot.entity, slot.measure, slot.kind, self.topic, self.partition)
