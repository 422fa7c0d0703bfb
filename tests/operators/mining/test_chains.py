"""The step that everything waits for, and the SQL that walks the same way."""

from datetime import timedelta

import numpy as np
import psycopg

from operators.mining import chains
from operators.mining.chains import ChainMiner
from operators.mining.history import History
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG
from tests.operators.mining.test_sql import fill, with_uuids


def run_of(rng, pipeline, number):
    """Steps that begin and end on few whole seconds, so many do together; some twice, skipped or without an end."""
    begun = planted.at(number * 60)
    steps = []
    for order, name in enumerate(rng.choice(["lint", "Lint", "unit", "é2e", "a", "it's"], rng.integers(1, 6)), 1):
        start = begun + timedelta(seconds=int(rng.integers(0, 6)))
        end = start + timedelta(seconds=int(rng.choice([0, 1, 2, 3, 40], p=[0.2, 0.2, 0.2, 0.2, 0.2])))
        status = str(rng.choice(["success", "failure", "skipped"], p=[0.8, 0.15, 0.05]))
        steps.append((str(name), start, end if rng.random() < 0.95 else None, status, order))
    slow = begun + timedelta(seconds=int(rng.integers(4, 8)))
    steps.append(("slow", slow, slow + timedelta(seconds=int(rng.choice([1, 30, 60]))), "success", len(steps) + 1))
    run = f"{pipeline}-{number}"
    return {
        "id": run, "execution_id": str(number), "pipeline_name": pipeline, "status": "success",
        "execution_start": begun, "execution_end": begun + timedelta(minutes=3),
    }, [
        {"pipeline_execution_id": run, "pipeline_name": pipeline, "step_name": name, "step_order": order,
         "status": status, "execution_start": start, "execution_end": end}
        for name, start, end, status, order in steps
    ]  # fmt: skip


def test_a_database_walks_the_same_way_through_each_run(database, monkeypatch):
    monkeypatch.setattr(chains, "BOTTLENECK", 0.0)
    rng = np.random.default_rng(3)
    made = [run_of(rng, f"p{at}", number) for at in range(8) for number in range(60)]
    history = with_uuids(History.of(runs=[run for run, _ in made], steps=[step for _, steps in made for step in steps]))
    found = ChainMiner().mine(history, CONFIG, planted.UNTIL)
    assert len(found) >= 5 and all(0 < one.support < one.total for one in found)
    with psycopg.connect(database) as connection:
        fill(connection, history)
        for one in found:
            assert connection.execute(one.sql).fetchone() == (one.support, one.total), one.sentence
