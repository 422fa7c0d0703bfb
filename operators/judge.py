"""Which detector sees which value of which series, and what becomes of its verdicts.

- Values that are facts about a run or a commit (sparse kinds) are judged one by one, as they arrive.
- Dense series are judged by pane: the mean of 10 s, when the pane closes or is shown.
- Rules with a limit judge each event of a series that has one, at once; the error rate counts outcomes.
"""

import time
from functools import cache

import msgspec

from operators.detect import spike, threshold
from operators.detect.spike import SpikeConfig, SpikeState
from operators.detect.threshold import RateState, Rule, ThresholdState, rule_for
from operators.detect.verdict import Verdict
from operators.encode import SPARSE_KINDS
from operators.output import Found, Output
from operators.pattern_rows import pattern_rows
from operators.patterns import Episode, Life, Subject, advance, expire, pattern_id, snapshot_pattern
from operators.state import PartitionState, Slot
from operators.windows import Stats

MINUTE_US = 60_000_000
UNRULED_KINDS = frozenset({"metric", "code"})
"""Their measures are named by producers: `cpu_usage` may be a ratio there, so the rules, in percent, don't apply."""


class JudgeConfig(msgspec.Struct, frozen=True):
    """What the settings say about detection."""

    enabled: bool = True
    least_confidence: float = 0.7
    sensitivity: float = 0.95
    thresholds: tuple[tuple[str, float], ...] = tuple(sorted(threshold.DEFAULT_THRESHOLDS.items()))


