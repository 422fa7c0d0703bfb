"""The database writer: nothing is lost, nothing is written twice, and what is wrong is said once."""

import itertools
import logging
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from operators import tables as t
from operators.output import DeadLetter, Output
from operators.records import Headers
from sinks import timescale
from sinks.timescale import DatabaseSink, DatabaseWriter, SinkError
from tests.samples import data_of, metric, raw
from tests.sinks.writing import count, output, stored

_numbers = itertools.count(1)


@dataclass
class Witness:
    """A writer, and what it told of. It gives up an outage after `patience` seconds, so that no test hangs."""

    url: str
    patience: float = 20.0
    capacity: int = 8
    letters: list[DeadLetter] = field(default_factory=list)
    written: list[tuple[Sequence[Output], int]] = field(default_factory=list)
    retries: int = 0

    def __post_init__(self) -> None:
        start = time.monotonic()
        self.writer = DatabaseWriter(
            self.url,
            capacity=self.capacity,
            on_written=lambda outputs, rows: self.written.append((outputs, rows)),
            on_refused=self.letters.append,
            on_retry=self._retry,
            abandon=lambda: time.monotonic() - start > self.patience,
        )

    def _retry(self) -> None:
        self.retries += 1

    def write(self, *outputs: Output) -> None:
        self.writer.put(outputs)
        self.writer.drain()


@pytest.fixture
def witness(module_database: str) -> Iterator[Callable[..., Witness]]:
    made: list[Witness] = []

    def build(url: str = module_database, **options: Any) -> Witness:
        made.append(Witness(url, **options))
        return made[-1]

    yield build
    for one in made:
        if one.writer._failure is None:
            one.writer.close()


def metrics(number: int, start: int | None = None) -> list[bytes]:
    """So many samples with ids of their own."""
    first = next(_numbers) * 100_000 if start is None else start
    return [metric(1, place % 900, f"{first + place}") for place in range(number)]


