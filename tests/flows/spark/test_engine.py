"""The engine on Spark gives the answers of the embedded one. A job in Spark takes a second: many are asked at once."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flows.spark import engine as module
from flows.spark.session import SparkError
from operators.mining.engine import Embedded, ItemsetJob, SequenceJob
from operators.mining.itemsets import ItemsetMiner
from operators.mining.rules import RuleMiner
from operators.mining.sequences import SequenceMiner
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG
from tests.operators.mining.test_frequent_sets import fimi

AT_ONCE = 80
"""Jobs of an example."""

# Smaller examples are not sought: each is a few batches of Spark.
few = settings(deadline=None, max_examples=2, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10**6).map(np.random.default_rng)


def itemset_job(rng):
    rows, items = rng.integers(0, 30), rng.integers(1, 8)
    matrix = rng.random((rows, items)) < rng.choice([0.2, 0.5, 0.8])
    lists = [["abcdefgh"[at] for at in np.flatnonzero(row)] for row in matrix]
    max_length = rng.choice([None, 1, 3, 4], p=[0.3, 0.1, 0.3, 0.3])
    most_pairs = int(rng.integers(0, 20)) if rng.random() < 0.4 else None
    return ItemsetJob(matrix if rng.random() < 0.5 else lists, int(rng.integers(2, 4)), max_length, most_pairs)


def words(rng):
    return ["".join(rng.choice(list("abc"), size=rng.integers(0, 8))) for _ in range(rng.integers(0, 12))]


def sequence_job(rng):
    return SequenceJob(words(rng), int(rng.integers(1, 6)), 3)


def limited_job(rng):
    rows = words(rng)
    times = [np.cumsum(rng.integers(0, 9, size=len(row))).tolist() for row in rows]
    limits = [(times, 6, None), (times, 9, 2)][rng.integers(0, 2)]
    return SequenceJob(rows, int(rng.integers(2, 4)), 3, *limits)


def same(spark, jobs):
    """Two jobs a place, and all places at once."""
    places = list(range(0, len(jobs), 2))
    asked = (lambda: places, lambda place: jobs[place : place + 2])
    found = list(spark.itemsets(*asked))
    assert found == list(Embedded().itemsets(*asked))
    return found


@few
@given(seeds)
def test_any_transactions_give_the_same_sets(spark, rng):
    with pytest.MonkeyPatch.context() as patch:  # so few that jobs go to FPGrowth and to PrefixSpan
        patch.setattr(module, "MOST_SETS", 40)
        patch.setattr(module, "MOST_PROJECTIONS", 50_000)
        same(spark, [itemset_job(rng) for _ in range(AT_ONCE)])


@few
@given(seeds)
def test_any_sequences_give_the_same_ones(spark, rng):
    jobs = [sequence_job(rng) for _ in range(AT_ONCE)]
    assert spark.sequences(jobs) == Embedded().sequences(jobs)


@settings(few, max_examples=1)
@given(seeds)
def test_any_sequences_with_limits_give_the_same_ones(spark, rng):
    jobs = [limited_job(rng) for _ in range(AT_ONCE)]
    assert spark.sequences(jobs) == Embedded().sequences(jobs)


def test_nothing_to_count_is_no_work(spark):
    assert spark.sequences([]) == [] and list(spark.itemsets(list, lambda _: [])) == []
    empty = [ItemsetJob([], 1), ItemsetJob(np.zeros((0, 3), dtype=bool), 1), ItemsetJob([["a"]], 2)]
    assert list(spark.itemsets(lambda: ["p"], lambda _: empty)) == [("p", [{}, {}, {}])]


def test_samples_of_the_fimi_sets_give_the_same_sets(spark):
    jobs = [ItemsetJob(fimi("retail")[::16], 20), ItemsetJob(fimi("mushroom")[::16], 127)]
    [(_, found)] = same(spark, jobs)
    assert min(map(len, found)) > 900 and max(map(len, found[1])) >= 9


@pytest.fixture(scope="module")
def history():
    return planted.history(runs=700)


@pytest.mark.parametrize("miner", [ItemsetMiner, RuleMiner, SequenceMiner])
def test_miners_find_the_same(spark, history, miner):
    found = miner(spark).mine(history, CONFIG, planted.UNTIL)
    assert found and found == miner().mine(history, CONFIG, planted.UNTIL)


def test_a_problem_of_spark_is_one_line(spark, capfd):
    with pytest.raises(SparkError) as problem, spark.session.told("Spark could not count"):
        spark.session.spark.read.parquet("file:///nowhere/at/all")
    said = str(problem.value)
    assert said.startswith("Spark could not count: ") and "nowhere" in said
    assert "\n" not in said and "org.apache" not in said
    assert spark.session.log.exists() and capfd.readouterr() == ("", "")


def test_nothing_of_it_stays(spark):
    spark.session.spark  # noqa: B018 -- starts it where this test runs alone
    folder, jvm = spark.session.folder, spark.session.jvm
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert folder.exists() and psutil.pid_exists(jvm)
    assert not list(folder.glob("*.parquet"))  # neither of a run that was killed nor of what was counted
    os.kill(jvm, signal.SIGINT)  # Ctrl-C ends the night, which ends Spark: not Spark under its hands
    assert spark.session.spark.range(3).count() == 3
    with pytest.raises(KeyboardInterrupt), spark:
        raise KeyboardInterrupt
    assert not folder.exists() and not psutil.pid_exists(jvm)
    assert not {"spark-warehouse", "metastore_db", "derby.log", "artifacts"} & set(os.listdir(Path.cwd()))
