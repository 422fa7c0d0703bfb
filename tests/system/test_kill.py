"""kill -9 of the flow, the database and the broker at random moments: the tables end as if nothing had happened."""

import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sinks.embedded import EmbeddedPostgres
from sinks.migrate import migrate
from tests import flow
from tests.conftest import temporary_database
from tests.generate import Generated, Generator
from tests.oracle import Oracle
from tests.system import topics
from tests.system.kafka_server import KafkaServer
from tests.tables import assert_tables, checksums, query

EVENTS = int(os.environ.get("ANALYTICS_TEST_KILL_EVENTS", "20000"))
KILLS = int(os.environ.get("ANALYTICS_TEST_KILLS", "4"))
"""A run with 60000 and 20 is part of a release; so many at each push."""
OFTEN = {"epoch_seconds": "0.5", "batch_size": "200", "write_queue_batches": "2"}
"""Small batches and frequent snapshots: more moments at which a kill may hurt."""


Expected = tuple[dict[str, str], list[Path]]


@pytest.fixture(scope="module")
def generated() -> Generated:
    return Generator(seed=11, partitions=3).generate(EVENTS)


@pytest.fixture(scope="module")
def expected(
    generated: Generated, database_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Expected]:
    """Checksums of an uninterrupted run that equals the oracle, and its files."""
    folder = tmp_path_factory.mktemp("kill")
    paths = flow.write_files(generated, folder)
    with temporary_database(database_url, migrated_template) as url:
        flow.stream(*flow.inputs(paths), "--database-url", url, "--recovery-dir", folder / "whole", **OFTEN)
        assert_tables(url, Oracle(generated))
        yield checksums(url), paths


def lives(folder: Path) -> int:
    """How often a flow has begun to work from this recovery store."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'part-0.sqlite3'}?mode=ro", uri=True)) as store:
            return int(store.execute("SELECT count(*) FROM exs").fetchone()[0])
    except sqlite3.OperationalError:  # none yet, or the flow is making it
        return 0


def killed_until_done(arguments: list[str], folder: Path, written: Callable[[], int], seed: int) -> list[int]:
    """Run `stream` and kill it again and again, then let it end. Gives what was `written` at each kill.

    The first kill comes while it starts, which takes longer on a busy machine; the others once it has begun to work,
    and at least one of them, if it can be, once something was written.
    """
    rand = random.Random(seed)
    seen: list[int] = []
    while len(seen) < KILLS or (not any(seen) and len(seen) < 5 * KILLS):
        before = lives(folder)
        process = flow.start("stream", *arguments, **OFTEN)
        while seen and process.poll() is None and lives(folder) == before:
            time.sleep(0.02)
        try:
            process.communicate(timeout=rand.uniform(0.2, 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            seen.append(written())
        else:
            assert process.returncode == 0
            return seen
    flow.stream(*arguments, **OFTEN)
    return seen


def test_flow(
    expected: Expected, generated: Generated, database_url: str, migrated_template: str, tmp_path: Path
) -> None:
    wanted, paths = expected
    folder = tmp_path / "state"
    with temporary_database(database_url, migrated_template) as url:
        arguments = [*flow.inputs(paths), "--database-url", url, "--recovery-dir", str(folder)]
        count = lambda: int(query(url, "SELECT count(*) FROM system_metrics")[0][0])  # noqa: E731
        seen = killed_until_done(arguments, folder, count, seed=1)
        print(f"rows at each kill: {seen}")
        assert any(0 < rows < count() for rows in seen), seen
        assert checksums(url) == wanted


def test_database(expected: Expected, tmp_path: Path) -> None:
    wanted, paths = expected
    folder = tmp_path / "postgres"
    server = EmbeddedPostgres(folder)
    url = server.start()
    migrate(url)
    process = flow.start(
        "stream", *flow.inputs(paths), "--database-url", url, "--recovery-dir", tmp_path / "state", **OFTEN
    )
    try:
        kills = 0
        rand = random.Random(3)
        while process.poll() is None and kills < min(KILLS, 5):
            time.sleep(rand.uniform(1.0, 2.5))
            if process.poll() is None:
                kill_server(folder)
                kills += 1
                server.start()
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        print(f"killed the database {kills} times")
        assert kills >= 1
        assert errors.count("database away") <= kills, errors
        assert out
        assert checksums(url) == wanted
    finally:
        process.kill()
        server.stop()


def kill_server(folder: Path) -> None:
    """kill -9 of the postmaster, which takes its children with it sooner or later."""
    os.kill(int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    time.sleep(0.3)


def test_broker(generated: Generated, database_url: str, migrated_template: str, tmp_path: Path) -> None:
    """The broker dies while it is written to and read from; flow and producer both wait for it."""
    sums = []
    for kills in (0, 1):
        broker = KafkaServer()
        broker.start()
        try:
            topics.create(broker.brokers, "kill", 3)
            publisher = threading.Thread(target=topics.publish, args=(broker.brokers, "kill", generated))
            with temporary_database(database_url, migrated_template) as url:
                arguments = ["--brokers", broker.brokers, "--topics", "kill", "--database-url", url]
                if kills:
                    process = flow.start("stream", *arguments, "--recovery-dir", tmp_path / "killed", **OFTEN)
                    publisher.start()
                    time.sleep(4)
                    broker.kill9()
                    time.sleep(1)
                    broker.restart()
                    publisher.join(120)
                    time.sleep(2)
                    process.kill()
                    process.communicate()
                else:
                    publisher.start()
                    publisher.join(120)
                recovery = tmp_path / ("killed" if kills else "whole")
                flow.stream(*arguments, "--exit-at-end", "--recovery-dir", recovery, **OFTEN)
                assert_tables(url, Oracle(generated))
                sums.append(checksums(url))
        finally:
            broker.stop()
    assert sums[0] == sums[1]
