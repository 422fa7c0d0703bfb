"""A partition's state between batches, and its form in a snapshot: a version byte and msgpack of named fields.

Named fields, because array-like ones swap values silently when a field moves; msgpack, because it is sixty times as
fast as pickle here (design.md 2.7) and can't run code. Fields may be added with a default; a field that changes its
meaning needs a new VERSION and a step in `load` (golden snapshots in the tests hold this to it).
"""

import msgspec

from operators import floats
from operators.detect.burst import BurstState
from operators.detect.drift_state import DriftState
from operators.detect.flatline import FlatlineState
from operators.detect.missing import MissingState
from operators.detect.novelty_state import NoveltyState
from operators.detect.outcome_drift import OutcomeState
from operators.detect.overdue import OverdueState
from operators.detect.prior import GroupState, YoungState
from operators.detect.sequence import SequenceState
from operators.detect.spike import SpikeState
from operators.detect.threshold import RateState, ThresholdState
from operators.detect.trend import TrendState
from operators.episodes import Episode, Past
from operators.output import Counts
from operators.windows import Gathering, Stats, Watermark

VERSION = 1


class StateError(Exception):
    """A snapshot that this version can't read."""


class Slot(
    msgspec.Struct,
    omit_defaults=True,
    rename={
        "entity": "e", "measure": "m", "kind": "k", "ruled": "l", "spike": "s", "threshold": "t", "rate": "r",
        "episodes": "i", "past": "h", "burst": "b", "young": "y", "novelty": "v",
        "drift": "d", "trend": "g", "flatline": "f", "missing": "q", "outcomes": "o",
    },
):  # fmt: skip
    """One series: its name and what its detectors remember."""

    entity: str
    measure: str
    kind: str
    ruled: bool = False
    """Whether a rule with a limit watches it; found anew when the state is loaded."""
    spike: SpikeState | None = None
    threshold: ThresholdState | None = None
    rate: RateState | None = None
    novelty: NoveltyState | None = None
    drift: DriftState | None = None
    trend: TrendState | None = None
    flatline: FlatlineState | None = None
    missing: MissingState | None = None
    outcomes: OutcomeState | None = None
    """Drift of a share of failures."""
    burst: BurstState | None = None
    young: YoungState | None = None
    """While the series has too few values to be judged by its own."""
    episodes: dict[str, Episode] = {}
    """By detector: what may still change."""
    past: dict[str, list[Past]] = {}
    """By detector: the last few episodes that have ended, the newest first."""


class PartitionState(msgspec.Struct):
    """Everything that a partition must remember."""

    topic: str
    partition: int
    watermark: Watermark
    counts: Counts
    slots: dict[int, Slot] = {}
    """By series id."""
    panes: dict[int, dict[int, Gathering]] = {}
    """Open panes: by pane number, by series id."""
    wide: dict[int, dict[int, dict[int, Stats]]] = {}
    """Windows merged from closed panes and not yet ended: by level (seconds), by number, by series id."""
    seen: dict[int, list[int]] = {}
    """Event keys by open pane, for deduplication."""
    shown: dict[int, int] = {}
    """Open panes that were shown before they closed, because the partition was idle: points shown, by pane."""
    early: dict[int, list[tuple[int, str]]] = {}
    """Patterns told of before their pane closed: series id and detector, by pane."""
    groups: dict[str, GroupState] = {}
    """What series that may be compared are like, by what they have in common (`operators.tracks.group_of`)."""
    runs: dict[str, OverdueState] = {}
    """Runs under way, by pipeline."""
    sequence: SequenceState | None = None
    virtual: dict[str, Slot] = {}
    """Patterns of no series: sequences under way, by rule and entity."""
    minute: int = 0
    """The minute of event time in which silent series were last looked for."""
    series_refused: int = 0
    """Points that were kept as rows only, because the partition has as many series as it may."""


def dump(state: PartitionState) -> bytes:
    """The state as a snapshot."""
    return bytes([VERSION]) + floats.pack(state)


def load(raw: bytes) -> PartitionState:
    """The state of a snapshot, of this or an earlier version.

    :raises StateError: for a later version, or what is no snapshot.
    """
    if not raw or raw[0] != VERSION:
        found = raw[0] if raw else "none"
        raise StateError(
            f"the recovery state has version {found}, this Hindsight reads {VERSION}: use a new --recovery-dir"
        )
    try:
        return floats.unpack(memoryview(raw)[1:], PartitionState)
    except msgspec.MsgspecError as problem:
        raise StateError(f"the recovery state can't be read ({problem}): use a new --recovery-dir") from None
