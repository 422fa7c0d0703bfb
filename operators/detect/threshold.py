"""Rules: a value above a limit that somebody set (specification 4.4, `alert_thresholds`).

`high_cpu_usage`, `high_memory_usage` and `slow_response_time` judge each event as it arrives (`judge`);
`high_error_rate` judges counts of outcomes over the last minutes (`judge_rate`).

That a value lies above a limit is a fact; that it means something is not, when it is one reading just above. So each
reading in a row above the limit adds evidence, more when it is far above: one reading 10 % above the limit is
enough to be told, two in a row are enough anywhere above it (`EVIDENCE_EACH`, `EVIDENCE_MARGIN`).
"""

import math
from collections.abc import Mapping

import msgspec

from operators.detect.stats import Z_ONE_SIDED_95, wilson_lower
from operators.detect.verdict import Verdict

CLEAR_SHARE = 0.95
"""A value is plainly normal again at this share of the limit; between the two nothing opens and nothing closes."""

EVIDENCE_EACH = 0.7
"""Evidence of one reading just above the limit: a confidence of 1 - exp(-0.7) = 0.50; two in a row 0.75, three 0.88."""

EVIDENCE_MARGIN = 6.0
"""Evidence of a reading per 100 % above the limit: one reading 10 % above has a confidence of 0.73, 50 % above 0.98."""

EVIDENCE_LIMIT = 6.0
"""Evidence beyond which more says nothing: a confidence of 0.9975."""

MARGIN_LIMIT = 0.5
"""Margin above the limit that one reading can count for."""

HABIT_US = 7 * 86_400_000_000
"""Memory of how much of the time a series is above its limit: 7 days."""

HABIT_SHARE = 0.05
"""Above its limit for more than this share of the last days, a series is so by habit."""

HABIT_GAP_US = 3_600_000_000
"""What a reading counts for at most: nobody knows how it was in a longer gap."""

SCORE_MARGIN = 3.0
"""Score that the whole way from the limit to the top adds: 1 at the limit, 4 at the top (or twice the limit)."""

SCORE_LIMIT = 1e6
"""Greatest score: beyond it says nothing more."""

WINDOW_US = 300_000_000
"""Outcomes of the last 5 minutes count for a rate."""

BUCKET_US = 10_000_000
"""Outcomes are kept by 10 s, which bounds the state whatever the number of outcomes."""

LEAST_OUTCOMES = 20
"""Older outcomes stay while fewer than this would be left ..."""

OLDEST_US = 30 * 86_400_000_000
"""... but none of over 30 days: a run of last spring says nothing of the rate now, however few have followed."""

JUDGED_OUTCOMES = 10
"""A rate of fewer outcomes is not judged."""

JUDGED_FAILURES = 3
"""A rate with fewer failures opens nothing: Wilson's bound alone would speak up at the first run that fails."""

Z_USUAL = 3.5
"""Where a series usually fails more than the limit allows, its own rate is the limit, and the bound one of 99.98 %:
against a rate that holds, the windows of a thousand runs would break one of 95 % dozens of times."""


class Rule(msgspec.Struct, frozen=True):
    """A limit in the series' own unit. `top` is the value that is as bad as it gets, or None.

    `counts` is true for a rule on the share of failures (`judge_rate`), false for one on each value (`judge`).
    """

    name: str
    measure: str
    limit: float
    unit: str
    top: float | None = None
    counts: bool = False

    @property
    def clear(self) -> float:
        """The value (in the series' unit) at and below which a reading is plainly normal."""
        return self.limit if self.counts else self.limit * CLEAR_SHARE

    def score(self, value: float) -> float:
        """1 at the limit, 4 at the top of the range, or at twice the limit where there is no top.

        >>> Rule("high_cpu_usage", "cpu_usage", 80.0, "%", top=100.0).score(90.0)
        2.5
        """
        room = self.limit if self.top is None or self.top <= self.limit else self.top - self.limit
        return max(0.0, min(1.0 + SCORE_MARGIN * ((value - self.limit) / room), SCORE_LIMIT))


_RULES: Mapping[str, tuple[str, float, float, str, float | None, bool]] = {
    # measure: rule, its default, its unit in the series' unit, the series' unit, top, on counts
    "cpu_usage": ("high_cpu_usage", 0.8, 100.0, "%", 100.0, False),
    "memory_usage": ("high_memory_usage", 0.85, 100.0, "%", 100.0, False),
    "processing_ms": ("slow_response_time", 2.0, 1000.0, "ms", None, False),
    "failed": ("high_error_rate", 0.05, 1.0, "share of runs", 0.5, True),
}

