"""The tables equal a computation on its own, for each input, partition count and batch size."""

import os
from pathlib import Path

import pytest

from tests import flow
from tests.conftest import temporary_database
from tests.generate import Generated, Generator
from tests.oracle import Oracle
from tests.system import topics
from tests.system.kafka_server import KafkaServer
from tests.tables import assert_tables, checksums

EVENTS = int(os.environ.get("ANALYTICS_TEST_EVENTS", "12000"))
"""A run with 200000 is part of a release; so many at each push."""


@pytest.fixture(scope="module", params=[1, 4], ids=["1-partition", "4-partitions"])
def generated(request: pytest.FixtureRequest) -> Generated:
    return Generator(seed=7, partitions=request.param).generate(EVENTS)


@pytest.fixture(scope="module")
def oracle(generated: Generated) -> Oracle:
    return Oracle(generated)


def test_file(generated: Generated, oracle: Oracle, database_url: str, migrated_template: str, tmp_path: Path) -> None:
    paths = flow.write_files(generated, tmp_path)
    sums = []
    for batch_size in ("313", "5000"):
        with temporary_database(database_url, migrated_template) as url:
            options = [*flow.inputs(paths), "--database-url", url, "--batch-size", batch_size]
            counts = flow.stream(*options, "--recovery-dir", tmp_path / batch_size)
            assert counts["read"] == oracle.read
            assert counts["applied"] == oracle.applied
            assert_tables(url, oracle)
            sums.append(checksums(url))
            # Everything once more into the same tables: nothing changes.
            flow.stream(*options, "--recovery-dir", tmp_path / f"{batch_size}-again")
            assert checksums(url) == sums[-1]
    assert sums[0] == sums[1]


def test_kafka(
    generated: Generated,
    oracle: Oracle,
    kafka: KafkaServer,
    database_url: str,
    migrated_template: str,
    twin: str,
    tmp_path: Path,
) -> None:
    topic = f"oracle-{twin}-{len(generated.partitions)}"
    topics.create(kafka.brokers, topic, len(generated.partitions))
    topics.publish(kafka.brokers, topic, generated)
    sums = []
    for batch_size in ("500", "5000"):
        with temporary_database(database_url, migrated_template) as url:
            counts = flow.stream(
                "--brokers", kafka.brokers, "--topics", topic, "--exit-at-end", "--database-url", url,
                "--recovery-dir", tmp_path / batch_size, "--batch-size", batch_size,
            )  # fmt: skip
            assert counts["late"] == oracle.late
            assert_tables(url, oracle)
            sums.append(checksums(url))
    assert sums[0] == sums[1]
