"""Kinds of error by words and context, and the SQL that reads the same words."""

from collections import Counter

import numpy as np
import psycopg

from operators.mining import error_clusters
from operators.mining.error_clusters import ErrorClusterMiner
from operators.mining.history import History
from operators.mining.sql import signature
from operators.mining.streams import failures_said, outcomes
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG
from tests.operators.mining.test_sql import fill

WORDS = [
    "socket",
    "reset",
    "peer",
    "gateway",
    "upstream",
    "refused",
    "handshake",
    "cipher",
    "proxy",
    "route",
    "packet",
    "broken",
    "pipe",
    "retry",
]
OTHERS = ["assert", "expected", "actual", "value", "snapshot", "differs", "pixel", "colour", "margin", "layout"]


def step(at, pipeline, details, status="failure", run=None):
    start = planted.at(at)
    return {
        "pipeline_execution_id": run or f"r{at}", "pipeline_name": pipeline, "step_name": "e2e", "step_order": 1,
        "status": status, "execution_start": start, "execution_end": planted.at(at + 1), "error_details": details,
    }  # fmt: skip


def of_steps(steps):
    runs = [
        {"id": one["pipeline_execution_id"], "execution_id": "1", "pipeline_name": one["pipeline_name"],
         "status": one["status"],
         "execution_start": one["execution_start"], "execution_end": one["execution_end"]}
        for one in {one["pipeline_execution_id"]: one for one in steps}.values()
    ]  # fmt: skip
    return History.of(runs=runs, steps=steps)


def blurred(rng, days, mine):
    """Failures in `night` at 3:00, mostly in words of the network, and in `day` at 15:00, mostly in others: `mine` of
    six words are of the own kind."""
    steps = []
    for day in range(days):
        for pipeline, at, own, other in (("night", 180, WORDS, OTHERS), ("day", 900, OTHERS, WORDS)):
            text = [*rng.choice(own, mine, replace=False), *rng.choice(other, 6 - mine, replace=False)]
            steps.append(step(1440 * day + at, pipeline, {"message": " ".join(text)}))
    return of_steps(steps)


def test_context_tells_apart_what_words_alone_confuse(monkeypatch):
    history = blurred(np.random.default_rng(5), days=60, mine=4)
    found = ErrorClusterMiner().mine(history, CONFIG, planted.UNTIL)
    assert {(one.entities, one.support, one.evidence["context"][0]) for one in found} == {
        (("night/e2e",), 60, ("between 00:00 and 06:00 UTC", 60, 0)),
        (("day/e2e",), 60, ("between 12:00 and 18:00 UTC", 60, 0)),
    }
    assert all("60 of them between" in one.sentence for one in found)
    monkeypatch.setattr(error_clusters, "CONTEXT", 0.0)
    assert ErrorClusterMiner().mine(history, CONFIG, planted.UNTIL) == []


def test_places_and_hours_alone_make_no_kind():
    history = blurred(np.random.default_rng(5), days=60, mine=3)
    assert ErrorClusterMiner().mine(history, CONFIG, planted.UNTIL) == []


def test_kinds_that_are_alike_are_of_one_family():
    """What the flaky e2e says (planted: its network, its disk, its assertions) is nearer than names of unit tests."""
    found = ErrorClusterMiner().mine(planted.history(runs=700), CONFIG, planted.UNTIL)
    kinds = {one.evidence["terms"][0]: {terms[0] for terms in one.evidence["family"]} for one in found}
    flaky = {"net", "disk", "assert"}
    assert {name: kin for name, kin in kinds.items() if name in flaky} == {name: flaky - {name} for name in flaky}
    assert len(kinds) == 4 and not any(kin & flaky for name, kin in kinds.items() if name not in flaky)


def test_a_database_reads_the_same_words(database):
    odd = [
        {"message": "Timeout after 30.5 s at /srv/app/x.py:12"},
        {"b": "second", "a": "First", "B": "capital sorts before"},
        {"names": ["TestB", "TestA", 3, None, "", {"x": "not said"}], "count": 2, "note": "Ünï 0xDEADBEEF"},
        {"message": ""},
        {"names": []},
        {"nested": {"message": "not said"}},
        {"message": "   blank \n"},
        {"message": "x" * 700, "names": ["cut"]},
        {"it's": "100 % {} of 'quotes'"},
        ["a", "list"],
        "a text",
        None,
    ]
    steps = [step(at * 10, "shop", details) for at, details in enumerate(odd)]
    steps += [step(5000, "shop", {"message": "no failure"}, status="success"),
              step(1440 * 3000, "shop", {"message": "after the end"})]  # fmt: skip
    done = [
        {"id": f"t{at}", "task_id": "t", "status": "error", "execution_start": planted.at(at),
         "execution_end": planted.at(at + 1), "error_type": kind, "error_message": message, "project_name": "shop"}
        for at, (kind, message) in enumerate([("Deadlock", None), ("", "only 12"), (None, None), ("A", "b c")])
    ]  # fmt: skip
    events = [
        {"id": f"i{at}", "event_type": "ticket", "source_system": "shop", "target_system": None, "status": "failure",
         "event_timestamp": planted.at(at), "error_details": details}
        for at, details in enumerate(odd)
    ]  # fmt: skip
    history = History.of(
        runs=of_steps(steps).runs, steps=steps, task_executions=done, integration_events=events,
        tasks=[{"id": "t", "external_id": "t", "status": "open", "updated_at": planted.at(0)}],
    )  # fmt: skip
    stream = outcomes(history.before(planted.UNTIL), ["step", "task", "integration"], texts=True)
    texts = stream[stream["failed"] & stream["text"].notna()]["text"]
    with psycopg.connect(database) as connection:
        fill(connection, history)
        rows = connection.execute(failures_said(planted.UNTIL)).fetchall()
    assert Counter(text for (text,) in rows) == Counter(map(signature, texts))
    assert len(rows) == 2 * 6 + 3