DEFAULT_THRESHOLDS: Mapping[str, float] = {name: limit for name, limit, *_ in _RULES.values()}
"""The specification's `alert_thresholds`: ratios, and seconds for `slow_response_time`."""


def rule_for(measure: str, thresholds: Mapping[str, float] = DEFAULT_THRESHOLDS) -> Rule | None:
    """The rule that watches series of `measure`, or None. A rule that `thresholds` does not name is off.

    >>> rule_for("processing_ms", {"slow_response_time": 1.5}).limit, rule_for("disk_usage")
    (1500.0, None)
    """
    if measure not in _RULES:
        return None
    name, _, factor, unit, top, counts = _RULES[measure]
    limit = thresholds.get(name)
    if limit is None:
        return None
    if not 0.0 < limit < math.inf:
        raise ValueError(f"alert threshold {name} must be a positive number, not {limit}")
    if top is not None and limit > 1.0:
        raise ValueError(f"alert threshold {name} must be a ratio between 0 and 1, not {limit}")
    return Rule(name, measure, limit * factor, unit, top, counts)


class ThresholdState(
    msgspec.Struct,
    gc=False,
    rename={"streak": "n", "weight": "e", "last_us": "t", "share": "s", "usual": "u"},
):
    """Readings in a row above the limit, and the evidence that they add up to.

    `share` of the last days (`HABIT_US`) was spent above the limit as of `last_us`; `usual`: more than `HABIT_SHARE`
    when the present streak began.
    """

    streak: int = 0
    weight: float = 0.0
    last_us: int = 0
    share: float = 0.0
    usual: bool = False

    def spend(self, time_us: int) -> None:
        """Time has passed as it was at the last reading."""
        if self.last_us:
            gap = min(max(time_us - self.last_us, 0), HABIT_GAP_US)
            now = 1.0 if self.streak else 0.0
            self.share -= math.expm1(-gap / HABIT_US) * (now - self.share)
        self.last_us = max(time_us, self.last_us)


def judge(state: ThresholdState, rule: Rule, value: float, time_us: int | None = None) -> Verdict | None:
    """Judge one reading. None: at or below `rule.clear`. Not abnormal: between that and the limit, the streak holds.

    With the event time (µs) it learns how usual it is for the series to be above the limit: where that is a habit,
    `evidence["usual"]` is the share of time, and the pattern wakes nobody (`operators.patterns`).

    >>> state, rule = ThresholdState(), rule_for("cpu_usage")
    >>> [round(judge(state, rule, value).confidence, 2) for value in (80.5, 80.5, 99.0)]
    [0.52, 0.77, 0.97]
    >>> judge(state, rule, 60.0), round(judge(state, rule, 88.0).confidence, 2)
    (None, 0.73)
    """
    if time_us is not None:
        state.spend(time_us)
    if not value > rule.clear:
        if state.streak:
            state.streak, state.weight = 0, 0.0
        return None
    above = value > rule.limit
    if above:
        if not state.streak:
            state.usual = state.share > HABIT_SHARE
        state.streak += 1
        margin = min((value - rule.limit) / rule.limit, MARGIN_LIMIT)
        state.weight = min(state.weight + EVIDENCE_EACH + EVIDENCE_MARGIN * margin, EVIDENCE_LIMIT)
    evidence: dict[str, int | float | str] = {
        "rule": rule.name, "limit": rule.limit, "unit": rule.unit, "in_a_row": state.streak,
    }  # fmt: skip
    if state.usual:
        evidence["usual"] = round(state.share, 4)
    return Verdict(
        score=rule.score(value),
        threshold=1.0,
        expected=rule.limit,
        low=0.0,
        high=rule.limit,
        direction="up",
        confidence=1.0 - math.exp(-state.weight),
        abnormal=above,
        evidence=evidence,
    )


