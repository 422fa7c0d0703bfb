"""Snapshots of a partition: those that earlier versions wrote must load, and the work must go on.

Never rewrite `golden/partition-v1.hex` once there is a release: a new field gets a default, a field with another
meaning a new VERSION, a step in `load` and a file of its own. `made()` says what is in it.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from operators import tables as t
from operators.floats import Floats, pack, unpack
from operators.partition import Partition, PartitionConfig
from operators.records import Mark
from operators.state import VERSION, PartitionState, Slot, StateError, dump, load
from tests.partitions import Runner
from tests.samples import data_of, metric, raw, time_at

GOLDEN = Path(__file__).parent / "golden" / "partition-v1.hex"
CONFIG = PartitionConfig(most_series=9)


def run_of(status: str, at_s: float, number: int) -> bytes:
    data = data_of(
        "task.finished",
        execution_id=f"x{number}",
        status=status,
        execution_start=time_at(0),
        execution_end=time_at(at_s),
    )
    return raw("task.finished", data, id=f"x{number}", time=time_at(at_s))


def cpu(value: float, at_s: float, number: int) -> bytes:
    data = {"host": "web-1", "resource_type": "cpu", "usage_percentage": value}
    return raw("resource.sampled", data, id=f"c{number}", time=time_at(at_s))


def made() -> Runner:
    """A state with all there can be in one: panes (folded, shown), wide windows, episodes, detectors, counts."""
    runner = Runner(CONFIG)
    runner.feed([metric(40 + number % 3, number * 10, number) for number in range(40)])
    runner.feed([metric(400, 400, "spike"), metric(41, 410, "after"), metric(41, 420, "after 2")])
    runner.feed([run_of("failure" if number % 3 else "success", 421 + number / 4, number) for number in range(12)])
    runner.feed([cpu(95, 424, 1), cpu(97, 425, 2), b"{}", b"", metric(1, 3, "late"), metric(41, 420, "after 2")])
    runner.feed([metric(1, 426, f"s{number}", system=f"s{number}") for number in range(8)])
    runner.feed([metric(7, 441, "a"), metric(9, 442, "b"), metric(3, 436, "d"), cpu(50, 443, 3)])
    state = runner.partition.state
    last = state.panes[max(state.panes)]
    next(iter(last.values())).fold()
    assert state.watermark.time is not None
    runner.idle(state.watermark.time + 60_000_000)
    runner.feed([cpu(51, 444, 4)])
    return runner


def plain(raw_state: bytes) -> Any:
    return msgspec.msgpack.decode(raw_state[1:], strict=False)


def golden() -> bytes:
    return bytes.fromhex(GOLDEN.read_text())


def close(one: Any, other: Any) -> bool:
    """Equal but for the last places of floats, which another platform's libm may give."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=1e-12, abs=1e-300)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == other)


def test_the_golden_state_has_everything_in_it() -> None:
    state = load(golden())
    assert len(state.panes) == len(state.seen) == 2
    assert any(one.stats is not None for pane in state.panes.values() for one in pane.values())
    assert state.shown
    assert state.early
    assert {level for level, windows in state.wide.items() if windows} == {60, 300}
    slots = list(state.slots.values())
    assert any(slot.spike and slot.spike.ring for slot in slots)
    assert any(slot.threshold and slot.threshold.streak == 0 for slot in slots)
    assert any(slot.rate and slot.rate.counts for slot in slots)
    assert {detector for slot in slots for detector in slot.episodes} == {"spike", "threshold"}
    assert state.series_refused == 3
    assert state.counts.dead_letters == {"bad_envelope": 1, "not_json": 1}
    assert (state.counts.late, state.counts.duplicates) == (1, 1)
    assert state.minute == (1_767_607_200 + 441) // 60


def test_it_loads_as_what_it_was() -> None:
    """All but the detectors, which learn to judge otherwise."""
    assert golden()[0] == VERSION
    old, new = load(golden()), made().partition.state
    for field in ("watermark", "panes", "wide", "seen", "shown", "minute", "series_refused"):
        assert close(msgspec.to_builtins(getattr(old, field)), msgspec.to_builtins(getattr(new, field))), field
    assert {(slot.entity, slot.measure) for slot in old.slots.values()} == {
        (slot.entity, slot.measure) for slot in new.slots.values()
    }
    assert {slot.measure: crossed(slot) for slot in old.slots.values()} == {
        slot.measure: crossed(slot) for slot in new.slots.values()
    }


