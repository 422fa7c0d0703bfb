"""Lagged correlation between series, with its error under control: what the correlation track counts with.

Two series that are each autocorrelated look correlated by accident (Yule, "Why do we sometimes get
nonsense-correlations between time series?", JRSS 89, 1926). So each is **whitened** first by an autoregression of its
own, and only what that does not explain, its innovations, is compared (Haugh, "Checking the independence of two
covariance-stationary time series", JASA 71, 1976). Two kinds of coupling are looked for:

- **motion**: the follower moves with the leader all the time. The statistic at lag k is the sum of products of
  innovations over the root of the sum of their squares: standard normal under independence, also where the variance
  changes with the hour or tails are heavy (Dalla, Giraitis & Phillips, "Robust tests for white noise and
  cross-correlation", Econometric Theory 38, 2022), and no single coincidence can bring it above 1. What autocorrelation
  the whitening left is paid for by Bartlett's factor.
- **onsets**: rare jumps of the leader, each followed by a jump some minutes later: see `operators.detect.onsets`.

It does not work well for series that share a calendar with sharp edges (jobs on the hour): `correlation` drops what
repeats at a whole hour's distance. Nor for couplings by variance alone, or with a lag that wanders by minutes.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from operators.detect.stats import MAD_TO_SIGMA

Matrix = npt.NDArray[np.float64]

ORDER = 5
"""Lags of the autoregression: five minutes of memory at one value a minute."""

REACH = 20.0
"""Robust deviations beyond which a value counts as this far, before the autoregression is fitted."""

SQUASH = 3.5
"""Robust deviations beyond which an innovation counts as this much: no single one carries a correlation."""

ONSET = 6.0
"""Robust deviations of an innovation that make it an onset."""

WHITE_LAGS = 30
"""Lags of autocorrelation that Bartlett's factor sums."""

LEAST = 60
"""Fewest pairs of innovations that are compared."""

TESTED_ABOVE = 3.5
"""Statistics below this in size are never called significant, and cost no p-value (5 in 10,000)."""

SURROGATES = 199
"""Circular shifts that `lead_lag` compares with; fewer where the series are shorter."""


class Innovations(msgspec.Struct, frozen=True):
    """What each series (row) did that its own past does not explain, in its robust deviations; 0 where unknown.

    `squashed`: rows × steps, within `SQUASH`, of mean 0. `raw`: the same before squashing. `known`: where there is one.
    """

    squashed: Matrix
    raw: Matrix
    known: npt.NDArray[np.bool_]


class Pair(msgspec.Struct, frozen=True):
    """A coupling of two series by name: the follower comes `lag` ≥ 0 steps after the leader, with `sign` +1 or -1."""

    leader: str
    follower: str
    lag: int
    sign: int
    strength: float
    p_value: float
    q_value: float
    n: int


class LeadLag(msgspec.Struct, frozen=True):
    """How two aligned series hang together. `lag` > 0: the second follows the first that many steps later.

    `strength`: correlation of innovations at that lag, in [-1, 1]. `p_value`: of this lag alone. `q_value`: corrected
    for all lags looked at, and by circular shifts where it is near the line. `n`: pairs of innovations compared.
    """

    lag: int
    strength: float
    p_value: float
    q_value: float
    n: int


def innovations(values: Matrix) -> Innovations:
    """Whiten each row of `values` (rows × steps, NaN where unknown; sizes up to 1e150).

    An AR(`ORDER`) with constant by least squares, fitted twice: the second time without the steps that the first found
    more than four deviations off, so that a jump does not become part of the model.
    """
    rows, steps = values.shape
    empty = np.zeros((rows, steps))
    nothing = Innovations(empty, empty, np.zeros((rows, steps), dtype=np.bool_))
    if steps < LEAST or not rows:
        return nothing
    place = _standardised(values)
    target = place[:, ORDER:]
    past = np.stack(
        [np.ones_like(target), *(place[:, ORDER - lag : steps - lag] for lag in range(1, ORDER + 1))], axis=2
    )
    known = np.isfinite(target) & np.isfinite(past).all(axis=2)
    target = np.where(known, target, 0.0)
    past = np.where(known[:, :, None], past, 0.0)
    used, error, scale = known, target, np.ones(rows)
    for _ in range(2):
        weighed = past * used[:, :, None]
        gram = weighed.transpose(0, 2, 1) @ past
        ridge = 1e-9 * np.trace(gram, axis1=1, axis2=2) + 1e-12
        gram += ridge[:, None, None] * np.eye(ORDER + 1)
        fitted = np.linalg.solve(gram, weighed.transpose(0, 2, 1) @ target[:, :, None])
        error = np.where(known, target - (past @ fitted)[:, :, 0], 0.0)
        scale = _spread(error, known)
        used = known & (np.abs(error) <= 4.0 * scale[:, None])
    # A rest of rounding is no movement: places are of size 1.
    alive = (scale > 1e-9) & (known.sum(axis=1) >= LEAST)
    raw = np.where(known & alive[:, None], error / np.where(alive, scale, 1.0)[:, None], 0.0)
    known = known & alive[:, None]
    squashed = np.clip(raw, -SQUASH, SQUASH)
    squashed = np.where(known, squashed - (squashed.sum(axis=1) / np.maximum(known.sum(axis=1), 1))[:, None], 0.0)
    pad = ((0, 0), (ORDER, 0))
    return Innovations(np.pad(squashed, pad), np.pad(raw, pad), np.pad(known, pad))


