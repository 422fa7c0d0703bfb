"""Which entities hang together: the tree that a series' entity stands in (contract.md section 4), and links."""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

PLACES = frozenset(
    {
        "app", "application", "codebase", "host", "hostname", "instance", "node", "pipeline", "project", "repo",
        "repository", "server", "service", "system",
    }
)  # fmt: skip
"""Names of tags whose value is another entity's name."""

_TAGS = re.compile(r"([^=,{}]+)=([^,{}]*)")


class Keys(NamedTuple):
    """What an entity is known by: `own` names, and `up`, the names of what it is a part of or runs on.

    Two entities belong together if they share an own name, or one's own name is the other's up name. Sharing an up name
    alone is not enough: two pipelines of one repository are two things.
    """

    own: frozenset[str]
    up: frozenset[str]


def keys(entity: str, kind: str) -> Keys:
    """The names of an entity.

    >>> keys("shop/main/test", "step").own, sorted(keys("shop/main/test", "step").up)
    (frozenset({'shop/main'}), ['shop'])
    >>> sorted(keys("github→jira:webhook", "integration").own), keys("web{host=a1}", "metric")
    (['github', 'jira'], Keys(own=frozenset({'web'}), up=frozenset({'a1'})))
    """
    match kind:
        case "step":
            pipeline = entity.rpartition("/")[0] or entity
            return Keys(frozenset({pipeline}), frozenset(_above(pipeline)))
        case "pipeline":
            return Keys(frozenset({entity}), frozenset(_above(entity)))
        case "metric":
            source, _, tags = entity.partition("{")
            up = {_bare(value) for name, value in _TAGS.findall(tags) if name.strip().lower() in PLACES}
            return Keys(frozenset({source}), frozenset(up - {source, ""}))
        case "integration":
            return Keys(frozenset((entity.rpartition(":")[0] or entity).split("→", 1)), frozenset())
        case "code":
            return Keys(frozenset({entity.partition(":")[0]}), frozenset())
    return Keys(frozenset({entity}), frozenset())


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:length]) for length in range(1, len(parts)))


def _bare(place: str) -> str:
    """An instance without its port."""
    return re.sub(r":\d+$", "", place)


def related(one: Keys, other: Keys) -> bool:
    """Whether two entities are of one tree.

    >>> related(keys("shop/main", "pipeline"), keys("shop/main/test", "step"))
    True
    >>> related(keys("shop/main", "pipeline"), keys("shop/dev", "pipeline"))
    False
    """
    return bool(one.own & other.own or one.own & other.up or one.up & other.own)


def root(entity: str, kind: str) -> str:
    """The root of what is affected, for people.

    >>> root("shop/main/test", "step"), root("web{host=a}", "metric"), root("a→b:push", "integration")
    ('shop/main', 'web', 'a→b')
    """
    match kind:
        case "step":
            return entity.rpartition("/")[0] or entity
        case "metric":
            return entity.partition("{")[0]
        case "integration":
            return entity.rpartition(":")[0] or entity
        case "code":
            return entity.partition(":")[0]
    return entity


class Tie(NamedTuple):
    """What links two entities: how strongly (0 to 1), and by how much the second one lags (µs)."""

    strength: float
    lag_us: int
    kind: str
    """correlation or dependency."""


class Links:
    """Entities that are linked without being of one tree. From the first to the second: what comes first in time.

    >>> links = Links([("db", "web", Tie(0.9, 60_000_000, "correlation"))])
    >>> links.between("db", "web").strength, links.between("web", "db"), sorted(links.of("web"))
    (0.9, None, ['db'])
    """

    def __init__(self, ties: Iterable[tuple[str, str, Tie]] = ()) -> None:
        self._ties: dict[tuple[str, str], Tie] = {}
        self._of: dict[str, set[str]] = {}
        for first, second, tie in ties:
            if first == second:
                continue
            held = self._ties.get((first, second))
            if held is None or tie.strength > held.strength:
                self._ties[first, second] = tie
            self._of.setdefault(first, set()).add(second)
            self._of.setdefault(second, set()).add(first)

    def of(self, entity: str) -> Collection[str]:
        """Entities that are linked to this one, either way."""
        return self._of.get(entity, ())

    def between(self, first: str, second: str) -> Tie | None:
        """The link from one to the other."""
        return self._ties.get((first, second))

    def __len__(self) -> int:
        return len(self._ties)
