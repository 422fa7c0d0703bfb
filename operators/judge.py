"""Which detector sees which value of which series. What becomes of verdicts is the business of `operators.telling`.

- Values that are facts about a run or a commit (sparse kinds) are judged one by one, as they arrive.
- Dense series are judged by pane: the mean of 10 s, when the pane closes or is shown.
- Rules with a limit judge each event of a series that has one, at once; the error rate counts outcomes.
"""

from collections.abc import Iterable
from functools import cache

import msgspec

from operators.contributors import shares
from operators.detect import burst, prior, threshold
from operators.detect.burst import BurstConfig, BurstState
from operators.detect.prior import GROWN, GroupState, PriorConfig, YoungState
from operators.detect.rules import Rules, SequenceRule
from operators.detect.spike import SpikeState
from operators.detect.threshold import RateState, Rule, ThresholdState, rule_for
from operators.encode import SPARSE_KINDS, Named
from operators.episodes import Contributor
from operators.feedback import Adjustments
from operators.floats import pack, unpack
from operators.identity import series_id
from operators.output import Output
from operators.patterns import Life
from operators.state import PartitionState, Slot
from operators.telling import Teller
from operators.tracks import UNRULED_KINDS, Track, group_of, is_awaited, tracks_of
from operators.types import Event
from operators.watch import Watch
from operators.windows import Stats

MINUTE_US = 60_000_000
BURST = BurstConfig()
PRIOR = PriorConfig()
MOST_GROUPS = 5_000
"""Groups of series of a partition."""
GROW_EVERY = 2048
"""Values after which a series teaches its group anew."""
USUAL_AFTER = 10
"""Values of a step after which their median says what is usual."""


class JudgeConfig(msgspec.Struct, frozen=True):
    """What the settings say about detection."""

    enabled: bool = True
    least_confidence: float = 0.7
    sensitivity: float = 0.95
    thresholds: tuple[tuple[str, float], ...] = tuple(sorted(threshold.DEFAULT_THRESHOLDS.items()))
    rules: tuple[SequenceRule, ...] = ()
    """Sequences to look for."""


