"""How things fail (failure, error, timeout; which error), and which failure comes after which."""

from datetime import datetime
from typing import Any

import numpy as np

from operators.mining import sql, words
from operators.mining.finding import Finding, Looked, Miner, MiningConfig
from operators.mining.history import BAD, History
from operators.mining.lean import failures, often_failing
from operators.mining.significance import (
    DAY_US,
    association_p,
    blocks_of,
    fisher_greater,
    halves,
    rate_ratio,
    wilson,
)
from operators.mining.streams import has_error, outcomes, source
from operators.taxonomy import PatternClass

FEWEST_WEEKS = 3
"""Different weeks in which an error must have come to be a habit: less is one incident."""

SAME_RUNS = 0.75
"""Share of an error's failures that name another, more frequent one too, from which on it is told with that one."""

MOST_ENTITIES = 80
"""Entities between which failures are followed, those that fail most."""

LAGS = (0.25, 1.0, 6.0)
"""Lags at which one failure may follow another, in units of `window_s`."""

_WORDS = {"failure": "failures (the work said no)", "error": "errors (the machinery broke)", "timeout": "timeouts"}


class FailureModeMiner(Miner):
    """Failure modes: how an entity's failures divide into failure, error and timeout, and which errors come back.

    A status is claimed where it makes up more of the entity's failures than of the others' of its kind: of those that
    were ever seen to end so, for many a producer tells no error from a failure (Fisher, and by stretches of time, since
    failures come in bursts). An error is a name in its details or their normalised text; that it came in so many weeks
    is a count and claims nothing against chance.
    """

    name = "failure_modes"

    def lean(self, history: History, config: MiningConfig) -> History:  # noqa: ARG002
        """What failed, with what it said."""
        return failures(history)

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """`support` of `total` failures of the entity."""
        stream = outcomes(history.before(until), texts=True)
        if not len(stream) or not stream["failed"].any():
            return Looked()
        bad = stream[stream["failed"]]
        drafts: list[Finding] = []
        tests = 0
        for kind, group in bad.groupby("kind", sort=True):
            counts = group.groupby(["entity", "status"], sort=True).size().unstack(fill_value=0)
            for entity, part in group.groupby("entity", sort=True):
                if len(part) < config.at_least(0):
                    continue
                found, made = _modes(str(kind), str(entity), group, part, counts, config, until)
                tests += made
                drafts += found + _errors(str(kind), str(entity), part, config, until)
        return Looked(drafts, {0: tests})


def _modes(
    kind: str, entity: str, group: Any, part: Any, counts: Any, config: MiningConfig, until: datetime
) -> tuple[list[Finding], int]:
    """`group`: all failures of the kind, `part` the entity's, `counts` of each entity (rows) by status (columns)."""
    out, tests = [], 0
    mine, total = counts.loc[entity], len(part)
    for status in (name for name in BAD if name in counts.columns):
        able = counts.index[(counts[status] > 0) & (counts.index != entity)]
        others, rest = int(counts.loc[able].to_numpy().sum()), int(counts.loc[able, status].sum())
        if others < config.min_count:
            continue
        tests += 1
        support = int(mine[status])
        ratio = float(rate_ratio(support, total, support + rest, total + others))
        if support < config.min_count or ratio < config.min_effect:
            continue
        asked = group[group["entity"].isin({*able, entity})]
        is_mine, is_it = (
            (asked[column] == value).to_numpy() for column, value in (("entity", entity), ("status", status))
        )
        p = association_p(is_mine, is_it, blocks_of(asked["end_us"].to_numpy()))
        out.append(_mode(kind, entity, status, part, (rest, others), ratio, p, until))
    return out, tests


