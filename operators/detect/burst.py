"""Failure bursts: outcomes that fail far more often than the same series usually does.

The question is sequential: has the share of failures risen, at some moment that nobody told? The answer is a CUSUM of
likelihood ratios (Page, "Continuous inspection schemes", Biometrika 41, 1954), in three sizes at once:

- **usual**: each outcome is foretold from the history before it, a Beta posterior: p = (1 + failures) / (2 + outcomes).
  Ten outcomes foretell badly and so accuse badly: the first runs ever can't fire, and a young series needs more.
- **burst**: the odds of a failure are `ODDS` times as great as they were when the sum began: q = o p / (1 + (o - 1) p).
  Of n outcomes with k failures the log of the ratio is k log(q / p) + (n - k) log((1 - q) / (1 - p)).
- Each size sums these and starts anew at zero. The greatest of the sums is the score. Only p goes on learning while a
  sum grows: what few outcomes can't tell from chance is left to chance, and what lasts becomes usual in the end.

**Continuous testing** is paid for by the threshold: a CUSUM of likelihood ratios that opens at log(A) opens falsely at
most once in A judgements on average (Lorden, "Procedures for reacting to a change in distribution", Annals of
Mathematical Statistics 42, 1971: no CUSUM exceeds the sum over all starting points, whose mean grows by 1 a judgement),
and three at log(3 A) together as well. A is `SPACING` judgements or `SPACING_US`, whichever is longer: so a series that
is judged every ten seconds opens no oftener by accident than one that runs each hour.

What this gives: after 300 runs that went well the third failure in a row opens; where 45 % fail, about 16 in a row do.
A burst stays one while it lasts, and ends by the same test turned round: the outcomes since are `END_ODDS` times as
likely at the usual rate as at the burst's. Outcomes of a burst count for a quarter in the history, so that a branch
that is broken for a week is not the usual thing at once, but is in time.

Counts of a pane (n outcomes at once) are rarely independent. `spread` learns by how much their variance exceeds the
binomial one (quasi-likelihood: McCullagh & Nelder, "Generalized Linear Models", 1989, 4.5), and divides the evidence.

It relates to the rule `high_error_rate` (`threshold.judge_rate`) as a surprise does to a limit: the rule says that
more than 5 % fail, whatever is usual, and needs ten outcomes; this says that it is more than it was, wherever that
lies, from the third failure on, and never of a series without a history. A pipeline that fails from its first run on is
the rule's, one that starts to fail is told by this first, and where failing has become usual (`usual`) the rule takes
that for its limit.

It does not work well on a rise below twice the usual odds (nothing is said, however long it lasts), on rare failures
that become five times as frequent (from 0.1 % to 0.5 %: thousands of outcomes, if ever), on failures that come in
clusters of several runs by themselves (one broken dependency, each time told as a burst), and after a change for the
better, until the history has forgotten the worse.
"""

import math

import msgspec

from operators.detect.verdict import Verdict

ODDS = (4.0, 16.0, 512.0)
"""Sizes of burst that are looked for, as factors of the odds: from twice the usual share of failures on, to nearly all
of them in a series that hardly ever failed."""

SPACING = 50_000
"""Judgements between two false openings, at least and on average."""

SPACING_US = 90 * 86_400_000_000
"""Event time between two false openings: a series that is judged more often than 50,000 times in 90 days has to show
more."""

LEAST_FAILURES = 3
"""Failures of a burst, at least: one is none, two may share a cause that is gone."""

LEAST_HISTORY = 10.0
"""Outcomes of the history, at least."""

MEMORY_US = 30 * 86_400_000_000
"""The history's memory in time: an outcome of 30 days ago counts for 1/e ..."""

MEMORY_LEAST = 500.0
"""... but never so that fewer outcomes than this are left: a pipeline with two runs a week has a history too."""

MOST_RATE = 1.0 - 1e-9
"""Greatest usual share of failures: a history of 10^9 failures doesn't prove that the next outcome fails."""

BURST_WEIGHT = 0.25
"""What an outcome counts in the history while a burst is under way or suspected (`CLEAR_SHARE`)."""

CLEAR_SHARE = 0.5
"""Share of the threshold below which a score is plainly normal."""

END_ODDS = 50.0
"""How much likelier the outcomes since must be at the usual rate than at the burst's, for it to be over."""

