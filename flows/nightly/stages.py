"""What is done in each stage of a night, part by part; the dataflow calls it in order."""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import psycopg
from msgspec.structs import replace

from flows.nightly.miners import miners
from flows.nightly.night import Night, Stage
from flows.nightly.work import Made, NightlyError, Part, Work
from operators.detect.rules import RuleError, RuleFile, load_rules
from operators.mining import sql
from operators.mining.baselines import Analytics, Baseline, baselines
from operators.mining.compile import Compiled, compile_rules, rule_of
from operators.mining.engine import Engine
from operators.mining.features import Feature, selected, tables
from operators.mining.finding import Finding
from operators.mining.history import FRAMES, History
from operators.mining.pieces import Columns, Texts, add, empty, frame, pack, unpack
from operators.mining.quality import Partial, Quality, judged, measure, too_bad
from operators.mining.results import Mined, mined, relations
from operators.mining.series_features import series_features
from operators.mining.validate import Judged, cut_of, held_later, judge
from sinks import nightly as sink
from sources import archive
from sources.archive import Piece

log = logging.getLogger(__name__)

DAMAGE = (psycopg.errors.DataException, psycopg.errors.InternalError_, psycopg.errors.SystemError)
"""What the server says of rows that it cannot read (a damaged page, a value that is none)."""


class Loaded(msgspec.Struct):
    """A piece of a table as it was loaded, without the rows."""

    piece: Piece
    output: str
    rows: int
    skipped: str | None
    again: bool


class Found(msgspec.Struct):
    """What a miner found in all of the history, and in the part before the cut."""

    whole: list[Finding]
    before: list[Finding]


class Featured(msgspec.Struct):
    """Features and baselines, as they are stored."""

    features: list[Feature]
    baselines: list[Baseline]
    analytics: list[Analytics]
    windows: int


class Result(msgspec.Struct):
    """What the report is made of."""

    loaded: list[Loaded]
    quality: list[Quality]
    featured: Featured
    verdicts: dict[str, list[Judged]]
    found: list[Mined]
    stored: sink.Stored
    rules: list[Compiled]
    rules_path: str
    failed: dict[str, str]


