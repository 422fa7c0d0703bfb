"""Who contributed to a value, and by what share: the steps of a run to its duration or its failure."""

from collections.abc import Callable, Iterable

from operators.encode import Named
from operators.episodes import Contributor

MOST = 8
"""Contributors that are named; the shares of the others are left out."""


def shares(
    entity: str, measure: str, points: Iterable[tuple[Named, float]], usual: Callable[[Named], float | None]
) -> list[Contributor]:
    """Contributors to `measure` of `entity`, ranked, shares of at most 1 in all; empty when nothing is below it.

    `points` are those of one event: a run's own and those of its steps, whose entities begin with `entity` and a slash.
    A step contributes to a duration by what it took beyond what is `usual` for it (None: not known, all of it counts),
    to `failed` when it failed itself.

    >>> steps = [(Named("shop/build", "duration_s", "step"), 30.0), (Named("shop/test", "duration_s", "step"), 300.0)]
    >>> usual = {"shop/build": 20.0, "shop/test": 270.0}
    >>> shares("shop", "duration_s", steps, lambda step: usual[step.entity])
    [('shop/test', 0.75), ('shop/build', 0.25)]
    """
    prefix = entity + "/"
    parts: dict[str, float] = {}
    for named, value in points:
        if named.measure != measure or not named.entity.startswith(prefix):
            continue
        known = usual(named) if measure != "failed" else None
        excess = value if known is None else value - known
        if excess > 0.0:
            parts[named.entity] = parts.get(named.entity, 0.0) + excess
    total = sum(parts.values())
    ranked = sorted(parts.items(), key=lambda part: (-part[1], part[0]))[:MOST]
    return [(name, part / total) for name, part in ranked] if 0.0 < total < float("inf") else []
