"""The detectors that judge single values of a series, by what the series is of: a table, and nothing else."""

from collections.abc import Callable
from typing import Any, NamedTuple

from operators.detect import spike
from operators.detect.verdict import Verdict
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
    ['spike']
    """
    if measure == "failed" or kind not in KINDS:
        return ()
    return (Track("spike", "spike", spike.SpikeState, spike.judge, spike.SpikeConfig.of(sensitivity, measure)),)
