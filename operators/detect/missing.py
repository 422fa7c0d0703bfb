"""The missing-data track: a series that should have spoken by now has not.

`judge` learns from each arrival, `silent` judges the silence up to a moment of the stream's time (a watermark, never
the clock: a replay says the same). A silence is abnormal when

- **it is longer than ever**: `REGULAR` usual intervals (every 10 s: after 3 minutes) and `LONGER` times the longest
  interval so far (fading over weeks), more while few are known; or
- **a time at which it always comes has passed** (`slots`, hours of the week): the nightly run of 2 o'clock was there
  so many weeks in a row that it is no chance (`CHANCE`, by the share of hours that have arrivals: four weeks for a
  nightly run, two for a weekly one), and an hour after it nothing has come.

Only hours in which the series is usually active count for the first, if it speaks often enough to tell (`HOURLY_US`):
by hour of the week once that hour has been watched for a week; before, a series that spoke in every hour of its first
day is taken to speak always, and any other is given the benefit of the doubt until a week is known. On the first day
silence must last an eighth of the history, and in its first 14 hours a day: they may be somebody's working day.

The interval is learned as a median, the longest as a maximum that no single outage can raise beyond what was just
abnormal: an outage does not become usual, outages do. Arrivals at random (Poisson) need 18 usual intervals, which they
exceed once in 65 million; heavier tails raise the longest interval instead. It does not work on series of a few
arrivals (`LEAST_ARRIVALS`), is late where arrivals come in clusters and, for some weeks, where they keep office hours
(the first nights are long intervals until they fade), and takes a planned end for an outage once.
"""

import math

import msgspec

from operators.detect.verdict import Verdict

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
WEEK_HOURS = 168

REGULAR = 18.0
"""Usual intervals of silence that are needed for a dense series."""

REGULAR_SPARSE = 3.5
"""The same for one whose intervals last an hour and more, where arrivals are regular: 18 nights would be too late."""

SPARSE_US = float(HOUR_US)
"""From this usual interval on a series is sparse; between a minute and this the number falls with the logarithm."""

LONGER = 2.0
"""The silence must be this many times the longest interval so far, with many intervals known."""

FEW, FEW_RAGGED = 40.0, 400.0
"""Divided by the intervals known: what few add to `LONGER`, and what they do when intervals are ragged."""

EXPONENTIAL = 20.0
"""The longest of intervals at random is hardly ever more than so many usual ones; above it the tail is heavier."""

TAIL = 5.0
"""Factor on `LONGER` for the heaviest tails (a longest interval of ten times that)."""

LEAST_ARRIVALS = 8
"""Intervals before anything is said."""

LEAST_US = 30 * SECOND_US
"""No silence shorter than this is abnormal."""

FIRST_DAY = 0.125
"""On the first day a silence must last this share of the history."""

WORKDAY_US = 14 * HOUR_US
"""In a history shorter than this a silence must last a day: it may be the evening."""

CHANCE = 0.01
"""Greatest chance that arrivals at random fill any one hour of the week so many weeks in a row."""

GRACE_US = HOUR_US
"""Time after such an hour's end before it is missed."""

FADE_US = 21.0 * DAY_US
"""Time after which the longest interval counts as 1/e of what it was."""

HOURLY_US = 600.0 * SECOND_US
"""Up to this usual interval an hour without arrivals means something; above it all time counts as active."""

RATE = 0.02
"""Learning rate of the median interval, a share of it."""


class MissingConfig(msgspec.Struct, frozen=True):
    """`bar` multiplies the silence that is needed."""

    bar: float = 1.0


class MissingState(
    msgspec.Struct,
    gc=False,
    rename={
        "first_us": "f", "last_us": "t", "seen": "n", "usual_us": "m", "longest_us": "l", "hour": "h", "slots": "s",
    },
):  # fmt: skip
    """About 230 bytes. `usual_us` is the median interval, `longest_us` the fading maximum.

    `hour` is that of the last arrival. `slots` has a byte an hour of the week: how often that hour was watched (times
    16) and in how many of the last weeks in a row it had an arrival, 15 at most each.
    """

    first_us: int = 0
    last_us: int = 0
    seen: int = 0
    usual_us: float = 0.0
    longest_us: float = 0.0
    hour: int = 0
    slots: bytes = b""


