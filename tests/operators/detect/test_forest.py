import bisect
import random

import msgspec
import pytest

from operators.detect import forest, halfspaces
from operators.detect.forest import ForestConfig, ForestState, advance

MINUTE = 60_000_000
CONFIG = ForestConfig()


def queueing(steps, seed, broken=range(0), how="slow"):
    """Requests, a delay that rises once they are many, and a disk of its own."""
    rnd = random.Random(seed)
    load = disk = 0.0
    for i in range(steps):
        load = 0.97 * load + rnd.gauss(0, 0.25)
        disk = 0.8 * disk + rnd.gauss(0, 0.6)
        delay = max(load - 0.3, 0.0)
        if i in broken and how == "slow":
            load, delay = -1.0 + rnd.gauss(0, 0.1), 1.2
        yield {
            "rps": 100 + 10 * load + rnd.gauss(0, 1),
            "ms": 20 + 30 * delay + rnd.gauss(0, 2),
            "disk": 1e6 * (5 + disk),
        }


def follow(rows, state=None, config=CONFIG, always=False, start=0, step=MINUTE):
    state = ForestState() if state is None else state
    said = [advance(state, (start + i) * step, row, config, always) for i, row in enumerate(rows, 1)]
    return said, state


def openings(said):
    return [i for i, verdict in enumerate(said) if verdict and verdict.abnormal and verdict.confidence >= 0.7]


WARM = 4500


@pytest.fixture(scope="module")
def warm():
    """A group's snapshot after three days, and what was said until then."""
    said, state = follow(queueing(WARM, 1))
    return msgspec.msgpack.encode(state), said


def resumed(warm):
    return msgspec.msgpack.decode(warm[0], type=ForestState)


def after(warm, rows, **more):
    return follow(rows, resumed(warm), start=WARM, **more)


def test_a_bent_relation_that_breaks_is_told_soon_and_names_its_series(warm):
    rows = list(queueing(WARM + 60, 1, range(WARM + 10, WARM + 40)))
    before = rows[1440:WARM]
    for name in ("rps", "ms"):
        assert min(row[name] for row in before) < min(row[name] for row in rows[WARM:])
        assert max(row[name] for row in before) > max(row[name] for row in rows[WARM:])
    said, _ = after(warm, rows[WARM:])
    found = openings(said)
    assert 10 < found[0] <= 20
    assert all(10 < i < 55 for i in found)
    verdict = said[found[0]]
    assert verdict.evidence["series"] in ("rps", "ms")
    assert "disk" not in verdict.evidence["contributors"].split(",")[0]
    assert not verdict.low <= verdict.evidence["value"] <= verdict.high
    assert (verdict.direction == "up") == (verdict.evidence["value"] > verdict.expected)


def test_a_group_that_keeps_its_relation_is_left_alone(warm):
    assert openings(warm[1]) == []
    assert openings(after(warm, list(queueing(WARM + 2880, 1))[WARM:])[0]) == []


def test_an_outlier_of_one_series_is_for_other_tracks(warm):
    rows = list(queueing(WARM + 60, 1))[WARM:]
    for i in range(20, 22):
        rows[i]["disk"] *= 50.0
    assert openings(after(warm, rows)[0]) == []


def test_nothing_is_judged_before_there_is_a_past(warm):
    judged, _ = follow(queueing(3700, 2), always=True)
    first = next(i for i, verdict in enumerate(judged) if verdict)
    assert forest.YOUNG + 1440 + forest.BLOCK * forest.LEAST_BLOCKS - forest.BLOCK <= first < 3660


def test_what_comes_to_stay_is_taken_as_usual(warm):
    rows = list(queueing(WARM + 3500, 1, range(WARM, WARM + 3500)))[WARM:]
    found = openings(after(warm, rows)[0])
    assert found
    assert found[-1] < forest.ACCEPT_AFTER + 2 * 1440


def test_a_gap_or_a_missing_row_is_no_break(warm):
    rows = list(queueing(WARM + 400, 1))[WARM:]
    said, state = follow(rows[:100], resumed(warm), start=WARM + 3 * 1440)
    thin = [{k: v for k, v in row.items() if k != "ms" or i % 3} for i, row in enumerate(rows[100:200])]
    more, state = follow(thin, state, start=WARM + 3 * 1440 + 100)
    assert openings(said) + openings(more) == []
    assert state.chosen == ["disk", "ms", "rps"]
    gone = [{k: v for k, v in row.items() if k != "ms"} for row in rows[200:]]
    rest, state = follow(gone, state, start=WARM + 3 * 1440 + 200)
    assert rest == [None] * 200
    assert state.chosen == ["disk", "rps"]
    assert state.weight == 0


def test_a_series_at_rest_is_not_judged():
    rnd = random.Random(3)
    rows = [{"a": rnd.gauss(0, 1), "b": rnd.gauss(0, 1), "on": float(i % 50 == 0)} for i in range(800)]
    assert follow(rows)[1].chosen == ["a", "b"]


def test_a_rank_is_the_place_among_the_samples(warm):
    state = resumed(warm)
    before = {axis.name: list(axis.samples) for axis in state.axes}
    row = {"rps": before["rps"][40], "ms": 1e9, "disk": -1e9}
    advance(state, (WARM + 1) * MINUTE, row, CONFIG)
    ranks = {axis.name: axis.rank for axis in state.axes}
    assert ranks["ms"] == 1.0
    assert ranks["disk"] == 0.0
    size = len(before["rps"])
    assert ranks["rps"] == pytest.approx((bisect.bisect(before["rps"], row["rps"]) - 0.5) / size)


def test_the_bits_are_the_surprise_of_the_masses_before_the_row(warm):
    state, before = resumed(warm), resumed(warm)
    row = list(queueing(WARM + 1, 1))[-1]
    verdict = advance(state, (WARM + 1) * MINUTE, row, CONFIG, always=True)
    ranks = [next(axis.rank for axis in state.axes if axis.name == name) for name in before.chosen]
    trees = halfspaces.forest(3, forest.TREES, forest.HEIGHT, forest.SEED)
    bits = halfspaces.surprise(before.masses, before.weight, halfspaces.leaves(trees, forest.HEIGHT, ranks))
    assert verdict.evidence["bits"] == pytest.approx(bits, abs=0.001)
    assert verdict.score == pytest.approx(before.score + (bits - before.score) / 5.0, rel=1e-3)
    assert state.masses == before.masses
    assert sum(map(sum, state.latest)) == sum(map(sum, before.latest)) + forest.TREES
