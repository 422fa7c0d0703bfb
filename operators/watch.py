"""What is watched over time rather than value by value: runs under way, and sequences as they unfold."""

from operators import types as e
from operators.detect import overdue, sequence
from operators.detect.overdue import OverdueConfig, OverdueState
from operators.detect.rules import Rules
from operators.detect.sequence import Sequenced, SequenceState
from operators.identity import series_id
from operators.output import Found, Output
from operators.pgcopy import micros
from operators.state import PartitionState, Slot
from operators.telling import Teller
from operators.tokens import entity_of, token_of_pattern, tokens_of

MOST_PIPELINES = 20_000
"""Pipelines of a partition whose runs are watched."""

_KINDS = {"pipeline": "pipeline", "step": "step", "task": "task", "integration": "integration"}


class Watch:
    """The detectors of one partition that time moves on."""

    def __init__(self, state: PartitionState, teller: Teller, rules: Rules | None) -> None:
        self.state = state
        self.teller = teller
        self.rules = rules
        self._overdue = OverdueConfig()
        if rules is not None and state.sequence is not None:
            sequence.sweep(state.sequence, rules)

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

    def tick(self, now_us: int, out: Output) -> None:
        """A minute of event time has passed."""
        for pipeline, state in self.state.runs.items():
            due = overdue.due_us(state, now_us, self._overdue)
            if due is not None and due <= now_us + overdue.AGAIN_US:
                self._check(pipeline, state, now_us, out)
        if self.rules is not None and self.state.sequence is not None:
            for said in sequence.expire(self.state.sequence, now_us, self.rules):
                self._sequenced(said, out)

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
