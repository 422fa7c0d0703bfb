"""What a detector says of one value."""

from typing import Literal

import msgspec


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """One judgement that is not plainly normal. Values are in the series' own unit.

    `score` and `threshold` are in the detector's own unit; it calls the value abnormal when `score` reaches
    `threshold`. `low` and `high` bound what is usual (about 95 % of values), `expected` is the best single guess.
    `confidence` in [0, 1] says how sure it is that this is no accident, not how bad it is. With `abnormal` false the
    value is neither normal nor a reason to open: an episode that is open stays open (hysteresis).
    `evidence` holds the parts of the score under their names, numbers and short strings only.
    """

    score: float
    threshold: float
    expected: float
    low: float
    high: float
    direction: Literal["up", "down"]
    confidence: float
    abnormal: bool
    evidence: dict[str, int | float | str]
