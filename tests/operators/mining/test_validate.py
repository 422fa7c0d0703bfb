"""What holds later is confirmed, what does not is not; the obvious is left out; scores rank."""

import msgspec
import numpy as np
import pytest

from operators.mining.finding import Finding, MiningConfig, claimed
from operators.mining.history import History
from operators.mining.rules import RuleMiner
from operators.mining.significance import benjamini_hochberg, permutation_p, wilson
from operators.mining.validate import cut_of, judge, mine_and_judge, obvious, score
from operators.taxonomy import PatternClass
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG

NOW = int(planted.UNTIL.timestamp() * 1e6)
FINDING = Finding(
    miner="m", key="k", kind="rule", pattern_class=PatternClass.FAILURE_MODE, entities=("shop",), measure="failed",
    support=10, total=20, confidence=0.5, effect=3.0, effect_name="rate_ratio", p_value=0.001, q_value=0.01,
    first_seen_us=NOW - 10**12, last_seen_us=NOW, early=3.0, late=3.0, sentence="It fails.",
)  # fmt: skip


def changed(**fields):
    return msgspec.structs.replace(FINDING, **fields)


def runs(rate_by_half):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(1200):
        by = str(rng.choice(["ada", "bo", "cy"]))
        rate = rate_by_half[number >= 600] if by == "bo" else 0.1
        start = number * 200.0
        rows.append(
            {"id": f"r{number:04d}", "execution_id": "", "pipeline_name": "p", "execution_start": planted.at(start),
             "execution_end": planted.at(start + 10), "status": "failure" if rng.random() < rate else "success",
             "trigger_type": "webhook", "trigger_data": {"by": by}}
        )  # fmt: skip
    return History.of(runs=rows)


@pytest.mark.parametrize(("rates", "status"), [((0.45, 0.45), "confirmed"), ((0.7, 0.1), "rejected")])
def test_a_rule_must_hold_later(rates, status):
    verdicts = [
        verdict
        for verdict in mine_and_judge(RuleMiner(), runs(rates), CONFIG, planted.UNTIL)
        if verdict.finding.key == "pipeline|p|by=bo|failed"
    ]
    assert [verdict.status for verdict in verdicts] == [status], verdicts


def test_nothing_to_hold_out_is_no_error():
    assert mine_and_judge(RuleMiner(), History.of(), CONFIG, planted.UNTIL) == []
    assert cut_of(History.of(), planted.UNTIL) == planted.UNTIL


def test_the_better_scores_higher():
    best = score(FINDING, planted.UNTIL)
    for weaker in (
        changed(q_value=0.5), changed(effect=1.2), changed(late=0.9), changed(late=None),
        changed(last_seen_us=NOW - 60 * 86_400_000_000),
    ):  # fmt: skip
        assert 0.0 <= score(weaker, planted.UNTIL) < best <= 1.0


def test_verdicts():
    findings = [FINDING, changed(key="unstable", late=0.5), changed(key="unsure", q_value=0.2), changed(key="new",
    late=None),
                changed(key="part", kind="sequence", entities=("shop", "shop/test"))]  # fmt: skip
    verdicts = {verdict.finding.key: verdict.status for verdict in judge(findings, MiningConfig(), planted.UNTIL)}
    assert verdicts == {
        "k": "confirmed",
        "unstable": "rejected",
        "unsure": "rejected",
        "new": "pending",
        "part": "rejected",
    }
    assert judge(findings, MiningConfig(), planted.UNTIL)[0].finding == FINDING


def test_old_news_is_old_though_it_lasts():
    old = changed(kind="change_point", first_seen_us=NOW - 400 * 86_400_000_000, last_seen_us=NOW)
    new = changed(kind="change_point", first_seen_us=NOW - 20 * 86_400_000_000, last_seen_us=NOW)
    assert score(old, planted.UNTIL) < 0.2 * score(new, planted.UNTIL)
    for over in ({"back": True}, {"lasts": False}):
        assert score(msgspec.structs.replace(new, evidence=over), planted.UNTIL) < 0.6 * score(new, planted.UNTIL)


def test_a_count_that_does_not_come_again_is_pending():
    count = changed(p_value=None, q_value=None, early=None, late=None)
    [verdict] = judge([count], MiningConfig(), planted.UNTIL, {count.key: None})
    assert verdict.status == "pending"
    [verdict] = judge([count], MiningConfig(), planted.UNTIL, {count.key: True})
    assert verdict.status == "confirmed"


def test_that_a_broken_pipeline_stays_broken_is_obvious():
    cause = {"cause": [{"attribute": "before", "value": "failed"}]}
    assert obvious(changed(evidence=cause)) and not obvious(changed(evidence=cause, measure="slow"))


def test_ids_depend_on_miner_and_key_alone():
    assert FINDING.id == changed(support=11, total=21, sentence="Else.").id != changed(key="other").id
    assert FINDING.id != changed(miner="n").id


def test_claims_are_few_among_chance():
    """Benjamini and Hochberg's promise, measured: of 300 nights with 200 tests of nothing, about one in twenty
    claims."""
    rng = np.random.default_rng(1)
    nights = 0
    for _ in range(300):
        drafts = [changed(key=str(at), p_value=float(p), q_value=None) for at, p in enumerate(rng.random(200))]
        nights += bool(claimed(drafts, MiningConfig()))
    assert nights <= 30


def test_tests_that_were_not_drafted_count():
    draft = changed(p_value=0.01, q_value=None)
    assert claimed([draft], MiningConfig()) and not claimed([draft], MiningConfig(), tests=100)
    assert claimed([draft], MiningConfig(), others_tested=[0.5])[0].q_value == pytest.approx(0.02)


def test_q_values_by_hand():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205])
    by_hand = np.minimum.accumulate((p * 8 / np.arange(1, 9))[::-1])[::-1]
    assert benjamini_hochberg(p) == pytest.approx(by_hand)


def test_permutation_p_is_never_too_sure():
    assert permutation_p(1e9, np.zeros(99)) == pytest.approx(1e-4)
    assert permutation_p(0.0, np.zeros(99)) == 1.0


def test_wilson_holds_the_share():
    for hits, trials in ((0, 5), (5, 5), (3, 40)):
        low, high = wilson(hits, trials)
        assert 0.0 <= low <= hits / trials <= high <= 1.0
