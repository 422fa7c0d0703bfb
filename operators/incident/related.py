"""Series that hang together, as groups of bounded size, and the two tracks that look at a group as a whole.

A group is a connected component of series by the names of their entities (`entities.keys`): a host's resources, the
metrics tagged with it, the integrations that its system is an end of. A link that the correlation track finds ties its
entities together for grouping, and is a pattern of the series that follows (severity info: it is knowledge, not
trouble); what the multivariate track finds is a pattern of its own, in the group's root, and so is what the forest
track finds, which opens none while the other's is open. Both are in one series, so that they are of one incident.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from operators.detect import correlation, forest, multivariate
from operators.detect.correlation import CorrelationConfig, CorrelationState, Link
from operators.detect.forest import ForestConfig, ForestState
from operators.detect.multivariate import MultivariateConfig, MultivariateState
from operators.detect.verdict import Verdict
from operators.episodes import Episode, Life, Subject
from operators.incident.entities import Tie, keys, root
from operators.patterns import Change, advance, expire, resolve

MEASURE = "joint"
"""The measure of a pattern in several series at once."""
INPUT = "correlator"
KINDS = ("resource", "metric", "integration")
"""Kinds of series that come by the minute."""
MOST_SERIES = 32
"""Series of a group."""
MOST_TOTAL = 512
"""Series of all groups."""
NORMAL_SHARE = 0.5
"""The value of a joint pattern is its score; this part of a distance's threshold is said to be usual at most."""


class Series(NamedTuple):
    """A series, and the kind of its entity."""

    entity: str
    measure: str
    kind: str

    @property
    def name(self) -> str:
        """The name that the tracks know it by."""
        return f"{self.measure} of {self.entity}"


class Group(NamedTuple):
    """Series that hang together; `left_out`: how many more there are."""

    name: str
    kind: str
    series: tuple[Series, ...]
    left_out: int


class TieState(msgspec.Struct, rename={"first": "a", "second": "b", "strength": "s", "lag_us": "l"}):
    """A link between two series' entities."""

    first: str
    second: str
    strength: float
    lag_us: int


class GroupState(
    msgspec.Struct,
    rename={
        "correlation": "c", "multivariate": "m", "episode": "e", "ties": "t", "kind": "k", "followers": "f",
        "forest": "o", "rare": "r",
    },
):  # fmt: skip
    """What is remembered of a group; `ties` by the names of both series, `followers` by the name of the one.

    `episode` is of the multivariate track, `rare` of the forest.
    """

    kind: str = "metric"
    correlation: CorrelationState = msgspec.field(default_factory=CorrelationState)
    multivariate: MultivariateState = msgspec.field(default_factory=MultivariateState)
    episode: Episode | None = None
    ties: dict[str, TieState] = {}
    followers: dict[str, Episode] = {}
    forest: ForestState = msgspec.field(default_factory=ForestState)
    rare: Episode | None = None


class Look(NamedTuple):
    """How the tracks look at a group."""

    correlation: CorrelationConfig = CorrelationConfig()
    multivariate: MultivariateConfig = MultivariateConfig()
    forest: ForestConfig = ForestConfig()


class RelatedState(msgspec.Struct, rename={"version": "v", "minute": "m", "groups": "g"}):
    """What is remembered of all groups; `minute`: the next one (minutes since 1970); 0 = not begun."""

    version: Literal[1] = 1
    minute: int = 0
    groups: dict[str, GroupState] = {}


def groups(series: Iterable[Series], most: int = MOST_SERIES, total: int = MOST_TOTAL) -> list[Group]:
    """The groups of two series or more, in the order of their names, the first `most` of each by name.

    >>> found = groups([Series("web", "cpu_usage", "resource"), Series("api{host=web}", "rps", "metric"),
    ...                 Series("db", "cpu_usage", "resource")])
    >>> [(group.name, [one.name for one in group.series]) for group in found]
    [('api', ['rps of api{host=web}', 'cpu_usage of web'])]
    """
    wanted = sorted({one for one in series if one.kind in KINDS})
    by_name: dict[str, str] = {}

    def find(name: str) -> str:
        while by_name.setdefault(name, name) != name:
            by_name[name] = by_name[by_name[name]]
            name = by_name[name]
        return name

    own = {name for one in wanted for name in keys(one.entity, one.kind).own}
    for one in wanted:
        names = keys(one.entity, one.kind)
        # An up name ties two things only through the thing that has it for its own.
        together = sorted(names.own) + sorted(names.up & own)
        for name in together[1:]:
            by_name[find(name)] = find(together[0])
    members: dict[str, list[Series]] = {}
    for one in wanted:
        members.setdefault(find(min(keys(one.entity, one.kind).own)), []).append(one)
    found = [_group(held, most) for held in members.values() if len(held) > 1]
    kept: list[Group] = []
    for group in sorted(found):
        if sum(len(one.series) for one in kept) + len(group.series) <= total:
            kept.append(group)
    return kept


def _group(held: Sequence[Series], most: int) -> Group:
    roots = [root(one.entity, one.kind) for one in held]
    name = max(sorted(set(roots)), key=roots.count)
    kind = next(one.kind for one in held if root(one.entity, one.kind) == name)
    return Group(name, kind, tuple(held[:most]), max(0, len(held) - most))