class Stages:
    """The stages of one night over its `work`. `told` is called with the stage and part that is begun; `engine` counts
    for the miners (None: the embedded one)."""

    def __init__(
        self,
        work: Work,
        rules: Path,
        told: Callable[[Stage, str], object] = lambda *_: None,
        engine: Engine | None = None,
    ) -> None:
        self.work = work
        self.miners = miners(engine)
        self.rules = rules
        self.told = told
        self.loaded: list[Loaded] = []
        self.failed: dict[str, str] = {}
        """Miners that could not work, and why."""
        self._history: History | None = None
        self._featured: Featured | None = None
        self._cut: datetime | None = None
        self._longer: bool | None = None
        self._mined: dict[str, Part] = {}

    @property
    def night(self) -> Night:
        """The night."""
        return self.work.night

    def pieces(self) -> list[Piece]:
        """What is to be read."""
        found = archive.pieces(self.work.connection, self.night.since, self.night.until)
        self.work.only("load", [piece.name for piece in found])
        return found

    def load(self, piece: Piece) -> Loaded:
        """Read a piece, unless it was read and has not changed; look at its quality. A bad one is left out, loudly."""
        self.told("load", piece.name)
        connection = self.work.connection
        try:
            mark = archive.fingerprint(connection, piece)
        except DAMAGE as problem:
            mark = f"unreadable: {_first_line(problem)}"
        part = self.work.part("load", piece.name, self.night.digest(piece.name, mark), lambda: self._read(piece))
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
            return Made(_loaded({}, empty(piece.table)), 0, f"the server cannot read it: {_first_line(problem)}")
        found = measure(piece.table, frame(piece.table, [columns]))
        count = len(next(iter(columns.values())))
        return Made(_loaded(found, columns), count, too_bad(found))

    @property
    def history(self) -> History:
        """All that was loaded and is not left out, as of the end of the night."""
        if self._history is None:
            texts = Texts()
            frames = {
                table: frame(table, (self._columns(one) for one in self.loaded if self._taken(one, table)), texts)
                for table in FRAMES
            }
            self._history = History(**frames).before(self.night.until)
        return self._history

    def _taken(self, one: Loaded, table: str) -> bool:
        return one.piece.table == table and one.skipped is None and one.rows > 0

    def _columns(self, one: Loaded) -> Columns:
        return unpack(msgspec.msgpack.decode(self.work.data("load", one.piece.name))["columns"])

    def quality(self) -> list[Quality]:
        """What all that was read is like, by table and source."""
        parts: dict[str, list[dict[str, Partial]]] = {}
        for one in self.loaded:
            data = msgspec.msgpack.decode(self.work.data("load", one.piece.name))["quality"]
            parts.setdefault(one.piece.table, []).append(msgspec.convert(data, dict[str, Partial]))
        return [one for table, found in parts.items() for one in judged(table, found, self.night.until)]

    def _inputs(self, names: Sequence[str] = tuple(FRAMES)) -> list[str]:
        return sorted(f"{one.piece.name} {one.output}" for one in self.loaded if one.piece.table in names)

    def features(self) -> Featured:
        """Features as of when each thing began, features of series, and what is usual."""
        self.told("features", "")
        part = self.work.part("features", "", self.night.digest("features", *self._inputs()), self._features)
        self._featured = msgspec.msgpack.decode(part.made.data, type=Featured)
        return self._featured

    def _features(self) -> Made:
        found: list[Feature] = []
        sources = {
            "pipeline": ["pipeline_executions"], "step": ["step_executions"], "integration": ["integration_events"],
            "task": ["task_executions", "tasks", "task_dependencies"],
        }  # fmt: skip
        for table in tables(self.history):
            found += selected(table, {"sources": sources[table.of], "until": self.night.until.isoformat()})
        of_series, windows = series_features(self.history) if self.night.series_features else ([], 0)
        rows, now = baselines(self.history, self.night.until)
        made = Featured([*found, *of_series], rows, now, windows)
        return Made(msgspec.msgpack.encode(made), len(made.features))

    @property
    def cut(self) -> datetime:
        """Where the history is cut in two: what is found before must show after, too."""
        if self._cut is None:
            self._cut = cut_of(self.history, self.night.until)
        return self._cut

    @property
    def longer(self) -> bool:
        """Whether the database knows of a time before the night's: then the SQL of findings must leave it out."""
        if self._longer is None:
            first = archive.first_row(self.work.connection)
            self._longer = first is not None and first < self.night.since
        return self._longer

    def mine(self, name: str) -> str:
        """Let a miner look at all of the history and at the part before the cut. One that fails is left out, loudly."""
        self.told("mine", name)
        taken = self.night.digest(
            "mine", name, self.cut.isoformat(), str(self.longer), *self._inputs(self.miners[name].tables)
        )
        part = self.work.part("mine", name, taken, lambda: self._mine(name))
        if part.made.skipped:
            self.failed[name] = part.made.skipped
            log.warning("miner %s is left out: %s", name, part.made.skipped)
        self._mined[name] = part
        return name

    def _mine(self, name: str) -> Made:
        miner, config, until = self.miners[name].miner, self.night.config, self.night.until
        try:
            whole = miner.mine(self.history, config, until)
            if self.longer:
                whole = [replace(one, sql=one.sql and sql.since(one.sql, self.night.since)) for one in whole]
            found = Found(whole, miner.mine(self.history.before(self.cut), config, self.cut) if whole else [])
        except (ArithmeticError, LookupError, TypeError, ValueError) as problem:
            log.debug("miner %s", name, exc_info=True)
            return Made(msgspec.msgpack.encode(Found([], [])), 0, f"{type(problem).__name__}: {_first_line(problem)}")
        return Made(msgspec.msgpack.encode(found), len(whole))

    def _found(self, name: str) -> Found:
        return msgspec.msgpack.decode(self._mined[name].made.data, type=Found)

    def validate(self, name: str) -> tuple[str, list[Judged]]:
        """Judge a miner's findings by the time that they were not found in."""
        self.told("validate", name)
        taken = self.night.digest("validate", name, self._mined[name].output, *self._inputs())
        part = self.work.part("validate", name, taken, lambda: self._validate(name))
        return name, msgspec.msgpack.decode(part.made.data, type=list[Judged])

    def _validate(self, name: str) -> Made:
        found, config, until = self._found(name), self.night.config, self.night.until
        before = {finding.key for finding in found.before}
        held = None
        if found.whole and self.cut < until:
            later = held_later(self.miners[name].miner, found.whole, self.history, config, self.cut, until)
            held = {key: later[key] if key in before else None for key in later}
        verdicts = judge(found.whole, config, until, held)
        return Made(msgspec.msgpack.encode(verdicts), sum(one.status != "rejected" for one in verdicts))

    def store(self, verdicts: dict[str, list[Judged]]) -> Result:
        """Bring the tables up to date, in one transaction with the note that it is done."""
        self.told("store", "")
        every = [one for name in self.miners for one in verdicts.get(name, ())]
        found, quality = mined(every, self.history), self.quality()
        featured = self._featured or self.features()
        taken = self.night.digest(
            "store", msgspec.json.encode([found, featured, quality, self.failed], order="deterministic").decode()
        )
        if self.work.known("store", "", taken) is None:
            self._store(found, featured, quality, taken)
        stored = msgspec.json.decode(self.work.data("store", "counts"), type=sink.Stored)
        return Result(self.loaded, quality, featured, verdicts, found, stored, [], str(self.rules), self.failed)

    def _store(self, found: list[Mined], featured: Featured, quality: list[Quality], taken: str) -> None:
        night, connection = self.night, self.work.connection
        with connection.transaction():
            stored = sink.write_patterns(connection, found, set(self.miners) - set(self.failed), night.until)
            stored.relations = sink.write_relations(connection, relations(found), night.until)
            sink.write_baselines(connection, featured.baselines, featured.analytics)
            sink.write_features(connection, featured.features, night.until)
            sink.write_quality(connection, night.id, quality)
            stored.baselines, stored.analytics = len(featured.baselines), len(featured.analytics)
            stored.features = len(featured.features)
            counts = self.work.part("store", "counts", taken, lambda: Made(msgspec.json.encode(stored), len(found)))
            self.work.note("store", "", taken, counts.output, len(found), None, counts.seconds)

    def compile(self, result: Result) -> Result:
        """Give the stream what is strong enough of the sequences; rules that people wrote into the file stay."""
        self.told("compile", "")
        taken = self.night.digest("compile", self._mined["sequences"].output, *self._inputs())
        part = self.work.part("compile", "rules", taken, self._compile)
        result.rules = msgspec.msgpack.decode(part.made.data, type=list[Compiled])
        stored = {str(one.id) for one in result.found}
        result.rules = [rule for rule in result.rules if rule.id in stored]
        if not self.work.latest():
            log.info("a later night has compiled its rules: %s stays as it is", self.rules)
            return result
        with self.work.connection.transaction():
            sink.write_rules(self.work.connection, result.rules)
        write_rules(self.rules, result.rules)
        self.work.note("compile", "", taken, part.output, len(result.rules), None, part.seconds)
        return result

    def _compile(self) -> Made:
        found, night = self._found("sequences"), self.night
        rules = compile_rules(found.before, self.history, night.config, self.cut, night.until)
        return Made(msgspec.msgpack.encode(rules), len(rules))


def write_rules(path: Path, rules: Sequence[Compiled]) -> None:
    """Write the rules' file, whole or not at all; rules in it whose id is no finding's (a UUID) are kept, and first."""
    own = []
    if path.exists():
        try:
            own = [rule for rule in load_rules(path).by_id.values() if not _is_uuid(rule.id)]
        except RuleError as problem:
            raise NightlyError(f"{problem}: put it right or move it away, it would be overwritten") from None
    data = msgspec.json.format(msgspec.json.encode(RuleFile(1, [*own, *map(rule_of, rules)])), indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(data + b"\n")
        os.replace(fresh, path)
    except OSError as problem:
        raise NightlyError(f"{path}: {problem.strerror}") from None


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4


def _loaded(found: dict[str, Partial], columns: Columns) -> bytes:
    quality = {name: msgspec.to_builtins(part) | {"days": sorted(part.days)} for name, part in sorted(found.items())}
    return msgspec.msgpack.encode({"quality": quality, "columns": pack(columns)})


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
