"""Overdue runs: started, and not finished when their own history says that they should be.

One state per pipeline (or project of tasks). It keeps how long the last `RING` successful runs took, and which runs are
under way; from the durations comes a limit, and a run that has been under way for longer is overdue.

**The limit** is the greatest of three, on a log scale, since durations spread by ratio:

- the median plus `REACH` deviations, where the deviation is the upper decile's distance over its Gaussian quantile, or
  1.4826 times the median absolute deviation, whichever is greater, and never less than `LEAST_DEVIATION`;
- `MARGIN` times the longest run remembered: what has succeeded lately is no news. n runs of one sort are exceeded by
  the next in one of n + 1 cases, and by a margin in fewer;
- `LEAST_US`, below which nobody waits.

A run that took longer than twice the limit is remembered as twice the limit, so that one that hung blinds nobody. Only
runs that succeeded teach: failed ones may be short, and what a timeout ended tells how long the timeout is.

It needs no polling: `due_us` says when the next verdict could come. Between `started`, `finished` and that time `check`
says what it said before. While an episode is open it must be checked about once a minute, so that it can resolve.

It does not work well on a pipeline that does quite different things under one name, one of them in less than one of 32
runs (a yearly full rebuild is overdue), nor where more than `MOST_RUNNING` run at once: the others are not watched. It
needs the stream's time to go on: of a partition in which nothing happens any more nothing is overdue.
"""

import math
from hashlib import blake2b

import msgspec

from operators.detect.stats import MAD_TO_SIGMA, median, median_deviation, quantile
from operators.detect.verdict import Verdict

RING = 32
"""Durations that are remembered."""

WARM_UP = 10
"""Durations before anything is overdue."""

REACH = 4.0
"""Deviations above the median, on the log scale."""

LEAST_DEVIATION = 0.1
"""Least deviation taken, on the log scale: a pipeline that always takes ten minutes may take fifteen."""

MARGIN = 1.25
"""Factor on the longest run remembered."""

LEAST_US = 60_000_000
"""Least limit: one minute."""

MOST_RUNNING = 12
"""Runs under way that are watched."""

MOST_DONE = 12
"""Finished runs whose names are remembered, so that events out of order start nothing anew."""

FORGET_LIMITS = 20.0
"""Limits after which a run is given up: its end was lost ..."""

FORGET_US = 86_400_000_000
"""... but not within a day, ..."""

FORGET_MOST_US = 7 * 86_400_000_000
"""... and after a week in any case."""

NAME_LENGTH = 40
"""Longer names of runs are cut, with a digest of the whole, which bounds the state."""

AGAIN_US = 60_000_000
"""Time between two checks of a run that is overdue."""

SCORE_LIMIT = 1e6
"""Greatest score: beyond it says nothing more."""


class OverdueConfig(msgspec.Struct, frozen=True):
    """How patient the track is: `patience` multiplies the limit."""

    patience: float = 1.0


class OverdueState(
    msgspec.Struct,
    gc=False,
    rename={"ring": "w", "limit_us": "l", "usual_us": "m", "low_us": "o", "high_us": "h", "running": "r", "done": "d"},
):
    """What is known of one pipeline: at most 1.5 kB as msgpack.

    `ring`: durations in µs, oldest first. `usual_us`, `low_us`, `high_us` (median, 5 % and 95 %) and `limit_us` follow
    from it, 0 before `WARM_UP`. `running`: starts in µs by run. `done`: starts of finished runs by digest, oldest
    first.
    """

    ring: list[float] = msgspec.field(default_factory=list)
    limit_us: float = 0.0
    usual_us: float = 0.0
    low_us: float = 0.0
    high_us: float = 0.0
    running: dict[str, int] = msgspec.field(default_factory=dict)
    done: dict[int, int] = msgspec.field(default_factory=dict)


def started(state: OverdueState, run: str, start_us: int) -> None:
    """Run `run` has started at `start_us`. Told twice, or after its end, it changes nothing; a later start restarts it.

    >>> state = OverdueState()
    >>> started(state, "build-7", 1_000_000); started(state, "build-7", 1_000_000); state.running
    {'build-7': 1000000}
    """
    name, digest = _name(run)
    if state.done and start_us <= state.done.get(digest, start_us - 1):
        return
    running = state.running
    known = running.get(name)
    if known is None and len(running) >= MOST_RUNNING:
        _forget(state, start_us)
        if len(running) >= MOST_RUNNING:
            return
    if known is None or start_us > known:
        running[name] = start_us


def finished(state: OverdueState, run: str, start_us: int, end_us: int, status: str) -> None:
    """Run `run` has ended, with a status word of the contract. Its start need not have been told; told twice it counts
    once.

    >>> state = OverdueState()
    >>> for day in range(10):
    ...     finished(state, str(day), day * 86_400_000_000, day * 86_400_000_000 + 600_000_000, "success")
    >>> round(state.usual_us / 6e7), round(state.limit_us / 6e7)
    (10, 15)
    """
    name, digest = _name(run)
    running, done = state.running, state.done
    known = running.get(name)
    if known is not None and known <= max(start_us, end_us):
        del running[name]
    before = done.get(digest)
    if before is not None and start_us <= before:
        return
    if before is not None:
        del done[digest]
    elif len(done) >= MOST_DONE:
        del done[next(iter(done))]
    done[digest] = start_us
    elapsed = float(end_us - start_us)
    if status == "success" and elapsed >= 0.0:
        _learn(state, elapsed)


