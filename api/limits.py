"""How much one caller may ask for: a token bucket each."""

import time
from collections import OrderedDict
from collections.abc import Callable

CALLERS = 50_000
"""Buckets that are kept; whoever has not asked for longest begins with a full one again."""


class Buckets:
    """A bucket of `burst` requests a caller, filled at `rate` a second; rate 0 = no limit. For one thread.

    >>> now = [0.0]
    >>> buckets = Buckets(rate=2.0, burst=2, clock=lambda: now[0])
    >>> [buckets.wait("a") for _ in range(3)], buckets.wait("b")
    ([0.0, 0.0, 0.5], 0.0)
    >>> now[0] = 0.5
    >>> buckets.wait("a")
    0.0
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> float:
        """Take one: 0, or the seconds after which there is one again (nothing is taken then)."""
        if self._rate <= 0:
            return 0.0
        now = self._clock()
        left, at = self._buckets.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        taken = left >= 1.0
        self._buckets[caller] = (left - taken, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - left) / self._rate
