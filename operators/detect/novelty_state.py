"""What the novelty track (`operators.detect.novelty`) is set to and what it remembers of a series."""

from typing import Self

import msgspec

from operators.floats import Floats, unknown

Rates = tuple[float, float, float, float, float, float, float, float, float]

STEP_US = 300_000_000
"""5 minutes: shares add up within it, and rates are given for it."""

DAY_US = 86_400_000_000
HALF_HOUR_US = 1_800_000_000
HOUR_US = 3_600_000_000

RATES = (1 / 144, 1 / 36, 1 / 336, 1 / 72, 1 / 14.4, 1 / 30, 1 / 12, 1 / 9, 1 / 17_280)
"""Learning rates for 5 minutes: means of 12 h, 3 h, 28 h, 6 h, 72 min, 2.5 h; the day's profile (1 h, so two visits of
a half hour), the week's (45 min, of an hour a week), and the envelope (60 days). Found on NAB, where all near ones are
about as good: see `benchmarks/nab.py` for what they are worth on files that they were not found on."""

WEIGHTS = (0.25, 0.2, 1.0, 0.75, 0.5, 0.8)
"""Weights of the six derived series, in the order of `REASONS`. Found with `RATES`."""

REASONS = ("level", "trend", "day hours", "day quick", "week", "day")
"""Names of the derived series."""

HOLD = 90
"""Steps (7.5 h), or values where they come more slowly, that a score must exceed to be told."""

QUIET = 7
"""Values outside no envelope that end an excursion, and 7.5 h at least."""

SHRINK_EACH = 37
"""Values between two turns of forgetting in the envelope. A prime, so that it is no fixed time of day."""

MEMORY = 20.0
"""Excursions that the usual growth is the mean of."""

PRIOR_GROWTH = 0.2
"""s0: the growth that a series counts as having shown once before it has shown any."""

LEAST_GROWTH = 0.3
"""Growth below which nothing opens, however calm the series: about a third of an envelope's width."""

LEARNING = 100
"""Values, and a day at least, whose excursions do not count: an envelope begins with no width."""

WARM_UP_US = 2 * DAY_US
WARM_UP = 200
"""Time and values before anything opens."""

WEEK_US = 8 * DAY_US
"""Time before anything opens on a Saturday, Sunday or Monday."""

WEEK = REASONS.index("week")
WEEKS_US = 14 * DAY_US
"""Time before the distance to the week's profile may open anything: a week for the profile, one for its envelope."""

GAP = 5.0
"""Usual intervals after which the mean of 12 h is taken for as old as it is."""

SLOWEST = 0.003
"""Least share of the rates for 5 minutes: that of a value a second."""

EXTREME = 1e150
"""Values beyond are judged as this, so that differences stay finite."""

GROWTH_LIMIT = 14.0
"""Greatest growth in a step; the score is then 1.2 million."""


class NoveltyConfig(msgspec.Struct, frozen=True):
    """How ready the track is to speak.

    `chance`: of an excursion as great as one that opens, if the series were as ever. `relative_floor` (share of the
    value) and `absolute_floor` (the series' unit) are added to the width of each envelope. `rates` and `weights` are
    as `RATES` and `WEIGHTS`.
    """

    chance: float = 0.01
    relative_floor: float = 0.01
    absolute_floor: float = 0.0
    rates: Rates = RATES
    weights: tuple[float, float, float, float, float, float] = WEIGHTS

    @classmethod
    def of(cls, sensitivity: float = 0.95, measure: str = "") -> Self:
        """The configuration for `anomaly_detection_sensitivity` (0 to 1) and a measure.

        The chance is 0.01 * 0.05 / (1 - sensitivity), at most 0.1. A share of a machine (`…_usage`, percent) has
        envelopes at least two points wide.

        >>> [round(NoveltyConfig.of(ready).chance, 4) for ready in (0.5, 0.9, 0.95, 0.99, 1.0)]
        [0.001, 0.005, 0.01, 0.05, 0.1]
        """
        if not 0.0 <= sensitivity <= 1.0:
            raise ValueError(f"sensitivity must be between 0 and 1, not {sensitivity}")
        chance = min(0.1, 0.0005 / max(1.0 - sensitivity, 0.005))
        return cls(chance, absolute_floor=2.0 if measure.endswith("_usage") else 0.0)


class NoveltyState(
    msgspec.Struct,
    gc=False,
    rename={
        "seen": "n",
        "first_us": "f",
        "last_us": "t",
        "cadence_us": "c",
        "paced_us": "cp",
        "near": "m",
        "fast": "mf",
        "slow": "ms",
        "off_hours": "h",
        "off_quick": "q",
        "off_week": "ow",
        "day": "d",
        "week": "w",
        "day_at": "da",
        "day_run": "dr",
        "week_at": "wa",
        "week_run": "wr",
        "bounds": "b",
        "growth": "g",
        "step": "s",
        "peak": "p",
        "peak_us": "pt",
        "outside_us": "o",
        "told": "x",
        "part": "xp",
        "past": "k",
        "total": "y",
    },
):
    """What the track knows of one series: 2.2 KB as msgpack, 3 KB in memory, a map with keys of one or two letters.

    `first_us` is when the warm-up began, `paced_us` the cadence then. `near`, `fast`, `slow` are the means of 12 h,
    3 h, 28 h; `off_…` those of distances to the profiles `day` (48) and `week` (168, from a Thursday 00:00); NaN is a
    bucket not seen. `day_at` is the bucket of the last value, `day_run` how many values it has on its first visit, else
    0; `week_…` alike. `bounds` holds low and high of each derived series in turn, `growth` their growth in `step`.
    `told` is the growth of the excursion before that step and `part` in it; `past` and `total` the decayed number and
    sum of growths of excursions that ended.
    """

    seen: int = 0
    first_us: int = 0
    last_us: int = 0
    cadence_us: float = 0.0
    paced_us: float = 0.0
    near: float = 0.0
    fast: float = 0.0
    slow: float = 0.0
    off_hours: float = 0.0
    off_quick: float = 0.0
    off_week: float = 0.0
    day: Floats = msgspec.field(default_factory=lambda: unknown(48))
    week: Floats = msgspec.field(default_factory=lambda: unknown(168))
    day_at: int = -1
    day_run: int = 0
    week_at: int = -1
    week_run: int = 0
    bounds: list[float] = msgspec.field(default_factory=lambda: [0.0] * 12)
    growth: list[float] = msgspec.field(default_factory=lambda: [0.0] * 6)
    step: int = 0
    peak: float = 0.0
    peak_us: int = 0
    outside_us: int = 0
    told: float = 0.0
    part: float = 0.0
    past: float = 0.0
    total: float = 0.0
