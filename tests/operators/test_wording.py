import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.words import moment, number


@given(st.floats(-1e12, 1e12))
def test_a_number_reads_back_to_four_digits(value):
    assert float(number(value)) == pytest.approx(value, rel=6e-4)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 5e-324, -1e300])
def test_any_number_can_be_written(value):
    assert number(value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_can_be_written(time):
    assert moment(time)


def test_a_time_beyond_the_calendar_is_itself():
    assert moment(10**18) == str(10**18)
    assert moment(0) == "1970-01-01T00:00:00.000Z"
