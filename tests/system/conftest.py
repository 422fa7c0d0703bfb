"""Real servers for the system tests: each started once a session, or skipped with the reason named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.kafka_server import KafkaServer, missing_tools

KAFKA_SKIP = "Apache Kafka cannot run here: "


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the tests that need the broker (`-m "not kafka"` leaves them out)."""
    config.addinivalue_line("markers", "kafka: runs against Apache Kafka itself (Java 17 and Maven)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the broker carries the marker."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the part that did not run, and why, once."""
    reasons = []
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if KAFKA_SKIP in text:
            reasons.append(text[text.index(KAFKA_SKIP) :])
    if reasons:
        line = f"NOT RUN: {len(reasons)} tests of the kafka part. {reasons[0]}"
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A running broker, shared by the session. A test that kills it restarts it; topics are per test."""
    missing = missing_tools()
    if missing is not None:
        pytest.skip(KAFKA_SKIP + missing)
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server
