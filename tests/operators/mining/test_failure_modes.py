"""Statuses are compared among those that have them; errors of the same failures are told once."""

import numpy as np

from operators.mining.failure_modes import FailureModeMiner
from operators.mining.history import History
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG


def history(modes, count=160, names=None):
    """Failures of pipelines of one step each: `modes` by pipeline, the shares of failures that are errors."""
    rng = np.random.default_rng(0)
    runs, steps = [], []
    for pipeline, share in modes.items():
        for number in range(count):
            start = planted.at(number * 1500.0)
            status = "error" if rng.random() < share else "failure"
            run = f"{pipeline}#{number}"
            row = {"pipeline_name": pipeline, "execution_start": start, "status": status,
                   "execution_end": planted.at(number * 1500.0 + 9)}  # fmt: skip
            runs.append(row | {"id": run, "execution_id": run, "trigger_type": "webhook"})
            details = {"names": names(number)} if names else {}
            steps.append(row | {"pipeline_execution_id": run, "step_name": "test", "step_order": 1,
                                "error_details": details})  # fmt: skip
    return History.of(runs=runs, steps=steps)


def found(of, kind):
    return [one for one in FailureModeMiner().mine(of, CONFIG, planted.UNTIL) if one.kind == kind]


def test_more_errors_than_others_that_have_some():
    modes = found(history({"a": 0.5, "b": 0.05, "c": 0.0}), "failure_mode")
    assert ("a", "error") in {(one.entities[0], one.evidence["status"]) for one in modes}
    # c never had an error and is no one to compare with.
    assert {one.evidence["elsewhere_total"] for one in modes if one.evidence["status"] == "error"} == {160}


def test_no_claim_where_nobody_else_records_errors():
    assert [one for one in found(history({"a": 0.4, "b": 0.0, "c": 0.0}), "failure_mode")
            if one.evidence["status"] == "error"] == []  # fmt: skip


def test_two_names_in_the_same_failures_are_one_finding():
    def names(number):
        return [["TestA", "TestB"], ["TestA"], ["TestC"], []][number % 4]

    errors = found(history({"a": 0.0}, names=names), "error_signature")
    assert {(one.evidence["signature"], tuple(one.evidence["with"])) for one in errors} == {
        ("TestA", ("TestB",)), ("TestC", ()),
    }  # fmt: skip
    assert all("“TestB” comes mostly with it." in one.sentence for one in errors if one.evidence["with"])


def test_one_bad_week_is_no_habit():
    assert found(history({"a": 0.0}, names=lambda number: ["TestA"] if number < 8 else []), "error_signature") == []
