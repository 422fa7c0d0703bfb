"""The flatline track: a series that used to vary is stuck, at one value or with hardly any movement left.

Stuck is a matter of the series' own history, which is kept as runs of equal values:

- the run must be **longer than ever**: more than `LONGER` times the longest run so far (decaying over weeks), and much
  more while few runs have been seen (a maximum of few says little), both in values and in time;
- it must be **no accident**: with the share of values that changed, so many equal ones in a row have a chance below
  `CHANCE`;
- the series must have a **history of varying**, `HISTORY` times as long as the run. So a constant series, and one that
  is mostly at rest, never fire; one that rests at zero must have been seen for a day.

A series is also stuck when its steps have shrunk below `LIMP` of the least that a stretch of them ever was (a sensor
that returns one value and noise). A value that changes ends it, after `RECOVER` changes.

It does not work on series that rest by nature (counts of rare events, configuration), and reacts on a quantised series
only after a long time.
"""

import math

import msgspec

from operators.detect.verdict import Verdict

DAY_US = 86_400_000_000

LEAST_RUN = 30
"""Equal values in a row that are needed in any case."""

LONGER = 4.0
"""The run must be this many times the longest so far, with many runs known."""

FEW = 40.0
"""Divided by the runs of two and more values seen: what few runs add to `LONGER`, at most `FEW_LIMIT`."""

FEW_LIMIT = 12.0
"""Greatest addition for few runs."""

CHANCE = 1e-9
"""Greatest chance of the run at the series' usual rate of changing."""

HISTORY = 4.0
"""History before the run, in lengths of the run."""

LEAST_CHANGES = 100
"""Changes that must have been seen."""

MEMORY = 2000.0
"""Values of the memory for the rate of changing."""

RUN_MEMORY_US = 14.0 * DAY_US
"""Time after which the longest run counts as 1/e of what it was."""

QUICK = 1.0 / 24.0
"""Learning rate of the recent size of steps."""

LIMP = 0.03
"""The recent steps, as a share of the least that they ever were, at which a moving series counts as stuck."""

RECOVER = 3
"""Changes that end it."""

LAG = 128
"""Changes between two looks at the least step: what shrinks must not become its own measure while it does."""


class FlatlineConfig(msgspec.Struct, frozen=True):
    """`longer` multiplies the length that a run must have."""

    longer: float = 1.0


class FlatlineState(
    msgspec.Struct,
    gc=False,
    rename={
        "first_us": "f", "last_us": "t", "last": "v", "seen": "n", "changes": "c", "rate": "p", "run": "r",
        "since_us": "s", "longest": "l", "longest_us": "u", "runs": "k", "step": "q", "least": "m", "limp": "w",
        "told": "o", "back": "b", "waiting": "g",
    },
):  # fmt: skip
    """About 150 bytes. `run` equal values since `since_us`; `longest` (values) and `longest_us` are the decayed maxima.

    `rate` is the share of values that changed, `step` the recent mean size of a step, `least` the least it has been
    (`waiting` is not in it yet), `limp` counts values with steps below `LIMP` of that.
    `told` while the series is stuck, `back` counts changes since.
    """

    first_us: int = 0
    last_us: int = 0
    last: float = math.nan
    seen: int = 0
    changes: int = 0
    rate: float = 0.0
    run: int = 0
    since_us: int = 0
    longest: float = 1.0
    longest_us: float = 0.0
    runs: int = 0
    step: float = 0.0
    least: float = 0.0
    limp: int = 0
    told: int = 0
    back: int = 0
    waiting: float = math.inf


def judge(
    state: FlatlineState, time_us: int, value: float, config: FlatlineConfig, always: bool = False
) -> Verdict | None:
    """Judge `value` by the runs before it, then learn it. None means plainly normal.

    >>> state, config = FlatlineState(), FlatlineConfig()
    >>> [judge(state, i * 10_000_000, float(i * 7 % 11), config) for i in range(2000)] == [None] * 2000
    True
    >>> said = [judge(state, i * 10_000_000, 4.0, config) for i in range(2000, 2060)]
    >>> next(i for i, verdict in enumerate(said) if verdict is not None and verdict.abnormal)
    29
    """
    if value == state.last:
        run = state.run = state.run + 1
        state.seen += 1
        state.step -= QUICK * state.step
        state.last_us = time_us
        if run < LEAST_RUN and not always and not state.told:
            return None
        return _stuck(state, time_us, value, config, always)
    if not -1e300 < value < 1e300:
        return None
    return _changed(state, time_us, value, always)


