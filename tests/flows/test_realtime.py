"""The wiring of the realtime flow: names that hold its state, its settings, its recovery directory, its totals."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bytewax.recovery import RecoveryConfig

from flows import realtime
from flows.realtime import FlowError, Observers, partition_config, recovery
from flows.settings import Settings, load
from operators.output import DeadLetter
from operators.partition import Partition, PartitionConfig
from operators.records import Batch, key_of
from sinks.prometheus import Metrics
from sources.files import topic_of
from tests.samples import NOW_US, metric
from tests.tables import query

HOUR = 3_600_000_000


def test_the_names_in_the_recovery_store_never_change() -> None:
    """Renaming one drops the state of every running flow."""
    assert realtime.FLOW == "hindsight_realtime"
    assert (realtime.READ, realtime.PROCESS, realtime.WRITE, realtime.PUBLISH) == (
        "read",
        "partition",
        "database",
        "kafka",
    )
    assert key_of("hindsight.events.metric.v1", 3) == "hindsight.events.metric.v1/3"
    assert topic_of("/a/b.jsonl") == "file:/a/b.jsonl"


def settings(folder: Path, **options: Any) -> Settings:
    return load(env_file=None, recovery_dir=folder, **options)


def test_settings_become_the_partition_s(tmp_path: Path) -> None:
    made = partition_config(
        settings(
            tmp_path, pane_seconds=5, lateness_seconds=0.1, idle_flush_seconds=2.5, future_limit_seconds=7,
            max_record_bytes=2048, raw_rows=False, pattern_confidence_threshold=0.8, batch_size=7,
            anomaly_detection_sensitivity=0.9, alert_thresholds={"high_cpu_usage": 0.5},
        )
    )  # fmt: skip
    assert (made.width_us, made.lateness_us, made.idle_us, made.future_us) == (5_000_000, 100_000, 2_500_000, 7_000_000)
    assert (made.most_bytes, made.raw_rows, made.input, made.aggregates) == (2048, False, None, False)
    assert (made.judge.least_confidence, made.judge.sensitivity, made.judge.enabled) == (0.8, 0.9, True)
    assert dict(made.judge.thresholds)["high_cpu_usage"] == 0.5


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    assert partition_config(settings(tmp_path)) == PartitionConfig()


def test_files_read_together_are_one_input_in_any_order(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    assert partition_config(chosen, ["file:/a"]).input is None
    assert (
        partition_config(chosen, ["file:/b", "file:/a"]).input == partition_config(chosen, ["file:/a", "file:/b"]).input
    )


def test_a_recovery_directory_is_locked_and_belongs_to_its_inputs(tmp_path: Path) -> None:
    chosen = settings(tmp_path / "deep" / "state")
    with recovery(chosen, ["file:/a"]) as config:
        assert isinstance(config, RecoveryConfig)
        assert list(chosen.recovery_dir.glob("part-*.sqlite3"))
        with pytest.raises(FlowError, match="in use by another process"), recovery(chosen, ["file:/a"]):
            pass
    with recovery(chosen, ["file:/b", "file:/a"]):
        pass
    with pytest.raises(FlowError, match=r"belongs to other inputs \(file:/a, file:/b\)"), recovery(chosen, ["file:/a"]):
        pass


def test_each_subset_has_a_directory_of_its_own(tmp_path: Path) -> None:
    with (
        recovery(settings(tmp_path, partition_subset="0/2"), ["t"]),
        recovery(settings(tmp_path, partition_subset="1/2"), ["t"]),
    ):
        assert {path.name for path in tmp_path.iterdir()} == {"subset-0-of-2", "subset-1-of-2"}


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    chosen = settings(tmp_path / "file" / "state")
    with pytest.raises(FlowError, match=r"recovery directory \S+: Not a directory"), recovery(chosen, ["t"]):
        pass


def test_a_half_written_note_of_the_inputs_is_no_end(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    with recovery(chosen, ["file:/a"]):
        pass
    (tmp_path / "hindsight.json").write_text("")
    with recovery(chosen, ["file:/a"]):
        assert json.loads((tmp_path / "hindsight.json").read_text())["inputs"] == ["file:/a"]


def test_a_kill_while_the_store_is_made_leaves_none_that_cannot_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytewax makes the file first and says what it is in a second transaction."""
    chosen = settings(tmp_path)

    def killed(folder: Path, count: int) -> None:
        with closing(sqlite3.connect(folder / "part-0.sqlite3")) as half:
            half.execute("CREATE TABLE parts (created_at TEXT, part_index INTEGER PRIMARY KEY, part_count INTEGER)")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(realtime, "init_db_dir", killed)
        with pytest.raises(KeyboardInterrupt), recovery(chosen, ["file:/a"]):
            pass
    with recovery(chosen, ["file:/a"]):
        assert {path.name for path in tmp_path.iterdir()} == {"lock", "hindsight.json", "part-0.sqlite3"}
    with closing(sqlite3.connect(tmp_path / "part-0.sqlite3")) as store:
        assert store.execute("SELECT part_index, part_count FROM parts").fetchall() == [(0, 1)]


