"""What every miner must keep to, checked in one place (`check_miner`)."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import pandas as pd

from operators.mining.finding import Finding, Miner, MiningConfig
from operators.mining.history import COMPONENTS, WHOLE, History, empty_frame
from operators.mining.pieces import frame, of_frame, pack, shard_of, unpack
from operators.taxonomy import PatternClass
from tests.operators.mining import planted

CONFIG = MiningConfig(permutations=49)
Way = Callable[[History], History]
MOST_SECONDS = 60.0
"""A miner's time on the planted history: a guard against what grows without bound, not a benchmark."""


def check_miner(miner: Miner, of: History) -> list[Finding]:
    """Raise AssertionError where `miner` breaks the contract of miners; give what it finds in `of`."""
    started = time.process_time()
    held = _held(of)
    found = miner.mine(held, CONFIG, planted.UNTIL)
    assert time.process_time() - started < MOST_SECONDS, miner.name
    well_formed(miner, found)
    assert miner.mine(_reordered(of), CONFIG, planted.UNTIL) == found, (
        f"{miner.name}: not deterministic, or the order of rows matters"
    )
    _no_look_ahead(miner, held)
    _bounded(miner, held, found)
    _scales(miner, of, found)
    _odd_histories(miner)
    return found


def in_shards(miner: Miner, of: History, config: MiningConfig, until: datetime, shards: int, way: Way) -> list[Finding]:
    """What a miner finds in a history that is cut into shards, as the nightly flow lets it; `way` cuts in time."""
    looked, lean = [], {name: [] for name in COMPONENTS}
    for number in range(shards):
        shard = shard_of_history(of, number, shards)
        looked.append(miner.look(way(shard), config, until))
        left = miner.lean(shard, config)
        for name, parts in lean.items():
            if len(getattr(left, name)):
                parts.append(frame(name, [unpack(pack(of_frame(name, getattr(left, name))))]))
    together = {name: pd.concat(parts, ignore_index=True) if parts else empty_frame(name)
                for name, parts in lean.items()}  # fmt: skip
    whole = History(**{name: getattr(of, name) for name in WHOLE}, **together).before(planted.UNTIL)
    return miner.conclude([*looked, miner.across(way(whole), config, until)], config)


def shard_of_history(of: History, number: int, shards: int) -> History:
    """The rows of a shard's components, with the tables that each shard comes with."""
    rows = {name: getattr(of, name)[column] for name, column in COMPONENTS.items()}
    kept = {
        name: getattr(of, name)[[shard_of(one, shards) == number for one in of_rows]] for name, of_rows in rows.items()
    }
    joined = {name: getattr(of, name) for name in ("tasks", "task_dependencies", "interventions", "daily")}
    rest = {name: empty_frame(name) for name in WHOLE}
    return History(**rest | joined | kept).before(planted.UNTIL)


@cache
def _held(of: History) -> History:
    """All of it, in order: what the flow hands to miners."""
    return of.before(planted.UNTIL)


@cache
def _reordered(of: History) -> History:
    return planted.reordered(of, 5)


@cache
def _before(of: History, days: int) -> History:
    return of.before(planted.UNTIL - timedelta(days=days))


@cache
def _elsewhere(of: History) -> History:
    """A year earlier, in another unit."""
    return planted.moved(planted.scaled(of, 1024.0), -52).before(planted.UNTIL - timedelta(weeks=52))


def well_formed(miner: Miner, found: Sequence[Finding]) -> None:
    assert len({finding.id for finding in found}) == len(found), f"{miner.name}: two findings of one id"
    for finding in found:
        where = f"{miner.name}: {finding.key}"
        assert finding.miner == miner.name, where
        assert isinstance(finding.pattern_class, PatternClass) and finding.category, where
        assert 0 < finding.support <= finding.total, where
        assert 0.0 <= finding.confidence <= 1.0, where
        assert 0.0 < finding.effect < float("inf"), where
        assert finding.entities and all(isinstance(entity, str) and entity for entity in finding.entities), where
        assert (finding.p_value is None) == (finding.q_value is None), where
        if finding.p_value is not None:
            assert 0.0 <= finding.p_value <= finding.q_value <= CONFIG.false_discovery_rate, where
        assert finding.first_seen_us <= finding.last_seen_us <= planted.UNTIL.timestamp() * 1e6, where
        assert 20 < len(finding.sentence) < 700 and finding.sentence.endswith("."), where
        assert "nan" not in finding.sentence.split(), where
        assert finding.sql is None or finding.sql.startswith(("SELECT", "WITH")), where
        msgspec.json.encode(finding)


def _no_look_ahead(miner: Miner, of: History) -> None:
    """What ends after `until` changes nothing."""
    until = planted.UNTIL - timedelta(days=60)
    assert miner.mine(of, CONFIG, until) == miner.mine(_before(of, 60), CONFIG, until), f"{miner.name}: looks ahead"


def _bounded(miner: Miner, of: History, found: Sequence[Finding]) -> None:
    few = msgspec.structs.replace(CONFIG, max_findings=2)
    assert list(miner.mine(of, few, planted.UNTIL)) == list(found[:2]), f"{miner.name}: max_findings is not kept"


def _shape(found: Sequence[Finding]) -> Counter[Any]:
    return Counter(
        (finding.kind, finding.entities, finding.measure, finding.support, finding.total) for finding in found
    )


def _scales(miner: Miner, of: History, found: Sequence[Finding]) -> None:
    later = miner.mine(_elsewhere(of), CONFIG, planted.UNTIL - timedelta(weeks=52))
    assert _shape(later) == _shape(found), f"{miner.name}: a year earlier and in another unit it finds something else"


@cache
def _odd() -> dict[str, History]:
    rows = [
        {"id": f"r{i:03d}", "execution_id": str(i), "pipeline_name": "p", "execution_start": planted.START,
         "execution_end": planted.START, "status": "failure", "trigger_type": "manual", "total_duration": 0.0,
         "trigger_data": None}
        for i in range(120)
    ]  # fmt: skip
    steps = [
        {"pipeline_execution_id": row["id"], "pipeline_name": "p", "step_name": "s", "step_order": 1,
         "execution_start": planted.START, "status": "failure", "error_details": None}
        for row in rows
    ]  # fmt: skip
    flat = [
        planted._bucket("e", "m", planted.START + timedelta(days=day), value) for day in range(80) for value in (7.0,)
    ]
    return {
        "nothing": History.of(),
        "one run": History.of(runs=rows[:1], steps=steps[:1]),
        "all failed at once": History.of(runs=rows, steps=steps),
        "a flat series": History.of(daily=flat, hourly=flat),
        "one edge to itself": History.of(
            code_dependencies=[
                {"codebase_id": "c", "from_node": "a", "to_node": "a", "kind": "import", "observed_at": planted.START}
            ]
        ),
    }


def _odd_histories(miner: Miner) -> None:
    for name, odd in _odd().items():
        found = miner.mine(odd, CONFIG, planted.UNTIL)
        well_formed(miner, found)
        assert not [f for f in found if f.p_value is not None], f"{miner.name} claims something of {name}"
