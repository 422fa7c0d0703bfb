"""The drift of outcomes: failures (of runs, or of a model's predictions) have become more frequent. HDDM_A.

Frías-Blanco et al., "Online and non-parametric drift detection methods based on Hoeffding's bounds", IEEE TKDE 27(3),
2015: the mean of all outcomes is compared with that of their most favourable beginning. It is River's `HDDMA` again,
one-sided, number for number (the tests compare them): two means are the whole state, while River's object costs 2 s of
import and would have to be put together from the snapshot for each value.

Hoeffding's bound assumes independent outcomes and nothing else; failures that come in bursts break it, so a drift is
told only if it is material as well (`LEAST_RISE`, `LEAST_FAILURES`). A drift is an event: abnormal once, then neither
for `HOLD` outcomes; the new rate is the reference from then on. A rate that falls is no news. It works slowly on rare
failures: from 1 % to 10 % it takes about 200 outcomes.
"""

import math

import msgspec

from operators.detect.stats import Z_ONE_SIDED_95, wilson_lower
from operators.detect.verdict import Verdict

LEAST_RISE = 0.05
"""Least rise of the rate, from the reference to the lower bound (95 %) of the new one, which is also above the upper
bound of the reference."""

LEAST_FAILURES = 5
"""Least failures since the change."""

LEAST_BEFORE = 30
"""Least outcomes before the change: the most favourable beginning of a few is a lucky one."""

HOLD = 20
"""Outcomes after a drift that are neither normal nor a new drift."""

MEMORY = 10_000.0
"""Outcomes after which all counts are halved: a reference is no older than that."""


class OutcomeConfig(msgspec.Struct, frozen=True):
    """`delta` is HDDM_A's confidence of a drift (River's `drift_confidence`)."""

    delta: float = 0.001


class OutcomeState(
    msgspec.Struct,
    gc=False,
    rename={"count": "n", "rate": "m", "best_count": "k", "best_rate": "b", "best_us": "t", "held": "h"},
):
    """Count and mean of all outcomes since the last drift, and of their most favourable beginning (until `best_us`)."""

    count: float = 0.0
    rate: float = 0.0
    best_count: float = 0.0
    best_rate: float = 0.0
    best_us: int = 0
    held: int = 0


def update(state: OutcomeState, time_us: int, failed: float, delta: float) -> bool:
    """Learn one outcome (1: failed, 0: not). True when HDDM_A tells a drift; the caller starts anew then.

    >>> state = OutcomeState()
    >>> told = [update(state, i, float(i % 10 == 0 or i > 300), 0.001) for i in range(340)]
    >>> told.index(True)
    304
    """
    count = state.count = state.count + 1.0
    state.rate += (failed - state.rate) / count
    if not state.best_count:
        state.best_count, state.best_rate, state.best_us = count, state.rate, time_us
    log = math.log(1.0 / delta)
    best = state.best_count
    if state.best_rate + math.sqrt(log / (2.0 * best)) >= state.rate + math.sqrt(log / (2.0 * count)):
        state.best_count, state.best_rate, state.best_us = count, state.rate, time_us
        return False
    bound = math.sqrt((count - best) / best / count / 2.0 * math.log(2.0 / delta))
    return state.rate - state.best_rate >= bound


def judge(
    state: OutcomeState, time_us: int, value: float, config: OutcomeConfig, always: bool = False
) -> Verdict | None:
    """Judge one outcome: `value` is 1 for a failure and 0 for none; what is not a number is ignored.

    `expected` is the rate before, `evidence` has `old`, `new` (rates), `since_us`, the outcomes and failures since.
    """
    if math.isnan(value):
        return None
    failed = 1.0 if value > 0.5 else 0.0
    drifted = update(state, time_us, failed, config.delta)
    count, best = state.count, state.best_count
    after = count - best
    failures = count * state.rate - best * state.best_rate
    new = failures / after if after else state.rate
    if drifted:
        least = wilson_lower(failures, after)
        most_before = 1.0 - wilson_lower(best * (1.0 - state.best_rate), best)
        drifted = least >= max(state.best_rate + LEAST_RISE, most_before)
        drifted = drifted and failures >= LEAST_FAILURES and best >= LEAST_BEFORE
    verdict = None
    if drifted:
        old = state.best_rate
        z = (new - old) / math.sqrt(max(old * (1.0 - old), 1.0 / (best + 2.0)) / after)
        verdict = Verdict(
            score=max(z / Z_ONE_SIDED_95, 1.0),
            threshold=1.0,
            expected=old,
            low=0.0,
            high=min(1.0, old + math.sqrt(math.log(1.0 / config.delta) / (2.0 * best))),
            direction="up",
            # A short reference is worth less.
            confidence=min(0.98, max(0.0, 1.0 - 0.3 * (1.0 + LEAST_BEFORE / best) / max(z / 3.0, 1.0))),
            abnormal=True,
            evidence={
                "kind": "errors",
                "old": round(old, 4),
                "new": round(new, 4),
                "since_us": state.best_us,
                "outcomes": round(after),
                "failures": round(failures),
            },
        )
        state.count = state.rate = state.best_count = state.best_rate = 0.0
        state.held = HOLD
    elif state.held or always:
        state.held = max(0, state.held - 1)
        score = min(0.99, max(0.0, new - state.best_rate))
        verdict = Verdict(score, 1.0, state.best_rate, 0.0, 1.0, "up", 0.0, False, {"kind": "errors"})
    if state.count > MEMORY:
        state.count, state.best_count = state.count / 2.0, max(1.0, state.best_count / 2.0)
    return verdict