def batch(*values: bytes, topic: str = "t") -> Batch:
    return Batch(topic, 0, list(values), range(len(values)), NOW_US)


def test_totals_are_over_all_partitions_and_lives() -> None:
    observers = Observers(Metrics(), None)
    resumed = Partition("t", 0, PartitionConfig())
    resumed.process(batch(metric(1, 1, 1), b"{"))
    other = Partition("u", 0, PartitionConfig())
    observers.started(resumed)
    observers.started(other)
    observers.processed(resumed.process(batch(metric(1, 1, 1), metric(1, 2, 2))))
    observers.processed(other.process(batch(metric(1, 1, 1), metric(1, 200, 2), metric(1, 2, 3), topic="u")))
    totals = observers.totals(1.23456)
    assert (totals.read, totals.applied, totals.late, totals.dead_letters, totals.duplicates) == (7, 4, 1, 1, 1)
    assert (totals.patterns, totals.seconds, totals.resumed_at) == (0, 1.235, 2)
    read = observers.metrics.registry.get_sample_value
    labels = {"topic": "t", "outcome": "read", "reason": ""}
    assert read("hindsight_records_total", labels) == 2, "what the earlier life read is not counted again"


def test_a_refused_row_is_counted_and_kept_for_kafka() -> None:
    observers = Observers(Metrics(), None)
    letter = DeadLetter("t", 0, 1, "rejected_by_database", "x", None, b"", [])
    observers.refused(letter)
    assert list(observers.letters) == [letter]
    assert observers.metrics.registry.get_sample_value("hindsight_sink_refused_rows_total") == 1


def run(tmp_path: Path, url: str, text: bytes, **options: Any) -> dict[str, Any]:
    path = tmp_path / "a.jsonl"
    path.write_bytes(text)
    chosen = settings(tmp_path / "state", database_url=url, metrics_port=0, **options)
    return realtime.run(chosen, inputs=[path])


def test_a_file_from_end_to_end(database: str, tmp_path: Path) -> None:
    text = b"\n".join([metric(1, 1, 1), b"", metric(2, 2, 2), b"broken", metric(1, 1, 1)])
    first = run(tmp_path, database, text)
    wanted = {"read": 4, "applied": 2, "late": 0, "dead_letters": 1, "duplicates": 1, "patterns": 0}
    assert {name: first[name] for name in wanted} == wanted
    assert query(database, "SELECT record_offset, reason, record_value FROM dead_letters") == [
        (4, "not_json", b"broken")
    ]
    again = run(tmp_path, database, text)
    assert {name: again[name] for name in wanted} == wanted, "all of it was read: nothing is counted again"
    assert again["resumed_at"] == 4
    grown = run(tmp_path, database, text + b"\n" + metric(5, 90, 3) + b"\n")
    assert (grown["read"], grown["applied"]) == (5, 3)
    assert query(database, "SELECT count(*), sum(metric_value) FROM system_metrics") == [(3, 8.0)]
    assert query(database, "SELECT sum(n)::int FROM stream_counters WHERE outcome = 'read'") == [(5,)]


def test_failures_are_one_line(database: str, empty_database: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FlowError, match="the schema does not fit"):
        run(empty, empty_database, metric(1, 1, 1) + b"\n")
    run(tmp_path, database, metric(1, 1, 1) + b"\n")
    with pytest.raises(FlowError, match="another file now"):
        run(tmp_path, database, b"\n")
    with pytest.raises(FlowError, match="pane width or lateness"):
        run(tmp_path, database, metric(1, 1, 1) + b"\n", pane_seconds=5)