class Judge:
    """The detectors of one partition, over its state."""

    def __init__(
        self,
        state: PartitionState,
        config: JudgeConfig,
        topic: str,
        partition: int,
        adjustments: Adjustments | None = None,
    ) -> None:
        self.state = state
        self.config = config
        self.due = False
        """Whether a pane has closed or was shown since the last flush."""
        self._thresholds = dict(config.thresholds)
        self._points: Iterable[tuple[Named, float]] = ()
        self._rule = cache(self._find_rule)
        self._tracks = cache(lambda kind, measure: tracks_of(kind, measure, config.sensitivity))
        for slot in state.slots.values():
            slot.ruled = self._rule(slot.kind, slot.measure) is not None
        life = Life(open_confidence=config.least_confidence)
        self.teller = Teller(state, life, Adjustments() if adjustments is None else adjustments, topic, partition)
        self.teller.shares = self._shares
        self.watch = Watch(state, self.teller, Rules(config.rules) if config.rules and config.enabled else None)

    def follow(self, rules: Rules) -> None:
        """Look for these sequences from now on."""
        self.watch.follow(rules if rules.by_id and self.config.enabled else None)

    def new_slot(self, entity: str, measure: str, kind: str) -> Slot:
        """The slot of a series that was not seen before."""
        return Slot(entity, measure, kind, ruled=self._rule(kind, measure) is not None)

    def record(self, event: Event, points: Iterable[tuple[Named, float]], time_us: int, out: Output) -> None:
        """An event other than a sample; its points are judged next, and tell who contributed."""
        self._points = points
        if self.config.enabled:
            self.watch.event(event, time_us, out)

    def event(self, slot: Slot, time_us: int, value: float, out: Output) -> None:
        """Judge one event's value. Called for series with a rule and for sparse ones."""
        if not self.config.enabled:
            return
        sparse = slot.kind in SPARSE_KINDS
        if slot.measure == "failed":
            if sparse:
                self._outcomes(slot, time_us, 1, int(value), out)
            return
        rule = self._rule(slot.kind, slot.measure) if slot.ruled else None
        if rule is not None:
            if slot.threshold is None:
                slot.threshold = ThresholdState()
            verdict = threshold.judge(slot.threshold, rule, value, time_us)
            if verdict is not None or "threshold" in slot.episodes:
                self.teller.judged(slot, "threshold", verdict, value, time_us, out)
        if sparse:
            self._value(slot, time_us, value, out)
        self._opened(out)

    def pane(self, slot: Slot, stats: Stats, end_us: int, out: Output) -> None:
        """Judge a dense series' pane."""
        if not self.config.enabled or slot.kind in SPARSE_KINDS:
            return
        if slot.measure == "failed" and slot.kind not in UNRULED_KINDS:
            self._outcomes(slot, end_us, stats.n, int(stats.sum), out)
        else:
            self._value(slot, end_us, stats.sum / stats.n, out)
            self._opened(out)

    def series(
        self, slot: Slot, points: Iterable[tuple[int, int, float]], stats: Stats, end_us: int, out: Output
    ) -> None:
        """Judge all that a pane holds of one series: its events (time, key, value), then the pane."""
        if slot.ruled or slot.kind in SPARSE_KINDS:
            for time_us, _, value in points:
                self.event(slot, time_us, value, out)
        self.pane(slot, stats, end_us, out)

    def foresee(self, slot: Slot, stats: Stats, end_us: int, out: Output) -> list[str]:
        """Judge an open pane on a copy of the detectors: tell of what would open, and return by which detectors."""
        copy = unpack(pack(slot), Slot)
        teller = self.teller
        teller.early = []
        teller.looking = True
        try:
            self.pane(copy, stats, end_us, out)
        finally:
            teller.looking = False
        return teller.early

    def settle(self, slot: Slot, detector: str, end_us: int, out: Output) -> None:
        """The pane has closed: a pattern told of early is one now, or else is taken back."""
        self.teller.settle(slot, detector, end_us, out)

    def flush(self, out: Output) -> None:
        """Tell of patterns whose counts have grown.

        Once a batch, and only when a pane has closed or was shown: a steady pattern is not news with each event.
        """
        if self.due:
            self.due = False
            self.teller.flush(out)

    def closed(self, now_us: int, out: Output) -> None:
        """Panes have closed: once a minute of event time, end the patterns of series that fell silent."""
        self.due = True
        minute = now_us // MINUTE_US
        if minute != self.state.minute:
            before, self.state.minute = self.state.minute, minute
            self.teller.expire(now_us, out)
            if self.config.enabled:
                self.watch.tick(before * MINUTE_US, now_us, out)

    def _outcomes(self, slot: Slot, time_us: int, n: int, failures: int, out: Output) -> None:
        """Judge outcomes by the rule, if there is one, and by their own history."""
        if slot.burst is None:
            slot.burst = BurstState()
        rule = self._rule(slot.kind, slot.measure)
        if rule is not None:
            if slot.rate is None:
                slot.rate = RateState()
            verdict = threshold.judge_rate(slot.rate, rule, time_us, n, failures, burst.usual(slot.burst))
            if verdict is not None or "threshold" in slot.episodes:
                self.teller.judged(slot, "threshold", verdict, slot.rate.rate, time_us, out)
        verdict = burst.judge(slot.burst, time_us, n, failures, BURST)
        if verdict is not None or "burst" in slot.episodes:
            self.teller.judged(slot, "burst", verdict, failures / n, time_us, out)
        if n == 1:
            self._value(slot, time_us, float(failures), out)
        self._opened(out)

    def _opened(self, out: Output) -> None:
        """Patterns that have opened are part of sequences, too."""
        if self.teller.opened:
            opened, self.teller.opened = self.teller.opened, []
            for found in opened:
                self.watch.opened(found, out)

    def _value(self, slot: Slot, time_us: int, value: float, out: Output) -> None:
        if is_awaited(slot.kind, slot.measure):
            self.watch.arrived(slot, time_us, value, out)
        for track in self._tracks(slot.kind, slot.measure):
            self._judge(track, slot, time_us, value, out)

        spike = slot.spike
        if spike is not None and (spike.seen <= GROWN or spike.seen % GROW_EVERY == 0):
            self._young(slot, spike, time_us, value, out)

    def _young(self, slot: Slot, spike: SpikeState, time_us: int, value: float, out: Output) -> None:
        """Judge a series that is young by its group; what has grown up teaches the group."""
        key = group_of(slot.kind, slot.entity, slot.measure)
        group = self.state.groups.get(key)
        if spike.seen >= GROWN:
            slot.young = None
            if group is None:
                if len(self.state.groups) >= MOST_GROUPS:
                    return
                group = self.state.groups[key] = GroupState()
            prior.grow(group, series_id(slot.entity, slot.measure), spike.ring)
        elif group is not None:
            if slot.young is None:
                slot.young = YoungState()
            verdict = prior.judge_young(group, slot.young, time_us, value, PRIOR)
            if verdict is not None or "prior" in slot.episodes:
                self.teller.judged(slot, "prior", verdict, value, time_us, out)

    def _judge(self, track: Track, slot: Slot, time_us: int, value: float, out: Output) -> None:
        state = getattr(slot, track.field)
        if state is None:
            state = track.state()
            setattr(slot, track.field, state)
        verdict = track.judge(state, time_us, value, track.config)
        if verdict is not None or track.name in slot.episodes:
            self.teller.judged(slot, track.name, verdict, value, time_us, out)

    def _shares(self, slot: Slot) -> list[Contributor]:
        return shares(slot.entity, slot.measure, self._points, self._usual)

    def _usual(self, named: Named) -> float | None:
        slot = self.state.slots.get(series_id(named.entity, named.measure))
        if slot is None or slot.spike is None or len(slot.spike.ring) < USUAL_AFTER:
            return None
        ring = sorted(slot.spike.ring)
        return ring[len(ring) // 2]

    def _find_rule(self, kind: str, measure: str) -> Rule | None:
        return None if kind in UNRULED_KINDS else rule_for(measure, self._thresholds)
