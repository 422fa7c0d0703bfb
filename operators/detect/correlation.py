"""The correlation track: which series of a group follow which, and by how much later.

Fed once a step (a minute) with the group's values, it keeps the last steps of each series (`operators.detect.rings`)
and every so often compares all pairs at all lags (`operators.detect.lagged`): movements of innovations, and
coincidences of rare jumps (`operators.detect.onsets`). A pair is said only when **two disjoint stretches** of history
show it:

1. a *find*: over the ring, the pair's best lag passes Benjamini-Hochberg at `false_discovery` among all pairs × lags;
2. a *confirmation*: the steps after the find alone show the same lag (± 1) and sign, at `confirm_at`.

What repeats at an hour's or a day's distance is a calendar that both keep, not a coupling, and is dropped. A link that
is said is tested again at each scan: it is `still` there, or `gone` once recent steps exclude even half its strength in
two scans running (the two have come apart), or once one of its series is silent.

It does not work well for: couplings that last less than two hours; leaders that themselves beat by the hour; indirect
links (A to B and A to C shows B to C too: nothing here tells a cause from a common one); series that come at less than
half of the group's steps, which are left out.
"""

import math
from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np

from operators.detect import lagged, onsets
from operators.detect.lagged import Innovations, Matrix, Pair
from operators.detect.rings import MINUTE_US, RING, Rings, make_places, table, take

LEAST_FILLED = 0.5
"""Share of the ring's steps so far that a series must have to be compared."""

HELD = 64
"""Links that a group holds, found or said; the most certain finds enter."""

ECHO = 0.5
"""Share of a coupling's evidence that, found again at a calendar distance, shows it to be a calendar."""

ECHO_MINUTES = (60, 120, 180)
"""Calendar distances at which movements are compared again."""

PATIENCE = 2 * RING
"""Steps in which a find must be confirmed by movements."""

HALF_GONE_Z = 3.29
"""Deviations by which recent steps must miss half of a link's strength for it to be gone (one-sided 5 in 10,000)."""

RECENT = RING // 2
"""Steps that tell whether a link has gone."""


class CorrelationConfig(msgspec.Struct, frozen=True):
    """What is looked for, and how sure the track must be.

    `most_lag`: steps either way. `every`: steps between scans. `most_series`: series compared; others wait for a place.
    `false_discovery`: expected share of false finds among finds (they still need confirmation). `confirm_at`: p-value
    of a confirmation, at each scan. `least_strength`: weaker correlations are not worth saying.
    """

    most_lag: int = 30
    every: int = 30
    most_series: int = 32
    false_discovery: float = 0.05
    confirm_at: float = 1e-4
    least_strength: float = 0.15


class Held(
    msgspec.Struct,
    gc=False,
    rename={
        "leader": "a",
        "follower": "b",
        "lag": "l",
        "sign": "g",
        "by_onsets": "o",
        "found": "f",
        "since": "i",
        "said": "d",
        "strength": "s",
        "p_value": "p",
        "q_value": "q",
        "misses": "m",
    },
):
    """A coupling that was found (`said` false) or confirmed. `found` and `since` are slots, `lag` is in steps."""

    leader: str
    follower: str
    lag: int
    sign: int
    by_onsets: bool
    found: int
    since: int
    said: bool
    strength: float
    p_value: float
    q_value: float
    misses: int = 0


class CorrelationState(msgspec.Struct, rename={"rings": "r", "scanned": "n", "held": "h"}):
    """What the track knows of one group: 4 KB a series as msgpack. `scanned` is the slot of the last scan."""

    rings: Rings = msgspec.field(default_factory=Rings)
    scanned: int = 0
    held: list[Held] = []


class Link(msgspec.Struct, frozen=True):
    """That one series follows another. With `lag_us` 0 neither leads: `leader` is the first by name.

    `strength` in [-1, 1]: correlation of innovations, or the share of the leader's onsets that were followed, with the
    sign of the coupling. `p_value`: of the confirmation for `new`, later of the strength as it is now. `q_value`: of
    the find, among all pairs and lags. `n`: pairs of innovations, or onsets of the leader. `since_us`: start of the
    stretch that first showed it.
    """

    leader: str
    follower: str
    lag_us: int
    strength: float
    p_value: float
    q_value: float
    n: int
    since_us: int
    verdict: Literal["new", "still", "gone"]
    evidence: dict[str, int | float | str]


class Scan(msgspec.Struct, frozen=True):
    """What one scan works on: the newest slot, the step, the row of each compared series, and their innovations."""

    slot: int
    step_us: int
    rows: dict[str, int]
    found: Innovations


