"""The cold-start ladder: a series with too little history of its own is judged by what its group is like.

A group holds series of one kind and measure that may be compared: the `cpu_usage` of all hosts, the `duration_s` of the
steps of one pipeline. Series that have grown up (`GROWN` values) teach it their level and spread (`grow`); a young one
is judged by them (`judge_young`), in two ways:

- **level**: the median of its first values, then a clipped mean, against the levels of the others. With m others the
  distance is a t of m - 1 degrees of freedom, and is turned into the normal deviation that is as rare (Wallace, "Bounds
  on normal approximations to Student's and the chi-square distributions", Annals of Mathematical Statistics 30, 1959):
  five hosts can't tell much, thirty can. A level that another series has or
  exceeds is none to tell of.
- **value**: against its own level as far as it is known. Empirical Bayes (Efron & Morris, JASA 70, 1975): n values of
  variance s² around levels of variance t² give the own mean a weight of n / (n + s² / t²), and the group's the rest. So
  the judgement moves from the group to the series, value by value; s² is the group's, and by and by its own.

The rungs: below `LEAST_SERIES` grown series nothing is known, and nothing is said: a limit that somebody set
(`threshold`) is all that a first host is held to. Then the group. After `GROWN` values it returns None for good, and
`spike` and the others go on. Series spread by ratio rather than difference, so where no level is negative they are
compared as asinh(value / the median level): linear below it, logarithmic above.

What it says is never sure: confidence is 0.85 at most, and falls from half of the youth on.

It does not work well on groups of different things (nothing is said of a spread of decades: right, but silent), on
values near zero in a group far above (a new host that does nothing is no news), and on a group of two sorts, of which
one is so rare that it looks like an accident (the first database among thirty web hosts is told; the next is not).
"""

import math
from collections.abc import Sequence

import msgspec

from operators.detect.stats import MAD_TO_SIGMA, median, median_deviation, quantile
from operators.detect.verdict import Verdict

GROWN = 30
"""Values after which a series stands on its own: the warm-up of `spike`."""

LEAST_SERIES = 5
"""Grown series that make a group."""

MOST_SERIES = 64
"""Series that a group remembers: those that taught it last."""

FIRST = 5
"""First values, of which the median is the level; more than half of what a host says as it boots may be odd."""

LEVEL_AFTER = 3
"""Values before a level is judged."""

LEAST_BETWEEN = 0.2
"""Least deviation between levels on the scale of ratios: nobody is told of a host that does twice what others do."""

NEAR = 0.4
"""What is no further than this above the greatest level, on the scale of ratios (1.5 times), is like that one."""

OWN_AFTER = 10.0
"""Values that the group's spread counts for beside the series' own."""

CLIP = 4.0
"""Deviations that a value moves the level by at most, over the number of values."""

VALUE_WEIGHT = 0.75
"""What a deviation of a value counts beside one of the level: single values have heavier tails."""

MOST_SURE = 0.85
"""Greatest confidence."""

SCORE_LIMIT = 1e6
"""Greatest score: beyond it says nothing more."""

EXTREME = 1e150
"""Values beyond are judged as this, so that squares stay finite."""


class PriorConfig(msgspec.Struct, frozen=True):
    """How ready the track is to speak: the deviations at which a level is abnormal, and below which it is normal."""

    open_at: float = 4.0
    clear_at: float = 2.5


class GroupState(
    msgspec.Struct,
    gc=False,
    rename={
        "members": "m",
        "unit": "u",
        "centre": "c",
        "between": "b",
        "within": "w",
        "least": "l",
        "greatest": "g",
    },
):
    """What is known of a group: about 1.8 kB as msgpack with 64 series.

    `members`: (median, deviation) of each series, in its unit, by a key of the caller's; the last taught come last.
    What follows from them: `unit` (0: no ratios), and on that scale `centre` and `between`, the median and deviation of
    the levels, `least` and `greatest` of them (and a bit more: `NEAR`), and `within`, the upper quartile of the series'
    own deviations.
    """

    members: dict[int, tuple[float, float]] = msgspec.field(default_factory=dict)
    unit: float = 0.0
    centre: float = 0.0
    between: float = 0.0
    within: float = 0.0
    least: float = 0.0
    greatest: float = 0.0


