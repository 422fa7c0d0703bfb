"""`hindsight import` writes what `stream` writes, wherever it is killed, and knows its files again."""

import gzip
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from flows import cli
from tests import flow
from tests.conftest import temporary_database
from tests.generate import Generator
from tests.tables import checksums, query

EVENTS = int(os.environ.get("ANALYTICS_TEST_IMPORT_EVENTS", "30000"))
KILLS = int(os.environ.get("ANALYTICS_TEST_KILLS", "5"))
"""A run with 220000 and 7 is part of a release."""
PATTERNS = {
    "detected_patterns", "metric_patterns", "execution_patterns", "task_patterns", "integration_patterns",
    "pattern_evolution", "stream_counters",
}  # fmt: skip
OFTEN = {"batch_size": "500", "write_queue_batches": "2"}


def sums(url: str) -> dict[str, str]:
    """Checksums of all that does not come from detection, and the counters without that of patterns."""
    found = {table: digest for table, digest in checksums(url).items() if table not in PATTERNS}
    counters = query(
        url,
        "SELECT input, partition, outcome, reason, n FROM stream_counters WHERE outcome <> 'patterns'"
        " ORDER BY input, partition, outcome, reason",
    )
    return found | {"counters": str(counters)}


def imported(*arguments: str | Path, **settings: str) -> dict[str, object]:
    """The last line of an import, which must succeed."""
    done = flow.run("import", *arguments, **settings)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return flow.write_files(Generator(seed=21, partitions=2).generate(EVENTS), tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="module")
