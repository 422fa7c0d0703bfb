"""What the drift track (`operators.detect.drift`) is set to and what it remembers of a series."""

import msgspec

from operators.detect.adwin import Adwin
from operators.detect.levels import Range, Season, span, within
from operators.detect.whitening import Model
from operators.floats import Floats, floats

LEAST_BLOCKS = 12
"""Blocks of which the quick level is the median, and that a drift must have lasted."""


class DriftConfig(msgspec.Struct, frozen=True):
    """How ready the track is to speak.

    `bar` multiplies what each condition asks for. `relative_floor` (share of the level) and `absolute_floor` (the
    series' unit) are the least shifts that matter.
    """

    bar: float = 1.2
    relative_floor: float = 0.005
    absolute_floor: float = 0.0


class DriftState(
    msgspec.Struct,
    gc=False,
    rename={
        "first_us": "f", "fresh_us": "fr", "last_us": "t", "cadence_us": "c", "usual_us": "cu", "start_us": "b",
        "count": "n", "block": "bm", "squares": "q", "within": "w", "values": "v", "recent": "r", "slow": "sl",
        "spread": "sp", "season": "s", "model": "m", "level_window": "a", "spread_window": "d", "raw_range": "ra",
        "quick_range": "rq", "slow_range": "rl", "spread_range": "rs", "quick_us": "oq", "slow_us": "ol",
        "spread_us": "os", "habit": "h", "habit_us": "ht", "score": "x", "told": "k", "told_level": "l",
        "held_us": "u", "unit": "y",
    },
):  # fmt: skip
    """What the track knows of one series: 5 KB as msgpack, 9 KB in memory.

    `block`, `count` and `squares` (mean, size, squared deviations) are of the open block, `within` is the usual spread
    of values in a block. `values` and `recent` are the last blocks and their residuals to the season, `slow` and
    `spread` follow residuals and the size of their steps, which ADWIN sees as multiples of `unit`. `model` is None in
    the warm-up after a fresh start (`fresh_us`). The ranges are of the raw level, of the residuals' quick and slow
    level, and of the logarithm of `spread`; `quick_us`, `slow_us` and `spread_us` say since when these are out of their
    ranges (0: they are not). `told` is the kind of the last drift while it holds: until `held_us`, then until the
    series settles at `told_level`.
    """

    first_us: int = 0
    fresh_us: int = 0
    last_us: int = 0
    cadence_us: float = 0.0
    usual_us: float = 0.0
    start_us: int = 0
    count: int = 0
    block: float = 0.0
    squares: float = 0.0
    within: float = 0.0
    values: Floats = msgspec.field(default_factory=floats)
    recent: Floats = msgspec.field(default_factory=floats)
    slow: float = 0.0
    spread: float = 0.0
    season: Season = msgspec.field(default_factory=Season)
    model: Model | None = None
    level_window: Adwin = msgspec.field(default_factory=Adwin)
    spread_window: Adwin = msgspec.field(default_factory=Adwin)
    raw_range: Range = msgspec.field(default_factory=Range)
    quick_range: Range = msgspec.field(default_factory=Range)
    slow_range: Range = msgspec.field(default_factory=Range)
    spread_range: Range = msgspec.field(default_factory=Range)
    quick_us: int = 0
    slow_us: int = 0
    spread_us: int = 0
    habit: float = 0.0
    habit_us: int = 0
    score: float = 0.0
    told: str = ""
    told_level: float = 0.0
    held_us: int = 0
    unit: float = 0.0


class View(msgspec.Struct, frozen=True, gc=False):
    """What a block shows, and what is asked for now: the conditions' bar, the margin in ranges, the least shift.

    `level` and `raw` are quick levels of residuals and of values, `spread` is a logarithm, `deviation` is that of
    single values, `pace` the µs between blocks.
    """

    now: int
    pace: float
    bar: float
    margin: float
    floor: float
    deviation: float
    level: float
    raw: float
    spread: float

    def is_outside(self, kept: Range, value: float, since_us: int) -> bool | None:
        """Whether `value` is outside of what `kept` was before the excursion. None where nothing is known of that."""
        inside = within(kept, self._skip(since_us), value)
        return None if inside is None else not inside

    def outside(self, kept: Range, value: float, since_us: int) -> tuple[float, float, float, float] | None:
        """How far outside (0: within), and the low, middle and high of what it was before the excursion."""
        known = span(kept, self._skip(since_us))
        if known is None:
            return None
        low, high, middle = known
        return (value - high if value > high else value - low if value < low else 0.0), low, middle, high

    def _skip(self, since_us: int) -> int:
        return LEAST_BLOCKS + (int((self.now - since_us) / self.pace) if since_us else 0)