class YoungState(
    msgspec.Struct,
    gc=False,
    rename={"seen": "n", "known": "k", "unit": "u", "first": "f", "level": "m", "square": "v"},
):
    """What is known of a young series: at most 100 bytes as msgpack.

    `seen` values, of which `known` while there was a group. `level` and `first` are on the scale of `unit`, `square` is
    the sum of squared deviations from the level.
    """

    seen: int = 0
    known: int = 0
    unit: float = 0.0
    first: list[float] = msgspec.field(default_factory=list)
    level: float = 0.0
    square: float = 0.0


def grow(group: GroupState, key: int, values: Sequence[float]) -> None:
    """Teach the group a grown series: `values` are its last ones (30 or more), `key` is the series' id.

    Called when it has grown up, and again from time to time (once a day), it keeps one entry a series. What is not a
    finite number counts for nothing; fewer than `GROWN` values teach nothing.

    >>> group = GroupState()
    >>> for host in range(8):
    ...     grow(group, host, [40.0 + host + i % 5 for i in range(30)])
    >>> len(group.members), group.unit, round(group.centre, 2), group.between
    (8, 45.5, 0.88, 0.2)
    """
    ordered = sorted([value for value in values if -EXTREME < value < EXTREME])
    if len(ordered) < GROWN:
        return
    middle = median(ordered)
    spread = (quantile(ordered, 0.9) - quantile(ordered, 0.1)) / 2.5631
    group.members.pop(key, None)
    group.members[key] = (middle, max(MAD_TO_SIGMA * median_deviation(ordered, middle), spread))
    if len(group.members) > MOST_SERIES:
        del group.members[next(iter(group.members))]
    _pool(group)


def _pool(group: GroupState) -> None:
    levels = sorted([level for level, _ in group.members.values()])
    middle = median(levels)
    group.unit = unit = middle if levels[0] >= 0.0 and middle > 1.0 / EXTREME else 0.0
    if unit:
        levels = [math.asinh(level / unit) for level in levels]
    spreads = sorted([spread / math.hypot(unit, level) if unit else spread for level, spread in group.members.values()])
    near = NEAR if unit else 0.0
    group.centre, group.least, group.greatest = median(levels), levels[0] - near, levels[-1] + near
    group.within = quantile(spreads, 0.75)
    between = max(
        MAD_TO_SIGMA * median_deviation(levels, group.centre),
        (quantile(levels, 0.9) - quantile(levels, 0.1)) / 2.5631,
        0.5 * group.within,
    )
    group.between = max(between, LEAST_BETWEEN) if unit else between