def ties(state: RelatedState) -> list[tuple[str, str, Tie]]:
    """The links between entities that stand now."""
    return [
        (tie.first, tie.second, Tie(tie.strength, tie.lag_us, "correlation"))
        for group in state.groups.values()
        for tie in group.ties.values()
    ]


def move(
    state: GroupState,
    group: Group,
    minute_us: int,
    values: Mapping[str, float],
    life: Life,
    look: Look,
) -> list[Change]:
    """Take in the values of one minute, by `Series.name`; what became of the group's patterns."""
    links = correlation.advance(state.correlation, minute_us, values, look.correlation)
    changes = _follow(state, group, minute_us, links)
    verdict = multivariate.advance(state.multivariate, minute_us, values, look.multivariate)
    score = verdict.score if verdict is not None else 0.0
    told = _in_scores(verdict, NORMAL_SHARE * verdict.threshold) if verdict is not None else None
    state.episode, change = _joint(state.episode, group, "multivariate", told, score, minute_us, values, life)
    changes += [] if change is None else [change]
    if look.forest.enabled:
        verdict = forest.advance(state.forest, minute_us, values, look.forest)
        told = _in_scores(verdict, state.forest.clear) if verdict is not None else None
        known = state.episode is not None and state.episode.active
        if told is not None and known and (state.rare is None or not state.rare.active):
            told = msgspec.structs.replace(told, abnormal=False)
        state.rare, change = _joint(state.rare, group, "forest", told, state.forest.score, minute_us, values, life)
        changes += [] if change is None else [change]
    return changes


def _joint(
    episode: Episode | None,
    group: Group,
    detector: str,
    verdict: Verdict | None,
    score: float,
    minute_us: int,
    values: Mapping[str, float],
    life: Life,
) -> tuple[Episode | None, Change | None]:
    if verdict is None and episode is None:
        return None, None
    if not values and episode is not None:
        return expire(episode, subject(group), minute_us, life)
    return advance(episode, subject(group), detector, verdict, score, minute_us, life)


def _follow(state: GroupState, group: Group, minute_us: int, links: Sequence[Link]) -> list[Change]:
    """Keep the ties, and the pattern of each series that follows others: open while it follows any."""
    by_name = {one.name: one for one in group.series}
    changes: list[Change] = []
    for link in links:
        name = f"{link.leader}\0{link.follower}"
        first, second = by_name.get(link.leader), by_name.get(link.follower)
        if first is None or second is None:
            state.ties.pop(name, None)
            continue
        if link.verdict == "gone":
            state.ties.pop(name, None)
        else:
            strength = min(1.0, abs(link.strength))
            state.ties[name] = TieState(first.entity, second.entity, strength, link.lag_us)
        change = _followed(state, link, second, minute_us)
        if change is not None:
            changes.append(change)
    return changes


def _followed(state: GroupState, link: Link, follower: Series, minute_us: int) -> Change | None:
    about = Subject(follower.entity, follower.measure, follower.kind, INPUT, 0)
    episode = state.followers.get(link.follower)
    if link.verdict == "gone":
        if episode is None or any(name.endswith(f"\0{link.follower}") for name in state.ties):
            return None
        del state.followers[link.follower]
        resolve(episode, minute_us)
        return Change("resolved", episode, about)
    fresh = episode is None
    strength = min(1.0, abs(link.strength))
    verdict = Verdict(
        score=1.0 + strength,
        threshold=1.0,
        expected=0.0,
        low=-1.0,
        high=1.0,
        direction="up" if link.strength >= 0.0 else "down",
        confidence=max(0.0, 1.0 - link.q_value),
        abnormal=True,
        evidence={
            "leader": link.leader, "lag_s": link.lag_us / 1e6, "strength": round(link.strength, 4),
            "p_value": float(f"{link.p_value:.3g}"), "q_value": float(f"{link.q_value:.3g}"), "n": link.n,
        },
    )  # fmt: skip
    found, change = advance(episode, about, "correlation", verdict, link.strength, minute_us)
    if found is None:
        return None
    state.followers[link.follower] = found
    leaders = [(name.partition("\0")[0], tie.strength) for name, tie in state.ties.items()
               if name.endswith(f"\0{link.follower}")]  # fmt: skip
    total = sum(share for _, share in leaders) or 1.0
    found.contributors = sorted(((name, share / total) for name, share in leaders), key=lambda one: (-one[1], one[0]))
    return change if fresh or (change is not None and change.kind != "observed") else None


def subject(group: Group) -> Subject:
    """The series that a group's joint pattern is in."""
    return Subject(group.name, MEASURE, "metric", INPUT, 0)


def _in_scores(verdict: Verdict, usual: float) -> Verdict:
    """The verdict in the unit of the joint measure, which is its score; the series at fault stays in the evidence."""
    evidence = dict(verdict.evidence)
    evidence |= {"expected": verdict.expected, "low": verdict.low, "high": verdict.high}
    return msgspec.structs.replace(verdict, expected=0.0, low=0.0, high=usual, direction="up", evidence=evidence)
