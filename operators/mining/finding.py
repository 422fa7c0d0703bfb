"""What a miner finds, the settings that all miners share, and the interface that all of them have."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import log
from typing import Any

import msgspec
import numpy as np

from operators.identity import identity
from operators.mining.history import History
from operators.mining.significance import benjamini_hochberg
from operators.taxonomy import Category, PatternClass

STRENGTH_KEPT = 0.25
"""Share of a finding's effect (as a logarithm) that each slice of time must show for it to count as stable."""


class MiningConfig(msgspec.Struct, frozen=True):
    """What all miners share.

    `false_discovery_rate`: greatest q-value that is claimed. `min_count`: observations below which nothing is said.
    `min_support`: the same as a share of the rows looked at. `max_length`: items of a set, a rule's cause, a sequence.
    `min_effect`: ratio to chance below which a difference is no news, however sure. `max_findings`: most findings a
    miner gives, the strongest first. `window_s`: how far apart, in seconds, things may lie that are said to follow one
    another. `permutations`: random rearrangements where a null distribution has no formula. `seed`: theirs.
    """

    false_discovery_rate: float = 0.05
    min_count: int = 8
    min_support: float = 0.01
    max_length: int = 3
    min_effect: float = 1.5
    max_findings: int = 200
    window_s: float = 3600.0
    permutations: int = 199
    seed: int = 20260105

    def at_least(self, rows: int) -> int:
        """The least count worth a claim among `rows`.

        >>> MiningConfig().at_least(100), MiningConfig().at_least(5000)
        (8, 50)
        """
        return max(self.min_count, int(np.ceil(self.min_support * rows)))


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern of the past, with what it takes to check it.

    `key` is its natural key within the miner: `id` depends on both alone, so the next night finds the same one.
    `support` of `total` observations show it, which `sql` counts again (columns `support`, `total`) in the product's
    tables; None says that no such query exists. `effect` is a ratio to chance or to the others (`effect_name` says
    which; 1 = none). `p_value` None means that nothing is claimed against chance: a count of what is there. `early` and
    `late` are the effect in the earlier and the later half of the time looked at, None where a half shows too little.
    Times in µs since 1970.
    """

    miner: str
    key: str
    kind: str
    pattern_class: PatternClass
    entities: tuple[str, ...]
    measure: str
    support: int
    total: int
    confidence: float
    effect: float
    effect_name: str
    p_value: float | None
    first_seen_us: int
    last_seen_us: int
    sentence: str
    q_value: float | None = None
    sql: str | None = None
    early: float | None = None
    late: float | None = None
    evidence: dict[str, Any] = {}

    @property
    def id(self) -> uuid.UUID:
        """The same for the same miner and key, on any night."""
        return identity("finding", f"{self.miner}\0{self.key}")

    @property
    def category(self) -> Category:
        """The category of its class."""
        return self.pattern_class.category

    @property
    def stable(self) -> bool | None:
        """Whether both halves of the time show it, on the same side and not much weaker; None if that is unknown."""
        if self.early is None or self.late is None:
            return None
        whole, least = _log(self.effect), min
        if whole < 0.0:
            least = max
        weakest = least(_log(self.early), _log(self.late))
        return weakest / whole >= STRENGTH_KEPT if whole else False


class Looked(msgspec.Struct, frozen=True):
    """What a look at a history gives before it is known how many tests were made in all: drafts, and tests by layer."""

    drafts: list[Finding] = []
    tests: dict[int, int] = {}


class Miner:
    """One way to look at a history; a miner overrides what it needs of it.

    A history need not be in memory as a whole: `look` is given a *shard*, all rows of some components and none of the
    others', and finds what is to be found in a component on its own. What needs the rows of several components is
    found by `across`, which is given what `lean` leaves of the shards, put together. Both are functions of their
    arguments alone, so findings do not depend on how a history was cut into shards.
    """

    name: str

    def look(self, history: History, config: MiningConfig, until: datetime) -> Looked:  # noqa: ARG002
        """What is in components on their own, up to `until`. Drafts that cannot be claimed whatever else was tested
        (their p is above the rate) may be left out, their tests not."""
        return Looked()

    def lean(self, history: History, config: MiningConfig) -> History:  # noqa: ARG002
        """What `across` needs of a shard: rows that stay, with the columns that are read, those of `Frame.known` and
        `Frame.order` among them. Tables that are no components' (`history.WHOLE`) are added by whoever calls."""
        return History.of()

    def across(self, history: History, config: MiningConfig, until: datetime) -> Looked:  # noqa: ARG002
        """What is between components."""
        return Looked()

    def conclude(self, looked: Iterable[Looked], config: MiningConfig) -> list[Finding]:
        """What holds against chance of all looks at a history, the strongest first, at most `config.max_findings`.

        Layers of tests (`layer`) have their own rate: thousands of long rules must not drown the few short ones (Webb,
        "Layered critical values", Machine Learning 71, 2008).
        """
        drafts: dict[int, list[Finding]] = {}
        tests: dict[int, int] = {}
        for one in looked:
            for layer, count in one.tests.items():
                tests[layer] = tests.get(layer, 0) + count
            for draft in one.drafts:
                drafts.setdefault(self.layer(draft), []).append(draft)
        kept = [
            finding
            for layer, those in drafts.items()
            for finding in claimed(those, config, tests=tests.get(layer, 0), layers=max(1, len(tests)))
        ]
        return sorted(kept, key=strength)[: config.max_findings]

    def layer(self, draft: Finding) -> int:  # noqa: ARG002
        """The layer of tests that a draft belongs to."""
        return 0

    def mine(self, history: History, config: MiningConfig, until: datetime) -> list[Finding]:
        """All that a history in memory shows up to `until`, the strongest first."""
        history = history.before(until)
        whole = self.lean(history, config).with_whole(history)
        return self.conclude([self.look(history, config, until), self.across(whole, config, until)], config)


def claimed(
    drafts: Sequence[Finding],
    config: MiningConfig,
    others_tested: Iterable[float] = (),
    tests: int = 0,
    layers: int = 1,
) -> list[Finding]:
    """Findings that hold against chance: those with q ≤ the false discovery rate, and those that claim nothing.

    q-values are Benjamini and Hochberg's over the drafts' p-values and `others_tested`; `tests` is the number of all
    tests made where it is greater (the rest count as p = 1). `layers`: among how many such calls the rate is shared.
    Sorted by q, effect and key, and cut at `max_findings`.

    >>> claimed([], MiningConfig())
    []
    """
    tested = [draft for draft in drafts if draft.p_value is not None]
    p_values = [draft.p_value for draft in tested] + list(others_tested)
    p_values += [1.0] * max(0, tests - len(p_values))
    q_values = np.minimum(1.0, layers * benjamini_hochberg(np.array(p_values, dtype=float)))
    found = [
        msgspec.structs.replace(draft, q_value=float(q))
        for draft, q in zip(tested, q_values, strict=False)
        if q <= config.false_discovery_rate
    ]
    found += [draft for draft in drafts if draft.p_value is None]
    return sorted(found, key=strength)[: config.max_findings]


def strength(finding: Finding) -> tuple[float, float, float, str]:
    """A sort key: most certain first, then the greatest effect, then the most observations, then by name."""
    return (
        finding.q_value if finding.q_value is not None else 1.0,
        -abs(_log(finding.effect)),
        -finding.support,
        finding.key,
    )


def _log(ratio: float) -> float:
    return log(min(max(ratio, 1e-9), 1e9))
