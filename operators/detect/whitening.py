"""An autoregression of order one that follows a series and says by how many deviations each value surprises it."""

import math
from collections.abc import Sequence

import msgspec

from operators.detect.stats import MAD_TO_SIGMA, median, median_deviation

MEMORY = 1536
"""Values of the model's memory: a day of minutes. It is fitted at doubled sizes, then after each so many."""

REACH = 6.0
"""Deviations of the series beyond which a value teaches no more."""


class Model(
    msgspec.Struct,
    gc=False,
    rename={
        "seen": "n", "fitted": "f", "mean": "m", "cov0": "a", "cov1": "b", "centre": "c", "phi": "p", "sigma": "s",
        "previous": "r",
    },
):  # fmt: skip
    """`mean`, `cov0` and `cov1` (autocovariances at lag 0 and 1) follow the series with a memory of `MEMORY` values.

    `centre`, `phi` and `sigma` (the deviation of innovations) are what was made of them at the last fit, when `fitted`
    values had been seen; 0: there was none. `previous` is None after a gap.
    """

    seen: int = 0
    fitted: int = 0
    mean: float = 0.0
    cov0: float = 0.0
    cov1: float = 0.0
    centre: float = 0.0
    phi: float = 0.0
    sigma: float = 0.0
    previous: float | None = None


def start(values: Sequence[float]) -> Model:
    """A model of at least 8 values, oldest first, each taken for at most 3 robust deviations off the median.

    >>> start([5.0, 7.0] * 10).centre
    6.0
    """
    ordered = sorted(values)
    centre = median(ordered)
    outer = len(values) // 10
    reach = 3.0 * max(MAD_TO_SIGMA * median_deviation(ordered, centre), (ordered[-1 - outer] - ordered[outer]) / 2.5631)
    places = [max(-reach, min(item - centre, reach)) for item in values]
    size = len(places)
    model = Model(seen=size, mean=centre, previous=values[-1])
    model.cov0 = math.fsum([place * place for place in places]) / size
    model.cov1 = math.fsum([after * before for after, before in zip(places[1:], places, strict=False)]) / size
    _fit(model)
    return model


def surprise(model: Model, value: float, learning: bool = True) -> float | None:
    """The innovation of `value` in deviations, then learn it. None after a gap (`previous` was set to None).

    Without `learning` nothing is remembered but the value itself.

    >>> model = start([5.0, 7.0] * 10)
    >>> round(surprise(model, 9.0), 1)
    3.0
    """
    previous = model.previous
    model.previous = value
    z = None
    if previous is not None:
        z = (value - model.centre - model.phi * (previous - model.centre)) / model.sigma
    if not learning:
        return z
    seen = model.seen = model.seen + 1
    rate = 1.0 / seen if seen < MEMORY else 1.0 / MEMORY
    reach = REACH * (math.sqrt(model.cov0) or model.sigma)
    off = value - model.mean
    off = -reach if off < -reach else reach if off > reach else off
    model.mean += rate * off
    model.cov0 += rate * (off * off - model.cov0)
    if previous is not None:
        before = previous - model.mean
        before = -reach if before < -reach else reach if before > reach else before
        model.cov1 += rate * (off * before - model.cov1)
    if seen >= model.fitted + (model.fitted if model.fitted < MEMORY else MEMORY):
        _fit(model)
    return z


def move(model: Model, by: float) -> None:
    """The level has moved."""
    model.mean += by
    model.centre += by


def _fit(model: Model) -> None:
    model.fitted = size = model.seen
    share = model.cov1 / model.cov0 if model.cov0 > 0.0 else 0.0
    # Kendall's correction (Biometrika 41, 1954): the estimate is too low by (1 + 3 phi) / n.
    model.phi = phi = max(0.0, min(share + (1.0 + 3.0 * share) / min(size, MEMORY), 0.999))
    model.centre = model.mean
    model.sigma = max(math.sqrt(model.cov0 * (1.0 - phi * phi)), 1e-9 * abs(model.mean), 1e-300)
