"""The detectors that judge single values of a series, by what the series is of: a table, and nothing else."""

from collections.abc import Callable
from typing import Any, NamedTuple

from operators.detect import novelty, spike
from operators.detect.verdict import Verdict
from operators.encode import SPARSE_KINDS
from operators.taxonomy import KINDS


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
    """The detectors of a series. Outcomes (`failed`) have none here: they are judged by their rate.

    >>> [track.name for track in tracks_of("metric", "latency", 0.95)]
    ['spike', 'novelty']
    """
    if measure == "failed" or kind not in KINDS:
        return ()
    found = [Track("spike", "spike", spike.SpikeState, spike.judge, spike.SpikeConfig.of(sensitivity, measure))]
    if kind not in SPARSE_KINDS:
        config = novelty.NoveltyConfig.of(sensitivity, measure)
        found.append(Track("novelty", "novelty", novelty.NoveltyState, novelty.judge, config))
    return tuple(found)


def group_of(kind: str, entity: str, measure: str) -> str:
    """What a series is compared with while it is young: the same measure of things of the same kind, and of one whole
    where they are parts of it (steps of a pipeline, files of a code base).

    >>> group_of("step", "shop/main/test", "duration_s"), group_of("resource", "web-1", "cpu_usage")
    ('step:duration_s:shop/main', 'resource:cpu_usage:')
    """
    whole = {"step": entity.rpartition("/")[0], "code": entity.partition(":")[0]}.get(kind, "")
    return f"{kind}:{measure}:{whole}"
