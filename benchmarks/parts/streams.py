"""A labelled stream: values over time, how noisy they are, and what was done to them where."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

START_US = 1_767_571_200_000_000
"""Monday 2026-01-05, midnight UTC: where every stream begins (real ones within the week, at their own weekday and
hour)."""

SECOND_US = 1_000_000
WEEK_US = 604_800 * SECOND_US

Feed = Literal["metric", "resource", "duration", "failed"]
"""How a stream reaches the product: samples of a metric or of a machine, or runs of a pipeline (their length, or 0 and
1 for whether they failed)."""

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True)
class Fault:
    """What was injected, and by when a pattern must have opened to count as having found it. Times in µs."""

    shape: str
    strength: float
    """In the shape's own unit: robust deviations of the background, or what `faults.SHAPES` says."""
    start_us: int
    end_us: int
    grace_us: int
    """A pattern that opens in [start, end + grace] has found it."""
    recovery_us: int
    """One that opens up to this long after the end is neither found nor false: the way back is a change, too."""


@dataclass
class Stream:
    """One series as it will be fed. `times_us` rises; `sigma` is the background's own robust noise (`robust_sigma`)."""

    name: str
    kind: str
    cadence_s: float
    times_us: Times
    values: Floats
    sigma: float
    feed: Feed = "metric"
    entity: str = ""
    measure: str = "value"
    faults: list[Fault] = field(default_factory=list)
    partner: "Stream | None" = None
    """The other series of a lagged pair."""
    overdue: tuple[int, int] | None = None
    """A run that is started at the first time and finished at the second."""

    def __post_init__(self) -> None:
        self.entity = self.entity or self.name
        if self.feed == "resource":
            self.measure = "cpu_usage"
        elif self.feed in {"duration", "failed"}:
            self.measure = {"duration": "duration_s", "failed": "failed"}[self.feed]

    @property
    def days(self) -> float:
        """How long it is."""
        return float(self.times_us[-1] - self.times_us[0]) / (86_400.0 * SECOND_US)


def robust_sigma(values: Floats, around: int = 11) -> float:
    """The noise of a background, as the unit of faults: robust, and not fooled by seasons and drifts.

    1.4826 times the median absolute residual to a centred running median of `around` values, and never less than the
    middle 80 % of those residuals has it, nor than 1 % of the level, below which nothing is news. A series
    that mostly does not change (constant, mostly zero) is measured by its standard deviation, one that never does by 1
    % of its level, or 1.

    >>> rng = np.random.default_rng(1)
    >>> 2.8 < robust_sigma(50.0 + 3.0 * rng.standard_normal(2000)) < 3.1
    True
    """
    if len(values) <= around:
        return float(np.std(values)) or 1.0
    half = around // 2
    middle = np.median(np.lib.stride_tricks.sliding_window_view(values, around), axis=1)
    off = values[half : half + len(middle)] - middle
    low, high = np.quantile(off, (0.1, 0.9))
    sigma = max(1.4826 * float(np.median(np.abs(off))), float(high - low) / 2.5631)
    if not sigma:
        sigma = float(np.std(values)) or 0.01 * abs(float(np.median(values))) or 1.0
    return max(sigma, 0.01 * abs(float(np.median(values))))


def regular(count: int, cadence_s: float) -> Times:
    """`count` times in steps of the cadence, from `START_US` on."""
    return START_US + (np.arange(count) * round(cadence_s * SECOND_US)).astype(np.int64)
