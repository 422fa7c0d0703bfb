"""Who looks for what, and in which tables: a miner is mined again only when one of its tables has changed."""

from typing import NamedTuple

from operators.mining.baselines import BaselineMiner
from operators.mining.chains import ChainMiner
from operators.mining.changes import ChangeMiner
from operators.mining.engine import Engine
from operators.mining.error_clusters import ErrorClusterMiner
from operators.mining.failure_modes import FailureModeMiner, PropagationMiner
from operators.mining.finding import Miner
from operators.mining.flaky import FlakyMiner
from operators.mining.graph import GraphMiner
from operators.mining.itemsets import ItemsetMiner
from operators.mining.recovery import PreventionMiner, RecoveryMiner
from operators.mining.rules import RuleMiner
from operators.mining.sequences import SequenceMiner
from operators.mining.shape_clusters import ShapeClusterMiner

ENDS = ("runs", "steps", "task_executions", "integration_events")


class Looking(NamedTuple):
    """A miner and the tables it looks at."""

    miner: Miner
    tables: tuple[str, ...]


def miners(engine: Engine | None = None) -> dict[str, Looking]:
    """By name, in the order in which they work; those that count sets and sequences do so by `engine`."""
    every = (
        Looking(RuleMiner(engine), (*ENDS, "tasks")),
        Looking(ItemsetMiner(engine), ("runs", "steps")),
        Looking(SequenceMiner(engine), (*ENDS, "patterns")),
        Looking(FailureModeMiner(), ENDS),
        Looking(PropagationMiner(), ENDS),
        Looking(FlakyMiner(), ("runs", "steps", "task_executions")),
        Looking(RecoveryMiner(), ("runs", "task_executions", "integration_events")),
        Looking(PreventionMiner(), (*ENDS, "interventions")),
        Looking(BaselineMiner(), ENDS),
        Looking(ErrorClusterMiner(), ("steps", "task_executions", "integration_events")),
        Looking(ChangeMiner(), (*ENDS, "daily", "hourly")),
        Looking(ShapeClusterMiner(), ("hourly",)),
        Looking(GraphMiner(), ("code_dependencies",)),
        Looking(ChainMiner(), ("runs", "steps", "tasks", "task_executions", "task_dependencies")),
    )
    return {one.miner.name: one for one in every}


MINERS = miners()
"""With the embedded engine."""