END_SHARE = 1.5
"""A burst whose odds are below this many times the usual ones is taken for the new usual rate, and is over too."""

SCORE_LIMIT = 60.0
"""Greatest score: odds of 10^26 say no more than that."""

SPREAD_LEAST = 5
"""Outcomes of a pane that teach how far panes are from independent."""

SPREAD_BLOCK = 30
"""Panes that are summed before their variance is looked at, so that a rate that wanders within minutes counts too."""

SPREAD_RATE = 0.03
"""Learning rate of the spread: a memory of about 30 blocks, once there were as many."""

SPREAD_LIMIT = 16.0
"""What one block may add to the spread, in binomial variances."""

SPREAD_WEIGHT = 1.5
"""How far the excess of the spread is believed: clusters have heavier tails than their variance tells, and it is no
more than an estimate."""

USUAL_AFTER = 100.0
"""Outcomes after which the history is taken for what is usual (`usual`)."""

_LOG_END = math.log(END_ODDS)
_LEAST_CLEAR = CLEAR_SHARE * math.log(len(ODDS) * SPACING)


class BurstConfig(msgspec.Struct, frozen=True):
    """How ready the track is to speak: `spacing` and `spacing_us` are as `SPACING` and `SPACING_US`."""

    spacing: float = SPACING
    spacing_us: float = SPACING_US
    least_failures: int = LEAST_FAILURES


class BurstState(
    msgspec.Struct,
    gc=False,
    rename={
        "good": "g",
        "bad": "b",
        "last_us": "t",
        "cadence_us": "c",
        "spread": "v",
        "block": "w",
        "scores": "s",
        "hit_logs": "h",
        "miss_logs": "m",
        "outcomes": "n",
        "failures": "k",
        "since_us": "u",
        "active": "a",
        "ending": "e",
    },
):
    """What the track knows of one series: at most 300 bytes as msgpack.

    `good` and `bad` are the history (outcomes, decayed). `block`: panes, failures off what was foretold and their
    variance if independent, of the present block, and the number of blocks. `scores`, `outcomes`, `failures`,
    `since_us`: by size of burst, the sum and what it is of; `hit_logs`, `miss_logs`: the logs of the share of failures
    that it looks for, and of the others; all empty while all sums are zero. `active`: in a burst; `ending`: the
    evidence that it is over.
    """

    good: float = 0.0
    bad: float = 0.0
    last_us: int = 0
    cadence_us: float = 0.0
    spread: float = 1.0
    block: list[float] = msgspec.field(default_factory=list)
    scores: list[float] = msgspec.field(default_factory=list)
    hit_logs: list[float] = msgspec.field(default_factory=list)
    miss_logs: list[float] = msgspec.field(default_factory=list)
    outcomes: list[int] = msgspec.field(default_factory=list)
    failures: list[int] = msgspec.field(default_factory=list)
    since_us: list[int] = msgspec.field(default_factory=list)
    active: bool = False
    ending: float = 0.0


def usual(state: BurstState) -> float | None:
    """The share of failures that is usual for the series, 0 to 1; None before `USUAL_AFTER` outcomes.

    >>> usual(BurstState(good=55.0, bad=45.0)), usual(BurstState(good=5.0, bad=4.0))
    (0.45098039215686275, None)
    """
    total = state.good + state.bad
    return (state.bad + 1.0) / (total + 2.0) if total >= USUAL_AFTER else None


def judge_value(
    state: BurstState, time_us: int, value: float, config: BurstConfig, always: bool = False
) -> Verdict | None:
    """`judge` for one outcome as a series has it: 0 went well, 1 failed. What is neither counts as the nearer one.

    >>> state, config = BurstState(), BurstConfig()
    >>> [judge_value(state, run * 3_600_000_000, 0.0, config) for run in range(300)] == [None] * 300
    True
    >>> [judge_value(state, run * 3_600_000_000, 1.0, config) is not None for run in (300, 301)]
    [False, True]
    >>> third = judge_value(state, 302 * 3_600_000_000, 1.0, config)
    >>> third.abnormal, third.evidence["failures"], third.evidence["outcomes"]
    (True, 3, 3)
    """
    return judge(state, time_us, 1, 1 if value > 0.5 else 0, config, always)