def advance(
    state: CorrelationState, time_us: int, values: Mapping[str, float], config: CorrelationConfig
) -> list[Link]:
    """Take in the values of the step at `time_us`; every `config.every` steps say which links are new, still or gone.

    Values that are not finite count as missing, times before the newest step are ignored, and a step's last value wins.

    >>> import random
    >>> rnd, state, config, said = random.Random(1), CorrelationState(), CorrelationConfig(), []
    >>> past = [0.0] * 5
    >>> for minute in range(480):
    ...     past.append(rnd.gauss(0, 1))
    ...     row = {"cpu": past[-1], "queue": past[-6] + rnd.gauss(0, 0.5), "disk": rnd.gauss(0, 1)}
    ...     said += advance(state, minute * 60_000_000, row, config)
    >>> [(link.leader, link.follower, link.lag_us // 60_000_000) for link in said if link.verdict == "new"]
    [('cpu', 'queue', 5)]
    """
    rings = state.rings
    step_us = rings.step_us
    fresh = take(rings, time_us, values, config.most_series)
    slot = rings.slot
    if not fresh or slot is None:
        return []
    if step_us != rings.step_us or slot == rings.first:
        state.held, state.scanned = [], slot
    if slot - state.scanned < config.every or slot - rings.first < 2 * lagged.LEAST:
        return []
    links = _scan(state, slot, config)
    state.scanned = slot
    bound = {key for held in state.held for key in (held.leader, held.follower)}
    make_places(rings, slot - config.every, config.most_series, bound)
    return links


def _scan(state: CorrelationState, slot: int, config: CorrelationConfig) -> list[Link]:
    rings = state.rings
    names = sorted(rings.members)
    values = table(rings, names)
    covered = np.isfinite(values).mean(axis=1) >= LEAST_FILLED
    names = [name for name, kept in zip(names, covered, strict=True) if kept]
    scan = Scan(slot, rings.step_us, {name: row for row, name in enumerate(names)}, lagged.innovations(values[covered]))
    onsets.learn(rings, names, scan.found, state.scanned)
    links, kept = [], []
    for held in state.held:
        link, stays = (_onsets_again if held.by_onsets else _motion_again)(state, held, scan, config)
        links += [link] if link else []
        kept += [held] if stays else []
    state.held = kept
    known = {frozenset((held.leader, held.follower)) for held in kept}
    share = config.false_discovery / 2.0
    finds = [(pair, False) for pair in _moving_pairs(names, scan, config, share)]
    finds += [(pair, True) for pair in onsets.find(rings, names, config.most_lag, share)]
    for pair, by_onsets in sorted(finds, key=lambda find: (find[0].p_value, find[0].leader, find[0].follower)):
        ends = frozenset((pair.leader, pair.follower))
        if ends not in known and len(state.held) < HELD:
            known.add(ends)
            since = onsets.first(rings, pair.leader) if by_onsets else max(rings.first, slot - RING + 1)
            state.held.append(_find(pair, by_onsets, slot, since))
    return links


def _find(pair: Pair, by_onsets: bool, slot: int, since: int) -> Held:
    strength, p_value, q_value = pair.strength, pair.p_value, pair.q_value
    return Held(
        pair.leader, pair.follower, pair.lag, pair.sign, by_onsets, slot, since, False, strength, p_value, q_value
    )


def _moving_pairs(names: list[str], scan: Scan, config: CorrelationConfig, share: float) -> list[Pair]:
    """The pairs whose innovations move together over the ring, each at its best lag."""
    squashed = scan.found.squashed
    if len(names) < 2 or squashed.shape[1] < 2 * lagged.LEAST:
        return []
    each = lagged.statistics(squashed, config.most_lag)
    places = [(int(lag), int(one), int(two)) for lag, one, two in np.argwhere(np.abs(each) >= lagged.TESTED_ABOVE)]
    places = [(lag, one, two) for lag, one, two in places if lag or one < two]
    p_values = [lagged.two_sided(float(each[place])) for place in places]
    tests = len(names) * (len(names) - 1) // 2 * (2 * config.most_lag + 1)
    best: dict[frozenset[int], Pair] = {}
    q_values = lagged.benjamini_hochberg(p_values, tests)
    for _, q_value, p_value, (lag, one, two) in sorted(
        zip((-abs(float(each[place])) for place in places), q_values, p_values, places, strict=True)
    ):
        if q_value > share:
            break
        if frozenset((one, two)) in best:
            continue
        strength, _, n = lagged.strength_at(squashed[one], squashed[two], lag)
        sign = 1 if strength > 0.0 else -1
        best[frozenset((one, two))] = Pair(names[one], names[two], lag, sign, strength, p_value, q_value, n)
    return [
        pair
        for pair in best.values()
        if abs(pair.strength) >= config.least_strength and not _echoes(scan, pair.leader, pair.follower, pair.lag)
    ]


def _echoes(scan: Scan, leader: str, follower: str, lag: int) -> bool:
    """Whether the coupling is found again an hour or so away, as two that keep one calendar have it."""
    one, two = scan.found.squashed[scan.rows[leader]], scan.found.squashed[scan.rows[follower]]
    size = abs(lagged.strength_at(one, two, lag)[0])
    for minutes in ECHO_MINUTES:
        away, rest = divmod(minutes * MINUTE_US, scan.step_us)
        if rest or away <= 1:
            continue
        for far in (lag + away, lag - away):
            strength, statistic, _ = (
                lagged.strength_at(one, two, far) if far >= 0 else lagged.strength_at(two, one, -far)
            )
            if abs(strength) >= ECHO * size and abs(statistic) >= lagged.TESTED_ABOVE:
                return True
    return False


