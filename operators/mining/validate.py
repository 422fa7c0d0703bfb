"""Which findings are worth telling: they hold later too, are not implied by definition, and rank by what they say."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import exp, log
from typing import Any, Literal

import msgspec
import numpy as np

from operators.mining.finding import Finding, Miner, MiningConfig
from operators.mining.history import History, micros
from operators.mining.significance import DAY_US, wilson

HELD_OUT = 0.3
"""Share of a history, its end, that is kept to see whether what was found before still holds."""

FADES_DAYS = 90.0
"""Days since it was last seen after which a finding weighs 1/e."""

NEWS_FADES_DAYS = 180.0
"""The same for what happened once (`NEWS`), since it happened: that it lasts does not make it new."""

IS_OVER = 0.5
"""What a change weighs that did not last, or that ended an episode: it is again as it was."""

CERTAIN_EFFECT = 4.0
"""A ratio to chance that counts in full."""

UNKNOWN_STABILITY = 0.6
"""What a finding weighs whose halves of time show too little to tell, against 1 for a stable one."""

UNHELD = 0.6
"""What a pending finding weighs against a confirmed one."""

UNTESTED = 0.5
"""What a count weighs that claims nothing against chance."""

LENIENT = 4.0
"""In the held-out time, which is shorter, this many times the false discovery rate and a part of the counts will do."""


NEWS = ("change_point", "departure", "prevention", "recovery_change")
"""Kinds that happened once: they need not come again, they must have lasted (`Finding.stable`, where it is
measured)."""


class Judged(msgspec.Struct, frozen=True):
    """A finding with its verdict. `score` 0 to 1 ranks; `reason` is why it was rejected or stays pending, "" if
    confirmed."""

    finding: Finding
    status: Literal["confirmed", "pending", "rejected"]
    score: float
    reason: str = ""


def ends_of(history: History) -> Any:
    """When runs, executions and integration events of a history (a shard) ended: µs, int64."""
    return np.concatenate(
        [
            micros(history.runs["execution_end"].dropna()),
            micros(history.task_executions["execution_end"].dropna()),
            micros(history.integration_events["event_timestamp"]),
        ]
    )


def cut_at(ends: Any, until: datetime, held_out: float = HELD_OUT) -> datetime:
    """The time that leaves `held_out` of the ends (µs, in any order) after it, to the second; `until` without any.

    >>> from datetime import UTC
    >>> cut_at(np.array([], dtype=np.int64), datetime(2026, 1, 2, tzinfo=UTC))
    datetime.datetime(2026, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if not len(ends):
        return until
    place = min(len(ends) - 1, int((1.0 - held_out) * len(ends)))
    return datetime.fromtimestamp(int(np.partition(ends, place)[place]) // 1_000_000, until.tzinfo)


def cut_of(history: History, until: datetime, held_out: float = HELD_OUT) -> datetime:
    """`cut_at` of what ended in a history up to `until`; of the days of series where nothing did."""
    history = history.before(until)
    ends = ends_of(history)
    if not len(ends):
        ends = np.concatenate([micros(history.daily["time"]), micros(history.hourly["time"])])
    return cut_at(ends, until, held_out)


def lenient(config: MiningConfig) -> MiningConfig:
    """What is asked of the held-out time, which is shorter.

    >>> lenient(MiningConfig()).false_discovery_rate
    0.2
    """
    return msgspec.structs.replace(
        config,
        false_discovery_rate=min(1.0, LENIENT * config.false_discovery_rate),
        min_count=max(3, config.min_count // 2),
        min_effect=1.0 + (config.min_effect - 1.0) / 2.0,
        max_findings=10 * config.max_findings,
    )


def held_later(
    findings: Iterable[Finding], later: Iterable[Finding], rows: int, config: MiningConfig
) -> dict[str, bool | None]:
    """By key: whether a finding shows on its own in the time after the cut, where a miner found `later` with the
    `lenient` configuration among `rows` things that ended, or days.

    True: it is there too, on the same side of chance. None: it is a count that claims nothing and did not come again,
    or the time after shows too little to tell (fewer than `config.min_count`).
    """
    there = {finding.key: finding for finding in later}
    out: dict[str, bool | None] = {}
    for finding in findings:
        again = there.get(finding.key)
        if again is not None:
            out[finding.key] = (again.effect - 1.0) * (finding.effect - 1.0) >= 0.0
        else:
            out[finding.key] = None if finding.p_value is None or rows < 4 * config.min_count else False
    return out


def obvious(finding: Finding) -> str:
    """Why a finding is implied by definition; "" when it is not.

    >>> from operators.taxonomy import PatternClass
    >>> of = dict(miner="m", key="k", kind="sequence", pattern_class=PatternClass.FAILURE_MODE, measure="failed",
    ...           support=9,
    ...           total=9, confidence=1.0, effect=9.0, effect_name="lift", p_value=0.0, first_seen_us=0, last_seen_us=0)
    >>> obvious(Finding(entities=("shop", "shop/test"), sentence="", **of))
    'shop fails by definition when shop/test does'
    >>> obvious(Finding(entities=("shop", "api/test"), sentence="", **of))
    ''
    """
    if finding.kind in ("sequence", "propagation"):
        target = finding.entities[0]
        if len(finding.entities) == 1:
            return f"what {target} does after what {target} did is what recovery times tell"
        for cause in finding.entities[1:]:
            if cause.startswith(target + "/"):
                return f"{target} fails by definition when {cause} does"
    if finding.kind == "rule":
        attributes = {cause["attribute"] for cause in finding.evidence.get("cause", ())}
        if attributes == {"before"} and finding.measure == "failed":
            return "that a broken pipeline stays broken until it is repaired is what recovery times tell"
    return ""


def score(finding: Finding, until: datetime) -> float:
    """What ranks findings, 0 to 1: certainty, strength, stability and how lately it was seen, multiplied.

    `1 - q` (`UNTESTED` for a count), the log of the effect up to `CERTAIN_EFFECT` (of an error that comes back: the
    least share of the failures that it may have, by Wilson), 1 / `UNKNOWN_STABILITY` / 0.2 by `Finding.stable`, and
    exp(-age / `FADES_DAYS`). It orders sentences for a reader; it is no probability.
    """
    certain = UNTESTED if finding.q_value is None else 1.0 - finding.q_value
    ratio = max(finding.effect, 1e-9)
    strong = min(1.0, abs(log(ratio)) / log(CERTAIN_EFFECT)) if finding.p_value is not None else 0.5
    if finding.kind == "error_signature":
        strong = wilson(finding.support, finding.total)[0]
    stable = {True: 1.0, None: UNKNOWN_STABILITY, False: 0.2}[finding.stable]
    since, fades = finding.last_seen_us, FADES_DAYS
    if finding.kind in NEWS:
        # A comparison of the last days with what is usual is as new as its end.
        since, fades = finding.last_seen_us if finding.kind == "departure" else finding.first_seen_us, NEWS_FADES_DAYS
        if finding.evidence.get("back") or not finding.evidence.get("lasts", True):
            certain *= IS_OVER
    age_days = max(0.0, until.timestamp() * 1e6 - since) / DAY_US
    return certain * (0.25 + 0.75 * strong) * stable * exp(-age_days / fades)


def judge(
    findings: list[Finding], config: MiningConfig, until: datetime, held: dict[str, bool | None] | None = None
) -> list[Judged]:
    """A verdict on each finding, the best first. `held` is of `held_later`, by key; without it the halves decide.

    Rejected: implied by definition, above the false discovery rate, or contradicted by a later time. Pending: what
    later times show too little of, be it a claim or a count. Confirmed: the rest.
    """
    out = []
    for finding in findings:
        news = finding.kind in NEWS
        later = held.get(finding.key) if held is not None and not news else finding.stable
        status: Literal["confirmed", "pending", "rejected"] = "confirmed"
        reason = obvious(finding)
        if reason:
            status = "rejected"
        elif finding.q_value is not None and finding.q_value > config.false_discovery_rate:
            status, reason = "rejected", f"q {finding.q_value:.3g} is above {config.false_discovery_rate:g}"
        elif finding.stable is False or later is False:
            status, reason = "rejected", "it does not show in both an earlier and a later time"
        elif later is None and not news and (finding.p_value is not None or held is not None):
            status, reason = "pending", "a later time shows too little of it to tell"
        weight = {"confirmed": 1.0, "pending": UNHELD, "rejected": 0.0}[status]
        out.append(Judged(finding, status, weight * score(finding, until), reason))
    return sorted(out, key=lambda verdict: (-verdict.score, verdict.finding.miner, verdict.finding.key))


def mine_and_judge(miner: Miner, history: History, config: MiningConfig, until: datetime) -> list[Judged]:
    """What a miner finds in all of a history, each checked in the end of it that it was also found without.

    A finding counts as held when it is there before the cut *and* after it. One that is only in the whole is pending:
    it is new, or needs all the data. The miner runs three times.
    """
    history = history.before(until)
    whole = miner.mine(history, config, until)
    cut = cut_of(history, until)
    if not whole or cut >= until - timedelta(seconds=1):
        return judge(whole, config, until)
    before = {finding.key for finding in miner.mine(history.before(cut), config, cut)}
    later = history.since(cut)
    rows = len(later.runs) + len(later.task_executions) + len(later.integration_events) + len(later.daily)
    held = held_later(whole, miner.mine(later, lenient(config), until), rows, config)
    return judge(whole, config, until, {key: held[key] if key in before else None for key in held})
