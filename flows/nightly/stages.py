"""What is done in each stage of a night up to the verdicts, part by part; the dataflow calls it in order."""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import psycopg
from msgspec.structs import replace

from flows.nightly.looks import across, look, looks_of
from flows.nightly.miners import miners
from flows.nightly.night import Night, Stage
from flows.nightly.shards import Loaded, Shards, loaded_bytes, shards_for
from flows.nightly.work import Made, Part, Work
from operators.mining import sql
from operators.mining.baselines import Analytics, Baseline, baselines
from operators.mining.code_features import code_table, commit_runs
from operators.mining.engine import Engine
from operators.mining.features import Feature, Table, latest, tables
from operators.mining.finding import Finding
from operators.mining.history import FRAMES, History, micros
from operators.mining.pieces import add, empty, frame
from operators.mining.quality import Quality, judged, measure, too_bad
from operators.mining.results import Names, merged, names
from operators.mining.selection import selected
from operators.mining.series_features import series_features
from operators.mining.validate import Judged, cut_at, ends_of, held_later, judge, lenient
from operators.mining.weeks import Calendar, added, calendar
from sources import archive
from sources.archive import Piece

log = logging.getLogger(__name__)

DAMAGE = (psycopg.errors.DataException, psycopg.errors.InternalError_, psycopg.errors.SystemError)
"""What the server says of rows that it cannot read (a damaged page, a value that is none)."""


class Found(msgspec.Struct):
    """What a miner found in all of the history, in the part before the cut, and leniently in the part after it."""

    whole: list[Finding]
    before: list[Finding]
    later: list[Finding]


class Featured(msgspec.Struct):
    """Features and baselines, as they are stored, and what the later stages need to know of all of the history.

    `cut_us`: where the history is cut in two; `after_cut`: how many things ended after it, or days of series.
    """

    features: list[Feature]
    baselines: list[Baseline]
    analytics: list[Analytics]
    windows: int
    names: Names
    calendar: Calendar
    cut_us: int
    after_cut: int


