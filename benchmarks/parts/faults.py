"""Faults, put into a background at a known time, in units of the background's own noise."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from benchmarks.parts.backgrounds import KINDS, Rng, generator
from benchmarks.parts.streams import SECOND_US, Fault, Floats, Stream

GRACE = 5
"""Usual intervals after a fault's end in which a pattern that opens has still found it."""

RECOVERY = 60
"""Usual intervals after a fault's end in which an opening is neither found nor false: the way back is a change, and a
detector that has taken a new level for the usual one must learn the old one anew."""

SPACING = (60, 140)
"""Values between two recurrent spikes."""

Change = Callable[[Rng, Stream, int, int, float], None]
"""Changes a stream in place between two indices (the second one excluded), with a strength."""


class Shape(NamedTuple):
    """A fault: how it is made, how strong and long it may be, and on which series it makes sense."""

    change: Change
    strengths: tuple[float, ...]
    unit: str
    length: tuple[int, int]
    """Values that it lasts, least and most."""
    suits: Callable[[Stream], bool]
    recovery: int = RECOVERY


def _dense(stream: Stream) -> bool:
    return stream.feed in {"metric", "resource"}


def _smooth(stream: Stream) -> bool:
    kind = KINDS.get(stream.kind)
    return _dense(stream) and (kind is None or kind.additive)


def _noisy(stream: Stream) -> bool:
    """Whether it changes at nearly each value, so that standing still means something."""
    return _dense(stream) and float(np.mean(np.diff(stream.values[:1000]) != 0.0)) > 0.95


def _random(stream: Stream) -> bool:
    return stream.kind in {"white", "ar1", "daily", "weekly", "latency", "trending", "student t3", "machines"}


def _valued(stream: Stream) -> bool:
    return stream.feed != "failed"


def _seasonal(stream: Stream) -> bool:
    kind = KINDS.get(stream.kind)
    return kind is not None and kind.season and kind.additive


def _clip(stream: Stream, values: Floats) -> Floats:
    kind = KINDS.get(stream.kind)
    if kind is not None and kind.integer:
        values = np.round(values)
    least = float(np.min(stream.values))
    values = np.maximum(values, 0.0) if least >= 0.0 else values
    return np.minimum(values, 100.0) if stream.feed == "resource" else values


def _add(stream: Stream, start: int, end: int, what: Floats | float) -> None:
    stream.values[start:end] = _clip(stream, stream.values[start:end] + stream.sigma * np.asarray(what))