class Judge:
    """The detectors of one partition, over its state."""

    def __init__(self, state: PartitionState, config: JudgeConfig, topic: str, partition: int) -> None:
        self.state = state
        self.config = config
        self.topic = topic
        self.partition = partition
        self.life = Life(open_confidence=config.least_confidence)
        self._thresholds = dict(config.thresholds)
        self.due = False
        """Whether a pane has closed or was shown since the last flush."""
        self._looking = False
        self._early: list[str] = []
        self._dirty: dict[int, Slot] = {}
        self._open: dict[int, Slot] = {}
        self._rule = cache(self._find_rule)
        self._spike = cache(lambda measure: SpikeConfig.of(config.sensitivity, measure))
        for slot in state.slots.values():
            slot.ruled = self._rule(slot.kind, slot.measure) is not None
            if slot.episodes:
                self._open[id(slot)] = slot
                # What was not told before the snapshot is told now; telling it twice changes nothing.
                self._dirty[id(slot)] = slot

    def new_slot(self, entity: str, measure: str, kind: str) -> Slot:
        """The slot of a series that was not seen before."""
        return Slot(entity, measure, kind, ruled=self._rule(kind, measure) is not None)

    def event(self, slot: Slot, time_us: int, value: float, out: Output) -> None:
        """Judge one event's value. Called for series with a rule and for sparse ones."""
        if not self.config.enabled:
            return
        sparse = slot.kind in SPARSE_KINDS
        rule = self._rule(slot.kind, slot.measure) if slot.ruled else None
        if rule is not None:
            if rule.counts:
                if sparse:
                    self._rate(slot, rule, time_us, 1, int(value), out)
                return
            if slot.threshold is None:
                slot.threshold = ThresholdState()
            verdict = threshold.judge(slot.threshold, rule, value)
            if verdict is not None or slot.episodes:
                self._advance(slot, "threshold", verdict, value, time_us, out)
        if sparse:
            self._spiked(slot, value, time_us, out)

    def pane(self, slot: Slot, stats: Stats, end_us: int, out: Output) -> None:
        """Judge a dense series' pane."""
        if not self.config.enabled or slot.kind in SPARSE_KINDS:
            return
        if slot.measure == "failed" and slot.ruled:
            rule = self._rule(slot.kind, slot.measure)
            if rule is not None:
                self._rate(slot, rule, end_us, stats.n, int(stats.sum), out)
            return
        self._spiked(slot, stats.sum / stats.n, end_us, out)

    def foresee(self, slot: Slot, stats: Stats, end_us: int, out: Output) -> list[str]:
        """Judge an open pane on a copy of the detectors: tell of what would open, and return by which detectors."""
        copy = msgspec.msgpack.decode(msgspec.msgpack.encode(slot), type=Slot)
        self._early = []
        self._looking = True
        try:
            self.pane(copy, stats, end_us, out)
        finally:
            self._looking = False
        return self._early

    def settle(self, slot: Slot, detector: str, end_us: int, out: Output) -> None:
        """The pane has closed: a pattern told of early is one now, or else is taken back."""
        episode = slot.episodes.get(detector)
        if episode is None or episode.opened_us != end_us:
            out.retracted.append(pattern_id(detector, slot.entity, slot.measure, end_us))
            return
        for place, found in enumerate(out.found):
            if found.change == "opened" and found.pattern.pattern_id == pattern_id(
                detector, slot.entity, slot.measure, end_us
            ):
                out.found[place] = found._replace(change="confirmed")

    def flush(self, out: Output) -> None:
        """Tell of patterns whose counts have grown.

        Once a batch, and only when a pane has closed or was shown: a steady pattern is not news with each event.
        """
        if not self.due:
            return
        self.due = False
        for slot in self._dirty.values():
            for episode in slot.episodes.values():
                if episode.active:
                    self._tell(slot, "observed", episode, episode.seen_us, out)
        self._dirty.clear()

    def closed(self, now_us: int, out: Output) -> None:
        """Panes have closed: once a minute of event time, end the patterns of series that fell silent."""
        self.due = True
        minute = now_us // MINUTE_US
        if minute != self.state.minute:
            self.state.minute = minute
            for slot in list(self._open.values()):
                self._expire(slot, now_us, out)

    def _rate(self, slot: Slot, rule: Rule, time_us: int, n: int, failures: int, out: Output) -> None:
        if slot.rate is None:
            slot.rate = RateState()
        verdict = threshold.judge_rate(slot.rate, rule, time_us, n, failures)
        if verdict is not None or slot.episodes:
            self._advance(slot, "threshold", verdict, slot.rate.rate, time_us, out)

    def _spiked(self, slot: Slot, value: float, time_us: int, out: Output) -> None:
        if slot.measure == "failed":
            return
        state = slot.spike
        if state is None:
            state = slot.spike = SpikeState()
        verdict = spike.judge(state, time_us, value, self._spike(slot.measure))
        if verdict is not None or slot.episodes:
            self._advance(slot, "spike", verdict, value, time_us, out)

    def _advance(
        self, slot: Slot, detector: str, verdict: Verdict | None, value: float, time_us: int, out: Output
    ) -> None:
        episode, change = advance(
            slot.episodes.get(detector), self._subject(slot), detector, verdict, value, time_us, self.life
        )
        if self._looking:
            if episode is not None and change is not None and change.kind == "opened" and not episode.reopened:
                self._early.append(detector)
                self._tell(slot, "early", episode, time_us, out)
            return
        if episode is None:
            slot.episodes.pop(detector, None)
            if not slot.episodes:
                self._open.pop(id(slot), None)
            return
        slot.episodes[detector] = episode
        self._open[id(slot)] = slot
        if change is None or change.kind == "observed":
            if episode.active:
                self._dirty[id(slot)] = slot
            return
        if change.kind == "opened" and not episode.reopened:
            self.state.counts.patterns += 1
        kind = "reopened" if change.kind == "opened" and episode.reopened else change.kind
        self._tell(slot, kind, episode, time_us, out)

    def _expire(self, slot: Slot, now_us: int, out: Output) -> None:
        for detector, episode in list(slot.episodes.items()):
            left, change = expire(episode, self._subject(slot), now_us, self.life)
            if left is None:
                del slot.episodes[detector]
            if change is not None:
                self._tell(slot, change.kind, episode, episode.judged_us, out)
        if not slot.episodes:
            self._open.pop(id(slot), None)

    def _tell(self, slot: Slot, change: str, episode: Episode, event_us: int, out: Output) -> None:
        subject = self._subject(slot)
        pattern = snapshot_pattern(episode, subject)
        found = Found(pattern, change, event_us, out.batch.ingested_us, time.time_ns() // 1000)
        out.found.append(found)
        for table, key, row in pattern_rows(found, subject):
            out.replace(table, key, row)

    def _subject(self, slot: Slot) -> Subject:
        return Subject(slot.entity, slot.measure, slot.kind, self.topic, self.partition)

    def _find_rule(self, kind: str, measure: str) -> Rule | None:
        return None if kind in UNRULED_KINDS else rule_for(measure, self._thresholds)
