import random

import pytest
from river import drift

from operators.detect.adwin import Adwin, add, drop, look, shrink
from operators.floats import pack, unpack


def stream(seed, size=1500):
    """Levels and spreads that jump now and then."""
    rnd = random.Random(seed)
    level, spread = 0.0, 1.0
    for _ in range(size):
        if rnd.random() < 0.005:
            level = rnd.gauss(0, 3)
        if rnd.random() < 0.003:
            spread = rnd.choice([0.1, 1.0, 3.0])
        yield rnd.gauss(level, spread)


@pytest.mark.parametrize("seed", range(24))
def test_it_is_rivers_adwin_value_for_value(seed):
    """The same detections at the same places, and the same window after each, resumed from msgpack on the way."""
    delta, clock = [(0.002, 32), (1e-4, 4), (0.3, 1), (0.05, 32)][seed % 4]
    theirs, ours, tick, told = drift.ADWIN(delta=delta, clock=clock), Adwin(), 0, 0
    for value in stream(seed):
        if theirs.drift_detected:
            ours, tick = Adwin(), 0
        theirs.update(value)
        add(ours, value)
        tick += 1
        changed = tick % clock == 0 and shrink(ours, delta)
        assert changed == theirs.drift_detected
        assert ours.width == theirs.width
        told += changed
        if tick % 100 == 0:
            ours = unpack(pack(ours), Adwin)
    assert told > 0
    assert ours.total == pytest.approx(theirs.total)


@pytest.mark.parametrize("seed", range(4))
def test_the_window_that_goes_on_is_rivers_too(seed):
    from river._river_rust.drift import AdaptiveWindowing

    theirs, ours = AdaptiveWindowing(0.002, 8, 5, 5, 10), Adwin()
    for tick, value in enumerate(stream(100 + seed), start=1):
        told = theirs.update(value)
        add(ours, value)
        assert (tick % 8 == 0 and shrink(ours, 0.002)) == told
        assert ours.width == theirs.get_width()
        assert ours.variance / ours.width == pytest.approx(theirs.get_variance() / ours.width, abs=1e-6)


def test_the_sums_are_those_of_the_values_left():
    rnd, window, values = random.Random(1), Adwin(), []
    for tick in range(900):
        values.append(rnd.gauss(5, 2))
        add(window, values[-1])
        if tick % 90 == 89:
            del values[: drop(window)]
        assert window.width == len(values)
        assert window.total == pytest.approx(sum(values))
        mean = sum(values) / len(values)
        assert window.variance == pytest.approx(sum((value - mean) ** 2 for value in values))


def test_a_look_finds_the_place_of_the_change():
    rnd, window = random.Random(2), Adwin()
    for tick in range(600):
        add(window, rnd.gauss(0 if tick < 400 else 2, 1))
    cut = look(window, 0.002)
    assert cut.ratio > 2
    assert abs(cut.before - 400) <= 64
    assert (cut.old, cut.new) == (pytest.approx(0, abs=0.3), pytest.approx(2, abs=0.4))


def test_nothing_is_said_of_few_values_and_the_last_bucket_stays():
    window = Adwin()
    for _ in range(10):
        add(window, 1.0)
    assert look(window, 0.3) is None
    while drop(window):
        pass
    assert window.width == 1
    assert not drop(Adwin())
    assert Adwin().mean == 0.0


def test_its_size_is_logarithmic():
    window = Adwin()
    for value in range(10_000):
        add(window, value * 1.01)
    assert len(pack(window)) <= 1100