def due_us(state: OverdueState, now_us: int, config: OverdueConfig) -> int | None:
    """When to call `check` next (event time in µs): a run would become overdue then, or is, and has to be judged again.

    None: nothing is under way, or too little is known. With an open episode `check` is due each minute all the same.

    >>> state = OverdueState(limit_us=900e6, running={"build-7": 0})
    >>> due_us(state, 1, OverdueConfig()), due_us(state, 1_000_000_000, OverdueConfig())
    (900000001, 1060000000)
    """
    if not state.limit_us or not state.running:
        return None
    limit = state.limit_us * config.patience
    first = min(state.running.values())
    if now_us - first > limit:
        return now_us + AGAIN_US
    return first + math.floor(limit) + 1


def check(state: OverdueState, now_us: int, config: OverdueConfig) -> Verdict | None:
    """Whether a run is overdue at stream time `now_us`; None if none is. It changes nothing but giving up lost runs.

    The verdict is on the run that started first. `score` is its time under way over the limit, `threshold` is 1;
    `expected`, `low` and `high` are seconds: median, 5 % and 95 % of the durations. `confidence` is
    1 - 0.3 limit / time under way, with a limit up to 1.5 times as great until 20 durations are known.

    >>> state, minute = OverdueState(), 60_000_000
    >>> for day in range(32):
    ...     finished(state, str(day), day * 1440 * minute, (day * 1440 + 10) * minute, "success")
    >>> started(state, "build-7", 50_000 * minute)
    >>> check(state, 50_014 * minute, OverdueConfig())
    >>> late = check(state, 50_020 * minute, OverdueConfig())
    >>> late.abnormal, late.evidence["run"], late.evidence["running_s"], round(late.expected), late.confidence > 0.7
    (True, 'build-7', 1200.0, 600, True)
    """
    running = state.running
    if not state.limit_us or not running:
        return None
    limit = state.limit_us * config.patience
    first = min(running.values())
    if now_us - first <= limit:
        return None
    _forget(state, now_us)
    late = sorted([(start, run) for run, start in running.items() if now_us - start > limit])
    if not late:
        return None
    elapsed = float(now_us - late[0][0])
    score = min(elapsed / limit, SCORE_LIMIT)
    known = len(state.ring)
    young = max(1.0, 2.0 - known / (2.0 * WARM_UP))
    return Verdict(
        score=score,
        threshold=1.0,
        expected=state.usual_us / 1e6,
        low=state.low_us / 1e6,
        high=state.high_us / 1e6,
        direction="up",
        confidence=max(0.0, 1.0 - 0.3 * young / score),
        abnormal=True,
        evidence={
            "run": late[0][1],
            "running_s": round(elapsed / 1e6, 1),
            "limit_s": round(limit / 1e6, 1),
            "usual_s": round(state.usual_us / 1e6, 1),
            "p95_s": round(state.high_us / 1e6, 1),
            "overdue": len(late),
            "under_way": len(running),
            "runs_known": known,
        },
    )


def _name(run: str) -> tuple[str, int]:
    digest = int.from_bytes(blake2b(run.encode(), digest_size=7).digest())
    if len(run.encode()) > NAME_LENGTH:
        run = f"{run.encode()[: NAME_LENGTH - 18].decode(errors='ignore')}…{digest:014x}"
    return run, digest


def _forget(state: OverdueState, now_us: int) -> None:
    """Give up runs whose end must have been lost."""
    age = min(max(FORGET_LIMITS * state.limit_us, FORGET_US), FORGET_MOST_US)
    for run, start in list(state.running.items()):
        if now_us - start > age:
            del state.running[run]


def _learn(state: OverdueState, elapsed_us: float) -> None:
    """Remember a duration, and find the limit anew."""
    ring = state.ring
    if state.limit_us:
        elapsed_us = min(elapsed_us, 2.0 * state.limit_us)
    ring.append(elapsed_us)
    if len(ring) > RING:
        del ring[0]
    if len(ring) < WARM_UP:
        return
    ordered = sorted(ring)
    logs = [math.log(max(item, 1.0)) for item in ordered]
    middle = median(logs)
    deviation = max(
        (quantile(logs, 0.9) - middle) / 1.2816,
        MAD_TO_SIGMA * median_deviation(logs, middle),
        LEAST_DEVIATION,
    )
    state.usual_us = median(ordered)
    state.low_us = min(quantile(ordered, 0.05), state.usual_us)
    state.high_us = max(quantile(ordered, 0.95), state.usual_us)
    reach = math.exp(min(middle + REACH * deviation, 60.0))
    state.limit_us = max(reach, MARGIN * ordered[-1], float(LEAST_US))
