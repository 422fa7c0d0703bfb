"""Where to look for the patterns that a new one may belong to: by the names of entities, and by input and time."""

import uuid
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from operators.incident.entities import Keys, Links, keys
from operators.incident.seen import Seen


class Index:
    """The patterns that are remembered, by what they may be found by. Built anew from the state at each start."""

    def __init__(self) -> None:
        self._own: dict[str, set[uuid.UUID]] = {}
        self._up: dict[str, set[uuid.UUID]] = {}
        self._entity: dict[str, set[uuid.UUID]] = {}
        self._openings: dict[str, list[tuple[int, uuid.UUID]]] = {}
        self._keys: dict[tuple[str, str], Keys] = {}

    def keys(self, seen: Seen) -> Keys:
        """The names of a pattern's entity."""
        place = (seen.entity, seen.kind)
        found = self._keys.get(place)
        if found is None:
            if len(self._keys) > 100_000:
                self._keys.clear()
            found = self._keys[place] = keys(*place)
        return found

    def add(self, seen: Seen) -> None:
        """Remember where a pattern is."""
        for place, name in self._places(seen):
            place.setdefault(name, set()).add(seen.pattern_id)
        insort(self._openings.setdefault(seen.input, []), (seen.opened_us, seen.pattern_id))

    def remove(self, seen: Seen) -> None:
        """Forget a pattern."""
        for place, name in self._places(seen):
            held = place.get(name)
            if held is not None:
                held.discard(seen.pattern_id)
                if not held:
                    del place[name]
        openings = self._openings.get(seen.input, [])
        at = bisect_left(openings, (seen.opened_us, seen.pattern_id))
        if at < len(openings) and openings[at] == (seen.opened_us, seen.pattern_id):
            del openings[at]
        if not openings:
            self._openings.pop(seen.input, None)

    def candidates(self, seen: Seen, links: Links) -> Iterator[uuid.UUID]:
        """Patterns whose entity is of the same tree, or linked; some come twice."""
        names = self.keys(seen)
        for name in names.own:
            yield from self._own.get(name, ())
            yield from self._up.get(name, ())
        for name in names.up:
            yield from self._own.get(name, ())
        for entity in (seen.entity, *links.of(seen.entity)):
            yield from self._entity.get(entity, ())

    def opened(self, source: str, start_us: int, end_us: int) -> list[tuple[int, uuid.UUID]]:
        """Patterns of an input that opened in [start, end], in order."""
        openings = self._openings.get(source, [])
        low = bisect_left(openings, start_us, key=lambda pair: pair[0])
        return openings[low : bisect_right(openings, end_us, key=lambda pair: pair[0])]

    def _places(self, seen: Seen) -> Iterator[tuple[dict[str, set[uuid.UUID]], str]]:
        names = self.keys(seen)
        for name in names.own:
            yield self._own, name
        for name in names.up:
            yield self._up, name
        yield self._entity, seen.entity
