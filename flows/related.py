"""The tracks over groups of series, fed from the minutes in the database: links for grouping, and joint patterns.

Live, a minute is settled a while after its end by the wall clock; in a history all are. A part of the history is fed a
step, each step a transaction with the state after it, so a kill repeats and loses nothing.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from psycopg import Connection

from operators.detect.correlation import CorrelationConfig
from operators.detect.forest import ForestConfig
from operators.detect.multivariate import MultivariateConfig
from operators.incident import related
from operators.incident.entities import Tie
from operators.incident.related import Group, GroupState, Look, RelatedState, Series
from operators.incident.seen import HOUR_US, MINUTE_US
from operators.incident.state import StateError
from operators.output import Found
from operators.pattern_rows import Row, pattern_rows
from operators.patterns import Life
from sinks import incidents as sink
from sources import history as source

log = logging.getLogger(__name__)

NAME = "related"
"""Name of the state."""
SETTLED_US = 45_000_000
"""A minute is complete so long after its end: a pane, the lateness, the flush of idle partitions, the sink's queue."""
WARM_UP_US = 8 * HOUR_US
"""How far before now a first start begins: what the correlation track looks back on."""
HISTORY_US = 14 * 24 * HOUR_US
"""How much of a history is looked at, its end."""
PIECE_US = HOUR_US
"""Minutes of a step."""
LAGGING_US = 2 * MINUTE_US
"""When the newest value is this old, the input lags or has ended: its newest minute is not complete."""
GROUPS_EVERY_S = 300.0
"""Seconds between two readings of which series there are."""
MOST_SERIES = 20_000
"""Series that are looked at to find groups."""


class RelatedConfig(msgspec.Struct, frozen=True):
    """What the settings say about groups of series."""

    enabled: bool = True
    life: Life = Life()
    correlation: CorrelationConfig = CorrelationConfig()
    multivariate: MultivariateConfig = MultivariateConfig()
    forest: ForestConfig = ForestConfig()


class Related:
    """Steps over one session, which must hold the correlator's lock."""

    def __init__(self, config: RelatedConfig, clock: Callable[[], int]) -> None:
        self.config = config
        self._clock = clock
        self._state: RelatedState | None = None
        self._version = 0
        self._groups: list[Group] = []
        self._groups_at = float("-inf")
        self._cut: set[str] = set()

    def ties(self) -> list[tuple[str, str, Tie]]:
        """The links that stand now; none before the first step."""
        return related.ties(self._state) if self._state is not None else []

    def step(self, connection: Connection[Any], in_history: bool = False) -> bool:
        """Feed the minutes that are settled, at most a piece of them; whether there are more.

        Raises psycopg's errors, `StateError`, and `sinks.incidents.Replaced`; nothing of the step is then done.
        """
        if not self.config.enabled:
            return False
        try:
            with connection.transaction():
                return self._step(connection, in_history)
        except BaseException:
            self._state = None
            raise

    def _step(self, connection: Connection[Any], in_history: bool) -> bool:
        state = self._loaded(connection)
        now = self._clock()
        settled = (now - SETTLED_US) // MINUTE_US
        if state.minute >= settled and not in_history:
            return False
        extent = source.extent(connection)
        if extent is None:
            return False
        first, newest = extent[0] // MINUTE_US, extent[1] // MINUTE_US
        if in_history:
            settled = newest + 1
        elif newest * MINUTE_US < now - LAGGING_US - SETTLED_US:
            settled = min(settled, newest)
        back = (HISTORY_US if in_history else WARM_UP_US) // MINUTE_US
        start = max(state.minute, first, settled - back)
        if start >= settled:
            return False
        end = min(settled, start + PIECE_US // MINUTE_US)
        rows = self._feed(connection, state, start, end, now)
        sink.write_rows(connection, rows)
        state.minute = end
        self._version = sink.write_state(connection, NAME, msgspec.msgpack.encode(state), self._version)
        return end < settled

    def _feed(self, connection: Connection[Any], state: RelatedState, start: int, end: int, now: int) -> list[Row]:
        groups = self._found(connection)
        wanted = {(one.entity, one.measure) for group in groups for one in group.series}
        known = {group.name for group in groups}
        for name in [name for name in state.groups if name not in known]:
            del state.groups[name]
        values = source.minutes(connection, wanted, start * MINUTE_US, end * MINUTE_US)
        look = Look(self.config.correlation, self.config.multivariate, self.config.forest)
        rows: list[Row] = []
        for minute in range(start, end):
            at = minute * MINUTE_US
            given = values.get(at, {})
            for group in groups:
                held = {
                    one.name: value
                    for one in group.series
                    if (value := given.get((one.entity, one.measure))) is not None
                }
                mine = state.groups.get(group.name)
                if not held and (mine is None or (mine.episode is None and mine.rare is None)):
                    continue
                if mine is None:
                    mine = state.groups[group.name] = GroupState()
                for change in related.move(mine, group, at, held, self.config.life, look):
                    kind = "reopened" if change.kind == "opened" and change.episode.reopened else change.kind
                    rows += pattern_rows(Found(change.pattern, kind, at, now, now), change.subject)
        return rows

    def _loaded(self, connection: Connection[Any]) -> RelatedState:
        if self._state is None or sink.state_version(connection, NAME) != self._version:
            row = sink.read_state(connection, NAME)
            try:
                self._state = msgspec.msgpack.decode(row[1], type=RelatedState) if row else RelatedState()
            except msgspec.MsgspecError as problem:
                raise StateError(f"the state of groups of series can't be read: {problem}") from None
            self._version = row[0] if row else 0
        return self._state

    def _found(self, connection: Connection[Any]) -> list[Group]:
        if time.monotonic() - self._groups_at >= GROUPS_EVERY_S:
            names = source.series(connection, related.KINDS, MOST_SERIES)
            self._groups = related.groups(Series(*name) for name in names)
            self._groups_at = time.monotonic()
            cut = {group.name: group.left_out for group in self._groups if group.left_out}
            for name in sorted(set(cut) - self._cut):
                log.warning("%s: %d series are too many for one group, %d are left out", name,
                            cut[name] + related.MOST_SERIES, cut[name])  # fmt: skip
            self._cut = set(cut)
        return self._groups