def crossed(slot: Slot) -> tuple[int, float] | None:
    """What the threshold track knew when the golden snapshot was made."""
    return slot.threshold and (slot.threshold.streak, slot.threshold.weight)


def known(old: Any, new: Any, at: str = "state") -> None:
    """All that is in `old` is in `new`: a renamed field would load as its default, silently."""
    if isinstance(old, dict):
        for key, value in old.items():
            assert key in new, f"{at}: {key!r} is not read any more"
            known(value, new[key], f"{at}.{key}")
    elif isinstance(old, list) and isinstance(new, bytes):
        assert close(old, list(unpack(pack(new), Floats))), at
    else:
        assert close(old, new), at


def test_every_field_of_it_is_still_read() -> None:
    known(plain(golden()), plain(dump(load(golden()))))


def test_a_field_added_with_a_default_is_no_obstacle() -> None:
    wider = msgspec.defstruct("Wider", [("added", int, 7)], bases=(PartitionState,))
    loaded = unpack(golden()[1:], wider)
    assert loaded.added == 7  # type: ignore[attr-defined]
    older = bytes([VERSION]) + pack(loaded)
    assert dump(load(older)) == dump(load(golden())), "and the version before ignores it"


def test_work_goes_on_from_it() -> None:
    """What comes next gives the numbers that it gave when the file was written."""
    runner = Runner(CONFIG)
    runner.partition = Partition.resume(golden(), CONFIG)
    out = runner.feed([metric(1, 3, "late 2"), metric(9, 442, "b"), metric(2, 449, "c"), cpu(99, 456, 5)])
    assert (out.counts.late, out.counts.duplicates, out.counts.read) == (2, 2, 78)
    names = {series: (slot.entity, slot.measure) for series, slot in runner.partition.state.slots.items()}
    rows = {
        (*names[row["series_id"]], row["level"], row["time"] // 1_000_000 - 1_767_607_200): (row["n"], row["sum"])
        for row in runner.database.rollups()
    }
    assert rows["web", "m", 10, 440] == (3, 18.0), "one folded, one of before, one of after"
    assert rows["web-1", "cpu_usage", 10, 440] == (2, 101.0)
    runner.feed([cpu(50, 457, 6), cpu(50, 458, 7), cpu(50, 459, 8)], Mark.END)
    rows = {
        (*names[row["series_id"]], row["level"], row["time"] // 1_000_000 - 1_767_607_200): (row["n"], row["sum"])
        for row in runner.database.rollups()
    }
    assert rows["web", "m", 60, 420] == (5, 62.0)
    assert rows["web", "m", 300, 300] == (17, sum(40 + number % 3 for number in range(30, 40)) + 400 + 41 + 62)
    patterns = {row["entity"]: row for row in runner.database.table(t.DETECTED_PATTERNS)}
    assert patterns["web-1"]["observation_count"] == 3
    assert patterns["web-1"]["opened_at"] == 1_767_607_624_000_000, "the episode of before"


def test_a_state_comes_back_as_it_was() -> None:
    raw_state = dump(made().partition.state)
    assert dump(load(raw_state)) == raw_state


@pytest.mark.parametrize("broken", [
    b"", b"\0", bytes([VERSION + 1]) + b"\x80", bytes([VERSION]), bytes([VERSION]) + b"\x80",
    bytes([VERSION]) + b"\xc1",
    bytes([VERSION]) + msgspec.msgpack.encode({"topic": 5}),
], ids=range(7))  # fmt: skip
def test_what_cannot_be_read_is_said_so(broken: bytes) -> None:
    with pytest.raises(StateError, match="use a new --recovery-dir"):
        load(broken)


@pytest.mark.parametrize("length", [1, 10, 500, -1])
def test_a_truncated_state_is_said_so(length: int) -> None:
    with pytest.raises(StateError, match="use a new --recovery-dir"):
        load(golden()[:length])
