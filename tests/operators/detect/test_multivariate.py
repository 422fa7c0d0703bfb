import random

import msgspec
import numpy as np
import pytest

from operators.detect import multivariate
from operators.detect.extremes import extreme
from operators.detect.matrices import inverted
from operators.detect.multivariate import MultivariateConfig, MultivariateState, advance

MINUTE = 60_000_000
CONFIG = MultivariateConfig()


def component(steps, seed, broken=range(0), how="still"):
    """Processor, network and memory of one load with a daily season; the disk is its own."""
    rnd = random.Random(seed)
    load = disk = 0.0
    held = None
    for i in range(steps):
        load = 0.97 * load + rnd.gauss(0, 1)
        disk = 0.8 * disk + rnd.gauss(0, 1)
        season = 6.0 * np.sin(2 * np.pi * i / 1440)
        cpu = season + load
        if i in broken:
            held = cpu if held is None else held
            cpu = held if how == "still" else cpu + 8.0
        yield {
            "cpu": 50 + cpu + rnd.gauss(0, 0.5),
            "net": 1e6 + 1e5 * (season + load + rnd.gauss(0, 0.5)),
            "memory": 40 - 0.5 * (season + load) + rnd.gauss(0, 0.3),
            "disk": disk,
        }


def follow(rows, state=None, config=CONFIG, always=False, start=0, step=MINUTE):
    state = MultivariateState() if state is None else state
    said = [advance(state, (start + i) * step, row, config, always) for i, row in enumerate(rows, 1)]
    return said, state


def openings(said):
    return [i for i, verdict in enumerate(said) if verdict and verdict.abnormal and verdict.confidence >= 0.7]


def test_a_series_that_leaves_its_relation_is_named_soon():
    rows = list(component(3100, 3, range(3000, 3040), "apart"))
    said, _ = follow(rows)
    found = openings(said)
    assert 3000 < found[0] <= 3012
    assert all(3000 < i < 3060 for i in found)
    first = said[found[0]]
    assert first.evidence["series"] == "cpu"
    assert first.evidence["contributors"].startswith("cpu 0.")
    assert first.direction == "up"
    assert first.high < first.evidence["value"]
    # Each series alone stayed within what it had done before.
    for name in ("cpu", "net", "memory"):
        before = [row[name] for row in rows[1440:3000]]
        assert min(before) < min(row[name] for row in rows[3000:3012])
        assert max(before) > max(row[name] for row in rows[3000:3012])


def test_groups_that_keep_their_relations_are_left_alone():
    assert openings(follow(component(6000, 4))[0]) == []


def test_an_outlier_of_one_series_is_for_other_tracks():
    rows = list(component(3000, 5))
    for i in range(2500, 2530):
        rows[i]["disk"] += 60.0
    assert openings(follow(rows)[0]) == []


def test_a_burst_of_all_together_is_no_break():
    rows = list(component(3000, 6))
    for i in range(2500, 2530):
        rows[i].update(cpu=rows[i]["cpu"] + 25, net=rows[i]["net"] + 25e5, memory=rows[i]["memory"] - 12.5)
    assert openings(follow(rows)[0]) == []


def test_a_new_relation_that_stays_is_taken_as_such():
    rows = list(component(9000, 7, range(3000, 9000), "apart"))
    rnd = random.Random(1)
    for row in rows[3000:]:
        row["cpu"] = 50 + rnd.gauss(0, 3)
    found = openings(follow(rows)[0])
    assert found
    assert found[-1] < 3000 + 2 * 1440


def test_a_gap_or_a_missing_row_is_no_break():
    rows = list(component(3000, 8))
    said, state = follow(rows[:2600])
    more, state = follow(rows[2600:2700], state, start=2600 + 3 * 1440)
    thin = [{k: v for k, v in row.items() if k != "net" or i % 3} for i, row in enumerate(rows[2700:])]
    last, state = follow(thin, state, start=2700 + 3 * 1440)
    assert openings(said) + openings(more) + openings(last) == []
    assert [channel.name for channel in state.channels] == ["cpu", "net", "memory", "disk"]


