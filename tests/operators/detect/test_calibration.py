import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.detect.calibration import check_knots, confident

STRENGTHS = st.lists(st.floats(0.0, 100.0).map(lambda x: round(x, 3)), min_size=1, max_size=8, unique=True).map(sorted)


@given(STRENGTHS, st.data())
def test_it_is_numpys_interpolation(strengths, data):
    shares = sorted(data.draw(st.lists(st.floats(0.0, 1.0), min_size=len(strengths), max_size=len(strengths))))
    knots = check_knots(tuple(zip(strengths, shares, strict=True)))
    for strength in data.draw(st.lists(st.floats(-10.0, 200.0), min_size=1, max_size=10)):
        found = confident(knots, strength)
        assert found == pytest.approx(np.interp(strength, strengths, shares), abs=1e-9)
        assert 0.0 <= found <= 1.0


@pytest.mark.parametrize(
    "knots", [(), ((1.0, 0.5), (1.0, 0.6)), ((2.0, 0.5), (1.0, 0.6)), ((1.0, 0.6), (2.0, 0.5)), ((1.0, 1.1),)]
)
def test_knots_that_do_not_rise_are_refused(knots):
    with pytest.raises(ValueError, match="knots must rise"):
        check_knots(knots)


def test_what_is_no_number_is_as_weak_as_can_be():
    assert confident(((1.0, 0.6), (2.0, 0.9)), float("nan")) == 0.6