def judge(
    state: BurstState, time_us: int, n: int, failures: int, config: BurstConfig, always: bool = False
) -> Verdict | None:
    """Judge `n` outcomes of which `failures` failed, by those before them, then learn them.

    None: plainly usual, or no history yet. Not abnormal: something adds up, or a burst goes on with an outcome that
    went well. `score` and `threshold` are logs of likelihood ratios; `expected` is the usual share of failures, `high`
    what as many outcomes rarely exceed. `confidence` is C / (C + 0.43 A) of a ratio C: the posterior probability of a
    burst when one in 0.43 A judgements starts one, so 0.7 where it opens. With `always` there is a verdict for each
    judgement that has a history.
    Raises ValueError unless 0 <= failures <= n.

    >>> state, config = BurstState(), BurstConfig()
    >>> for pane in range(200):
    ...     said = judge(state, pane * 10_000_000, 50, 1 if pane % 5 else 2, config)
    >>> said is None, judge(state, 2_000_000_000, 50, 30, config).abnormal
    (True, True)
    """
    if not 0 <= failures <= n:
        raise ValueError(f"{failures} failures of {n} outcomes")
    if n == 0:
        return None
    good, bad = state.good, state.bad
    total = good + bad
    gap = float(time_us - state.last_us) if total else 0.0
    if gap > 0.0:
        state.last_us = time_us
        if total > MEMORY_LEAST:
            kept = max(1.0 / (1.0 + gap / MEMORY_US), MEMORY_LEAST / total)
            good, bad, total = good * kept, bad * kept, total * kept
            state.good, state.bad = good, bad
    elif gap < 0.0:
        gap = 0.0
    elif not total:
        state.last_us = time_us
    cadence = state.cadence_us
    state.cadence_us = cadence + 0.05 * (gap - cadence) if cadence else gap

    verdict = None
    weight = 1.0
    if total >= LEAST_HISTORY:
        # Of several outcomes at once each is foretold by those before it as well: half of the others on average.
        before = 0.5 * (n - 1) / n
        rate = (bad + 1.0 + failures * before) / (total + 2.0 + 0.5 * (n - 1))
        rate = min(rate, MOST_RATE)
        if n >= SPREAD_LEAST and not state.active:
            _learn_spread(state, failures - n * rate, n * rate * (1.0 - rate))
        if failures or state.scores:
            verdict = _sum_up(state, config, time_us, n, failures, rate, always)
            if verdict is not None and (state.active or verdict.score > _LEAST_CLEAR):
                weight = BURST_WEIGHT
        elif always:
            verdict = _verdict(state, 0.0, _threshold(state, config), rate, 0, False)
    state.good += weight * (n - failures)
    state.bad += weight * failures
    return verdict


def _learn_spread(state: BurstState, off: float, variance: float) -> None:
    if not state.block:
        state.block = [0.0, 0.0, 0.0, 0.0]
    block = state.block
    block[0] += 1.0
    block[1] += off
    block[2] += variance
    if block[0] >= SPREAD_BLOCK:
        blocks = block[3] + 1.0
        pace = max(SPREAD_RATE, 1.0 / (blocks + 1.0))
        state.spread += pace * (min(block[1] * block[1] / block[2], SPREAD_LIMIT) - state.spread)
        state.block = [0.0, 0.0, 0.0, blocks]


