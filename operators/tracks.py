"""The detectors that judge single values of a series, by what the series is of: a table, and nothing else."""

from collections.abc import Callable
from typing import Any, NamedTuple

from operators.detect import drift, drift_state, flatline, novelty, outcome_drift, spike, trend
from operators.detect.verdict import Verdict
from operators.encode import SPARSE_KINDS
from operators.taxonomy import KINDS

UNRULED_KINDS = frozenset({"metric", "code"})
"""Their measures are named by producers: `cpu_usage` may be a ratio there, and `failed` anything, so that rules, in
percent and shares of runs, don't apply."""


class Track(NamedTuple):
    """A detector as the judge drives it: `judge(state, time_us, value, config)` over a state that a slot's `field`
    holds."""

    name: str
    field: str
    state: Callable[[], Any]
    judge: Callable[..., Verdict | None]
    config: Any

    def score(self, state: Any, time_us: int, value: float) -> Verdict | None:
        """What it says of any value past its warm-up, plainly normal ones included."""
        return self.judge(state, time_us, value, self.config, always=True)


def tracks_of(kind: str, measure: str, sensitivity: float) -> tuple[Track, ...]:
    """The detectors of a series. Outcomes (`failed`) are judged by their rate and its drift; runs and commits, which
    come at any time, have no season, and which of them are awaited is `is_awaited`'s to say.

    >>> [track.name for track in tracks_of("metric", "latency", 0.95)]
    ['spike', 'novelty', 'drift', 'trend', 'flatline']
    >>> [track.name for track in tracks_of("step", "duration_s", 0.95)], tracks_of("pipeline", "failed", 0.95)[0].name
    (['spike', 'drift', 'trend'], 'drift')
    """
    if kind not in KINDS:
        return ()
    if measure == "failed" and kind not in UNRULED_KINDS:
        return (
            Track("drift", "outcomes", outcome_drift.OutcomeState, outcome_drift.judge, outcome_drift.OutcomeConfig()),
        )
    shift = drift_state.DriftConfig(absolute_floor=1.0 if measure.endswith("_usage") else 0.0)
    found = [
        Track("spike", "spike", spike.SpikeState, spike.judge, spike.SpikeConfig.of(sensitivity, measure)),
        Track("drift", "drift", drift_state.DriftState, drift.judge, shift),
        Track("trend", "trend", trend.TrendState, trend.judge, trend.TrendConfig.of(measure)),
    ]
    if kind not in SPARSE_KINDS:
        new = novelty.NoveltyConfig.of(sensitivity, measure)
        found.insert(1, Track("novelty", "novelty", novelty.NoveltyState, novelty.judge, new))
        stuck = flatline.FlatlineConfig()
        found.append(Track("flatline", "flatline", flatline.FlatlineState, flatline.judge, stuck))
    return tuple(found)


def is_awaited(kind: str, measure: str) -> bool:
    """Whether a series has a cadence that can stop: what is sampled, and the runs of a pipeline (told once, by how long
    they take)."""
    return kind not in SPARSE_KINDS or (kind == "pipeline" and measure == "duration_s")


def group_of(kind: str, entity: str, measure: str) -> str:
    """What a series is compared with while it is young: the same measure of things of the same kind, and of one whole
    where they are parts of it (steps of a pipeline, files of a code base).

    >>> group_of("step", "shop/main/test", "duration_s"), group_of("resource", "web-1", "cpu_usage")
    ('step:duration_s:shop/main', 'resource:cpu_usage:')
    """
    whole = {"step": entity.rpartition("/")[0], "code": entity.partition(":")[0]}.get(kind, "")
    return f"{kind}:{measure}:{whole}"