def _motion_again(
    state: CorrelationState, held: Held, scan: Scan, config: CorrelationConfig
) -> tuple[Link | None, bool]:
    """Test a held coupling on the steps since its find or, once said, on recent ones. Also whether it stays held."""
    if held.leader not in scan.rows or held.follower not in scan.rows:
        return _silent(state, held), False
    both = scan.found.squashed[[scan.rows[held.leader], scan.rows[held.follower]]]
    if not held.said:
        return _confirm(state, held, scan, both, config)
    strength, statistic, n = lagged.strength_at(both[0], both[1], held.lag)
    recent, _, m = lagged.strength_at(both[0, -RECENT:], both[1, -RECENT:], held.lag)
    p_value = lagged.two_sided(statistic)
    if m >= 2 * lagged.LEAST:
        likely = math.atanh(min(recent * held.sign, 0.999999)) + HALF_GONE_Z / math.sqrt(m - 3)
        held.misses = held.misses + 1 if math.tanh(likely) < abs(held.strength) / 2.0 else 0
    if held.misses >= 2:
        evidence: dict[str, int | float | str] = {
            "channel": "motion",
            "strength_said": round(held.strength, 4),
            "strength_recent": round(recent, 4),
        }
        return _link(state, held, recent, p_value, m, "gone", {**evidence, "why": "decoupled"}), False
    return _link(state, held, strength, p_value, n, "still", {"channel": "motion", "recent": round(recent, 4)}), True


def _confirm(
    state: CorrelationState, held: Held, scan: Scan, both: Matrix, config: CorrelationConfig
) -> tuple[Link | None, bool]:
    """Whether the steps after the find, all of them still in the ring, show it as well."""
    later = both[:, -min(scan.slot - held.found, both.shape[1]) :]
    factor = float(np.sqrt(lagged.bartlett(both)[0, 1]))
    best = (0.0, 0, 0.0, 0)
    for lag in range(held.lag - 1, held.lag + 2):
        one, two = (later[0], later[1]) if lag >= 0 else (later[1], later[0])
        strength, statistic, n = lagged.strength_at(one, two, abs(lag))
        if n >= lagged.LEAST:
            best = max(best, (statistic * held.sign / factor, lag, strength, n))
    statistic, lag, strength, n = best
    p_value = 3.0 * lagged.two_sided(statistic)
    if statistic <= 0.0 or p_value > config.confirm_at or abs(strength) < config.least_strength:
        return None, scan.slot - held.found < PATIENCE
    if _echoes(scan, held.leader, held.follower, held.lag):
        return None, False
    if lag < 0:
        held.leader, held.follower = held.follower, held.leader
    held.lag = abs(lag)
    held.said, held.strength, held.p_value = True, strength, p_value
    evidence: dict[str, int | float | str] = {"channel": "motion", "z": round(statistic, 3)}
    return _link(state, held, strength, p_value, n, "new", evidence), True


def _onsets_again(
    state: CorrelationState, held: Held, scan: Scan, config: CorrelationConfig
) -> tuple[Link | None, bool]:
    """The same for a coupling of onsets."""
    rings = state.rings
    if held.leader not in rings.members or held.follower not in rings.members:
        return _silent(state, held), False
    if not held.said:
        pair = onsets.later(rings, held.leader, held.follower, held.lag, held.sign, held.found)
        if pair is None or pair.p_value > config.confirm_at:
            return None, scan.slot - held.found < onsets.MEMORY
        held.said, held.strength, held.p_value = True, pair.strength, pair.p_value
        return _link(state, held, pair.strength, pair.p_value, pair.n, "new", {"channel": "onsets"}), True
    share, misses, n = onsets.kept(rings, held.leader, held.follower, held.lag)
    strength = share * held.sign
    chance = (1.0 - share) ** misses
    if chance < onsets.GONE_AT:
        evidence: dict[str, int | float | str] = {"channel": "onsets", "unfollowed": misses, "why": "decoupled"}
        return _link(state, held, strength, chance, n, "gone", evidence), False
    return _link(state, held, strength, held.p_value, n, "still", {"channel": "onsets", "unfollowed": misses}), True


def _silent(state: CorrelationState, held: Held) -> Link | None:
    return _link(state, held, 0.0, 1.0, 0, "gone", {"why": "silent"}) if held.said else None


def _link(
    state: CorrelationState,
    held: Held,
    strength: float,
    p_value: float,
    n: int,
    verdict: Literal["new", "still", "gone"],
    evidence: dict[str, int | float | str],
) -> Link:
    leader, follower = held.leader, held.follower
    if not held.lag:
        leader, follower = sorted((leader, follower))
    step_us = state.rings.step_us
    return Link(
        leader,
        follower,
        held.lag * step_us,
        round(strength, 6),
        p_value,
        held.q_value,
        n,
        held.since * step_us,
        verdict,
        evidence,
    )
