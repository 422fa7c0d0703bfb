import random
import statistics
from itertools import pairwise

import pytest

from operators.detect.whitening import MEMORY, move, start, surprise


def process(phi, count, seed=1):
    rnd, value, values = random.Random(seed), 0.0, []
    for _ in range(count):
        value = phi * value + rnd.gauss(0, (1 - phi * phi) ** 0.5)
        values.append(50 + 3 * value)
    return values


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.97])
def test_what_is_left_is_white(phi):
    values = process(phi, 9000)
    model = start(values[:24])
    left = [surprise(model, value) for value in values[24:]][3000:]
    mean = statistics.fmean(left)
    spread = statistics.pstdev(left)
    lagged = sum((b - mean) * (a - mean) for a, b in pairwise(left)) / len(left) / spread**2
    assert model.phi == pytest.approx(phi, abs=0.06)
    assert spread == pytest.approx(1.0, abs=0.12)
    assert abs(lagged) < 0.07


def test_a_gap_has_no_surprise():
    model = start(process(0.9, 24))
    model.previous = None
    assert surprise(model, 50.0) is None
    assert surprise(model, 50.0) is not None


def test_a_model_moves_with_its_level():
    values = process(0.5, 200)
    model, moved = start(values[:24]), start(values[:24])
    move(moved, 7.0)
    moved.previous += 7.0
    for value in values[24:40]:
        assert surprise(moved, value + 7.0) == pytest.approx(surprise(model, value))


def test_a_value_far_out_teaches_little():
    model = start(process(0.0, 24))
    before = model.cov0
    surprise(model, 1e9)
    assert model.cov0 < 3 * before


@pytest.mark.parametrize("values", [[5.0] * 24, [0.0] * 24])
def test_a_constant_series_has_a_model(values):
    model = start(values)
    assert surprise(model, values[0]) == 0.0
    assert surprise(model, values[0] + 1) > 1e6
    for _ in range(2 * MEMORY):
        surprise(model, values[0])
    assert model.sigma > 0