def judge_young(
    group: GroupState,
    state: YoungState,
    time_us: int,  # noqa: ARG001 -- the call is that of the other detectors
    value: float,
    config: PriorConfig,
    always: bool = False,
) -> Verdict | None:
    """Judge a value of a young series by its group, then learn it. None: plainly normal, no group, or grown up.

    The level is judged with this value in it, once there are `LEVEL_AFTER`. `expected`, `low` and `high` are what the
    group and the values so far foretell of a value, in its unit; with an abnormal level, what the group foretells.
    `time_us` is not used: rungs are counted in values. With `always` each value from `LEVEL_AFTER` on gets a verdict.

    >>> group, state, config = GroupState(), YoungState(), PriorConfig()
    >>> for host in range(20):
    ...     grow(group, host, [40.0 + host + i % 5 for i in range(30)])
    >>> [judge_young(group, state, 0, value, config) is not None for value in (510.0, 500.0, 520.0)]
    [True, False, True]
    >>> said = judge_young(group, state, 0, 505.0, config)
    >>> said.abnormal, said.evidence["by"], round(said.expected), said.confidence <= 0.85
    (True, 'level', 51, True)
    """
    if state.seen >= GROWN or math.isnan(value):
        return None
    state.seen += 1
    size = len(group.members)
    between = group.between
    if size < LEAST_SERIES or between <= 0.0:
        return None
    value = max(-EXTREME, min(value, EXTREME))
    unit = group.unit
    if unit != state.unit:
        _rescale(state, unit)
    place = math.asinh(value / unit) if unit else value
    known = state.known
    variance = (OWN_AFTER * group.within * group.within + state.square) / (OWN_AFTER + known)
    of_level = between * between
    weight = known / (known + variance / of_level)
    foretold = weight * state.level + (1.0 - weight) * group.centre
    scale = math.sqrt(variance + of_level * (1.0 - weight))
    strange = not group.least <= place <= group.greatest
    by_value = (place - foretold) / scale if strange or known >= LEVEL_AFTER else 0.0

    state.known = known = known + 1
    _learn(state, place, known, math.sqrt(variance))
    by_level = 0.0
    if known >= LEVEL_AFTER and not group.least <= state.level <= group.greatest:
        by_level = (state.level - group.centre) / math.sqrt(of_level * (1.0 + 1.0 / size) + variance / known)
    always = always and known >= LEVEL_AFTER
    # A normal deviation is never greater than the t that is as rare.
    if -config.clear_at < by_level < config.clear_at and abs(by_value) * VALUE_WEIGHT < config.clear_at and not always:
        return None
    by_level = _deviation(by_level, size - 1)
    by_value = VALUE_WEIGHT * _deviation(by_value, size - 2 + known)
    score = by_level if abs(by_level) >= abs(by_value) else by_value
    strength = min(abs(score), SCORE_LIMIT)
    if strength < config.clear_at and not always:
        return None
    if score == by_level and by_level:
        foretold, scale = group.centre, math.sqrt(of_level + variance)
    low, high = foretold - 2.0 * scale, foretold + 2.0 * scale
    if unit:
        low, foretold, high = (unit * math.sinh(max(-700.0, min(item, 700.0))) for item in (low, foretold, high))
    fading = min(1.0, 2.0 * (1.0 - state.seen / GROWN))
    return Verdict(
        score=strength,
        threshold=config.open_at,
        expected=max(-EXTREME, min(foretold, EXTREME)),
        low=max(-EXTREME, min(low, EXTREME)),
        high=min(high, EXTREME),
        direction="up" if score >= 0.0 else "down",
        confidence=fading * max(0.0, min(1.0 - 0.3 * config.open_at / max(strength, 1e-9), MOST_SURE)),
        abnormal=strength >= config.open_at,
        evidence={
            "by": "level" if score == by_level and by_level else "value",
            "level_z": round(max(-SCORE_LIMIT, min(by_level, SCORE_LIMIT)), 3),
            "value_z": round(max(-SCORE_LIMIT, min(by_value, SCORE_LIMIT)), 3),
            "own_weight": round(weight, 3),
            "values": known,
            "group": size,
        },
    )


def _deviation(t: float, freedom: int) -> float:
    """The normal deviation as rare as Student's t of so many degrees of freedom (Wallace 1959)."""
    t = max(-1e100, min(t, 1e100))
    z = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(z, t)


def _learn(state: YoungState, place: float, known: int, deviation: float) -> None:
    first = state.first
    if known <= FIRST:
        first.append(place)
        state.level = median(sorted(first))
        if known == FIRST:
            state.first = []
            state.square = math.fsum([(item - state.level) ** 2 for item in first])
        return
    off = place - state.level
    reach = CLIP * deviation
    off = max(-reach, min(off, reach))
    moved = off / known
    state.level += moved
    state.square += off * (off - moved)


def _rescale(state: YoungState, unit: float) -> None:
    """Put what is known on the scale of another unit."""
    before, state.unit = state.unit, unit
    if not state.known:
        return

    def move(place: float) -> float:
        value = before * math.sinh(max(-700.0, min(place, 700.0))) if before else place
        return math.asinh(max(-EXTREME, min(value, EXTREME)) / unit) if unit else value

    raw = before * math.sinh(max(-340.0, min(state.level, 340.0))) if before else state.level
    slope = math.hypot(before, raw) if before else 1.0
    state.square *= min((slope / (math.hypot(unit, raw) if unit else 1.0)) ** 2, EXTREME)
    state.level = move(state.level)
    state.first = [move(place) for place in state.first]
