"""Coincidences of rare jumps between the series of a group: the correlation track's second channel.

A jump is an innovation of at least `lagged.ONSET` robust deviations, `REFRACTORY` steps after the one before. Under
independence the follower's onsets fall anywhere, and how many fall within `WIDE` steps of a lag is nearly Poisson; its
rate is taken from the counts of both or, where that is greater, from what is found at neighbouring distances (jumps
come in bursts, and more by day than by night). What is found as often an hour or a day away is a calendar.

It does not see a coupling whose lag wanders by more than two minutes, and needs about five coincidences in all: three
to find it, two more to confirm.
"""

from bisect import bisect_right
from collections import Counter

import numpy as np

from operators.detect import lagged
from operators.detect.lagged import Innovations, Pair
from operators.detect.rings import MINUTE_US, Rings

REFRACTORY = 10
"""Steps after an onset in which no other one begins."""

ONSETS = 32
"""Onsets that are remembered of each series."""

MEMORY = 7 * 1440
"""Steps after which an onset is forgotten: a week of minutes."""

WIDE = 1
"""Steps by which a coincidence may miss its lag."""

LEAST_FOUND = 3
"""Coincidences that a find needs."""

LEAST_LATER = 2
"""Coincidences that its confirmation needs."""

NEIGHBOURS = 240
"""Distances beyond the greatest lag, on both sides, that tell the rate of coincidences."""

ECHO = 0.5
"""Share of the coincidences that, found again at a calendar distance, shows a calendar."""

ECHO_MINUTES = (60, 120, 180, 1440, 2880, 4320, 5760, 7200, 8640, 10080)
"""Calendar distances that are looked at."""

GONE_AT = 5e-4
"""Probability of so many unfollowed onsets in a row at which a coupling is gone."""