def _sum_up(
    state: BurstState, config: BurstConfig, time_us: int, n: int, failures: int, rate: float, always: bool
) -> Verdict | None:
    """Add the evidence of `n` outcomes at usual `rate` to each size's sum, and say what it amounts to."""
    scores, outcomes, failed = state.scores, state.outcomes, state.failures
    if not scores:
        state.scores = scores = [0.0, 0.0, 0.0]
        state.hit_logs, state.miss_logs = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        state.outcomes = outcomes = [0, 0, 0]
        state.failures = failed = [0, 0, 0]
        state.since_us = [time_us, time_us, time_us]
    hits, well = float(failures), float(n - failures)
    if state.spread > 1.0:
        trust = 1.0 / (1.0 + SPREAD_WEIGHT * (state.spread - 1.0))
        hits, well = hits * trust, well * trust
    # Of each size: hits log(q / p) + well log((1 - q) / (1 - p)).
    usually = hits * math.log(rate) + well * math.log(1.0 - rate)
    best, top = 0.0, -1
    for size, score in enumerate(scores):
        if score <= 0.0:
            if failures <= n * rate:  # Below what is usual no size gains.
                continue
            _begin(state, size, rate, time_us)
            score = 0.0  # noqa: PLW2901 -- the sum starts anew
        total = score + hits * state.hit_logs[size] + well * state.miss_logs[size] - usually
        if total > SCORE_LIMIT:  # noqa: PLR1730 -- faster than min
            total = SCORE_LIMIT
        scores[size] = total
        outcomes[size] += n
        failed[size] += failures
        if total > best:
            best, top = total, size
    if top < 0:
        state.scores, state.outcomes, state.failures, state.since_us = [], [], [], []
        state.hit_logs, state.miss_logs = [], []
        state.active, state.ending = False, 0.0
    if best < _LEAST_CLEAR and not state.active and not always:
        return None
    threshold = _threshold(state, config)
    enough = top >= 0 and best >= threshold and failed[top] >= config.least_failures
    if state.active and top >= 0:
        _look_for_the_end(state, hits, well, rate, top, threshold)
        best = min(best, max(state.scores, default=0.0))
        enough = enough and state.active
    elif enough:
        state.active, state.ending = True, 0.0
        if state.block:
            state.block[:3] = 0.0, 0.0, 0.0
    if best < CLEAR_SHARE * threshold and not state.active and not always:
        return None
    return _verdict(state, best, threshold, rate, max(top, 0), enough and failures > 0)


def _begin(state: BurstState, size: int, rate: float, time_us: int) -> None:
    """Start a size's sum: from here on it looks for `ODDS` times the odds of now."""
    scale = 1.0 + (ODDS[size] - 1.0) * rate
    state.hit_logs[size], state.miss_logs[size] = math.log(ODDS[size] * rate / scale), math.log((1.0 - rate) / scale)
    state.outcomes[size], state.failures[size], state.since_us[size] = 0, 0, time_us


def _look_for_the_end(state: BurstState, hits: float, well: float, rate: float, top: int, threshold: float) -> None:
    """Weigh whether the burst is over. When it is, half of its evidence stays, so that the next failure counts."""
    burst = (state.failures[top] + 0.5) / (state.outcomes[top] + 1.0)
    accepted = burst * (1.0 - rate) < END_SHARE * rate * (1.0 - burst)
    if burst > rate:
        back = well * math.log((1.0 - rate) / (1.0 - burst)) - hits * math.log(burst / rate)
        state.ending = max(0.0, state.ending + back)
    if accepted:
        total = state.good + state.bad
        state.good, state.bad = total * (1.0 - burst), total * burst
        state.active, state.ending, state.scores = False, 0.0, [0.0, 0.0, 0.0]
    elif state.ending >= _LOG_END:
        state.active, state.ending = False, 0.0
        state.scores = [min(score, CLEAR_SHARE * threshold) for score in state.scores]


def _threshold(state: BurstState, config: BurstConfig) -> float:
    spacing = config.spacing
    if 0.0 < state.cadence_us * spacing < config.spacing_us:
        spacing = config.spacing_us / max(state.cadence_us, 1e6)
    return math.log(len(ODDS) * spacing)


def _verdict(state: BurstState, score: float, threshold: float, rate: float, top: int, abnormal: bool) -> Verdict:
    outcomes, failed, since_us = 0, 0, state.last_us
    if state.outcomes:
        outcomes, failed, since_us = state.outcomes[top], state.failures[top], state.since_us[top]
    trials = max(outcomes, 1)
    high = min(1.0, rate + 2.0 * math.sqrt(rate * (1.0 - rate) / trials) + 1.0 / trials)
    return Verdict(
        score=score,
        threshold=threshold,
        expected=rate,
        low=0.0,
        high=high,
        direction="up",
        confidence=1.0 / (1.0 + 3.0 / 7.0 * math.exp(min(threshold - score, 500.0))),
        abnormal=abnormal,
        evidence={
            "failures": failed,
            "outcomes": outcomes,
            "usual_rate": round(rate, 5),
            "history": round(state.good + state.bad, 1),
            "over_s": round(max(state.last_us - since_us, 0) / 1e6, 1),
            "odds": ODDS[top],
            "spread": round(max(state.spread, 1.0), 2),
        },
    )
