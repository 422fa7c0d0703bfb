"""Runs `Partition` bare, in any batches and with any restarts, and adds up what it hands out as the sink would."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec

from operators import tables as t
from operators.floats import to_plain
from operators.output import Counts, Output
from operators.partition import Partition, PartitionConfig
from operators.records import Batch, Mark
from tests.pgread import read
from tests.samples import NOW_US
from tests.tables import WALL_CLOCK

TOPIC = "file:/x"


@dataclass
class Database:
    """Rows by table, merged by key."""

    rows: dict[str, list[bytes]] = field(default_factory=dict)
    sets: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)

    def write(self, output: Output) -> None:
        for name, rows in output.rows.items():
            self.rows.setdefault(name, []).extend(rows)
        for name, pairs in output.sets.items():
            self.sets.setdefault(name, {}).update(pairs)
        for name in t.PATTERN_TABLES:
            for identifier in output.retracted:
                self.sets.get(name, {}).pop(identifier.bytes, None)
        self.outputs.append(output)

    def table(self, table: t.Table) -> list[dict[str, Any]]:
        """A table's rows by column, sorted, without what depends on the clock. A `series` row may come twice."""
        rows = [*self.rows.get(table.name, []), *self.sets.get(table.name, {}).values()]
        hidden = WALL_CLOCK.get(table.name, set())
        found = [{k: v for k, v in read(table.columns, row).items() if k not in hidden} for row in rows]
        if table is t.SERIES:
            found = list({row["series_id"]: row for row in found}.values())
        return sorted(found, key=repr)

    def rollups(self) -> list[dict[str, Any]]:
        """The rows of all levels, each with its `level`."""
        found = [{"level": level, **row} for level, table in t.ROLLUPS.items() for row in self.table(table)]
        return sorted(found, key=repr)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All tables."""
        return {table.name: self.table(table) for table in t.ALL}


class Runner:
    """One partition and its database, over any number of lives."""

    def __init__(self, config: PartitionConfig | None = None) -> None:
        self.config = config or PartitionConfig()
        self.partition = Partition(TOPIC, 0, self.config)
        self.database = Database()
        self.at = 0

    def feed(self, values: Sequence[bytes | None], mark: Mark = Mark.DATA, now_us: int = NOW_US) -> Output:
        """The next records, as one batch."""
        offsets = range(self.at + 1, self.at + 1 + len(values))
        self.at += len(values)
        out = self.partition.process(Batch(TOPIC, 0, list(values), offsets, now_us, mark=mark))
        self.database.write(out)
        return out

    def idle(self, now_us: int) -> Output:
        """The source stands at its end at this time of the clock, long after the last record was read."""
        self.partition.quiet_since = min(self.partition.quiet_since, now_us - self.config.idle_us)
        return self.feed([], Mark.IDLE, now_us)

    def restart(self) -> None:
        """A new life from the snapshot."""
        self.partition = Partition.resume(self.partition.snapshot(), self.config)

    @property
    def counts(self) -> Counts:
        return self.partition.state.counts

    def state(self) -> Any:
        """The state as plain data."""
        return msgspec.to_builtins(self.partition.state, str_keys=True, enc_hook=to_plain)


def run(
    values: Sequence[bytes | None],
    cuts: Sequence[int] = (),
    restarts: Sequence[int] = (),
    config: PartitionConfig | None = None,
    last: Mark = Mark.END,
) -> Runner:
    """All records in batches that end at `cuts`, with a restart after those at `restarts`."""
    runner = Runner(config)
    ends = sorted({0, len(values), *cuts, *restarts})
    for start, end in pairwise(ends):
        runner.feed(values[start:end])
        if end in restarts:
            runner.restart()
    runner.feed([], last)
    return runner
