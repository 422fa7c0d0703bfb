"""The last values of a group's series, aligned in steps of time: what detectors over several series look back on.

A step is a minute, or the group's own cadence where that is slower; slots count steps since the epoch. Places are
bounded: where a group has more series than places, the others wait with a mean and a deviation each, and one that is
disturbed takes the place of the one that has been calm longest.
"""

import math
import struct
from collections.abc import Collection, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

MINUTE_US = 60_000_000
"""The least step. Slower groups are noticed, and their own cadence becomes the step."""

RING = 480
"""Steps that are remembered of each series: 8 hours of minutes, 3.8 KB."""

SETTLE = 16
"""Calls in a row at another cadence that make it the step."""

WAITING = 256
"""Series without a place that are watched."""

DISTURBED = 6.0
"""Usual deviations off the mean at which a waiting series counts as disturbed."""

EXTREME = 1e150
"""Values beyond are taken for this, so that squares stay finite."""

DOUBLE = struct.Struct("<d")

EMPTY = DOUBLE.pack(math.nan) * RING


class Member(msgspec.Struct, gc=False, rename={"ring": "r", "events": "e", "seen": "s", "since": "i"}):
    """One series: `ring` holds doubles by slot modulo `RING`, NaN where there is none; `seen` is its newest slot.

    `since` is the slot at which it got its place. `events` belongs to the detector: 2 × slot + (1 for up), in order.
    """

    ring: bytearray
    events: list[int] = []
    seen: int = 0
    since: int = 0


class Rings(
    msgspec.Struct,
    rename={
        "step_us": "c",
        "slot": "t",
        "first": "f",
        "odd": "k",
        "odd_gap": "g",
        "last_us": "u",
        "members": "m",
        "waiting": "w",
    },
):
    """The series of one group, 3.9 KB each as msgpack.

    `slot`: the newest (None before the first). `odd` counts calls in a row that came `odd_gap` minutes apart where that
    is not the step. `waiting` holds mean, deviation and slot of the last disturbance of series without a place.
    """

    step_us: int = MINUTE_US
    slot: int | None = None
    first: int = 0
    odd: int = 0
    odd_gap: int = 0
    last_us: int = 0
    members: dict[str, Member] = {}
    waiting: dict[str, tuple[float, float, int]] = {}


def take(rings: Rings, time_us: int, values: Mapping[str, float], places: int) -> bool:
    """Put `values` at their step; True when that step is a new one.

    Values that are not finite count as missing, times before the newest step are ignored, and the last value of a step
    wins. A new cadence empties the rings.

    >>> rings = Rings()
    >>> take(rings, 0, {"cpu": 1.0, "disk": 2.0}, 32), take(rings, 120_000_000, {"cpu": 3.0}, 32)
    (True, True)
    >>> table(rings, ["cpu", "disk"]).tolist()
    [[1.0, nan, 3.0], [2.0, nan, nan]]
    """
    last = rings.slot
    if last is not None and _settled(rings, time_us):
        rings.step_us = rings.odd_gap * MINUTE_US
        rings.odd = 0
        rings.members, rings.waiting = {}, {}
        last = None
    slot = time_us // rings.step_us
    if last is None:
        last = rings.first = slot
        fresh = True
    elif slot < last:
        return False
    else:
        fresh = slot > last
    if fresh:
        rings.last_us = time_us
        for step in range(max(last + 1, slot - RING + 1), slot + 1):
            place = 8 * (step % RING)
            for member in rings.members.values():
                DOUBLE.pack_into(member.ring, place, math.nan)
    rings.slot = slot
    place = 8 * (slot % RING)
    for key, value in values.items():
        if -EXTREME < value < EXTREME:
            if key in rings.members:
                member = rings.members[key]
            elif len(rings.members) < places:
                member = _admit(rings, slot, key)
            else:
                _wait(rings, slot, key, value)
                continue
            DOUBLE.pack_into(member.ring, place, value)
            member.seen = slot
    return fresh


def _settled(rings: Rings, time_us: int) -> bool:
    """Whether the last `SETTLE` calls came at one cadence of minutes that is not the step."""
    if time_us <= rings.last_us:
        return False
    gap = max(round((time_us - rings.last_us) / MINUTE_US), 1)
    if gap * MINUTE_US == rings.step_us:
        rings.odd = 0
        return False
    rings.odd = rings.odd + 1 if gap == rings.odd_gap else 1
    rings.odd_gap = gap
    return rings.odd >= SETTLE


def _admit(rings: Rings, slot: int, key: str) -> Member:
    rings.waiting.pop(key, None)
    member = rings.members[key] = Member(bytearray(EMPTY), [], slot, slot)
    return member


def _wait(rings: Rings, slot: int, key: str, value: float) -> None:
    if key not in rings.waiting and len(rings.waiting) >= WAITING:
        return
    mean, deviation, disturbed = rings.waiting.get(key, (float(value), 0.0, 0))
    off = abs(value - mean)
    if deviation and off > DISTURBED * deviation:
        disturbed = slot
    most = DISTURBED * deviation if deviation else off
    rings.waiting[key] = (
        float(mean + 0.05 * (value - mean)),
        float(deviation + 0.05 * (min(off, most) - deviation)),
        disturbed,
    )


def make_places(rings: Rings, since: int, places: int, bound: Collection[str]) -> None:
    """Let silent series go, and give the calmest one's place to a waiting one that was disturbed after slot `since`.

    At most one such change a call, and none for the series in `bound` or for one with an event within the ring.
    """
    slot = rings.slot or 0
    for key in [key for key, member in rings.members.items() if slot - member.seen >= RING]:
        del rings.members[key]
    for key in list(rings.waiting)[: max(places - len(rings.members), 0)]:
        _admit(rings, slot, key)
    if not rings.waiting:
        return
    newest, waiter = max((entry[2], key) for key, entry in rings.waiting.items())
    calm = [
        (max(member.since, member.events[-1] // 2 if member.events else member.since), key)
        for key, member in rings.members.items()
        if key not in bound
    ]
    if newest > since and calm and min(calm)[0] < slot - RING:
        del rings.members[min(calm)[1]]
        _admit(rings, slot, waiter)


def table(rings: Rings, names: list[str]) -> npt.NDArray[np.float64]:
    """The rings of `names` (rows), oldest step first, as far back as the group was seen; NaN where there is none."""
    slot = rings.slot or 0
    filled = min(slot - rings.first + 1, RING)
    joined = b"".join(rings.members[key].ring for key in names)
    whole = np.frombuffer(joined, dtype="<f8").reshape(len(names), RING)
    return np.ascontiguousarray(whole[:, np.arange(slot - filled + 1, slot + 1) % RING], dtype=np.float64)
