"""What becomes of a night: the tables, and the rules that the stream reads."""

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from flows.nightly.shards import Loaded
from flows.nightly.stages import Featured, Stages
from flows.nightly.work import Made, NightlyError
from operators.detect.rules import RuleError, RuleFile, load_rules
from operators.mining.compile import Compiled, compile_rules, rows_of, rule_of, tokens, wanted_of
from operators.mining.history import COMPONENTS, History
from operators.mining.quality import Quality
from operators.mining.results import Mined, mined, relations
from operators.mining.validate import Judged
from sinks import nightly as sink

log = logging.getLogger(__name__)


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
    withheld: str = ""


class Outcome:
    """The last two stages: what `stages` found goes into the database, and into the file `rules`."""

    def __init__(self, stages: Stages, rules: Path) -> None:
        self._stages = stages
        self.work = stages.work
        self.rules = rules

    def store(self, verdicts: dict[str, list[Judged]]) -> Result:
        """Bring the tables up to date, in one transaction with the note that it is done."""
        of = self._stages
        of.told("store", "")
        every = [one for name in of.miners for one in verdicts.get(name, ())]
        featured, quality = of.featured, of.quality()
        found = mined(every, featured.names)
        written = [found, featured.features, featured.baselines, featured.analytics, quality, of.failed]
        said = msgspec.json.encode(written, order="deterministic").decode()
        taken = of.night.digest("store", self.withheld, str(self._old), said)
        if self.work.known("store", "", taken) is None:
            self._store(found, featured, quality, taken)
        stored, path = self.work.stored(), str(self.rules)
        return Result(of.loaded, quality, featured, verdicts, found, stored, [], path, of.failed, self.withheld)

    @cached_property
    def _old(self) -> bool:
        return not self.work.latest()

    @cached_property
    def withheld(self) -> str:
        """Why the night says of nothing that it is gone, and gives the stream no rules; "" when it does."""
        if self._old:
            return "a later night was worked through before"
        if not any(one.rows for one in self._stages.loaded if one.piece.table in COMPONENTS):
            return "nothing was read"
        if not self.work.full():
            return "nights of late looked further back"
        return ""

    def _sure(self) -> set[str]:
        """Miners that can say of a pattern that it is gone: they worked, and saw all of their tables."""
        lost = {one.piece.table for one in self._stages.loaded if one.skipped}
        seen = {name for name, looking in self._stages.miners.items() if not lost.intersection(looking.tables)}
        return set() if self.withheld else seen - set(self._stages.failed)

    def _store(self, found: list[Mined], featured: Featured, quality: list[Quality], taken: str) -> None:
        night, connection, start = self._stages.night, self.work.connection, time.monotonic()
        with connection.transaction():
            stored = sink.write_patterns(connection, found, self._sure(), night.until, self._old)
            stored.relations = sink.write_relations(connection, relations(found), night.until)
            sink.write_baselines(connection, featured.baselines, featured.analytics)
            if self._old or not self.withheld:
                sink.write_features(connection, featured.features, night.until)
                stored.features = len(featured.features)
            sink.write_quality(connection, night.id, quality)
            stored.baselines, stored.analytics = len(featured.baselines), len(featured.analytics)
            self.work.keep_stored(stored)
            output = hashlib.sha256(msgspec.json.encode(stored)).hexdigest()
            self.work.note("store", "", taken, output, len(found), None, time.monotonic() - start)

    def compile(self, result: Result) -> Result:
        """Give the stream what is strong enough of the sequences; rules that people wrote into the file stay."""
        self._stages.told("compile", "")
        taken = self._stages.night.digest("compile", self._stages.output("sequences"), *self._stages.inputs())
        part = self.work.part("compile", "rules", taken, self._compile)
        result.rules = msgspec.msgpack.decode(part.made.data, type=list[Compiled])
        stored = {str(one.id) for one in result.found}
        result.rules = [rule for rule in result.rules if rule.id in stored]
        if self.withheld:
            log.info("%s stays as it is: %s", self.rules, self.withheld)
            return result
        with self.work.connection.transaction():
            sink.write_rules(self.work.connection, result.rules)
        write_rules(self.rules, result.rules)
        self.work.note("compile", "", taken, part.output, len(result.rules), None, part.seconds)
        return result

    def _compile(self) -> Made:
        found, night = self._stages.found("sequences").before, self._stages.night
        wanted = wanted_of(found)
        rows = rows_of(self._stages.shards.whole(("patterns", "interventions")), wanted)
        for history in self._stages.histories() if wanted else ():
            rows += rows_of(history.with_whole(History.of()), wanted)
        rules = compile_rules(found, tokens(rows), night.config, self._stages.cut, night.until)
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