def _mode(
    kind: str, entity: str, status: str, part: Any, elsewhere: tuple[int, int], ratio: float, p: float, until: datetime
) -> Finding:
    rest, others = elsewhere
    origin = source(kind, entity)
    is_it = (part["status"] == status).to_numpy()
    total, support = len(part), int(is_it.sum())
    seen = part["end_us"].to_numpy()[is_it]
    low, high = wilson(support, total)
    half, base = total // 2, rest / others
    early, late = (
        max(float(is_it[cut].mean()), 0.5 / max(1, half)) / base if base and half >= 4 else None
        for cut in (slice(0, half), slice(half, None))
    )
    sentence = (
        f"{support} of {total} failures of {words.named(entity)} are {_WORDS[status]}: {words.share(support, total)},"
        f" {words.times(ratio)} the share of the others that have any ({rest} of {others}), last on"
        f" {words.day(int(seen[-1]))}."
    )
    return Finding(
        miner=FailureModeMiner.name, key=f"{kind}|{entity}|{status}", kind="failure_mode",
        pattern_class=PatternClass.FAILURE_MODE, entities=(entity,), measure="failed", support=support,
        total=total, confidence=support / total, effect=ratio, effect_name="rate_ratio", p_value=p,
        first_seen_us=int(seen[0]), last_seen_us=int(seen[-1]), early=early, late=late, sentence=sentence,
        sql=sql.counting(origin.table, f"{origin.rows} AND {sql.failed()} AND {sql.until(origin.end, until)}",
                         f"status = {sql.literal(status)}"),
        evidence={"status": status, "share_low": low, "share_high": high, "elsewhere": rest,
                  "elsewhere_total": others},
    )  # fmt: skip