def wait_for(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_everything_that_was_put_is_committed(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database)
    outs = [output(metrics(100)) for _ in range(20)]
    one.writer.put(outs)
    one.writer.drain()
    assert count(database, "system_metrics") == 2000
    assert [out for outputs, _ in one.written for out in outputs] == outs, "in their order"
    assert sum(rows for _, rows in one.written) == 2000
    assert (one.writer.depth, one.letters, one.retries) == (0, [], 0)


def test_an_output_without_rows_is_told_of(witness: Callable[..., Witness]) -> None:
    one = witness()
    one.write(output([]))
    assert [rows for _, rows in one.written] == [0]


def test_a_key_that_is_taken_sends_rows_by_the_staging_table(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database)
    values = metrics(50, start=0)
    one.write(output(values))
    assert "system_metrics" not in one.writer._staged
    one.write(output(values[25:] + metrics(25, start=50)))
    assert count(database, "system_metrics") == 75
    left, span = one.writer._staged["system_metrics"]
    assert left == span == timescale.STAGED_FOR[0]
    for _ in range(left):
        one.write(output(metrics(1)))
    assert one.writer._staged["system_metrics"][0] == 0
    one.write(output(values[:1]))
    assert one.writer._staged["system_metrics"] == (2 * span, 2 * span), "each time for longer"
    assert count(database, "system_metrics") == 75 + left
    assert [rows for _, rows in one.written][:2] == [50, 50]


def test_one_batch_may_hold_a_row_twice(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database)
    values = [
        *metrics(3),
        raw("resource.sampled"),
        raw("integration.occurred"),
        raw("task.changed"),
        raw("pipeline.finished"),
    ]
    one.write(output(values * 3))
    for table, rows in {
        "system_metrics": 3,
        "resource_usage": 1,
        "integration_events": 1,
        "tasks": 1,
        "pipeline_executions": 1,
    }.items():
        assert count(database, table) == rows, table


def incompressible(length: int) -> str:
    letters = random.Random(5)
    return "".join(chr(letters.randrange(0x4E00, 0x9FFF)) for _ in range(length))


def with_document(kind: str, field: str, identifier: str, document: bytes) -> bytes:
    value = raw(kind, data_of(kind, **{field: "@"}), id=identifier)
    return value.replace(b'"@"', document)


POISON = {
    "a number that jsonb refuses": with_document("resource.sampled", "context_data", "p1", b'{"x": 1e-99999}'),
    "too many digits": with_document("integration.occurred", "event_data", "p2", b"0." + b"1" * 20_000),
}
LONG = raw("code.dependencies", data_of("code.dependencies", edges=[
    {"from": incompressible(1000), "to": incompressible(1000), "kind": "import"},
]))  # fmt: skip
"""Its key is beyond what a btree holds."""
GOOD = [
    raw(kind, id=f"g-{kind}")
    for kind in ("task.changed", "resource.sampled", "integration.occurred", "pipeline.finished")
]


@pytest.mark.parametrize("poison", [
    *POISON.values(),
    LONG,
], ids=[*POISON, "a key beyond the btree"])  # fmt: skip
def test_a_row_that_is_refused_is_a_dead_letter(database: str, witness: Callable[..., Witness], poison: bytes) -> None:
    one = witness(database, patience=1.5)
    values = [*metrics(40), poison, *GOOD]
    origin: tuple[bytes | None, Headers] = (b"the key", [("h", b"v")])
    one.write(output(metrics(5)), output(values, range(100, 145), origin), output(metrics(5)))
    assert count(database, "system_metrics") == 50
    for table in ("tasks", "resource_usage", "integration_events", "pipeline_executions"):
        assert count(database, table) == 1, table
    (letter,) = stored(database, t.DEAD_LETTERS)
    assert (letter["record_value"], letter["record_key"], letter["headers"]) == (poison, b"the key", [["h", "v"]])
    assert (letter["topic"], letter["partition"], letter["record_offset"]) == ("topic", 3, 140)
    assert letter["reason"] == "rejected_by_database"
    assert letter["detail"].split(":")[0] in {"resource_usage", "integration_events", "code_dependencies"}
    (told,) = one.letters
    assert (told.value, told.offset, told.reason, told.key) == (poison, 140, "rejected_by_database", b"the key")


def test_many_rows_that_are_refused(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database)
    bad = [POISON["a number that jsonb refuses"].replace(b'"p1"', b'"q%d"' % number) for number in range(9)]
    values = [*metrics(10), *bad[:4], *metrics(10), *bad[4:], *GOOD]
    one.write(output(values))
    assert sorted(row["record_value"] for row in stored(database, t.DEAD_LETTERS)) == sorted(bad)
    assert [letter.value for letter in one.letters] == bad
    assert (count(database, "system_metrics"), count(database, "resource_usage"), count(database, "tasks")) == (
        20,
        1,
        1,
    )


def test_a_row_that_is_nobodys_record_is_told_of_too(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database)
    out = output(metrics(3))
    wrong = dict.fromkeys(t.TASKS.names, None) | {"id": uuid.uuid4(), "status": "", "event_time": 0, "event_id": "x"}
    out.add(t.TASKS, t.TASKS.encode(list(wrong.values())))
    one.write(out)
    assert count(database, "system_metrics") == 3
    (letter,) = stored(database, t.DEAD_LETTERS)
    assert letter["detail"].startswith("tasks: ")
    assert letter["record_value"] == b""


def test_a_document_too_deep_for_the_database(database: str, witness: Callable[..., Witness]) -> None:
    """Where Python's own limit is higher than PostgreSQL's, such a document comes this far."""
    one = witness(database, patience=1.5)
    out = output(metrics(3))
    values = dict.fromkeys(t.RESOURCE_USAGE.names, None) | {
        "event_key": 1, "measured_at": 0, "usage_percentage": 1.0, "host": "h", "resource_type": "cpu",
        "context_data": b"[" * 20_000 + b"]" * 20_000,
    }  # fmt: skip
    out.add(t.RESOURCE_USAGE, t.RESOURCE_USAGE.encode(list(values.values())))
    one.write(out)
    assert (count(database, "system_metrics"), count(database, "dead_letters")) == (3, 1)


def terminate(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'hindsight-sink'"
        )


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().split(" ")[1] for record in caplog.records if record.name == "sinks.timescale"]


