"""Sequences: order and co-occurrence told apart, strength, and the base they are held against."""

import numpy as np

from operators.mining.history import History
from operators.mining.sequences import SequenceMiner
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG


def events(rows):
    """(group, minute, system, status) as correlated events of `history`."""
    return History.of(
        integration_events=[
            {"id": f"{at}", "event_type": "call", "source_system": system, "target_system": None, "event_data": {},
             "event_timestamp": planted.at(minute), "processing_duration": 1.0, "status": status,
             "correlation_key": group}
            for at, (group, minute, system, status) in enumerate(rows)
        ]
    )  # fmt: skip


def test_what_comes_together_in_any_order_is_no_sequence():
    rng = np.random.default_rng(3)
    rows = []
    for group in range(400):
        start = group * 600.0
        bad = rng.random() < 0.2
        order = rng.permutation(2)
        for system, place in zip("ab", order, strict=True):
            rows.append((f"g{group:03d}", start + place, system, "failure" if bad else "success"))
    found = SequenceMiner().mine(events(rows), CONFIG, planted.UNTIL)
    assert [finding for finding in found if finding.evidence["group"] == "correlation"] == []


def test_a_sequence_is_found_at_its_strength():
    rng = np.random.default_rng(3)
    rows, hits, total = [], 0, 0
    for group in range(400):
        start = group * 600.0
        first = rng.random() < 0.25
        second = rng.random() < (0.8 if first else 0.1)
        total += first
        hits += first and second
        rows.append((f"g{group:03d}", start, "a", "failure" if first else "success"))
        rows.append((f"g{group:03d}", start + 2, "b", "failure" if second else "success"))
    found = SequenceMiner().mine(events(rows), CONFIG, planted.UNTIL)
    [finding] = [finding for finding in found if finding.evidence["group"] == "correlation"]
    assert (finding.support, finding.total) == (hits, total)
    assert finding.evidence["sequence"] == ["integration:a:call:failure", "integration:b:call:failure"]
    assert finding.evidence["lead_s"] == 120.0


def test_others_in_which_it_could_not_have_come_do_not_make_a_base():
    """b fails half the time whatever a does; nine groups in ten have no b at all."""
    rng = np.random.default_rng(4)
    rows = []
    for group in range(800):
        start = group * 300.0
        rows.append((f"g{group:03d}", start, "a" if group % 10 == 0 else "z", rng.choice(["failure", "success"])))
        if group % 10 == 0:
            rows.append((f"g{group:03d}", start + 2, "b", rng.choice(["failure", "success"])))
    found = SequenceMiner().mine(events(rows), CONFIG, planted.UNTIL)
    assert [finding.sentence for finding in found if finding.evidence["group"] == "correlation"] == []