def streamed(
    paths: list[Path], database_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What `stream` makes of the same files."""
    with temporary_database(database_url, migrated_template) as url:
        state = tmp_path_factory.mktemp("state")
        flow.stream(*flow.inputs(paths), "--database-url", url, "--recovery-dir", state)
        yield sums(url)


def test_the_same_rows_as_stream_however_often_it_is_killed(
    paths: list[Path], streamed: dict[str, str], database: str
) -> None:
    rand = random.Random(2)
    arguments = [*paths, "--database-url", database]

    def written() -> int:
        return int(query(database, "SELECT count(*) FROM system_metrics")[0][0])

    seen: list[int] = []
    while len(seen) < KILLS:
        process = flow.start("import", *arguments, **OFTEN)
        while seen and process.poll() is None and written() == seen[-1]:
            time.sleep(0.02)  # the first kill may come while it starts, the others come once it has written more
        try:
            process.communicate(timeout=rand.uniform(0.0, 0.5 if seen else 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            seen.append(written())
        else:
            assert process.returncode == 0
            break
    totals = imported(*arguments, **OFTEN)
    assert any(0 < rows < written() for rows in seen), seen
    assert sums(database) == streamed
    assert totals["read"] == EVENTS
    parts = [totals[name] for name in ("applied", "late", "dead_letters", "duplicates")]
    assert totals["read"] == sum(int(str(part)) for part in parts)
    assert query(database, "SELECT DISTINCT finished_at IS NOT NULL FROM imports") == [(True,)]


def test_a_finished_file_is_passed_over_and_again_changes_nothing(
    paths: list[Path], streamed: dict[str, str], database: str
) -> None:
    first = imported(*paths, "--database-url", database)
    assert sums(database) == streamed
    before = checksums(database)
    second = imported(*paths, "--database-url", database)
    assert (second["already"], second["resumed_at"], second["read"]) == (2, EVENTS, EVENTS)
    assert checksums(database) == before
    third = imported(*paths, "--again", "--database-url", database)
    assert (third["already"], third["resumed_at"]) == (0, 0)
    assert checksums(database) == before
    keys = ("read", "applied", "late", "dead_letters", "duplicates")
    assert len({tuple(totals[key] for key in keys) for totals in (first, second, third)}) == 1


def test_what_a_stream_has_counted_as_patterns_stays(paths: list[Path], database: str, tmp_path: Path) -> None:
    flow.stream("--input", paths[0], "--database-url", database, "--recovery-dir", tmp_path / "state")
    found = query(database, "SELECT n FROM stream_counters WHERE outcome = 'patterns'")
    assert found[0][0] > 0
    imported(paths[0], "--database-url", database)
    assert query(database, "SELECT n FROM stream_counters WHERE outcome = 'patterns'") == found


def test_a_packed_file_and_standard_input(paths: list[Path], database: str, tmp_path: Path) -> None:
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(paths[0].read_bytes()))
    plain = imported(paths[0], "--database-url", database)
    assert imported(packed, "--database-url", database)["applied"] == plain["applied"]
    command = flow.command("import", "-", "--name", "pipe", "--database-url", database)
    for already in (0, 1):
        done = subprocess.run(
            command, cwd=flow.ROOT, env=flow.environment(), input=paths[0].read_bytes(), capture_output=True, check=True
        )
        totals = json.loads(done.stdout)
        assert (totals["applied"], totals["already"]) == (plain["applied"], already)
    counted = query(database, "SELECT input, n FROM stream_counters WHERE outcome = 'read' ORDER BY 1")
    assert {n for _, n in counted} == {plain["read"]}
    assert {name for name, _ in counted} == {f"file:{paths[0]}", f"file:{packed}", "file:pipe"}


def test_a_file_that_has_grown_goes_on(paths: list[Path], database: str, tmp_path: Path) -> None:
    lines = paths[0].read_bytes().splitlines(keepends=True)
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(lines[:700]))
    imported(file, "--database-url", database)
    file.write_bytes(b"".join(lines[:1000]))
    totals = imported(file, "--database-url", database)
    assert (totals["resumed_at"], totals["read"], totals["already"]) == (700, 1000, 0)


@pytest.mark.parametrize("how", ["changed", "shorter"])
def test_a_file_that_is_another_now_is_one_line(paths: list[Path], database: str, tmp_path: Path, how: str) -> None:
    raw = paths[0].read_bytes().splitlines(keepends=True)[:700]
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(raw))
    imported(file, "--database-url", database)
    before = checksums(database)
    file.write_bytes(b"".join(raw[:-1] if how == "shorter" else [raw[0].replace(b"2026", b"2025"), *raw[1:]]))
    done = flow.run("import", file, "--database-url", database)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(file) in line
    assert ("has changed" if how == "shorter" else "is not what it was") in line
    assert checksums(database) == before
    assert imported(file, "--again", "--database-url", database)["resumed_at"] == 0


def test_a_damaged_file_keeps_what_came_before(paths: list[Path], database: str, tmp_path: Path) -> None:
    packed = gzip.compress(paths[0].read_bytes())
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(packed[: len(packed) // 2])
    done = flow.run("import", file, "--database-url", database)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "a.jsonl.gz: line " in line
    assert query(database, "SELECT n > 1000 FROM stream_counters WHERE outcome = 'read'") == [(True,)]


def test_two_imports_of_one_file_at_once(paths: list[Path], database: str) -> None:
    with psycopg.connect(database, autocommit=True) as other:
        name = f"hindsight import file:{paths[0]}"
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        done = flow.run("import", paths[0], "--database-url", database)
    assert done.returncode == 1
    assert "is being imported by another process" in done.stderr
    assert query(database, "SELECT count(*) FROM imports") == [(0,)]


def test_other_settings_are_one_line(paths: list[Path], database: str) -> None:
    imported(paths[0], "--database-url", database)
    done = flow.run("import", paths[0], "--database-url", database, pane_seconds="5")
    assert done.returncode == 1
    assert "with other settings of panes and lateness" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_database_without_tables_is_one_line(paths: list[Path], empty_database: str) -> None:
    done = flow.run("import", paths[0], "--database-url", empty_database)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["hindsight: the database is not up to date: run `hindsight migrate`"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "Missing argument"),
        (["nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["-", "--again"], "needs --name"),
        (["README.md", "--name", "x"], "--name goes with -"),
        (["README.md", "--database-url", "mysql://x"], "must be a URL that starts with postgresql://"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], problem: str
) -> None:
    monkeypatch.chdir(flow.ROOT)
    assert cli.run(["import", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