class Stages:
    """The stages of one night over its `work`, but for its outcome.

    `told` is called with the stage and part that is begun; `engine` counts for the miners (None: the embedded one).
    """

    def __init__(
        self,
        work: Work,
        told: Callable[[Stage, str], object] = lambda *_: None,
        engine: Engine | None = None,
    ) -> None:
        self.work = work
        self.miners = miners(engine)
        self.told = told
        self.loaded: list[Loaded] = []
        self.failed: dict[str, str] = {}
        """Miners that could not work, and why."""
        self.shards = Shards(work, self.loaded, 1)
        self._featured: Featured | None = None
        self._longer: bool | None = None
        self._looked: dict[int, str] = {}
        self._mined: dict[str, Part] = {}

    @property
    def night(self) -> Night:
        """The night."""
        return self.work.night

    def pieces(self) -> list[Piece]:
        """What is to be read."""
        found = archive.pieces(self.work.connection, self.night.since, self.night.until)
        self.work.only("load", [piece.name for piece in found])
        self.shards = Shards(self.work, self.loaded, shards_for(found))
        return found

    def load(self, piece: Piece) -> Loaded:
        """Read a piece, unless it was read and has not changed; look at its quality. A bad one is left out, loudly."""
        self.told("load", piece.name)
        connection = self.work.connection
        try:
            mark = archive.fingerprint(connection, piece)
        except DAMAGE as problem:
            mark = f"unreadable: {_first_line(problem)}"
        taken = self.night.digest(piece.name, mark, str(self.shards.count))
        part = self.work.part("load", piece.name, taken, lambda: self._read(piece))
        made = part.made
        if made.skipped:
            log.warning("left out %s: %s", piece.name, made.skipped)
        done = Loaded(piece, part.output, made.items, made.skipped, part.again)
        self.loaded.append(done)
        return done

    def _read(self, piece: Piece) -> Made:
        columns = empty(piece.table)
        wanted = set(piece.series)
        try:
            for rows in archive.read(self.work.connection, piece):
                add(columns, piece.table, [row for row in rows if (row[1], row[2]) in wanted] if wanted else rows)
        except DAMAGE as problem:
            nothing = loaded_bytes({}, empty(piece.table), piece.table, self.shards.count)
            return Made(nothing, 0, f"the server cannot read it: {_first_line(problem)}")
        found = measure(piece.table, frame(piece.table, [columns]))
        count = len(next(iter(columns.values())))
        return Made(loaded_bytes(found, columns, piece.table, self.shards.count), count, too_bad(found))

    def histories(self) -> Iterator[History]:
        """The history, shard by shard."""
        return map(self.shards.history, range(self.shards.count))

    def quality(self) -> list[Quality]:
        """What all that was read is like, by table and source."""
        parts = self.shards.quality()
        return [one for table, found in parts.items() for one in judged(table, found, self.night.until)]

    def inputs(self, names: Sequence[str] = tuple(FRAMES)) -> list[str]:
        """What a part that is made of these tables depends on."""
        return sorted(f"{one.piece.name} {one.output}" for one in self.loaded if one.piece.table in names)

    def features(self) -> Featured:
        """Features as of when each thing began, features of series, and what is usual."""
        self.told("features", "")
        part = self.work.part("features", "", self.night.digest("features", *self.inputs()), self._features)
        self._featured = msgspec.msgpack.decode(part.made.data, type=Featured)
        return self._featured

    def _features(self) -> Made:
        """One pass over the shards; of features the newest rows are kept, of the rest what is counted."""
        until, whole = self.night.until, self.shards.whole(("code_dependencies", "code_changes", "daily", "hourly"))
        kept: dict[str, Table] = {}
        rows: list[Baseline] = []
        now: list[Analytics] = []
        counted: list[tuple[Names, Calendar, Any]] = []
        commits: list[Any] = []
        for number, history in enumerate(self.histories()):
            self.told("features", f"{number + 1} of {self.shards.count}")
            for table in tables(history):
                kept[table.of] = latest([kept[table.of], table] if table.of in kept else [table])
            some, current = baselines(history, until)
            rows += some
            now += current
            counted.append((names([history]), calendar(history), ends_of(history)))
            commits.append(commit_runs(history))
        sources = {
            "pipeline": ["pipeline_executions"], "step": ["step_executions"], "integration": ["integration_events"],
            "task": ["task_executions", "tasks", "task_dependencies"],
            "code": ["system_metrics", "code_dependencies", "pipeline_executions"],
        }  # fmt: skip
        code = code_table(whole, pd.concat(commits, ignore_index=True))
        if code is not None:
            kept[code.of] = code
        found: list[Feature] = []
        for of, named in sources.items():
            if of in kept:
                found += selected(kept.pop(of), {"sources": named, "until": until.isoformat()})
        of_series, windows = series_features(whole) if self.night.series_features else ([], 0)
        ends = np.concatenate([one for _, _, one in counted])
        if not len(ends):
            ends = np.concatenate([micros(whole.daily["time"]), micros(whole.hourly["time"])])
        cut_us = int(cut_at(ends, until).timestamp() * 1e6)
        every = merged([*(one for one, _, _ in counted), names([whole])])
        made = Featured(
            [*found, *of_series], rows, now, windows, every, added(one for _, one, _ in counted), cut_us,
            int((ends > cut_us).sum()),
        )  # fmt: skip
        return Made(msgspec.msgpack.encode(made), len(made.features))

    @property
    def featured(self) -> Featured:
        """What the features' stage made."""
        return self._featured or self.features()

    @property
    def cut(self) -> datetime:
        """Where the history is cut in two: what is found before must show after, too."""
        return datetime.fromtimestamp(self.featured.cut_us // 1_000_000, UTC)

    @property
    def longer(self) -> bool:
        """Whether the database knows of a time before the night's: then the SQL of findings must leave it out."""
        if self._longer is None:
            first = archive.first_row(self.work.connection)
            self._longer = first is not None and first < self.night.since
        return self._longer

    def look(self, shard: int) -> int:
        """Let every miner look at a shard: at all of it, at the part before the cut and at the part after it."""
        part = f"shard {shard + 1} of {self.shards.count}"
        self.told("mine", part)
        taken = self.night.digest("look", str(shard), self.cut.isoformat(), *self.inputs())
        self._looked[shard] = self.work.part("mine", part, taken, lambda: self._look(shard)).output
        return shard

    def _look(self, shard: int) -> Made:
        data, count = look(self.miners, self.shards.history(shard), self.night.config, self.cut, self.night.until)
        return Made(data, count)

    def mine(self, name: str) -> str:
        """Let a miner conclude from what it saw in the shards and across them. One that fails is left out, loudly."""
        self.told("mine", name)
        looked = [f"{shard} {output}" for shard, output in sorted(self._looked.items())]
        taken = self.night.digest("mine", name, str(self.longer), *looked, *self.inputs(self.miners[name].tables))
        part = self.work.part("mine", name, taken, lambda: self._mine(name))
        if part.made.skipped:
            self.failed[name] = part.made.skipped
            log.warning("miner %s is left out: %s", name, part.made.skipped)
        self._mined[name] = part
        return name

    def _mine(self, name: str) -> Made:
        miner, night = self.miners[name].miner, self.night
        files = [self.work.path("mine", f"shard {shard + 1} of {self.shards.count}") for shard in sorted(self._looked)]
        looks = looks_of(files, name)
        problem = next((one.problem for one in looks if one.problem), "")
        if not problem:
            held = self.shards.lean(files, name, self.miners[name].tables)
            looks.append(across(miner, held, night.config, self.cut, night.until))
            problem = looks[-1].problem
        if problem:
            return Made(msgspec.msgpack.encode(Found([], [], [])), 0, problem)
        whole = miner.conclude((one.whole for one in looks), night.config)
        if self.longer:
            whole = [replace(one, sql=one.sql and sql.since(one.sql, night.since)) for one in whole]
        before = miner.conclude((one.before for one in looks), night.config)
        later = miner.conclude((one.later for one in looks), lenient(night.config))
        return Made(msgspec.msgpack.encode(Found(whole, before, later)), len(whole))

    def output(self, name: str) -> str:
        """What stands for all that a miner found."""
        return self._mined[name].output

    def found(self, name: str) -> Found:
        """What a miner found."""
        return msgspec.msgpack.decode(self._mined[name].made.data, type=Found)

    def validate(self, name: str) -> tuple[str, list[Judged]]:
        """Judge a miner's findings by the time that they were not found in."""
        self.told("validate", name)
        taken = self.night.digest("validate", name, self._mined[name].output, *self.inputs())
        part = self.work.part("validate", name, taken, lambda: self._validate(name))
        return name, msgspec.msgpack.decode(part.made.data, type=list[Judged])

    def _validate(self, name: str) -> Made:
        found, config, until = self.found(name), self.night.config, self.night.until
        before = {finding.key for finding in found.before}
        held = None
        if found.whole and self.cut < until:
            later = held_later(found.whole, found.later, self.featured.after_cut, config)
            held = {key: later[key] if key in before else None for key in later}
        verdicts = judge(found.whole, config, until, held)
        return Made(msgspec.msgpack.encode(verdicts), sum(one.status != "rejected" for one in verdicts))


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
