import math
import random
from itertools import pairwise

import msgspec
import pytest

from operators.detect import correlation, onsets, rings
from operators.detect.correlation import CorrelationConfig, CorrelationState, advance

MINUTE = 60_000_000
CONFIG = CorrelationConfig()


def follow(rows, config=CONFIG, state=None, step=MINUTE):
    """All links said over `rows`, each with the step at which it was said."""
    state = CorrelationState() if state is None else state
    return [(i, link) for i, row in enumerate(rows) for link in advance(state, i * step, row, config)], state


def coupled(steps, lag, strength, seed=1, until=None):
    rnd = random.Random(seed)
    shocks = [rnd.gauss(0, 1) for _ in range(steps + lag)]
    a = b = 0.0
    for i in range(steps):
        a = 0.6 * a + shocks[i + lag]
        joined = strength if until is None or i < until else 0.0
        b = 0.6 * b + joined * shocks[i] + rnd.gauss(0, 1)
        yield {"a": 100 + a, "b": 5 * b, "c": rnd.gauss(0, 1), "d": rnd.expovariate(1)}


@pytest.mark.parametrize(("lag", "strength"), [(0, 1.0), (1, 1.0), (7, 1.5), (29, 1.0), (5, -1.0)])
def test_a_coupling_is_said_with_its_lag_and_sign(lag, strength):
    said, _ = follow(coupled(900, lag, strength))
    new = [(i, link) for i, link in said if link.verdict == "new"]
    assert [(link.leader, link.follower, link.lag_us // MINUTE) for _, link in new] == [("a", "b", lag)]
    when, link = new[0]
    assert link.strength * strength > 0.5
    assert link.p_value <= CONFIG.confirm_at
    assert link.q_value <= CONFIG.false_discovery / 2
    assert when < 540
    # It goes on to say so at each scan, and at no other time.
    later = [i for i, link in said if link.verdict == "still"]
    assert later == list(range(when + CONFIG.every, 900, CONFIG.every))


def test_one_stretch_is_not_enough():
    """Coupled until the find, apart from then on: a find alone is never said."""
    said, state = follow(coupled(120 + 1, 3, 2.0))
    assert [(held.leader, held.said) for held in state.held] == [("a", False)]
    said, state = follow(coupled(1500, 3, 2.0, until=121))
    assert said == []
    assert state.held == []


def test_what_comes_apart_is_gone_once():
    said, state = follow(coupled(2000, 3, 1.5, until=900))
    assert [link.verdict for _, link in said if link.verdict != "still"] == ["new", "gone"]
    when, gone = next((i, link) for i, link in said if link.verdict == "gone")
    assert 900 < when < 1200
    assert gone.evidence["why"] == "decoupled"
    assert abs(gone.strength) < 0.4
    assert not any(held.said for held in state.held)


def test_a_series_that_falls_silent_takes_its_links_along():
    rows = [row if i < 700 else {k: v for k, v in row.items() if k != "b"} for i, row in enumerate(coupled(1300, 3, 2))]
    said, state = follow(rows)
    assert [(link.verdict, link.evidence.get("why")) for _, link in said if link.verdict != "still"] == [
        ("new", None),
        ("gone", "silent"),
    ]
    assert "b" not in state.rings.members


def jumps(steps, pairs, seed, answered=lambda index: True, lag=6):
    """Two quiet series and a third; some jumps of the first for 20 minutes, the second's after `lag`."""
    rnd = random.Random(seed)
    a, b, c = ([rnd.gauss(0, 1) for _ in range(steps)] for _ in range(3))
    for index, at in enumerate(pairs):
        for i in range(at, min(at + 20, steps)):
            a[i] += 15.0
        for i in range(at + lag, min(at + lag + 20, steps)):
            b[i] -= 12.0 if answered(index) else 0.0
    return [{"a": x, "b": y, "c": z} for x, y, z in zip(a, b, c, strict=True)]


def test_rare_jumps_that_are_followed_are_a_link_by_onsets():
    rnd = random.Random(5)
    at = [300 + 410 * i + rnd.randrange(200) for i in range(9)]
    said, _ = follow(jumps(4200, at, 6))
    new = [link for _, link in said if link.verdict == "new"]
    assert [(link.leader, link.follower, link.evidence["channel"]) for link in new] == [("a", "b", "onsets")]
    assert abs(new[0].lag_us // MINUTE - 6) <= 1
    assert new[0].strength < -0.5


def test_jumps_that_are_followed_no_more_are_gone():
    rnd = random.Random(5)
    at = [300 + 410 * i + rnd.randrange(200) for i in range(16)]
    said, _ = follow(jumps(7000, at, 6, answered=lambda index: index < 9))
    assert [link.verdict for _, link in said if link.verdict != "still"] == ["new", "gone"]


@pytest.mark.parametrize("every", [60, 1440])
def test_a_calendar_is_no_coupling(every):
    """Both jump at fixed minutes of the hour or the day, whatever the other does."""
    rnd = random.Random(4)
    rows = []
    for i in range(7 * 1440):
        a = rnd.gauss(0, 1) + (15.0 if i % every < 5 else 0.0)
        b = rnd.gauss(0, 1) + (15.0 if i % every in range(4, 9) else 0.0)
        rows.append({"a": a, "b": b, "c": rnd.gauss(0, 1)})
    said, _ = follow(rows)
    assert said == []


def test_strangers_are_not_linked():
    """Ten groups for two days each: walks, strong autocorrelation, heavy tails, one season, counts."""
    for seed in range(10):
        rnd = random.Random(seed)
        walk, slow, said, state = 0.0, [0.0, 0.0], [], CorrelationState()
        for i in range(2 * 1440):
            walk += rnd.gauss(0, 1)
            slow = [0.95 * value + rnd.gauss(0, 1) for value in slow]
            row = {
                "walk": walk,
                "slow": slow[0],
                "slower": slow[1],
                "tail": rnd.paretovariate(1.5),
                "count": float(rnd.random() < 0.1),
                "rounded": round(rnd.gauss(0, 0.5)),
            }
            said += advance(state, i * MINUTE, row, CONFIG)
        assert said == [], seed


def test_slower_groups_are_judged_by_their_own_step():
    said, state = follow(coupled(700, 4, 2.0), step=5 * MINUTE)
    assert state.rings.step_us == 5 * MINUTE
    new = [link for _, link in said if link.verdict == "new"]
    assert [(link.leader, link.follower, link.lag_us) for link in new] == [("a", "b", 20 * MINUTE)]


def test_more_series_than_places():
    config = msgspec.structs.replace(CONFIG, most_series=4)
    rnd = random.Random(3)
    names = [f"s{number:02d}" for number in range(12)]
    state = CorrelationState()
    for i in range(900):
        row = {name: rnd.gauss(0, 1) + (30.0 if name == "s09" and i in (600, 601) else 0.0) for name in names}
        advance(state, i * MINUTE, row, config)
        assert len(state.rings.members) == 4
    assert "s09" in state.rings.members
    assert len(state.rings.waiting) == 8


def test_the_table_is_in_order_across_the_ring_and_its_gaps():
    state = rings.Rings()
    for slot in [*range(600), 700, 701]:
        rings.take(state, slot * MINUTE, {"a": float(slot), **({"b": -1.0} if slot % 2 else {})}, 8)
    whole = rings.table(state, ["a", "b"])
    assert whole.shape == (2, rings.RING)
    first = 701 - rings.RING + 1
    expected = [float(s) if s < 600 or s >= 700 else None for s in range(first, 702)]
    assert [None if math.isnan(v) else v for v in whole[0].tolist()] == expected
    assert [v == -1.0 for v in whole[1].tolist()] == [
        e is not None and s % 2 == 1 for s, e in enumerate(expected, first)
    ]


def test_onsets_keep_their_bounds():
    state = CorrelationState()
    rnd = random.Random(8)
    for i in range(3000):
        row = {"a": rnd.gauss(0, 1) + 40.0 * (i % 25 == 0), "b": rnd.gauss(0, 1)}
        advance(state, i * MINUTE, row, CONFIG)
    events = state.rings.members["a"].events
    assert len(events) == onsets.ONSETS
    slots = [event // 2 for event in events]
    assert all(later - before > onsets.REFRACTORY for before, later in pairwise(slots))
    assert all(slot % 25 == 0 for slot in slots)


def test_a_snapshot_of_a_run_goes_on_as_if_nothing_had_happened():
    rows = list(coupled(900, 4, 1.0, seed=2))
    whole, state = follow(rows)
    for cut in (100, 333, 480, 777):
        now = CorrelationState()
        said = []
        for i, row in enumerate(rows):
            if i == cut:
                now = msgspec.msgpack.decode(msgspec.msgpack.encode(now), type=CorrelationState)
            said += [(i, link) for link in advance(now, i * MINUTE, row, CONFIG)]
        assert said == whole
        assert msgspec.msgpack.encode(now) == msgspec.msgpack.encode(state)
    assert len(state.held) <= correlation.HELD