def _standardised(values: Matrix) -> Matrix:
    """Each row around its median, in its own spread, cut at `REACH` (NaN stays; a row without spread becomes 0)."""
    ordered = np.sort(values, axis=1)  # NaN sort to the end
    count = np.isfinite(values).sum(axis=1)
    row = np.arange(len(values))

    def at(share: float) -> Matrix:
        found: Matrix = ordered[row, np.maximum((share * (count - 1)).astype(int), 0)]
        return np.asarray(np.where(count > 0, found, 0.0))

    centre, spread = at(0.5), (at(0.9) - at(0.1)) / 2.5631
    off = values - centre[:, None]
    size = np.where(np.isfinite(off), np.abs(off), 0.0)
    # A series that mostly rests has no spread between its tenths: its typical excursion stands in.
    mean_size = size.sum(axis=1) / np.maximum((size > 0).sum(axis=1), 1)
    unit = np.where(spread > 0.0, spread, mean_size)
    return np.asarray(np.clip(off / np.where(unit > 0.0, unit, 1.0)[:, None], -REACH, REACH))


def _spread(error: Matrix, known: npt.NDArray[np.bool_]) -> Matrix:
    """The robust deviation of each row: from the median size, or where most rest, the root of the mean square."""
    count = known.sum(axis=1)
    ordered = np.sort(np.where(known, np.abs(error), np.inf), axis=1)
    middle = ordered[np.arange(len(error)), np.maximum((count - 1) // 2, 0)]
    middle = np.where(count > 0, middle, 0.0)
    root = np.sqrt((error * error).sum(axis=1) / np.maximum(count, 1))
    robust = MAD_TO_SIGMA * middle
    return np.asarray(np.where(robust > 0.1 * root, robust, root))


def bartlett(squashed: Matrix) -> Matrix:
    """For each pair of rows the factor by which autocorrelation widens their cross-correlation; at least 1."""
    steps = squashed.shape[1]
    power = np.maximum((squashed * squashed).sum(axis=1), 1e-300)
    own = np.stack(
        [(squashed[:, lag:] * squashed[:, : steps - lag]).sum(axis=1) / power for lag in range(1, WHITE_LAGS + 1)],
        axis=1,
    )
    return np.asarray(np.maximum(1.0 + 2.0 * own @ own.T, 1.0))


def statistics(squashed: Matrix, most_lag: int) -> npt.NDArray[np.float64]:
    """The statistic for each lag 0…`most_lag`, leader (row) and follower (column): lags × rows × rows.

    Standard normal under independence. 0 on the diagonal, and where fewer than `LEAST` pairs are known.
    """
    rows, steps = squashed.shape
    square = squashed * squashed
    known = (squashed != 0.0).astype(np.float64)
    widen = 1.0 / np.sqrt(bartlett(squashed))
    np.fill_diagonal(widen, 0.0)
    found = np.zeros((most_lag + 1, rows, rows))
    for lag in range(min(most_lag, steps - 1) + 1):
        until = steps - lag
        spread = square[:, :until] @ square[:, lag:].T
        enough = spread > 0.0
        if not known.all():
            enough &= known[:, :until] @ known[:, lag:].T >= LEAST
        product = squashed[:, :until] @ squashed[:, lag:].T
        found[lag] = np.where(enough, product / np.sqrt(np.where(enough, spread, 1.0)), 0.0) * widen
    return found


def two_sided(statistic: float) -> float:
    """The p-value of a standard normal statistic.

    >>> round(two_sided(1.96), 3)
    0.05
    """
    return math.erfc(abs(statistic) / math.sqrt(2.0))


def poisson_tail(count: int, rate: float) -> float:
    """The probability of `count` or more where `rate` are expected.

    >>> round(poisson_tail(3, 0.5), 4)
    0.0144
    """
    if count <= 0:
        return 1.0
    if rate <= 0.0:
        return 0.0
    if count < rate:
        return 1.0
    term = math.exp(count * math.log(rate) - rate - math.lgamma(count + 1))
    total, index = 0.0, count
    while term > total * 1e-12 and index < count + 200:
        total += term
        index += 1
        term *= rate / index
    return min(total, 1.0)


def benjamini_hochberg(p_values: Sequence[float], tests: int) -> list[float]:
    """The q-value of each p-value, among `tests` tests of which those not given are taken for greater.

    Benjamini & Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995).

    >>> [round(q, 3) for q in benjamini_hochberg([0.01, 0.001, 0.04], 4)]
    [0.02, 0.004, 0.053]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    least, corrected = 1.0, [1.0] * len(order)
    for rank in range(len(order), 0, -1):
        index = order[rank - 1]
        least = min(least, p_values[index] * tests / rank)
        corrected[index] = least
    return corrected


def strength_at(leader: Matrix, follower: Matrix, lag: int) -> tuple[float, float, int]:
    """Correlation, statistic (without Bartlett's factor) and pairs compared of two rows, the second `lag` ≥ 0 later."""
    until = len(leader) - lag
    if until <= 0:
        return 0.0, 0.0, 0
    one, other = leader[:until], follower[lag:]
    both = (one != 0.0) & (other != 0.0)
    one, other = one[both], other[both]
    product = one * other
    spread, power = float(product @ product), float((one @ one) * (other @ other))
    if spread <= 0.0 or power <= 0.0:
        return 0.0, 0.0, int(both.sum())
    total = float(product.sum())
    return max(-1.0, min(total / math.sqrt(power), 1.0)), total / math.sqrt(spread), int(both.sum())


def lead_lag(a: Sequence[float], b: Sequence[float], most_lag: int) -> LeadLag | None:
    """Whether one of two aligned series follows the other within `most_lag` steps, by the motion statistic.

    `a` and `b` hold one value a step, NaN where there is none. None when there is too little to say anything. Where the
    corrected p-value is between 1e-4 and 0.2, it is replaced by the share of circular shifts of `b` (beyond `most_lag`)
    that hang together as well, when that is greater: shifts keep all autocorrelation, also what the whitening missed.
    The result has only one lag, the strongest; read `q_value` before using it.

    >>> import random
    >>> rnd = random.Random(1)
    >>> a = [rnd.gauss(0, 1) for _ in range(200)]
    >>> b = [0.0] * 7 + [0.8 * x + rnd.gauss(0, 0.5) for x in a[:-7]]
    >>> found = lead_lag(a, b, 30)
    >>> found.lag, found.strength > 0.6, found.q_value < 1e-6
    (7, True, True)
    """
    if len(a) != len(b):
        raise ValueError(f"the series are not aligned: {len(a)} and {len(b)} values")
    if most_lag < 0:
        raise ValueError(f"most_lag must not be negative, not {most_lag}")
    pair = np.array([a, b], dtype=np.float64)
    pair = np.where(np.isfinite(pair), np.clip(pair, -1e150, 1e150), np.nan)
    squashed = innovations(pair).squashed
    lags = min(most_lag, squashed.shape[1] - LEAST)
    if lags < 0 or (squashed != 0.0).sum(axis=1).min() < LEAST:
        return None
    found = statistics(squashed, lags)
    ahead, behind = np.abs(found[:, 0, 1]), np.abs(found[:, 1, 0])
    lag = int(np.argmax(np.maximum(ahead, behind)))
    leading = bool(ahead[lag] >= behind[lag])
    first, second = (squashed[0], squashed[1]) if leading else (squashed[1], squashed[0])
    statistic = float(max(ahead[lag], behind[lag]))
    strength, _, n = strength_at(first, second, lag)
    p_value = two_sided(statistic)
    q_value = min(1.0, p_value * (2 * lags + 1))
    if 1e-4 < q_value < 0.2:
        q_value = max(q_value, _by_shifts(squashed, lags, statistic))
    return LeadLag(lag if leading else -lag, strength, p_value, q_value, n)


def _by_shifts(squashed: Matrix, lags: int, statistic: float) -> float:
    """The share of circular shifts of the second row whose greatest statistic reaches `statistic`."""
    steps = squashed.shape[1]
    shifts = np.unique(np.linspace(2 * lags + 1, steps - 2 * lags - 1, SURROGATES).astype(int))
    if steps < 4 * lags + 3:
        return 0.0
    reached = 0
    for shift in shifts:
        turned = statistics(np.stack([squashed[0], np.roll(squashed[1], int(shift))]), lags)
        reached += bool(np.abs(turned).max() >= statistic)
    return (1 + reached) / (1 + len(shifts))