def test_the_distance_is_mahalanobis_less_the_oddest_series():
    _, state = follow(component(2990, 9))
    before = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=MultivariateState)
    verdict = advance(state, 2991 * MINUTE, list(component(2991, 9))[-1], CONFIG, always=True)
    bands = np.array([channel.fast - channel.slow for channel in state.channels])
    covariance = np.array(before.covariance)
    # The inverse is from the last refresh, at row 2970: its correlation was a little other.
    z = bands / np.array(before.deviations)
    whole = z @ np.array(before.inverse) @ z
    assert verdict.score == pytest.approx(np.sqrt(max(whole - (z * z).max(), 0.0)))
    deviations = np.sqrt(np.diag(covariance))
    expected = np.linalg.inv(covariance / np.outer(deviations, deviations) + multivariate.RIDGE * np.eye(4))
    assert np.array(before.inverse) == pytest.approx(expected, rel=0.2, abs=0.2)
    drops = []
    for i in range(4):
        rest = [j for j in range(4) if j != i]
        matrix = np.linalg.inv(np.array(before.inverse))[np.ix_(rest, rest)]
        drops.append(whole - z[rest] @ np.linalg.inv(matrix) @ z[rest])
    named = verdict.evidence["contributors"].split(", ")
    assert [part.split()[0] for part in named] == [
        state.channels[i].name for i in np.argsort(drops)[::-1] if drops[i] / sum(drops) >= 0.05
    ]
    assert float(named[0].split()[1]) == pytest.approx(max(drops) / sum(drops), abs=0.006)


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_the_inverse_is_numpys(size):
    rng = np.random.default_rng(size)
    correlation = np.corrcoef(rng.standard_normal((size, 40))) if size > 1 else np.ones((1, 1))
    found = inverted(correlation.tolist(), multivariate.RIDGE)
    assert np.array(found) == pytest.approx(np.linalg.inv(correlation + multivariate.RIDGE * np.eye(size)))


def test_the_inverse_of_what_is_no_correlation_stays_finite():
    found = np.array(inverted([[1.0, 1.3, 0.0], [1.3, 1.0, -0.9], [0.0, -0.9, 1.0]], 0.005))
    assert np.isfinite(found).all()
    assert (np.linalg.eigvalsh(found) > 0.0).all()


@pytest.mark.parametrize("shape", [0.0, 0.2])
def test_extreme_is_the_quantile_of_the_law_that_made_the_maxima(shape):
    from scipy.stats import genextreme

    maxima = genextreme.ppf((np.arange(5000) + 0.5) / 5000, -shape, loc=10, scale=2)
    exact = genextreme.ppf(1 - 1e-4, -shape, loc=10, scale=2)
    assert extreme(maxima.tolist(), 10_000) == pytest.approx(exact, rel=0.05)


def test_extreme_takes_the_law_for_gumbels_where_it_is_told_to():
    from scipy.stats import genextreme, gumbel_r

    shares = (np.arange(5000) + 0.5) / 5000
    light, heavy = gumbel_r.ppf(shares, 10, 2), genextreme.ppf(shares, -0.3, 10, 2)
    assert extreme(light.tolist(), 10_000, heaviest=0.0) == pytest.approx(gumbel_r.ppf(1 - 1e-4, 10, 2), rel=0.01)
    assert extreme(heavy.tolist(), 10_000, heaviest=0.0) < 0.5 * extreme(heavy.tolist(), 10_000)


def test_extreme_hardly_minds_a_tenth_of_troubled_blocks():
    rnd = random.Random(2)
    calm = [4.0 + rnd.gauss(0, 0.5) for _ in range(168)]
    troubled = [30.0 if i % 10 == 0 else value for i, value in enumerate(calm)]
    assert extreme(troubled, 10_000) < 1.5 * extreme(calm, 10_000)
    assert extreme([3.0] * 24, 10_000) == 3.0
