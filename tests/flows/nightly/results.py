"""The result of a night that never was, for tests of what is said of it."""

from datetime import UTC, datetime, timedelta

import msgspec

from flows.nightly.night import Night
from flows.nightly.outcome import Result
from flows.nightly.shards import Loaded
from flows.nightly.stages import Featured
from operators.mining.baselines import Analytics, Baseline
from operators.mining.compile import Compiled
from operators.mining.features import Feature
from operators.mining.history import History
from operators.mining.quality import Partial, judged
from operators.mining.results import Mined, names
from operators.mining.weeks import calendar
from sinks.nightly import Stored
from sources.archive import Piece
from sources.nights import Changed, Faded
from tests.operators.mining import planted
from tests.sinks.test_nightly import BASE

NIGHT = Night(planted.START, planted.UNTIL)
DAY_US = 86_400_000_000
RULE = Compiled("7d444840-9dc0-11d1-b245-5ffdce74fad2", ("pipeline:a:failure",), 60_000_000, "pipeline:b:failure",
                30, 20, 16, 0.8, 0.58, 9_000_000, 0.1)  # fmt: skip


def finding(key, score=0.5, status="confirmed", subject="pipeline", **changes):
    """One of a kind."""
    return Mined(msgspec.structs.replace(BASE, key=key, **changes), status, score, "", subject)


def partial(days, n=100, **more):
    """Rows on days of the night's history, counted from its first."""
    first = int(planted.START.timestamp() * 1e6) // DAY_US
    return Partial(n=n, first_us=(first + min(days)) * DAY_US, last_us=(first + max(days)) * DAY_US + DAY_US // 2,
                   days={first + day for day in days}, **more)  # fmt: skip


def quality_of(table, source, days, **more):
    """What such rows are judged to be like."""
    return judged(table, [{source: partial(days, **more)}], planted.UNTIL)[0]


GAP = [*range(60), *range(90, 180)]
"""A month without rows."""


def loaded(table, rows, skipped=None):
    """A piece of a table."""
    return Loaded(Piece(table, planted.START, planted.UNTIL), "x", rows, skipped, False)


def change(entity, score):
    """A change point of a planted series."""
    at = int(planted.at(1440 * planted.CHANGE_DAY).timestamp() * 1e6)
    evidence = {"at_us": at, "from_us": at - 30 * DAY_US, "to_us": at + 30 * DAY_US, "before": 10.0, "after": 20.0}
    return finding(
        f"change {entity}", score, kind="change_point", entities=(entity,), measure="failed", evidence=evidence,
        sentence=f"The level of {entity} rose & rose <on 25 Apr 2026>.",
    )  # fmt: skip


def result(
    path="/srv/nightly/sequence-rules.json", found=(), rules=(RULE,), stored=None, rows=300, skipped=None, history=None,
    withheld="",
):  # fmt: skip
    """All that a report is made of."""
    pieces = [loaded("runs", rows), loaded("steps", 2 * rows)]
    if skipped:
        pieces.append(loaded("integration_events", 50, skipped))
    quality = [
        quality_of("runs", "shop/main", GAP), quality_of("steps", "shop/main", GAP),
        quality_of("daily", "shop/main/build", GAP), quality_of("runs", "calm", range(180), duplicates=50),
    ]  # fmt: skip
    ends = planted.UNTIL
    usual = Baseline(
        id=RULE.id, component_name="shop/main", component_kind="pipeline",
        baseline_type="weekly", baseline_metrics={}, confidence_level=0.95, sample_size=90, established_at=ends,
        valid_until=ends + timedelta(days=7),
    )  # fmt: skip
    now = Analytics(
        id=RULE.id, component_name="shop/main", component_kind="pipeline",
        metric_type="response_time", baseline_value=60.0, current_value=150.0,
        performance_delta=150.0, measurement_window=timedelta(days=7), analyzed_at=ends,
        context_metadata={"kind": "pipeline", "baseline": "weekly", "n": 20, "baseline_n": 90},
    )  # fmt: skip
    feature = Feature("pipeline", "failed_last_5", "history", "share failed of the last five", 0.4, 0.3, True, {})
    history = History.of() if history is None else history
    featured = Featured([feature], [usual], [now], 0, names([history]), calendar(history), 0, 0)
    counts = stored or Stored(new=len(found))
    return Result(pieces, quality, featured, {}, list(found), counts, list(rules), str(path), {}, withheld)


def changed(first=(), since=(), later=(), weakened=0, retired=0, seconds=40.0):
    """What it changed."""
    seen = datetime(2026, 3, 2, tzinfo=UTC)
    return Changed(
        frozenset(one.id for one in first),
        {one.id: planted.START + timedelta(days=40) for one in since},
        frozenset(one.id for one in later),
        tuple(Faded(f"It weakened, number {at}.", 0.49, 1, seen) for at in range(weakened)),
        tuple(Faded(f"It is gone, number {at}.", 0.3, 3, seen) for at in range(retired)),
        seconds,
    )