def test_a_broken_connection_is_made_anew(
    database: str, witness: Callable[..., Witness], caplog: pytest.LogCaptureFixture
) -> None:
    one = witness(database)
    one.write(output(metrics(10)))
    terminate(database)
    one.write(output(metrics(10)))
    assert count(database, "system_metrics") == 20
    assert said(caplog) == ["away", "back"]
    assert one.retries == 1


def test_an_outage_is_waited_out_and_said_once(
    database_url: str, database: str, witness: Callable[..., Witness], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one = witness(database)
    one.write(output(metrics(10)))
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    name = sql.Identifier(psycopg.conninfo.conninfo_to_dict(database)["dbname"])  # type: ignore[arg-type]
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(allow.format(name, sql.SQL("false")))
        try:
            terminate_from(admin, database)
            writing = threading.Thread(target=one.write, args=(output(metrics(10)),))
            writing.start()
            wait_for(lambda: one.retries >= 3)
            assert said(caplog) == ["away"]
        finally:
            admin.execute(allow.format(name, sql.SQL("true")))
    writing.join(10)
    assert count(database, "system_metrics") == 20
    assert said(caplog) == ["away", "back"]
    assert one.writer.seconds_blocked > 0.2


def terminate_from(admin: psycopg.Connection, url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def test_a_full_queue_blocks_and_the_time_is_counted(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database, capacity=2)
    with psycopg.connect(database) as lock:
        lock.execute("LOCK TABLE system_metrics IN ACCESS EXCLUSIVE MODE")
        one.writer.put([output(metrics(1))])
        wait_for(lambda: one.writer._busy == 1)
        one.writer.put([output(metrics(1)), output(metrics(1))])
        assert (one.writer.depth, one.writer.capacity) == (3, 2)
        assert one.writer.seconds_blocked == 0.0
        blocked = threading.Thread(target=one.writer.put, args=([output(metrics(1))],))
        blocked.start()
        blocked.join(0.4)
        assert blocked.is_alive()
        assert one.writer.depth == 3
        lock.rollback()
    blocked.join(10)
    one.writer.drain()
    assert one.writer.seconds_blocked > 0.3
    assert count(database, "system_metrics") == 4


def test_a_missing_schema_is_one_clear_error(empty_database: str, witness: Callable[..., Witness]) -> None:
    one = witness(empty_database)
    for _ in range(2):
        with pytest.raises(SinkError, match=r"^the schema does not fit: .*\(run `hindsight migrate`\)$"):
            one.write(output(metrics(1)))
    with pytest.raises(SinkError):
        one.writer.close()


@pytest.mark.parametrize("change", [("/hindsight_test_", "/no_such_"), (r"://\w+", "://nobody")])
def test_no_access_is_one_clear_error(
    module_database: str, witness: Callable[..., Witness], change: tuple[str, str]
) -> None:
    assert re.search(change[0], module_database)
    one = witness(re.sub(*change, module_database), patience=1.5)
    with pytest.raises(SinkError, match="can't be written to"):
        one.write(output(metrics(1)))
    assert one.retries == 0


def test_a_database_that_became_read_only_refuses_no_row(database: str, witness: Callable[..., Witness]) -> None:
    separator = "&" if "?" in database else "?"
    one = witness(f"{database}{separator}options=-cdefault_transaction_read_only%3Don", patience=1.5)
    with pytest.raises(SinkError):
        one.write(output(metrics(3)))
    assert one.letters == []


def test_stopping_during_an_outage_gives_up(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database.replace(":", ":", 1).rsplit("@", 1)[0] + "@127.0.0.1:1/none", patience=0.3)
    with pytest.raises(SinkError, match="can't be written to"):
        one.write(output(metrics(1)))
    assert one.retries >= 1


def test_the_sink_commits_an_epoch_before_its_snapshot(database: str, witness: Callable[..., Witness]) -> None:
    one = witness(database)
    sink = DatabaseSink(one.writer)
    assert sink.list_parts() == ["database"]
    part = sink.build_part("database", "database", None)
    part.write_batch([output(metrics(10)), output(metrics(10))])
    part.snapshot()
    assert count(database, "system_metrics") == 20
