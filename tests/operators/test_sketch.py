"""The quantile sketch: a function of the set of values, with a bounded error."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators import sketch as s
from operators.sketch import EXACT, HELD, MOST_BUCKETS, SHIFT, Sketch

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SPREAD = st.builds(math.ldexp, st.floats(1, 2, exclude_max=True), st.integers(-1074, 1023)) | FINITE
"""Values of every size, so that many buckets come together."""
NORMAL = st.floats(1e-300, 1e300) | st.floats(-1e300, -1e-300) | st.sampled_from([0.0, -0.0])
MODERATE = settings(max_examples=80, deadline=None)


def buckets(values: list[float], shift: int) -> dict[int, int]:
    """Counts by bucket, from the definition: a double's bits as a signed integer, shifted right."""
    found: dict[int, int] = {}
    for value in values:
        (bits,) = struct.unpack("<q", struct.pack("<d", value))
        found[bits >> shift] = found.get(bits >> shift, 0) + 1
    return found


def content(sketch: Sketch) -> tuple[list[float], int, dict[int, int]]:
    """What a sketch holds, whatever the order in which it came."""
    return sorted(sketch.values, key=lambda value: (value, math.copysign(1, value))), sketch.shift, sketch.buckets


def expected(values: list[float]) -> Sketch:
    """Few values as they are; else counts at the finest resolution at which they fit."""
    if len(values) <= HELD:
        return Sketch(list(values))
    shift = SHIFT
    while len(buckets(values, shift)) > MOST_BUCKETS:
        shift += 1
    return Sketch([], shift, buckets(values, shift))


def wide(count: int) -> list[float]:
    """Values in as many binades as there are, so that the resolution must fall."""
    return [math.ldexp(1 + place % 7 / 8, place % 2046 - 1022) * (-1) ** (place // 2046) for place in range(count)]


@MODERATE
@given(st.lists(SPREAD, min_size=1, max_size=90))
def test_a_sketch_is_the_counts_of_its_buckets(values: list[float]) -> None:
    assert content(Sketch.of(list(values))) == content(expected(values))


@pytest.mark.parametrize("count", [300, 321, 700, 3000, 4092])
def test_too_many_buckets_halve_the_resolution(count: int) -> None:
    made = Sketch.of(wide(count))
    assert content(made) == content(expected(wide(count)))
    assert len(made.buckets) <= MOST_BUCKETS
    assert (made.shift > SHIFT) is (count > MOST_BUCKETS)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 900), st.lists(SPREAD.filter(bool), max_size=30), st.randoms(use_true_random=False))
def test_any_grouping_in_any_order_is_the_same(count: int, more: list[float], random: object) -> None:
    values = wide(count) + more
    whole = Sketch.of(list(values))
    shuffle = random.shuffle  # type: ignore[attr-defined]
    shuffle(values)
    parts: list[Sketch] = []
    while values:
        size = random.randint(1, 400)  # type: ignore[attr-defined]
        parts.append(Sketch.of(values[:size]))
        del values[:size]
    while len(parts) > 1:
        shuffle(parts)
        one, other = parts.pop(), parts.pop()
        before = other.copy()
        one.merge(other)
        assert other == before, "what is merged in stays as it was"
        parts.append(one)
    assert content(parts[0]) == content(whole)
    assert s.encode(parts[0]) == s.encode(whole)


@MODERATE
@given(st.lists(NORMAL, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_within_its_bound(values: list[float], q: float) -> None:
    true = sorted(values)[math.floor(q * (len(values) - 1))]
    found = Sketch.of(list(values)).quantile(q)
    if len(values) <= HELD:
        assert found == true
    assert abs(found - true) <= abs(true) / 128 * (1 + 1e-9)
    if true:
        assert math.copysign(1, found) == math.copysign(1, true)


def test_the_quantiles_of_many_values_against_sorting() -> None:
    from random import Random

    random = Random(5)
    values = [random.lognormvariate(3, 1.5) for _ in range(5000)]
    made = Sketch.of(values)
    assert made.shift > SHIFT, "the resolution fell, and so did the promise"
    error = 2.0 ** (made.shift - 53)
    for q in (0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0):
        true = sorted(values)[math.floor(q * 4999)]
        assert made.quantile(q) == pytest.approx(true, rel=error)


@MODERATE
@given(st.lists(SPREAD.filter(bool), max_size=80))
def test_encoding_is_canonical(values: list[float]) -> None:
    made = Sketch.of(list(values))
    wanted = made if len(values) <= EXACT else made.counted()
    assert content(s.decode(s.encode(made))) == content(wanted)
    assert content(made) == content(expected(values)), "it is left as it was"
    assert s.encode(Sketch.of(sorted(values))) == s.encode(made)


@pytest.mark.parametrize("value", [5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308, 0.0, -0.0])
def test_extremes(value: float) -> None:
    assert Sketch.of([value]).quantile(0.5) == value
    many = Sketch.of([value] * (HELD + 1))
    assert math.isfinite(many.quantile(0.5))
    assert abs(many.quantile(0.5) - value) <= max(abs(value) / 128, 2e-308)


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(Sketch.of([]).quantile(0.5))


def test_two_sketches_share_nothing() -> None:
    one, other = Sketch(), Sketch()
    one.merge(Sketch.of([1.0] * 80))
    assert (other.buckets, other.values) == ({}, [])
    copied = one.copy()
    copied.merge(Sketch.of([2.0] * 50))
    assert sum(one.buckets.values()) == 80


@pytest.mark.parametrize("first", [True, False])
def test_an_empty_sketch_is_neutral(first: bool) -> None:
    one, other = (Sketch.of([]), Sketch.of([1.0])) if first else (Sketch.of([1.0]), Sketch.of([]))
    one.merge(other)
    assert content(one) == content(Sketch.of([1.0]))


@pytest.mark.parametrize("sign", [1, -1])
def test_quantiles_over_all_binades_are_finite_and_rise(sign: int) -> None:
    values = [math.ldexp(float(sign), exponent) for exponent in range(-1022, 1024)]
    made = Sketch.of(values)
    found = [made.quantile(place / 64) for place in range(65)]
    assert all(math.isfinite(one) for one in found)
    assert found == sorted(found)
