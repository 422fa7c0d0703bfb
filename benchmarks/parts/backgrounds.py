"""Synthetic backgrounds: what healthy series look like. Each is a function of a random generator, so a seed is a
series.

Parameters are drawn anew for each series, so that the fold for checking has other ones than that for tuning; the kinds
in `CHECK_ONLY` are not in the tuning fold at all.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from benchmarks.parts.streams import SECOND_US, START_US, Floats, Stream, Times, regular, robust_sigma

Rng = np.random.Generator


def _ar(rng: Rng, count: int, phi: float) -> Floats:
    """A stationary AR(1) of unit variance, of Gaussian steps."""
    steps = rng.standard_normal(count) * np.sqrt(1.0 - phi * phi)
    out = np.empty(count)
    last = rng.standard_normal()
    for place, step in enumerate(steps.tolist()):
        last = phi * last + step
        out[place] = last
    return out


def _level(rng: Rng) -> tuple[float, float]:
    """A level (1 to 10,000, by ratio) and a noise of 1 to 15 % of it."""
    level = float(10.0 ** rng.uniform(0.0, 4.0))
    return level, level * float(rng.uniform(0.01, 0.15))


def _hours(times: Times) -> Floats:
    return (times - START_US) / (3600.0 * SECOND_US)


def _bump(hours: Floats, peak: float, width: float) -> Floats:
    """One bump a day at `peak` o'clock, 0 to 1."""
    away = (hours - peak + 12.0) % 24.0 - 12.0
    return np.exp(-0.5 * (away / width) ** 2)


def white(rng: Rng, times: Times) -> Floats:
    """Gaussian noise around a level."""
    level, noise = _level(rng)
    return level + noise * rng.standard_normal(len(times))


def ar1(rng: Rng, times: Times) -> Floats:
    """AR(1): each value leans on the last one, by 0.3 to 0.98."""
    level, noise = _level(rng)
    return level + noise * _ar(rng, len(times), float(rng.choice([0.3, 0.6, 0.8, 0.9, 0.95, 0.98])))


def walk(rng: Rng, times: Times) -> Floats:
    """A random walk, as a queue's length or a cache's size, far from zero."""
    _, noise = _level(rng)
    steps = np.cumsum(rng.standard_normal(len(times)))
    return noise * (steps - steps.min() + 20.0)


def daily(rng: Rng, times: Times) -> Floats:
    """A day's rise and fall, 2 to 15 deviations high, and AR(1) noise."""
    level, noise = _level(rng)
    height = noise * float(rng.uniform(2.0, 15.0))
    shape = _bump(_hours(times), float(rng.uniform(0, 24)), float(rng.uniform(2.0, 5.0)))
    return level + height * shape + noise * _ar(rng, len(times), float(rng.choice([0.0, 0.5, 0.8])))


