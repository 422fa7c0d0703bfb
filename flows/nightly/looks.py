"""All miners' looks at a shard, and each one's across the shards, as of three times; and the file of a shard."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from flows.nightly.miners import Looking
from flows.nightly.shards import lean_parts
from operators.mining.finding import Looked, Miner, MiningConfig
from operators.mining.history import History
from operators.mining.pieces import bundle, unbundle
from operators.mining.validate import lenient

log = logging.getLogger(__name__)

BROKEN = (ArithmeticError, LookupError, TypeError, ValueError)
"""What a miner may fail with for its history's sake: it is left out of the night, the others go on."""


class Looks(msgspec.Struct, frozen=True):
    """A miner's looks at all of a history, at what was known at the cut, and leniently at what began after it.

    `problem` says why there are none.
    """

    whole: Looked = Looked()
    before: Looked = Looked()
    later: Looked = Looked()
    problem: str = ""


def look(
    miners: Mapping[str, Looking], history: History, config: MiningConfig, cut: datetime, until: datetime
) -> tuple[bytes, int]:
    """A shard's file (`pieces.bundle`): each miner's looks at it, and what it leaves for looking across; how many
    drafts there are."""
    known, after = history.before(cut), history.since(cut)
    parts: dict[str, bytes] = {}
    drafts = 0
    for name, looking in miners.items():
        found = _looks(looking.miner.look, history, known, after, config, cut, until)
        drafts += len(found.whole.drafts)
        parts[f"looks {name}"] = msgspec.msgpack.encode(found)
        parts |= lean_parts(name, looking.miner.lean(history, config))
    return bundle(parts), drafts


def across(miner: Miner, history: History, config: MiningConfig, cut: datetime, until: datetime) -> Looks:
    """A miner's looks across the shards."""
    return _looks(miner.across, history, history.before(cut), history.since(cut), config, cut, until)


def looks_of(files: Sequence[Path], miner: str) -> list[Looks]:
    """What a miner saw in the shards, in the order of their files."""
    return [
        msgspec.msgpack.decode(data, type=Looks) for file in files for _, data in unbundle(file, [f"looks {miner}"])
    ]


def _looks(
    way: Callable[[History, MiningConfig, datetime], Looked], whole: History, known: History, after: History,
    config: MiningConfig, cut: datetime, until: datetime,
) -> Looks:  # fmt: skip
    try:
        found = way(whole, config, until)
        if cut >= until:
            return Looks(found, found)
        return Looks(found, way(known, config, cut), way(after, lenient(config), until))
    except BROKEN as problem:
        log.debug("%s", way, exc_info=True)
        first = (str(problem).strip().splitlines() or [""])[0][:200]
        return Looks(problem=f"{type(problem).__name__}: {first}")
