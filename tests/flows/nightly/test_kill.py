"""kill -9 in each stage of a night, and the same command again: the same rows as of a night that nobody disturbed."""

import os
import signal
import traceback
from contextlib import ExitStack, suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from flows.nightly import flow, outcome, shards, stages
from flows.nightly.miners import MINERS
from flows.nightly.night import Night
from flows.nightly.work import Work
from operators.mining.finding import MiningConfig
from tests.conftest import temporary_database
from tests.flows.nightly.filling import fill_all
from tests.operators.mining import planted

NIGHT = Night(planted.START, planted.UNTIL, config=MiningConfig(permutations=49), series_features=False)

TABLES = (
    "detected_patterns", "task_patterns", "execution_patterns", "integration_patterns", "performance_patterns",
    "pattern_evolution", "pattern_relationships", "performance_baselines", "performance_analytics",
    "feature_engineering", "nightly_quality", "nightly_stages", "nightly_runs", "pattern_changes",
)  # fmt: skip
CLOCK = "- ARRAY['written_at', 'started_at', 'finished_at', 'seconds', 'summary']"


def rows(url):
    with psycopg.connect(url) as connection:
        return {
            table: sorted(
                str(row[0]) for row in connection.execute(f"SELECT (to_jsonb(t) {CLOCK})::text FROM {table} AS t")
            )
            for table in TABLES
        }


def work_through(url, folder):
    return flow.run(url, NIGHT, folder, folder / "rules.json")


def in_a_child(run):
    """Run it in a process of its own; give how that ended."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            try:
                run()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
        os._exit(1)
    return os.waitpid(child, 0)[1]


def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def at_note(stage, number=1):
    """Die with a part's work done and its file written, before the database hears of it."""
    note, seen = Work.note, []

    def dying(self, which, *rest):
        seen.append(which)
        if seen.count(stage) == number:
            kill()
        note(self, which, *rest)

    Work.note = dying


def at(owner, name):
    setattr(owner, name, kill)


MOMENTS = {
    "a piece is read": lambda: at_note("load", 3),
    "features are made": lambda: at_note("features"),
    "a shard is looked at": lambda: at_note("mine", 2),
    "a miner has found": lambda: at_note("mine", 6),
    "a miner is judged": lambda: at_note("validate", 2),
    "half of the tables are written": lambda: at(outcome.sink, "write_baselines"),
    "all tables are written and not committed": lambda: at_note("store"),
    "the tables are committed": lambda: at(outcome.Outcome, "compile"),
    "the rules are noted and the file is not there": lambda: at(outcome, "write_rules"),
    "the rules are written": lambda: at_note("compile"),
    "the report is made": lambda: at_note("report"),
}


@pytest.fixture(scope="module")
def history():
    return planted.history(runs=250)


@pytest.fixture(autouse=True)
def fewer_miners(monkeypatch):
    """Enough to fill each table; the way through the stages is the same for all of them."""
    names = ("sequences", "failure_modes", "flaky", "recovery", "changes", "graph")
    monkeypatch.setattr(shards, "SHARD_ROWS", 600)
    monkeypatch.setattr(stages, "miners", lambda _: {name: MINERS[name] for name in names})


def test_findings_do_not_depend_on_how_the_history_is_cut(
    database_url, migrated_template, history, tmp_path, monkeypatch
):
    found = []
    for size in (400, 10_000_000):
        monkeypatch.setattr(shards, "SHARD_ROWS", size)
        with temporary_database(database_url, migrated_template) as url:
            fill_all(url, history)
            result, _ = work_through(url, tmp_path / str(size))
            count = sum(one.piece.rows for one in result.loaded)
            assert shards.shards_for(one.piece for one in result.loaded) == max(1, -(-count // size))
            found.append({table: of for table, of in rows(url).items() if not table.startswith("nightly_")})
            assert b'"then"' in (tmp_path / str(size) / "rules.json").read_bytes()
    assert found[0] == found[1]


def test_a_night_that_is_killed_in_each_stage_ends_in_the_same_rows(database_url, migrated_template, history, tmp_path):
    with temporary_database(database_url, migrated_template) as calm, ExitStack() as ends:
        fill_all(calm, history)
        twin = temporary_database(database_url, conninfo_to_dict(calm)["dbname"])
        disturbed = ends.enter_context(twin)
        assert in_a_child(lambda: work_through(calm, tmp_path / "calm")) == 0
        for moment, prepare in MOMENTS.items():

            def run(prepare=prepare):
                prepare()
                work_through(disturbed, tmp_path / "disturbed")

            assert in_a_child(run) == signal.SIGKILL, moment
        assert in_a_child(lambda: work_through(disturbed, tmp_path / "disturbed")) == 0
        wanted, found = rows(calm), rows(disturbed)
        for table in TABLES:
            assert found[table] == wanted[table], table
        files = [(tmp_path / name / "rules.json").read_bytes() for name in ("calm", "disturbed")]
        assert files[0] == files[1] and b'"then"' in files[0]
        # The same night once more, with nothing changed: nothing is done again.
        assert in_a_child(lambda: work_through(calm, tmp_path / "calm")) == 0
        assert rows(calm) == wanted
    assert len(wanted["detected_patterns"]) > 20
    assert not wanted["pattern_changes"]  # the correlator is told of none of it
    for table in ("task_patterns", "execution_patterns", "integration_patterns", "performance_patterns"):
        assert wanted[table], table
