"""Every miner keeps the contract; what is planted is found; on shuffled data next to nothing is claimed."""

from datetime import timedelta

import pytest

from operators.mining.baselines import BaselineMiner
from operators.mining.chains import ChainMiner
from operators.mining.changes import ChangeMiner
from operators.mining.error_clusters import ErrorClusterMiner
from operators.mining.failure_modes import FailureModeMiner, PropagationMiner
from operators.mining.flaky import FlakyMiner
from operators.mining.graph import GraphMiner
from operators.mining.itemsets import ItemsetMiner
from operators.mining.recovery import PreventionMiner, RecoveryMiner
from operators.mining.rules import RuleMiner
from operators.mining.sequences import SequenceMiner
from operators.mining.shape_clusters import ShapeClusterMiner
from operators.mining.validate import lenient
from tests.operators.mining import planted
from tests.operators.mining.contract import CONFIG, check_miner, in_shards

MINERS = {
    miner.name: miner
    for miner in (
        ItemsetMiner(), RuleMiner(), SequenceMiner(), ErrorClusterMiner(), ShapeClusterMiner(), FailureModeMiner(),
        PropagationMiner(), GraphMiner(), ChainMiner(), ChangeMiner(), BaselineMiner(), RecoveryMiner(),
        PreventionMiner(), FlakyMiner(),
    )
}  # fmt: skip

PLANTED = {
    "itemsets": [("itemset", "shop/main")],
    "rules": [("rule", "shop/main"), ("rule", "shop")],
    "sequences": [("sequence", "shop→desk:ticket")],
    "error_clusters": [("error_cluster", "shop/main/e2e")],
    "shape_clusters": [("shape_cluster", "host-0")],
    "failure_modes": [("error_signature", "shop/main/unit")],
    "propagation": [("propagation", "shop/deploy")],
    "graph": [("cycle", "shop"), ("hub", "shop"), ("blast_radius", "shop")],
    "chains": [("bottleneck", "shop/main"), ("cycle", "shop"), ("critical_path", "shop")],
    "changes": [("change_point", "web"), ("trend", "repo"), ("weekly", "desk"), ("daily", "host-0")],
    "baselines": [],
    "recovery": [("recovery", "shop/main")],
    "prevention": [("prevention", "nightly/main")],
    "flaky": [("flaky", "shop/main/e2e")],
}


@pytest.fixture(scope="module")
def history():
    return planted.history(runs=700)


@pytest.mark.parametrize("name", MINERS)
def test_miners_keep_the_contract_and_find_what_is_planted(name, history):
    found = check_miner(MINERS[name], history)
    seen = {(finding.kind, finding.entities[0]) for finding in found}
    assert set(PLANTED[name]) <= seen, [finding.sentence for finding in found][:20]


@pytest.fixture(scope="module")
def dealt():
    """A smaller one with everything dealt anew, twice."""
    return [planted.shuffled(planted.history(runs=250), seed).before(planted.UNTIL) for seed in range(2)]


@pytest.fixture(scope="module")
def short():
    return planted.history(runs=250).before(planted.UNTIL)


CUT = planted.UNTIL - timedelta(days=60, hours=7)
WAYS = {
    "all of it": (lambda history: history, planted.UNTIL),
    "what was known": (lambda history: history.before(CUT), CUT),
    "what came after": (lambda history: history.since(CUT), planted.UNTIL),
}


@pytest.mark.parametrize("name", MINERS)
def test_findings_do_not_depend_on_how_a_history_is_cut_into_shards(name, short, history):
    of = history.before(planted.UNTIL) if name in ("itemsets", "flaky") else short  # what is rare needs more
    config = lenient(CONFIG)
    found = 0
    for said, (way, until) in WAYS.items():
        whole = MINERS[name].mine(way(of), config, until)
        assert in_shards(MINERS[name], of, config, until, 4, way) == whole, said
        found += len(whole)
    assert found


@pytest.mark.parametrize("name", MINERS)
def test_nothing_much_is_claimed_of_shuffled_data(name, dealt):
    claimed = []
    for history in dealt:
        found = MINERS[name].mine(history, CONFIG, planted.UNTIL)
        claimed.append(sum(finding.p_value is not None for finding in found))
    # At a false discovery rate of 5 % one night in twenty may claim something where there is nothing.
    assert sum(count > 0 for count in claimed) <= 1, claimed