def _errors(kind: str, entity: str, part: Any, config: MiningConfig, until: datetime) -> list[Finding]:
    rows: dict[str, list[int]] = {}
    for at, errors in enumerate(part["errors"]):
        for error in errors:
            rows.setdefault(error, []).append(at)
    ends = part["end_us"].to_numpy()
    out = []
    fewest = config.at_least(len(part))
    for error, at_rows, others in _told_once({name: at for name, at in rows.items() if len(at) >= fewest}):
        count = len(at_rows)
        seen = ends[at_rows]
        days = len(np.unique(seen // DAY_US))
        if len(np.unique(seen // (7 * DAY_US))) < FEWEST_WEEKS:
            continue
        origin = source(kind, entity)
        sentence = (
            f"{count} of {len(part)} failures of {words.named(entity)} ({words.share(count, len(part))}) name the same"
            f" error, “{words.named(error)}”, on"
            f" {days} days from {words.day(int(seen[0]))} to {words.day(int(seen[-1]))}{_with(others)}."
        )
        out.append(
            Finding(
                miner=FailureModeMiner.name, key=f"{kind}|{entity}|error|{error}", kind="error_signature",
                pattern_class=PatternClass.FAILURE_MODE, entities=(entity,), measure="failed", support=int(count),
                total=len(part), confidence=count / len(part), effect=1.0, effect_name="count", p_value=None,
                first_seen_us=int(seen[0]), last_seen_us=int(seen[-1]), sentence=sentence,
                sql=sql.counting(origin.table, f"{origin.rows} AND {sql.failed()} AND {sql.until(origin.end, until)}",
                                 has_error(kind, error)),
                evidence={"signature": error, "with": others[:20], "days": days},
            )
        )  # fmt: skip
    return out


def _told_once(rows: dict[str, list[int]]) -> list[tuple[str, list[int], list[str]]]:
    """Errors with their rows, the most frequent first, and the names that come mostly in rows of theirs.

    A hundred rows of one comparison are one error, and so are two tests that break together.

    >>> _told_once({"a": [1, 2, 3, 4], "b": [1, 2, 3, 9], "c": [7, 8]})
    [('a', [1, 2, 3, 4], ['b']), ('c', [7, 8], [])]
    """
    out: list[tuple[str, set[int], list[str]]] = []
    for error, places in sorted(rows.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        mine = set(places)
        first = next((told for told in out if len(mine & told[1]) >= SAME_RUNS * len(mine)), None)
        if first is None:
            out.append((error, mine, []))
        else:
            first[2].append(error)
    return [(error, sorted(mine), others) for error, mine, others in out]


def _with(others: list[str]) -> str:
    if not others:
        return ""
    more = f" and {len(others) - 1} more come" if len(others) > 1 else " comes"
    return f"; “{words.named(others[0])}”{more} mostly with it"


class PropagationMiner(Miner):
    """Which failure comes after which: B fails more often when A has failed shortly before than when it has not.

    Asked of B's own runs, so that A and B both running by day, or on the same push, is no finding by itself. Both may
    have a cause in common: what comes after is not thereby caused. Steps are left out (a run fails with its step).
    """

    name = "propagation"

    def lean(self, history: History, config: MiningConfig) -> History:
        """Components that failed often enough, without what they said."""
        return often_failing(history, config.min_count)

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:
        """Ordered pairs, the best of the lags of each; `support` of `total` runs of B within the lag after a failure
        of A."""
        stream = outcomes(history.before(until), ["pipeline", "task", "integration"])
        if not len(stream):
            return Looked()
        fails = stream[stream["failed"]].groupby(["kind", "entity"], sort=True).size()
        fails = fails[fails >= config.min_count].sort_values(ascending=False, kind="stable")[:MOST_ENTITIES]
        entities = sorted(fails.index)
        parts = {pair: part for pair, part in stream.groupby(["kind", "entity"], sort=True) if pair in set(entities)}
        lags = [int(lag * config.window_s * 1e6) for lag in LAGS]
        drafts: list[Finding] = []
        tests = 0
        for first in entities:
            source_part = parts[first]
            ends = np.sort(source_part["end_us"].to_numpy()[source_part["failed"].to_numpy()])
            for second in entities:
                if first != second:
                    found, made = _pair(first, second, ends, parts[second], lags, config, until)
                    drafts += found
                    tests += made
        return Looked(drafts, {0: tests})


def _pair(
    first: tuple[str, str], second: tuple[str, str], ends: Any, part: Any, lags: list[int], config: MiningConfig,
    until: datetime,
) -> tuple[list[Finding], int]:  # fmt: skip
    times, failed = part["end_us"].to_numpy(), part["failed"].to_numpy()
    place = np.searchsorted(ends, times, side="left") - 1  # the last failure of A that ended before B did
    since = np.where(place >= 0, times - ends[place], np.iinfo(np.int64).max)
    best: tuple[float, int, Any] | None = None
    tests = 0
    for lag in lags:
        after = since <= lag
        cause, hits = int(after.sum()), int((after & failed).sum())
        if cause < config.min_count or cause > len(after) - config.min_count:
            continue
        tests += 1
        ratio = float(rate_ratio(hits, cause, int(failed.sum()), len(failed)))
        if hits < config.min_count or ratio < config.min_effect:
            continue
        if fisher_greater(hits, cause, int(failed.sum()), len(failed)) > config.false_discovery_rate:
            continue
        p = association_p(after, failed, blocks_of(times))
        if best is None or p < best[0]:
            best = (p, lag, after)
    return ([_follows(first, second, best, since, times, failed, until)] if best else []), tests


def _follows(
    first: tuple[str, str], second: tuple[str, str], best: tuple[float, int, Any], since: Any, times: Any, failed: Any,
    until: datetime,
) -> Finding:  # fmt: skip
    p, lag, after = best
    total, support, rows = int(after.sum()), int((after & failed).sum()), len(failed)
    elsewhere = int(failed.sum()) - support
    ratio = float(rate_ratio(support, total, int(failed.sum()), rows))
    seen = times[after & failed]
    median = float(np.median(since[after & failed])) / 1e6
    early, late = halves(after, failed)
    one, two = source(*first), source(*second)
    sentence = (
        f"Within {words.duration(lag / 1e6)} after a failure of {words.named(first[1])}, {words.named(second[1])} fails"
        f" {words.times(ratio)} as often as otherwise: {support} of {total} against {elsewhere} of {rows - total},"
        f" typically {words.duration(median)} later, last on {words.day(int(seen[-1]))}."
    )
    after_one = (
        f"EXISTS (SELECT FROM {one.table} WHERE {one.rows} AND {sql.failed()} AND {one.end} < b.at"
        f" AND {one.end} >= b.at - interval '{lag} microseconds')"
    )
    of_two = f"SELECT {two.end} AS at, status AS ended FROM {two.table} WHERE {two.rows} AND {sql.judged()}"
    return Finding(
        miner=PropagationMiner.name, key="→".join("|".join(pair) for pair in (first, second)), kind="propagation",
        pattern_class=PatternClass.ERROR_PROPAGATION, entities=(second[1], first[1]), measure="failed", support=support,
        total=total, confidence=support / total, effect=ratio, effect_name="rate_ratio", p_value=p,
        first_seen_us=int(seen[0]), last_seen_us=int(seen[-1]), early=early, late=late, sentence=sentence,
        sql=sql.counting(f"({of_two}) AS b", f"{sql.until('b.at', until)} AND {after_one}", sql.failed("b.ended")),
        evidence={"lag_s": lag / 1e6, "median_lag_s": median, "others": elsewhere, "others_total": rows - total},
    )  # fmt: skip