class RateState(msgspec.Struct, gc=False, rename={"slots": "s", "counts": "n", "failures": "f"}):
    """Outcomes by 10 s (`slots`, µs // `BUCKET_US`, rising), of the last 5 minutes or the last 20 of the last 30 days.

    At most 31 slots of the window and 20 older ones, so under 700 bytes as msgpack.
    """

    slots: list[int] = msgspec.field(default_factory=list)
    counts: list[int] = msgspec.field(default_factory=list)
    failures: list[int] = msgspec.field(default_factory=list)

    @property
    def rate(self) -> float:
        """The share of failures in the window, 0 when it is empty."""
        total = sum(self.counts)
        return sum(self.failures) / total if total else 0.0

    def update(self, time_us: int, n: int, failures: int) -> None:
        """Count `n` outcomes of which `failures` failed, at event time `time_us`.

        Outcomes older than the newest slot count as of that slot: the order of arrival within a window is no news.
        Raises ValueError unless 0 <= failures <= n.
        """
        if not 0 <= failures <= n:
            raise ValueError(f"{failures} failures of {n} outcomes")
        if n == 0:
            return
        slot = time_us // BUCKET_US
        slots, counts, failed = self.slots, self.counts, self.failures
        if slots and slot <= slots[-1]:
            counts[-1] += n
            failed[-1] += failures
        else:
            slots.append(slot)
            counts.append(n)
            failed.append(failures)
        oldest = slots[-1] - WINDOW_US // BUCKET_US
        far = slots[-1] - OLDEST_US // BUCKET_US
        gone = 0
        left = sum(counts)
        while slots[gone] < oldest and (slots[gone] < far or left - counts[gone] >= LEAST_OUTCOMES):
            left -= counts[gone]
            gone += 1
        if gone:
            del slots[:gone], counts[:gone], failed[:gone]


def judge_rate(
    state: RateState, rule: Rule, time_us: int, n: int, failures: int, own: float | None = None
) -> Verdict | None:
    """Count outcomes, then judge their rate. None: at or below the limit, or too few to say.

    Abnormal when Wilson's one-sided 95 % lower bound of the rate is above the limit, with at least 3 failures among at
    least 10 outcomes; in between not abnormal. `confidence` is the normal probability of the score test for "the rate
    is above the limit", which is 0.95 exactly where that bound is the limit. `score` grades the bound, not the rate.
    What has been judged, and belongs in an episode as its value, is `state.rate`.

    `own` is the share of failures that is usual for this series (`burst.usual`), if known. Where it is above the limit
    it takes the limit's place, and the bound has to be above it at `Z_USUAL`: that such a pipeline fails a lot was said
    when it was new, and is not said each day. `evidence["usual"]` is there then: that it is above the rule's limit is
    no news, and whether it is worse than ever is for `burst` and `drift` to say.

    >>> state, rule = RateState(), rule_for("failed")
    >>> judge_rate(state, rule, 0, 17, 0), judge_rate(state, rule, 1, 1, 1).abnormal
    (None, False)
    >>> verdict = judge_rate(state, rule, 2, 3, 3)
    >>> verdict.abnormal, verdict.evidence["rate"], verdict.confidence > 0.99
    (True, 0.1905, True)
    """
    state.update(time_us, n, failures)
    total, failed = sum(state.counts), sum(state.failures)
    if total < JUDGED_OUTCOMES:
        return None
    rate = failed / total
    usual = min(own, 1.0) if own is not None and own > rule.limit else None
    limit, surely = (rule.limit, Z_ONE_SIDED_95) if usual is None else (usual, Z_USUAL)
    if rate <= limit:
        return None
    bound = wilson_lower(failed, total, surely)
    z = (rate - limit) / math.sqrt(limit * (1.0 - limit) / total) if limit < 1.0 else 0.0
    evidence: dict[str, int | float | str] = {
        "rule": rule.name, "limit": limit, "unit": rule.unit, "rate": round(rate, 4), "lower_bound": round(bound, 4),
        "outcomes": total, "failures": failed,
        "window_s": round((state.slots[-1] - state.slots[0] + 1) * BUCKET_US / 1e6),
    }  # fmt: skip
    if usual is not None:
        evidence["usual"] = round(usual, 4)
    return Verdict(
        score=rule.score(bound) / rule.score(limit),
        threshold=1.0,
        expected=limit,
        low=0.0,
        high=limit,
        direction="up",
        confidence=min(0.5 * (1.0 + math.erf(z / math.sqrt(2.0))), 0.999),
        abnormal=bound > limit and failed >= JUDGED_FAILURES,
        evidence=evidence,
    )
