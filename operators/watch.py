"""What is watched over time rather than value by value: silence, runs under way, and sequences as they unfold."""

from operators import types as e
from operators.detect import missing, overdue, sequence
from operators.detect.missing import MissingConfig, MissingState
from operators.detect.overdue import OverdueConfig, OverdueState
from operators.detect.rules import Rules
from operators.detect.sequence import Sequenced, SequenceState
from operators.identity import series_id
from operators.output import Found, Output
from operators.pgcopy import micros
from operators.state import PartitionState, Slot
from operators.telling import Teller
from operators.tokens import entity_of, token_of_pattern, tokens_of

MINUTE_US = 60_000_000

MOST_PIPELINES = 20_000
"""Pipelines of a partition whose runs are watched."""

GONE_US = 28 * missing.DAY_US
"""A series that has been silent for longer is gone: its pattern ends like that of any series that nothing judges."""

LONGEST_STEP = 512
"""Most minutes between two looks at a silence, less than the day after which an unjudged pattern ends."""

_KINDS = {"pipeline": "pipeline", "step": "step", "task": "task", "integration": "integration"}


class Watch:
    """The detectors of one partition that time moves on."""

    def __init__(self, state: PartitionState, teller: Teller, rules: Rules | None) -> None:
        self.state = state
        self.teller = teller
        self.rules = rules
        self._overdue = OverdueConfig()
        self._missing = MissingConfig()
        if rules is not None and state.sequence is not None:
            sequence.sweep(state.sequence, rules)

    def follow(self, rules: Rules | None) -> None:
        """Look for these rules from now on. What is under way of rules that are gone, or that say something else under
        their old id, is dropped; the rest goes on."""
        before, self.rules = self.rules, rules
        state = self.state.sequence
        if state is None:
            return
        kept = {} if rules is None else rules.by_id
        for rule in () if before is None else before.by_id.values():
            now = kept.get(rule.id)
            if now is not None and (now.items, now.within_us, now.then) != (rule.items, rule.within_us, rule.then):
                sequence.forget(state, rule.id)
        sequence.sweep(state, Rules(()) if rules is None else rules)

    def event(self, event: e.Event, time_us: int, out: Output) -> None:
        """A record of something other than a sample."""
        if isinstance(event, e.PipelineStarted | e.PipelineFinished):
            self._run(event, time_us, out)
        if self.rules is not None:
            for token in tokens_of(event):
                self._token(self.rules, token, time_us, out)

    def opened(self, found: Found, out: Output) -> None:
        """A pattern has opened: that is a token, too."""
        if self.rules is not None and found.pattern.pattern_type != "sequence":
            self._token(self.rules, token_of_pattern(found.pattern), found.event_us, out)

    def arrived(self, slot: Slot, time_us: int, value: float, out: Output) -> None:
        """A value of a series that may fall silent."""
        if slot.missing is None:
            slot.missing = MissingState()
        missing.judge(slot.missing, time_us, value, self._missing)
        if "missing" in slot.episodes:
            self.teller.end(slot, "missing", time_us, out)

    def _silent(self, before_us: int, now_us: int, out: Output) -> None:
        for slot in self.state.slots.values():
            state = slot.missing
            if state is None or now_us - state.last_us <= missing.LEAST_US:
                continue
            silence = now_us - state.last_us
            step = _step(silence)
            if silence > GONE_US or (before_us - state.last_us) // step == silence // step:
                continue
            verdict = missing.silent(state, now_us, self._missing)
            if verdict is not None:
                self.teller.judged(slot, "missing", verdict, float(verdict.evidence["silent_s"]), now_us, out)

    def tick(self, before_us: int, now_us: int, out: Output) -> None:
        """At least a minute of event time has passed since the tick at `before_us`."""
        self._silent(before_us, now_us, out)
        for pipeline, state in self.state.runs.items():
            due = overdue.due_us(state, now_us, self._overdue)
            if due is not None and due <= now_us + overdue.AGAIN_US:
                self._check(pipeline, state, now_us, out)
        if self.rules is not None and self.state.sequence is not None:
            for said in sequence.expire(self.state.sequence, now_us, self.rules):
                self._sequenced(said, out)
        if self.state.virtual:
            self._end_dropped(now_us, out)

    def _end_dropped(self, now_us: int, out: Output) -> None:
        """End the patterns of predictions that were dropped: of a rule that is gone nothing can come true."""
        pending = {} if self.state.sequence is None else self.state.sequence.pending
        for key, slot in list(self.state.virtual.items()):
            rule_id, _, entity = key.partition("\0")
            if entity not in pending.get(rule_id, {}):
                self.teller.end(slot, "sequence", now_us, out)
                del self.state.virtual[key]
                self.teller.forget(slot)

    def _run(self, event: e.PipelineStarted | e.PipelineFinished, time_us: int, out: Output) -> None:
        data = event.data
        runs = self.state.runs
        state = runs.get(data.pipeline_name)
        if state is None:
            if len(runs) >= MOST_PIPELINES:
                return
            state = runs[data.pipeline_name] = OverdueState()
        start = micros(data.execution_start)
        if isinstance(data, e.PipelineFinishedData):
            overdue.finished(state, data.execution_id, start, micros(data.execution_end), data.status)
            self._check(data.pipeline_name, state, time_us, out)
        else:
            overdue.started(state, data.execution_id, start)

    def _check(self, pipeline: str, state: OverdueState, now_us: int, out: Output) -> None:
        slot = self.state.slots.get(series_id(pipeline, "duration_s"))
        if slot is None:
            return
        verdict = overdue.check(state, now_us, self._overdue)
        if verdict is not None:
            self.teller.judged(slot, "overdue", verdict, float(verdict.evidence["running_s"]), now_us, out)
        elif "overdue" in slot.episodes:
            self.teller.end(slot, "overdue", now_us, out)

    def _token(self, rules: Rules, token: str, time_us: int, out: Output) -> None:
        state = self.state.sequence
        if state is None:
            state = self.state.sequence = SequenceState()
        for said in sequence.advance(state, time_us, token, rules):
            self._sequenced(said, out)

    def _sequenced(self, said: Sequenced, out: Output) -> None:
        foretold = said.then or said.rule.items[-1]
        key = f"{said.rule.id}\0{said.entity}"
        slot = self.state.virtual.get(key)
        if slot is None:
            if said.kind != "matched":
                return
            kind = _KINDS.get(foretold.partition(":")[0], "metric")
            slot = self.state.virtual[key] = Slot(entity_of(foretold), f"sequence:{said.rule.id}", kind)
        verdict = said.verdict
        if verdict is not None:
            self.teller.judged(slot, "sequence", verdict, said.confidence, said.time_us, out)
            if said.then is None:
                self.teller.end(slot, "sequence", said.time_us, out)
        else:
            self.teller.end(slot, "sequence", said.time_us, out, came_true=1 if said.kind == "hit" else 0)
        if not slot.episodes or not any(episode.active for episode in slot.episodes.values()):
            self.state.virtual.pop(key, None)
            self.teller.forget(slot)


def _step(silence_us: int) -> int:
    """Time between two looks at a silence: a minute, and once it is long a sixteenth of it, as a power of two.

    A function of the silence alone, so that a restart changes nothing.

    >>> [_step(minutes * MINUTE_US) // MINUTE_US for minutes in (0, 15, 32, 100, 100_000)]
    [1, 1, 2, 4, 512]
    """
    sixteenth = silence_us // MINUTE_US // 16
    return min(1 << max(sixteenth.bit_length() - 1, 0), LONGEST_STEP) * MINUTE_US
