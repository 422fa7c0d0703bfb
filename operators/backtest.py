"""The detectors of one series over its history, bare: what each says of each value, and what would have been told.

The same `Judge` as in the realtime flow, over one slot: values gather in panes, a pane is judged when the next one
begins.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from operators.feedback import Adjustments
from operators.judge import Judge, JudgeConfig
from operators.output import Counts, Found, Output
from operators.records import Batch
from operators.state import PartitionState
from operators.tracks import tracks_of
from operators.windows import Stats, Watermark

SECOND = 1_000_000
TOPIC = "backtest"


class Judged(NamedTuple):
    """One pane: when it was judged (its end), the values in it, each detector's score, and what changed."""

    time_us: int
    values: int
    scores: dict[str, float]
    found: list[Found]

    @property
    def opened(self) -> list[Found]:
        """Patterns that opened, or came back, the surest first."""
        fresh = [found for found in self.found if found.change in ("opened", "reopened")]
        return sorted(fresh, key=lambda found: -found.pattern.confidence)


class Backtest:
    """One series, value by value in order of time.

    >>> points = [(i * 10_000_000, 40.0 + i % 3) for i in range(60)] + [(600_000_000, 95.0)]
    >>> test = Backtest("web", "load", "metric")
    >>> judged = list(test.run(points))
    >>> judged[-1].opened[0].pattern.pattern_type, round(judged[-1].scores["spike"])
    ('spike', 47)
    """

    def __init__(
        self,
        entity: str,
        measure: str,
        kind: str,
        config: JudgeConfig | None = None,
        *,
        width_us: int = 10 * SECOND,
        adjustments: Adjustments | None = None,
        scores: bool = True,
    ) -> None:
        config = JudgeConfig() if config is None else config
        state = PartitionState(TOPIC, 0, Watermark(width_us, 0), Counts())
        self.judge = Judge(state, config, TOPIC, 0, adjustments)
        self.slot = self.judge.new_slot(entity, measure, kind)
        state.slots[0] = self.slot
        self.width = width_us
        tracks = tracks_of(kind, measure, config.sensitivity) if scores else ()
        # Asked for a score each time, a detector can't say "plainly normal": so the scores have states of their own.
        self._scoring = [(track, track.state()) for track in tracks]

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the detectors that score, in order."""
        return tuple(track.name for track, _ in self._scoring)

    def run(self, points: Iterable[tuple[int, float]]) -> Iterator[Judged]:
        """Judge values given as (event time in µs since 1970, value), in order of time.

        :raises ValueError: for a time before the one that came before it.
        """
        pane: list[tuple[int, int, float]] = []
        for number, (time_us, value) in enumerate(points):
            if pane and time_us < pane[-1][0]:
                raise ValueError(f"value {number + 1} is older than the one before it")
            if pane and time_us // self.width != pane[0][0] // self.width:
                yield self._close(pane)
                pane = []
            pane.append((time_us, number, value))
        if pane:
            yield self._close(pane)

    def _close(self, pane: list[tuple[int, int, float]]) -> Judged:
        end = (pane[0][0] // self.width + 1) * self.width
        stats = Stats.of(pane)
        out = Output(Batch(TOPIC, 0, [], range(0), ingested_us=end))
        self.judge.closed(end - self.width, out)
        scores = {}
        mean = stats.sum / stats.n
        for track, state in self._scoring:
            verdict = track.score(state, end, mean)
            scores[track.name] = 0.0 if verdict is None else verdict.score
        self.judge.series(self.slot, pane, stats, end, out)
        self.judge.flush(out)
        return Judged(end, stats.n, scores, out.found)