def weekly(rng: Rng, times: Times) -> Floats:
    """Working days with two bumps, quiet weekends, noise that grows with the level."""
    level, noise = _level(rng)
    hours = _hours(times)
    working = (hours // 24.0) % 7.0 < 5.0
    shape = _bump(hours, 10.0, 1.8) + 0.8 * _bump(hours, 15.0, 2.2)
    height = float(rng.uniform(3.0, 12.0)) * noise
    base = level + height * shape * np.where(working, 1.0, float(rng.uniform(0.1, 0.4)))
    return base * (1.0 + noise / (2.0 * level) * _ar(rng, len(times), float(rng.choice([0.0, 0.6]))))


def counts(rng: Rng, times: Times) -> Floats:
    """Poisson counts, of 0.2 to 200 a value."""
    return rng.poisson(float(10.0 ** rng.uniform(-0.7, 2.3)), len(times)).astype(float)


def daily_counts(rng: Rng, times: Times) -> Floats:
    """Poisson counts that rise and fall over the day."""
    rate = float(10.0 ** rng.uniform(0.0, 2.3))
    shape = 0.1 + _bump(_hours(times), float(rng.uniform(8, 18)), 4.0)
    return rng.poisson(rate * shape).astype(float)


def latency(rng: Rng, times: Times) -> Floats:
    """Log-normal, with deviations of the logarithm of 0.2 to 0.9."""
    middle, _ = _level(rng)
    return middle * rng.lognormal(0.0, float(rng.uniform(0.2, 0.9)), len(times))


def student(rng: Rng, times: Times) -> Floats:
    """Heavy tails on both sides: Student's t with 3 degrees of freedom."""
    level, noise = _level(rng)
    return level + noise * rng.standard_t(3.0, len(times))


def pareto(rng: Rng, times: Times) -> Floats:
    """A heavy tail upwards: Pareto with a shape of 1.5 to 3."""
    level, _ = _level(rng)
    return level * (1.0 + rng.pareto(float(rng.uniform(1.5, 3.0)), len(times)))


def quantised(rng: Rng, times: Times) -> Floats:
    """A slow AR(1) seen in whole steps, of which there are few."""
    level = float(rng.integers(5, 90))
    return np.round(level + float(rng.uniform(0.3, 2.0)) * _ar(rng, len(times), float(rng.choice([0.0, 0.7, 0.95]))))


def bursts(rng: Rng, times: Times) -> Floats:
    """Mostly zero; now and then (0.5 to 5 % of values) work comes, in runs of about three."""
    share = float(rng.uniform(0.005, 0.05))
    out = np.zeros(len(times))
    for start in np.flatnonzero(rng.random(len(times)) < share / 3.0):
        out[start : start + 1 + int(rng.poisson(2.0))] = float(rng.gamma(3.0, 20.0))
    return out


def sawtooth(rng: Rng, times: Times) -> Floats:
    """Memory under a garbage collector: it climbs for 10 to 80 values, then falls back."""
    low, noise = _level(rng)
    period, height = float(rng.uniform(10, 80)), low * float(rng.uniform(0.3, 2.0))
    out, place = np.empty(len(times)), 0.0
    for index, step in enumerate(rng.gamma(4.0, 0.25 / period, len(times)).tolist()):
        place = place + step if place < 1.0 else 0.0
        out[index] = place
    return low + height * out + 0.1 * noise * rng.standard_normal(len(times))


def trending(rng: Rng, times: Times) -> Floats:
    """A disk that fills slowly: 5 to 20 deviations over the whole stream, and noise."""
    level, noise = _level(rng)
    slope = float(rng.uniform(5.0, 20.0)) * noise * np.arange(len(times)) / len(times)
    return level + slope + noise * _ar(rng, len(times), 0.5)


def steps(rng: Rng, times: Times) -> Floats:
    """A level that rests exactly, and moves by hand now and then (a setting, a pool's size)."""
    moves = rng.random(len(times)) < 1.0 / 400.0
    return 20.0 + np.cumsum(moves * rng.choice([-1.0, 1.0], len(times)))


def ceiling(rng: Rng, times: Times) -> Floats:
    """A share that lives near 100 % and cannot exceed it."""
    return np.minimum(100.0, 100.0 - np.abs(float(rng.uniform(0.5, 4.0)) * _ar(rng, len(times), 0.7)))


def hourly_job(rng: Rng, times: Times) -> Floats:
    """Noise, and a job that starts on the hour and takes 10 minutes: expected, each time."""
    level, noise = _level(rng)
    busy = _hours(times) % 1.0 < 1.0 / 6.0
    return level + noise * _ar(rng, len(times), 0.3) + noise * float(rng.uniform(5.0, 12.0)) * busy


def two_modes(rng: Rng, times: Times) -> Floats:
    """Two ways of working (cache hit and miss, debug and release), chosen by chance each time."""
    level, noise = _level(rng)
    other = rng.random(len(times)) < float(rng.uniform(0.05, 0.4))
    return level + noise * rng.standard_normal(len(times)) + noise * float(rng.uniform(6.0, 15.0)) * other


class Kind(NamedTuple):
    """A background: how it is drawn, and what can be done to it."""

    draw: Callable[[Rng, Times], Floats]
    season: bool = False
    """It has a day, so it needs weeks to be known."""
    additive: bool = True
    """Its noise is about the same everywhere, so that a fault of some deviations is one anywhere."""
    positive: bool = True
    integer: bool = False


KINDS: Mapping[str, Kind] = {
    "white": Kind(white),
    "ar1": Kind(ar1),
    "walk": Kind(walk),
    "daily": Kind(daily, season=True),
    "weekly": Kind(weekly, season=True),
    "counts": Kind(counts, integer=True),
    "daily counts": Kind(daily_counts, season=True, integer=True),
    "latency": Kind(latency),
    "student t3": Kind(student, positive=False),
    "pareto": Kind(pareto),
    "quantised": Kind(quantised, integer=True),
    "bursts": Kind(bursts, additive=False),
    "sawtooth": Kind(sawtooth, additive=False),
    "trending": Kind(trending),
    "steps": Kind(steps, additive=False, integer=True),
    "ceiling": Kind(ceiling),
    "hourly job": Kind(hourly_job, season=True, additive=False),
    "two modes": Kind(two_modes, additive=False),
}

CHECK_ONLY = frozenset({"hourly job", "two modes", "ceiling"})
"""Kinds that nobody may tune to."""


def kinds(fold: str) -> list[str]:
    """The kinds of a fold, `tune` or `check`."""
    return [name for name in KINDS if fold == "check" or name not in CHECK_ONLY]


def generator(*seed: object) -> Rng:
    """A generator that is the same for the same words, in any process."""
    return np.random.default_rng(list("\0".join(map(str, seed)).encode()))


def synthetic(fold: str, kind: str, index: int, count: int, cadence_s: float, irregular: bool = False) -> Stream:
    """Stream number `index` of a kind: the same arguments give the same values.

    `irregular`: times come by chance, `cadence_s` apart on average, as runs do.
    """
    rng = generator(fold, kind, index, cadence_s)
    times = regular(count, cadence_s)
    if irregular:
        gaps = np.maximum(rng.exponential(cadence_s, count), 1.0) * SECOND_US
        times = START_US + np.cumsum(gaps.astype(np.int64))
    values = KINDS[kind].draw(rng, times)
    if KINDS[kind].positive:
        values = np.maximum(values, 0.0)
    name = f"{kind.replace(' ', '-')}-{index}-{cadence_s:g}s"
    return Stream(name, kind, cadence_s, times, values, robust_sigma(values))


def outcomes(fold: str, index: int, count: int, cadence_s: float) -> Stream:
    """Runs that fail by chance, 0.5 to 20 % of them, by the working day."""
    rng = generator(fold, "outcomes", index, cadence_s)
    gaps = np.maximum(rng.exponential(cadence_s, count), 30.0) * SECOND_US
    times = START_US + np.cumsum(gaps.astype(np.int64))
    failed = (rng.random(count) < float(10.0 ** rng.uniform(-2.3, -0.7))).astype(float)
    return Stream(f"outcomes-{index}-{cadence_s:g}s", "outcomes", cadence_s, times, failed, 1.0, feed="failed")


def durations(fold: str, index: int, count: int, cadence_s: float) -> Stream:
    """Runs that take 1 to 60 minutes, log-normally, at irregular times."""
    rng = generator(fold, "durations", index, cadence_s)
    gaps = np.maximum(rng.exponential(cadence_s, count), 30.0) * SECOND_US
    times = START_US + np.cumsum(gaps.astype(np.int64))
    middle = 60.0 * float(10.0 ** rng.uniform(0.0, 1.8))
    values = middle * rng.lognormal(0.0, float(rng.uniform(0.1, 0.6)), count)
    name = f"durations-{index}-{cadence_s:g}s"
    return Stream(name, "durations", cadence_s, times, values, robust_sigma(values), feed="duration")
