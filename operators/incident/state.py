"""What the grouper remembers: bounded, and encoded as msgpack between two steps of the correlator."""

import uuid
from typing import Any, Literal

import msgspec

from operators.episodes import Severity
from operators.incident.seen import Seen

Status = Literal["open", "resolved", "merged", "retracted", "silent"]


class StateError(Exception):
    """The state was written by another version."""


class Signature(
    msgspec.Struct,
    frozen=True,
    rename={"severity": "s", "patterns": "n", "status": "t", "inhibited": "i", "changes": "c"},
):
    """What of an incident was last told: another one is news."""

    severity: Severity
    patterns: int
    status: Status
    inhibited: str | None
    changes: int


class Member(msgspec.Struct, rename={"seen": "p", "incident": "i", "arrived_us": "a"}):
    """A pattern and its incident. `arrived_us` is the clock when it last changed."""

    seen: Seen
    incident: uuid.UUID
    arrived_us: int


class Incident(
    msgspec.Struct,
    rename={
        "incident_id": "i", "first": "f", "started_us": "o", "arrived_us": "a", "members": "m", "status": "s",
        "wide": "w", "reopened": "r", "merged_into": "g", "ended_us": "e", "quiet_us": "q", "gone": "x", "told": "t",
        "revision": "v", "changes": "c", "earlier": "h", "looked_us": "l", "written": "z",
    },
):  # fmt: skip
    """What belongs together. Mutable: the grouper moves it on in place.

    `first`: the pattern that its id comes from. `wide`: the inputs in which it is a burst. `quiet_us`: since when all
    its patterns have ended; None: some go on. `gone`: members that are no longer remembered. `told`, `revision`: the
    last notice. `changes`, `earlier`: annotations, of the time `looked_us`. `written`: others may
    know of it.
    """

    incident_id: uuid.UUID
    first: uuid.UUID
    started_us: int
    arrived_us: int
    members: list[uuid.UUID]
    status: Status = "open"
    wide: list[str] = []
    reopened: int = 0
    merged_into: uuid.UUID | None = None
    ended_us: int | None = None
    quiet_us: int | None = None
    gone: int = 0
    told: Signature | None = None
    revision: int = 0
    changes: list[str] = []
    earlier: list[dict[str, Any]] = []
    looked_us: int | None = None
    written: bool = False


class Rate(msgspec.Struct, rename={"expected": "e", "last_us": "t"}):
    """How many patterns of an input open in the length of a burst, in the long run."""

    expected: float
    last_us: int


class GrouperState(msgspec.Struct, rename={"version": "v", "members": "m", "incidents": "i", "rates": "r"}):
    """All of it."""

    version: int = 1
    members: dict[uuid.UUID, Member] = {}
    incidents: dict[uuid.UUID, Incident] = {}
    rates: dict[str, Rate] = {}


def encode(state: GrouperState) -> bytes:
    """The state as msgpack."""
    return msgspec.msgpack.encode(state)


def decode(raw: bytes) -> GrouperState:
    """The state back; raises `StateError`.

    >>> decode(encode(GrouperState())) == GrouperState()
    True
    """
    try:
        state = msgspec.msgpack.decode(raw, type=GrouperState)
    except msgspec.MsgspecError as problem:
        raise StateError(f"the correlator's state can't be read: {problem}") from None
    if state.version != 1:
        raise StateError(f"the correlator's state is of version {state.version}, this program knows 1")
    return state