def _changed(state: FlatlineState, time_us: int, value: float, always: bool) -> Verdict | None:
    seen = state.seen = state.seen + 1
    if seen == 1:
        state.last, state.run, state.first_us, state.since_us, state.last_us = value, 1, time_us, time_us, time_us
        return None
    run = state.run
    change = abs(value - state.last)
    state.last = value
    pace = 1.0 / seen if seen < MEMORY else 1.0 / MEMORY
    keep = state.rate * (1.0 - pace) ** run if run > 1 else state.rate * (1.0 - pace)
    state.rate = keep + pace
    state.changes += 1
    lasted = float(state.last_us - state.since_us)
    if run > 1:
        state.runs += 1
        state.longest = run if run > state.longest else state.longest
        state.longest_us = lasted if lasted > state.longest_us else state.longest_us
    if time_us - state.first_us > 0 and state.longest > 1.0:
        fade = min(max(time_us - state.since_us, 0) / RUN_MEMORY_US, 1.0)
        state.longest -= fade * (state.longest - 1.0)
        state.longest_us -= fade * state.longest_us
    state.run, state.since_us, state.last_us = 1, time_us, time_us
    state.step += (QUICK if state.changes > 24 else 1.0 / state.changes) * (change - state.step)
    if run > LAG:
        state.least = min(state.least, state.step)
    limp = _limp(state) if state.changes > LEAST_CHANGES else False
    if state.told:
        state.back = 0 if limp else state.back + 1
        if state.back >= RECOVER:
            state.told = state.back = 0
        return _verdict(state, 0.99, 0.0, value, 0.0)
    if limp and state.limp >= LEAST_RUN:
        state.told = 1
        ratio = max(state.step, 1e-300) / state.least
        return _verdict(state, min(LIMP / ratio, 1e6), 0.9, value, ratio)
    return _verdict(state, 0.0, 0.0, value, 0.0) if always and state.changes > LEAST_CHANGES else None


def _limp(state: FlatlineState) -> bool:
    """Whether steps are tiny now, by the least that they were up to `LAG` changes ago, which is learned."""
    if state.step < LIMP * state.least:
        state.limp += 1
        return True
    state.limp = 0
    if not state.changes % LAG:
        # It is forgotten a little each time, so that a series may become livelier.
        state.least = min(state.waiting, 1.05 * state.least) if state.least else min(state.waiting, state.step)
        state.waiting = state.step
    return False


def _stuck(state: FlatlineState, time_us: int, value: float, config: FlatlineConfig, always: bool) -> Verdict | None:
    if state.changes < LEAST_CHANGES:
        return None
    run, lasted = state.run, float(time_us - state.since_us)
    times = (LONGER + min(FEW_LIMIT, FEW / (state.runs + 1.0)) * (state.longest > 1.5)) * config.longer
    chance = math.log(CHANCE) / math.log1p(-min(state.rate, 0.999))
    score = min(
        run / max(float(LEAST_RUN), times * state.longest, chance),
        lasted / max(times * state.longest_us, 1.0),
    )
    history = float(state.since_us - state.first_us)
    if history < HISTORY * lasted or (value == 0.0 and history < DAY_US):
        score = min(score, 0.99)
    if score >= 1.0 and not state.told:
        state.told = 1
    state.back = 0
    if not state.told and not always:
        return None
    score = min(max(score, 1.0) if state.told else score, 1e6)
    confidence = 1.0 - 0.2 / score if state.told else 0.0
    return _verdict(state, score, min(confidence, 0.99), value, 0.0)


def _verdict(state: FlatlineState, score: float, confidence: float, value: float, ratio: float) -> Verdict:
    return Verdict(
        score=score,
        threshold=1.0,
        expected=value,
        low=value,
        high=value,
        direction="down",
        confidence=confidence,
        abnormal=score >= 1.0,
        evidence={
            "kind": "limp" if ratio else "stuck",
            "run": state.run,
            "longest_before": round(state.longest, 1),
            "since_us": state.since_us,
            "changed": round(state.rate, 4),
            "movement": ratio,
        },
    )
