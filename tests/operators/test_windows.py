"""Panes' aggregates against a brute force, and the watermark against the contract's formula."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.sketch import Sketch, encode
from operators.windows import FOLD_AT, MAX_FINITE, Gathering, Point, Stats, Watermark

MODERATE = settings(max_examples=100, deadline=None)
DYADIC = st.integers(-(2**20), 2**20).map(lambda number: number / 64)
"""Sums of these, and of their squares, are exact in a double."""
POINTS = st.lists(st.tuples(st.integers(0, 20), st.integers(-5, 5), DYADIC), min_size=1, max_size=40)
EXTREME = st.sampled_from([
    1.7e308, -1.7e308, MAX_FINITE, -MAX_FINITE, 1e154, -1e154, 2e154, 5e-324, -5e-324, 2.2e-308, -0.0, 0.0, 1.0, -1e300,
])  # fmt: skip


def plain(stats: Stats) -> tuple[object, ...]:
    """All of it; a sketch as its bytes, since its values have no order."""
    return (*(getattr(stats, name) for name in Stats.__struct_fields__ if name != "sketch"), encode(stats.sketch))


def brute(points: list[Point]) -> Stats:
    """The aggregates from their definitions."""
    values = [Fraction(value) for _, _, value in points]
    return Stats(
        len(points),
        float(sum(values)),
        float(sum(value * value for value in values)),
        float(min(values)),
        float(max(values)),
        min(points),
        max(points),
        Sketch.of([point[2] for point in points]),
    )


@MODERATE
@given(POINTS)
def test_of_is_the_brute_force(points: list[Point]) -> None:
    stats = Stats.of(list(points))
    assert plain(stats) == plain(brute(points))
    assert (stats.first, stats.last) == (min(points)[2], max(points)[2])


@MODERATE
@given(st.lists(POINTS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_merge_in_any_split_and_order(parts: list[list[Point]], random: object) -> None:
    wanted = brute([point for part in parts for point in part])
    made = [Stats.of(list(part)) for part in parts]
    while len(made) > 1:
        random.shuffle(made)  # type: ignore[attr-defined]
        one, other = made.pop(), made.pop()
        before = other.copy()
        one.merge(other)
        assert other == before
        made.append(one)
    assert plain(made[0]) == plain(wanted)
    assert made[0].mean == wanted.sum / wanted.n


def test_a_copy_is_independent() -> None:
    one = Stats.of([(1, 1, 2.0)])
    other = one.copy()
    other.merge(Stats.of([(2, 1, 5.0)]))
    assert one == Stats.of([(1, 1, 2.0)]) != other


@MODERATE
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), EXTREME), min_size=1, max_size=4))
def test_extremes_stay_finite(points: list[Point]) -> None:
    whole = Stats.of(list(points))
    merged = Stats.of([points[0]])
    for point in points[1:]:
        merged.merge(Stats.of([point]))
    for stats in (whole, merged):
        numbers = (stats.sum, stats.sum_squares, stats.min, stats.max, stats.first, stats.last)
        assert all(math.isfinite(number) for number in numbers)
        assert stats.min == min(value for _, _, value in points)
        assert stats.max == max(value for _, _, value in points)
        assert 0 <= stats.sum_squares <= MAX_FINITE


def saturated(total: Fraction) -> float:
    limit = Fraction(MAX_FINITE)
    return float(max(-limit, min(total, limit)))


@MODERATE
@given(st.lists(EXTREME, min_size=1, max_size=4))
def test_a_sum_is_right_unless_it_is_too_large_itself(values: list[float]) -> None:
    stats = Stats.of([(place, 0, value) for place, value in enumerate(values)])
    assert stats.sum == saturated(sum(map(Fraction, values), Fraction()))
    assert stats.sum_squares == saturated(sum((Fraction(value) ** 2 for value in values), Fraction()))


@pytest.mark.parametrize(("values", "total"), [([1.7e308, 1.7e308], MAX_FINITE), ([-1.7e308] * 3, -MAX_FINITE)])
def test_a_sum_beyond_a_double_is_the_greatest_one(values: list[float], total: float) -> None:
    points = [(place, 0, value) for place, value in enumerate(values)]
    assert Stats.of(list(points)).sum == total
    merged = Stats.of(points[:1])
    merged.merge(Stats.of(points[1:]))
    assert merged.sum == total


def test_minus_zero_keeps_its_sign_at_the_ends() -> None:
    stats = Stats.of([(1, 0, -0.0), (2, 0, 5.0), (3, 0, -0.0)])
    assert [math.copysign(1, number) for number in (stats.first, stats.last)] == [-1, -1]
    assert Stats.of([(1, 0, -0.0)]).sum == 0.0


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 2 * FOLD_AT), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_folding_changes_nothing(sizes: list[int], random: object) -> None:
    """However often it is folded, and looked at in between."""
    gathering, points = Gathering([]), list[Point]()
    for size in sizes:
        for _ in range(size):
            point = (random.randrange(500), random.randrange(3), random.randrange(-4096, 4096) / 64)  # type: ignore[attr-defined]
            points.append(point)
            gathering.points.append(point)
        assert plain(gathering.result()) == plain(brute(points))
        gathering.fold()
        assert gathering.points == []
        assert plain(gathering.result()) == plain(brute(points))
    gathering.fold()
    assert plain(gathering.result()) == plain(brute(points))


def test_a_result_is_a_copy() -> None:
    gathering = Gathering([(1, 1, 2.0)])
    gathering.fold()
    gathering.result().merge(Stats.of([(2, 1, 5.0)]))
    assert gathering.result() == Stats.of([(1, 1, 2.0)])


@MODERATE
@given(
    st.integers(1, 20), st.integers(0, 30), st.lists(st.integers(-200, 200), max_size=40), st.integers(-250, 250)
)  # fmt: skip
def test_late_is_the_formula_of_the_contract(width: int, lateness: int, times: list[int], probe: int) -> None:
    """Pane end + lateness ≤ watermark, the watermark being the greatest event time so far."""
    mark = Watermark(width, lateness)
    greatest: int | None = None
    closed_before = -(1 << 62)
    for time in times:
        for at in (time, probe):
            end = (at // width + 1) * width
            assert mark.is_late(at) is (greatest is not None and end + lateness <= greatest)
        more = mark.advance(time)
        greatest = time if greatest is None else max(greatest, time)
        assert mark.time == greatest
        last = next(pane for pane in range(greatest // width, -10_000, -1) if (pane + 1) * width + lateness <= greatest)
        assert more is (last > closed_before)
        closed_before = mark.closed
        assert mark.closed == last


@MODERATE
@given(st.lists(st.integers(-100, 100), min_size=1), st.integers(-20, 20), st.lists(st.integers(-300, 300)))
def test_what_was_closed_by_hand_stays_closed(times: list[int], pane: int, more: list[int]) -> None:
    mark = Watermark(10, 5)
    for time in times:
        mark.advance(time)
    closed = mark.closed
    mark.close_through(pane)
    assert mark.closed == max(closed, pane)
    for time in more:
        before = mark.closed
        grew = mark.advance(time)
        assert mark.closed >= before
        assert grew is (mark.closed > before)
        assert mark.closed == max(pane, (max(*times, *more[: more.index(time) + 1]) - 5) // 10 - 1) or not grew