def _spike(rng: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    # Of what season and level there are at that moment: a spike stands out from its neighbours.
    near = stream.values[max(0, start - 5) : start + 6]
    down = float(np.median(near)) > 2.0 * strength * stream.sigma and rng.random() < 0.3
    stream.values[start:end] = _clip(
        stream, np.full(end - start, np.median(near) + (-strength if down else strength) * stream.sigma)
    )


def _shift_up(_: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    _add(stream, start, end, strength)


def _shift_down(_: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    _add(stream, start, end, -strength)


def _trend(_: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    _add(stream, start, end, strength * np.arange(1, end - start + 1) / (end - start))


def _variance(rng: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    _add(stream, start, end, np.sqrt(strength * strength - 1.0) * rng.standard_normal(end - start))


def _flatline(_: Rng, stream: Stream, start: int, end: int, __: float) -> None:
    stream.values[start:end] = stream.values[start]


def _missing(_: Rng, stream: Stream, start: int, end: int, __: float) -> None:
    keep = np.ones(len(stream.values), dtype=bool)
    keep[start:end] = False
    stream.values, stream.times_us = stream.values[keep], stream.times_us[keep]


def _failures(rng: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    stream.values[start:end] = np.maximum(stream.values[start:end], rng.random(end - start) < strength)


def _distribution(rng: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    # Two heaps around the same mean.
    part = stream.values[start:end]
    sides = rng.permutation(np.where(np.arange(len(part)) % 2, 1.0, -1.0))
    stream.values[start:end] = _clip(stream, part + strength * stream.sigma * sides)


def _season_break(_: Rng, stream: Stream, start: int, end: int, __: float) -> None:
    # The night's values during the day, and the day's at night.
    half = round(43_200.0 / stream.cadence_s)
    stream.values[start:end] = stream.values[start - half : end - half]


def _pair(rng: Rng, stream: Stream, start: int, end: int, strength: float) -> None:
    """Six humps in a row in A, and in B the same ones some values later (`strength` deviations; a lag of 2 to 8)."""
    assert stream.partner is not None
    lag, count = int(rng.integers(2, 9)), end - start - 8
    shape = np.repeat(rng.choice([-1.0, 1.0], 6) * rng.uniform(0.5, 1.0, 6), count // 6)
    smooth = np.convolve(shape, np.ones(5) / 5.0, mode="same")
    _add(stream, start, start + len(smooth), strength * smooth)
    _add(stream.partner, start + lag, start + lag + len(smooth), strength * smooth)


SHAPES: Mapping[str, Shape] = {
    "spike": Shape(_spike, (4, 6, 10, 20), "σ", (1, 3), _valued),
    "recurrent spikes": Shape(_spike, (6, 10, 20), "σ", (1, 2), _smooth, recovery=10),
    "level shift up": Shape(_shift_up, (4, 6, 10), "σ", (150, 200), _dense),
    "level shift down": Shape(_shift_down, (4, 6, 10), "σ", (150, 200), _smooth),
    "slow trend": Shape(_trend, (6, 10, 20), "σ at its end", (300, 400), _smooth),
    "variance change": Shape(_variance, (3, 5), "times the noise", (150, 200), _smooth),
    "flatline": Shape(_flatline, (1,), "", (150, 200), _noisy),
    "missing data": Shape(_missing, (1,), "", (60, 120), _dense),
    "failure burst": Shape(_failures, (0.5, 0.9), "share failing", (15, 25), lambda stream: stream.feed == "failed"),
    "overdue run": Shape(_flatline, (10, 30), "usual lengths", (1, 1), lambda stream: stream.feed == "duration"),
    "lagged pair": Shape(_pair, (6, 10), "σ", (120, 160), lambda stream: stream.kind in {"white", "ar1", "latency"}),
    "distribution change": Shape(_distribution, (3, 5), "σ to each side", (150, 200), _random),
    "seasonal break": Shape(_season_break, (1,), "", (0, 0), _seasonal),
}
"""By name. A seasonal break lasts a day; recurrent spikes come each 60 to 140 values, each of them a fault of its
own."""


def inject(background: Stream, shape: str, strength: float, young: bool = False) -> Stream:
    """A copy of the background with one fault (recurrent spikes: as many as there is room for) and its label.

    The fault begins between 55 and 80 % of the stream (recurrent ones from 30 % on), so that there is a history before
    it; a `young` series has seen 40 to 250 values.
    """
    rng = generator(shape, strength, background.name, young)
    stream = replace(background, values=background.values.copy(), times_us=background.times_us.copy(), faults=[])
    stream.name = stream.entity = f"{background.name}-{shape.replace(' ', '-')}-{strength:g}"
    what = SHAPES[shape]
    count = len(stream.values)
    if shape == "lagged pair":
        stream.partner = replace(
            stream, values=stream.values[::-1].copy(), measure="value_b", times_us=stream.times_us.copy()
        )
    if shape == "overdue run":
        return _overdue(rng, stream, strength)
    place = int(count * (0.3 if shape == "recurrent spikes" else rng.uniform(0.55, 0.8)))
    if young:
        place = int(rng.integers(40, 250))
    while True:
        length = int(rng.integers(what.length[0], what.length[1] + 1)) or round(86_400.0 / stream.cadence_s)
        end = min(place + length, count - 10)
        start_us, last_us = int(stream.times_us[place]), int(stream.times_us[end - 1])
        what.change(rng, stream, place, end, strength)
        stream.faults.append(_label(stream, shape, strength, start_us, last_us, what.recovery))
        if stream.partner is not None:
            stream.partner.faults.append(stream.faults[-1])
        place += int(rng.integers(*SPACING))
        if shape != "recurrent spikes" or place >= count - 20:
            return stream


def _label(stream: Stream, shape: str, strength: float, start_us: int, last_us: int, recovery: int) -> Fault:
    cadence_us = round(stream.cadence_s * SECOND_US)
    # A pane is judged when it has ended, 10 s later than its value at most.
    return Fault(shape, strength, start_us, last_us, GRACE * cadence_us + 11 * SECOND_US, recovery * cadence_us)


def _overdue(rng: Rng, stream: Stream, strength: float) -> Stream:
    """One run starts between two others and takes `strength` times as long as usual; the others go on meanwhile."""
    place = int(len(stream.values) * rng.uniform(0.55, 0.8))
    start = int(stream.times_us[place]) + SECOND_US
    usual = float(np.median(stream.values))
    end = start + round(strength * usual * SECOND_US)
    stream.overdue = (start, min(end, int(stream.times_us[-1]) - SECOND_US))
    # Found only while it runs (or as it ends): that is what the track is for.
    stream.faults.append(
        _label(stream, "overdue run", strength, start + round(usual * SECOND_US), stream.overdue[1], 10)
    )
    return stream