def learn(rings: Rings, names: list[str], found: Innovations, after: int) -> None:
    """Add the onsets of steps after slot `after` to each member's events; forget old ones."""
    newest = rings.slot or 0
    oldest = newest - found.raw.shape[1] + 1
    jumps = np.argwhere(np.abs(found.raw) >= lagged.ONSET)
    for row, column in jumps:
        slot = oldest + int(column)
        events = rings.members[names[int(row)]].events
        if slot > after and (not events or slot - events[-1] // 2 > REFRACTORY):
            events.append(2 * slot + int(found.raw[row, column] > 0.0))
    for member in rings.members.values():
        while member.events and (len(member.events) > ONSETS or newest - member.events[0] // 2 > MEMORY):
            del member.events[0]


def first(rings: Rings, name: str) -> int:
    """The slot of the oldest onset that is remembered of a series; its group's first slot without any."""
    events = rings.members[name].events
    return events[0] // 2 if events else rings.first


def find(rings: Rings, names: list[str], most_lag: int, share: float) -> list[Pair]:
    """The pairs whose onsets coincide at one lag too often, by Benjamini-Hochberg at `share` over all pairs × lags.

    Only pairs with an onset in the newest steps can be new, but all are counted: there are few.
    """
    times = {name: [event // 2 for event in rings.members[name].events] for name in names}
    joined = sorted((time, name) for name, own in times.items() if len(own) >= LEAST_FOUND for time in own)
    distances: dict[tuple[str, str], Counter[int]] = {}
    for index, (time, name) in enumerate(joined):
        for other in range(index + 1, len(joined)):
            later, follower = joined[other]
            if later - time > most_lag + WIDE:
                break
            if follower != name:
                distances.setdefault((name, follower), Counter())[later - time] += 1
    pairs: list[Pair] = []
    for (leader, follower), counts in distances.items():
        if sum(counts.values()) < LEAST_FOUND:
            continue
        back = distances.get((follower, leader), Counter())
        best = max(range(most_lag + 1), key=lambda lag: (_within(counts, back, lag), counts[lag], -lag))
        count = _within(counts, back, best)
        if count < LEAST_FOUND:
            continue
        since = max(times[leader][0], times[follower][0])
        rate = _rate(rings, leader, follower, since, most_lag)
        p_value = lagged.poisson_tail(count, rate)
        if p_value < 1e-3 and not _echoes(rings, leader, follower, best, count):
            sign = _sign(rings, leader, follower, best)
            n = len(times[leader])
            pairs.append(Pair(leader, follower, best, sign, sign * min(count / n, 1.0), p_value, 1.0, n))
    tests = len(names) * (len(names) - 1) // 2 * (2 * most_lag + 1)
    q_values = lagged.benjamini_hochberg([pair.p_value for pair in pairs], tests)
    return [
        Pair(pair.leader, pair.follower, pair.lag, pair.sign, pair.strength, pair.p_value, q_value, pair.n)
        for pair, q_value in zip(pairs, q_values, strict=True)
        if q_value <= share
    ]


def later(rings: Rings, leader: str, follower: str, lag: int, sign: int, after: int) -> Pair | None:
    """The coupling as the onsets after slot `after` alone show it; None with too few coincidences, or another sign."""
    one = [event for event in rings.members[leader].events if event // 2 > after]
    count = sum(_followed(rings, event, follower, lag) is not None for event in one)
    if count < LEAST_LATER or _echoes(rings, leader, follower, lag, _count(rings, leader, follower, lag)):
        return None
    since = max(first(rings, leader), first(rings, follower))
    rate = _rate(rings, leader, follower, since, lag + WIDE)
    share_later = len(one) / max(len(rings.members[leader].events), 1)
    if _sign(rings, leader, follower, lag, after) != sign:
        return None
    p_value = lagged.poisson_tail(count, rate * share_later)
    return Pair(leader, follower, lag, sign, sign * count / len(one), p_value, p_value, len(one))


def kept(rings: Rings, leader: str, follower: str, lag: int) -> tuple[float, int, int]:
    """How often the leader's onsets are followed, how many of the last in a row were not, and how many there are.

    The share is Laplace's, (hits + 1) / (onsets + 2), of those before the last ones that were not followed.
    """
    newest = rings.slot or 0
    done = [event for event in rings.members[leader].events if newest - event // 2 > lag + WIDE]
    followed = [_followed(rings, event, follower, lag) is not None for event in done]
    misses = next((index for index, hit in enumerate(reversed(followed)) if hit), len(followed))
    return (sum(followed) + 1) / (len(followed) - misses + 2), misses, len(followed)


def _within(counts: Counter[int], back: Counter[int], lag: int) -> int:
    """Coincidences within `WIDE` of `lag`; `back` holds those in which the follower came first."""
    return sum(counts[distance] if distance >= 0 else back[-distance] for distance in range(lag - WIDE, lag + WIDE + 1))


def _followed(rings: Rings, event: int, follower: str, lag: int) -> int | None:
    """The follower's onset within `WIDE` of `lag` steps after the onset `event`, if there is one."""
    events = rings.members[follower].events
    place = bisect_right(events, 2 * (event // 2 + lag - WIDE) - 1)
    if place < len(events) and events[place] // 2 <= event // 2 + lag + WIDE:
        return events[place]
    return None


def _count(rings: Rings, leader: str, follower: str, lag: int) -> int:
    return sum(_followed(rings, event, follower, lag) is not None for event in rings.members[leader].events)


def _sign(rings: Rings, leader: str, follower: str, lag: int, after: int = -(1 << 62)) -> int:
    total = 0
    for event in rings.members[leader].events:
        answer = _followed(rings, event, follower, lag)
        if event // 2 > after and answer is not None:
            total += 1 if event % 2 == answer % 2 else -1
    return 1 if total >= 0 else -1


def _rate(rings: Rings, leader: str, follower: str, since: int, most_lag: int) -> float:
    """Coincidences expected at a lag by accident: by the counts of both, or by what neighbouring distances show."""
    newest = rings.slot or 0
    one = [event // 2 for event in rings.members[leader].events if event // 2 >= since]
    two = [event // 2 for event in rings.members[follower].events if event // 2 >= since]
    width = 2 * WIDE + 1
    span = max(newest - since + 1, width)
    near, far = most_lag + WIDE, most_lag + WIDE + NEIGHBOURS
    around = sum(near < abs(later - time) <= far for time in one for later in two)
    return max(len(one) * len(two) * width / span, around * width / (2.0 * NEIGHBOURS))


def _echoes(rings: Rings, leader: str, follower: str, lag: int, count: int) -> bool:
    """Whether the coincidences are found again at a calendar's distance."""
    for minutes in ECHO_MINUTES:
        away, rest = divmod(minutes * MINUTE_US, rings.step_us)
        if rest or away <= 2 * WIDE:
            continue
        for far in (lag + away, lag - away):
            if _count(rings, leader, follower, far) >= max(ECHO * count, 2):
                return True
    return False
