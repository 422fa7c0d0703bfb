"""The nightly dataflow: load → features → mine → validate → store → compile → report. Only wiring.

It runs on one worker, one part after the other; what each part made is kept by `work`, so a run that was killed is
simply started again.
"""

import logging
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import bytewax.operators as op
import psycopg
from bytewax._bytewax import run_main
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from threadpoolctl import threadpool_limits

from flows.guard import Guard, panics_held_back
from flows.nightly.night import Night, Stage
from flows.nightly.outcome import Outcome, Result
from flows.nightly.shards import Loaded
from flows.nightly.stages import Featured, Stages
from flows.nightly.work import NightlyError, Work, connect
from operators.mining.engine import Engine
from operators.mining.validate import Judged
from sources.archive import Piece

log = logging.getLogger(__name__)

FLOW = "hindsight_nightly"
ALL = "night"
"""The one key: a night is worked through as a whole."""

T = TypeVar("T")


class Stopped(NightlyError):
    """Somebody asked to stop; what was done is kept."""


class _Pieces(StatelessSourcePartition[Piece]):
    def __init__(self, stages: Stages) -> None:
        self._left = stages.pieces()

    def next_batch(self) -> list[Piece]:
        if not self._left:
            raise StopIteration
        return [self._left.pop(0)]


class PieceSource(DynamicSource[Piece]):
    """The pieces of the history, one a poll."""

    def __init__(self, stages: Stages, guard: Guard) -> None:
        self._stages = stages
        self._guard = guard

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Pieces:  # noqa: ARG002 -- Bytewax's names
        """The only part; the flow has one worker."""
        make: Callable[[], _Pieces] = self._guard.call(lambda: _Pieces(self._stages))
        return make()


class _Kept(StatelessSinkPartition[Result]):
    def __init__(self, kept: list[Result]) -> None:
        self._kept = kept

    def write_batch(self, items: list[Result]) -> None:
        self._kept.extend(items)


class ResultSink(DynamicSink[Result]):
    """Keeps the result for the report."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Kept:  # noqa: ARG002 -- Bytewax's names
        """The only part."""
        return _Kept(self.results)


def build(stages: Stages, outcome: Outcome, sink: ResultSink, guard: Guard) -> Dataflow:
    """The dataflow."""
    flow = Dataflow(FLOW)
    pieces = op.input("pieces", flow, PieceSource(stages, guard))
    loaded = op.map("load", pieces, guard.call(stages.load))
    history = _together("history", loaded)

    def features(_: list[Loaded]) -> Featured:
        return stages.features()

    featured = op.map("features", history, guard.call(features))
    shards = op.flat_map("shards", featured, lambda _: list(range(stages.shards.count)))
    looked = _together("looks", op.map("look", shards, guard.call(stages.look)))
    names = op.flat_map("miners", looked, lambda _: list(stages.miners))
    found = op.map("mine", names, guard.call(stages.mine))
    verdicts = _together("verdicts", op.map("validate", found, guard.call(stages.validate)))

    def store(all_of: list[tuple[str, list[Judged]]]) -> Result:
        return outcome.store(dict(all_of))

    stored = op.map("store", verdicts, guard.call(store))
    op.output("result", op.map("compile", stored, guard.call(outcome.compile)), sink)
    return flow


def _together(step_id: str, up: Any) -> Any:
    """All items as one list, when the last has come."""

    def with_one(held: list[T], item: T) -> list[T]:
        return [*held, item]

    keyed = op.key_on(f"{step_id}_key", up, lambda _: ALL)
    folded: Any = op.fold_final(step_id, keyed, list, with_one)
    return op.map(f"{step_id}_all", folded, lambda pair: pair[1])


@contextmanager
def _first_problem(guard: Guard) -> Any:
    """What went wrong in a step, instead of what Bytewax makes of it."""
    try:
        with panics_held_back():
            yield
    except BaseException as problem:
        raise (guard.first or problem) from None


def run(
    url: str,
    night: Night,
    folder: Path,
    rules: Path,
    *,
    report: Callable[[Result, Any, float], dict[str, Any]] = lambda *_: {},
    told: Callable[[Stage, str], object] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
    engine: Engine | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Work through a night; give the result and what `report` made of it and of the daily series: the run's summary.

    `engine` counts for the miners; None: the embedded one.

    :raises NightlyError: with one line. Started again, the run goes on where it ended.
    """
    start = time.monotonic()

    def begun(stage: Stage, part: str) -> None:
        if stop():
            raise Stopped("stopped: the same command goes on here")
        told(stage, part)

    with connect(url) as connection:
        work = Work(connection, folder, night)
        try:
            stages = Stages(work, begun, engine)
            sink, guard = ResultSink(), Guard()
            # Threads of the linear algebra wait for each other on tables this small, and sum in no fixed order.
            with _first_problem(guard), threadpool_limits(1):
                run_main(build(stages, Outcome(stages, rules), sink, guard))
            if not sink.results:
                raise NightlyError("the dataflow ended without a result")
            begun("report", "")
            summary = report(sink.results[0], stages.shards.whole(("daily",)).daily, time.monotonic() - start)
            work.note("report", "", night.digest("report"), night.digest("report"), 1, None, 0.0)
            work.ended(summary)
        except BaseException as problem:
            _failed(work, problem)
            if isinstance(problem, psycopg.Error):
                raise NightlyError(f"the database: {str(problem).strip().splitlines()[0]}") from problem
            raise
    return sink.results[0], summary


def _failed(work: Work, problem: BaseException) -> None:
    try:
        work.ended(None, (str(problem).strip().splitlines() or [type(problem).__name__])[0][:500])
    except psycopg.Error:
        log.debug("the run's end could not be noted", exc_info=True)