def judge(
    state: MissingState, time_us: int, value: float, config: MissingConfig, always: bool = False
) -> Verdict | None:
    """Learn an arrival at event time `time_us` (µs; any `value` but NaN is data). Data is normal:
    None, unless `always`.

    With `always` the verdict (never abnormal) has the score of the interval that has just ended.
    """
    if math.isnan(value):
        return None
    last = state.last_us
    seen = state.seen
    if not seen:
        state.first_us = state.last_us = time_us
        state.seen = 1
        state.hour = time_us // HOUR_US
        return None
    gap = time_us - last
    if gap <= 0:
        return None
    usual = state.usual_us
    verdict = None
    outage = False
    if always and seen > LEAST_ARRIVALS:
        verdict = _verdict(state, gap, _limit(state, config), 0.0, "")
    if gap > state.longest_us:
        limit = _limit(state, config) if seen >= LEAST_ARRIVALS else float(gap)
        # Nights and weekends known to be quiet are no long intervals, and an outage makes none of its hours quiet.
        outage = silent(state, time_us, config) is not None
        active = _active_time(state, time_us, limit) if gap > HOUR_US else float(gap)
        state.longest_us = max(state.longest_us, min(active, limit))
    if seen < 25:
        # A median that is still new moves by larger shares.
        usual = usual + (gap - usual) * (1.0 / seen) if seen < 4 else usual * (1.0 + (0.1 if gap > usual else -0.1))
    else:
        usual += RATE * usual if gap > usual else -RATE * usual
    state.usual_us = usual if usual > 1.0 else 1.0
    state.last_us = time_us
    state.seen = seen + 1
    if time_us // HOUR_US != state.hour:
        _hours(state, time_us // HOUR_US, outage)
    return verdict


def _hours(state: MissingState, hour: int, outage: bool) -> None:
    """The hour of the last arrival has ended, and those up to `hour` had none: by custom, unless it was an outage."""
    slots = bytearray(state.slots or bytes(WEEK_HOURS))
    before = state.hour
    for passed in range(max(before, hour - WEEK_HOURS), before + 1 if outage else hour):
        place = passed % WEEK_HOURS
        watched, streak = slots[place] >> 4, slots[place] & 15
        slots[place] = min(watched + 1, 15) << 4 | (min(streak + 1, 15) if passed == before else 0)
    state.slots = bytes(slots)
    state.longest_us *= max(0.0, 1.0 - (hour - before) * HOUR_US / FADE_US) if hour - before < 24 else 1.0
    state.hour = hour


def _limit(state: MissingState, config: MissingConfig) -> float:
    """The silence, in µs of active time, that is needed."""
    usual = state.usual_us
    share = min(max(math.log(usual / (60.0 * SECOND_US)) / math.log(60.0), 0.0), 1.0)
    # Regular: the longest interval is hardly longer than the usual one. Else the sparse ones need as many as the dense.
    ragged = min(max(state.longest_us / usual - 2.0, 0.0) / 2.0, 1.0)
    times = REGULAR - (REGULAR - REGULAR_SPARSE) * share * (1.0 - ragged)
    ratio = state.longest_us / usual
    tail = min(max(math.log(max(ratio, 1.0) / EXPONENTIAL) / math.log(10.0), 0.0), 1.0)
    few = FEW + (FEW_RAGGED - FEW) * min(max((ratio - 4.0) / 16.0, 0.0), 1.0)
    longer = (LONGER * (1.0 + (TAIL - 1.0) * tail) + few / state.seen) * state.longest_us
    return max(times * usual, longer, float(LEAST_US)) * config.bar


def silent(state: MissingState, now_us: int, config: MissingConfig) -> Verdict | None:
    """Judge the silence from the last arrival to `now_us` (stream time, µs). None: nothing unusual, or not known.

    `expected`, `low` and `high` are intervals in seconds, and what was judged is the silence, `evidence["silent_s"]`.

    >>> state, config = MissingState(), MissingConfig()
    >>> for second in range(0, 90_000, 10):
    ...     _ = judge(state, second * SECOND_US, 1.0, config)
    >>> silent(state, 90_100 * SECOND_US, config), silent(state, 90_180 * SECOND_US, config).abnormal
    (None, True)
    """
    silence = now_us - state.last_us
    if state.seen <= LEAST_ARRIVALS or silence <= LEAST_US:
        return None
    missed = _missed_hour(state, now_us)
    limit = _limit(state, config)
    age = state.last_us - state.first_us
    if age < DAY_US:
        limit = max(limit, FIRST_DAY * age if age > WORKDAY_US else float(DAY_US))
    active = _active_time(state, now_us, limit) if silence > limit else 0.0
    if active >= limit:
        return _verdict(state, silence, limit, active / limit, "interval")
    if missed is not None:
        return _verdict(state, silence, limit, 1.0 + (now_us - missed) / DAY_US, "time")
    return None


def _active_time(state: MissingState, now_us: int, enough: float) -> float:
    """The part of the silence in hours that are usually active, at most a little more than `enough`, from its start."""
    slots = state.slots
    if not slots or state.usual_us > HOURLY_US:
        return float(now_us - state.last_us)
    # In an hour that was not watched yet a series that spoke in each hour watched is taken to speak.
    steady = now_us - state.first_us < DAY_US or all(item & 15 or not item for item in slots)
    total, at = 0.0, state.last_us
    # A silence of a month needs no more detail than that.
    stop = min(now_us, state.last_us + 4 * 7 * DAY_US)
    while at < stop and total < 8.0 * enough:
        hour = at // HOUR_US
        end = min((hour + 1) * HOUR_US, stop)
        # Work may begin and end within an hour, so hours at the edge of active times don't count.
        for near in (hour, hour - 1, hour + 1):
            slot = slots[near % WEEK_HOURS]
            if not (slot & 15 if slot >> 4 else steady):
                break
        else:
            total += end - at
        at = end
    return total


def _missed_hour(state: MissingState, now_us: int) -> int | None:
    """End of the first hour since the last arrival in which there always was one, when its grace has passed."""
    slots = state.slots
    if not slots:
        return None
    # An arrival just before the hour counts for it; one just after it has the grace.
    first = state.hour + 2
    last = (now_us - GRACE_US) // HOUR_US - 1
    if last < first:
        return None
    watched = sum(slot > 0 for slot in slots)
    share = sum(slot & 15 > 0 for slot in slots) / max(watched, 1)
    if watched < WEEK_HOURS or share >= 1.0:
        return None
    weeks = max(2.0, math.log(CHANCE / WEEK_HOURS) / math.log(max(share, 1e-3)))
    for hour in range(first, min(last, first + WEEK_HOURS) + 1):
        if slots[hour % WEEK_HOURS] & 15 >= weeks:
            return (hour + 1) * HOUR_US
    return None


def _verdict(state: MissingState, silence: int, limit: float, score: float, by: str) -> Verdict:
    usual = state.usual_us / 1e6
    sure = min(1.0, state.seen / 200.0) if by == "interval" else min(1.0, max(state.slots, default=0) % 16 / 6.0)
    return Verdict(
        score=min(score if by else silence / limit, 1e6),
        threshold=1.0,
        expected=usual,
        low=0.0,
        high=max(limit / 1e6, usual),
        direction="down",
        # More history makes it surer, and so does a longer silence.
        confidence=min(0.98, 1.0 - (0.28 - 0.13 * sure) / score) if by else 0.0,
        abnormal=bool(by),
        evidence={
            "kind": by or "none",
            "silent_s": silence / 1e6,
            "usual_s": round(usual, 3),
            "longest_s": round(state.longest_us / 1e6, 3),
            "limit_s": round(limit / 1e6, 3),
            "arrivals": state.seen,
        },
    )
